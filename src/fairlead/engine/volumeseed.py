"""Volume copy-up: an empty volume is filled with what the image has at its mount point, as Docker does."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Sequence

from fairlead.errors import EngineError
from fairlead.images import archive
from fairlead.kernel import mounts
from fairlead.kernel.threads import in_thread


def seed(volume: str, target: str, layers: Sequence[str]) -> None:
    """Copy ``target`` of the image (``layers``, topmost first) into the directory ``volume`` if that is empty."""
    if any(True for _ in os.scandir(volume)):
        return
    in_thread(lambda: _copy(volume, target, layers))


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
