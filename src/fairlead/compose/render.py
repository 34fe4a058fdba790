"""A project as ``compose config`` shows it: everything resolved, in long forms, as YAML or JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from fairlead.compose.project import Project, Resource, Service
from fairlead.compose.tree import Map, Seq

_DROPPED = frozenset({"extends", "env_file", "label_file", "profiles"})


def rendered(project: Project, form: str, services: Sequence[str] = ()) -> str:
    """The text of the project, or of the named services of it."""
    shown = as_plain(project, services)
    if form == "json":
        return json.dumps(shown, indent=2, ensure_ascii=False) + "\n"
    return str(yaml.safe_dump(shown, sort_keys=False, allow_unicode=True, width=1000))


def as_plain(project: Project, services: Sequence[str] = ()) -> dict[str, Any]:
    """Nothing but Python's own mappings, lists and scalars."""
    names = [name for name in project.services if not services or name in services]
    found: dict[str, Any] = {"name": project.name}
    found["services"] = {name: _service(project.services[name]) for name in sorted(names)}
    for kind in ("networks", "volumes", "secrets", "configs"):
        resources: Mapping[str, Resource] = getattr(project, kind)
        if resources:
            found[kind] = {key: _resource(resource) for key, resource in sorted(resources.items())}
    return found


def _service(service: Service) -> dict[str, Any]:
    fields = {key: _plain(value) for key, value in sorted(service.fields.items()) if key not in _DROPPED}
    if service.profiles:
        fields["profiles"] = list(service.profiles)
    if service.environment:
        fields["environment"] = dict(sorted(service.environment.items()))
    if service.labels:
        fields["labels"] = dict(sorted(service.labels.items()))
    if service.networks:
        fields["networks"] = {key: _plain(use) or None for key, use in service.networks.items()}
    return fields


def _resource(resource: Resource) -> dict[str, Any]:
    fields = {key: _plain(value) for key, value in resource.fields.items()}
    return {**fields, "name": resource.name}


def _plain(value: Any) -> Any:
    if isinstance(value, Map):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, Seq):
        return [_plain(item) for item in value]
    # A dollar that is one already must not begin a variable when the output is read again.
    return value.replace("$", "$$") if isinstance(value, str) else value
