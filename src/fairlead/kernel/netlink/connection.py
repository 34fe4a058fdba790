"""A netlink socket kept open: many requests in one send, their refusals, dumps.

A netlink socket belongs to the network namespace in which it was opened, whatever thread uses it later.
"""

from __future__ import annotations

import errno
import os
import socket
import threading
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from fairlead.kernel.netlink import codec, neighbours, rules
from fairlead.kernel.netlink.codec import AddressInfo, LinkInfo, RouteInfo
from fairlead.kernel.netlink.frames import DONE, ERROR, Message, NetlinkError, joined, messages, refusal
from fairlead.kernel.netlink.neighbours import NeighbourInfo
from fairlead.kernel.netlink.rules import RuleEntry

ROUTE, NETFILTER = 0, 12  # netlink families
_SOL_NETLINK = 270
_CAP_ACK = 10
_EXT_ACK = 11
_RECEIVE_BUFFER = 1 << 20
_SO_RCVBUFFORCE = 33
_CHUNK_MESSAGES = 128  # their acknowledgements must fit the receive buffer
_CHUNK_BYTES = 64 << 10
_DUMP_INTERRUPTED = 0x10
_DUMP_TRIES = 5


class Reply(NamedTuple):
    """What came of a request: a refusal, an acknowledgement (errno 0), or the answer to a question."""

    errno: int
    words: str
    body: memoryview | None = None

    def error(self, index: int = 0) -> NetlinkError:
        return NetlinkError(self.words or os.strerror(self.errno), self.errno, index)


class Netlink:
    """One socket of one netlink family; safe to use from several threads, one exchange at a time."""

    def __init__(self, family: int = ROUTE) -> None:
        """Opens in the calling thread's namespace."""
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, family)
        self._socket.bind((0, 0))
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER)
        self._socket.setsockopt(_SOL_NETLINK, _CAP_ACK, 1)
        self._socket.setsockopt(_SOL_NETLINK, _EXT_ACK, 1)
        self._lock = threading.Lock()
        self._sequence = 1

    @property
    def port(self) -> int:
        """The number under which the kernel knows this socket: notifications of what it asked for carry it."""
        port: int = self._socket.getsockname()[0]
        return port

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def batch(self, requests: Sequence[bytes]) -> None:
        """Send all; raise NetlinkError of the first that was refused. Those behind a refused one were tried too."""
        for index, reply in enumerate(self.exchange(requests)):
            if reply.errno:
                raise reply.error(index)

    def exchange(self, requests: Sequence[bytes]) -> list[Reply]:
        """Send all, in order, in as few system calls as buffers allow; what came of each."""
        with self._lock:
            return [reply for chunk in _chunks(requests) for reply in self._exchange(chunk)]

    def _exchange(self, requests: Sequence[bytes]) -> list[Reply]:
        first = self._take_sequences(len(requests))
        self._socket.send(joined(requests, first))
        replies: dict[int, Reply] = {}
        while len(replies) < len(requests):
            for reply in self._receive():
                place = reply.sequence - first
                if 0 <= place < len(requests):
                    replies[place] = Reply(*refusal(reply)) if reply.kind == ERROR else Reply(0, "", reply.body)
        return [replies[place] for place in range(len(requests))]

    def ask(self, request: bytes) -> memoryview | None:
        """The body of the one answer; None where there is no such thing. Raises NetlinkError for other refusals."""
        reply = self.exchange([request])[0]
        if reply.errno in (errno.ENODEV, errno.ENOENT):
            return None
        if reply.errno:
            raise reply.error()
        return reply.body

    def dump(self, request: bytes) -> list[memoryview]:
        """All answers to a dump request, asked again when the kernel says it changed meanwhile."""
        with self._lock:
            for _ in range(_DUMP_TRIES):
                found, consistent = self._dump_once(request)
                if consistent:
                    break
            return found

    def _dump_once(self, request: bytes) -> tuple[list[memoryview], bool]:
        sequence = self._take_sequences(1)
        self._socket.send(joined([request], sequence))
        found: list[memoryview] = []
        consistent = True
        while True:
            for reply in self._receive():
                if reply.sequence != sequence:
                    continue
                if reply.flags & _DUMP_INTERRUPTED:
                    consistent = False
                if reply.kind == DONE:
                    return found, consistent
                if reply.kind == ERROR:
                    raise Reply(*refusal(reply)).error()
                found.append(reply.body)

    def links(self) -> list[LinkInfo]:
        return [codec.read_link(body) for body in self.dump(codec.dump_links())]

    def link(self, target: int | str) -> LinkInfo | None:
        body = self.ask(codec.get_link(target))
        return None if body is None else codec.read_link(body)

    def addresses(self) -> list[AddressInfo]:
        return [codec.read_address(body) for body in self.dump(codec.dump_addresses())]

    def routes(self, protocol: int | None = None) -> list[RouteInfo]:
        """Every IP route of every table, local ones included; only those of one protocol when it is given."""
        found = self.dump(codec.dump_routes())
        if protocol is not None:
            found = [body for body in found if codec.route_protocol(body) == protocol]
        return [route for body in found if (route := codec.read_route(body)) is not None]

    def rules(self, protocol: int) -> list[RuleEntry]:
        """The policy routing rules that were made by one protocol, of both families."""
        found = [rules.read_rule(body) for body in self.dump(rules.dump_rules())]
        return [rule for rule in found if rule is not None and rule.protocol == protocol]

    def neighbours(self, protocol: int) -> list[NeighbourInfo]:
        """The neighbours that were made by one protocol, of both families."""
        found = [neighbours.read_neighbour(body) for body in self.dump(neighbours.dump_neighbours(codec.AF_UNSPEC))]
        return [neighbour for neighbour in found if neighbour.protocol == protocol]

    def unicast_routes(self) -> list[RouteInfo]:
        """Those to hosts and networks, of every table: most routes are the kernel's own, of other kinds."""
        found = self.dump(codec.dump_routes())
        routes = (codec.read_route(body) for body in found if codec.is_unicast(body))
        return [route for route in routes if route is not None]

    def indexes(self, names: Sequence[str]) -> dict[str, int]:
        """The numbers of those of the named links that are there."""
        replies = self.exchange([codec.get_link(name) for name in names])
        pairs = zip(names, replies, strict=True)
        return {name: codec.read_index(reply.body) for name, reply in pairs if reply.body is not None}

    def transact(self, requests: Sequence[bytes]) -> None:
        """One nfnetlink transaction: all or nothing; the last request but the closing mark asks for the ACK."""
        with self._lock:
            first = self._take_sequences(len(requests))
            last = first + len(requests) - 2
            self._socket.send(joined(requests, first))
            refused = self._transaction_refusal(first, last)
        if refused is not None:
            raise refused

    def _transaction_refusal(self, first: int, last: int) -> NetlinkError | None:
        refused: NetlinkError | None = None
        while True:
            for reply in self._receive():
                if reply.kind != ERROR or not first <= reply.sequence <= last:
                    continue
                outcome = Reply(*refusal(reply))
                if outcome.errno and refused is None:
                    refused = outcome.error(reply.sequence - first)
                # A refused opening mark (no permission) is the only answer there will be.
                if reply.sequence in (first, last):
                    return refused

    def _take_sequences(self, count: int) -> int:
        first = self._sequence
        self._sequence = first + count if first + count < 1 << 31 else 1
        return first

    def _receive(self) -> Iterator[Message]:
        return messages(self._socket.recv(_RECEIVE_BUFFER))


def _chunks(requests: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    start = size = 0
    for at, request in enumerate(requests):
        if at > start and (at - start == _CHUNK_MESSAGES or size + len(request) > _CHUNK_BYTES):
            yield requests[start:at]
            start, size = at, 0
        size += len(request)
    if start < len(requests):
        yield requests[start:]
