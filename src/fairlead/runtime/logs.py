"""Reading a container's log: the tail, a span of time, or on and on, across rotated files."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, aclosing, suppress
from dataclasses import dataclass
from typing import BinaryIO, Self

from fairlead.runtime import inotify
from fairlead.runtime.loglines import LineParser, LogLine
from fairlead.runtime.logrotation import rotated_files

_BLOCK = 64 << 10
# Should a wake-up be missed (a network file system has no inotify), the log is looked at this often.
_BEAT = 1.0
# conmon closed the log: the process ended, and its record will say so in a moment.
_CLOSED_BEAT = 0.01


async def read_logs(
    path: str,
    *,
    follow: bool,
    tail: int | None,
    since: int,
    until: int,
    stdout: bool,
    stderr: bool,
    running: Callable[[], bool],
) -> AsyncIterator[LogLine]:
    """The log's lines, oldest first.

    ``tail`` counts lines of both streams, as Docker does, before the other conditions are looked at. ``since`` and
    ``until`` are nanoseconds, 0 for none. Following ends when ``running`` says no and all that was written is read.
    """
    blocks = read_log_blocks(
        path, follow=follow, tail=tail, since=since, until=until, stdout=stdout, stderr=stderr, running=running
    )
    async with aclosing(blocks):
        async for block in blocks:
            for line in block:
                yield line


async def read_log_blocks(
    path: str,
    *,
    follow: bool,
    tail: int | None,
    since: int,
    until: int,
    stdout: bool,
    stderr: bool,
    running: Callable[[], bool],
) -> AsyncGenerator[Sequence[LogLine]]:
    """The same, with lines that were read together kept together: who passes them on need not do so one by one."""
    wanted = {1: stdout, 2: stderr}
    async with aclosing(_blocks(path, follow=follow, tail=tail, running=running)) as blocks:
        async for block in blocks:
            lines = [line for line in block if wanted[line.stream] and line.time_ns >= since]
            ended = bool(until) and any(line.time_ns > until for line in block)
            if ended:
                lines = [line for line in lines if line.time_ns <= until]
            if lines:
                yield lines
            if ended:
                return


async def _blocks(
    path: str, *, follow: bool, tail: int | None, running: Callable[[], bool]
) -> AsyncGenerator[Sequence[LogLine]]:
    parser = LineParser()
    async with AsyncExitStack() as stack:
        change = stack.enter_context(_Changes(path)) if follow else None
        cursor = _Cursor(path)
        stack.callback(cursor.close)
        cursor.seek_tail(tail)
        alive = True
        while True:
            for block in cursor.blocks():
                yield list(parser.feed(block))
                await asyncio.sleep(0)
            if change is None or not alive:
                break
            # What was written before the process was seen to be gone is read once more.
            alive = running()
            if alive:
                await change.wait()
        if not running():
            yield list(parser.flush())


@dataclass(frozen=True, slots=True)
class _Position:
    file: int
    offset: int


class _Cursor:
    """Reads the log's files one after the other, following the newest when it is replaced."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._files: list[BinaryIO] = []
        self._open_files()

    def _open_files(self) -> None:
        for name in (*rotated_files(self._path), self._path):
            with suppress(FileNotFoundError):
                self._files.append(open(name, "rb"))  # noqa: SIM115 (closed by close)

    def close(self) -> None:
        for file in self._files:
            file.close()
        self._files.clear()

    def seek_tail(self, count: int | None) -> None:
        """Go to where the last ``count`` lines begin."""
        if count is None:
            return
        at = _find_tail(self._files, count)
        for file in self._files[: at.file]:
            file.close()
        del self._files[: at.file]
        if self._files:
            self._files[0].seek(at.offset)

    def blocks(self) -> Iterator[bytes]:
        """What is there to read now."""
        while True:
            if not self._files:
                self._open_files()
                if not self._files:
                    return
            while block := self._files[0].read(_BLOCK):
                yield block
            if not self._advance():
                return

    def _advance(self) -> bool:
        """Go on to the next file when this one is done with; False at the end of all."""
        if len(self._files) == 1 and not self._find_successors():
            return False
        # The writer may have added to the old file between our last read and its replacement.
        if self._unread():
            return True
        self._files.pop(0).close()
        return True

    def _unread(self) -> bool:
        current = self._files[0]
        return os.fstat(current.fileno()).st_size > current.tell()

    def _find_successors(self) -> bool:
        """Whether newer files than the one being read exist; they are opened."""
        mine = os.fstat(self._files[0].fileno()).st_ino
        names = (*rotated_files(self._path), self._path)
        inodes = [_inode(name) for name in names]
        if not inodes[-1] or inodes[-1] == mine:
            return False
        newer = names[inodes.index(mine) + 1 :] if mine in inodes else names[-1:]
        for name in newer:
            with suppress(FileNotFoundError):
                self._files.append(open(name, "rb"))  # noqa: SIM115 (closed by close)
        return len(self._files) > 1


def _inode(name: str) -> int:
    try:
        return os.stat(name).st_ino
    except FileNotFoundError:
        return 0


def _find_tail(files: list[BinaryIO], count: int) -> _Position:
    """Where the last ``count`` lines begin, looking from the end; one that was only begun there is a line too."""
    left, last = count, True
    for number in range(len(files) - 1, -1, -1):
        for offset, record in _records_backwards(files[number]):
            if not record.endswith(b"\n"):
                continue
            if last or _ends_line(record):
                left -= 1
            last = False
            if left < 0:
                return _Position(number, offset + len(record))
    return _Position(0, 0)


def _ends_line(record: bytes) -> bool:
    """Whether a record of conmon's is the end of a line (F), not the beginning of one (P)."""
    return record.split(b" ", 3)[2:3] == [b"F"]


def _records_backwards(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """The file's records from the last to the first, each with its offset."""
    end = file.seek(0, os.SEEK_END)
    rest = b""
    while end > 0:
        start = max(0, end - _BLOCK)
        file.seek(start)
        text = file.read(end - start) + rest
        at = len(text)
        while (newline := text.rfind(b"\n", 0, at - 1)) >= 0:
            yield start + newline + 1, text[newline + 1 : at]
            at = newline + 1
        rest, end = text[:at], start
    if rest:
        yield 0, rest
    file.seek(0)


class _Changes:
    """Wakes when something was written to the log or it was replaced."""

    def __init__(self, path: str) -> None:
        self._inotify = inotify.Inotify()
        self._inotify.watch(os.path.dirname(path), inotify.MODIFY | inotify.MOVED_TO | inotify.CLOSE_WRITE)
        self._name = os.path.basename(path)
        self._woken = asyncio.Event()
        self._closed = False
        asyncio.get_running_loop().add_reader(self._inotify.fileno(), self._read)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.get_running_loop().remove_reader(self._inotify.fileno())
        self._inotify.close()

    async def wait(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSED_BEAT if self._closed else _BEAT):
                await self._woken.wait()
        self._woken.clear()

    def _read(self) -> None:
        for event in self._inotify.events():
            if event.name == self._name or event.mask & inotify.OVERFLOW:
                self._closed = bool(event.mask & inotify.CLOSE_WRITE)
                self._woken.set()
