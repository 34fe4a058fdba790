"""Events: model -> the objects of GET /events, and which of them a filter lets pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fairlead.model.event import Event
from fairlead.model.requests import Filters

_LEGACY = ("container", "image")
_BY_NAME = ("container", "plugin", "volume", "network", "node", "service", "secret", "config", "daemon")
_ACCEPTED = (*_BY_NAME, "event", "image", "label", "scope", "type")


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


def event_matcher(filters: Filters) -> Callable[[Event], bool]:
    """Docker's rules: a container is meant by id or name prefix, an action by itself or what stands before its colon.

    Raises InvalidArgument for a filter that events do not know.
    """
    filters.check(_ACCEPTED)
    by_name = tuple(kind for kind in _BY_NAME if kind in filters)

    def matches(item: Event) -> bool:
        return (
            filters.exact("type", item.kind)
            and filters.exact("event", item.action, item.action.partition(":")[0])
            and filters.exact("scope", item.scope)
            and filters.labels("label", item.attributes)
            and all(item.kind == kind and _named(filters, kind, item) for kind in by_name)
            and ("image" not in filters or _of_image(filters, item))
        )

    return matches


def _named(filters: Filters, kind: str, item: Event) -> bool:
    return filters.prefix(kind, item.actor, item.attributes.get("name", ""))


def _of_image(filters: Filters, item: Event) -> bool:
    name = item.attributes.get("name" if item.kind == "image" else "image", "")
    return filters.exact("image", item.actor, name, _without_tag(item.actor), _without_tag(name))


def _without_tag(name: str) -> str:
    """``busybox:1.36`` → ``busybox``; a port in a registry's name is no tag."""
    bare, colon, tag = name.rpartition(":")
    return bare if colon and "/" not in tag else name
