"""Making one member of an archive in an open directory: its content, owner, mode, extended attributes and time."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Mapping

from fairlead.images.confine import by_fd
from fairlead.images.tarread import Entry, Kind, TarError, TarReader

_TYPE: Mapping[Kind, int] = {Kind.CHAR: stat.S_IFCHR, Kind.BLOCK: stat.S_IFBLK, Kind.FIFO: stat.S_IFIFO}
_MAX_ID = (1 << 32) - 2  # the last one means "leave it"
_LATEST_NS = (1 << 34) * 10**9  # what ext4's 34-bit seconds hold
_EARLIEST_NS = -(1 << 31) * 10**9
# Overlayfs believes these: an image must not speak in its name (redirects and metacopy lead to other files' content).
_OVERLAY_XATTRS = ("trusted.overlay.", "user.overlay.")
# The file system has no such attribute, or not on this kind of file; Docker goes on without it too.
_XATTR_REFUSALS = frozenset({errno.ENOTSUP, errno.EPERM})


def make(entry: Entry, reader: TarReader, directory: int, name: bytes, owner: tuple[int, int] | None = None) -> None:
    """A file, symbolic link, device or fifo called ``name``; raises FileExistsError when something is there.

    ``owner`` stands in for the entry's own uid and gid.
    """
    if owner is not None:
        entry.uid, entry.gid = owner
    match entry.kind:
        case Kind.FILE:
            _file(entry, reader, directory, name)
        case Kind.SYMLINK:
            os.symlink(entry.link, name, dir_fd=directory)
            _set_unopened(entry, directory, name)
        case _:
            os.mknod(name, _TYPE[entry.kind] | 0o600, _device(entry), dir_fd=directory)
            _set_unopened(entry, directory, name)


def set_attributes(entry: Entry, target: int | str) -> None:
    """On an open file, or on a path that leads to a directory. chown first: it takes set-user-id and capabilities."""
    uid, gid = _ids(entry)
    os.chown(target, uid, gid)
    os.chmod(target, entry.mode & 0o7777)
    for name, value in entry.xattrs.items():
        _set_xattr(target, name, value, follow=True)
    set_time(entry, target)


def set_time(entry: Entry, target: int | str) -> None:
    time = _time(entry)
    os.utime(target, ns=(time, time))


def write_content(entry: Entry, reader: TarReader, fd: int) -> None:
    """The entry's bytes; what a sparse file leaves out becomes holes."""
    if entry.sparse is None:
        while data := reader.read():
            _write(fd, data)
        return
    for offset, length in entry.sparse:
        os.lseek(fd, offset, os.SEEK_SET)
        left = length
        while left and (data := reader.read(left)):
            _write(fd, data)
            left -= len(data)
    os.ftruncate(fd, entry.size)


def _file(entry: Entry, reader: TarReader, directory: int, name: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(name, flags, 0o600, dir_fd=directory)
    try:
        write_content(entry, reader, fd)
        set_attributes(entry, fd)
    finally:
        os.close(fd)


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _set_unopened(entry: Entry, directory: int, name: bytes) -> None:
    """On what cannot be opened without side effects; nothing else writes here, so the name is still ours."""
    uid, gid = _ids(entry)
    os.chown(name, uid, gid, dir_fd=directory, follow_symlinks=False)
    if entry.kind is not Kind.SYMLINK:
        os.chmod(name, entry.mode & 0o7777, dir_fd=directory)
    path = f"{by_fd(directory)}/{os.fsdecode(name)}"
    for key, value in entry.xattrs.items():
        _set_xattr(path, key, value, follow=False)
    time = _time(entry)
    os.utime(name, ns=(time, time), dir_fd=directory, follow_symlinks=False)


def _set_xattr(target: int | str, name: str, value: bytes, *, follow: bool) -> None:
    if name.startswith(_OVERLAY_XATTRS) or "\0" in name:
        return
    try:
        os.setxattr(target, name, value, follow_symlinks=follow)
    except OSError as error:
        if error.errno not in _XATTR_REFUSALS:
            raise


def _ids(entry: Entry) -> tuple[int, int]:
    if not (0 <= entry.uid <= _MAX_ID and 0 <= entry.gid <= _MAX_ID):
        raise TarError(f"owner {entry.uid}:{entry.gid} is out of range")
    return entry.uid, entry.gid


def _device(entry: Entry) -> int:
    if not (0 <= entry.major < 1 << 12 and 0 <= entry.minor < 1 << 20):
        raise TarError(f"device {entry.major}:{entry.minor} is out of range")
    return os.makedev(entry.major, entry.minor)


def _time(entry: Entry) -> int:
    return min(max(entry.mtime_ns, _EARLIEST_NS), _LATEST_NS)
