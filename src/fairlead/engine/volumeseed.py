"""Volumes as a container gets them: filled with what the image has at their place, or only a part of one."""

from __future__ import annotations

import os
import stat
import subprocess
import tempfile
from collections.abc import Sequence

from fairlead.errors import EngineError
from fairlead.images import archive
from fairlead.images.confine import Confined, by_fd
from fairlead.kernel import mounts
from fairlead.kernel.threads import in_thread


def seed(volume: str, target: str, layers: Sequence[str]) -> None:
    """Copy ``target`` of the image (``layers``, topmost first) into the directory ``volume`` if that is empty."""
    if any(True for _ in os.scandir(volume)):
        return
    in_thread(lambda: _copy(volume, target, layers))


def mount_inside(volume: str, path: str, target: str) -> None:
    """Bind ``path`` of a volume to ``target``, which is made; nothing in the volume can lead out of it."""
    try:
        with Confined(volume) as inside:
            found = inside.open(os.fsencode(path), os.O_PATH)
    except OSError as error:
        raise EngineError(
            f"cannot access path {os.path.join(volume, path)}: {(error.strerror or '').lower()}"
        ) from error
    try:
        if stat.S_ISDIR(os.fstat(found).st_mode):
            os.makedirs(target, exist_ok=True)
        else:
            os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        mounts.bind(by_fd(found), target)
    finally:
        os.close(found)


def _copy(volume: str, target: str, layers: Sequence[str]) -> None:
    mounts.unshare_mounts()
    with tempfile.TemporaryDirectory(prefix="fairlead-seed-") as place:
        mounts.mount_overlay(place, lowers=tuple(layers), upper="", work="")
        try:
            source = archive.resolve(place, target)
            if os.path.isdir(source):
                _copy_tree(source, volume)
        finally:
            mounts.unmount(place)


def _copy_tree(source: str, volume: str) -> None:
    """cp(1) keeps owners, modes, times, links, devices and extended attributes."""
    done = subprocess.run(
        ["cp", "-a", "--reflink=auto", f"{source}/.", volume], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise EngineError(f"cannot copy the image's {source} into the volume: {done.stderr.strip()}")
