"""``docker ps``: which containers, in which order, filtered how."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from fairlead.errors import InvalidArgument
from fairlead.model.container import Container
from fairlead.model.requests import Filters
from fairlead.model.views import Listed

if TYPE_CHECKING:
    from fairlead.engine.core import Engine

_FILTERS = (
    "ancestor", "before", "expose", "exited", "health", "id", "is-task", "isolation", "label", "name", "network",
    "publish", "since", "status", "volume",
)  # fmt: skip
_STATUSES = frozenset({"created", "restarting", "running", "removing", "paused", "exited", "dead"})
_LAST_PORT = 65535
_PORT = re.compile(r"(\d+)(?:-(\d+))?(?:/(tcp|udp|sctp))?\Z")


async def list_containers(engine: Engine, all_: bool, limit: int, size: bool, filters: Filters) -> list[Listed]:
    """Newest first. ``limit`` and status-like filters imply all, as in Docker."""
    filters.check(_FILTERS)
    _check_values(filters)
    everything = all_ or limit > 0 or any(key in filters for key in ("status", "exited", "before", "since"))
    before, since = _bounds(engine, filters)
    found: list[Listed] = []
    for container in sorted(engine.store.containers, key=lambda c: c.created, reverse=True):
        if limit > 0 and len(found) >= limit:
            break
        if not (everything or container.state.running):
            continue
        if (before and container.created >= before) or (since and container.created <= since):
            continue
        if _matches(engine, container, filters):
            found.append(await listed(engine, container, size))
    return found


async def listed(engine: Engine, container: Container, size: bool) -> Listed:
    image = engine.images.get(container.image)
    size_rw = await engine.in_thread(engine.containers.rootfs(container).size) if size else None
    return Listed(
        container=container,
        image_name=_image_name(engine, container),
        networks=engine.networks.of(container),
        size_rw=size_rw,
        size_root=None if size_rw is None else size_rw + (image.size if image else 0),
    )


def _image_name(engine: Engine, container: Container) -> str:
    """As asked for, while that still names the image; its id after the tag has moved on."""
    now = engine.images.get(container.config.image)
    return container.config.image if now is not None and now.id == container.image else container.image


def _check_values(filters: Filters) -> None:
    for status in filters.get("status"):
        if status not in _STATUSES:
            raise InvalidArgument(f"invalid filter 'status={status}'")
    for code in filters.get("exited"):
        if not code.lstrip("-").isdigit():
            raise InvalidArgument(f"invalid filter 'exited={code}'")
    for health in filters.get("health"):
        if health not in ("none", "starting", "healthy", "unhealthy"):
            raise InvalidArgument(f"unrecognised filter value for health: {health}")
    for text in (*filters.get("publish"), *filters.get("expose")):
        found = _PORT.match(text)
        if found is None or int(found[2] or found[1]) > _LAST_PORT:
            raise InvalidArgument(f"invalid port: {text}")
    filters.flag("is-task", default=False)


def _bounds(engine: Engine, filters: Filters) -> tuple[int, int]:
    before = min((engine.index.find(ref).created for ref in filters.get("before")), default=0)
    since = max((engine.index.find(ref).created for ref in filters.get("since")), default=0)
    return before, since


def _matches(engine: Engine, container: Container, filters: Filters) -> bool:
    state = container.state
    health = state.health.status if state.health else "none"
    return (
        filters.search("id", container.id)
        and filters.search("name", container.name, f"/{container.name}")
        and filters.labels("label", container.config.labels or {})
        and filters.exact("status", state.status)
        and filters.exact("exited", *([] if state.running or not state.finished else [str(state.exit_code)]))
        and filters.exact("health", health)
        and not filters.flag("is-task", default=False)
        and _on_network(engine, container, filters)
        and _uses_volume(container, filters)
        and _of_ancestor(engine, container, filters)
        and _has_ports(container, filters)
    )


def _has_ports(container: Container, filters: Filters) -> bool:
    """``publish`` looks at host ports, ``expose`` at the container's; one that does not run has neither."""
    if "publish" not in filters and "expose" not in filters:
        return True
    published = [binding for endpoint in container.endpoints for binding in endpoint.published]
    outer = [f"{binding.host_port}/{binding.container.protocol}" for binding in published]
    inner = [str(binding.container) for binding in published]
    if container.endpoints:
        inner += container.config.exposed_ports or {}
    return any(_has_port(filters.get(name), ports) for name, ports in (("publish", outer), ("expose", inner)))


def _on_network(engine: Engine, container: Container, filters: Filters) -> bool:
    names = container.spec.networks
    return "network" not in filters or any(
        ref in (name, network.id) or (len(ref) >= 12 and network.id.startswith(ref))
        for ref in filters.get("network")
        for name, network in engine.networks.of(container).items()
        if name in names
    )


def _uses_volume(container: Container, filters: Filters) -> bool:
    places = [place for point in container.mounts for place in (point.name, point.source, point.target) if place]
    return filters.exact("volume", *places)


def _of_ancestor(engine: Engine, container: Container, filters: Filters) -> bool:
    if "ancestor" not in filters:
        return True
    image = engine.images.get(container.image)
    lineage = set(image.chain_ids) if image else set()
    for ref in filters.get("ancestor"):
        ancestor = engine.images.get(ref)
        if ancestor is None:
            continue
        if ancestor.id == container.image or (ancestor.chain_ids and ancestor.chain_ids[-1] in lineage):
            return True
    return False


def _has_port(wanted: tuple[str, ...], ports: list[str]) -> bool:
    """``port``, ``first-last``, each with ``/protocol``."""
    for text in wanted:
        if (found := _PORT.match(text)) is None:
            continue
        low, high, protocol = int(found[1]), int(found[2] or found[1]), found[3] or "tcp"
        for port in ports:
            number, _, kind = port.partition("/")
            if low <= int(number) <= high and (kind or "tcp") == protocol:
                return True
    return False


def prunable(container: Container, filters: Filters, until: int | None) -> bool:
    """What ``filters`` say of its labels, and whether it was made by ``until``."""
    if until is not None and container.created > until:
        return False
    labels = container.config.labels or {}
    if "label!" in filters and filters.labels("label!", labels):
        return False
    return filters.labels("label", labels)
