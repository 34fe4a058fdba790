"""What every Compose verb begins with: which files, which project, which profiles, and how progress is told."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from fairlead.cli.command import Context
from fairlead.cli.errors import CommandError
from fairlead.cli.flags import Flag, Values, several, switch, text
from fairlead.compose import dotenv, loading
from fairlead.compose.errors import ComposeError
from fairlead.compose.observed import Container, containers_of
from fairlead.compose.project import Project, decide, default_name, project_name
from fairlead.compose.run import Progress, Runner

FLAGS: Sequence[Flag] = (
    several("file", "Compose configuration files", "f"),
    text("project-name", "Project name", "p"),
    text("project-directory", "Specify an alternate working directory"),
    several("env-file", "Specify an alternate environment file"),
    several("profile", "Specify a profile to enable"),
    text("progress", "Set type of progress output (auto, tty, plain, quiet)", default="auto"),
    text(
        "ansi", 'Control when to print ANSI control characters ("never"|"always"|"auto")', default="auto", hidden=True
    ),
    switch("all-resources", "Include all resources, even those not used by services"),
    switch("compatibility", "Run compose in backward compatibility mode", hidden=True),
    switch("dry-run", "Execute command in dry run mode"),
)

_DEFAULTS = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")
_OVERRIDES = (
    "compose.override.yaml",
    "compose.override.yml",
    "docker-compose.override.yaml",
    "docker-compose.override.yml",
)


@contextmanager
def complaints() -> Iterator[None]:
    """What is wrong with a project is said in one sentence."""
    try:
        yield
    except ComposeError as wrong:
        raise CommandError(str(wrong)) from wrong


class Loaded(NamedTuple):
    """A project and the variables it was read with."""

    project: Project
    variables: Mapping[str, str]


def _group(context: Context) -> Values:
    assert context.group is not None
    return context.group


def is_dry(context: Context) -> bool:
    return _group(context).switch("dry-run")


def load(context: Context, services: Sequence[str] = ()) -> Loaded:
    """The project that the command line, the environment and the directory name; raises CommandError."""
    try:
        loaded = _load(context)
        for name in services:
            loaded.project.find(name)
        return loaded._replace(project=loaded.project.with_services(services))
    except ComposeError as wrong:
        raise CommandError(str(wrong)) from wrong


def _load(context: Context) -> Loaded:
    group, environment = _group(context), context.environment
    files = _files(group, environment)
    directory = os.path.abspath(group.text("project-directory") or os.path.dirname(files[0]))
    variables = _variables(group, environment, directory)
    origin = loading.Origin(
        directory=directory,
        variables=variables,
        read=_read,
        warn=lambda line: context.warn(f"WARN: {line}"),
        home=os.path.expanduser("~"),
    )
    tree = loading.load(files, origin)
    name = group.text("project-name") or variables.get("COMPOSE_PROJECT_NAME", "") or str(tree.get("name") or "")
    name = project_name(name) if name else _name_of(directory)
    profiles = [*group.list("profile"), *variables.get("COMPOSE_PROFILES", "").split(",")]
    return Loaded(decide(tree, origin, name=name, files=files, profiles=profiles), variables)


def _name_of(directory: str) -> str:
    name = default_name(directory)
    if not name:
        raise ComposeError("project name must not be empty: use --project-name")
    return name


def _read(path: str) -> str:
    if path == "-":
        return sys.stdin.read()
    with open(path, encoding="utf-8") as file:
        return file.read()


def _files(group: Values, environment: Mapping[str, str]) -> list[str]:
    given = group.list("file")
    if not given and (named := environment.get("COMPOSE_FILE")):
        given = named.split(environment.get("COMPOSE_PATH_SEPARATOR", os.pathsep))
    if given:
        return [path if path == "-" else os.path.abspath(path) for path in given]
    return _found(os.path.abspath(group.text("project-directory") or os.getcwd()))


def _found(directory: str) -> list[str]:
    """In the directory or the nearest one above it that has a file with a usual name."""
    while True:
        for name in _DEFAULTS:
            path = os.path.join(directory, name)
            if os.path.exists(path):
                over = (os.path.join(directory, other) for other in _OVERRIDES)
                return [path, *(other for other in over if os.path.exists(other))][:2]
        above = os.path.dirname(directory)
        if above == directory:
            raise ComposeError("no configuration file provided: not found")
        directory = above


def _variables(group: Values, environment: Mapping[str, str], directory: str) -> dict[str, str]:
    """The files of variables, and over them the environment."""
    named = group.list("env-file") or [path for path in environment.get("COMPOSE_ENV_FILES", "").split(",") if path]
    found: dict[str, str] = {}
    for path in named or [os.path.join(directory, ".env")]:
        try:
            found |= dotenv.parse(_read(os.path.abspath(path)), path, {**found, **environment})
        except FileNotFoundError as wrong:
            if named:
                raise ComposeError(f"couldn't find env file: {os.path.abspath(path)}") from wrong
        except OSError as wrong:
            raise ComposeError(f"{path}: {(wrong.strerror or '').lower()}") from wrong
    return {**found, **environment}


def named_project(context: Context) -> str:
    """The project's name alone, for verbs that need no file when it was given."""
    given = _group(context).text("project-name") or context.environment.get("COMPOSE_PROJECT_NAME", "")
    return given or load(context).project.name


def runner(context: Context, loaded: Loaded) -> Runner:
    return Runner(context.client, loaded.project, progress_of(context), loaded.variables)


def progress_of(context: Context) -> Progress:
    """A line on standard error for everything that happens; on a terminal with a mark before what is done."""
    if _group(context).text("progress") == "quiet":
        return lambda _kind, _name, _what: None
    coloured = (
        sys.stderr.isatty() and _group(context).text("ansi") != "never" and _group(context).text("progress") != "plain"
    )

    def say(kind: str, name: str, what: str) -> None:
        done = what in _DONE
        mark = (
            f"\x1b[32m✔\x1b[0m {kind} {name}  \x1b[32m{what}\x1b[0m" if coloured and done else f"{kind} {name}  {what}"
        )
        sys.stderr.write(f" {mark}\n")
        sys.stderr.flush()

    return say


_DONE = frozenset(
    ("Created", "Started", "Stopped", "Removed", "Recreated", "Running", "Healthy", "Exited", "Killed", "Paused")
)


def containers(context: Context, services: Sequence[str], *, oneoff: bool = False) -> list[Container]:
    """The project's containers, or those of the named services; raises CommandError for unknown ones."""
    if _group(context).text("project-name") and not services:
        project = named_project(context)
    else:
        project = load(context, services).project.name
    return [
        container
        for container in containers_of(context.client, project)
        if (oneoff or not container.oneoff) and (not services or container.service in services)
    ]
