"""The thin layer between an image and its containers: places to mount on that the image lacks.

Docker's init layer: without it the runtime would make these places in the container's own layer, where they would show
as changes, and could not make them at all under a read-only root.
"""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Sequence

from fairlead.images import merged

_DIRECTORIES = (b"dev", b"dev/pts", b"dev/shm", b"proc", b"sys", b"etc")
_FILES = (b".dockerenv", b"dev/console", b"etc/hosts", b"etc/hostname", b"etc/resolv.conf")
_LINKS = ((b"etc/mtab", b"/proc/mounts"),)

ROOT_MODE = 0o755


def build(target: str, layers: Sequence[str]) -> None:
    """Make in the empty directory ``target`` what ``layers`` (topmost first) lack."""
    root = os.fsencode(target)
    below = [os.fsencode(layer) for layer in layers]
    if below:
        imitate(root, os.lstat(below[0]))
    else:
        os.chmod(root, ROOT_MODE)
    for path in _DIRECTORIES:
        if merged.find(below, path) is None and _ready(root, below, path):
            os.mkdir(posixpath.join(root, path), 0o755)
    for path in _FILES:
        if merged.find(below, path) is None and _ready(root, below, path):
            os.close(os.open(posixpath.join(root, path), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o755))
    for path, link in _LINKS:
        if merged.find(below, path) is None and _ready(root, below, path):
            os.symlink(link, posixpath.join(root, path))


def imitate(path: bytes, original: os.stat_result) -> None:
    """A directory here looks like the one it stands in for: overlayfs shows the topmost one's owner and mode."""
    os.chown(path, original.st_uid, original.st_gid)
    os.chmod(path, stat.S_IMODE(original.st_mode))
    os.utime(path, ns=(original.st_atime_ns, original.st_mtime_ns))


def _ready(root: bytes, below: Sequence[bytes], path: bytes) -> bool:
    """Whether the directory of ``path`` is one, or can be; made here like the one below when needed."""
    parent = posixpath.dirname(path)
    here = posixpath.join(root, parent)
    if not parent or os.path.isdir(here):
        return True
    original = merged.find(below, parent)
    if original is None or not stat.S_ISDIR(original.st_mode):
        return False
    os.mkdir(here)
    imitate(here, original)
    return True
