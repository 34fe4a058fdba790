"""Images made here: from a tar of a root file system, or from what a container changed."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from typing import BinaryIO

import msgspec

from fairlead.errors import InvalidArgument
from fairlead.images import document, manifest, reference
from fairlead.images.blobs import Blobs
from fairlead.images.compression import plain
from fairlead.images.document import Document, History, RootFsDigests
from fairlead.images.instructions import apply
from fairlead.images.reference import Reference
from fairlead.images.shelf import Arrival, Shelf
from fairlead.images.tarread import Readable
from fairlead.model.container import Config
from fairlead.model.image import Image
from fairlead.model.requests import CommitSpec, ImportSpec

_BUFFER = 1 << 20

Write = Callable[[BinaryIO], None]

# The digest of a tar archive without members: a commit of a container that changed nothing adds no layer.
EMPTY_TAR = "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"


def import_(shelf: Shelf, stream: Readable, spec: ImportSpec) -> Image:
    """The layer is kept uncompressed: its digest is its diff id then."""
    names = _names(spec.ref)
    config = apply(Config(), spec.changes)
    platform = manifest.parse_platform(spec.platform)
    if platform.os != "linux":
        raise InvalidArgument(f'operating system "{platform.os}" is not supported')
    with shelf.transfer():
        with plain(stream) as content:
            layer = shelf.blobs.copy(content)
        created = document.rfc3339(time.time_ns())
        described = Document(
            architecture=platform.architecture,
            os=platform.os,
            variant=platform.variant,
            created=created,
            comment=spec.message,
            config=config,
            history=(History(created=created, comment=spec.message),),
            rootfs=RootFsDigests(diff_ids=(layer,)),
        )
        identifier = shelf.blobs.add(document.render(described))
        return shelf.place(Arrival(config=identifier, blobs=(layer,), names=names))


def commit(shelf: Shelf, parent: Image | None, layer: Write, spec: CommitSpec, created_by: str) -> Image:
    """The parent with one more layer."""
    names = _names(spec.ref)
    config = apply(spec.config or Config(), spec.changes)
    with shelf.transfer():
        base, below = _base(shelf, parent)
        added = _layer(shelf.blobs, layer)
        identifier = shelf.blobs.add(document.render(_extended(base, config, added, spec, created_by)))
        return shelf.place(
            Arrival(
                config=identifier,
                blobs=(*below, *added),
                names=names,
                parent=parent.id if parent else "",
            ),
        )


def _base(shelf: Shelf, parent: Image | None) -> tuple[Document, tuple[str, ...]]:
    """The parent's document and the blobs of its layers; raises NotFound when it has gone."""
    if parent is None:
        here = manifest.here()
        return Document(architecture=here.architecture, os=here.os), ()
    shelf.find(parent.id)
    return document.parse(shelf.blobs.read(parent.id)), shelf.records.catalog.images[parent.id].blobs


def _layer(blobs: Blobs, write: Write) -> tuple[str, ...]:
    """The new layer's blob, or none where it would be empty."""
    with blobs.incoming() as incoming:
        with io.BufferedWriter(incoming, _BUFFER) as file:
            write(file)
        return () if incoming.digest == EMPTY_TAR else (incoming.keep(),)


def _extended(base: Document, config: Config, added: tuple[str, ...], spec: CommitSpec, created_by: str) -> Document:
    created = document.rfc3339(time.time_ns())
    line = History(
        created=created,
        created_by=created_by,
        author=spec.author,
        comment=spec.comment,
        empty_layer=not added,
    )
    return msgspec.structs.replace(
        base,
        created=created,
        author=spec.author,
        comment=spec.comment,
        config=config,
        history=(*base.history, line),
        rootfs=RootFsDigests(diff_ids=(*base.rootfs.diff_ids, *added)),
    )


def _names(ref: str) -> tuple[Reference, ...]:
    return (reference.parse_tag(ref, ""),) if ref else ()
