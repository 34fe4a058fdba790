"""The daemon's side of the resolver process: what it shall hold is said here, and again when it had to be restarted.

Every change is noted before it is sent. When the process dies, another one is started and told everything; it gets the
very sockets its predecessor had, with the questions that wait in them. A process of another version is replaced in the
same way, and finishes what it was at.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress

import fairlead
from fairlead.dns import protocol
from fairlead.dns.birth import dial
from fairlead.dns.channel import Channel
from fairlead.dns.message import DnsError
from fairlead.dns.mirror import Mirror, Operation
from fairlead.dns.protocol import Json
from fairlead.dns.view import Adopted, EndpointNames, Held, HeldPort, Lesson, NamedPort, PortName, View
from fairlead.errors import Unavailable

__all__ = [
    "Adopted",
    "EndpointNames",
    "Held",
    "HeldPort",
    "Lesson",
    "NamedPort",
    "PortName",
    "Resolver",
    "View",
]

log = logging.getLogger(__name__)

# Seconds: for one answer of the process, and for a fresh one to listen.
_PATIENCE = 10.0
_BIRTH = 10.0
_GLANCE = 0.003
# How often it is asked whether it still answers, and how long that may take.
_BEAT = 3.0
_HEARING = 5.0
# Between attempts to get a process that does not come up, at first and at last.
_BREATHS = (0.02, 1.0)
# So much is asked in one frame: its answer must not bring more descriptors than one message takes.
_SANDBOXES_AT_ONCE = protocol.MOST_FDS // 3
_OPS_AT_ONCE = 500

_Answer = tuple[list[Json], list[int]]


class Resolver:
    """The resolver process as the engine sees it: coroutines return once the process has it.

    They raise Unavailable where it does not answer; what was asked stays noted and is done when it is back.
    """

    def __init__(self, path: str, spawn: Callable[[], None], tasks: asyncio.TaskGroup) -> None:
        """For ``connect``, which is how to get one."""
        self._path, self._spawn, self._tasks = path, spawn, tasks
        self._mirror = Mirror()
        self._channel: Channel | None = None
        self._serial = 0
        self._waiting: dict[int, asyncio.Future[_Answer]] = {}
        self._revival: asyncio.Task[None] | None = None
        self._pulse: asyncio.Task[None] | None = None
        self._closed = False
        self.on_restart: Callable[[], None] | None = None

    @classmethod
    async def connect(
        cls,
        path: str,
        spawn: Callable[[], None],
        tasks: asyncio.TaskGroup,
        on_restart: Callable[[], None] | None = None,
    ) -> Resolver:
        """Finds the running process, or starts one with ``spawn``.

        What a running process holds is known at once (``held``, ``adopt``). ``on_restart`` is called each time a new
        process took the place of one that died, after it was told everything.
        """
        resolver = cls(path, spawn, tasks)
        resolver.on_restart = on_restart
        try:
            try:
                resolver._open(dial(path))
            except OSError:
                resolver._open(await resolver._bear())
            else:
                await resolver._learn()
        except BaseException:
            await resolver.close()
            raise
        resolver._pulse = tasks.create_task(resolver._feel_pulse(), name="resolver pulse")
        return resolver

    async def close(self) -> None:
        """The process goes on alone, with all it holds."""
        self._closed = True
        for task in (self._revival, self._pulse):
            if task is not None:
                task.cancel()
        if self._channel is not None:
            self._channel.close()
        self._fail_waiting()
        self._mirror.close()

    async def shut_down(self) -> None:
        """Ends the process, for when nothing needs it any more, and this side with it; one that has gone is fine."""
        self._closed = True
        try:
            with suppress(_GoneError):
                await self._ask([Operation({"op": "retire"})])
        finally:
            await self.close()

    # -- sandboxes --------------------------------------------------------------------------------------------------

    async def add_sandbox(
        self, sandbox_id: str, udp: socket.socket, tcp: socket.socket, netns_fd: int, view: View
    ) -> None:
        """Serves the sockets (TCP listening) from now on. Duplicates are kept: the originals stay the caller's."""
        fds = (os.dup(udp.fileno()), os.dup(tcp.fileno()), os.dup(netns_fd))
        await self._tell(self._mirror.add_sandbox(sandbox_id, fds, view))

    async def set_view(self, sandbox_id: str, view: View) -> None:
        await self._tell(self._note(lambda: self._mirror.set_view(sandbox_id, view)))

    async def set_views(self, views: Mapping[str, View]) -> None:
        """Of several sandboxes at once; one that is not there is passed over."""
        known = {sandbox_id: view for sandbox_id, view in views.items() if sandbox_id in self._mirror.sandboxes}
        await self._tell(*(self._mirror.set_view(sandbox_id, view) for sandbox_id, view in known.items()))

    async def remove_sandbox(self, sandbox_id: str) -> None:
        """Gives up the sockets and with them the namespace; one that is gone is fine."""
        await self._tell(self._mirror.remove_sandbox(sandbox_id))

    # -- names ------------------------------------------------------------------------------------------------------

    async def set_network(self, network: str, name: str, endpoints: Sequence[EndpointNames]) -> None:
        """The network and all its endpoints, in place of what was known of it."""
        await self._tell(self._mirror.set_network(network, name, endpoints))

    async def remove_network(self, network: str) -> None:
        await self._tell(self._mirror.remove_network(network))

    async def set_lessons(self, network: str, lessons: Sequence[Lesson]) -> None:
        """The names that the network's policy speaks of; what was learned of them is put into the firewall again."""
        await self._tell(self._mirror.set_lessons(network, lessons))

    async def set_endpoint(self, network: str, endpoint: EndpointNames) -> None:
        """One more endpoint, or other names of one; the network must be set."""
        await self._tell(self._note(lambda: self._mirror.set_endpoint(network, endpoint)))

    async def remove_endpoint(self, network: str, endpoint_id: str) -> None:
        await self._tell(self._mirror.remove_endpoint(network, endpoint_id))

    # -- host ports -------------------------------------------------------------------------------------------------

    async def hold_ports(self, owner: str, ports: Sequence[HeldPort]) -> None:
        """Beside what the owner has. Duplicates are kept; the originals stay the caller's."""
        kept = [(port.name, os.dup(port.socket.fileno())) for port in ports]
        await self._tell(*self._mirror.hold(owner, kept))

    async def retarget_ports(self, owner: str, targets: Mapping[tuple[str, str, int], tuple[str, int] | None]) -> None:
        """Ports held already, by (protocol, ip, port), are relayed there from now on, or to nowhere."""
        held = self._mirror.ports.get(owner, ())
        moved = [(name, targets.get((name.protocol, name.ip, name.port)), fd) for name, fd in held]
        fresh = [(name._replace(target=target), os.dup(fd)) for name, target, fd in moved if target != name.target]
        if fresh:
            await self._tell(*self._mirror.hold(owner, fresh))

    async def release_ports(self, owner: str) -> None:
        """All of the owner's."""
        await self._tell(self._mirror.release(owner))

    async def release_some_ports(self, owner: str, keys: Iterable[tuple[str, str, int]]) -> None:
        """Those of the owner's with these (protocol, ip, port)."""
        await self._tell(self._mirror.release_some(owner, [PortName(*key) for key in keys]))

    # -- what there is ----------------------------------------------------------------------------------------------

    async def held(self) -> Held:
        """What the process holds, or will as soon as it is back."""
        ports = {owner: tuple(name for name, _fd in found) for owner, found in self._mirror.ports.items()}
        return Held(tuple(self._mirror.sandboxes), self._mirror.networks, ports)

    async def adopt(self) -> Adopted:
        """The sockets themselves, as duplicates that become the caller's, and the names of the ports."""
        held = await self.held()
        return Adopted(
            {
                sandbox_id: (_duplicate(sandbox.fds[0]), _duplicate(sandbox.fds[1]))
                for sandbox_id, sandbox in self._mirror.sandboxes.items()
            },
            held.ports,
        )

    async def stats(self) -> dict[str, int]:
        """Counts of what the process holds and does."""
        results, _fds = await self._ask([Operation({"op": "stats"})])
        return {key: value for key, value in results[0].items() if isinstance(value, int)}

    # -- speaking ---------------------------------------------------------------------------------------------------

    def _note(self, change: Callable[[], Operation]) -> Operation:
        try:
            return change()
        except DnsError as error:
            raise Unavailable(f"the resolver has {error}") from error

    async def _tell(self, *operations: Operation) -> None:
        """Operations the mirror knows: should the process die over them, its successor is told all the same."""
        if self._channel is not None:
            try:
                await self._ask(operations)
            except _GoneError:
                await self._revived()
        else:
            await self._revived()

    async def _ask(self, operations: Iterable[Operation]) -> _Answer:
        """Sends before it waits for anything, so that calls take effect in their order."""
        results: list[Json] = []
        rights: list[int] = []
        for future in [self._put(frame) for frame in _framed(operations)]:
            try:
                async with asyncio.timeout(_PATIENCE):
                    part, fds = await future
            except TimeoutError as error:
                raise Unavailable("the resolver process does not answer") from error
            results += part
            rights += fds
        return results, rights

    def _put(self, operations: Sequence[Operation]) -> asyncio.Future[_Answer]:
        self._serial += 1
        future: asyncio.Future[_Answer] = asyncio.get_running_loop().create_future()
        if self._channel is None:
            _fail(future, _GoneError("the resolver process is not there"))
            return future
        self._waiting[self._serial] = future
        fds = [fd for operation in operations for fd in operation.fds]
        frame = {"id": self._serial, "fds": len(fds), "ops": [operation.op for operation in operations]}
        self._channel.send(protocol.encode(frame), fds)
        return future

    def _received(self, frame: Json, fds: list[int]) -> None:
        number, results = frame.get("id"), frame.get("results")
        future = self._waiting.pop(number, None) if isinstance(number, int) else None
        if future is None or future.done():
            for fd in fds:
                os.close(fd)
        elif isinstance(results, list):
            future.set_result((results, fds))
        else:
            _fail(future, Unavailable(f"the resolver refuses: {frame.get('error')}"))

    def _fail_waiting(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for future in waiting.values():
            if not future.done():
                _fail(future, _GoneError("the resolver process has gone"))

    # -- its life ---------------------------------------------------------------------------------------------------

    def _open(self, connected: socket.socket) -> None:
        self._channel = Channel(connected, self._received, self._lost)

    def _hang_up(self) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    def _lost(self) -> None:
        self._channel = None
        if not self._closed and self._revival is None:
            self._revival = self._tasks.create_task(self._revive(), name="resolver revival")
        self._fail_waiting()

    async def _feel_pulse(self) -> None:
        """A process that does not answer (stopped, or caught in a loop) is ended; its end brings another."""
        while True:
            await asyncio.sleep(_BEAT)
            channel = self._channel
            if channel is None or self._revival is not None:
                continue
            try:
                async with asyncio.timeout(_HEARING):
                    await self._ask([Operation({"op": "hello"})])
            except TimeoutError:
                if channel is self._channel:
                    log.warning("the resolver process does not answer: ending it")
                    channel.end_peer()
            except Unavailable:
                continue

    async def _revived(self) -> None:
        if self._revival is not None:
            await asyncio.wait([self._revival], timeout=_PATIENCE)
        if self._channel is None:
            raise Unavailable("the resolver process is not there")

    async def _revive(self) -> None:
        """Until there is a process that knows everything. Never raises: the engine goes on without names meanwhile."""
        log.warning("the resolver process has gone: starting another")
        breath, longest = _BREATHS
        while True:
            try:
                self._open(await self._reach())
                await self._ask(self._mirror.replay())
                break
            except (Unavailable, OSError) as error:
                self._hang_up()
                log.info("the resolver process is not back yet: %s", error)
                await asyncio.sleep(breath)
                breath = min(2 * breath, longest)
        self._revival = None
        if self.on_restart is not None:
            self.on_restart()

    async def _reach(self) -> socket.socket:
        """A process that listens, started if there is none."""
        try:
            return dial(self._path)
        except OSError:
            return await self._bear()

    async def _bear(self) -> socket.socket:
        self._spawn()
        try:
            async with asyncio.timeout(_BIRTH):
                while True:
                    try:
                        return dial(self._path)
                    except OSError:
                        await asyncio.sleep(_GLANCE)
        except TimeoutError as error:
            raise Unavailable("the resolver process does not start") from error

    async def _learn(self) -> None:
        """Takes over what a running process holds, and replaces it where it is of another version than we are."""
        (hello,), _none = await self._ask([Operation({"op": "hello"})])
        (dump,), _none = await self._ask([Operation({"op": "dump"})])
        for network in protocol.tables(dump, "networks"):
            endpoints = protocol.endpoints_from_json(network)
            self._mirror.set_network(protocol.text(network, "network"), protocol.text(network, "name"), endpoints)
        await self._learn_sandboxes(protocol.table(dump, "sandboxes"))
        await self._learn_ports(protocol.table(dump, "ports"))
        if (hello.get("protocol"), hello.get("version")) != (protocol.VERSION, fairlead.__version__):
            log.info("replacing the resolver process of version %s", hello.get("version"))
            await self._ask([Operation({"op": "retire"})])
            self._hang_up()
            self._open(await self._bear())
            await self._ask(self._mirror.replay())

    async def _learn_sandboxes(self, views: Json) -> None:
        ids = list(views)
        for start in range(0, len(ids), _SANDBOXES_AT_ONCE):
            part = ids[start : start + _SANDBOXES_AT_ONCE]
            _results, fds = await self._ask([Operation({"op": "adopt_sandbox", "id": each}) for each in part])
            for number, sandbox_id in enumerate(part):
                udp, tcp, netns_fd = fds[3 * number : 3 * number + 3]
                view = protocol.view_from_json(protocol.table(views, sandbox_id))
                self._mirror.add_sandbox(sandbox_id, (udp, tcp, netns_fd), view)

    async def _learn_ports(self, owners: Json) -> None:
        for owner in owners:
            names = [protocol.port_from_json(port) for port in protocol.tables(owners, owner)]
            fds: list[int] = []
            while len(fds) < len(names):
                op = {"op": "adopt_ports", "owner": owner, "start": len(fds)}
                _results, part = await self._ask([Operation(op)])
                if not part:
                    raise Unavailable(f"the resolver process gives no sockets for the ports of {owner}")
                fds += part
            self._mirror.hold(owner, list(zip(names, fds, strict=True)))


class _GoneError(Unavailable):
    """The process went before it answered."""


def _fail(future: asyncio.Future[_Answer], error: Unavailable) -> None:
    future.set_exception(error)
    future.exception()  # Seen: nobody may be waiting any more.


def _framed(operations: Iterable[Operation]) -> Iterator[list[Operation]]:
    """In frames that hold neither too many operations nor too many descriptors."""
    frame: list[Operation] = []
    rights = 0
    for operation in operations:
        if frame and (rights + len(operation.fds) > protocol.MOST_FDS or len(frame) >= _OPS_AT_ONCE):
            yield frame
            frame, rights = [], 0
        frame.append(operation)
        rights += len(operation.fds)
    if frame:
        yield frame


def _duplicate(fd: int) -> socket.socket:
    return socket.socket(fileno=os.dup(fd))
