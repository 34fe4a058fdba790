"""``fairlead compose build``: the images of those services that say how theirs is made."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fairlead.cli.command import ANY, Command, Context
from fairlead.cli.compose.common import Loaded, complaints, load
from fairlead.cli.errors import CommandError
from fairlead.cli.flags import Values, several, switch
from fairlead.cli.image import context as contexts
from fairlead.cli.image.build import Built, arguments_of, opened, secret, send
from fairlead.compose.project import Project, Service
from fairlead.compose.tree import Map
from fairlead.compose.units import flag, octets


def build_services(context: Context, loaded: Loaded, services: Iterable[Service], options: Mapping[str, Any]) -> None:
    """Each after the other: their steps share the cache. Raises CommandError for the first that fails."""
    for service in services:
        if not service.fields.get("build"):
            continue
        sys.stderr.write(f" {service.name} Building\n")
        sys.stderr.flush()
        _build(context, loaded, service, options)
        sys.stderr.write(f" {service.name} Built\n")


def _build(context: Context, loaded: Loaded, service: Service, options: Mapping[str, Any]) -> None:
    fields = service.fields["build"]
    for key in ("ssh", "additional_contexts", "cache_to", "platforms"):
        if fields.get(key):
            raise CommandError(f"services.{service.name}.build.{key} is not known to this engine's builder")
    given = fields.get("args") or {}
    arguments: dict[str, str | None] = {
        name: loaded.variables.get(name) if value is None else value for name, value in given.items()
    }
    query = {
        "t": [service.image, *(str(tag) for tag in fields.get("tags") or ())],
        "target": str(fields.get("target") or "") or None,
        "networkmode": _network(str(fields.get("network") or ""), loaded.project),
        "platform": str(service.fields.get("platform") or "") or None,
        "nocache": options.get("nocache") or flag(fields.get("no_cache", False), "no_cache") or None,
        "pull": options.get("pull") or flag(fields.get("pull", False), "pull") or None,
        "extrahosts": [f"{name}:{ip}" for name, ips in (fields.get("extra_hosts") or {}).items() for ip in ips],
        "shmsize": octets(fields["shm_size"], "shm_size") if "shm_size" in fields else None,
        "buildargs": json.dumps({**arguments, **options.get("arguments", {})}),
        "labels": json.dumps({name: value or "" for name, value in (fields.get("labels") or {}).items()}),
    }
    quiet = bool(options.get("quiet"))
    send(context, _opened(service, fields), query, _secrets(loaded, fields), quiet=quiet)


def _network(asked: str, project: Project) -> str:
    """A network of the project by the name that the engine knows it by."""
    return project.networks[asked].name if asked in project.networks else asked or "default"


def _opened(service: Service, fields: Map) -> Built:
    place = str(fields.get("context") or ".")
    if inline := fields.get("dockerfile_inline"):
        if not os.path.isdir(place):
            raise CommandError(f'unable to prepare context: path "{place}" not found')
        return Built(contexts.stream(place, ".dockerfile.inline", str(inline).encode()), ".dockerfile.inline")
    named = str(fields.get("dockerfile") or "")
    if not os.path.isdir(place) and "://" not in place:
        raise CommandError(f'services.{service.name}.build: unable to prepare context: path "{place}" not found')
    return opened(place, os.path.join(place, named) if named else "")


def _secrets(loaded: Loaded, fields: Map) -> dict[str, bytes]:
    found = {}
    for use in fields.get("secrets") or ():
        resource = loaded.project.secrets.get(use["source"])
        if resource is None:
            raise CommandError(f"build refers to undefined secret {use['source']}")
        name = str(use.get("target") or use["source"])
        if resource.fields.get("content") is not None:
            found[name] = str(resource.fields["content"]).encode()
            continue
        kind, value = (
            ("src", resource.fields["file"])
            if resource.fields.get("file")
            else ("env", resource.fields.get("environment"))
        )
        found[name] = secret(f"id={name},{kind}={value}", loaded.variables)[1]
    return found


def _run(context: Context, values: Values, names: list[str]) -> None:
    loaded = load(context, names)
    with complaints():
        order = loaded.project.needed_by(names, dependencies=values.switch("with-dependencies") or not names)
        options = {
            "nocache": values.switch("no-cache"),
            "pull": values.switch("pull"),
            "quiet": values.switch("quiet"),
            "arguments": arguments_of(values.list("build-arg"), context.environment),
        }
        build_services(context, loaded, _those(loaded.project, order), options)


def _those(project: Project, names: Sequence[str]) -> list[Service]:
    return [project.services[name] for name in names]


BUILD = Command(
    "[OPTIONS] [SERVICE...]",
    _run,
    (
        several("build-arg", "Set build-time variables for services"),
        switch("no-cache", "Do not use cache when building the image"),
        switch("pull", "Always attempt to pull a newer version of the image"),
        switch("quiet", "Suppress the build output", "q"),
        switch("with-dependencies", "Also build dependencies (transitively)"),
    ),
    ANY,
)
