"""Events: model -> the objects of GET /events."""

from __future__ import annotations

from typing import Any

from fairlead.model.event import Event

_LEGACY = ("container", "image")


def event(item: Event) -> dict[str, Any]:
    """One event, with the fields of API < 1.52 (status, id, from) where they had a meaning."""
    entry: dict[str, Any] = {}
    if item.kind in _LEGACY:
        entry = {"status": item.action, "id": item.actor}
        if item.kind == "container" and "image" in item.attributes:
            entry["from"] = item.attributes["image"]
    return entry | {
        "Type": item.kind,
        "Action": item.action,
        "Actor": {"ID": item.actor, "Attributes": dict(item.attributes)},
        "scope": item.scope,
        "time": item.time // 1_000_000_000,
        "timeNano": item.time,
    }
