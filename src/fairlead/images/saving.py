"""``docker save``: an archive that ``docker load`` and OCI tools read alike.

It is an OCI layout with Docker's manifest.json beside it, as dockerd has written since version 25. Layers are stored as
they came, so that the same image is the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fairlead.errors import NotFound
from fairlead.images import manifest, reference
from fairlead.images.compression import kind_of
from fairlead.images.reference import Reference
from fairlead.images.shelf import Shelf
from fairlead.images.tarwrite import TarWriter, Writable
from fairlead.model.image import Image

_LAYER_SUFFIXES = {"gzip": "+gzip", "zstd": "+zstd"}


@dataclass(slots=True)
class Picked:
    """An image to save and the names it goes by in the archive."""

    image: Image
    blobs: tuple[str, ...]
    names: list[Reference] = field(default_factory=list)


def pick(shelf: Shelf, refs: Sequence[str]) -> list[Picked]:
    """The images: a name brings its tag along, a repository all its tags, an id none. Raises NotFound."""
    picked: dict[str, Picked] = {}
    for ref in refs:
        for image, name in _meant(shelf, ref):
            record = shelf.records.catalog.images.get(image.id)
            if record is None:
                raise NotFound(f"No such image: {ref}")
            entry = picked.setdefault(image.id, Picked(image, record.blobs))
            if name is not None and name not in entry.names:
                entry.names.append(name)
    return list(picked.values())


def _meant(shelf: Shelf, ref: str) -> list[tuple[Image, Reference | None]]:
    if not reference.is_hex_id(ref) and not reference.is_digest(ref):
        parsed = reference.parse(ref)
        names = shelf.records.catalog.names
        if not parsed.tag and not parsed.digest:
            tagged = [reference.parse(name) for name in sorted(names) if name.startswith(parsed.name + ":")]
            if tagged:
                return [(shelf.images[names[name.key()]], name) for name in tagged if names[name.key()] in shelf.images]
        if parsed.tag and not parsed.digest and parsed.key() in names:
            return [(shelf.find(ref), parsed)]
    return [(shelf.find(ref), None)]


def save(shelf: Shelf, picked: Sequence[Picked], out: Writable) -> None:
    """Write the archive; call within a transfer."""
    writer = TarWriter(out)
    writer.content(b"oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
    written: set[str] = set()
    index, docker = [], []
    for one in picked:
        for digest in (*one.blobs, one.image.id):
            _blob(shelf, writer, digest, written)
        raw = _manifest(shelf, one)
        digest = f"sha256:{hashlib.sha256(raw).hexdigest()}"
        if digest not in written:
            written.add(digest)
            writer.content(_path(digest).encode(), raw)
        index += _index_entries(one, digest, len(raw))
        docker.append(_docker_entry(one))
    writer.content(b"index.json", _json({"schemaVersion": 2, "mediaType": manifest.OCI_INDEX, "manifests": index}))
    writer.content(b"manifest.json", _json(docker))
    if repositories := _repositories(picked):
        writer.content(b"repositories", _json(repositories))
    writer.finish()


def _blob(shelf: Shelf, writer: TarWriter, digest: str, written: set[str]) -> None:
    if digest not in written:
        written.add(digest)
        with shelf.blobs.open(digest) as file:
            writer.file(_path(digest).encode(), file.fileno(), shelf.blobs.size(digest))


def _manifest(shelf: Shelf, one: Picked) -> bytes:
    layers = [_descriptor(_layer_type(shelf, blob), blob, shelf.blobs.size(blob)) for blob in one.blobs]
    config = _descriptor(manifest.OCI_CONFIG, one.image.id, shelf.blobs.size(one.image.id))
    return _json({"schemaVersion": 2, "mediaType": manifest.OCI_MANIFEST, "config": config, "layers": layers})


def _layer_type(shelf: Shelf, blob: str) -> str:
    with shelf.blobs.open(blob) as file:
        return manifest.OCI_LAYER + _LAYER_SUFFIXES.get(kind_of(file.read(8)), "")


def _index_entries(one: Picked, digest: str, size: int) -> list[dict[str, Any]]:
    entry = _descriptor(manifest.OCI_MANIFEST, digest, size)
    named = [
        {
            **entry,
            "annotations": {"io.containerd.image.name": name.full, "org.opencontainers.image.ref.name": name.tag},
        }
        for name in one.names
    ]
    return named or [entry]


def _docker_entry(one: Picked) -> dict[str, Any]:
    return {
        "Config": _path(one.image.id),
        "RepoTags": [name.familiar for name in one.names] or None,
        "Layers": [_path(blob) for blob in one.blobs],
    }


def _repositories(picked: Sequence[Picked]) -> Mapping[str, Mapping[str, str]]:
    """What ``docker load`` of before 1.10 read; some tools still look."""
    found: dict[str, dict[str, str]] = {}
    for one in picked:
        for name in one.names:
            found.setdefault(name.familiar_name, {})[name.tag] = one.image.id.removeprefix("sha256:")
    return found


def _descriptor(media_type: str, digest: str, size: int) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest, "size": size}


def _path(digest: str) -> str:
    return "blobs/" + digest.replace(":", "/")


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
