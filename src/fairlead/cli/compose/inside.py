"""The Compose verbs on one service's containers: exec, run, cp, wait."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from fairlead.cli import terminal
from fairlead.cli.command import ONE_OR_MORE, TWO, TWO_OR_MORE, Command, Context
from fairlead.cli.compose.common import complaints, containers, load, runner
from fairlead.cli.compose.up import ensure_images
from fairlead.cli.container.copy import CP as CONTAINER_CP
from fairlead.cli.container.exec import EXEC as CONTAINER_EXEC
from fairlead.cli.container.publish import exposed, port_map
from fairlead.cli.container.run import attached_start
from fairlead.cli.container.session import Wiring, check_terminal
from fairlead.cli.container.values import environment_of, pair
from fairlead.cli.errors import CommandError
from fairlead.cli.flags import Values, number, parse, several, switch, text
from fairlead.client.errors import ApiError
from fairlead.compose.body import PREFIX
from fairlead.compose.observed import Container, observe
from fairlead.compose.plan import Wishes, plan


def _container(context: Context, service: str, index: int) -> Container:
    """The service's container with that number, or its first one; raises CommandError when there is none."""
    those = [c for c in containers(context, [service]) if not index or c.number == index]
    if not those:
        which = f" container #{index}" if index else ""
        raise CommandError(f'service "{service}" is not running{which}')
    return min(those, key=lambda container: (not container.is_up, container.number))


# -- exec and cp ------------------------------------------------------------------------------------------------------


def _exec(context: Context, values: Values, arguments: list[str]) -> int:
    service, *command = arguments
    container = _container(context, service, values.number("index"))
    tty = not values.switch("no-tty") and terminal.is_terminal(0) and terminal.is_terminal(1)
    words = [f"--interactive={str(values.switch('interactive')).lower()}", f"--tty={str(tty).lower()}"]
    words += [f"--{name}" for name in ("detach", "privileged") if values.switch(name)]
    words += [f"--{name}={values.text(name)}" for name in ("user", "workdir") if values.text(name)]
    words += [f"--env={entry}" for entry in values.list("env")]
    given, rest = parse(CONTAINER_EXEC.flags, [*words, container.id, *command], interspersed=False)
    return CONTAINER_EXEC.run(context, given, rest) or 0


def _cp(context: Context, values: Values, arguments: list[str]) -> int:
    """SERVICE:PATH is the path in the service's container; what comes out comes out of the first one."""
    words = [f"--{name}" for name in ("archive", "follow-link") if values.switch(name)]
    paths = []
    for place in arguments:
        service, colon, path = place.partition(":")
        inside = bool(colon) and "/" not in service and not service.startswith(".")
        paths.append(f"{_container(context, service, values.number('index')).id}:{path}" if inside else place)
    given, rest = parse(CONTAINER_CP.flags, [*words, *paths], interspersed=True)
    return CONTAINER_CP.run(context, given, rest) or 0


# -- run --------------------------------------------------------------------------------------------------------------


def _run(context: Context, values: Values, arguments: list[str]) -> int:
    name, *command = arguments
    loaded = load(context, [name])
    service = loaded.project.find(name)
    worker = runner(context, loaded)
    with complaints():
        needed = [one for one in loaded.project.needed_by([name]) if one != name]
        order = [] if values.switch("no-deps") else needed
        images = ensure_images(context, loaded, [loaded.project.services[one] for one in (*order, name)], "")
        wishes = Wishes(services=tuple(order) or (name,), scale={name: 0} if not order else None)
        made = plan(loaded.project, observe(context.client, loaded.project.name), images, wishes)
        if order:
            worker.apply(made)
        else:
            worker.make_resources(made)
        for one in order:
            worker.await_condition(one, service.depends_on[one]) if one in service.depends_on else None
        described = worker.described(service, 1, oneoff=True)
    tty = not values.switch("no-tty") and terminal.is_terminal(0) and not values.switch("detach")
    stdin = values.switch("interactive") and not values.switch("detach")
    _adapt(context, described, values, command)
    described.update({"Tty": tty, "OpenStdin": stdin, "StdinOnce": stdin, "AttachStdin": stdin})
    described.update({"AttachStdout": True, "AttachStderr": True})
    return _run_described(context, values, described, f"{loaded.project.name}-{name}-run-{secrets.token_hex(6)}")


def _adapt(context: Context, described: dict[str, Any], values: Values, command: Sequence[str]) -> None:
    host = described["HostConfig"]
    host.pop("RestartPolicy", None)
    if not values.switch("service-ports"):
        host.pop("PortBindings", None)
    for endpoint in (described.get("NetworkingConfig") or {}).get("EndpointsConfig", {}).values():
        if not values.switch("use-aliases"):
            endpoint.pop("Aliases", None)
        endpoint.pop("IPAMConfig", None)
    if values.list("publish"):
        host["PortBindings"] = {**host.get("PortBindings", {}), **port_map(values.list("publish"))}
        described["ExposedPorts"] = {
            **described.get("ExposedPorts", {}),
            **exposed([]),
            **{port: {} for port in host["PortBindings"]},
        }
    if command:
        described["Cmd"] = list(command)
    if values.changed("entrypoint"):
        described["Entrypoint"] = values.text("entrypoint").split()
        described.setdefault("Cmd", [])
    given = environment_of(values.list("env"), [], context.environment)
    described["Env"] = [*described.get("Env", []), *given]
    for name, field in (("user", "User"), ("workdir", "WorkingDir")):
        if values.text(name):
            described[field] = values.text(name)
    described["Labels"].update(dict(pair(label) for label in values.list("label")))
    described["Labels"][f"{PREFIX}slug"] = secrets.token_hex(32)
    host["Binds"] = [*host.get("Binds", []), *values.list("volume")]


def _run_described(context: Context, values: Values, described: dict[str, Any], name: str) -> int:
    tty, stdin = bool(described["Tty"]), bool(described["OpenStdin"])
    check_terminal(stdin=stdin, tty=tty)
    described["HostConfig"]["AutoRemove"] = values.switch("rm")
    made = context.client.post("/containers/create", {"name": values.text("name") or name}, described)
    assert isinstance(made, dict)
    if values.switch("detach"):
        context.client.post(f"/containers/{made['Id']}/start")
        context.print(values.text("name") or name)
        return 0
    try:
        return attached_start(context, made["Id"], Wiring(tty=tty, stdin=stdin), auto_remove=values.switch("rm"))
    except ApiError:
        with suppress(ApiError):
            context.client.delete(f"/containers/{made['Id']}", {"force": True})
        raise


def _wait(context: Context, values: Values, services: list[str]) -> int:
    code = 0
    for container in containers(context, services):
        ended = context.client.post(f"/containers/{container.id}/wait")
        assert isinstance(ended, dict)
        code = int(ended["StatusCode"])
        context.print(f"container {container.name} exited with status code {code}")
        if values.switch("down-project"):
            break
    return code


_INDEX = number("index", "Index of the container if service has multiple replicas")

EXEC = Command(
    "[OPTIONS] SERVICE COMMAND [ARGS...]",
    _exec,
    (
        switch("detach", "Detached mode: Run command in the background", "d"),
        several("env", "Set environment variables", "e"),
        _INDEX,
        switch("interactive", "Keep STDIN open even if not attached", "i", default=True),
        switch("no-tty", "Disable pseudo-TTY allocation", "T"),
        switch("privileged", "Give extended privileges to the process"),
        text("user", "Run the command as this user", "u"),
        text("workdir", "Path to workdir directory for this command", "w"),
    ),
    TWO_OR_MORE,
    interspersed=False,
)
RUN = Command(
    "[OPTIONS] SERVICE [COMMAND] [ARGS...]",
    _run,
    (
        switch("detach", "Run container in background and print container ID", "d"),
        text("entrypoint", "Override the entrypoint of the image"),
        several("env", "Set environment variables", "e"),
        switch("interactive", "Keep STDIN open even if not attached", "i", default=True),
        several("label", "Add or override a label", "l"),
        text("name", "Assign a name to the container"),
        switch("no-deps", "Don't start linked services"),
        switch("no-tty", "Disable pseudo-TTY allocation", "T"),
        several("publish", "Publish a container's port(s) to the host", "p"),
        switch("rm", "Automatically remove the container when it exits"),
        switch("service-ports", "Run command with all service's ports enabled and mapped to the host", "P"),
        switch("use-aliases", "Use the service's network useAliases in the network(s) the container connects to"),
        text("user", "Run as specified username or uid", "u"),
        several("volume", "Bind mount a volume", "v"),
        text("workdir", "Working directory inside the container", "w"),
    ),
    ONE_OR_MORE,
    interspersed=False,
)
CP = Command(
    "[OPTIONS] SERVICE:SRC_PATH DEST_PATH|-",
    _cp,
    (
        switch("archive", "Archive mode (copy all uid/gid information)", "a"),
        switch("follow-link", "Always follow symbol link in SRC_PATH", "L"),
        _INDEX,
    ),
    TWO,
)
WAIT = Command(
    "SERVICE [SERVICE...]",
    _wait,
    (switch("down-project", "Drops project when the first container stops"),),
    ONE_OR_MORE,
)
