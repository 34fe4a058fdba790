"""Images: model -> inspect, list, history, removals and progress lines."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from fairlead.errors import InvalidArgument
from fairlead.model.container import Config
from fairlead.model.image import HistoryEntry, Image, Offer, Progress
from fairlead.model.views import ImagesPruned, Removal, Untagged
from fairlead.wire.durations import human_size
from fairlead.wire.times import ZERO, parse_rfc3339, rfc3339

_SECOND = 1_000_000_000
_NO_NONE_TAGS = (1, 43)
_NO_VIRTUAL_SIZE = (1, 44)
_NO_CONTAINER_CONFIG = (1, 45)
_LEAN_CONFIG = (1, 50)

# What an image's configuration can hold; API 1.50 dropped the rest of the container's from image inspect.
_IMAGE_FIELDS = (
    "User",
    "ExposedPorts",
    "Env",
    "Entrypoint",
    "Cmd",
    "Volumes",
    "WorkingDir",
    "Labels",
    "StopSignal",
    "ArgsEscaped",
    "Healthcheck",
    "OnBuild",
    "Shell",
)
_OMITTED = ("Healthcheck", "ArgsEscaped", "NetworkDisabled", "MacAddress", "StopSignal", "StopTimeout", "Shell")
_BAR = 50


def image_inspect(image: Image, version: tuple[int, int]) -> dict[str, Any]:
    """GET /images/{name}/json."""
    entry: dict[str, Any] = {
        "Id": image.id,
        "RepoTags": list(image.tags),
        "RepoDigests": list(image.digests),
        "Parent": image.parent,
        "Comment": image.comment,
        "Created": image.created or ZERO,
        "DockerVersion": image.docker_version,
        "Author": image.author,
        "Config": _config(image.config, version),
        "Architecture": image.architecture,
        "Os": image.os,
        "Size": image.size,
        "GraphDriver": {"Data": _graph(image.layers), "Name": "overlay2"},
        "RootFS": {"Type": "layers", "Layers": list(image.diff_ids)},
        "Metadata": {"LastTagTime": rfc3339(image.last_tagged)},
    }
    if image.variant:
        entry["Variant"] = image.variant
    if version < _NO_VIRTUAL_SIZE:
        entry["VirtualSize"] = image.size
    if version < _NO_CONTAINER_CONFIG:
        entry |= {"Container": "", "ContainerConfig": Config()}
    return entry


def _config(config: Config, version: tuple[int, int]) -> dict[str, Any]:
    entry: dict[str, Any] = msgspec.to_builtins(config)
    if version >= _LEAN_CONFIG:
        return {name: entry[name] for name in _IMAGE_FIELDS if entry[name]}
    return {name: value for name, value in entry.items() if name not in _OMITTED or value is not None}


def _graph(layers: Sequence[str]) -> dict[str, str] | None:
    if not layers:
        return None
    upper, lowers = layers[-1], layers[-2::-1]
    return ({"LowerDir": ":".join(lowers)} if lowers else {}) | {"UpperDir": upper}


def image_summary(image: Image, version: tuple[int, int], containers: int = -1, shared: int = -1) -> dict[str, Any]:
    """One entry of GET /images/json; -1 says that it was not counted."""
    tags, digests = list(image.tags), list(image.digests)
    if version < _NO_NONE_TAGS and not tags:
        tags, digests = ["<none>:<none>"], digests or ["<none>@<none>"]
    entry: dict[str, Any] = {
        "Containers": containers,
        "Created": created_seconds(image),
        "Id": image.id,
        "Labels": image.config.labels or image.labels or None,
        "ParentId": image.parent,
        "RepoDigests": digests,
        "RepoTags": tags,
        "SharedSize": shared,
        "Size": image.size,
    }
    if version < _NO_VIRTUAL_SIZE:
        entry["VirtualSize"] = image.size
    return entry


def created_seconds(image: Image) -> int:
    """When the image was made, in seconds since the epoch; 0 when its configuration does not say."""
    try:
        return parse_rfc3339(image.created) // _SECOND
    except InvalidArgument:
        return 0


def history(image: Image, entries: Iterable[HistoryEntry], ancestors: Iterable[Image] = ()) -> list[dict[str, Any]]:
    """GET /images/{name}/history, newest first; ``entries`` are oldest first as in the configuration.

    The topmost lines are the image's and its ``ancestors``', as far as they are here.
    """
    shown: list[dict[str, Any]] = [
        {
            "Id": "<missing>",
            "Created": entry.created,
            "CreatedBy": entry.created_by,
            "Tags": None,
            "Size": entry.size,
            "Comment": entry.comment,
        }
        for entry in reversed(tuple(entries))
    ]
    for line, owner in zip(shown, (image, *ancestors), strict=False):
        line |= {"Id": owner.id, "Tags": list(owner.tags) or None}
    return shown


def offer(item: Offer) -> dict[str, Any]:
    """GET /distribution/{name}/json."""
    return {
        "Descriptor": {"mediaType": item.media_type, "digest": item.digest, "size": item.size},
        "Platforms": [
            {"architecture": architecture, "os": system} | ({"variant": variant} if variant else {})
            for system, architecture, variant in item.platforms
        ],
    }


def removals(done: Iterable[Removal]) -> list[dict[str, str]]:
    """The answer of DELETE /images/{name}."""
    return [{"Untagged": item.ref} if isinstance(item, Untagged) else {"Deleted": item.id} for item in done]


def images_pruned(pruned: ImagesPruned) -> dict[str, Any]:
    return {"ImagesDeleted": removals(pruned.removals) or None, "SpaceReclaimed": pruned.space}


def progress_line(progress: Progress) -> dict[str, Any]:
    """One object of the JSON stream of pull, load, push and import."""
    line: dict[str, Any] = {}
    if progress.error:
        return {"errorDetail": {"message": progress.error}, "error": progress.error}
    if progress.stream:
        line["stream"] = progress.stream
    if progress.status:
        line["status"] = progress.status
    if progress.current is not None:
        line["progressDetail"] = _detail(progress.current, progress.total)
        line["progress"] = progress_bar(progress.current, progress.total or 0)
    elif progress.status and progress.id:
        line["progressDetail"] = {}
    if progress.id:
        line["id"] = progress.id
    if progress.aux is not None:
        line["aux"] = dict(progress.aux)
    return line


def _detail(current: int, total: int | None) -> dict[str, int]:
    return {"current": current} | ({"total": total} if total else {})


def progress_bar(current: int, total: int) -> str:
    """``[=====>     ]  1.2MB/3.4MB``, as Docker draws it for clients that print it as it comes."""
    if total <= 0:
        return f"{human_size(current):>8}"
    filled = min(current * 100 // total // 2, _BAR)
    bar = f"[{'=' * filled}>{' ' * (_BAR - filled)}] "
    return f"{bar}{human_size(current):>8}" + ("" if current > total else f"/{human_size(total)}")
