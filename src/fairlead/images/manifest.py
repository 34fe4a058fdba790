"""Manifests and indexes of registries and OCI layouts, and the choice of a platform. Values in, values out."""

from __future__ import annotations

import platform as machine
from collections.abc import Mapping
from typing import Any

import msgspec

from fairlead.errors import InvalidArgument, NotFound
from fairlead.images import reference

CONFIG_TYPES = frozenset(
    {
        "application/vnd.oci.image.config.v1+json",
        "application/vnd.docker.container.image.v1+json",
        "application/octet-stream",
    },
)
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"

# What uname calls it → what images call it.
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386", "riscv64": "riscv64"}


class Platform(msgspec.Struct, frozen=True, kw_only=True):
    architecture: str = ""
    os: str = "linux"
    variant: str = ""


class Descriptor(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    digest: str
    size: int = 0
    media_type: str = ""
    annotations: Mapping[str, str] = {}
    platform: Platform | None = None

    def __post_init__(self) -> None:
        if not reference.is_digest(self.digest):
            raise ValueError(f"{self.digest!r} is not a sha256 digest")
        if self.size < 0:
            raise ValueError("a size below zero")


_NOTHING = Descriptor(digest="sha256:" + "0" * 64)


class Manifest(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An image (``config``, ``layers``) or an index (``manifests``)."""

    media_type: str = ""
    schema_version: int = 2
    config: Descriptor = _NOTHING
    layers: tuple[Descriptor, ...] = ()
    manifests: tuple[Descriptor, ...] = ()

    @property
    def is_image(self) -> bool:
        """Not an artifact of another kind, such as a signature or an attestation."""
        return self.config is not _NOTHING and self.config.media_type in CONFIG_TYPES | {""}


def parse_manifest(raw: Any) -> Manifest:
    """Raises InvalidArgument for anything but a manifest or index of version 2."""
    if isinstance(raw, dict) and raw.get("schemaVersion", 2) != 2:
        raise InvalidArgument("manifests of schema version 1 are not supported")
    try:
        return msgspec.convert(_without_nulls(raw), Manifest)
    except (msgspec.ValidationError, RecursionError) as error:
        raise InvalidArgument(f"invalid manifest: {error}") from error


def _without_nulls(raw: Any) -> Any:
    match raw:
        case dict():
            return {key: _without_nulls(value) for key, value in raw.items() if value is not None}
        case list():
            return [_without_nulls(value) for value in raw]
        case _:
            return raw


def here() -> Platform:
    """This machine, as images name it."""
    return Platform(architecture=_ARCHITECTURES.get(machine.machine(), machine.machine()))


def parse_platform(text: str) -> Platform:
    """``os[/arch[/variant]]``; "" is this machine. Raises InvalidArgument."""
    if not text:
        return here()
    parts = text.lower().split("/")
    if len(parts) > 3 or not all(part.replace("_", "").replace(".", "").replace("-", "").isalnum() for part in parts):
        raise InvalidArgument(f'"{text}": invalid platform: expected <os>[/<architecture>[/<variant>]]')
    if len(parts) == 1:
        return here() if parts[0] == "linux" else Platform(architecture=parts[0])
    return Platform(
        os=parts[0],
        architecture=_ARCHITECTURES.get(parts[1], parts[1]),
        variant=parts[2] if len(parts) == 3 else "",
    )


def choose(index: Manifest, platform: str) -> Descriptor:
    """The image of an index for a platform, by default this machine's; raises NotFound."""
    wanted = parse_platform(platform)
    usable = [one for one in index.manifests if one.platform is None or one.platform.architecture != "unknown"]
    for one in usable:
        if one.platform is not None and _suits(one.platform, wanted):
            return one
    if len(usable) == 1 and usable[0].platform is None:
        return usable[0]
    shown = "/".join(part for part in (wanted.os, wanted.architecture, wanted.variant) if part)
    raise NotFound(f"no matching manifest for {shown} in the manifest list entries")


def _suits(offered: Platform, wanted: Platform) -> bool:
    if (offered.os, offered.architecture) != (wanted.os, wanted.architecture):
        return False
    # arm64 without a variant is v8, as everybody's normalisation has it.
    default = "v8" if wanted.architecture == "arm64" else ""
    return not wanted.variant or (offered.variant or default) == wanted.variant
