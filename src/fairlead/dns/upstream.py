"""Questions passed on: to the servers of one list, in order, from one namespace, each answer shared by all who wait.

The first server is asked; the next one too when nothing came for a while, and at once when it refuses or is not there.
The first acceptable answer wins. Ids and source ports are random, ports change as they are used up, and an answer
counts only from the server asked, on the port it was asked from, with the id and the very question it was asked
(RFC 5452).
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Sequence

from fairlead.dns import message
from fairlead.dns.cache import Cache
from fairlead.dns.hostconf import Upstream
from fairlead.dns.loop import Loop
from fairlead.dns.netns import OpenSocket, enlarge
from fairlead.dns.stream import StreamQuestion

Peer = tuple[str, int]
Send = Callable[[bytes, Peer], object]

# Seconds after which the next server is asked as well, and after which the asker is told that nobody answered.
# libc asks again after 5, musl after 2.5.
_STEP = 0.8
_GIVE_UP = 4.0
_TICK = 0.2
# A server that kept silent while another answered is asked second for this long.
_DEMOTED = 15.0
# Sockets without a question in flight are closed after this many seconds: the next ones have other ports.
_IDLE = 5.0
# Docker's limit of questions in flight per sandbox; and ours for all of them together.
_MOST_ASKED = 1024
_MAX_FLIGHTS = 16384
_MAX_STREAMS = 64
# After so many questions a socket is replaced by one with another port.
_USES = 2000
_BATCH = 32


class Asker:
    """Whose questions count together against the limit of questions in flight."""

    __slots__ = ("asked",)

    def __init__(self) -> None:
        self.asked = 0


_Waiter = tuple[Send, Peer, bytes, Asker]


class _Flight:
    """A question on its way, and who waits for the answer: how to send it, where, under which id."""

    __slots__ = ("began", "data", "end", "key", "moved", "sent", "silent", "turn", "waiters")

    def __init__(self, data: bytes, end: int, key: bytes, waiter: _Waiter, now: float) -> None:
        self.data, self.end, self.key = data, end, key
        self.waiters = [waiter]
        self.began = self.moved = now
        self.turn = 0
        self.silent = False
        self.sent: list[tuple[_Line, bytes]] = []


class _Line:
    """One connected socket to one server: one source port, and the questions asked from it by id."""

    __slots__ = ("fd", "pending", "server", "socket", "uses")

    def __init__(self, server: int, connected: socket.socket) -> None:
        self.server, self.socket = server, connected
        self.fd = connected.fileno()
        self.uses = _USES
        self.pending: dict[bytes, _Flight] = {}


def _servfail(flight: _Flight) -> bytes:
    return message.failure(flight.data, flight.end + 4, message.SERVFAIL)


class Forwarder:
    """Passes questions on to ``servers`` through sockets that ``open_socket`` makes, ``width`` ports at a time each."""

    def __init__(
        self, loop: Loop, servers: Sequence[Upstream], open_socket: OpenSocket, *, width: int, keep: int
    ) -> None:
        self._loop, self._open, self._width = loop, open_socket, width
        self._keep = keep
        self._flights: dict[bytes, _Flight] = {}
        self._streams: set[StreamQuestion] = set()
        self._retired: list[_Line] = []
        self._dice = b""
        self._armed = False
        self._last = 0.0
        self._adopt(servers)

    def _adopt(self, servers: Sequence[Upstream]) -> None:
        self._servers = tuple(servers)
        self._lines: list[list[_Line | None]] = [[None] * self._width for _ in self._servers]
        self._first, self._first_until = 0, 0.0
        self._cache = Cache(self._keep)

    @property
    def servers(self) -> tuple[Upstream, ...]:
        return self._servers

    @property
    def busy(self) -> bool:
        """Whether somebody waits for an answer."""
        return bool(self._flights or self._streams)

    def counts(self) -> dict[str, int]:
        return {"flights": len(self._flights), "streams": len(self._streams), "cached": len(self._cache)}

    def set_servers(self, servers: Sequence[Upstream]) -> None:
        """Asks these from now on, and forgets what others said; what is in flight may still be answered by the old."""
        if tuple(servers) != self._servers:
            self._retire_all()
            self._adopt(servers)

    def close(self) -> None:
        """Whoever waits is not answered any more."""
        for flight in self._flights.values():
            for _send, _peer, _number, asker in flight.waiters:
                asker.asked -= 1
        self._flights.clear()
        for question in list(self._streams):
            question.close()
        self._streams.clear()
        self._retire_all()
        for line in self._retired:
            self._hang_up(line)
        self._retired.clear()

    def ask(self, data: bytes, end: int, send: Send, peer: Peer, asker: Asker) -> None:
        """Answers ``data``, a well-formed question whose name ends at ``end``, by ``send(answer, peer)``, sometime."""
        now = time.monotonic()
        key = data[2:12] + data[12:end].lower() + data[end:]
        if (kept := self._cache.get(key, now)) is not None:
            send(data[:2] + kept[2:12] + data[12 : end + 4] + kept[end + 4 :], peer)
            return
        if asker.asked >= _MOST_ASKED or len(self._flights) >= _MAX_FLIGHTS:
            send(message.failure(data, end + 4, message.REFUSED), peer)
            return
        asker.asked += 1
        raw, waiter = data[2:], (send, peer, data[:2], asker)
        flight = self._flights.get(raw)
        if flight is not None:
            flight.waiters.append(waiter)
            return
        self._flights[raw] = flight = _Flight(data, end, key, waiter, now)
        self._last = now
        self._arm()
        self._transmit(flight)

    def ask_stream(self, data: bytes, end: int, send: Send, peer: Peer, asker: Asker) -> None:
        """The same for an asker who came by TCP, and so may have answers of any size; by UDP where TCP fails."""
        if len(self._streams) >= _MAX_STREAMS or not self._servers:
            self.ask(data, end, send, peer, asker)
            return

        def done(answer: bytes | None) -> None:
            self._streams.discard(question)
            if answer is not None:
                send(answer, peer)
            else:
                self.ask(data, end, send, peer, asker)

        question = StreamQuestion(self._loop, self._servers, self._open, data, done)
        self._streams.add(question)
        question.begin()

    # -- sending ----------------------------------------------------------------------------------------------------

    def _transmit(self, flight: _Flight) -> None:
        """Asks the flight's next server; one that cannot be reached from here is passed over."""
        for _ in self._servers:
            server = (self._first + flight.turn) % len(self._servers)
            flight.turn += 1
            try:
                line = self._line(server)
                number = self._number(line)
                line.socket.send(number + flight.data[2:])
            except OSError:
                continue
            line.pending[number] = flight
            flight.sent.append((line, number))
            return
        if not flight.sent:
            self._finish(flight, _servfail(flight), keep=False)

    def _line(self, server: int) -> _Line:
        slot = self._roll()[0] % self._width
        line = self._lines[server][slot]
        if line is None:
            line = self._lines[server][slot] = self._connect(server)
        line.uses -= 1
        if not line.uses:
            self._lines[server][slot] = None
            self._retired.append(line)
        return line

    def _connect(self, server: int) -> _Line:
        where = self._servers[server]
        connected = self._open(where.family, socket.SOCK_DGRAM)
        try:
            connected.connect(where.address)
        except OSError:
            connected.close()
            raise
        enlarge(connected)
        line = _Line(server, connected)
        self._loop.watch(line.fd, self._reader(line))
        return line

    def _number(self, line: _Line) -> bytes:
        while (number := self._roll()) in line.pending:
            pass
        return number

    def _roll(self) -> bytes:
        """Two random bytes; the kernel is asked for many at a time."""
        if not self._dice:
            self._dice = os.urandom(512)
        rolled, self._dice = self._dice[:2], self._dice[2:]
        return rolled

    # -- receiving --------------------------------------------------------------------------------------------------

    def _reader(self, line: _Line) -> Callable[[int], None]:
        receive, receive_answer = line.socket.recv, self._received

        def ready(_events: int) -> None:
            try:
                for _ in range(_BATCH):
                    receive_answer(line, receive(message.MAXIMUM))
            except BlockingIOError:
                return
            except OSError:
                self._unreachable(line)

        return ready

    def _received(self, line: _Line, answer: bytes) -> None:
        flight = line.pending.get(answer[:2])
        if flight is None or len(answer) < message.HEADER or not answer[2] & 0x80:
            return
        end = flight.end + 4
        refused = answer[3] & 0xF in (message.SERVFAIL, message.REFUSED)
        if answer[12:end] != flight.data[12:end]:
            if answer[12:end].lower() == flight.data[12:end].lower():
                answer = answer[:12] + flight.data[12:end] + answer[end:]
            elif not (refused or answer[3] & 0xF) or len(answer) > message.HEADER:
                return  # Not what was asked: forged, or late.
            else:
                # Some servers refuse by a bare header.
                answer = message.failure(flight.data, end, answer[3] & 0xF)
        if refused:
            del line.pending[answer[:2]]
            self._pass_on(flight, answer)
            return
        if flight.silent and line.server < len(self._servers):
            self._first, self._first_until = line.server, time.monotonic() + _DEMOTED
        self._finish(flight, answer, keep=True)

    def _pass_on(self, flight: _Flight, refusal: bytes) -> None:
        """A server will not answer: the next one may, or one that was asked before; else the refusal is the answer."""
        if flight.turn < len(self._servers):
            self._transmit(flight)
        elif not any(number in line.pending for line, number in flight.sent):
            self._finish(flight, refusal, keep=False)

    def _finish(self, flight: _Flight, answer: bytes, *, keep: bool) -> None:
        self._flights.pop(flight.data[2:], None)
        for line, number in flight.sent:
            line.pending.pop(number, None)
        body = answer[2:]
        for send, peer, number, asker in flight.waiters:
            asker.asked -= 1
            try:
                send(number + body, peer)
            except OSError:
                continue  # The asker is gone, or its socket is full: it asks again.
        if keep:
            self._cache.put(flight.key, answer, time.monotonic())

    def _unreachable(self, line: _Line) -> None:
        """The server's host said that nobody listens there: all who asked it go on to the next."""
        for number, flight in list(line.pending.items()):
            del line.pending[number]
            flight.silent = True
            self._pass_on(flight, _servfail(flight))

    # -- time ---------------------------------------------------------------------------------------------------------

    def _arm(self) -> None:
        if not self._armed:
            self._armed = True
            self._loop.later(_TICK, self._tick)

    def _tick(self) -> None:
        """Flights lie in the order in which they last moved, so the overdue ones are the first."""
        self._armed = False
        now = time.monotonic()
        if self._first and now >= self._first_until:
            self._first = 0
        for flight in self._overdue(now):
            self._move(flight, now)
        if not self._flights and now - self._last > _IDLE:
            self._retire_all()
        self._retired = [line for line in self._retired if line.pending or not self._hang_up(line)]
        if self._flights or self._retired or any(line for lines in self._lines for line in lines):
            self._arm()

    def _overdue(self, now: float) -> list[_Flight]:
        overdue = []
        for flight in self._flights.values():
            if now - flight.moved < _STEP:
                break
            overdue.append(flight)
        return overdue

    def _move(self, flight: _Flight, now: float) -> None:
        if now - flight.began >= _GIVE_UP:
            self._finish(flight, _servfail(flight), keep=False)
            return
        raw = flight.data[2:]
        self._flights[raw] = self._flights.pop(raw)
        flight.moved, flight.silent = now, True
        self._transmit(flight)

    def _retire_all(self) -> None:
        for lines in self._lines:
            self._retired += [line for line in lines if line is not None]
            lines[:] = [None] * self._width

    def _hang_up(self, line: _Line) -> bool:
        self._loop.forget(line.fd)
        line.socket.close()
        return True
