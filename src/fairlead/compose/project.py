"""A project: its services, networks, volumes, secrets and configs, with names decided and every reference checked."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from fairlead.compose import dotenv
from fairlead.compose.errors import ComposeError, Place
from fairlead.compose.loading import Origin
from fairlead.compose.tree import Map, Seq
from fairlead.compose.units import flag, whole

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*\Z")
_NOT_IN_NAMES = re.compile(r"[^-_a-z0-9]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependency:
    """Another service that must be there first: started, healthy, or ended well."""

    condition: str = "service_started"
    required: bool = True
    restart: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One service. ``fields`` is what the file says, in long forms; the rest was decided from it."""

    name: str
    fields: Map
    image: str
    replicas: int = 1
    environment: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    networks: Mapping[str, Map] = field(default_factory=dict)
    depends_on: Mapping[str, Dependency] = field(default_factory=dict)
    profiles: tuple[str, ...] = ()

    @property
    def container_name(self) -> str:
        return str(self.fields.get("container_name") or "")

    def place(self, key: str) -> Place | None:
        return self.fields.places.get(key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """A network, volume, secret or config: ``key`` in the file, ``name`` in the engine."""

    key: str
    name: str
    fields: Map
    external: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """``services`` are those that are enabled; ``disabled`` those whose profiles are not."""

    name: str
    directory: str
    files: tuple[str, ...]
    services: Mapping[str, Service]
    disabled: Mapping[str, Service]
    networks: Mapping[str, Resource]
    volumes: Mapping[str, Resource]
    secrets: Mapping[str, Resource]
    configs: Mapping[str, Resource]

    def find(self, name: str) -> Service:
        """Raises ComposeError for a service that there is not."""
        found = self.services.get(name) or self.disabled.get(name)
        if found is None:
            raise ComposeError(f"no such service: {name}")
        return found

    def with_services(self, names: Iterable[str]) -> Project:
        """Enabled also when its profile is not: whoever names a service wants it, and what it depends on."""
        services = dict(self.services)
        waiting = list(names)
        while waiting:
            service = self.find(waiting.pop())
            if service.name not in services:
                services[service.name] = service
                waiting += [name for name, need in service.depends_on.items() if need.required]
        return replace(self, services=services)

    def needed_by(self, names: Sequence[str], *, dependencies: bool = True) -> tuple[str, ...]:
        """The named services (all of them when none is named) and what they depend on, dependencies first."""
        order: list[str] = []
        for name in names or sorted(self.services):
            self._collect(name, order, (), dependencies=dependencies)
        return tuple(order)

    def _collect(self, name: str, order: list[str], above: tuple[str, ...], *, dependencies: bool) -> None:
        if name in above:
            raise ComposeError(f"dependency cycle detected: {' -> '.join((*above, name))}")
        if name in order or name not in self.services:
            return
        if dependencies:
            for other in sorted(self.services[name].depends_on):
                self._collect(other, order, (*above, name), dependencies=True)
        order.append(name)


def project_name(given: str) -> str:
    """A name as Compose allows it; raises ComposeError for others."""
    if not _NAME.match(given):
        raise ComposeError(
            f'invalid project name "{given}": must consist only of lowercase alphanumeric characters, hyphens, and '
            "underscores as well as start with a letter or number"
        )
    return given


def default_name(directory: str) -> str:
    """From the directory's last part; "" where nothing of it can stay."""
    return _NOT_IN_NAMES.sub("", directory.rstrip("/").rpartition("/")[2].lower()).lstrip("_-")


def decide(whole_tree: Map, origin: Origin, *, name: str, files: Sequence[str], profiles: Sequence[str]) -> Project:
    """The project in a merged tree; raises ComposeError for references that lead nowhere, and for cycles."""
    trees = whole_tree.get("services") or Map()
    every = {key: _service(name, key, fields, origin) for key, fields in trees.items()}
    enabled = {key: service for key, service in every.items() if _is_enabled(service, profiles)}
    used = {network for service in every.values() for network in service.networks}
    project = Project(
        name=name,
        directory=origin.directory,
        files=tuple(files),
        services=enabled,
        disabled={key: service for key, service in every.items() if key not in enabled},
        networks=_networks(name, whole_tree, used),
        volumes=_resources(name, whole_tree, "volumes"),
        secrets=_resources(name, whole_tree, "secrets"),
        configs=_resources(name, whole_tree, "configs"),
    )
    for service in every.values():
        _check_references(service, project, every)
    for service in enabled.values():
        _check_enabled(service, project)
    project.needed_by(())
    return project


def _is_enabled(service: Service, profiles: Sequence[str]) -> bool:
    return not service.profiles or "*" in profiles or bool(set(service.profiles) & set(profiles))


# -- services -------------------------------------------------------------------------------------------------------


def _service(project: str, name: str, fields: Map, origin: Origin) -> Service:
    if not fields.get("image") and not fields.get("build"):
        raise ComposeError(f"service {name} has neither an image nor a build context specified", _where(fields))
    return Service(
        name=name,
        fields=fields,
        image=str(fields.get("image") or f"{project}-{name}"),
        replicas=_replicas(name, fields),
        environment=_environment(fields, origin),
        labels=_labels(fields, origin),
        networks=_uses_of_networks(name, fields),
        depends_on=_dependencies(fields),
        profiles=tuple(str(profile) for profile in fields.get("profiles") or ()),
    )


def _where(fields: Map) -> Place | None:
    return next(iter(fields.keys_at.values()), None)


def _replicas(name: str, fields: Map) -> int:
    asked = (fields.get("deploy") or {}).get("replicas")
    scale = fields.get("scale")
    if scale is not None and asked is not None and whole(scale, "scale") != whole(asked, "replicas"):
        raise ComposeError(f"services.{name}: scale and deploy.replicas say different things", fields.places["scale"])
    count = whole(scale if scale is not None else 1 if asked is None else asked, f"services.{name}.scale")
    if count < 0:
        raise ComposeError(f"services.{name}: {count} containers cannot be", fields.places.get("scale"))
    if count > 1 and fields.get("container_name"):
        raise ComposeError(
            f"services.{name}.container_name: {count} containers cannot share a name", fields.places["container_name"]
        )
    return count


def _environment(fields: Map, origin: Origin) -> dict[str, str]:
    """Files first, then what stands in the file; a name without a value has that of the environment, or is left out."""
    found: dict[str, str] = {}
    for entry in fields.get("env_file") or ():
        found.update(_env_file(entry, fields.places.get("env_file"), {**found, **origin.variables}, origin))
    for name, value in (fields.get("environment") or {}).items():
        if value is not None:
            found[name] = value
        elif name in origin.variables:
            found[name] = origin.variables[name]
    return found


def _env_file(entry: Map, place: Place | None, known: Mapping[str, str], origin: Origin) -> dict[str, str]:
    path = str(entry["path"])
    try:
        text = origin.read(path)
    except OSError as wrong:
        if not flag(entry.get("required", True), "env_file.required"):
            return {}
        raise ComposeError(f"env file {path} not found: {(wrong.strerror or '').lower()}", place) from wrong
    if entry.get("format") == "raw":
        pairs = (line.partition("=") for line in text.splitlines() if line.strip() and not line.startswith("#"))
        return {name: value for name, equals, value in pairs if equals}
    return dotenv.parse(text, path, known)


def _labels(fields: Map, origin: Origin) -> dict[str, str]:
    found: dict[str, str] = {}
    for path in fields.get("label_file") or ():
        try:
            found.update(dotenv.parse(origin.read(path), path, {}))
        except OSError as wrong:
            raise ComposeError(f"label file {path} not found", fields.places.get("label_file")) from wrong
    return {**found, **{name: value or "" for name, value in (fields.get("labels") or {}).items()}}


def _uses_of_networks(name: str, fields: Map) -> dict[str, Map]:
    mode = fields.get("network_mode")
    if mode is not None:
        if fields.get("networks"):
            raise ComposeError(
                f"services.{name}: network_mode and networks cannot be combined", fields.places.get("network_mode")
            )
        return {}
    asked = fields.get("networks")
    return {key: use or Map() for key, use in asked.items()} if asked else {"default": Map()}


def _dependencies(fields: Map) -> dict[str, Dependency]:
    found = {
        name: Dependency(
            condition=need.get("condition", "service_started"),
            required=flag(need.get("required", True), "required"),
            restart=flag(need.get("restart", False), "restart"),
        )
        for name, need in (fields.get("depends_on") or {}).items()
    }
    for name in _implied(fields):
        found.setdefault(name, Dependency())
    return found


def _implied(fields: Map) -> Iterable[str]:
    """Services whose namespaces, volumes or names it uses."""
    for key in ("network_mode", "ipc", "pid"):
        kind, _, name = str(fields.get(key) or "").partition(":")
        if kind == "service":
            yield name
    for text in fields.get("links") or ():
        yield str(text).partition(":")[0]
    for text in fields.get("volumes_from") or ():
        if not str(text).startswith("container:"):
            yield str(text).partition(":")[0]


# -- resources ------------------------------------------------------------------------------------------------------


def _networks(project: str, tree: Map, used: Iterable[str]) -> dict[str, Resource]:
    found = _resources(project, tree, "networks")
    if "default" in used and "default" not in found:
        found["default"] = Resource(key="default", name=f"{project}_default", fields=Map())
    return found


def _resources(project: str, tree: Map, kind: str) -> dict[str, Resource]:
    found = {}
    for key, fields in (tree.get(kind) or {}).items():
        external = flag(fields.get("external", False), f"{kind}.{key}.external")
        name = str(fields.get("name") or (key if external else f"{project}_{key}"))
        found[key] = Resource(key=key, name=name, fields=fields, external=external)
    return found


# -- checks ---------------------------------------------------------------------------------------------------------


def _check_references(service: Service, project: Project, every: Mapping[str, Service]) -> None:
    for key in service.networks:
        if key not in project.networks:
            raise ComposeError(f"service {service.name} refers to undefined network {key}", service.place("networks"))
    for mount in service.fields.get("volumes") or Seq():
        source = mount.get("source")
        if mount["type"] == "volume" and source and source not in project.volumes:
            raise ComposeError(f"service {service.name} refers to undefined volume {source}", service.place("volumes"))
    for kind, known in (("secrets", project.secrets), ("configs", project.configs)):
        for use in service.fields.get(kind) or Seq():
            if use["source"] not in known:
                sentence = f"service {service.name} refers to undefined {kind[:-1]} {use['source']}"
                raise ComposeError(sentence, service.place(kind))
    for name, need in service.depends_on.items():
        if name not in every and need.required:
            raise ComposeError(
                f"service {service.name} depends on undefined service {name}", service.place("depends_on")
            )


def _check_enabled(service: Service, project: Project) -> None:
    for name, need in service.depends_on.items():
        if need.required and name not in project.services:
            profiles = ", ".join(project.find(name).profiles)
            raise ComposeError(
                f"service {service.name} depends on {name}, whose profile ({profiles}) is not enabled",
                service.place("depends_on"),
            )
