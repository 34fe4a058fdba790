"""Attach: a client's streams joined to a container's, before it starts or while it runs.

A client of ``docker run`` attaches to a container that does not run yet: its session waits, is connected to conmon's
socket between create and start, and so misses no byte.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Protocol

from fairlead.errors import Conflict
from fairlead.ids import ContainerId
from fairlead.model.container import Container
from fairlead.model.requests import AttachSpec
from fairlead.model.views import Detached
from fairlead.runtime.detach import DetachMatcher, parse_detach_keys
from fairlead.runtime.logs import read_logs
from fairlead.runtime.streams import Console

if TYPE_CHECKING:
    from fairlead.engine.core import Engine


class Streams(Protocol):
    """What a session needs of the other end."""

    async def read(self) -> tuple[int, bytes] | None: ...
    async def write(self, data: bytes) -> None: ...
    def close_stdin(self) -> None: ...
    def close(self) -> None: ...


class ContainerStreams:
    """An attachment to a container: how it is left depends on whether it fed stdin."""

    def __init__(self, console: Console, *, with_stdin: bool) -> None:
        self._console, self._attachment, self._with_stdin = console, console.attach(), with_stdin
        self.read, self.write, self.close_stdin = (
            self._attachment.read,
            self._attachment.write,
            self._attachment.close_stdin,
        )

    def close(self) -> None:
        self._console.leave(self._attachment, with_stdin=self._with_stdin)


class Session:
    """One client's attachment: iterate for (stream, data), write what it types. Ends with the process or ``close``."""

    def __init__(
        self,
        spec: AttachSpec,
        *,
        tty: bool,
        replay: AsyncIterator[tuple[int, bytes]] | None = None,
        on_detach: Callable[[], None] = lambda: None,
        finished: asyncio.Event | None = None,
    ) -> None:
        """``finished`` holds the end of the output back until what follows from it is on record (an exit code)."""
        self.spec, self.tty = spec, tty
        self._replay = replay
        self._on_detach, self._finished = on_detach, finished
        self._streams: asyncio.Future[Streams | None] = asyncio.get_running_loop().create_future()
        self._matcher = DetachMatcher(parse_detach_keys(spec.detach_keys))

    def connect(self, streams: Streams | None) -> None:
        """The other end is there now; None: there will be none."""
        if not self._streams.done():
            self._streams.set_result(streams)

    @property
    def waiting(self) -> bool:
        return not self._streams.done()

    async def __aiter__(self) -> AsyncIterator[tuple[int, bytes]]:
        """Output by stream (1 or 2), those asked for."""
        if self._replay is not None:
            async for stream, data in self._replay:
                if self._wanted(stream):
                    yield stream, data
        if not self.spec.stream or (streams := await self._streams) is None:
            return
        while (item := await streams.read()) is not None:
            if self._wanted(item[0]):
                yield item
        if self._finished is not None:
            await self._finished.wait()

    def _wanted(self, stream: int) -> bool:
        return (self.spec.stdout and stream == 1) or (self.spec.stderr and stream == 2)

    async def write(self, data: bytes) -> None:
        """What the client typed; raises Detached after the detach keys."""
        if not self.spec.stdin or (streams := await self._streams) is None:
            return
        if self.tty:
            data, detached = self._matcher.feed(data)
            if data:
                await streams.write(data)
            if detached:
                self._on_detach()
                raise Detached
        else:
            await streams.write(data)

    async def close_stdin(self) -> None:
        """The client will write no more; output goes on."""
        if self.spec.stdin and (streams := await self._streams) is not None:
            streams.close_stdin()

    async def close(self) -> None:
        if self._streams.done() and (streams := self._streams.result()) is not None:
            streams.close()
        else:
            self.connect(None)


class Attaching:
    """Sessions that wait for their container to start, and those of running ones."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._waiting: defaultdict[ContainerId, list[Session]] = defaultdict(list)

    async def attach(self, container: Container, spec: AttachSpec) -> Session:
        if container.state.status == "paused":
            raise Conflict(f"container {container.name} is paused, unpause the container before attach")
        if container.state.status == "restarting":
            raise Conflict(f"container {container.name} is restarting, wait until the container is running")
        replay = self._replay(container, spec) if spec.logs else None
        session = Session(
            spec,
            tty=container.config.tty,
            replay=replay,
            on_detach=lambda: self._engine.lifecycle.tell(container, "detach"),
        )
        if container.state.status == "running" and spec.stream:
            session.connect(self._open(container, spec))
            self._engine.lifecycle.tell(container, "attach")
        elif container.state.status in ("created", "exited") and spec.stream:
            # Docker attaches to what is stopped too, and waits for its start.
            self._waiting[container.id].append(session)
        else:
            session.connect(None)
        return session

    def _open(self, container: Container, spec: AttachSpec) -> ContainerStreams:
        return ContainerStreams(self._engine.launching.console(container), with_stdin=spec.stdin)

    async def _replay(self, container: Container, spec: AttachSpec) -> AsyncIterator[tuple[int, bytes]]:
        lines = read_logs(
            container.log_path,
            follow=False,
            tail=None,
            since=0,
            until=0,
            stdout=spec.stdout,
            stderr=spec.stderr,
            running=lambda: False,
        )
        async for line in lines:
            yield line.stream, line.data

    async def connect_waiting(self, container: Container) -> None:
        """Between create and start: whoever waited is connected before the first byte."""
        for session in self._waiting.pop(container.id, ()):
            session.connect(self._open(container, session.spec))
            self._engine.lifecycle.tell(container, "attach")

    def end(self, identifier: ContainerId) -> None:
        """The container will not start (any more): whoever still waits is let go."""
        for session in self._waiting.pop(identifier, ()):
            session.connect(None)

    async def resize(self, container: Container, height: int, width: int) -> None:
        await self._engine.launching.resize(container, height, width)
        self._engine.lifecycle.tell(container, "resize", height=str(height), width=str(width))
