"""``fairlead exec``."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from fairlead.cli import terminal
from fairlead.cli.command import TWO_OR_MORE, Command, Context
from fairlead.cli.container.run import exit_code
from fairlead.cli.container.session import Wiring, check_terminal, exchange, followed_size, keys_of
from fairlead.cli.container.values import environment_of, variable
from fairlead.cli.errors import CommandError
from fairlead.cli.flags import Values, several, switch, text
from fairlead.client import ApiError

Json = dict[str, Any]


def _body(context: Context, values: Values, command: list[str]) -> Json:
    detached = values.switch("detach")
    stdin = values.switch("interactive") and not detached
    try:
        variables = environment_of(values.list("env"), values.list("env-file"), context.environment)
    except ValueError as wrong:
        raise CommandError(str(wrong)) from wrong
    body: Json = {
        "User": values.text("user"),
        "Privileged": values.switch("privileged"),
        "Tty": values.switch("tty"),
        "AttachStdin": stdin,
        "AttachStdout": not detached,
        "AttachStderr": not detached,
        "DetachKeys": values.text("detach-keys"),
        "Env": variables,
        "WorkingDir": values.text("workdir"),
        "Cmd": command,
    }
    return {name: value for name, value in body.items() if value}


def _run(context: Context, values: Values, arguments: list[str]) -> int:
    name, *command = arguments
    keys_of(values.text("detach-keys"))
    body = _body(context, values, command)
    if not values.switch("detach"):
        check_terminal(stdin=bool(body.get("AttachStdin")), tty=bool(body.get("Tty")))
    made = context.client.post(f"/containers/{name}/exec", None, body)
    assert isinstance(made, dict)
    path = f"/exec/{made['Id']}"
    try:
        return _start(context, values, path, body)
    except ApiError as wrong:
        raise CommandError(str(wrong), _code(wrong)) from wrong


def _code(wrong: ApiError) -> int:
    code = exit_code(wrong.message)
    return 1 if code == 125 else code


def _start(context: Context, values: Values, path: str, body: Json) -> int:
    tty = bool(body.get("Tty"))
    start: Json = {"Detach": values.switch("detach"), "Tty": tty}
    rows, columns = terminal.size(1) if tty else (0, 0)
    if rows:
        start["ConsoleSize"] = [rows, columns]
    if values.switch("detach"):
        context.client.post(f"{path}/start", None, start)
        return 0
    wiring = Wiring(tty=tty, stdin=bool(body.get("AttachStdin")), detach_keys=values.text("detach-keys"))
    with ExitStack() as undo:
        connection = context.client.hijack(f"{path}/start", None, start)
        undo.callback(connection.close)
        resize = undo.enter_context(followed_size(context, f"{path}/resize")) if tty else None
        if exchange(connection, wiring, resize or (lambda: None)):
            raise CommandError("read escape sequence")
    ended = context.client.get(f"{path}/json")
    assert isinstance(ended, dict)
    return int(ended.get("ExitCode") or 0)


EXEC = Command(
    "[OPTIONS] CONTAINER COMMAND [ARG...]",
    _run,
    (
        switch("detach", "Detached mode: run command in the background", "d"),
        text("detach-keys", "Override the key sequence for detaching a container"),
        several("env", "Set environment variables", "e", parse=variable),
        several("env-file", "Read in a file of environment variables", completes="files"),
        switch("interactive", "Keep STDIN open even if not attached", "i"),
        switch("privileged", "Give extended privileges to the command"),
        switch("tty", "Allocate a pseudo-TTY", "t"),
        text("user", 'Username or UID (format: "<name|uid>[:<group|gid>]")', "u"),
        text("workdir", "Working directory inside the container", "w"),
    ),
    TWO_OR_MORE,
    interspersed=False,
    completes="running",
)
