"""Watches what others do to what is ours: netlink and nftables notifications, and the pins in /run/netns.

Our own changes are told by the kernel too. They agree with the ledger, or come from this process, and are passed over;
what contradicts the ledger is a sign that somebody else was at work. A sign is only a hint to look.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import struct
from collections.abc import Callable, Iterator

from fairlead.kernel import netns, syscalls
from fairlead.kernel.apply import Kernel
from fairlead.kernel.ledger import Ledger
from fairlead.kernel.netlink import codec, rules, tc
from fairlead.kernel.netlink.codec import LinkInfo
from fairlead.kernel.netlink.connection import NETFILTER, ROUTE
from fairlead.kernel.netlink.frames import Message, NetlinkError, attributes, messages, number, string
from fairlead.net import ruleset
from fairlead.net.state import HOST, ROUTE_PROTOCOL, Link

HOST_LINKS = "host-links"
NFT = "nft"

OnChange = Callable[[str], None]

_SOL_NETLINK, _LISTEN_ALL_NSID = 270, 8
_SO_RCVBUFFORCE, _RECEIVE_BUFFER = 33, 4 << 20
# Bits of struct sockaddr_nl: links, IPv4 and IPv6 addresses, IPv4 and IPv6 routes, IPv4 and IPv6 rules,
# traffic control.
_ROUTE_GROUPS = 1 << 0 | 1 << 4 | 1 << 8 | 1 << 6 | 1 << 10 | 1 << 7 | 1 << 18 | 1 << 3
_NFTABLES_GROUP = 1 << 6
_DATAGRAM = 64 << 10

_NFT_SUBSYSTEM = 10
_NEWGEN = 15
_TABLE_NAME, _GEN_PROC_PID = 1, 2
_NFGENMSG = 4
_INOTIFY_EVENT = struct.Struct("=iIII")


class Watch:
    """Calls ``on_change`` with ``host-links``, ``nft`` or a container's id; from ``close`` on no more.

    Made in the host's network namespace, with a running event loop, which does the reading. One socket hears all
    sandboxes: those have a number in the host's namespace as soon as a veth pair connects the two.
    """

    def __init__(self, on_change: OnChange, kernel: Kernel) -> None:
        self._on_change = on_change
        self._kernel = kernel
        self._loop = asyncio.get_running_loop()
        self._links = _listen(ROUTE, _ROUTE_GROUPS)
        self._links.setsockopt(_SOL_NETLINK, _LISTEN_ALL_NSID, 1)
        self._nft = _listen(NETFILTER, _NFTABLES_GROUP)
        self._parents: dict[str, int] = {}  # name and number of links of the host that something of ours stands on
        self._touched = False  # a transaction under way, its end not told yet, is about our table
        self._pins = _watch_pins()
        for descriptor, hear in (
            (self._links.fileno(), self._hear_links),
            (self._nft.fileno(), self._hear_nft),
            (self._pins, self._hear_pins),
        ):
            self._loop.add_reader(descriptor, hear)

    def close(self) -> None:
        for descriptor in (self._links.fileno(), self._nft.fileno(), self._pins):
            self._loop.remove_reader(descriptor)
        self._links.close()
        self._nft.close()
        os.close(self._pins)

    def _hear_links(self) -> None:
        """All that is there to hear, then the signs in it: of a link only its last state counts."""
        links: dict[tuple[int, int], Message] = {}
        rest: list[tuple[int, Message]] = []
        try:
            for nsid, message in _heard(self._links):
                if message.kind in (codec.NEWLINK, codec.DELLINK):
                    _keep_link(links, nsid, message)
                elif message.kind in (codec.DELADDR, codec.DELROUTE, rules.DELRULE, *tc.KINDS):
                    rest.append((nsid, message))
        except OSError:
            self._tell_all()
            return
        heard = [*((nsid, message) for (nsid, _), message in links.items()), *rest]
        signs = {self._scope_of(nsid) for nsid, message in heard if self._is_sign(nsid, message)}
        returned = (self._returned(message) for nsid, message in heard if nsid == codec.NO_NSID)
        for scope in signs.union(*returned):
            self._on_change(HOST_LINKS if scope == HOST else scope)

    def _returned(self, message: Message) -> frozenset[str]:
        """Where something of ours stands on this link of the host, if it is a new one under its name."""
        ledger = self._kernel.ledger
        if message.kind != codec.NEWLINK or not ledger.parents:
            return frozenset()
        try:
            found = codec.read_link(message.body)
        except NetlinkError:
            return frozenset()
        if found.name not in ledger.parents or self._parents.get(found.name) == found.index:
            return frozenset()
        self._parents[found.name] = found.index
        return ledger.standing_on(found.name)

    def _scope_of(self, nsid: int) -> str:
        return HOST if nsid == codec.NO_NSID else self._kernel.container_of(nsid)

    def _is_sign(self, nsid: int, message: Message) -> bool:
        scope = self._scope_of(nsid)
        if scope == HOST and nsid != codec.NO_NSID:  # a namespace that is none of ours
            return False
        if message.kind in tc.KINDS:
            return self._is_shaped_by_another(scope, message)
        try:
            return contradicts(self._kernel.ledger, scope, message)
        except NetlinkError:
            return False

    def _is_shaped_by_another(self, scope: str, message: Message) -> bool:
        """These notifications carry the number of the socket that asked for the change."""
        kernel = self._kernel
        ns = kernel.host if scope == HOST else kernel.sandboxes().get(scope)
        return ns is not None and kernel.ledger.is_shaped(scope) and message.port != ns.netlink.port

    def _hear_nft(self) -> None:
        try:
            for _, message in _heard(self._nft):
                if message.kind >> 8 == _NFT_SUBSYSTEM:
                    self._take_nft(message)
        except OSError:
            self._tell_all()

    def _take_nft(self, message: Message) -> None:
        """Every transaction ends with a NEWGEN that says whose it was."""
        found = attributes(message.body, _NFGENMSG)
        if message.kind & 0xFF != _NEWGEN:
            self._touched |= string(found.get(_TABLE_NAME)) == ruleset.TABLE
            return
        touched, self._touched = self._touched, False
        author = int.from_bytes(found.get(_GEN_PROC_PID, b""), "big")
        if touched and author != os.getpid():
            self._on_change(NFT)

    def _hear_pins(self) -> None:
        """Somebody took a name out of /run/netns; a sandbox that still has that name misses its pin."""
        gone = set(_removed_names(self._pins))
        for container, ns in list(self._kernel.sandboxes().items()):
            if ns.name in gone and not netns.is_pinned(ns.path, ns.inode):
                self._on_change(container)

    def _tell_all(self) -> None:
        """The kernel lost notifications (ENOBUFS): anything may have changed."""
        for scope in (HOST_LINKS, NFT, *self._kernel.sandboxes()):
            self._on_change(scope)


def contradicts(ledger: Ledger, scope: str, message: Message) -> bool:
    """Whether a notification says something else than the ledger."""
    match message.kind:
        case codec.NEWLINK:
            found = codec.read_link(message.body)
            asked = ledger.links.get((scope, found.name))
            return asked is not None and _differs(found, asked)
        case codec.DELLINK:
            return (scope, codec.read_link(message.body).name) in ledger.links
        case codec.DELADDR:
            return ledger.has_address(scope, codec.read_address(message.body).address)
        case codec.DELROUTE:
            route = codec.read_route(message.body)
            return route is not None and route.protocol == ROUTE_PROTOCOL and ledger.has_route(scope, route.prefix)
        case rules.DELRULE:
            rule = rules.read_rule(message.body)
            return rule is not None and (scope, rule.version, rule.priority) in ledger.rules
    return False


def _differs(found: LinkInfo, asked: Link) -> bool:
    return (
        found.up != asked.up
        or asked.mtu not in (0, found.mtu)
        or asked.mac not in ("", found.mac)
        or asked.alias not in ("", found.alias)
        or bool(asked.master) != bool(found.master)
    )


def _listen(family: int, groups: int) -> socket.socket:
    listener = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, family)
    listener.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER)
    listener.bind((0, groups))
    return listener


def _heard(listener: socket.socket) -> Iterator[tuple[int, Message]]:
    """(number of the namespace, NO_NSID for the listener's own; message) until none is left; OSError: some are lost."""
    while True:
        try:
            datagram, ancillary, _, _ = listener.recvmsg(_DATAGRAM, 64)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno == errno.ENOBUFS:
                # Clear what is queued behind the gap: everything will be looked at anyway.
                _drain(listener)
            raise
        nsid = next(
            (number(memoryview(raw)) for level, kind, raw in ancillary if kind == _LISTEN_ALL_NSID), codec.NO_NSID
        )
        try:
            for message in messages(datagram):
                yield nsid, message
        except NetlinkError:
            continue


def _drain(listener: socket.socket) -> None:
    try:
        while listener.recv(1):
            pass
    except OSError:
        return


def _keep_link(links: dict[tuple[int, int], Message], nsid: int, message: Message) -> None:
    """A bridge tells of its ports a second time in a family of its own: those are passed over."""
    if len(message.body) >= 8 and message.body[0] != codec.AF_BRIDGE:
        links[nsid, struct.unpack_from("=i", message.body, 4)[0]] = message


def _watch_pins() -> int:
    os.makedirs(netns.PINS, mode=0o755, exist_ok=True)
    descriptor = syscalls.inotify_init()
    syscalls.inotify_add_watch(descriptor, netns.PINS, syscalls.IN_DELETE | syscalls.IN_MOVED_FROM)
    return descriptor


def _removed_names(descriptor: int) -> Iterator[str]:
    try:
        while True:
            events = os.read(descriptor, _DATAGRAM)
            offset = 0
            while offset + _INOTIFY_EVENT.size <= len(events):
                *_, length = _INOTIFY_EVENT.unpack_from(events, offset)
                offset += _INOTIFY_EVENT.size
                yield os.fsdecode(events[offset : offset + length].split(b"\0", 1)[0])
                offset += length
    except BlockingIOError:
        return
