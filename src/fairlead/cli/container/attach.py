"""``fairlead attach``."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from fairlead.cli.command import ONE, Command, Context
from fairlead.cli.container.run import wait_status
from fairlead.cli.container.session import (
    Wiring,
    check_terminal,
    exchange,
    followed_size,
    forwarded_signals,
    keys_of,
    redraw,
)
from fairlead.cli.errors import CommandError
from fairlead.cli.flags import Values, switch, text


def _running(context: Context, container: str) -> dict[str, Any]:
    """The container's description; raises CommandError unless it runs."""
    found = context.client.get(f"/containers/{container}/json")
    assert isinstance(found, dict)
    state = found["State"]
    if not state.get("Running"):
        raise CommandError("cannot attach to a stopped container, start it first")
    if state.get("Paused"):
        raise CommandError("cannot attach to a paused container, unpause it first")
    if state.get("Restarting"):
        raise CommandError("cannot attach to a restarting container, wait until it is running")
    return found


def _run(context: Context, values: Values, arguments: list[str]) -> int:
    name = arguments[0]
    keys = values.text("detach-keys")
    keys_of(keys)
    found = _running(context, name)
    config, path = found["Config"], f"/containers/{found['Id']}"
    tty, stdin = bool(config.get("Tty")), bool(config.get("OpenStdin")) and not values.switch("no-stdin")
    check_terminal(stdin=stdin, tty=tty)
    wiring = Wiring(tty=tty, stdin=stdin, detach_keys=keys)
    with ExitStack() as undo:
        waiting = undo.enter_context(context.client.stream("POST", f"{path}/wait"))
        if values.switch("sig-proxy") and not tty:
            undo.enter_context(forwarded_signals(context, found["Id"]))
        connection = context.client.hijack(f"{path}/attach", wiring.query())
        undo.callback(connection.close)
        if tty:
            undo.enter_context(followed_size(context, f"{path}/resize"))
            redraw(context, f"{path}/resize")
        if exchange(connection, wiring):
            raise CommandError("read escape sequence")
        return wait_status(waiting)


ATTACH = Command(
    "[OPTIONS] CONTAINER",
    _run,
    (
        text("detach-keys", "Override the key sequence for detaching a container"),
        switch("no-stdin", "Do not attach STDIN"),
        switch("sig-proxy", "Proxy all received signals to the process", default=True),
    ),
    ONE,
    completes="running",
)
