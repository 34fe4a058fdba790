"""``fairlead run`` and ``fairlead create``."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from fairlead.cli import reference
from fairlead.cli.command import Arguments, Command, Context
from fairlead.cli.container.body import container_body
from fairlead.cli.container.options import CONTAINER_FLAGS
from fairlead.cli.container.session import (
    Wiring,
    check_terminal,
    exchange,
    followed_size,
    forwarded_signals,
    keys_of,
)
from fairlead.cli.errors import CommandError
from fairlead.cli.flags import Flag, Values, switch, text
from fairlead.client import ApiError, ClientError, Response

Json = dict[str, Any]

_FAILED, _NOT_EXECUTABLE, _NOT_FOUND = 125, 126, 127
_PULLS = frozenset({"always", "missing", "never", ""})


def create_container(context: Context, values: Values, body: Json) -> str:
    """The new container's id; pulls the image when it is not there, or as ``--pull`` says."""
    image = str(body["Image"])
    policy = values.text("pull")
    if policy not in _PULLS:
        raise CommandError(
            f'invalid pull option: \'{policy}\': must be one of "always", "missing" or "never"',
            _FAILED,
        )
    if policy == "always":
        _pull(context, values, image)
    query = {"name": values.text("name") or None, "platform": values.text("platform") or None}
    try:
        made = context.client.post("/containers/create", query, body)
    except ApiError as wrong:
        if wrong.status != 404 or policy == "never" or not _is_missing_image(wrong, image):
            raise
        if not values.switch("quiet"):
            context.warn(f"Unable to find image '{reference.parse(image).tagged()}' locally")
        _pull(context, values, image)
        made = context.client.post("/containers/create", query, body)
    assert isinstance(made, dict)
    for warning in made.get("Warnings") or []:
        context.warn(f"WARNING: {warning}")
    return str(made["Id"])


def _is_missing_image(wrong: ApiError, image: str) -> bool:
    return "no such image" in wrong.message.lower() and reference.is_named(image)


def _pull(context: Context, values: Values, image: str) -> None:
    from fairlead.cli.image.pull import pull_image  # noqa: PLC0415 - only when the image is missing

    pull_image(context, image, values.text("platform"), sys.stderr, quiet=values.switch("quiet"))


def _body(context: Context, values: Values, arguments: Sequence[str]) -> Json:
    image, *command = arguments
    try:
        body = container_body(values, image, command, context.environment)
    except ValueError as wrong:
        raise _failure(context, str(wrong)) from wrong
    if not reference.is_id(image):
        reference.parse(image)
    return body


def _failure(context: Context, message: str, code: int = _FAILED) -> CommandError:
    return CommandError(f"fairlead: {message}\n\nRun '{context.path} --help' for more information", code)


@contextmanager
def _id_file(path: str) -> Iterator[list[str]]:
    """The file for the id: made before the container, taken away again when there is none."""
    written: list[str] = []
    if not path:
        yield written
        return
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    except FileExistsError as wrong:
        raise CommandError(
            f"container ID file found, make sure the other container isn't running or delete {path}",
        ) from wrong
    except OSError as wrong:
        why = os.strerror(wrong.errno or 0).lower()
        raise CommandError(f"failed to create the container ID file: open {path}: {why}") from wrong
    with os.fdopen(descriptor, "w") as file:
        try:
            yield written
        finally:
            file.write("".join(written))
            if not written:
                os.unlink(path)


def _create(context: Context, values: Values, arguments: list[str]) -> None:
    body = _body(context, values, arguments)
    with _id_file(values.text("cidfile")) as written:
        container = create_container(context, values, body)
        written.append(container)
    context.print(container)


def _run(context: Context, values: Values, arguments: list[str]) -> int:
    body = _body(context, values, arguments)
    _adapt(values, body)
    keys_of(values.text("detach-keys"))
    try:
        with _id_file(values.text("cidfile")) as written:
            container = create_container(context, values, body)
            written.append(container)
        return _run_created(context, values, body, container)
    except ClientError as wrong:
        raise _failure(context, str(wrong), exit_code(str(wrong))) from wrong


def _adapt(values: Values, body: Json) -> None:
    """Attaching and detaching exclude each other; a detached container keeps its stdin for later."""
    if not values.switch("detach"):
        check_terminal(stdin=bool(body.get("AttachStdin")), tty=bool(body.get("Tty")))
        return
    if values.list("attach"):
        raise CommandError("conflicting options: cannot specify both --attach and --detach")
    for name in ("AttachStdin", "AttachStdout", "AttachStderr", "StdinOnce"):
        body.pop(name, None)


def _run_created(context: Context, values: Values, body: Json, container: str) -> int:
    wiring = Wiring(
        tty=bool(body.get("Tty")),
        stdin=bool(body.get("AttachStdin")),
        stdout=bool(body.get("AttachStdout")),
        stderr=bool(body.get("AttachStderr")),
        detach_keys=values.text("detach-keys"),
    )
    with ExitStack() as undo:
        if values.switch("sig-proxy"):
            undo.enter_context(forwarded_signals(context, container))
        if values.switch("detach"):
            context.client.post(f"/containers/{container}/start")
            context.print(container)
            return 0
        if not wiring.stdout and not wiring.stderr:
            context.print(container)
        return attached_start(context, container, wiring, auto_remove=values.switch("rm"))


def attached_start(context: Context, container: str, wiring: Wiring, *, auto_remove: bool) -> int:
    """Starts a container with our streams joined to it; its exit code, or 0 after detaching."""
    path = f"/containers/{container}"
    connection = context.client.hijack(f"{path}/attach", wiring.query())
    # Armed before the start: a short-lived process must not end unseen.
    condition = "removed" if auto_remove else "next-exit"
    with ExitStack() as undo:
        undo.callback(connection.close)
        waiting = context.client.stream("POST", f"{path}/wait", {"condition": condition})
        undo.enter_context(waiting)
        resize = undo.enter_context(followed_size(context, f"{path}/resize")) if wiring.tty else None

        def start() -> None:
            context.client.post(f"{path}/start")
            if resize is not None:
                resize()

        try:
            detached = exchange(connection, wiring, start)
        except ApiError:
            _wait_for_removal(waiting, auto_remove=auto_remove)
            raise
        return 0 if detached else wait_status(waiting)


def _wait_for_removal(waiting: Response, *, auto_remove: bool) -> None:
    """A container that could not start is removed by the engine: its name is free when we end."""
    if auto_remove:
        waiting.read()


def wait_status(waiting: Response) -> int:
    """The exit code in the answer of a wait; raises CommandError when waiting itself failed."""
    result = waiting.json()
    assert isinstance(result, dict)
    problem = (result.get("Error") or {}).get("Message")
    if problem:
        raise CommandError(f"Error waiting for container: {problem}", _FAILED)
    return int(result["StatusCode"])


def exit_code(message: str) -> int:
    """What Docker's command line makes of a failed start."""
    if any(part in message for part in ("executable file not found", "no such file or directory")):
        return _NOT_FOUND
    if any(part in message for part in ("permission denied", "is a directory")):
        return _NOT_EXECUTABLE
    return _FAILED


_RUN_FLAGS: Sequence[Flag] = (
    switch("detach", "Run container in background and print container ID", "d"),
    text("detach-keys", "Override the key sequence for detaching a container"),
    switch("sig-proxy", "Proxy received signals to the process", default=True),
)
_USAGE = "[OPTIONS] IMAGE [COMMAND] [ARG...]"
_ANY_COMMAND = Arguments(1, 1 << 30)

CREATE = Command(_USAGE, _create, CONTAINER_FLAGS, _ANY_COMMAND, interspersed=False, completes="images")
RUN = Command(
    _USAGE,
    _run,
    (*CONTAINER_FLAGS, *_RUN_FLAGS),
    _ANY_COMMAND,
    interspersed=False,
    completes="images",
    failure=_FAILED,
)
