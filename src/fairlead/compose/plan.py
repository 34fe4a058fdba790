"""From what the engine has to what the files say, pure: which networks, volumes and containers come, go or change."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from fairlead.compose import body
from fairlead.compose.errors import ComposeError
from fairlead.compose.observed import Container, Observed, Thing
from fairlead.compose.project import Project, Resource, Service


class Recreate(StrEnum):
    """Which containers are made anew though they are there."""

    CHANGED = "changed"
    ALWAYS = "always"
    NEVER = "never"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What an ``up`` was asked for besides the files. ``scale`` overrides replicas by service."""

    services: tuple[str, ...] = ()
    dependencies: bool = True
    recreate: Recreate = Recreate.CHANGED
    recreate_dependencies: bool = False
    start: bool = True
    remove_orphans: bool = False
    scale: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True)
class CreateNetwork:
    resource: Resource


@dataclass(frozen=True, slots=True)
class ChangeNetwork:
    """The network is there as it was described before: brought to what is described now."""

    resource: Resource
    there: Thing


@dataclass(frozen=True, slots=True)
class CreateVolume:
    resource: Resource


@dataclass(frozen=True, slots=True)
class Create:
    """A container that is not there; ``replaces`` is the one whose place it takes."""

    service: str
    number: int
    name: str
    replaces: Container | None = None


@dataclass(frozen=True, slots=True)
class Start:
    container: Container


@dataclass(frozen=True, slots=True)
class Keep:
    container: Container


@dataclass(frozen=True, slots=True)
class Remove:
    container: Container
    orphan: bool = False


ContainerStep = Create | Start | Keep | Remove
ResourceStep = CreateNetwork | ChangeNetwork | CreateVolume


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """``services`` in an order in which each comes behind what it depends on; ``orphans`` belong to none of them."""

    resources: tuple[ResourceStep, ...]
    services: Mapping[str, tuple[ContainerStep, ...]]
    orphans: tuple[Container, ...]

    @property
    def changes_nothing(self) -> bool:
        steps = (step for several in self.services.values() for step in several)
        return not self.resources and all(isinstance(step, Keep) for step in steps)


def plan(project: Project, have: Observed, images: Mapping[str, str], wishes: Wishes) -> Plan:
    """``images`` are the ids of the images that the engine has under the services' names. Raises ComposeError."""
    order = project.needed_by(wishes.services, dependencies=wishes.dependencies)
    used = [project.services[name] for name in order]
    planner = _Planner(project, have, images, wishes)
    services = {service.name: tuple(planner.steps(service)) for service in used}
    known = {*project.services, *project.disabled}
    orphans = tuple(c for c in have.containers if c.service not in known and not c.oneoff)
    return Plan(resources=tuple(_resource_steps(project, used, have)), services=services, orphans=orphans)


# -- networks and volumes --------------------------------------------------------------------------------------------


def _resource_steps(project: Project, used: Sequence[Service], have: Observed) -> Iterator[ResourceStep]:
    for key in dict.fromkeys(key for service in used for key in service.networks):
        yield from _network_steps(project.networks[key], have)
    sources = (
        mount.get("source")
        for service in used
        for mount in service.fields.get("volumes") or ()
        if mount["type"] == "volume"
    )
    for key in dict.fromkeys(str(source) for source in sources if source):
        resource = project.volumes[key]
        if resource.name in have.volumes:
            continue
        if resource.external:
            raise ComposeError(f'external volume "{resource.name}" not found')
        yield CreateVolume(resource)


def _network_steps(resource: Resource, have: Observed) -> Iterator[ResourceStep]:
    there = have.networks.get(resource.name)
    if resource.external:
        if there is None and resource.name not in ("host", "none", "bridge"):
            raise ComposeError(f"network {resource.name} declared as external, but could not be found")
    elif there is None:
        yield CreateNetwork(resource)
    elif there.project and there.digest and there.digest != body.digest(body.network(resource)):
        yield ChangeNetwork(resource, there)


# -- containers ------------------------------------------------------------------------------------------------------


def service_digest(project: Project, service: Service) -> str:
    """Of what the files say of a service's containers; ids of other containers are not part of it."""
    return body.digest(body.container(service, project, lambda name: f"service:{name}"))


def container_name(project: Project, service: Service, number: int) -> str:
    return service.container_name or f"{project.name}-{service.name}-{number}"


class _Planner:
    """Goes through the services in their order, and remembers which of them are made anew."""

    def __init__(self, project: Project, have: Observed, images: Mapping[str, str], wishes: Wishes) -> None:
        self._project, self._have, self._images, self._wishes = project, have, images, wishes
        self._anew: set[str] = set()

    def steps(self, service: Service) -> Iterator[ContainerStep]:
        count = (self._wishes.scale or {}).get(service.name, service.replicas)
        kept, surplus = _chosen(self._have.of(service.name), count)
        yield from (Remove(container) for container in surplus)
        digest = service_digest(self._project, service)
        for container in kept:
            yield self._step(service, container, digest)
        taken = {container.number for container in kept}
        free = (number for number in range(1, count + len(taken) + 1) if number not in taken)
        for number in itertools.islice(free, count - len(kept)):
            yield Create(service.name, number, container_name(self._project, service, number))

    def _step(self, service: Service, container: Container, digest: str) -> ContainerStep:
        if _shared_with(service) & self._anew or self._is_outdated(container, service, digest):
            self._anew.add(service.name)
            name = container_name(self._project, service, container.number)
            return Create(service.name, container.number, name, container)
        if container.is_up or not self._wishes.start:
            return Keep(container)
        return Start(container)

    def _is_outdated(self, container: Container, service: Service, digest: str) -> bool:
        wishes = self._wishes
        asked = not wishes.services or service.name in wishes.services or wishes.recreate_dependencies
        if wishes.recreate is Recreate.NEVER:
            return False
        if wishes.recreate is Recreate.ALWAYS and asked:
            return True
        image = self._images.get(service.image)
        return container.digest != digest or (image is not None and container.image_id != image)


def _chosen(there: Sequence[Container], count: int) -> tuple[list[Container], list[Container]]:
    """Those that stay and those that are too many: the ones with the highest numbers, first those that do not run."""
    ranked = sorted(there, key=lambda container: (not container.is_up, container.number))
    return sorted(ranked[:count], key=lambda container: container.number), ranked[count:]


def _shared_with(service: Service) -> set[str]:
    """The services in whose namespaces its containers are: made anew, they take these along."""
    modes = (str(service.fields.get(key) or "") for key in ("network_mode", "ipc", "pid"))
    return {mode.partition(":")[2] for mode in modes if mode.startswith("service:")}
