"""inotify(7): which names in a directory changed."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self

MODIFY = 0x002
CLOSE_WRITE = 0x008
MOVED_FROM = 0x040
MOVED_TO = 0x080
CREATE = 0x100
DELETE = 0x200
DELETE_SELF = 0x400
OVERFLOW = 0x4000

_CLOEXEC, _NONBLOCK = os.O_CLOEXEC, os.O_NONBLOCK
_EVENT = struct.Struct("iIII")
_BUFFER = 64 << 10


@dataclass(frozen=True, slots=True)
class Event:
    watch: int
    mask: int
    name: str


class Inotify:
    """One inotify instance; ``fileno`` is readable when ``events`` has something."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = self._checked(self._libc.inotify_init1(_CLOEXEC | _NONBLOCK), "inotify")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def fileno(self) -> int:
        return self._fd

    def watch(self, path: str, mask: int) -> int:
        """Watch ``path``; gives the number its events carry. Raises OSError."""
        return self._checked(self._libc.inotify_add_watch(self._fd, os.fsencode(path), mask), path)

    def events(self) -> Iterator[Event]:
        """What happened since the last call; ends when nothing more is queued."""
        while True:
            try:
                data = os.read(self._fd, _BUFFER)
            except BlockingIOError:
                return
            yield from parse(data)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    @staticmethod
    def _checked(result: int, thing: str) -> int:
        if result < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), thing)
        return result


def parse(data: bytes) -> Iterator[Event]:
    """The events in one read's worth of bytes."""
    offset = 0
    while offset + _EVENT.size <= len(data):
        watch, mask, _cookie, length = _EVENT.unpack_from(data, offset)
        offset += _EVENT.size
        name = data[offset : offset + length].partition(b"\0")[0]
        offset += length
        yield Event(watch, mask, os.fsdecode(name))
