"""The two DNS sockets of a sandbox: which socket a question comes from tells who asks."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from fairlead.dns.loop import READ, WRITE, Loop
from fairlead.dns.message import HEADER
from fairlead.dns.upstream import Peer, Send

# Datagrams read, or connections accepted, in one go before other sockets have their turn.
_BATCH = 64
# No question by UDP is longer.
_LARGEST_DATAGRAM = 4096
_MAX_CONNECTIONS = 128
# Seconds without a question after which a connection is closed (RFC 7766 6.2.3).
_PATIENCE = 10.0
# An asker who does not read its answers is not read from either.
_MOST_UNSENT = 1 << 18
# A connection needs no address to answer to.
_NOBODY: Peer = ("", 0)


class Ask(Protocol):
    """Answers one question sometime by ``send(answer, peer)``; any bytes may come."""

    def __call__(self, data: bytes, send: Send, peer: Peer, *, stream: bool = False) -> None: ...


# What was answered before: everything behind a question's id -> everything behind the answer's, in one or more orders.
Memo = dict[bytes, bytes | list[bytes]]


def datagram_reader(sock: socket.socket, memo: Memo, ask: Ask) -> Callable[[int], None]:
    """Serves a UDP socket. This is the hot path: a question seen before costs a read, a lookup and a write."""
    receive, send, known = sock.recvfrom, sock.sendto, memo.get

    def ready(_events: int) -> None:
        try:
            for _ in range(_BATCH):
                data, peer = receive(_LARGEST_DATAGRAM)
                answer = known(data[2:])
                if answer is None:
                    ask(data, send, peer)
                elif answer.__class__ is bytes:
                    send(data[:2] + answer, peer)
                else:
                    send(data[:2] + _next_turn(answer), peer)  # type: ignore[arg-type]  # known to be a list
        except OSError:
            # Nothing more to read; or an answer could not be sent, which the asker finds out by itself.
            return

    return ready


def _next_turn(orders: list[bytes]) -> bytes:
    order = orders.pop()
    orders.insert(0, order)
    return order


class StreamListener:
    """Accepts on a listening TCP socket, which stays the caller's, and serves each connection."""

    def __init__(self, loop: Loop, sock: socket.socket, ask: Ask) -> None:
        self._loop, self._socket, self._ask = loop, sock, ask
        self._connections: set[_Connection] = set()
        self._sweeping = False
        loop.watch(sock.fileno(), self._ready)

    def __len__(self) -> int:
        return len(self._connections)

    def deafen(self) -> None:
        """Accepts no more; connections that are there are served on."""
        self._loop.forget(self._socket.fileno())

    def close(self) -> None:
        self.deafen()
        for connection in list(self._connections):
            connection.close()

    def _ready(self, _events: int) -> None:
        with suppress(OSError):
            for _ in range(_BATCH):
                accepted, _peer = self._socket.accept()
                self._admit(accepted)

    def _admit(self, accepted: socket.socket) -> None:
        accepted.setblocking(False)
        if len(self._connections) >= _MAX_CONNECTIONS:
            accepted.close()
            return
        self._connections.add(_Connection(self._loop, accepted, self._ask, self._connections.discard))
        if not self._sweeping:
            self._sweeping = True
            self._loop.later(_PATIENCE / 2, self._sweep)

    def _sweep(self) -> None:
        """One timer for all connections: one each would outlive most of them."""
        oldest = time.monotonic() - _PATIENCE
        for connection in [each for each in self._connections if each.quiet_since < oldest]:
            connection.close()
        self._sweeping = bool(self._connections)
        if self._sweeping:
            self._loop.later(_PATIENCE / 2, self._sweep)


class _Connection:
    """Questions and answers, each behind its length in two bytes; answers go out in the order they are ready."""

    def __init__(self, loop: Loop, accepted: socket.socket, ask: Ask, closed: Callable[[_Connection], None]) -> None:
        self._loop, self._socket, self._ask, self._closed = loop, accepted, ask, closed
        self._incoming = b""
        self._outgoing = b""
        self._open = True
        self._ended = False
        self._waiting = 0
        self.quiet_since = time.monotonic()
        loop.watch(accepted.fileno(), self._ready)

    def close(self) -> None:
        if self._open:
            self._open = False
            self._loop.forget(self._socket.fileno())
            self._socket.close()
            self._closed(self)

    def _ready(self, events: int) -> None:
        try:
            if events & WRITE:
                self._flush()
            elif events & READ:
                self._read()
            else:
                self.close()  # The other end is gone altogether.
        except BlockingIOError:
            return
        except OSError:
            self.close()

    def _read(self) -> None:
        part = self._socket.recv(65536)
        if not part:
            self._ended = True
            self._settle()
            return
        self.quiet_since = time.monotonic()
        self._incoming += part
        while len(self._incoming) >= 2:
            size = int.from_bytes(self._incoming[:2], "big")
            if len(self._incoming) < size + 2:
                break
            question, self._incoming = self._incoming[2 : size + 2], self._incoming[size + 2 :]
            if size < HEADER:
                self.close()
                return
            self._waiting += 1
            self._ask(question, self._answer, _NOBODY, stream=True)
        self._settle()

    def _answer(self, answer: bytes, _peer: Peer) -> None:
        if self._open:
            self._waiting -= 1
            self._outgoing += len(answer).to_bytes(2, "big") + answer
            try:
                self._flush()
            except BlockingIOError:
                self._settle()
            except OSError:
                self.close()

    def _flush(self) -> None:
        if self._outgoing:
            self._outgoing = self._outgoing[self._socket.send(self._outgoing) :]
        self._settle()

    def _settle(self) -> None:
        """Waits for what can happen next: more room for answers, more questions, or the end."""
        if not self._open:
            return
        if self._ended and not self._waiting and not self._outgoing:
            self.close()
        elif self._outgoing:
            reading = 0 if self._ended or len(self._outgoing) > _MOST_UNSENT else READ
            self._loop.watch(self._socket.fileno(), self._ready, WRITE | reading)
        elif self._ended:
            # Half-closed and still waiting for an upstream: nothing to read, nothing to write yet.
            self._loop.forget(self._socket.fileno())
        else:
            self._loop.watch(self._socket.fileno(), self._ready, READ)
