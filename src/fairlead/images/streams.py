"""Between the event loop and work that blocks: bytes in, bytes out and progress, each with back-pressure.

Every transfer has a thread of its own and not one of the loop's pool: a client that sends nothing for an hour must not
hold up other calls.
"""

from __future__ import annotations

import asyncio
import fcntl
import functools
import os
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import BinaryIO, TypeVar

from fairlead.model.image import Progress

T = TypeVar("T")
Report = Callable[[Progress], None]

_PIPE_SIZE = 1 << 20
_CHUNK = 1 << 18


class Abandoned(Exception):
    """Nobody waits for this work any more."""


class Feed:
    """An asynchronous stream of chunks, read by blocking calls in another thread than the loop's."""

    def __init__(self, chunks: AsyncIterator[bytes], loop: asyncio.AbstractEventLoop) -> None:
        self._chunks, self._loop = chunks, loop
        self._rest = b""
        self._ended = False

    def read(self, size: int, /) -> bytes:
        """At least one byte unless the stream has ended. Raises what the stream raised."""
        while not self._rest and not self._ended:
            chunk = asyncio.run_coroutine_threadsafe(self._next(), self._loop).result()
            self._ended = chunk is None
            self._rest = chunk or b""
        data, self._rest = self._rest[:size], self._rest[size:]
        return data

    async def _next(self) -> bytes | None:
        return await anext(self._chunks, None)


async def in_thread(call: Callable[[], T], name: str) -> T:
    """The call's result, from a thread of its own. When the caller is cancelled the call goes on unheard."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()
    _start(call, name, loop, future)
    return await future


async def narrated(
    call: Callable[[Report], object], name: str, cancel: Callable[[], None] = lambda: None
) -> AsyncGenerator[Progress]:
    """What the call reports, as it comes; raises what it raised. When the reader goes, the next report ends it.

    ``cancel`` is called in the end and may hurry a call that is stuck.
    """
    loop = asyncio.get_running_loop()
    reports: asyncio.Queue[Progress | None] = asyncio.Queue()
    unheard = threading.Event()

    def report(progress: Progress) -> None:
        if unheard.is_set():
            raise Abandoned
        loop.call_soon_threadsafe(reports.put_nowait, progress)

    future: asyncio.Future[object] = loop.create_future()
    future.add_done_callback(lambda _: reports.put_nowait(None))
    _start(lambda: call(report), name, loop, future)
    try:
        while (progress := await reports.get()) is not None:
            yield progress
        await future
    finally:
        unheard.set()
        future.cancel()  # whatever becomes of the call is of no interest any more
        cancel()


async def produced(write: Callable[[BinaryIO], None], name: str) -> AsyncGenerator[bytes]:
    """What the call writes, in chunks; raises what it raised. When the reader goes, the call's next write fails."""
    reading, writing = os.pipe2(os.O_CLOEXEC)
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, _PIPE_SIZE)
    os.set_blocking(reading, False)
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()

    def run() -> None:
        with os.fdopen(writing, "wb", buffering=_CHUNK) as pipe:
            write(pipe)

    _start(run, name, loop, future)
    try:
        while data := await _read(reading, loop):
            yield data
        await future
    finally:
        future.cancel()
        os.close(reading)


async def _read(fd: int, loop: asyncio.AbstractEventLoop) -> bytes:
    while True:
        try:
            return os.read(fd, _CHUNK)
        except BlockingIOError:
            ready: asyncio.Future[None] = loop.create_future()
            loop.add_reader(fd, _succeed, ready, None)
            try:
                await ready
            finally:
                loop.remove_reader(fd)


def _start(call: Callable[[], T], name: str, loop: asyncio.AbstractEventLoop, future: asyncio.Future[T]) -> None:
    def run() -> None:
        settle: Callable[[], None]
        try:
            settle = functools.partial(_succeed, future, call())
        except BaseException as error:  # noqa: BLE001 (it belongs to whoever awaits the future)
            settle = functools.partial(_fail, future, error)
        try:
            loop.call_soon_threadsafe(settle)
        except RuntimeError:
            return  # the loop has ended: nobody is left to hear of it

    threading.Thread(target=run, name=name, daemon=True).start()


def _succeed(future: asyncio.Future[T], result: T) -> None:
    if not future.done():
        future.set_result(result)


def _fail(future: asyncio.Future[T], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
