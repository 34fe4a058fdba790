"""What a container changed, as the tar of a layer: overlayfs' marks become whiteouts again."""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Sequence

from fairlead.images import merged
from fairlead.images.confine import Confined, by_fd
from fairlead.images.tarwrite import TarWriter, Writable, walk
from fairlead.images.unpack import OPAQUE_MARK, WHITEOUT


def write(upper: str, lowers: Sequence[str], out: Writable) -> None:
    """The layer of the directory ``upper`` over ``lowers`` (topmost first); without members when nothing changed."""
    writer = TarWriter(out)
    below = [os.fsencode(lower) for lower in lowers]
    with Confined(upper) as inside:
        for path, fd in walk(inside, b""):
            found = os.fstat(fd)
            if merged.is_whiteout(found):
                _whiteout(writer, path, below)
            elif path:
                writer.member(path, fd, found)
            elif _root_changed(found, below):
                writer.member(b".", fd, found)
            if stat.S_ISDIR(found.st_mode) and merged.is_opaque(by_fd(fd), follow_symlinks=True):
                writer.empty_file(posixpath.join(path, OPAQUE_MARK))
    writer.finish()


def _whiteout(writer: TarWriter, path: bytes, below: Sequence[bytes]) -> None:
    """A mark over nothing stays behind when what was made and deleted was never below: it says nothing."""
    if merged.find(below, path) is not None:
        parent, name = posixpath.split(path)
        writer.empty_file(posixpath.join(parent, WHITEOUT + name))


def _root_changed(found: os.stat_result, below: Sequence[bytes]) -> bool:
    if not below:
        return True
    before = os.lstat(below[0])
    return (found.st_mode, found.st_uid, found.st_gid) != (before.st_mode, before.st_uid, before.st_gid)
