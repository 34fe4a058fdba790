"""The images of one engine: what its verbs do, each in a thread where it may block.

Looking (``list``, ``find``, ``history``) is immediate; everything else is awaited or iterated over.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from fairlead.images import document, loading, making, manifest, pulling, reference, removal, saving
from fairlead.images.making import Write
from fairlead.images.records import Catalog, ImageRecord
from fairlead.images.shelf import Shelf
from fairlead.images.skopeo import Registry
from fairlead.images.streams import Feed, Report, in_thread, narrated, produced
from fairlead.model.image import HistoryEntry, Image, Offer, Progress, RegistryAuth
from fairlead.model.requests import CommitSpec, ImportSpec
from fairlead.model.views import ImagesPruned, Removal
from fairlead.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What images cost on disk, in bytes; ``shared`` is by image id."""

    layers_size: int
    shared: Mapping[str, int]


class ImageStore:
    """Images under ``<data root>/images``."""

    def __init__(self, shelf: Shelf, settings: Settings) -> None:
        self._shelf, self._settings = shelf, settings

    @classmethod
    def open(cls, data_root: str, settings: Settings | None = None) -> ImageStore:
        """Opens or makes it; what an earlier run left half-done is removed."""
        shelf = Shelf(data_root)
        shelf.tidy()
        return cls(shelf, settings or Settings(data_root=data_root))

    # -- looking ----------------------------------------------------------------------------------------------------

    def list(self) -> Sequence[Image]:
        """All images, the youngest first."""
        return sorted(self._shelf.images.values(), key=lambda image: document.seconds(image.created), reverse=True)

    def find(self, ref: str) -> Image:
        """By name, name@digest, id or unique beginning of an id; raises NotFound or InvalidArgument."""
        return self._shelf.find(ref)

    def history(self, ref: str) -> Sequence[HistoryEntry]:
        """The youngest line first."""
        return self.find(ref).history[::-1]

    # -- names ------------------------------------------------------------------------------------------------------

    async def tag(self, ref: str, repository: str, tag: str = "") -> Image:
        """Give an image one more name, taking it from whichever had it."""
        image = self.find(ref)
        name = reference.parse_tag(repository, tag)

        def edit(catalog: Catalog) -> Catalog:
            record = catalog.images.get(image.id)
            if record is None:
                self.find(image.id)  # gone meanwhile: says so
                return catalog
            images = {
                **catalog.images,
                image.id: ImageRecord(blobs=record.blobs, parent=record.parent, tagged=time.time_ns()),
            }
            return Catalog(images=images, names={**catalog.names, name.key(): image.id})

        await in_thread(lambda: self._shelf.change(edit), "image-tag")
        return self.find(image.id)

    # -- removing ---------------------------------------------------------------------------------------------------

    async def remove(
        self, ref: str, *, force: bool = False, prune: bool = True, users: removal.Users | None = None
    ) -> Sequence[Removal]:
        """Take a name off, or an image away with its untagged parents; raises Conflict, in Docker's words."""
        image, name = self._shelf.resolve(ref)
        asked = removal.Request(image=image.id, name=name, ref=ref, force=force, prune=prune)
        return await in_thread(
            lambda: self._shelf.remove(lambda catalog: removal.remove(catalog, asked, users or {})),
            "image-remove",
        )

    async def prune(self, images: Sequence[Image], users: removal.Users) -> ImagesPruned:
        """Remove those of ``images`` that no container and no other image needs."""
        identifiers = [image.id for image in images]
        before = self._layers_size()
        removals = await in_thread(
            lambda: self._shelf.remove(lambda catalog: removal.prune_images(catalog, identifiers, users)),
            "image-prune",
        )
        return ImagesPruned(removals=tuple(removals), space=before - self._layers_size())

    def _layers_size(self) -> int:
        return sum(self._shelf.layer_sizes().values())

    async def usage(self) -> Usage:
        """Bytes of all layers, each once, and for every image those it shares with others."""
        sizes = await in_thread(self._shelf.layer_sizes, "image-usage")
        owners = Counter(path for image in self._shelf.images.values() for path in image.layers)
        shared = {
            image.id: sum(sizes.get(path, 0) for path in image.layers if owners[path] > 1)
            for image in self._shelf.images.values()
        }
        return Usage(layers_size=sum(sizes.values()), shared=shared)

    # -- bringing in ------------------------------------------------------------------------------------------------

    def load(
        self, stream: AsyncIterator[bytes], *, quiet: bool = False, platform: str = ""
    ) -> AsyncGenerator[Progress]:
        """Take in the images of an archive; the last lines tell their names. Raises InvalidArgument for other bytes."""
        feed = Feed(stream, asyncio.get_running_loop())
        return narrated(lambda report: loading.load(self._shelf, feed, platform, report, quiet=quiet), "image-load")

    def pull(
        self, ref: str, platform: str = "", auth: RegistryAuth | None = None, *, all_tags: bool = False
    ) -> AsyncGenerator[Progress]:
        """Fetch an image, or all of a repository, from its registry. Raises InvalidArgument at once for a bad name."""
        parsed = reference.parse(ref)
        manifest.parse_platform(platform)
        registry = Registry(parsed.domain, auth, self._settings)

        def fetch(report: Report) -> None:
            with registry:
                (pulling.pull_all if all_tags else pulling.pull)(self._shelf, registry, parsed, platform, report)

        return narrated(fetch, "image-pull", registry.close)

    async def look_up(self, ref: str, auth: RegistryAuth | None = None) -> Offer:
        """What the registry has under a name; raises EngineError in Docker's words."""
        parsed = reference.parse(ref)
        with Registry(parsed.domain, auth, self._settings) as registry:
            return await in_thread(lambda: pulling.look_up(registry, parsed), "registry-look-up")

    async def login(self, auth: RegistryAuth) -> None:
        """Raises Unauthorized when the registry does not take these credentials."""
        domain = reference.check_domain((auth.server.partition("://")[2] or auth.server).partition("/")[0])
        with Registry(domain, None, self._settings) as registry:
            await in_thread(lambda: registry.login(auth), "registry-login")

    def save(self, refs: Sequence[str]) -> AsyncGenerator[bytes]:
        """An archive of these images. Raises NotFound at once for one that is not here."""
        picked = saving.pick(self._shelf, refs)

        def write(out: BinaryIO) -> None:
            with self._shelf.transfer():
                saving.save(self._shelf, picked, out)

        return produced(write, "image-save")

    async def import_(self, stream: AsyncIterator[bytes], spec: ImportSpec) -> Image:
        """A root file system, as a tar that may be compressed, made an image of one layer."""
        feed = Feed(stream, asyncio.get_running_loop())
        return await in_thread(lambda: making.import_(self._shelf, feed, spec), "image-import")

    async def commit(self, parent: Image | None, layer: Write, spec: CommitSpec, created_by: str) -> Image:
        """The parent with one more layer, which ``layer`` writes as a tar; nothing is added where that is empty.

        ``spec.config`` is the new image's configuration, before ``spec.changes``.
        """
        return await in_thread(lambda: making.commit(self._shelf, parent, layer, spec, created_by), "image-commit")
