"""Opening paths inside a directory that strangers fill: no symbolic link and no ``..`` leads out of it.

openat2(2) with RESOLVE_IN_ROOT resolves as if the directory were ``/``, in one step that a process inside a running
container cannot race.
"""

from __future__ import annotations

import ctypes
import errno
import os
from types import TracebackType
from typing import Self

_OPENAT2 = 437  # one number on every architecture: it is newer than their unification
_RESOLVE_IN_ROOT = 0x10
_RETRIES = 64

_libc = ctypes.CDLL(None, use_errno=True)


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


class Confined:
    """A directory's inside. Paths are bytes and relative to it, a leading slash changes nothing."""

    def __init__(self, path: str | bytes) -> None:
        """Raises OSError when ``path`` is not a directory."""
        # On /proc/<pid>/root the magic link itself must be followed: no O_NOFOLLOW here.
        self.fd = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        os.close(self.fd)

    def open(self, path: bytes, flags: int, mode: int = 0) -> int:
        """A descriptor; symbolic links are followed inside only (not the last one with O_NOFOLLOW)."""
        how = _OpenHow(flags | os.O_CLOEXEC, mode, _RESOLVE_IN_ROOT)
        target = path or b"."
        for _ in range(_RETRIES):
            fd: int = _libc.syscall(_OPENAT2, self.fd, target, ctypes.byref(how), ctypes.sizeof(how))
            if fd >= 0:
                return fd
            # EAGAIN: something was renamed while ".." was resolved; the kernel asks to try again.
            if (code := ctypes.get_errno()) not in (errno.EAGAIN, errno.EINTR):
                raise OSError(code, os.strerror(code), os.fsdecode(path))
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN), os.fsdecode(path))

    def directory(self, path: bytes) -> int:
        """An O_PATH descriptor of a directory inside."""
        return self.open(path, os.O_PATH | os.O_DIRECTORY)


def by_fd(fd: int) -> str:
    """A path for calls that take no O_PATH descriptor (xattrs, utimes), in a thread with its own mounts too."""
    return f"/proc/thread-self/fd/{fd}"
