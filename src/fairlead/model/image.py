"""Images as the rest of the engine sees them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from fairlead.model.container import Config


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryEntry:
    """One line of ``docker history``; ``created`` in seconds since the epoch, ``size`` in bytes."""

    created: int = 0
    created_by: str = ""
    author: str = ""
    comment: str = ""
    empty_layer: bool = False
    size: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An image in the store. ``id`` is the config's digest ``sha256:…``; ``created`` is RFC 3339 as the config has it.

    ``layers`` are the unpacked layers' directories, lowest first (ready for overlayfs); ``diff_ids`` and ``chain_ids``
    are their digests in the same order. ``tags`` are familiar names with tag (``busybox:latest``), ``digests`` are
    ``name@sha256:…``. ``parent`` is the image it was committed from, "" for one that came from elsewhere.
    """

    id: str
    created: str
    architecture: str
    os: str
    config: Config
    variant: str = ""
    author: str = ""
    comment: str = ""
    docker_version: str = ""
    size: int = 0
    diff_ids: tuple[str, ...] = ()
    chain_ids: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    digests: tuple[str, ...] = ()
    history: tuple[HistoryEntry, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    last_tagged: int = 0
    parent: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """One line of a transfer's progress, as Docker's JSON stream shows it; sizes in bytes."""

    status: str = ""
    id: str = ""
    current: int | None = None
    total: int | None = None
    stream: str = ""
    error: str = ""
    aux: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What a registry has under a name; ``platforms`` are (os, architecture, variant)."""

    digest: str
    media_type: str
    size: int
    platforms: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryAuth:
    """Credentials for a registry, from X-Registry-Auth."""

    username: str = ""
    password: str = ""
    identity_token: str = ""
    registry_token: str = ""
    server: str = ""
