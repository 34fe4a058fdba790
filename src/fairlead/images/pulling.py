"""``docker pull``: what is not here comes from a registry, three layers at a time, and is unpacked as it comes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

from fairlead.errors import InvalidArgument
from fairlead.images import document, manifest
from fairlead.images.layers import chain_ids
from fairlead.images.manifest import Descriptor, Manifest
from fairlead.images.reference import Reference
from fairlead.images.shelf import Arrival, Shelf
from fairlead.images.skopeo import Blobs, Registry, SkopeoError
from fairlead.images.streams import Report
from fairlead.model.image import Offer, Progress

_PARALLEL = 3  # Docker's max-concurrent-downloads
_STEP = 1 << 19
_MAX_DOCUMENT = 16 << 20


def pull(shelf: Shelf, registry: Registry, ref: Reference, platform: str, report: Report) -> None:
    """Fetch the image for the platform and give it its name; raises EngineError in Docker's words."""
    ref = ref.with_default_tag()
    raw = registry.manifest(ref)
    # Not before the registry has answered: until then a failure is the whole call's.
    report(Progress(status=f"Pulling from {ref.path}", id=ref.tag or ref.digest))
    digest = f"sha256:{hashlib.sha256(raw).hexdigest()}"
    if ref.digest and ref.digest != digest:
        raise InvalidArgument(f"manifest verification failed for digest {ref.digest}")
    chosen, wanted = _image_manifest(registry, ref, raw, platform)
    names = tuple({name.key(): name for name in (ref, replace(ref, tag="", digest=digest))}.values())
    known = {name: shelf.records.catalog.names.get(name.key()) for name in names}
    with shelf.transfer(), registry.image(replace(ref, tag="", digest=wanted)) as source:
        pulling = _Pulling(shelf, source, chosen, report)
        image = pulling.run(names)
    report(Progress(status=f"Digest: {digest}"))
    news = "Image is up to date for" if set(known.values()) == {image} else "Downloaded newer image for"
    report(Progress(status=f"Status: {news} {ref.familiar}"))


def pull_all(shelf: Shelf, registry: Registry, ref: Reference, platform: str, report: Report) -> None:
    """The same for every tag of the repository."""
    for tag in registry.tags(ref):
        pull(shelf, registry, replace(ref, tag=tag), platform, report)


def look_up(registry: Registry, ref: Reference) -> Offer:
    """What the registry has under the name, without fetching it."""
    ref = ref.with_default_tag()
    raw = registry.manifest(ref)
    parsed = manifest.parse_manifest(_json(raw))
    return Offer(
        digest=f"sha256:{hashlib.sha256(raw).hexdigest()}",
        media_type=parsed.media_type or (manifest.OCI_INDEX if parsed.manifests else manifest.OCI_MANIFEST),
        size=len(raw),
        platforms=tuple(_platforms(registry, ref, parsed)),
    )


def _platforms(registry: Registry, ref: Reference, parsed: Manifest) -> Iterator[tuple[str, str, str]]:
    for one in parsed.manifests:
        if one.platform is not None:
            yield one.platform.os, one.platform.architecture, one.platform.variant
    if not parsed.manifests and parsed.is_image and parsed.config.size <= _MAX_DOCUMENT:
        config = bytearray()
        with registry.image(ref) as source:
            source.read(parsed.config.digest, parsed.config.size, config.extend)
        described = document.parse(bytes(config))
        yield described.os, described.architecture, described.variant


def _image_manifest(registry: Registry, ref: Reference, raw: bytes, platform: str) -> tuple[Manifest, str]:
    """The manifest of one platform's image, and its digest."""
    for _ in range(4):
        parsed = manifest.parse_manifest(_json(raw))
        if not parsed.manifests:
            if not parsed.is_image:
                raise InvalidArgument(f"{ref.familiar} is not a container image")
            return parsed, f"sha256:{hashlib.sha256(raw).hexdigest()}"
        raw = registry.manifest(replace(ref, tag="", digest=manifest.choose(parsed, platform).digest))
    raise InvalidArgument("invalid manifest: indexes of indexes without end")


def _json(raw: bytes) -> object:
    try:
        parsed: object = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise InvalidArgument(f"invalid manifest: {error}") from error
    return parsed


class _Pulling:
    """One image on its way."""

    def __init__(self, shelf: Shelf, source: Blobs, wanted: Manifest, report: Report) -> None:
        self._shelf, self._source, self._wanted, self._report = shelf, source, wanted, report
        self._shorts = [layer.digest.removeprefix("sha256:")[:12] for layer in wanted.layers]

    def run(self, names: Sequence[Reference]) -> str:
        """The image's id, when it is complete."""
        config = self._wanted.config
        if config.size > _MAX_DOCUMENT:
            raise InvalidArgument(f"image config of {config.size} bytes")
        if not self._shelf.blobs.has(config.digest):
            self._fetch(config, "")
        diff_ids = document.parse(self._shelf.blobs.read(config.digest)).rootfs.diff_ids
        if len(diff_ids) != len(self._wanted.layers):
            raise InvalidArgument("layers from manifest don't match image configuration")
        blobs = self._here(diff_ids)
        with self._downloads(blobs) as downloads:
            complete = tuple(blob or layer.digest for blob, layer in zip(blobs, self._wanted.layers, strict=True))
            arrival = Arrival(config=config.digest, blobs=complete, names=tuple(names))
            positions = {diff_id: position for position, diff_id in enumerate(diff_ids)}

            def ready(position: int) -> None:
                if position:
                    self._tell(position - 1, "Pull complete", blobs)
                if (download := downloads[position]) is not None:
                    download.result()

            def seen(diff_id: str, done: int, total: int) -> None:
                self._progress("Extracting", self._shorts[positions[diff_id]], done, total)

            self._shelf.place(arrival, seen, ready)
        self._tell(len(blobs) - 1, "Pull complete", blobs)
        return config.digest

    def _tell(self, position: int, status: str, blobs: Sequence[str | None]) -> None:
        if position >= 0 and blobs[position] is None:
            self._report(Progress(status=status, id=self._shorts[position]))

    def _here(self, diff_ids: Sequence[str]) -> list[str | None]:
        """For every layer a blob that is here already: its own, or another one that unpacks to the same."""
        same: dict[str, str] = {}
        for identifier, record in self._shelf.records.catalog.images.items():
            if (image := self._shelf.images.get(identifier)) is not None:
                same.update(zip(image.chain_ids, record.blobs, strict=True))
        found = []
        for chain_id, layer in zip(chain_ids(diff_ids), self._wanted.layers, strict=True):
            found.append(layer.digest if self._shelf.blobs.has(layer.digest) else same.get(chain_id))
        return found

    @contextmanager
    def _downloads(self, blobs: Sequence[str | None]) -> Iterator[list[Future[None] | None]]:
        for short, blob in zip(self._shorts, blobs, strict=True):
            self._report(Progress(status="Pulling fs layer" if blob is None else "Already exists", id=short))
        pool = ThreadPoolExecutor(_PARALLEL, "image-layer")
        started: dict[str, Future[None]] = {}
        downloads: list[Future[None] | None] = []
        try:
            for short, blob, layer in zip(self._shorts, blobs, self._wanted.layers, strict=True):
                if blob is None and layer.digest not in started:
                    started[layer.digest] = pool.submit(self._fetch, layer, short)
                downloads.append(started.get(layer.digest))
            yield downloads
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _fetch(self, wanted: Descriptor, short: str) -> None:
        """A blob into the store, told of under ``short``; its digest is checked at both ends of the pipe."""
        told = 0
        with self._shelf.blobs.incoming() as incoming:

            def take(data: bytes) -> None:
                nonlocal told
                incoming.write(data)
                if short and incoming.size - told >= _STEP:
                    told = incoming.size
                    self._progress("Downloading", short, told, wanted.size)

            self._source.read(wanted.digest, wanted.size, take)
            if incoming.digest != wanted.digest:
                raise SkopeoError(f"filesystem layer verification failed for digest {wanted.digest}")
            incoming.keep()
        if short:
            self._report(Progress(status="Download complete", id=short))

    def _progress(self, status: str, short: str, current: int, total: int) -> None:
        self._report(Progress(status=status, id=short, current=current, total=total))
