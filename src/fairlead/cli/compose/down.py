"""The Compose verbs that take what is there from one state to another, and away."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fairlead.cli.command import ANY, Command, Context
from fairlead.cli.compose.common import Loaded, complaints, is_dry, load, named_project, progress_of, runner
from fairlead.cli.errors import CommandError
from fairlead.cli.flags import Values, number, switch, text
from fairlead.cli.prompt import confirmed
from fairlead.client.errors import ApiError
from fairlead.compose.observed import Container, containers_of, observe
from fairlead.compose.project import Project
from fairlead.compose.run import Runner, side_by_side


def _project(context: Context, services: Sequence[str] = ()) -> Loaded:
    """From the files; with only a name and no file, a project of which nothing but the name is known."""
    try:
        return load(context, services)
    except CommandError:
        group = context.group
        if services or group is None or not group.text("project-name") or group.list("file"):
            raise
    bare = Project(
        name=named_project(context),
        directory="",
        files=(),
        services={},
        disabled={},
        networks={},
        volumes={},
        secrets={},
        configs={},
    )
    return Loaded(bare, context.environment)


def _timeout(values: Values) -> float | None:
    return float(values.number("timeout")) if values.changed("timeout") else None


# -- down -------------------------------------------------------------------------------------------------------------


def _down(context: Context, values: Values, services: list[str]) -> None:
    if values.text("rmi") not in ("", "all", "local"):
        raise CommandError(f'invalid value for --rmi: "{values.text("rmi")}": use all or local')
    loaded = _project(context, services)
    worker = runner(context, loaded)
    have = observe(context.client, loaded.project.name)
    known = {*loaded.project.services, *loaded.project.disabled}
    orphans = values.switch("remove-orphans") or not known
    those = [
        container
        for container in have.containers
        if (container.service in services if services else container.service in known or container.oneoff or orphans)
    ]
    if is_dry(context):
        for container in those:
            context.print(f"remove   container {container.name}")
        return
    timeout = _timeout(values)
    with complaints():
        worker.in_reverse(those, lambda one: worker.remove(one, timeout=timeout, volumes=values.switch("volumes")))
    if not services:
        _remove_networks(context, loaded.project, those)
        if values.switch("volumes"):
            _remove_volumes(context, loaded.project)
    _remove_images(context, loaded.project, values.text("rmi"))


def _remove_networks(context: Context, project: Project, those: Sequence[Container]) -> None:
    say = progress_of(context)
    have = observe(context.client, project.name)
    for network in have.networks.values():
        if network.project != project.name:
            continue
        say("Network", network.name, "Removing")
        try:
            context.client.delete(f"/networks/{network.id}")
        except ApiError as error:
            if error.status == 404:
                continue
            if error.status != 403:
                raise
            say("Network", network.name, "Resource is still in use")
        else:
            say("Network", network.name, "Removed")
    del those


def _remove_volumes(context: Context, project: Project) -> None:
    say = progress_of(context)
    external = {resource.name for resource in project.volumes.values() if resource.external}
    for volume in observe(context.client, project.name).volumes.values():
        if volume.project != project.name or volume.name in external:
            continue
        say("Volume", volume.name, "Removing")
        try:
            context.client.delete(f"/volumes/{volume.name}")
        except ApiError as error:
            if error.status != 409:
                raise
            say("Volume", volume.name, "Resource is still in use")
        else:
            say("Volume", volume.name, "Removed")


def _remove_images(context: Context, project: Project, which: str) -> None:
    say = progress_of(context)
    for service in project.services.values():
        if not which or (which == "local" and service.fields.get("image")):
            continue
        try:
            context.client.delete(f"/images/{service.image}")
        except ApiError as error:
            if error.status not in (404, 409):
                raise
        else:
            say("Image", service.image, "Removed")


# -- states -----------------------------------------------------------------------------------------------------------


def _those(context: Context, loaded: Loaded, services: Sequence[str]) -> list[Container]:
    return [
        container
        for container in containers_of(context.client, loaded.project.name)
        if not container.oneoff and (not services or container.service in services)
    ]


def _stop(context: Context, values: Values, services: list[str]) -> None:
    loaded = _project(context, services)
    worker = runner(context, loaded)
    timeout = _timeout(values)
    worker.in_reverse(_those(context, loaded, services), lambda one: worker.stop(one, timeout=timeout))


def _start(context: Context, values: Values, services: list[str]) -> None:  # noqa: ARG001 - the form of a verb
    loaded = _project(context, services)
    worker = runner(context, loaded)
    those = _those(context, loaded, services)
    if not those:
        raise CommandError(f'no container found for project "{loaded.project.name}": not found')
    with complaints():
        worker.start_all(those)


def _restart(context: Context, values: Values, services: list[str]) -> None:
    loaded = _project(context, services)
    worker = runner(context, loaded)
    query = {"t": values.number("timeout")} if values.changed("timeout") else None

    def restart(container: Container) -> None:
        worker.say("Container", container.name, "Restarting")
        context.client.post(f"/containers/{container.id}/restart", query)
        worker.say("Container", container.name, "Started")

    worker.in_order_of_dependencies(_those(context, loaded, services), restart)


def _posting(verb: str, doing: str, done: str, needed: str) -> Callable[[Context, Values, list[str]], None]:
    """A verb that is posted to all containers that are in a state where it means anything."""

    def run(context: Context, values: Values, services: list[str]) -> None:
        loaded = _project(context, services)
        worker: Runner = runner(context, loaded)
        query = {"signal": values.text("signal")} if verb == "kill" else None

        def act(container: Container) -> None:
            worker.say("Container", container.name, doing)
            context.client.post(f"/containers/{container.id}/{verb}", query)
            worker.say("Container", container.name, done)

        those = [one for one in _those(context, loaded, services) if one.state == needed]
        if those:
            side_by_side(act, those)

    return run


def _rm(context: Context, values: Values, services: list[str]) -> None:
    loaded = _project(context, services)
    worker = runner(context, loaded)
    those = _those(context, loaded, services)
    if values.switch("stop"):
        worker.in_reverse(those, lambda one: worker.stop(one, timeout=None))
        those = _those(context, loaded, services)
    stopped = [container for container in those if not container.is_up]
    if not stopped:
        context.warn("No stopped containers")
        return
    names = ", ".join(container.name for container in stopped)
    if not values.switch("force") and not confirmed(f"Going to remove {names}"):
        return
    side_by_side(lambda one: worker.remove(one, timeout=None, volumes=values.switch("volumes")), stopped)


_SERVICES = "[OPTIONS] [SERVICE...]"
_TIMEOUT = number("timeout", "Specify a shutdown timeout in seconds", "t")

DOWN = Command(
    "[OPTIONS] [SERVICES]",
    _down,
    (
        switch("remove-orphans", "Remove containers for services not defined in the Compose file"),
        text("rmi", 'Remove images used by services. "local" remove only images that don\'t have a custom tag'),
        _TIMEOUT,
        switch("volumes", "Remove named volumes declared in the Compose file and anonymous volumes", "v"),
    ),
    ANY,
)
STOP = Command(_SERVICES, _stop, (_TIMEOUT,), ANY)
START = Command("[SERVICE...]", _start, (), ANY)
RESTART = Command(_SERVICES, _restart, (_TIMEOUT, switch("no-deps", "Don't restart dependent services")), ANY)
KILL = Command(
    _SERVICES,
    _posting("kill", "Killing", "Killed", "running"),
    (
        text("signal", "SIGNAL to send to the container", "s", "SIGKILL"),
        switch("remove-orphans", "Remove containers for services not defined in the Compose file"),
    ),
    ANY,
)
PAUSE = Command("[SERVICE...]", _posting("pause", "Pausing", "Paused", "running"), (), ANY)
UNPAUSE = Command("[SERVICE...]", _posting("unpause", "Unpausing", "Unpaused", "paused"), (), ANY)
RM = Command(
    _SERVICES,
    _rm,
    (
        switch("force", "Don't ask to confirm removal", "f"),
        switch("stop", "Stop the containers, if required, before removing", "s"),
        switch("volumes", "Remove any anonymous volumes attached to containers", "v"),
    ),
    ANY,
)
