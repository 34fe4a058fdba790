"""What the engine has of a project: its containers, networks and volumes, known by Compose's labels."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fairlead.compose.body import PREFIX

if TYPE_CHECKING:
    from fairlead.client import Client

# Compose's own hash is made from its own structures, so it cannot be made here: ours stands beside it.
HASH = "fairlead.compose.config-hash"
_UP = frozenset({"running", "paused", "restarting"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """One container of a project."""

    id: str
    name: str
    service: str
    number: int
    oneoff: bool
    state: str
    digest: str
    image: str
    image_id: str
    created: int
    labels: Mapping[str, str] = field(default_factory=dict)
    raw: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_up(self) -> bool:
        return self.state in _UP


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing:
    """A network or volume; ``mine`` where it bears the project's labels."""

    id: str
    name: str
    key: str
    project: str
    digest: str
    raw: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """By name: networks and volumes of everybody, since a name may be taken; containers of the project alone."""

    containers: tuple[Container, ...] = ()
    networks: Mapping[str, Thing] = field(default_factory=dict)
    volumes: Mapping[str, Thing] = field(default_factory=dict)

    def of(self, service: str, *, oneoff: bool = False) -> tuple[Container, ...]:
        return tuple(c for c in self.containers if c.service == service and c.oneoff == oneoff)


def containers_of(client: Client, project: str) -> tuple[Container, ...]:
    """All containers of a project, by service and number."""
    listed = client.get(
        "/containers/json", {"all": True, "filters": json.dumps({"label": [f"{PREFIX}project={project}"]})}
    )
    assert isinstance(listed, list)
    return tuple(sorted(map(_container, listed), key=lambda c: (c.service, c.number, c.name)))


def observe(client: Client, project: str) -> Observed:
    networks, volumes = client.get("/networks"), client.get("/volumes")
    assert isinstance(networks, list)
    assert isinstance(volumes, dict)
    return Observed(
        containers=containers_of(client, project),
        networks={found["Name"]: _thing(found, found["Id"], "network") for found in networks},
        volumes={found["Name"]: _thing(found, found["Name"], "volume") for found in volumes.get("Volumes") or ()},
    )


def _container(raw: Mapping[str, Any]) -> Container:
    labels = raw.get("Labels") or {}
    number = labels.get(f"{PREFIX}container-number", "1")
    return Container(
        id=raw["Id"],
        name=raw["Names"][0].lstrip("/") if raw.get("Names") else raw["Id"][:12],
        service=labels.get(f"{PREFIX}service", ""),
        number=int(number) if number.isdecimal() else 1,
        oneoff=labels.get(f"{PREFIX}oneoff", "False").lower() == "true",
        state=raw["State"],
        digest=labels.get(HASH, ""),
        image=raw["Image"],
        image_id=raw["ImageID"],
        created=raw["Created"],
        labels=labels,
        raw=raw,
    )


def _thing(raw: Mapping[str, Any], identifier: str, kind: str) -> Thing:
    labels = raw.get("Labels") or {}
    return Thing(
        id=identifier,
        name=raw["Name"],
        key=labels.get(f"{PREFIX}{kind}", ""),
        project=labels.get(f"{PREFIX}project", ""),
        digest=labels.get(HASH, ""),
        raw=raw,
    )
