"""Volumes: requests -> model, model -> inspect and list."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from fairlead.model.container import StrMap
from fairlead.model.requests import VolumeSpec
from fairlead.model.views import VolumeUsage
from fairlead.model.volume import Volume
from fairlead.wire import body
from fairlead.wire.times import rfc3339


class VolumeCreateBody(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    name: str = ""
    driver: str = ""
    driver_opts: StrMap = {}
    labels: StrMap = {}


def parse_create(text: bytes) -> VolumeSpec:
    """POST /volumes/create; an empty body asks for an anonymous volume, as in Docker."""
    given = body.parse(text, VolumeCreateBody)
    return VolumeSpec(
        name=given.name,
        driver=given.driver or "local",
        options=given.driver_opts,
        labels=given.labels,
    )


def volume(item: Volume) -> dict[str, Any]:
    """A volume as inspect and create show it."""
    return {
        "CreatedAt": rfc3339(item.created // 1_000_000_000 * 1_000_000_000),
        "Driver": item.driver,
        "Labels": dict(item.labels) or None,
        "Mountpoint": item.mountpoint,
        "Name": item.name,
        "Options": dict(item.options) or None,
        "Scope": "local",
    }


def volume_list(volumes: Iterable[Volume], warnings: Sequence[str] = ()) -> dict[str, Any]:
    return {"Volumes": [volume(item) for item in volumes], "Warnings": list(warnings) or None}


def volume_usage(usage: VolumeUsage) -> dict[str, Any]:
    """A volume in GET /system/df."""
    return volume(usage.volume) | {"UsageData": {"RefCount": usage.references, "Size": usage.size}}
