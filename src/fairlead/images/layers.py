"""Unpacked layers: one directory per chain of layers, ready to be stacked by overlayfs.

A layer is known by its chain id, the digest of all layers up to it, as in Docker: two equal layers in one image are two
directories (overlayfs refuses one directory twice), and a directory that an archive only implies can take its owner and
mode from the layers below. The directory's name is the chain id's first 16 digits: mount options are a page long.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
import stat
import tempfile
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import msgspec

from fairlead.errors import EngineError, InvalidArgument
from fairlead.images import merged, scaffold
from fairlead.images.blobs import Blobs
from fairlead.images.compression import plain
from fairlead.images.tarread import Readable
from fairlead.images.trash import Trash
from fairlead.images.unpack import Unpacked, unpack

_NAME_LENGTH = 16

Seen = Callable[[str, int, int], None]  # diff id, bytes read of it, bytes in all


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an unpacked layer, kept beside it. It is written last: without it there is no layer."""

    chain_id: str
    diff_id: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    chain_id: str
    diff_id: str
    size: int
    path: str


def chain_ids(diff_ids: Sequence[str]) -> tuple[str, ...]:
    """The chain id of every layer, lowest first (OCI image specification, "Layer ChainID")."""
    chain: list[str] = []
    for diff_id in diff_ids:
        text = f"{chain[-1]} {diff_id}" if chain else diff_id
        chain.append(f"sha256:{hashlib.sha256(text.encode()).hexdigest()}" if chain else diff_id)
    return tuple(chain)


def scaffold_of(top: str) -> str:
    """The directory stacked between the layer directory ``top`` and a container's own."""
    directory, name = os.path.split(top)
    return os.path.join(os.path.dirname(directory), "scaffolds", name)


class Layers:
    """The layers unpacked under ``root``."""

    def __init__(self, root: str, blobs: Blobs, trash: Trash) -> None:
        self._root = os.path.join(root, "layers")
        self._scaffolds = os.path.join(root, "scaffolds")
        self._temporary = os.path.join(root, "tmp")
        for directory in (self._root, self._scaffolds, self._temporary):
            os.makedirs(directory, mode=0o710, exist_ok=True)
        self._blobs, self._trash = blobs, trash
        self._commit = threading.Lock()
        self._make_empty_scaffold()

    def path(self, chain_id: str) -> str:
        return os.path.join(self._root, chain_id.removeprefix("sha256:")[:_NAME_LENGTH])

    def get(self, chain_id: str) -> Layer | None:
        """The layer if it is unpacked. Raises EngineError in the (forged) case of two chains with one short name."""
        path = self.path(chain_id)
        try:
            with open(path + ".json", "rb") as file:
                record = msgspec.json.decode(file.read(), type=Record)
        except (FileNotFoundError, msgspec.DecodeError):
            return None
        if record.chain_id != chain_id:
            raise EngineError(f"layer {chain_id} cannot be stored: its short name is that of {record.chain_id}")
        return Layer(chain_id=chain_id, diff_id=record.diff_id, size=record.size, path=path)

    def ensure(self, chain_id: str, diff_id: str, below: Sequence[Layer], blob: str, seen: Seen | None = None) -> Layer:
        """The layer, unpacked from ``blob`` if it is not there yet. Raises InvalidArgument for another's blob."""
        if (layer := self.get(chain_id)) is not None:
            return layer
        total = self._blobs.size(blob)
        with self._blobs.open(blob) as file:
            stream = _Watched(file, lambda done: seen(diff_id, done, total)) if seen else file
            with plain(stream) as content:
                return self._unpack(content, chain_id, diff_id, below)

    def _unpack(self, content: Readable, chain_id: str, diff_id: str, below: Sequence[Layer]) -> Layer:
        temporary = tempfile.mkdtemp(dir=self._temporary)
        try:
            digesting = _Digesting(content)
            unpacked = unpack(digesting, temporary)
            if digesting.digest != diff_id:
                raise InvalidArgument(f"wrong diff id calculated on extraction {digesting.digest!r}, want {diff_id!r}")
            _adopt_implied(temporary, unpacked, below)
            return self._keep(temporary, Record(chain_id=chain_id, diff_id=diff_id, size=unpacked.size), below)
        finally:
            self._trash.discard(temporary)

    def _keep(self, temporary: str, record: Record, below: Sequence[Layer]) -> Layer:
        """Give the directory its name; whoever comes second finds it done."""
        with self._commit:
            if (layer := self.get(record.chain_id)) is not None:
                return layer
            path = self.path(record.chain_id)
            self._trash.discard(path)  # of a time when the record was not written any more
            os.rename(temporary, path)
            self._make_scaffold(path, below)
            write_whole(path + ".json", msgspec.json.encode(record))
        return Layer(chain_id=record.chain_id, diff_id=record.diff_id, size=record.size, path=path)

    def _make_empty_scaffold(self) -> None:
        """Under containers of an image without layers."""
        if not os.path.isdir(place := os.path.join(self._scaffolds, "empty")):
            temporary = tempfile.mkdtemp(dir=self._temporary)
            scaffold.build(temporary, ())
            os.rename(temporary, place)

    def _make_scaffold(self, path: str, below: Sequence[Layer]) -> None:
        place = scaffold_of(path)
        self._trash.discard(place)
        temporary = tempfile.mkdtemp(dir=self._temporary)
        scaffold.build(temporary, [path, *(layer.path for layer in reversed(below))])
        os.rename(temporary, place)

    def sweep(self, live: Iterable[str]) -> int:
        """Remove all layers but those in these directories; the bytes that were given back."""
        keep = {os.path.basename(path) for path in live}
        freed = 0
        with self._commit:
            for name in {entry.removesuffix(".json") for entry in os.listdir(self._root)} - keep:
                freed += self._remove(os.path.join(self._root, name))
        return freed

    def _remove(self, path: str) -> int:
        """The record first: a layer without one does not exist."""
        try:
            with open(path + ".json", "rb") as file:
                size = msgspec.json.decode(file.read(), type=Record).size
            os.unlink(path + ".json")
        except (FileNotFoundError, msgspec.DecodeError):
            size = 0
        self._trash.discard(path)
        self._trash.discard(scaffold_of(path))
        return size


class _Watched:
    """A stream whose reader is told how far it is, not more often than every few megabytes."""

    _STEP = 4 << 20

    def __init__(self, stream: Readable, tell: Callable[[int], None]) -> None:
        self._stream, self._tell = stream, tell
        self._done = self._told = 0
        tell(0)

    def read(self, size: int, /) -> bytes:
        data = self._stream.read(size)
        self._done += len(data)
        if self._done - self._told >= self._STEP or (not data and self._done > self._told):
            self._told = self._done
            self._tell(self._done)
        return data


class _Digesting:
    """A stream that is hashed as it is read."""

    def __init__(self, stream: Readable) -> None:
        self._stream = stream
        self._hash = hashlib.sha256()

    def read(self, size: int, /) -> bytes:
        data = self._stream.read(size)
        self._hash.update(data)
        return data

    @property
    def digest(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"


def _adopt_implied(target: str, unpacked: Unpacked, below: Sequence[Layer]) -> None:
    """Directories the archive did not describe look as they did below: a bare ``tmp/x`` must not close /tmp."""
    stack = [os.fsencode(layer.path) for layer in reversed(below)]
    for path in sorted(unpacked.implied, reverse=True):
        here = posixpath.join(os.fsencode(target), path)
        original = merged.find(stack, path) if stack else None
        if original is not None and stat.S_ISDIR(original.st_mode):
            scaffold.imitate(here, original)
        elif not path:
            os.chmod(here, scaffold.ROOT_MODE)


def write_whole(path: str, data: bytes) -> None:
    """The file appears complete or not at all."""
    with open(f"{path}.new", "wb") as file:
        file.write(data)
    os.rename(f"{path}.new", path)


def write_durably(path: str, data: bytes) -> None:
    """The file has the old content or the new, whatever happens, and the new once this returns."""
    temporary = f"{path}.new"
    with open(temporary, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.rename(temporary, path)
    directory = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
