"""``docker load``: archives of images, as ``docker save`` writes them (docker-archive) or as OCI layouts.

The archive is read once, as it comes: every file in it becomes a blob, then the manifests say what is what. Blobs that
none of them names are collected afterwards.
"""

from __future__ import annotations

import json
import os
import posixpath
from collections.abc import Iterator, Mapping
from typing import Any

from fairlead.errors import InvalidArgument
from fairlead.images import reference
from fairlead.images.blobs import Blobs
from fairlead.images.compression import plain
from fairlead.images.layers import Seen
from fairlead.images.manifest import Descriptor, Manifest, choose, parse_manifest
from fairlead.images.reference import Reference
from fairlead.images.shelf import Arrival, Shelf
from fairlead.images.streams import Report
from fairlead.images.tarread import Entry, Kind, Readable, TarError, TarReader
from fairlead.model.image import Progress

_MAX_JSON = 16 << 20
_MAX_LINKS = 8
_NAME_ANNOTATIONS = ("io.containerd.image.name", "org.opencontainers.image.ref.name")


class Archive:
    """The files of an archive, by path, as digests of blobs."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._files: dict[str, str] = {}
        self._links: dict[str, str] = {}

    def read(self, stream: Readable) -> None:
        """Take in the whole stream; raises InvalidArgument when it is not a tar archive."""
        with plain(stream) as content:
            reader = TarReader(content)
            try:
                for entry in reader:
                    self._take(entry, reader)
                reader.drain()
            except TarError as error:
                raise InvalidArgument(f"Error processing tar file: {error}") from error

    def _take(self, entry: Entry, reader: TarReader) -> None:
        path = _normal(os.fsdecode(entry.name))
        match entry.kind:
            case Kind.FILE if entry.sparse is None:
                self._files[path] = self._blobs.copy(reader)
            case Kind.SYMLINK:
                self._links[path] = _normal(posixpath.join(posixpath.dirname(path), os.fsdecode(entry.link)))
            case Kind.HARDLINK:
                self._links[path] = _normal(os.fsdecode(entry.link))
            case _:
                return

    def digest(self, path: str) -> str:
        """The blob of a file; raises InvalidArgument when the archive has none of that name."""
        here = _normal(path)
        for _ in range(_MAX_LINKS):
            if here not in self._links:
                break
            here = self._links[here]
        if here not in self._files:
            raise InvalidArgument(f"invalid archive: no file {path!r}")
        return self._files[here]

    def has(self, path: str) -> bool:
        return path in self._files or path in self._links

    def json(self, path: str) -> Any:
        return self.json_blob(self.digest(path), path)

    def json_blob(self, digest: str, what: str) -> Any:
        if self._blobs.size(digest) > _MAX_JSON:
            raise InvalidArgument(f"invalid archive: {what} is too large")
        try:
            return json.loads(self._blobs.read(digest))
        except (ValueError, RecursionError) as error:
            raise InvalidArgument(f"invalid archive: {what}: {error}") from error

    def holds(self, digest: str) -> bool:
        return self._blobs.has(digest)


def load(shelf: Shelf, stream: Readable, platform: str, report: Report, *, quiet: bool) -> None:
    """Take in every image of the archive and say their names."""
    with shelf.transfer():
        archive = Archive(shelf.blobs)
        archive.read(stream)
        for arrival in arrivals(archive, platform):
            _announce_moves(shelf, arrival, report)
            image = shelf.place(arrival, None if quiet else _layer_progress(report))
            for name in arrival.names:
                report(Progress(stream=f"Loaded image: {name.familiar}\n"))
            if not arrival.names:
                report(Progress(stream=f"Loaded image ID: {image.id}\n"))


def _announce_moves(shelf: Shelf, arrival: Arrival, report: Report) -> None:
    for name in arrival.names:
        holder = shelf.records.catalog.names.get(name.key())
        if holder is not None and holder != arrival.config:
            text = f"The image {name.familiar} already exists, renaming the old one with ID {holder} to empty string\n"
            report(Progress(stream=text))


def _layer_progress(report: Report) -> Seen:
    def seen(diff_id: str, done: int, total: int) -> None:
        short = diff_id.removeprefix("sha256:")[:12]
        report(Progress(status="Loading layer", id=short, current=done, total=total))

    return seen


def arrivals(archive: Archive, platform: str) -> Iterator[Arrival]:
    """The images of the archive; raises InvalidArgument where it is not one."""
    if archive.has("manifest.json"):
        yield from _docker(archive)
    elif archive.has("index.json"):
        yield from _oci(archive, platform)
    else:
        raise InvalidArgument("invalid archive: does not contain a manifest.json or an index.json")


def _normal(path: str) -> str:
    return posixpath.normpath("/" + path).lstrip("/")


def _docker(archive: Archive) -> Iterator[Arrival]:
    listed = archive.json("manifest.json")
    if not isinstance(listed, list):
        raise InvalidArgument("invalid archive: manifest.json is not a list")
    for image in listed:
        config, layers, tags = _docker_image(image)
        yield Arrival(
            config=archive.digest(config),
            blobs=tuple(archive.digest(layer) for layer in layers),
            names=tuple(_tagged(tag) for tag in tags),
        )


def _docker_image(image: Any) -> tuple[str, list[str], list[str]]:
    if not isinstance(image, dict):
        raise InvalidArgument("invalid archive: manifest.json lists something that is no image")
    config, layers, tags = image.get("Config"), image.get("Layers") or [], image.get("RepoTags") or []
    texts = isinstance(layers, list) and isinstance(tags, list) and all(isinstance(text, str) for text in layers + tags)
    if not isinstance(config, str) or not texts:
        raise InvalidArgument("invalid archive: manifest.json lists an image without config or layers")
    return config, layers, tags


def _tagged(tag: str) -> Reference:
    parsed = reference.parse(tag)
    if parsed.digest or not parsed.tag:
        raise InvalidArgument(f"invalid tag {tag!r}")
    return reference.checked_name(parsed)


def _oci(archive: Archive, platform: str) -> Iterator[Arrival]:
    index = parse_manifest(archive.json("index.json"))
    for descriptor in index.manifests:
        manifest = _resolve(archive, descriptor, platform)
        if manifest is None:
            continue
        digests = [manifest.config.digest, *(layer.digest for layer in manifest.layers)]
        for digest in digests:
            if not archive.holds(digest):
                raise InvalidArgument(f"invalid archive: no blob {digest}")
        yield Arrival(config=digests[0], blobs=tuple(digests[1:]), names=tuple(_oci_names(descriptor.annotations)))


def _resolve(archive: Archive, descriptor: Descriptor, platform: str) -> Manifest | None:
    """The image manifest behind a descriptor, through indexes of platforms; None for attestations and the like."""
    for _ in range(_MAX_LINKS):
        if not archive.holds(descriptor.digest):
            raise InvalidArgument(f"invalid archive: no blob {descriptor.digest}")
        manifest = parse_manifest(archive.json_blob(descriptor.digest, descriptor.digest))
        if not manifest.manifests:
            return manifest if manifest.is_image else None
        descriptor = choose(manifest, platform)
    raise InvalidArgument("invalid archive: indexes of indexes without end")


def _oci_names(annotations: Mapping[str, str]) -> Iterator[Reference]:
    """A full name, or at least something that reads as one; a bare tag names nothing."""
    for key in _NAME_ANNOTATIONS:
        text = annotations.get(key, "")
        if not text or (key.startswith("org.") and not {"/", ":"} & set(text)):
            continue
        yield reference.checked_name(reference.parse(text).with_default_tag())
        return
