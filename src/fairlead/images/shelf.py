"""Where images lie: blobs, unpacked layers and the catalogue, kept consistent with each other.

An image is in the catalogue only when its config and all its layers are there; what nothing refers to is collected
when no transfer is under way.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from fairlead.errors import EngineError, InvalidArgument, NotFound
from fairlead.images import document, reference
from fairlead.images.blobs import Blobs
from fairlead.images.layers import Layer, Layers, Seen, chain_ids
from fairlead.images.records import Catalog, ImageRecord, Records
from fairlead.images.reference import Reference
from fairlead.images.removal import Outcome
from fairlead.images.rootfs import lowers_in
from fairlead.images.trash import Trash
from fairlead.model.image import Image
from fairlead.model.views import Deleted, Removal

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """An image whose blobs have come: its config's digest and its layers' blobs, lowest first, and its names."""

    config: str
    blobs: tuple[str, ...]
    names: tuple[Reference, ...] = ()
    parent: str = ""


class Shelf:
    """One data root's images. Safe to use from several threads."""

    def __init__(self, data_root: str) -> None:
        self.root = os.path.join(data_root, "images")
        self._containers = os.path.join(data_root, "containers")
        self.trash = Trash(os.path.join(data_root, "trash"))
        self.blobs = Blobs(self.root)
        self.layers = Layers(self.root, self.blobs, self.trash)
        self.records = Records(self.root)
        self._transfers = 0
        self._lock = threading.Lock()
        self._bare: dict[str, Image] = {}
        self.images: Mapping[str, Image] = {}
        self.refresh()

    # -- looking ----------------------------------------------------------------------------------------------------

    def find(self, ref: str) -> Image:
        """By name, name@digest, id or unique beginning of an id; raises NotFound in Docker's words."""
        return self.resolve(ref)[0]

    def resolve(self, ref: str) -> tuple[Image, str]:
        """The image and the name in the catalogue that it was found by, "" when by its id."""
        if reference.is_hex_id(ref) or reference.is_digest(ref):
            identifier = f"sha256:{ref.removeprefix('sha256:')}"
            if (image := self.images.get(identifier)) is not None:
                return image, ""
            raise NotFound(f"No such image: {identifier}")
        parsed = reference.parse(ref)
        if (image := self.images.get(self.records.catalog.names.get(parsed.key(), ""))) is not None:
            return image, parsed.key()
        if (image := self._by_prefix(ref)) is not None:
            return image, ""
        raise NotFound(f"No such image: {parsed.with_default_tag().familiar}")

    def _by_prefix(self, ref: str) -> Image | None:
        prefix = f"sha256:{ref.removeprefix('sha256:')}"
        found = [image for identifier, image in self.images.items() if identifier.startswith(prefix)]
        return found[0] if len(found) == 1 else None

    # -- changing ---------------------------------------------------------------------------------------------------

    @contextmanager
    def transfer(self) -> Iterator[None]:
        """Nothing is collected meanwhile: blobs and layers may be there before what refers to them."""
        with self._lock:
            self._transfers += 1
        try:
            yield
        finally:
            with self._lock:
                self._transfers -= 1
            self.collect()

    def place(self, arrival: Arrival, seen: Seen | None = None, ready: Callable[[int], None] = lambda _: None) -> Image:
        """Unpack what is not unpacked yet and enter the image into the catalogue. Call within a transfer.

        ``ready`` returns when the blob of that position has come.
        """
        described = self._document(arrival.config)
        diff_ids = described.rootfs.diff_ids
        if len(diff_ids) != len(arrival.blobs):
            raise InvalidArgument(
                f"invalid manifest, layers length mismatch: expected {len(diff_ids)}, got {len(arrival.blobs)}",
            )
        layers: list[Layer] = []
        for position, (chain_id, diff_id) in enumerate(zip(chain_ids(diff_ids), diff_ids, strict=True)):
            ready(position)
            blob = arrival.blobs[position]
            layers.append(self.layers.ensure(chain_id, diff_id, layers, blob, seen))
        self._bare[arrival.config] = _image(arrival.config, described, layers)
        self.change(lambda catalog: _entered(catalog, arrival))
        return self.images[arrival.config]

    def change(self, edit: Callable[[Catalog], Catalog]) -> None:
        self.records.change(edit)
        self.refresh()

    def remove(self, edit: Callable[[Catalog], Outcome]) -> list[Removal]:
        """Take away what ``edit`` decides; layers that go with an image are told behind it."""
        outcomes: list[Outcome] = []
        before = self.images

        def decide(catalog: Catalog) -> Catalog:
            outcomes.append(edit(catalog))
            return outcomes[-1].catalog

        self.change(decide)
        removals = list(self._with_layers(outcomes[-1].removals, before))
        self.collect()
        return removals

    def _with_layers(self, removals: Sequence[Removal], before: Mapping[str, Image]) -> Iterator[Removal]:
        kept = {path for image in self.images.values() for path in image.layers} | self._used_by_containers()
        for removal in removals:
            yield removal
            if isinstance(removal, Deleted) and (image := before.get(removal.id)) is not None:
                self._bare.pop(image.id, None)
                for chain_id, path in reversed(tuple(zip(image.chain_ids, image.layers, strict=True))):
                    if path not in kept:
                        kept.add(path)
                        yield Deleted(chain_id)

    def refresh(self) -> None:
        """Make ``images`` say what the catalogue says."""
        catalog = self.records.catalog
        names: dict[str, list[str]] = {}
        for name, target in sorted(catalog.names.items()):
            names.setdefault(target, []).append(name)
        images = {}
        for identifier, record in catalog.images.items():
            if (bare := self._get_bare(identifier)) is not None:
                images[identifier] = _named(bare, record, names.get(identifier, ()))
        self.images = images

    def tidy(self) -> None:
        """At start: what a run that was killed left half-done."""
        self.blobs.forget_incoming(self.trash)
        self.collect()
        self.trash.sweep()

    def collect(self) -> int:
        """Remove blobs and layers that no image and no container's root needs, unless a transfer is under way."""
        with self._lock:
            if self._transfers:
                return 0
            catalog = self.records.catalog
            blobs = {digest for record in catalog.images.values() for digest in record.blobs} | set(catalog.images)
            layers = {path for image in self.images.values() for path in image.layers}
            return self.blobs.sweep(blobs) + self.layers.sweep(layers | self._used_by_containers())

    def _used_by_containers(self) -> set[str]:
        """Layers under the roots of containers, whose images may be gone."""
        used: set[str] = set()
        if not os.path.isdir(self._containers):
            return used
        for container in os.scandir(self._containers):
            used.update(lowers_in(container.path))
        return used

    def _document(self, config: str) -> document.Document:
        return document.parse(self.blobs.read(config))

    def _get_bare(self, identifier: str) -> Image | None:
        """The image without its names, from what is on disk; None when some of it was lost."""
        if (bare := self._bare.get(identifier)) is not None:
            return bare
        try:
            described = self._document(identifier)
            layers = [self._layer(chain_id) for chain_id in chain_ids(described.rootfs.diff_ids)]
        except (OSError, EngineError) as error:
            log.warning("image %s cannot be used: %s", identifier, error)
            return None
        self._bare[identifier] = _image(identifier, described, layers)
        return self._bare[identifier]

    def layer_sizes(self) -> dict[str, int]:
        """Bytes by directory, of all layers of all images."""
        return {
            path: layer.size
            for image in self.images.values()
            for path, chain_id in zip(image.layers, image.chain_ids, strict=True)
            if (layer := self.layers.get(chain_id)) is not None
        }

    def _layer(self, chain_id: str) -> Layer:
        layer = self.layers.get(chain_id)
        if layer is None:
            raise NotFound(f"layer {chain_id} is missing")
        return layer


def _entered(catalog: Catalog, arrival: Arrival) -> Catalog:
    now = time.time_ns()
    old = catalog.images.get(arrival.config)
    record = ImageRecord(
        blobs=arrival.blobs,
        parent=arrival.parent or (old.parent if old else ""),
        tagged=now if arrival.names or old is None else old.tagged,
    )
    names = {name.key(): arrival.config for name in arrival.names}
    return Catalog(images={**catalog.images, arrival.config: record}, names={**catalog.names, **names})


def _image(identifier: str, described: document.Document, layers: Sequence[Layer]) -> Image:
    return Image(
        id=identifier,
        created=described.created,
        architecture=described.architecture,
        os=described.os,
        variant=described.variant,
        config=described.config,
        author=described.author,
        comment=described.comment,
        docker_version=described.docker_version,
        size=sum(layer.size for layer in layers),
        diff_ids=described.rootfs.diff_ids,
        chain_ids=tuple(layer.chain_id for layer in layers),
        layers=tuple(layer.path for layer in layers),
        history=document.history_entries(described, [layer.size for layer in layers]),
        labels=described.config.labels or {},
    )


def _named(image: Image, record: ImageRecord, names: Iterable[str]) -> Image:
    references = [reference.parse(name) for name in names]
    return replace(
        image,
        tags=tuple(name.familiar for name in references if not name.digest),
        digests=tuple(name.familiar for name in references if name.digest),
        last_tagged=record.tagged,
        parent=record.parent,
    )
