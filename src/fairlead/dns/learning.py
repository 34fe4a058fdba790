"""What names stand for, put into the firewall's sets before whoever asked is told.

A policy may allow or deny a name in DNS. The addresses in an answer to a container of that network go into the rule's
sets (``<stem>4`` and ``<stem>6`` in both tables of policies), and only then does the answer go out: whoever acts on it
finds the door open. This process does it alone, with the daemon or without.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterable, Iterator, Sequence

from fairlead.dns import message
from fairlead.dns.message import AAAA, A, DnsError
from fairlead.dns.upstream import Peer, Send
from fairlead.dns.view import Lesson

TABLE = "fairlead-policy"
_FAMILIES = (1, 7)  # inet, bridge

# Seconds for which an address holds at least, since programs keep answers longer than they should; and at most.
_FLOOR, _CEILING = 300, 86400
# Past so many addresses those whose time is over are looked for.
_MANY = 4096

_NETFILTER, _SUBSYSTEM = 12, 10
_BATCH_BEGIN, _BATCH_END = 16, 17
_NEWSETELEM, _DELSETELEM = _SUBSYSTEM << 8 | 12, _SUBSYSTEM << 8 | 14
_REQUEST, _ACK, _CREATE = 0x1, 0x4, 0x400
_NESTED = 0x8000
_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_GENERIC = struct.Struct(">BBH")
_LARGEST_REPLY = 1 << 16

_Element = tuple[str, bytes, float]
"""Set, address, seconds."""


class Learner:
    """Which names are of interest on which network, and what they were found to stand for."""

    def __init__(self) -> None:
        self._exact: dict[str, dict[bytes, list[str]]] = {}
        self._below: dict[str, dict[bytes, list[str]]] = {}
        self._known: dict[tuple[str, bytes], float] = {}
        self._socket: socket.socket | None = None

    def __len__(self) -> int:
        return len(self._known)

    def set_lessons(self, network: str, lessons: Sequence[Lesson]) -> None:
        """In place of those the network had. What is known for sets of theirs is put there again: they may be new."""
        exact: dict[bytes, list[str]] = {}
        below: dict[bytes, list[str]] = {}
        for pattern, stem in lessons:
            names = below if pattern.startswith("*.") else exact
            names.setdefault(message.encode_name(pattern.removeprefix("*.")), []).append(stem)
        for table, names in ((self._exact, exact), (self._below, below)):
            table.pop(network, None)
            if names:
                table[network] = names
        self._repeat({f"{stem}{version}" for _, stem in lessons for version in (4, 6)})

    def stems(self, networks: Iterable[str], name: bytes) -> list[str]:
        """The sets that want to know what this name (lower-case, on the wire's form) stands for."""
        if not self._exact and not self._below:
            return []
        return [stem for network in networks for stem in self._of(network, name)]

    def _of(self, network: str, name: bytes) -> Iterator[str]:
        yield from self._exact.get(network, {}).get(name, ())
        if (below := self._below.get(network)) is not None:
            at = name[0] + 1
            while at < len(name):
                yield from below.get(name[at:], ())
                at += name[at] + 1

    def before(self, send: Send, stems: Sequence[str]) -> Send:
        """``send``, but the addresses in what is sent are in those sets first."""

        def learn_and_send(answer: bytes, peer: Peer) -> object:
            self._learn(stems, answer)
            return send(answer, peer)

        return learn_and_send

    def _learn(self, stems: Sequence[str], answer: bytes) -> None:
        now = time.monotonic()
        fresh: list[_Element] = []
        for version, address, ttl in _addresses(answer):
            for stem in stems:
                name = f"{stem}{version}"
                if self._known.get((name, address), 0.0) < now + ttl:
                    seconds = float(min(max(ttl, _FLOOR), _CEILING))
                    fresh.append((name, address, seconds))
                    self._known[name, address] = now + seconds
        if fresh:
            self._put(fresh)
        if len(self._known) > _MANY:
            self._known = {key: until for key, until in self._known.items() if until > now}

    def _repeat(self, names: set[str]) -> None:
        now = time.monotonic()
        self._put(
            [
                (name, address, until - now)
                for (name, address), until in self._known.items()
                if name in names and until > now
            ]
        )

    def _put(self, elements: Sequence[_Element]) -> None:
        """Each table by itself: a set that is not there, or is full, is no reason to withhold an answer."""
        if self._socket is None:
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETFILTER)
            self._socket.bind((0, 0))
        for family in _FAMILIES:
            for name in {name for name, _, _ in elements}:
                listed = [(address, seconds) for each, address, seconds in elements if each == name]
                self._socket.send(_transaction(family, name, listed))
                # The kernel has done it when send returns; what it says of it is of no use.
                _drain(self._socket)


def _addresses(answer: bytes) -> Iterator[tuple[int, bytes, int]]:
    """(version, address, TTL) of the answer section, whatever names stand between it and the question."""
    try:
        for record in message.records(answer):
            size = record.end - record.rdata_at
            if record.section == 0 and (record.kind, size) in ((A, 4), (AAAA, 16)):
                ttl = record.ttl if record.ttl < 1 << 31 else 0
                yield 4 if size == 4 else 6, answer[record.rdata_at : record.end], ttl
    except DnsError:
        return


def _drain(sock: socket.socket) -> None:
    try:
        while sock.recv(_LARGEST_REPLY, socket.MSG_DONTWAIT):
            pass
    except OSError:
        return


# -- nfnetlink (linux/netfilter/nf_tables.h) ----------------------------------------------------------------------


def _transaction(family: int, name: str, elements: Sequence[tuple[bytes, float]]) -> bytes:
    """Added, taken out, added: legal whether they are there or not, and their time begins anew on every kernel."""
    listed = [_element(address, seconds) for address, seconds in elements]
    bare = [_element(address, None) for address, _ in elements]
    return b"".join(
        (
            _message(_BATCH_BEGIN, 0, _GENERIC.pack(0, 0, _SUBSYSTEM)),
            _message(_NEWSETELEM, _CREATE, _set(family, name, listed)),
            _message(_DELSETELEM, 0, _set(family, name, bare)),
            _message(_NEWSETELEM, _CREATE | _ACK, _set(family, name, listed)),
            _message(_BATCH_END, 0, _GENERIC.pack(0, 0, _SUBSYSTEM)),
        )
    )


def _message(kind: int, flags: int, body: bytes) -> bytes:
    return _HEADER.pack(_HEADER.size + len(body), kind, flags | _REQUEST, 0, 0) + body


def _set(family: int, name: str, elements: Sequence[bytes]) -> bytes:
    return (
        _GENERIC.pack(family, 0, 0)
        + _attribute(1, TABLE.encode() + b"\0")
        + _attribute(2, name.encode() + b"\0")
        + _attribute(3 | _NESTED, b"".join(elements))
    )


def _element(address: bytes, seconds: float | None) -> bytes:
    key = _attribute(1 | _NESTED, _attribute(1, address))
    timeout = b"" if seconds is None else _attribute(4, int(seconds * 1000).to_bytes(8, "big"))
    return _attribute(1 | _NESTED, key + timeout)


def _attribute(kind: int, payload: bytes) -> bytes:
    length = 4 + len(payload)
    return _ATTRIBUTE.pack(length, kind) + payload + bytes(-length & 3)
