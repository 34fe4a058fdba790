"""Writing tar streams of trees: pax, names as bytes, hard links found again, sparse bytes not invented."""

from __future__ import annotations

import errno
import os
import posixpath
import stat
import tarfile
from collections.abc import Iterator
from typing import Protocol

from fairlead.images.confine import Confined, by_fd

_CHUNK = 1 << 18
_BLOCK = 512
_PADDING = bytes(_CHUNK)
# What means something outside the file system it was set on: file capabilities and what users attach.
_XATTRS = ("security.capability", "user.")
_OWN_XATTRS = ("user.overlay.",)

_TYPES = {
    stat.S_IFREG: tarfile.REGTYPE,
    stat.S_IFDIR: tarfile.DIRTYPE,
    stat.S_IFLNK: tarfile.SYMTYPE,
    stat.S_IFCHR: tarfile.CHRTYPE,
    stat.S_IFBLK: tarfile.BLKTYPE,
    stat.S_IFIFO: tarfile.FIFOTYPE,
}


class Writable(Protocol):
    def write(self, data: bytes, /) -> object: ...


class TarWriter:
    """Members one after another; ``finish`` marks the end."""

    def __init__(self, out: Writable, owner: tuple[int, int] | None = None, mode: int | None = None) -> None:
        """``owner`` and ``mode`` are everybody's where given (the mode of files alone)."""
        self._out = out
        self._owner, self._mode = owner, mode
        self._names: dict[tuple[int, int], bytes] = {}

    def finish(self) -> None:
        """Two empty blocks and no more: a tar without members has the digest everyone knows for it."""
        self._out.write(bytes(2 * _BLOCK))

    def empty_file(self, name: bytes) -> None:
        """A mark that only has a name."""
        self._header(_entry(name))

    def content(self, name: bytes, data: bytes) -> None:
        entry = _entry(name)
        entry.size = len(data)
        entry.mode, entry.type = 0o644, tarfile.REGTYPE
        self._own(entry)
        self._header(entry)
        self._out.write(data + bytes(-len(data) % _BLOCK))

    def file(self, name: bytes, fd: int, size: int) -> None:
        """``size`` bytes of an open file, as a plain member."""
        entry = _entry(name)
        entry.size = size
        entry.mode = 0o644
        self._header(entry)
        self._copy(fd, size)

    def tree(self, inside: Confined, top: bytes, name: bytes) -> None:
        """What is at ``top`` and below it, called ``name`` and below; what vanishes meanwhile is left out."""
        for path, fd in walk(inside, top):
            below = path[len(top) :].lstrip(b"/")
            self.member(posixpath.join(name, below) if below else name, fd, os.fstat(fd))

    def member(self, name: bytes, fd: int, found: os.stat_result) -> None:
        """What an O_PATH descriptor stands for."""
        kind = _TYPES.get(stat.S_IFMT(found.st_mode))
        if kind is None:
            return  # sockets have no form in an archive
        entry = _entry(name if kind != tarfile.DIRTYPE else name.rstrip(b"/") + b"/", found)
        entry.type = kind
        self._own(entry)
        if kind == tarfile.SYMTYPE:
            entry.linkname = os.fsdecode(os.readlink(b"", dir_fd=fd))
        elif kind in (tarfile.CHRTYPE, tarfile.BLKTYPE):
            entry.devmajor, entry.devminor = os.major(found.st_rdev), os.minor(found.st_rdev)
        else:
            entry.pax_headers = {**entry.pax_headers, **_xattrs(fd)}
        if found.st_nlink > 1 and kind != tarfile.DIRTYPE and self._linked(entry, name, found):
            return
        self._write_member(entry, fd)

    def _own(self, entry: tarfile.TarInfo) -> None:
        if self._owner is not None:
            entry.uid, entry.gid = self._owner
        if self._mode is not None and entry.type == tarfile.REGTYPE:
            entry.mode = self._mode

    def _linked(self, entry: tarfile.TarInfo, name: bytes, found: os.stat_result) -> bool:
        """Whether it was written as one more name of a member before."""
        first = self._names.setdefault((found.st_dev, found.st_ino), name)
        if first == name:
            return False
        entry.type, entry.linkname = tarfile.LNKTYPE, os.fsdecode(first)
        self._header(entry)
        return True

    def _write_member(self, entry: tarfile.TarInfo, fd: int) -> None:
        if entry.type != tarfile.REGTYPE:
            self._header(entry)
            return
        opened = os.open(by_fd(fd), os.O_RDONLY | os.O_CLOEXEC)
        try:
            entry.size = os.fstat(opened).st_size
            self._header(entry)
            self._copy(opened, entry.size)
        finally:
            os.close(opened)

    def _header(self, entry: tarfile.TarInfo) -> None:
        self._out.write(entry.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape"))

    def _copy(self, fd: int, size: int) -> None:
        """Exactly ``size`` bytes and padding, even of a file that shrinks meanwhile."""
        left = size
        while left and (data := os.read(fd, min(left, _CHUNK))):
            self._out.write(data)
            left -= len(data)
        while left:
            self._out.write(_PADDING[:left])
            left -= min(left, _CHUNK)
        self._out.write(bytes(-size % _BLOCK))


def walk(inside: Confined, top: bytes) -> Iterator[tuple[bytes, int]]:
    """Paths and O_PATH descriptors, open until the next step; directories before what is in them, names in order."""
    pending = [top]
    while pending:
        path = pending.pop()
        try:
            fd = inside.open(path, os.O_PATH | os.O_NOFOLLOW)
        except (FileNotFoundError, NotADirectoryError):
            continue
        try:
            names = _listed(fd)
            yield path, fd
        finally:
            os.close(fd)
        pending.extend(posixpath.join(path, name) for name in sorted(names, reverse=True))


def _listed(fd: int) -> list[bytes]:
    """What is in it if it is a directory."""
    if not stat.S_ISDIR(os.fstat(fd).st_mode):
        return []
    return os.listdir(os.fsencode(by_fd(fd)))


def _entry(name: bytes, found: os.stat_result | None = None) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(os.fsdecode(name))
    if found is not None:
        entry.mode, entry.uid, entry.gid = stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid
        entry.mtime, part = divmod(found.st_mtime_ns, 10**9)
        if part:
            entry.pax_headers = {"mtime": f"{entry.mtime}.{part:09d}"}
    return entry


def _xattrs(fd: int) -> dict[str, str]:
    path = by_fd(fd)
    try:
        names = [name for name in os.listxattr(path) if name.startswith(_XATTRS) and not name.startswith(_OWN_XATTRS)]
        return {f"SCHILY.xattr.{name}": os.getxattr(path, name).decode("utf-8", "surrogateescape") for name in names}
    except OSError as error:
        if error.errno in (errno.ENOTSUP, errno.ENODATA, errno.EACCES):
            return {}
        raise
