"""What overlayfs would show for a stack of directories, without mounting it."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence

OPAQUE = "trusted.overlay.opaque"


def is_whiteout(found: os.stat_result) -> bool:
    """Overlayfs marks what is deleted by a character device 0:0."""
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == 0


def is_opaque(path: str | bytes, *, follow_symlinks: bool = False) -> bool:
    """Whether a directory hides everything of its name below."""
    try:
        return os.getxattr(path, OPAQUE, follow_symlinks=follow_symlinks) == b"y"
    except OSError:
        return False


def find(layers: Sequence[bytes], path: bytes) -> os.stat_result | None:
    """What lstat says of ``path`` in ``layers``, topmost first; None where nothing is. No link is followed."""
    found = None
    for base in layers:
        found = os.lstat(base)
        break
    here = list(layers)
    for part in (part for part in path.split(b"/") if part):
        if found is None or not stat.S_ISDIR(found.st_mode):
            return None
        found, here = _step(here, part)
    return found


def _step(layers: Sequence[bytes], name: bytes) -> tuple[os.stat_result | None, list[bytes]]:
    """``name`` in a merged directory: what it is, and of which directories it is merged itself."""
    found: os.stat_result | None = None
    below: list[bytes] = []
    for base in layers:
        path = base + b"/" + name
        try:
            here = os.lstat(path)
        except FileNotFoundError:
            continue
        if is_whiteout(here) or (found is not None and not stat.S_ISDIR(here.st_mode)):
            break
        if found is None:
            found = here
        if not stat.S_ISDIR(here.st_mode):
            break
        below.append(path)
        if is_opaque(path):
            break
    return found, below


def names(layers: Sequence[bytes], path: bytes) -> set[bytes]:
    """What is in the merged directory ``path``; empty when it is none."""
    found = find(layers, path)
    if found is None or not stat.S_ISDIR(found.st_mode):
        return set()
    here = list(layers)
    for part in (part for part in path.split(b"/") if part):
        _, here = _step(here, part)
    listed: set[bytes] = set()
    hidden: set[bytes] = set()
    for base in here:
        for entry in os.scandir(base):
            if entry.name not in listed | hidden:
                deleted = is_whiteout(entry.stat(follow_symlinks=False))
                (hidden if deleted else listed).add(entry.name)
    return listed
