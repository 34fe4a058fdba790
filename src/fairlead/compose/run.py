"""Carries plans out through the engine's API: side by side where nothing waits for anything."""

from __future__ import annotations

import contextlib
import functools
import io
import tarfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from fairlead.client.errors import ApiError
from fairlead.compose import body
from fairlead.compose.body import PREFIX
from fairlead.compose.errors import ComposeError
from fairlead.compose.observed import HASH, Container, containers_of
from fairlead.compose.plan import (
    ChangeNetwork,
    ContainerStep,
    Create,
    CreateNetwork,
    CreateVolume,
    Keep,
    Plan,
    Remove,
    ResourceStep,
    Start,
    service_digest,
)
from fairlead.compose.project import Dependency, Project, Service

if TYPE_CHECKING:
    from fairlead.client import Client

_AT_ONCE = 16
_LOOK = 0.05  # seconds between two looks at a container that is waited for

Progress = Callable[[str, str, str], None]  # kind, name, what happens to it


class Runner:
    """One project on one engine."""

    def __init__(self, client: Client, project: Project, progress: Progress, variables: Mapping[str, str]) -> None:
        """``variables`` are those of the environment, for secrets and configs that are taken from it."""
        self._client, self._project, self._variables = client, project, variables
        self._lock = threading.Lock()
        self._progress = progress
        self._ids: dict[str, list[str]] = {}  # service -> its containers that are there by now

    @property
    def client(self) -> Client:
        return self._client

    def say(self, kind: str, name: str, what: str) -> None:
        with self._lock:
            self._progress(kind, name, what)

    # -- up -----------------------------------------------------------------------------------------------------------

    def apply(self, plan: Plan, *, start: bool = True, timeout: float | None = None) -> None:
        """Networks and volumes, then each service as soon as what it depends on allows. Raises the first failure."""
        self.make_resources(plan)
        work = {
            name: functools.partial(self._service, plan.services[name], start=start, timeout=timeout)
            for name in plan.services
        }
        needs = {
            name: [other for other in self._project.services[name].depends_on if other in plan.services]
            for name in plan.services
        }
        in_order(work, needs)

    def make_resources(self, plan: Plan) -> None:
        """The networks and volumes alone."""
        for step in plan.resources:
            self._resource(step)

    def _resource(self, step: ResourceStep) -> None:
        match step:
            case CreateNetwork(resource):
                self.say("Network", resource.name, "Creating")
                described = body.network(resource)
                self._client.post("/networks/create", None, self._labelled(described, "network", resource.key))
                self.say("Network", resource.name, "Created")
            case ChangeNetwork():
                self._change_network(step)
            case CreateVolume(resource):
                self.say("Volume", resource.name, "Creating")
                described = body.volume(resource)
                self._client.post("/volumes/create", None, self._labelled(described, "volume", resource.key))
                self.say("Volume", resource.name, "Created")

    def _labelled(self, described: Mapping[str, Any], kind: str, key: str) -> dict[str, Any]:
        labels = {
            **described["Labels"],
            f"{PREFIX}{kind}": key,
            f"{PREFIX}project": self._project.name,
            f"{PREFIX}version": "2",
            HASH: body.digest(described),
        }
        return {**described, "Labels": labels}

    def _change_network(self, step: ChangeNetwork) -> None:
        """Made anew, with everybody who is on it taken off first; they are connected again when they start."""
        name = step.resource.name
        self.say("Network", name, "Recreating")
        found = self._client.get(f"/networks/{step.there.id}")
        assert isinstance(found, dict)
        for identifier in found.get("Containers") or {}:
            self._client.post(f"/networks/{step.there.id}/disconnect", None, {"Container": identifier, "Force": True})
        self._client.delete(f"/networks/{step.there.id}")
        described = body.network(step.resource)
        self._client.post("/networks/create", None, self._labelled(described, "network", step.resource.key))
        self.say("Network", name, "Recreated")

    def _service(self, steps: Sequence[ContainerStep], *, start: bool, timeout: float | None) -> None:
        if not steps:
            return
        waiting = [step for step in steps if not isinstance(step, Keep)]
        if start and any(isinstance(step, Create | Start) for step in waiting):
            for step in waiting:
                if isinstance(step, Create | Start):
                    self._await_dependencies(self._project.services[_service_of(step)])
                    break
        with contextlib.ExitStack() as undo:
            pool = undo.enter_context(ThreadPoolExecutor(max_workers=min(_AT_ONCE, len(steps))))
            for future in [pool.submit(self._container, step, start=start, timeout=timeout) for step in steps]:
                future.result()

    def _container(self, step: ContainerStep, *, start: bool, timeout: float | None) -> None:
        match step:
            case Keep(container):
                self._know(container.service, container.id)
                self.say("Container", container.name, "Running" if container.is_up else "Created")
            case Start(container):
                self._know(container.service, container.id)
                self.start(container.id, container.name)
            case Remove(container):
                self.remove(container, timeout=timeout)
            case Create():
                self._create(step, start=start, timeout=timeout)

    def _create(self, step: Create, *, start: bool, timeout: float | None) -> None:
        service = self._project.services[step.service]
        verb = "Recreate" if step.replaces is not None else "Creating"
        self.say("Container", step.name, verb)
        described = self.described(service, step.number, replaces=step.replaces)
        if step.replaces is not None:
            self._make_room(step.replaces, timeout)
        identifier = self._make(step, described)
        if step.replaces is not None:
            self._client.delete(f"/containers/{step.replaces.id}", {"force": True})
        self.put_contents(service, identifier)
        self._know(service.name, identifier)
        self.say("Container", step.name, "Recreated" if step.replaces is not None else "Created")
        if start:
            self.start(identifier, step.name)

    def _make_room(self, old: Container, timeout: float | None) -> None:
        """The old one gives up its ports, its addresses and its name before the new one asks for them."""
        self.stop(old, timeout=timeout, say=False)
        self._client.post(f"/containers/{old.id}/rename", {"name": f"{old.id[:12]}_{old.name}"[:200]})

    def _make(self, step: Create, described: dict[str, Any]) -> str:
        try:
            made = self._client.post("/containers/create", {"name": step.name}, described)
        except ApiError:
            if step.replaces is not None:
                self._client.post(f"/containers/{step.replaces.id}/rename", {"name": step.replaces.name})
                with contextlib.suppress(ApiError):
                    self._client.post(f"/containers/{step.replaces.id}/start")
            raise
        assert isinstance(made, dict)
        return str(made["Id"])

    def described(
        self, service: Service, number: int, *, replaces: Container | None = None, oneoff: bool = False
    ) -> dict[str, Any]:
        """The body of a container of the service, with the labels by which Compose knows its own."""
        found = body.container(service, self._project, self.container_of)
        own = {
            f"{PREFIX}project": self._project.name,
            f"{PREFIX}service": service.name,
            f"{PREFIX}container-number": str(number),
            f"{PREFIX}oneoff": str(oneoff),
            f"{PREFIX}project.config_files": ",".join(self._project.files),
            f"{PREFIX}project.working_dir": self._project.directory,
            f"{PREFIX}depends_on": ",".join(_dependency(*need) for need in service.depends_on.items()),
            f"{PREFIX}version": "2",
            HASH: service_digest(self._project, service),
            # What the official client compares; it cannot be made here, and so it makes the container anew.
            f"{PREFIX}config-hash": service_digest(self._project, service),
        }
        if replaces is not None:
            own[f"{PREFIX}replace"] = replaces.name
            found["HostConfig"]["Mounts"] = _with_old_volumes(found["HostConfig"].get("Mounts") or [], replaces)
        found["Labels"] = {**found["Labels"], **own}
        return found

    def _know(self, service: str, identifier: str) -> None:
        with self._lock:
            self._ids.setdefault(service, []).append(identifier)

    def container_of(self, service: str) -> str:
        """The id of a container of another service; raises ComposeError where there is none."""
        with self._lock:
            known = self._ids.get(service)
        if known:
            return known[0]
        there = [c for c in containers_of(self._client, self._project.name) if c.service == service and not c.oneoff]
        if not there:
            raise ComposeError(f"service {service} has no container to share with")
        return there[0].id

    def put_contents(self, service: Service, identifier: str) -> None:
        """Secrets and configs that are no files of this machine, written into the container before it starts."""
        files: dict[str, tuple[bytes, int]] = {}
        for kind, known, home in (
            ("secrets", self._project.secrets, "/run/secrets"),
            ("configs", self._project.configs, ""),
        ):
            for use in service.fields.get(kind) or ():
                fields = known[use["source"]].fields
                if fields.get("content") is not None:
                    content = str(fields["content"])
                elif fields.get("environment"):
                    content = self._environment(str(fields["environment"]), kind, use["source"])
                else:
                    continue
                files[body.use_target(use, home)] = (content.encode(), _mode(use))
        if files:
            with self._client.stream("PUT", f"/containers/{identifier}/archive", {"path": "/"}, [_archive(files)]):
                pass

    def _environment(self, name: str, kind: str, source: str) -> str:
        value = self._variables.get(name)
        if value is None:
            raise ComposeError(f"{kind}.{source}: environment variable {name} is not set")
        return value

    # -- waiting -----------------------------------------------------------------------------------------------------

    def _await_dependencies(self, service: Service) -> None:
        for name, need in service.depends_on.items():
            if name in self._project.services:
                self.await_condition(name, need)

    def await_condition(self, name: str, need: Dependency) -> None:
        """Until the other service is as it must be; raises ComposeError when it never will be."""
        if need.condition == "service_started":
            return
        with self._lock:
            identifiers = list(self._ids.get(name, ()))
        for identifier in identifiers:
            try:
                self._await_one(identifier, need.condition)
            except ComposeError:
                if need.required:
                    raise

    def _await_one(self, identifier: str, condition: str) -> None:
        shown = ""
        while True:
            found = self._client.get(f"/containers/{identifier}/json")
            assert isinstance(found, dict)
            state = found["State"]
            if not shown:
                shown = found["Name"].lstrip("/")
                self.say("Container", shown, "Waiting")
            if (done := _outcome(state, condition)) is not None:
                if not done[0]:
                    self.say("Container", shown, "Error")
                    raise ComposeError(f"dependency failed to start: container {shown} {done[1]}")
                self.say("Container", shown, done[1])
                return
            time.sleep(_LOOK)

    # -- one container -----------------------------------------------------------------------------------------------

    def start(self, identifier: str, name: str) -> None:
        self.say("Container", name, "Starting")
        self._client.post(f"/containers/{identifier}/start")
        self.say("Container", name, "Started")

    def stop(self, container: Container, *, timeout: float | None, say: bool = True) -> None:
        if not container.is_up:
            return
        if say:
            self.say("Container", container.name, "Stopping")
        query = None if timeout is None else {"t": int(timeout)}
        with _gone_is_fine():
            self._client.post(f"/containers/{container.id}/stop", query)
        if say:
            self.say("Container", container.name, "Stopped")

    def remove(self, container: Container, *, timeout: float | None, volumes: bool = False) -> None:
        self.stop(container, timeout=timeout)
        self.say("Container", container.name, "Removing")
        with _gone_is_fine():
            self._client.delete(f"/containers/{container.id}", {"force": True, "v": volumes})
        self.say("Container", container.name, "Removed")

    # -- down ---------------------------------------------------------------------------------------------------------

    def start_all(self, those: Sequence[Container]) -> None:
        """All that do not run, each when those that it depends on are as they must be."""
        for container in those:
            self._know(container.service, container.id)

        def start(container: Container) -> None:
            if not container.is_up:
                self._await_dependencies(self._project.find(container.service))
                self.start(container.id, container.name)

        self.in_order_of_dependencies(those, start)

    def in_order_of_dependencies(self, those: Iterable[Container], act: Callable[[Container], None]) -> None:
        """``act`` on containers, those first that depend on no other."""
        by_service = _by_service(those)
        needs = {name: [other for other in self._needs(name) if other in by_service] for name in by_service}
        in_order({name: functools.partial(side_by_side, act, those) for name, those in by_service.items()}, needs)

    def _needs(self, name: str) -> Iterable[str]:
        service = self._project.services.get(name) or self._project.disabled.get(name)
        return service.depends_on if service is not None else ()

    def in_reverse(self, containers: Iterable[Container], act: Callable[[Container], None]) -> None:
        """``act`` on containers, those first on which no other depends."""
        by_service = _by_service(containers)
        needs: dict[str, list[str]] = {name: [] for name in by_service}
        for name in by_service:
            for other in self._needs(name):
                if other in needs:
                    needs[other].append(name)
        in_order({name: functools.partial(side_by_side, act, those) for name, those in by_service.items()}, needs)


def _by_service(those: Iterable[Container]) -> dict[str, list[Container]]:
    found: dict[str, list[Container]] = {}
    for container in those:
        found.setdefault(container.service, []).append(container)
    return found


def side_by_side(act: Callable[[Container], None], those: Sequence[Container]) -> None:
    """``act`` on all, at once; raises the first failure when all are through."""
    if len(those) == 1:
        act(those[0])
        return
    with ThreadPoolExecutor(max_workers=min(_AT_ONCE, len(those))) as pool:
        for future in [pool.submit(act, container) for container in those]:
            future.result()


def in_order(work: Mapping[str, Callable[[], None]], needs: Mapping[str, Sequence[str]]) -> None:
    """All work, each piece when those that it needs are done. After a failure nothing new is begun; it is raised."""
    done: dict[str, Future[None]] = {}
    failed = threading.Event()

    def piece(name: str) -> None:
        for other in needs[name]:
            done[other].result()
        if not failed.is_set():
            try:
                work[name]()
            except BaseException:
                failed.set()
                raise

    names = list(_sorted(work, needs))
    with ThreadPoolExecutor(max_workers=max(1, len(names))) as pool:
        for name in names:
            done[name] = pool.submit(piece, name)
    for name in names:
        done[name].result()


def _sorted(work: Iterable[str], needs: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """What is needed first: a piece may only wait for one that was handed out before it."""
    left = list(work)
    given: set[str] = set()
    while left:
        ready = [name for name in left if all(other in given or other not in left for other in needs[name])]
        yield from ready
        given.update(ready)
        left = [name for name in left if name not in given]


@contextlib.contextmanager
def _gone_is_fine() -> Iterator[None]:
    try:
        yield
    except ApiError as error:
        if error.status not in (304, 404, 409):
            raise


def _service_of(step: ContainerStep) -> str:
    return step.service if isinstance(step, Create) else step.container.service


def _dependency(name: str, need: Dependency) -> str:
    return f"{name}:{need.condition}:{str(need.restart).lower()}"


def _outcome(state: Mapping[str, Any], condition: str) -> tuple[bool, str] | None:
    """Whether the condition is met for good or ill, and in which words; None as long as it is open."""
    if condition == "service_completed_successfully":
        if state["Status"] in ("exited", "dead"):
            code = state["ExitCode"]
            return (True, "Exited") if code == 0 else (False, f"exited ({code})")
        return None
    health = (state.get("Health") or {}).get("Status", "")
    if state["Status"] in ("exited", "dead"):
        return False, f"exited ({state['ExitCode']})"
    if not health or health == "none":
        return False, "has no healthcheck configured"
    if health == "healthy":
        return True, "Healthy"
    return (False, "is unhealthy") if health == "unhealthy" else None


def _with_old_volumes(mounts: Sequence[Mapping[str, Any]], old: Container) -> list[Mapping[str, Any]]:
    """Anonymous volumes go over to the container that takes the old one's place."""
    found = list(mounts)
    targets = {mount["Target"] for mount in mounts if mount.get("Source")}
    for point in old.raw.get("Mounts") or ():
        if (
            point.get("Type") == "volume"
            and point["Destination"] not in targets
            and _is_anonymous(point.get("Name", ""))
        ):
            found = [mount for mount in found if mount["Target"] != point["Destination"]]
            found.append({"Type": "volume", "Source": point["Name"], "Target": point["Destination"]})
    return found


def _is_anonymous(name: str) -> bool:
    return len(name) == 64 and all(char in "0123456789abcdef" for char in name)


def _mode(use: Mapping[str, Any]) -> int:
    """Octal where it is text, as people write it; YAML reads 0440 as a number already."""
    mode = use.get("mode", 0o444)
    return int(mode, 8) if isinstance(mode, str) else int(mode)


def _archive(files: Mapping[str, tuple[bytes, int]]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for path, (content, mode) in files.items():
            entry = tarfile.TarInfo(path.lstrip("/"))
            entry.size, entry.mode = len(content), mode
            archive.addfile(entry, io.BytesIO(content))
    return out.getvalue()


def images_of(client: Client, project: Project) -> dict[str, str]:
    """The ids of those images of the project that the engine has."""
    names = sorted({service.image for service in project.services.values()})
    found: dict[str, str] = {}

    def look(name: str) -> None:
        try:
            image = client.get(f"/images/{name}/json")
        except ApiError as error:
            if error.status != 404:
                raise
            return
        assert isinstance(image, dict)
        found[name] = image["Id"]

    with ThreadPoolExecutor(max_workers=max(1, min(_AT_ONCE, len(names)))) as pool:
        list(pool.map(look, names))
    return found


def await_running(client: Client, those: Iterable[Container]) -> None:
    """Until all run, and are healthy where they say how they are; raises ComposeError when one ends instead."""
    for container in those:
        while True:
            found = client.get(f"/containers/{container.id}/json")
            assert isinstance(found, dict)
            state = found["State"]
            health = (state.get("Health") or {}).get("Status", "healthy")
            if state["Status"] in ("exited", "dead") and state["ExitCode"]:
                raise ComposeError(f"container {container.name} exited ({state['ExitCode']})")
            if health == "unhealthy":
                raise ComposeError(f"container {container.name} is unhealthy")
            if state["Status"] == "exited" or (state["Running"] and health in ("healthy", "none", "")):
                break
            time.sleep(_LOOK)
