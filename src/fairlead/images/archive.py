"""``docker cp``: paths inside a root that strangers own, their facts, tars of them, tars unpacked over them.

Everything happens through descriptors resolved inside that root, so a running container can race as it likes.
"""

from __future__ import annotations

import os
import posixpath
import stat
from typing import BinaryIO

from fairlead.errors import InvalidArgument, NotFound
from fairlead.images.compression import plain
from fairlead.images.confine import Confined, by_fd
from fairlead.images.tarread import Readable
from fairlead.images.tarwrite import TarWriter
from fairlead.images.unpack import Rules, unpack_over
from fairlead.model.views import PathStat

_BUFFER = 1 << 18


def resolve(root: str, path: str) -> str:
    """Where ``path`` of the root really is, symbolic links followed inside; "" when nothing is there."""
    with Confined(root) as inside:
        try:
            fd = inside.open(os.fsencode(path), os.O_PATH)
        except OSError:
            return ""
        try:
            return os.readlink(by_fd(fd))
        finally:
            os.close(fd)


def stat_path(root: str, path: str, container: str = "") -> PathStat:
    """The path's own facts, a last symbolic link not followed unless a slash stands behind it. Raises NotFound."""
    with Confined(root) as inside:
        fd = _open(inside, path, container)
        try:
            found = os.fstat(fd)
            is_link = stat.S_ISLNK(found.st_mode)
            return PathStat(
                name=posixpath.basename(_absolute(path).rstrip("/")) or "/",
                size=found.st_size,
                mode=found.st_mode,
                mtime=found.st_mtime_ns,
                link_target=_link_target(inside, path) if is_link else "",
            )
        finally:
            os.close(fd)


def get_archive(root: str, path: str, out: int, container: str = "") -> None:
    """Write a tar of the path to the descriptor ``out``: members start with the path's last name. Raises NotFound."""
    absolute = _absolute(path)
    name = posixpath.basename(absolute.rstrip("/")) or "/"
    with Confined(root) as inside, open(out, "wb", buffering=_BUFFER, closefd=False) as file:
        os.close(_open(inside, path, container))
        writer = TarWriter(file)
        writer.tree(inside, _source(inside, absolute), os.fsencode(name))
        writer.finish()


def export_tree(root: str, out: int) -> None:
    """Write a tar of everything under the directory ``root`` to the descriptor ``out``."""
    with Confined(root) as inside, open(out, "wb", buffering=_BUFFER, closefd=False) as file:
        writer = TarWriter(file)
        for name in sorted(os.listdir(os.fsencode(root))):
            writer.tree(inside, name, name)
        writer.finish()


def put_archive(
    root: str,
    path: str,
    stream: Readable | BinaryIO,
    *,
    no_overwrite: bool = False,
    copy_uid_gid: bool = False,
    owner: tuple[int, int] | None = None,
    container: str = "",
) -> None:
    """Unpack a tar, which may be compressed, into the directory ``path`` of the root.

    ``no_overwrite`` refuses to put a directory where something else is, and the other way round. With ``copy_uid_gid``
    everything belongs to ``owner``, the container's user, instead of whom the tar says.
    """
    with Confined(root) as inside:
        directory = _directory(inside, path, container)
        rules = Rules(layer=False, keep_kinds=no_overwrite, owner=owner if copy_uid_gid else None)
        with plain(stream) as content:
            unpack_over(content, inside, directory, rules)


def _absolute(path: str) -> str:
    """Cleaned, a trailing slash or dot kept: they mean "what it contains"."""
    if "\0" in path:
        raise InvalidArgument("a path cannot contain a zero byte")
    clean = posixpath.normpath("/" + path.lstrip("/"))
    if clean != "/" and path.endswith("/."):
        return clean + "/."
    return clean + "/" if clean != "/" and path.endswith("/") else clean


def _open(inside: Confined, path: str, container: str) -> int:
    """An O_PATH descriptor of the path itself."""
    absolute = _absolute(path)
    try:
        return inside.open(os.fsencode(absolute), os.O_PATH | os.O_NOFOLLOW)
    except OSError as error:
        raise _missing(path, container) from error


def _missing(path: str, container: str) -> NotFound:
    return NotFound(f"Could not find the file {path} in container {container}".rstrip())


def _inner_path(inside: Confined, fd: int) -> bytes:
    """The path of an open file relative to the root."""
    root = os.readlink(os.fsencode(by_fd(inside.fd))).rstrip(b"/")
    return os.readlink(os.fsencode(by_fd(fd))).removeprefix(root).lstrip(b"/")


def _source(inside: Confined, absolute: str) -> bytes:
    """What to walk: with a slash or dot behind it a link is followed once and for all."""
    bare = os.fsencode(absolute).strip(b"/")
    if not absolute.endswith(("/", "/.")) or not bare:
        return bare
    fd = inside.open(os.fsencode(absolute), os.O_PATH)
    try:
        return _inner_path(inside, fd)
    finally:
        os.close(fd)


def _link_target(inside: Confined, path: str) -> str:
    """Where a link leads, as an absolute path inside; what the link says when that does not exist."""
    try:
        fd = inside.open(os.fsencode(_absolute(path)), os.O_PATH)
    except OSError:
        return _dangling(inside, path)
    try:
        return "/" + os.fsdecode(_inner_path(inside, fd))
    finally:
        os.close(fd)


def _dangling(inside: Confined, path: str) -> str:
    fd = inside.open(os.fsencode(_absolute(path)), os.O_PATH | os.O_NOFOLLOW)
    try:
        target = os.readlink("", dir_fd=fd)
    finally:
        os.close(fd)
    return posixpath.normpath(posixpath.join(posixpath.dirname(_absolute(path)), target))


def _directory(inside: Confined, path: str, container: str) -> bytes:
    """The directory to unpack into, links on the way resolved."""
    try:
        fd = inside.open(os.fsencode(_absolute(path)), os.O_PATH)
    except OSError as error:
        raise _missing(path, container) from error
    try:
        if not stat.S_ISDIR(os.fstat(fd).st_mode):
            raise InvalidArgument("extraction point is not a directory")
        return _inner_path(inside, fd)
    finally:
        os.close(fd)
