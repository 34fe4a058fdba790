"""Content by digest: configs, manifests and layers exactly as they came, one file each under ``blobs/sha256``."""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

from fairlead.images.tarread import Readable
from fairlead.images.trash import Trash

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer

_CHUNK = 1 << 20


class Blobs:
    """A directory of blobs. A blob appears whole or not at all; its name is the digest of its bytes."""

    def __init__(self, root: str) -> None:
        self._root = os.path.join(root, "blobs", "sha256")
        self._temporary = os.path.join(root, "tmp")
        for directory in (self._root, self._temporary):
            os.makedirs(directory, mode=0o700, exist_ok=True)

    def path(self, digest: str) -> str:
        return os.path.join(self._root, digest.removeprefix("sha256:"))

    def has(self, digest: str) -> bool:
        return os.path.exists(self.path(digest))

    def size(self, digest: str) -> int:
        return os.stat(self.path(digest)).st_size

    def read(self, digest: str) -> bytes:
        with open(self.path(digest), "rb") as file:
            return file.read()

    def open(self, digest: str) -> BinaryIO:
        return open(self.path(digest), "rb")

    @contextmanager
    def incoming(self) -> Iterator[Incoming]:
        """A blob in the making; gone again unless it is kept before the end."""
        fd, path = tempfile.mkstemp(dir=self._temporary)
        with io.FileIO(fd, "wb") as file:
            incoming = Incoming(file, path, self)
            try:
                yield incoming
            finally:
                incoming.discard()

    def add(self, data: bytes) -> str:
        """A small blob, on disk for certain when this returns."""
        with self.incoming() as incoming:
            incoming.write(data)
            return incoming.keep(durable=True)

    def copy(self, stream: Readable) -> str:
        """A blob from a stream."""
        with self.incoming() as incoming:
            while data := stream.read(_CHUNK):
                incoming.write(data)
            return incoming.keep()

    def forget_incoming(self, trash: Trash) -> None:
        """Throw away what was being made when an earlier run ended."""
        for name in os.listdir(self._temporary):
            trash.discard(os.path.join(self._temporary, name))

    def sweep(self, live: Iterable[str]) -> int:
        """Remove all blobs but these; the bytes that were given back."""
        keep = {digest.removeprefix("sha256:") for digest in live}
        freed = 0
        for name in os.listdir(self._root):
            if name not in keep:
                path = os.path.join(self._root, name)
                freed += os.stat(path).st_size
                os.unlink(path)
        return freed


class Incoming(io.RawIOBase):
    """A file that becomes a blob when kept."""

    def __init__(self, file: io.FileIO, path: str, blobs: Blobs) -> None:
        super().__init__()
        self._file, self._path, self._blobs = file, path, blobs
        self._hash = hashlib.sha256()
        self._kept = False
        self.size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Buffer, /) -> int:
        """All of it, always."""
        view = memoryview(data)
        self._hash.update(view)
        length = len(view)
        while view:
            view = view[self._file.write(view) :]
        self.size += length
        return length

    @property
    def digest(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"

    def keep(self, *, durable: bool = False) -> str:
        """Its digest; the blob is there from now on."""
        if durable:
            os.fsync(self._file.fileno())
        os.rename(self._path, self._blobs.path(self.digest))
        self._kept = True
        return self.digest

    def discard(self) -> None:
        if not self._kept:
            os.unlink(self._path)
