"""A container's root file system: an image's layers below, the container's own on top, put together by overlayfs.

Mounting is the engine's: this is the directories, what changed in them, and their end.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from fairlead.errors import NotFound
from fairlead.images import merged
from fairlead.images.layers import scaffold_of
from fairlead.images.scaffold import imitate
from fairlead.images.trash import Trash
from fairlead.model.image import Image
from fairlead.model.views import Change

MODIFIED, ADDED, DELETED = range(3)

_ROOT = "root"
_LOWERS = "lowers"


class Overlay(NamedTuple):
    """The directories of an overlay mount; ``lowers`` are topmost first, as lowerdir= has them.

    Mount with redirect_dir=off and metacopy=off where the kernel knows them: ``changes`` and commits read ``upper``
    and would miss what only a mark in it says.
    """

    lowers: tuple[str, ...]
    upper: str
    work: str


def lowers_in(container: str) -> Sequence[str]:
    """The layers under the container whose directory this is; none where it has no root file system."""
    try:
        with open(os.path.join(container, _ROOT, _LOWERS), encoding="utf-8") as file:
            return file.read().splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return ()


class RootFs:
    """The root file system of one container, at ``<data root>/containers/<id>/root``."""

    def __init__(self, data_root: str, container: str) -> None:
        self._data_root = data_root
        self._container = os.path.join(data_root, "containers", container)
        self._root = os.path.join(self._container, _ROOT)
        self.upper = os.path.join(self._root, "diff")
        self.work = os.path.join(self._root, "work")

    def prepare(self, image: Image) -> None:
        """Make the container's own layer over the image's. Raises NotFound when the image has gone meanwhile."""
        os.makedirs(self._container, mode=0o710, exist_ok=True)
        for directory in (self._root, self.upper, self.work):
            os.mkdir(directory, 0o710)
        lowers = [*reversed(image.layers)]
        scaffold = scaffold_of(image.layers[-1]) if image.layers else self._empty_scaffold()
        lowers.insert(0, scaffold)
        with open(os.path.join(self._root, _LOWERS), "w", encoding="utf-8") as file:
            file.write("\n".join(lowers))
        # From here on they are not collected: what is there now stays there.
        if not all(os.path.isdir(lower) for lower in lowers):
            raise NotFound(f"No such image: {image.id}")
        imitate(os.fsencode(self.upper), os.lstat(scaffold))

    def _empty_scaffold(self) -> str:
        return os.path.join(self._data_root, "images", "scaffolds", "empty")

    def overlay(self) -> Overlay:
        """What to mount; raises NotFound when it was never prepared or was removed."""
        lowers = lowers_in(self._container)
        if not lowers:
            raise NotFound(f"no root file system at {self._root}")
        return Overlay(tuple(lowers), self.upper, self.work)

    mount_options = overlay

    def remove(self) -> None:
        """It is gone when this returns; deleting its files goes on behind. Removing it twice is fine."""
        Trash(os.path.join(self._data_root, "trash")).discard(self._root)

    def size(self) -> int:
        """Bytes of the files in the container's own layer, each inode once."""
        seen: set[int] = set()
        total = 0
        for _, found in _walk(os.fsencode(self.upper), b""):
            if stat.S_ISREG(found.st_mode) and found.st_ino not in seen:
                seen.add(found.st_ino)
                total += found.st_size
        return total

    def changes(self) -> list[Change]:
        """What differs from the image, sorted by path, with every directory on the way to it."""
        lowers = [os.fsencode(lower) for lower in lowers_in(self._container)]
        kinds: dict[bytes, int] = {}
        for path, found in _walk(os.fsencode(self.upper), b""):
            before = merged.find(lowers, path)
            kind = _kind(found, before)
            if kind is None:
                continue
            kinds[path] = kind
            if kind == MODIFIED and stat.S_ISDIR(found.st_mode):
                kinds.update(self._hidden(path, lowers))
            _note_parents(kinds, path)
        return [Change(kind=kind, path="/" + os.fsdecode(path)) for path, kind in sorted(kinds.items())]

    def _hidden(self, path: bytes, lowers: Sequence[bytes]) -> dict[bytes, int]:
        """What a directory that was deleted and made anew hides of the one below."""
        own = os.path.join(os.fsencode(self.upper), path)
        if not merged.is_opaque(own):
            return {}
        below = merged.names(lowers, path)
        return {os.path.join(path, name): DELETED for name in below if not os.path.lexists(os.path.join(own, name))}


def _walk(top: bytes, path: bytes) -> Iterator[tuple[bytes, os.stat_result]]:
    """Everything below ``top``, directories before what is in them; gone meanwhile is passed over."""
    pending = [path]
    while pending:
        here = pending.pop()
        try:
            names = sorted(os.listdir(os.path.join(top, here)))
        except (FileNotFoundError, NotADirectoryError):
            continue
        for name in names:
            child = os.path.join(here, name)
            try:
                found = os.lstat(os.path.join(top, child))
            except FileNotFoundError:
                continue
            yield child, found
            if stat.S_ISDIR(found.st_mode):
                pending.append(child)


def _kind(now: os.stat_result, before: os.stat_result | None) -> int | None:
    """None when a directory is there only because something in it changed, or a deletion deletes nothing."""
    if merged.is_whiteout(now):
        return DELETED if before is not None else None
    if before is None:
        return ADDED
    both = stat.S_ISDIR(now.st_mode) and stat.S_ISDIR(before.st_mode)
    if both and _same(now, before):
        return None
    return MODIFIED


def _same(now: os.stat_result, before: os.stat_result) -> bool:
    return (now.st_mode, now.st_uid, now.st_gid, now.st_mtime_ns) == (
        before.st_mode,
        before.st_uid,
        before.st_gid,
        before.st_mtime_ns,
    )


def _note_parents(kinds: dict[bytes, int], path: bytes) -> None:
    while path := os.path.dirname(path):
        kinds.setdefault(path, MODIFIED)
