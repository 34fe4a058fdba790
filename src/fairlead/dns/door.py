"""The control socket: the daemon's operations, each read wholly and checked before any of its frame takes effect."""

from __future__ import annotations

import os
import socket
from array import array
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import NamedTuple

import fairlead
from fairlead.dns import protocol
from fairlead.dns.loop import READ, WRITE, Loop
from fairlead.dns.message import DnsError
from fairlead.dns.ports import Ports
from fairlead.dns.protocol import Decoder, Json, ProtocolError
from fairlead.dns.server import Server

# A reader who takes its answers slower than it asks is a bug; it is cut off here.
_MOST_UNSENT = 1 << 26
_RIGHTS_SPACE = socket.CMSG_SPACE(256 * array("i").itemsize)


class Result(NamedTuple):
    """What an operation answers, and the descriptors that go with it; they stay ours."""

    fields: Json
    fds: Sequence[int] = ()


_Effect = Callable[[], Result | None]


class _Rights:
    """The descriptors that came with a frame, taken in order; what is not taken is closed."""

    def __init__(self, fds: list[int]) -> None:
        self._fds = fds
        self._taken: list[int | socket.socket] = []

    def take(self) -> int:
        if not self._fds:
            raise ProtocolError("a descriptor is missing")
        self._taken.append(self._fds[0])
        return self._fds.pop(0)

    def take_socket(self) -> socket.socket:
        fd = self.take()
        try:
            taken = socket.socket(fileno=fd)
        except OSError as error:
            raise ProtocolError("a descriptor is no socket") from error
        self._taken[-1] = taken
        return taken

    def keep(self) -> None:
        """What was taken has found its owner."""
        self._taken.clear()

    def close(self) -> None:
        for taken in (*self._taken, *self._fds):
            with suppress(OSError):
                if isinstance(taken, int):
                    os.close(taken)
                else:
                    taken.close()
        self._taken.clear()
        self._fds.clear()


class Operations:
    """One method per operation: it reads its fields, and returns what is to be done."""

    def __init__(self, server: Server, ports: Ports, retire: Callable[[], None]) -> None:
        self._server, self._ports, self._retire = server, ports, retire
        self._table: dict[str, Callable[[Json, _Rights], _Effect]] = {
            "hello": self._hello,
            "sandbox": self._sandbox,
            "view": self._view,
            "drop_sandbox": self._drop_sandbox,
            "network": self._network,
            "drop_network": self._drop_network,
            "lessons": self._lessons,
            "endpoint": self._endpoint,
            "drop_endpoint": self._drop_endpoint,
            "hold": self._hold,
            "release": self._release,
            "release_some": self._release_some,
            "dump": self._dump,
            "adopt_sandbox": self._adopt_sandbox,
            "adopt_ports": self._adopt_ports,
            "stats": self._stats,
            "retire": self._retiring,
        }

    def run(self, frame: Json, fds: list[int]) -> tuple[Json, list[int]]:
        """The answer to a frame, and the descriptors to send with it. The descriptors that came become ours."""
        rights = _Rights(fds)
        number = frame.get("id")
        try:
            effects = [self._read(op, rights) for op in protocol.tables(frame, "ops")]
            rights.keep()
            results = [effect() or Result({}) for effect in effects]
        except DnsError as error:
            return {"id": number, "fds": 0, "error": str(error)}, []
        except OSError as error:
            return {"id": number, "fds": 0, "error": f"{error.strerror or error}"}, []
        finally:
            rights.close()
        out = [fd for result in results for fd in result.fds]
        return {"id": number, "fds": len(out), "results": [result.fields for result in results]}, out

    def _read(self, op: Json, rights: _Rights) -> _Effect:
        read = self._table.get(protocol.text(op, "op"))
        if read is None:
            raise ProtocolError(f"no operation {op['op']}")
        return read(op, rights)

    def _hello(self, _op: Json, _rights: _Rights) -> _Effect:
        fields: Json = {"protocol": protocol.VERSION, "version": fairlead.__version__, "pid": os.getpid()}
        return lambda: Result(fields)

    def _sandbox(self, op: Json, rights: _Rights) -> _Effect:
        sandbox_id, view = protocol.text(op, "id"), protocol.view_from_json(protocol.table(op, "view"))
        udp, tcp, netns_fd = rights.take_socket(), rights.take_socket(), rights.take()
        return partial(self._server.add_sandbox, sandbox_id, udp, tcp, netns_fd, view)

    def _view(self, op: Json, _rights: _Rights) -> _Effect:
        view = protocol.view_from_json(protocol.table(op, "view"))
        return partial(self._server.set_view, protocol.text(op, "id"), view)

    def _drop_sandbox(self, op: Json, _rights: _Rights) -> _Effect:
        return partial(self._server.drop_sandbox, protocol.text(op, "id"))

    def _network(self, op: Json, _rights: _Rights) -> _Effect:
        endpoints = protocol.endpoints_from_json(op)
        return partial(self._server.set_network, protocol.text(op, "network"), protocol.text(op, "name"), endpoints)

    def _drop_network(self, op: Json, _rights: _Rights) -> _Effect:
        return partial(self._server.drop_network, protocol.text(op, "network"))

    def _lessons(self, op: Json, _rights: _Rights) -> _Effect:
        lessons = [protocol.lesson_from_json(lesson) for lesson in protocol.tables(op, "lessons")]
        return partial(self._server.set_lessons, protocol.text(op, "network"), lessons)

    def _endpoint(self, op: Json, _rights: _Rights) -> _Effect:
        endpoint = protocol.endpoint_from_json(protocol.table(op, "endpoint"))
        return partial(self._server.set_endpoint, protocol.text(op, "network"), endpoint)

    def _drop_endpoint(self, op: Json, _rights: _Rights) -> _Effect:
        return partial(self._server.drop_endpoint, protocol.text(op, "network"), protocol.text(op, "id"))

    def _hold(self, op: Json, rights: _Rights) -> _Effect:
        owner = protocol.text(op, "owner")
        names = [protocol.port_from_json(port) for port in protocol.tables(op, "ports")]
        sockets = [rights.take_socket() for _ in names]

        def hold() -> None:
            for name, sock in zip(names, sockets, strict=True):
                self._ports.hold(owner, name, sock)

        return hold

    def _release(self, op: Json, _rights: _Rights) -> _Effect:
        return partial(self._ports.release, protocol.text(op, "owner"))

    def _release_some(self, op: Json, _rights: _Rights) -> _Effect:
        names = [protocol.port_from_json(port) for port in protocol.tables(op, "ports")]
        return partial(self._ports.release_some, protocol.text(op, "owner"), names)

    def _dump(self, _op: Json, _rights: _Rights) -> _Effect:
        """All that is known, so that a daemon that comes back knows it too; descriptors are adopted one by one."""

        def dump() -> Result:
            views: Json = {box: protocol.view_to_json(self._server.view(box)) for box in self._server.sandboxes}
            networks = [protocol.network_to_json(*known) for known in self._server.known_networks()]
            ports: Json = {owner: protocol.ports_to_json(names) for owner, names in self._ports.held.items()}
            return Result({"sandboxes": views, "networks": networks, "ports": ports})

        return dump

    def _adopt_sandbox(self, op: Json, _rights: _Rights) -> _Effect:
        sandbox_id = protocol.text(op, "id")
        return lambda: Result({}, self._server.sandbox_fds(sandbox_id))

    def _adopt_ports(self, op: Json, _rights: _Rights) -> _Effect:
        owner, start = protocol.text(op, "owner"), protocol.number(op, "start")
        return lambda: Result({}, self._ports.fds(owner, start, protocol.MOST_FDS))

    def _stats(self, _op: Json, _rights: _Rights) -> _Effect:
        return lambda: Result({**self._server.counts(), **self._ports.counts(), "pid": os.getpid()})

    def _retiring(self, _op: Json, _rights: _Rights) -> _Effect:
        return self._retire


class Door:
    """Accepts on a listening unix socket, which becomes ours, and runs what comes."""

    def __init__(self, loop: Loop, listening: socket.socket, operations: Operations) -> None:
        self._loop, self._socket, self._operations = loop, listening, operations
        loop.watch(listening.fileno(), self._ready)

    def close(self) -> None:
        """Lets nobody in any more; who is in may stay."""
        self._loop.forget(self._socket.fileno())
        self._socket.close()

    def _ready(self, _events: int) -> None:
        try:
            accepted, _peer = self._socket.accept()
        except OSError:
            return
        accepted.setblocking(False)
        _Visitor(self._loop, accepted, self._operations)


class _Visitor:
    """One connection to the control socket."""

    def __init__(self, loop: Loop, accepted: socket.socket, operations: Operations) -> None:
        self._loop, self._socket, self._operations = loop, accepted, operations
        self._decoder = Decoder()
        self._fds: list[int] = []
        self._outgoing: list[tuple[bytes, list[int]]] = []
        loop.watch(accepted.fileno(), self._ready)

    def _close(self) -> None:
        self._loop.forget(self._socket.fileno())
        self._socket.close()
        for fds in (self._fds, *(fds for _data, fds in self._outgoing)):
            for fd in fds:
                os.close(fd)
            fds.clear()
        self._outgoing.clear()

    def _ready(self, events: int) -> None:
        try:
            if events & WRITE:
                self._flush()
            if events & READ:
                self._read()
            elif events & ~(READ | WRITE):
                self._close()
        except BlockingIOError:
            return
        except (OSError, DnsError):
            self._close()

    def _read(self) -> None:
        part, control, _flags, _address = self._socket.recvmsg(1 << 18, _RIGHTS_SPACE, socket.MSG_CMSG_CLOEXEC)
        for level, kind, rights in control:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                self._fds += array("i", rights[: len(rights) // 4 * 4])
        if not part:
            self._close()
            return
        for frame in self._decoder.feed(part):
            count = protocol.number(frame, "fds")
            if not 0 <= count <= len(self._fds):
                raise ProtocolError(f"{count} descriptors announced, {len(self._fds)} came")
            fds, self._fds = self._fds[:count], self._fds[count:]
            answer, leaving = self._operations.run(frame, fds)
            # Ours may be closed by the next frame before these are sent.
            self._outgoing.append((protocol.encode(answer), [os.dup(fd) for fd in leaving]))
        self._flush()

    def _flush(self) -> None:
        while self._outgoing:
            data, fds = self._outgoing[0]
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", fds))] if fds else []
            try:
                sent = self._socket.sendmsg([data], rights)
            except BlockingIOError:
                self._wait()
                return
            for fd in fds:
                os.close(fd)
            if sent < len(data):
                self._outgoing[0] = (data[sent:], [])
            else:
                self._outgoing.pop(0)
        self._loop.watch(self._socket.fileno(), self._ready, READ)

    def _wait(self) -> None:
        if sum(len(data) for data, _fds in self._outgoing) > _MOST_UNSENT:
            raise ProtocolError("answers are not read")
        self._loop.watch(self._socket.fileno(), self._ready, READ | WRITE)
