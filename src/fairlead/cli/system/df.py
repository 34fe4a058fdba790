"""``fairlead system df``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from fairlead.cli.command import NONE, Command, Context
from fairlead.cli.container import ps
from fairlead.cli.flags import Values, switch
from fairlead.cli.image import ls as images
from fairlead.cli.listing import Column, Listing, format_flag, render, write
from fairlead.cli.units import human_size
from fairlead.cli.volume.ls import COLUMNS as VOLUME_COLUMNS

Json = Mapping[str, Any]
_RUNNING = frozenset({"running", "paused", "restarting"})


class _Kind(NamedTuple):
    """One line of the summary."""

    type: str
    total: int
    active: int
    size: int
    reclaimable: int


def _kinds(usage: Json) -> list[_Kind]:
    return [
        _images(usage.get("Images") or [], usage.get("LayersSize") or 0),
        _containers(usage.get("Containers") or []),
        _volumes(usage.get("Volumes") or []),
        _build_cache(usage.get("BuildCache") or []),
    ]


def _images(found: Sequence[Json], layers: int) -> _Kind:
    active = [image for image in found if (image.get("Containers") or 0) > 0]
    used = sum(
        image["Size"] - image["SharedSize"]
        for image in active
        if image.get("Size", -1) != -1 and image.get("SharedSize", -1) != -1
    )
    return _Kind("Images", len(found), len(active), layers, layers - used)


def _containers(found: Sequence[Json]) -> _Kind:
    running = [container for container in found if container.get("State") in _RUNNING]
    size = sum(container.get("SizeRw") or 0 for container in found)
    return _Kind("Containers", len(found), len(running), size, size - sum(c.get("SizeRw") or 0 for c in running))


def _volumes(found: Sequence[Json]) -> _Kind:
    usage = [volume.get("UsageData") or {} for volume in found]
    size = sum(use["Size"] for use in usage if use.get("Size", -1) > 0)
    free = sum(use["Size"] for use in usage if use.get("Size", -1) > 0 and not use.get("RefCount"))
    active = sum((use.get("RefCount") or 0) > 0 for use in usage)
    return _Kind("Local Volumes", len(found), active, size, free)


def _build_cache(found: Sequence[Json]) -> _Kind:
    size = sum(entry.get("Size") or 0 for entry in found if not entry.get("Shared"))
    free = sum(entry.get("Size") or 0 for entry in found if not entry.get("Shared") and not entry.get("InUse"))
    return _Kind("Build Cache", len(found), sum(bool(entry.get("InUse")) for entry in found), size, free)


def _reclaimable(kind: _Kind) -> str:
    if kind.type == "Build Cache" or kind.size <= 0:
        return human_size(kind.reclaimable)
    return f"{human_size(kind.reclaimable)} ({kind.reclaimable * 100 // kind.size}%)"


SUMMARY = Listing(
    "formatter.diskUsageContext",
    {
        "Type": Column("TYPE", lambda kind: kind.type),
        "TotalCount": Column("TOTAL", lambda kind: str(kind.total)),
        "Active": Column("ACTIVE", lambda kind: str(kind.active)),
        "Size": Column("SIZE", lambda kind: human_size(kind.size)),
        "Reclaimable": Column("RECLAIMABLE", _reclaimable),
    },
    ["Type", "TotalCount", "Active", "Size", "Reclaimable"],
    "Type",
)


def _verbose(usage: Json) -> str:
    image_table = images.listing(short=True, digests=False)._replace(
        table=["Repository", "Tag", "ID", "CreatedSince", "Size", "SharedSize", "UniqueSize", "Containers"],
    )
    container_table = ps.listing(short=True, sizes=True)._replace(
        table=["ID", "Image", "Command", "LocalVolumes", "Size", "RunningFor", "Status", "Names"],
    )
    volume_table = Listing("formatter.volumeContext", VOLUME_COLUMNS, ["Name", "Links", "Size"], "Name")
    image_rows = images.rows(usage.get("Images") or [], digests=False)
    cache = human_size(_build_cache(usage.get("BuildCache") or []).size)
    return (
        "Images space usage:\n\n" + render(image_table, image_rows, "")
        + "\nContainers space usage:\n\n" + render(container_table, usage.get("Containers") or [], "")
        + "\nLocal Volumes space usage:\n\n" + render(volume_table, usage.get("Volumes") or [], "")
        + f"\nBuild cache usage: {cache}\n\n"
    )  # fmt: skip


def _run(context: Context, values: Values, _arguments: list[str]) -> None:
    usage = context.client.get("/system/df")
    assert isinstance(usage, dict)
    if values.switch("verbose") and not values.text("format"):
        context.write(_verbose(usage))
        return
    write(context, SUMMARY, _kinds(usage), values.text("format"))


DF = Command(
    "[OPTIONS]",
    _run,
    (format_flag(), switch("verbose", "Show detailed information on space usage", "v")),
    NONE,
)
