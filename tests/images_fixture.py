"""The stand-in images of the tests as files: one docker-archive for each name, built once into a directory given.

The programs in them are this machine's: busybox under all its names, a shell called bash, a web server behind ``nginx``
and another behind ``start-notebook.sh``. No registry is asked.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from harness import images

CHUNK = 1 << 16


def archives(cache: Path) -> Mapping[str, Path]:
    """A file to ``docker load`` for every name (``busybox``, ``alpine``, ``nginx``, ``jupyter/minimal-notebook`` …)."""
    cache.mkdir(parents=True, exist_ok=True)
    found = {}
    for recipe in images.recipes():
        path = cache / f"{recipe.id.removeprefix('sha256:')[:16]}.tar"
        if not path.exists():
            write_whole(path, images.archive([recipe]))
        found.update({name.removesuffix(":latest"): path for name in recipe.names})
    return found


def write_whole(path: Path, data: bytes) -> None:
    """Complete or not at all: several test runs may share the directory."""
    temporary = path.with_suffix(f".{os.getpid()}")
    temporary.write_bytes(data)
    temporary.rename(path)


async def chunks(data: bytes, size: int = CHUNK) -> AsyncIterator[bytes]:
    """The bytes as a request's body would come."""
    for start in range(0, len(data), size):
        yield data[start : start + size]
