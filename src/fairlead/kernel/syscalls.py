"""System calls that Python does not offer, through libc: mount, namespaces, the new mount interface, inotify."""

from __future__ import annotations

import ctypes
import os

CLONE_NEWNS = 0x00020000
CLONE_NEWNET = 0x40000000
CLONE_FS = 0x00000200

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_REMOUNT = 32
MS_BIND, MS_MOVE, MS_REC = 4096, 8192, 16384
MS_UNBINDABLE, MS_PRIVATE, MS_SLAVE, MS_SHARED = 1 << 17, 1 << 18, 1 << 19, 1 << 20
MNT_DETACH, UMOUNT_NOFOLLOW = 2, 8

IN_ATTRIB, IN_CREATE, IN_DELETE = 0x4, 0x100, 0x200
IN_MOVED_FROM, IN_MOVED_TO, IN_DELETE_SELF = 0x40, 0x80, 0x400

# The same numbers on every architecture since Linux 5.2.
_OPEN_TREE, _MOVE_MOUNT, _FSOPEN, _FSCONFIG, _FSMOUNT = 428, 429, 430, 431, 432
_AT_FDCWD = -100
_FSCONFIG_SET_STRING, _FSCONFIG_CREATE = 1, 6
_CLOEXEC = 1
_MOVE_MOUNT_F_EMPTY_PATH = 4
_OPEN_TREE_CLONE = 1
_AT_SYMLINK_NOFOLLOW = 0x100

_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result: int, thing: str) -> int:
    if result < 0:
        errno = ctypes.get_errno()
        raise OSError(errno, os.strerror(errno), thing)
    return result


def _c(value: str | None) -> bytes | None:
    return None if value is None else os.fsencode(value)


def mount(source: str | None, target: str, kind: str | None, flags: int = 0, options: str | None = None) -> None:
    _checked(_libc.mount(_c(source), _c(target), _c(kind), ctypes.c_ulong(flags), _c(options)), target)


def umount(target: str, flags: int = 0) -> None:
    _checked(_libc.umount2(_c(target), flags), target)


def unshare(flags: int) -> None:
    _checked(_libc.unshare(flags), "unshare")


def setns(descriptor: int, kind: int) -> None:
    _checked(_libc.setns(descriptor, kind), "setns")


def fsopen(kind: str) -> int:
    return _checked(_libc.syscall(_FSOPEN, _c(kind), _CLOEXEC), kind)


def fsconfig_string(context: int, key: str, value: str) -> None:
    _checked(_libc.syscall(_FSCONFIG, context, _FSCONFIG_SET_STRING, _c(key), _c(value), 0), key)


def fsconfig_create(context: int) -> None:
    _checked(_libc.syscall(_FSCONFIG, context, _FSCONFIG_CREATE, None, None, 0), "filesystem")


def fsmount(context: int) -> int:
    return _checked(_libc.syscall(_FSMOUNT, context, _CLOEXEC, 0), "filesystem")


def clone_tree(path: str) -> int:
    """A descriptor of a copy of the mount at ``path``, itself mounted nowhere."""
    flags = _OPEN_TREE_CLONE | os.O_CLOEXEC | _AT_SYMLINK_NOFOLLOW
    return _checked(_libc.syscall(_OPEN_TREE, _AT_FDCWD, _c(path), flags), path)


def move_mount(tree: int, target: str) -> None:
    _checked(_libc.syscall(_MOVE_MOUNT, tree, b"", _AT_FDCWD, _c(target), _MOVE_MOUNT_F_EMPTY_PATH), target)


def inotify_init() -> int:
    return _checked(_libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC), "inotify")


def inotify_add_watch(descriptor: int, path: str, mask: int) -> int:
    return _checked(_libc.inotify_add_watch(descriptor, _c(path), mask), path)
