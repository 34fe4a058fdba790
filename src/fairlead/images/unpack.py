"""One layer's tar becomes one directory for overlayfs.

Whiteouts turn into overlayfs' own marks. Everything is made through descriptors of directories inside the target, so
that no name, link or ``..`` of a hostile archive reaches out of it; whatever is wrong with an archive is BadLayer.
"""

from __future__ import annotations

import errno
import os
import posixpath
import shutil
import stat
from collections import OrderedDict
from dataclasses import dataclass

from fairlead.errors import InvalidArgument
from fairlead.images import members
from fairlead.images.confine import Confined, by_fd
from fairlead.images.merged import OPAQUE
from fairlead.images.tarread import Entry, Kind, Readable, TarError, TarReader

WHITEOUT = b".wh."
OPAQUE_MARK = b".wh..wh..opq"
_META = b".wh..wh."
_OPEN_DIRECTORIES = 64
_WHITEOUT_DEVICE = os.makedev(0, 0)

# Errors of single calls that the archive, not the machine, is to blame for.
ARCHIVE_FAULTS = frozenset(
    {
        errno.ENOENT,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.EEXIST,
        errno.ELOOP,
        errno.ENAMETOOLONG,
        errno.EINVAL,
        errno.EPERM,
        errno.EMLINK,
        errno.EOVERFLOW,
        errno.EFBIG,
        errno.ENOTEMPTY,
        errno.ENXIO,
        errno.E2BIG,
        errno.ERANGE,
        errno.EXDEV,
    },
)


class BadLayer(InvalidArgument):
    """The layer's archive cannot be unpacked."""


@dataclass(frozen=True, slots=True)
class Unpacked:
    """``implied`` are directories that the archive used but never described."""

    size: int
    implied: frozenset[bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """``layer``: whiteouts mean something and the archive's root describes the target. ``keep_kinds``: a directory does
    not take the place of something else, nor the other way round. ``owner`` owns everything, whatever the archive says.
    """

    layer: bool = True
    keep_kinds: bool = False
    owner: tuple[int, int] | None = None


def unpack(stream: Readable, target: str) -> Unpacked:
    """Read a layer's stream to its end into the empty directory ``target``."""
    with Confined(target) as inside:
        return unpack_over(stream, inside, b"", Rules())


def unpack_over(stream: Readable, inside: Confined, top: bytes, rules: Rules) -> Unpacked:
    """Read the stream to its end into the directory ``top`` inside, over what is there."""
    unpacking = _Unpacking(inside, top, rules)
    try:
        reader = TarReader(stream)
        for entry in reader:
            unpacking.add(entry, reader)
        reader.drain()
        return unpacking.finish()
    except TarError as error:
        raise BadLayer(f"Error processing tar file: {error}") from error
    finally:
        unpacking.close()


def clean(name: bytes) -> bytes:
    """A member's name relative to the root, b"" for the root itself; raises BadLayer when it climbs out."""
    path = posixpath.normpath(name or b".").lstrip(b"/")
    if path == b".." or path.startswith(b"../"):
        raise BadLayer(f"{os.fsdecode(name)!r} is outside of the archive's root")
    return b"" if path == b"." else path


class _Unpacking:
    """The state of one unpacking: open directories, and what is still to be set at the end."""

    def __init__(self, inside: Confined, top: bytes, rules: Rules) -> None:
        self._inside, self._top, self._rules = inside, top, rules
        self._open: OrderedDict[bytes, int] = OrderedDict()
        self._described: dict[bytes, Entry] = {}
        self._implied: set[bytes] = {b""}
        self._deleted: set[bytes] = set()
        self._size = 0

    def add(self, entry: Entry, reader: TarReader) -> None:
        try:
            self._add(entry, reader)
        except OSError as error:
            if error.errno not in ARCHIVE_FAULTS:
                raise
            raise BadLayer(f"cannot unpack {os.fsdecode(entry.name)!r}: {os.strerror(error.errno).lower()}") from error
        except ValueError as error:  # a zero byte in a name
            raise BadLayer(f"cannot unpack {os.fsdecode(entry.name)!r}: {error}") from error

    def _add(self, entry: Entry, reader: TarReader) -> None:
        path = clean(entry.name)
        parent, name = posixpath.split(path)
        if self._rules.owner is not None:
            entry.uid, entry.gid = self._rules.owner
        if self._rules.layer and name.startswith(WHITEOUT):
            self._whiteout(parent, name)
        elif entry.kind is Kind.DIRECTORY and (path or self._rules.layer):
            self._directory(entry, path)
        elif path:
            self._other(entry, reader, posixpath.join(self._top, path))

    def finish(self) -> Unpacked:
        """Directories get their attributes last: files made inside would change the times, modes might forbid."""
        self.close()
        for path, entry in self._described.items():
            try:
                fd = self._inside.directory(path)
            except (FileNotFoundError, NotADirectoryError):
                continue  # replaced later, under another of its names
            try:
                members.set_attributes(entry, by_fd(fd))
            finally:
                os.close(fd)
        return Unpacked(self._size, frozenset(self._implied - self._described.keys()))

    def close(self) -> None:
        """Forget the open directories; they are opened again when needed."""
        while self._open:
            os.close(self._open.popitem()[1])

    # -- directories ------------------------------------------------------------------------------------------------

    def _parent(self, path: bytes) -> int:
        """A descriptor of the directory ``path``, made with those above it where missing."""
        if (fd := self._open.get(path)) is not None:
            self._open.move_to_end(path)
            return fd
        try:
            fd = self._inside.directory(path)
        except FileNotFoundError:
            self._mkdir(path)
            self._implied.add(path)
            fd = self._inside.directory(path)
        self._open[path] = fd
        if len(self._open) > _OPEN_DIRECTORIES:
            os.close(self._open.popitem(last=False)[1])
        return fd

    def _mkdir(self, path: bytes) -> None:
        """A directory that this layer also deletes is a new one: what is below must not shine through."""
        parent, name = posixpath.split(path)
        above = self._parent(parent)
        os.mkdir(name, 0o755, dir_fd=above)
        if path in self._deleted:
            _make_opaque(above, name)

    def _directory(self, entry: Entry, relative: bytes) -> None:
        path = posixpath.join(self._top, relative) if relative else self._top
        if relative:
            try:
                self._mkdir(path)
            except FileExistsError:
                self._keep_directory(path)
        self._described[path] = entry

    def _keep_directory(self, path: bytes) -> None:
        parent, name = posixpath.split(path)
        if not stat.S_ISDIR(os.lstat(name, dir_fd=self._parent(parent)).st_mode):
            if self._rules.keep_kinds:
                raise BadLayer(f'cannot overwrite non-directory "/{os.fsdecode(path)}" with directory')
            self._remove(path)
            self._mkdir(path)

    # -- everything else --------------------------------------------------------------------------------------------

    def _other(self, entry: Entry, reader: TarReader, path: bytes) -> None:
        try:
            self._make(entry, reader, path)
        except FileExistsError:
            self._remove(path)
            self._make(entry, reader, path)
        if entry.kind is Kind.FILE:
            self._size += entry.size

    def _make(self, entry: Entry, reader: TarReader, path: bytes) -> None:
        parent, name = posixpath.split(path)
        directory = self._parent(parent)
        if entry.kind is not Kind.HARDLINK:
            members.make(entry, reader, directory, name)
            return
        source = clean(entry.link)
        if not source or posixpath.join(self._top, source) == path:
            raise BadLayer(f"{os.fsdecode(entry.name)!r} is a hard link to itself or to nothing")
        source_parent, source_name = posixpath.split(posixpath.join(self._top, source))
        fd = self._inside.directory(source_parent)
        try:
            os.link(source_name, name, src_dir_fd=fd, dst_dir_fd=directory, follow_symlinks=False)
        finally:
            os.close(fd)

    def _remove(self, path: bytes) -> None:
        """Make room: a later member replaces an earlier one of its name."""
        parent, name = posixpath.split(path)
        directory = self._parent(parent)
        mode = os.lstat(name, dir_fd=directory).st_mode
        if stat.S_ISREG(mode):
            os.unlink(name, dir_fd=directory)
            return
        if stat.S_ISDIR(mode):
            if self._rules.keep_kinds:
                raise BadLayer(f'cannot overwrite directory "/{os.fsdecode(path)}" with non-directory')
            shutil.rmtree(name, dir_fd=directory)
            self._forget(path)
        else:
            os.unlink(name, dir_fd=directory)
        self.close()  # it may have stood on the way to an open directory

    def _forget(self, path: bytes) -> None:
        below = path + b"/"
        for known in [known for known in self._described if known == path or known.startswith(below)]:
            del self._described[known]
        self._implied = {known for known in self._implied if known != path and not known.startswith(below)}

    def _whiteout(self, parent: bytes, mark: bytes) -> None:
        if mark == OPAQUE_MARK:
            self._parent(parent)
            fd = self._inside.directory(parent)
            try:
                os.setxattr(by_fd(fd), OPAQUE, b"y")
            finally:
                os.close(fd)
            return
        name = mark.removeprefix(WHITEOUT)
        if mark.startswith(_META):
            return  # aufs kept its own state under such names
        if name in (b"", b".", b".."):
            raise BadLayer(f"{os.fsdecode(mark)!r} deletes nothing that can be deleted")
        self._deleted.add(posixpath.join(parent, name))
        self._delete(self._parent(parent), name)

    def _delete(self, directory: int, name: bytes) -> None:
        """Hide the name below; what this layer itself has put there stays, whichever came first."""
        try:
            os.mknod(name, stat.S_IFCHR, _WHITEOUT_DEVICE, dir_fd=directory)
        except FileExistsError:
            if stat.S_ISDIR(os.lstat(name, dir_fd=directory).st_mode):
                _make_opaque(directory, name)


def _make_opaque(directory: int, name: bytes) -> None:
    os.setxattr(f"{by_fd(directory)}/{os.fsdecode(name)}", OPAQUE, b"y", follow_symlinks=False)
