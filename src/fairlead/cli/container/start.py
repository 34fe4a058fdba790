"""``fairlead start``."""

from __future__ import annotations

from contextlib import ExitStack

from fairlead.cli.command import ONE_OR_MORE, Command, Context
from fairlead.cli.container.run import attached_start, exit_code
from fairlead.cli.container.session import Wiring, check_terminal, forwarded_signals, keys_of
from fairlead.cli.errors import CommandError
from fairlead.cli.flags import Values, switch, text
from fairlead.client import ApiError


def _run(context: Context, values: Values, arguments: list[str]) -> int:
    keys_of(values.text("detach-keys"))
    if not values.switch("attach") and not values.switch("interactive"):
        return _start_all(context, arguments)
    if len(arguments) > 1:
        raise CommandError("you cannot start and attach multiple containers at once")
    return _start_attached(context, values, arguments[0])


def _start_all(context: Context, names: list[str]) -> int:
    failed = []
    for name in names:
        try:
            context.client.post(f"/containers/{name}/start")
        except ApiError as wrong:
            context.warn(str(wrong))
            failed.append(name)
        else:
            context.print(name)
    if failed:
        raise CommandError(f"Error: failed to start containers: {', '.join(failed)}")
    return 0


def _start_attached(context: Context, values: Values, name: str) -> int:
    found = context.client.get(f"/containers/{name}/json")
    assert isinstance(found, dict)
    config = found["Config"]
    wiring = Wiring(
        tty=bool(config.get("Tty")),
        stdin=values.switch("interactive") and bool(config.get("OpenStdin")),
        detach_keys=values.text("detach-keys"),
    )
    check_terminal(stdin=wiring.stdin, tty=wiring.tty)
    with ExitStack() as undo:
        if not wiring.tty:
            undo.enter_context(forwarded_signals(context, found["Id"]))
        try:
            remove = bool(found["HostConfig"].get("AutoRemove"))
            return attached_start(context, found["Id"], wiring, auto_remove=remove)
        except ApiError as wrong:
            code = exit_code(wrong.message)
            raise CommandError(
                f"{wrong}\nError: failed to start containers: {name}", 1 if code == 125 else code
            ) from wrong


START = Command(
    "[OPTIONS] CONTAINER [CONTAINER...]",
    _run,
    (
        switch("attach", "Attach STDOUT/STDERR and forward signals", "a"),
        text("detach-keys", "Override the key sequence for detaching a container"),
        switch("interactive", "Attach container's STDIN", "i"),
    ),
    ONE_OR_MORE,
    completes="stopped",
)
