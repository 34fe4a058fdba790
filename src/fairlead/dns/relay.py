"""Relays for the few published ports that the kernel cannot translate: [::1], and IPv6 to a container without it."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from errno import EINPROGRESS

from fairlead.dns.loop import READ, WRITE, Loop

Target = tuple[str, int]

# One buffer's worth is read when the other side took the last.
_CHUNK = 1 << 17
_MAX_CONNECTIONS = 4096
# Repetitions of a SYN that nobody answers: 7 seconds.
_SYN_REPEATS = 2

_MAX_CLIENTS = 1024
# Seconds a client of a UDP relay is remembered after its last datagram, as docker-proxy does.
_CLIENT_IDLE = 90.0
_SWEEP = 10.0
_BATCH = 32
_DATAGRAM = 65535
_IPV6_RECVPKTINFO, _IPV6_PKTINFO = 49, 50
_IP_PKTINFO = 8
# struct in_pktinfo: interface, the address of ours that was asked, the address in the packet.
_IN_PKTINFO = struct.Struct("=i4s4s")
_SO_DETACH_FILTER = 27
# On the packets that are relayed for others than the host itself; net.policytables looks for it.
RELAYED = 0x20000000
_LOOPBACK = ("127.0.0.1", "::1", "::ffff:127.0.0.1")
# struct linger: on, 0 seconds.
_NO_LINGER = struct.pack("ii", 1, 0)


def _family(address: str) -> int:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _mark_relayed(onward: socket.socket, peer: tuple[object, ...]) -> None:
    """What comes from outside goes on from this host's own address; policies of networks tell it by the mark."""
    if peer[0] not in _LOOPBACK:
        with suppress(OSError):
            onward.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, RELAYED)


class StreamRelay:
    """Accepts on a listening TCP socket, which stays the caller's, and joins each connection to one to ``target``."""

    def __init__(self, loop: Loop, sock: socket.socket, target: Target) -> None:
        self._loop, self._socket, self._target = loop, sock, target
        self._pairs: set[_Pair] = set()
        sock.setblocking(False)
        loop.watch(sock.fileno(), self._ready)

    def __len__(self) -> int:
        return len(self._pairs)

    def deafen(self) -> None:
        """Accepts no more; connections that are there go on."""
        self._loop.forget(self._socket.fileno())

    def close(self) -> None:
        self.deafen()
        for pair in list(self._pairs):
            pair.close()

    def _ready(self, _events: int) -> None:
        with suppress(OSError):
            for _ in range(_BATCH):
                accepted, peer = self._socket.accept()
                self._join(accepted, peer)

    def _join(self, accepted: socket.socket, peer: tuple[object, ...]) -> None:
        accepted.setblocking(False)
        onward = socket.socket(_family(self._target[0]), socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        _mark_relayed(onward, peer)
        onward.setsockopt(socket.IPPROTO_TCP, socket.TCP_SYNCNT, _SYN_REPEATS)
        if len(self._pairs) >= _MAX_CONNECTIONS or onward.connect_ex(self._target) not in (0, EINPROGRESS):
            _abort(accepted)
            onward.close()
        else:
            self._pairs.add(_Pair(self._loop, accepted, onward, self._pairs.discard))


def _abort(sock: socket.socket) -> None:
    """Closes with a reset, so that nobody takes it for a proper end."""
    with suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    sock.close()


class _Side:
    """One end of a pair: its socket, and what it has yet to be sent."""

    __slots__ = ("ended", "events", "ready", "shut", "socket", "unsent")

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self.unsent = memoryview(b"")
        self.ended = False  # it will say nothing more
        self.shut = False  # it was told that nothing more comes
        self.ready = True  # connected
        self.events = 0


class _Pair:
    """Two connections, each fed with what the other says, in either direction until both have ended."""

    def __init__(
        self, loop: Loop, accepted: socket.socket, onward: socket.socket, closed: Callable[[_Pair], None]
    ) -> None:
        self._loop, self._closed = loop, closed
        self._near, self._far = _Side(accepted), _Side(onward)
        self._far.ready = False
        self._open = True
        for side in (self._near, self._far):
            side.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # Ends that went without a word are found out in the end.
            side.socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._settle()

    def close(self) -> None:
        self._end(socket.socket.close)

    def _reset(self) -> None:
        """Ends both sides as one of them ended."""
        self._end(_abort)

    def _end(self, end: Callable[[socket.socket], None]) -> None:
        if self._open:
            self._open = False
            for side in (self._near, self._far):
                self._loop.forget(side.socket.fileno())
                end(side.socket)
            self._closed(self)

    def _near_ready(self, events: int) -> None:
        self._turn(self._near, self._far, events)

    def _far_ready(self, events: int) -> None:
        self._turn(self._far, self._near, events)

    def _turn(self, side: _Side, other: _Side, events: int) -> None:
        try:
            if events & ~(READ | WRITE) and (error := side.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)):
                raise OSError(error, "reset")
            side.ready = True
            if side.unsent:
                self._send(side)
            if not side.ended and not other.unsent and other.ready:
                self._receive(side, other)
        except OSError:
            self._reset()
            return
        self._settle()

    def _receive(self, side: _Side, other: _Side) -> None:
        try:
            part = side.socket.recv(_CHUNK)
        except BlockingIOError:
            return
        if not part:
            side.ended = True
        other.unsent = memoryview(part)
        self._send(other)

    def _send(self, side: _Side) -> None:
        with suppress(BlockingIOError):
            while side.unsent:
                side.unsent = side.unsent[side.socket.send(side.unsent) :]

    def _settle(self) -> None:
        for side, other, ready in (
            (self._near, self._far, self._near_ready),
            (self._far, self._near, self._far_ready),
        ):
            if other.ended and side.ready and not side.unsent and not side.shut:
                side.shut = True
                with suppress(OSError):
                    side.socket.shutdown(socket.SHUT_WR)
            reading = READ if not side.ended and not other.unsent and other.ready else 0
            self._want(side, reading | (WRITE if side.unsent or not side.ready else 0), ready)
        if self._near.shut and self._far.shut:
            self.close()

    def _want(self, side: _Side, events: int, ready: Callable[[int], None]) -> None:
        if events == side.events and events:
            return
        side.events = events
        # An end that reads and writes nothing is left out: its hang-up would be reported again and again.
        if events:
            self._loop.watch(side.socket.fileno(), ready, events)
        else:
            self._loop.forget(side.socket.fileno())


class _Client:
    """Who sent a datagram, from where to where, and the socket that speaks to the target in its place."""

    __slots__ = ("peer", "seen", "socket", "via")

    def __init__(self, peer: tuple[object, ...], via: list[tuple[int, int, bytes]], sock: socket.socket) -> None:
        self.peer, self.via, self.socket = peer, via, sock
        self.seen = time.monotonic()


def _back(level: int, kind: int, value: bytes) -> tuple[int, int, bytes]:
    """What was told of a datagram's way here, as what is said of the answer's way back."""
    if (level, kind) == (socket.IPPROTO_IP, _IP_PKTINFO):
        # By whichever interface the routes say: the asker may be on another by now.
        value = _IN_PKTINFO.pack(0, _IN_PKTINFO.unpack(value)[1], bytes(4))
    return level, kind, value


class DatagramRelay:
    """Passes datagrams of a UDP socket, which stays the caller's, to ``target`` and its answers back to each sender."""

    def __init__(self, loop: Loop, sock: socket.socket, target: Target) -> None:
        self._loop, self._socket, self._target = loop, sock, target
        self._clients: dict[tuple[object, ...], _Client] = {}
        self._open = True
        sock.setblocking(False)
        # Bound ports are held deaf by a drop-all filter; this one shall hear.
        with suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)
        # On a wildcard socket the answer must leave from the very address that was asked.
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVPKTINFO, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        loop.watch(sock.fileno(), self._ready)
        loop.later(_SWEEP, self._sweep)

    def __len__(self) -> int:
        return 0  # Nothing is lost with a client that is forgotten.

    def deafen(self) -> None:
        self._loop.forget(self._socket.fileno())

    def close(self) -> None:
        self._open = False
        self.deafen()
        for client in list(self._clients.values()):
            self._drop(client)

    def _ready(self, _events: int) -> None:
        with suppress(OSError):
            for _ in range(_BATCH):
                data, control, _flags, peer = self._socket.recvmsg(_DATAGRAM, 64)
                self._pass_on(data, peer, control)

    def _pass_on(self, data: bytes, peer: tuple[object, ...], control: list[tuple[int, int, bytes]]) -> None:
        client = self._clients.get(peer)
        if client is None:
            if len(self._clients) >= _MAX_CLIENTS:
                self._drop(min(self._clients.values(), key=lambda each: each.seen))
            client = self._admit(peer, [_back(*part) for part in control])
        client.seen = time.monotonic()
        with suppress(OSError):
            client.socket.send(data)

    def _admit(self, peer: tuple[object, ...], via: list[tuple[int, int, bytes]]) -> _Client:
        onward = socket.socket(_family(self._target[0]), socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        _mark_relayed(onward, peer)
        try:
            onward.connect(self._target)
        except OSError:
            onward.close()
            raise
        client = self._clients[peer] = _Client(peer, via, onward)
        self._loop.watch(onward.fileno(), lambda _events: self._answered(client))
        return client

    def _answered(self, client: _Client) -> None:
        with suppress(OSError):
            for _ in range(_BATCH):
                answer = client.socket.recv(_DATAGRAM)
                client.seen = time.monotonic()
                self._socket.sendmsg([answer], client.via, 0, client.peer)

    def _drop(self, client: _Client) -> None:
        self._clients.pop(client.peer, None)
        self._loop.forget(client.socket.fileno())
        client.socket.close()

    def _sweep(self) -> None:
        if not self._open:
            return
        oldest = time.monotonic() - _CLIENT_IDLE
        for client in [each for each in self._clients.values() if each.seen < oldest]:
            self._drop(client)
        self._loop.later(_SWEEP, self._sweep)


Relay = StreamRelay | DatagramRelay


def open_relay(loop: Loop, protocol: str, sock: socket.socket, target: Target) -> Relay:
    return StreamRelay(loop, sock, target) if protocol == "tcp" else DatagramRelay(loop, sock, target)
