"""The pipes conmon reports on: one JSON object a line, first the process id, for execs the exit code at the end."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Self

_PIPE_READ = 64 << 10


class SyncReader:
    """Reads conmon's reports, one JSON object a line, from a non-blocking pipe."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._buffer = b""

    async def next(self) -> Mapping[str, Any] | None:
        """The next report; None when the pipe ends before one."""
        while b"\n" not in self._buffer:
            try:
                piece = os.read(self._descriptor, _PIPE_READ)
            except BlockingIOError:
                await _readable(self._descriptor)
                continue
            if not piece:
                return None
            self._buffer += piece
        line, _, self._buffer = self._buffer.partition(b"\n")
        # conmon copies control characters of the runtime's message unescaped.
        report = json.loads(line.decode("utf-8", "replace"), strict=False)
        return report if isinstance(report, dict) else None


async def _readable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_reader(descriptor, _finish, ready)
    try:
        await ready
    finally:
        loop.remove_reader(descriptor)


def _finish(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


class SyncPipe:
    """The pipe on which conmon reports of a container; ``given`` is conmon's end."""

    def __init__(self) -> None:
        self.reports, self.given = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self.reports, False)
        self._open = {self.reports, self.given}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _close_all(self._open, tuple(self._open))

    def close_given(self) -> None:
        """Conmon has its end: from now on its death is the end of the reports."""
        _close_all(self._open, (self.given,))


def _close_all(still_open: set[int], descriptors: Iterable[int]) -> None:
    for descriptor in descriptors:
        if descriptor in still_open:
            still_open.discard(descriptor)
            os.close(descriptor)


class ExecPipes:
    """The three pipes of an exec: reports, "attach now", and the start signals. ``given`` are conmon's ends."""

    def __init__(self) -> None:
        self.reports, reports = os.pipe2(os.O_CLOEXEC)
        self.attached, attached = os.pipe2(os.O_CLOEXEC)
        start, self.start = os.pipe2(os.O_CLOEXEC)
        self.given = (reports, attached, start)
        os.set_blocking(self.reports, False)
        os.set_blocking(self.attached, False)
        self._open = {self.reports, self.attached, self.start, *self.given}

    def environment(self) -> Mapping[str, str]:
        names = ("_OCI_SYNCPIPE", "_OCI_ATTACHPIPE", "_OCI_STARTPIPE")
        return dict(zip(names, map(str, self.given), strict=True))

    def close_given(self) -> None:
        """Conmon has its ends: from now on its death is the end of the reports."""
        _close_all(self._open, self.given)

    def close_start(self) -> None:
        """The process was let go: nothing more to be said about its start."""
        _close_all(self._open, (self.start, self.attached))

    def close(self) -> None:
        _close_all(self._open, tuple(self._open))
