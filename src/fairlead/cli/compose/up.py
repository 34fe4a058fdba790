"""``fairlead compose up`` and its kin: from the files to containers."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from fairlead.cli.command import ANY, ONE_OR_MORE, Command, Context
from fairlead.cli.compose.build import build_services
from fairlead.cli.compose.common import Loaded, complaints, is_dry, load, runner
from fairlead.cli.compose.logs import follow
from fairlead.cli.errors import CommandError
from fairlead.cli.flags import Flag, Values, number, several, switch, text
from fairlead.cli.image.pull import pull_image
from fairlead.compose.observed import Container, containers_of, observe
from fairlead.compose.plan import (
    ChangeNetwork,
    Create,
    CreateNetwork,
    CreateVolume,
    Keep,
    Plan,
    Recreate,
    Remove,
    Start,
    Wishes,
    plan,
)
from fairlead.compose.project import Service
from fairlead.compose.run import Runner, images_of


def _recreation(values: Values) -> Recreate:
    if values.switch("force-recreate") and values.switch("no-recreate"):
        raise CommandError("--force-recreate and --no-recreate are incompatible")
    if values.switch("force-recreate"):
        return Recreate.ALWAYS
    return Recreate.NEVER if values.switch("no-recreate") else Recreate.CHANGED


def _scales(loaded: Loaded, given: Sequence[str]) -> dict[str, int]:
    found = {}
    for text_form in given:
        name, equals, count = text_form.partition("=")
        if not equals or not count.isdecimal():
            raise CommandError(f'invalid --scale option "{text_form}": write SERVICE=NUMBER')
        with complaints():
            service = loaded.project.find(name)
        if int(count) > 1 and service.container_name:
            raise CommandError(f"{name} has a container_name: {count} containers cannot share it")
        found[name] = int(count)
    return found


def _wishes(loaded: Loaded, values: Values, services: Sequence[str], *, start: bool) -> Wishes:
    return Wishes(
        services=tuple(services),
        dependencies=not values.switch("no-deps"),
        recreate=_recreation(values),
        recreate_dependencies=values.switch("always-recreate-deps"),
        start=start,
        remove_orphans=values.switch("remove-orphans"),
        scale=_scales(loaded, values.list("scale")),
    )


# -- images -----------------------------------------------------------------------------------------------------------


def ensure_images(
    context: Context, loaded: Loaded, services: Sequence[Service], policy: str, *, build: bool = False
) -> dict[str, str]:
    """The ids of the services' images, those that are missing being built or pulled first; raises CommandError."""
    have = images_of(context.client, loaded.project)
    stale = [service for service in services if build or service.image not in have or _is_always_built(service)]
    build_services(context, loaded, stale, {"quiet": True})
    for service in services:
        wanted = policy or str(service.fields.get("pull_policy") or "missing")
        if service.fields.get("build") or (wanted in ("missing", "if_not_present") and service.image in have):
            continue
        if wanted == "never":
            if service.image not in have:
                raise CommandError(f"No such image: {service.image}")
            continue
        sys.stderr.write(f" {service.name} Pulling\n")
        pull_image(context, service.image, str(service.fields.get("platform") or ""), sys.stderr, quiet=True)
        sys.stderr.write(f" {service.name} Pulled\n")
    return images_of(context.client, loaded.project)


def _is_always_built(service: Service) -> bool:
    return service.fields.get("pull_policy") == "build"


# -- up ---------------------------------------------------------------------------------------------------------------


def _bring_up(context: Context, values: Values, services: Sequence[str], *, start: bool) -> tuple[Loaded, Plan, Runner]:
    loaded = load(context, services)
    with complaints():
        wishes = _wishes(loaded, values, services, start=start)
        order = loaded.project.needed_by(wishes.services, dependencies=wishes.dependencies)
        needed = [loaded.project.services[name] for name in order]
        images = ensure_images(context, loaded, needed, values.text("pull"), build=values.switch("build"))
        made = plan(loaded.project, observe(context.client, loaded.project.name), images, wishes)
        worker = runner(context, loaded)
        if is_dry(context):
            _show(context, made)
            return loaded, made, worker
        _orphans(context, made, worker, remove=wishes.remove_orphans)
        timeout = float(values.number("timeout")) if values.changed("timeout") else None
        worker.apply(made, start=start, timeout=timeout)
    return loaded, made, worker


def _orphans(context: Context, made: Plan, worker: Runner, *, remove: bool) -> None:
    if not made.orphans:
        return
    if remove:
        for container in made.orphans:
            worker.remove(container, timeout=None)
        return
    names = " ".join(container.name for container in made.orphans)
    context.warn(
        f"WARN: Found orphan containers ([{names}]) for this project. If you removed or renamed this service in your "
        "compose file, you can run this command with the --remove-orphans flag to clean it up."
    )


def _show(context: Context, made: Plan) -> None:
    """The plan, a line for each step."""
    for resource in made.resources:
        context.print(_words(resource))
    for steps in made.services.values():
        for step in steps:
            context.print(_words(step))
    for container in made.orphans:
        context.print(f"orphan   container {container.name}")


def _words(step: object) -> str:
    match step:
        case CreateNetwork(resource):
            return f"create   network {resource.name}"
        case ChangeNetwork(resource, _):
            return f"change   network {resource.name}"
        case CreateVolume(resource):
            return f"create   volume {resource.name}"
        case Create(_, _, name, None):
            return f"create   container {name}"
        case Create(_, _, name, _):
            return f"recreate container {name}"
        case Start(container):
            return f"start    container {container.name}"
        case Remove(container):
            return f"remove   container {container.name}"
        case Keep(container):
            return f"keep     container {container.name}"
    raise AssertionError(step)


def _up(context: Context, values: Values, services: list[str]) -> int:
    if values.switch("detach") and values.switch("abort-on-container-exit"):
        raise CommandError("--abort-on-container-exit cannot be combined with --detach")
    detached = values.switch("detach") or values.switch("wait")
    loaded, made, worker = _bring_up(context, values, services, start=not values.switch("no-start"))
    if is_dry(context) or values.switch("no-start"):
        return 0
    if values.switch("wait"):
        with complaints():
            _wait(context, loaded, made)
    if detached:
        return 0
    return _attach(context, values, loaded, made, worker)


def _wait(context: Context, loaded: Loaded, made: Plan) -> None:
    """Until everything runs, and is healthy where it says how it is."""
    from fairlead.compose.run import await_running  # noqa: PLC0415 - one flag needs it

    there = containers_of(context.client, loaded.project.name)
    await_running(context.client, [c for c in there if c.service in made.services and not c.oneoff])


def _attach(context: Context, values: Values, loaded: Loaded, made: Plan, worker: Runner) -> int:
    """The output of all until they end, or until we are interrupted: then they are stopped."""
    there = [
        c for c in containers_of(context.client, loaded.project.name) if c.service in made.services and not c.oneoff
    ]
    shown = [c for c in there if loaded.project.services[c.service].fields.get("attach", True) is not False]
    ends = values.switch("abort-on-container-exit") or bool(values.text("exit-code-from"))
    try:
        first = follow(context, shown, since_start=True, colours=not values.switch("no-color"), until_first_end=ends)
    except KeyboardInterrupt:
        sys.stderr.write("Gracefully stopping... (press Ctrl+C again to force)\n")
        _stop_all(loaded, worker, there)
        return 130
    _stop_all(loaded, worker, there)
    if values.text("exit-code-from"):
        return _exit_code(context, loaded, values.text("exit-code-from"))
    return first if ends else 0


def _stop_all(loaded: Loaded, worker: Runner, there: Sequence[Container]) -> None:
    fresh = {container.id for container in there}
    running = [c for c in containers_of(worker.client, loaded.project.name) if c.id in fresh]
    worker.in_reverse(running, lambda container: worker.stop(container, timeout=None))


def _exit_code(context: Context, loaded: Loaded, service: str) -> int:
    for container in containers_of(context.client, loaded.project.name):
        if container.service == service:
            found = context.client.get(f"/containers/{container.id}/json")
            assert isinstance(found, dict)
            return int(found["State"]["ExitCode"])
    raise CommandError(f"no such service: {service}")


def _create(context: Context, values: Values, services: list[str]) -> None:
    _bring_up(context, values, services, start=False)


def _scale(context: Context, values: Values, arguments: list[str]) -> None:
    names = [text_form.partition("=")[0] for text_form in arguments]
    values = values.with_value("scale", arguments)
    _bring_up(context, values, names, start=True)


def _pull(context: Context, values: Values, services: list[str]) -> None:
    loaded = load(context, services)
    with complaints():
        order = loaded.project.needed_by(tuple(services), dependencies=values.switch("include-deps") or not services)
    for name in order:
        service = loaded.project.services[name]
        if service.fields.get("build") and not service.fields.get("image"):
            continue
        sys.stderr.write(f" {name} Pulling\n")
        pull_image(context, service.image, str(service.fields.get("platform") or ""), sys.stderr, quiet=True)
        sys.stderr.write(f" {name} Pulled\n")


_MAKING: Sequence[Flag] = (
    switch("always-recreate-deps", "Recreate dependent containers. Incompatible with --no-recreate."),
    switch("build", "Build images before starting containers"),
    switch("force-recreate", "Recreate containers even if their configuration and image haven't changed"),
    switch("no-build", "Don't build an image, even if it's policy"),
    switch("no-deps", "Don't start linked services"),
    switch("no-recreate", "If containers already exist, don't recreate them. Incompatible with --force-recreate."),
    text("pull", 'Pull image before running ("always"|"missing"|"never")'),
    switch("quiet-pull", "Pull without printing progress information"),
    switch("remove-orphans", "Remove containers for services not defined in the Compose file"),
    several("scale", "Scale SERVICE to NUM instances. Overrides the `scale` setting in the Compose file if present."),
    number("timeout", "Use this timeout in seconds for container shutdown", "t"),
    switch("yes", 'Assume "yes" as answer to all prompts', "y"),
)

UP = Command(
    "[OPTIONS] [SERVICE...]",
    _up,
    (
        *_MAKING,
        switch("abort-on-container-exit", "Stops all containers if any container was stopped. Incompatible with -d"),
        switch("detach", "Detached mode: Run containers in the background", "d"),
        text("exit-code-from", "Return the exit code of the selected service container."),
        switch("no-color", "Produce monochrome output"),
        switch("no-log-prefix", "Don't print prefix in logs"),
        switch("no-start", "Don't start the services after creating them"),
        switch("renew-anon-volumes", "Recreate anonymous volumes instead of retrieving data from the old ones", "V"),
        switch("wait", "Wait for services to be running|healthy. Implies detached mode."),
    ),
    ANY,
)
CREATE = Command("[OPTIONS] [SERVICE...]", _create, _MAKING, ANY)
SCALE = Command("[SERVICE=REPLICAS...]", _scale, _MAKING, ONE_OR_MORE)
PULL = Command(
    "[OPTIONS] [SERVICE...]",
    _pull,
    (
        switch("ignore-pull-failures", "Pull what it can and ignores images with pull failures"),
        switch("include-deps", "Also pull services declared as dependencies"),
        switch("quiet", "Pull without printing progress information", "q"),
    ),
    ANY,
)
