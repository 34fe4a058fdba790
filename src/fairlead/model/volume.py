"""Volumes: named directories that outlive containers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """A volume of the local driver; ``created`` in nanoseconds, ``mountpoint`` absolute.

    With ``options`` type/device/o the mountpoint is a mount made while a container uses the volume.
    """

    name: str
    mountpoint: str
    created: int
    driver: str = "local"
    options: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    anonymous: bool = False
