"""Which images there are and what they are called: one small file, replaced as a whole."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping

import msgspec

from fairlead.images.layers import write_durably


class ImageRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An image's layer blobs, lowest first; ``parent`` is the image it was committed from."""

    blobs: tuple[str, ...] = ()
    parent: str = ""
    tagged: int = 0


class Catalog(msgspec.Struct, frozen=True, kw_only=True):
    """``names`` maps full references (``docker.io/library/busybox:latest``, ``…@sha256:…``) to image ids."""

    images: Mapping[str, ImageRecord] = {}
    names: Mapping[str, str] = {}

    def names_of(self, image: str) -> list[str]:
        return sorted(name for name, target in self.names.items() if target == image)


class Records:
    """The catalogue on disk. Read ``catalog`` from any thread: it is replaced, never changed."""

    def __init__(self, root: str) -> None:
        """Raises msgspec.DecodeError for a damaged file: nothing is guessed about people's images."""
        self._path = os.path.join(root, "catalog.json")
        self._lock = threading.Lock()
        self.catalog = Catalog()
        if os.path.exists(self._path):
            with open(self._path, "rb") as file:
                self.catalog = msgspec.json.decode(file.read(), type=Catalog)

    def change(self, edit: Callable[[Catalog], Catalog]) -> Catalog:
        """Replace the catalogue by what ``edit`` makes of it; what ``edit`` raises leaves it as it was."""
        with self._lock:
            changed = edit(self.catalog)
            if changed != self.catalog:
                write_durably(self._path, msgspec.json.encode(changed))
                self.catalog = changed
            return self.catalog
