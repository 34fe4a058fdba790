"""What attach, run, start and exec share: the streams, the signals and the size of the terminal."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import NamedTuple

from fairlead.cli import terminal
from fairlead.cli.command import Context
from fairlead.cli.errors import CommandError
from fairlead.cli.streams import Exchange, sink_for
from fairlead.client import ClientError, Query, Upgraded

_FORWARDED = ("HUP", "INT", "QUIT", "USR1", "USR2", "ALRM", "TERM", "CONT", "TSTP", "IO", "PWR")


class Wiring(NamedTuple):
    """Which streams are joined, and how. ``detach_keys`` is empty for the default."""

    tty: bool
    stdin: bool
    stdout: bool = True
    stderr: bool = True
    detach_keys: str = ""

    def query(self) -> Query:
        """The parameters of the attach call."""
        return {
            "stream": True,
            "stdin": self.stdin or None,
            "stdout": self.stdout or None,
            "stderr": self.stderr or None,
            "detachKeys": self.detach_keys or None,
        }


def check_terminal(*, stdin: bool, tty: bool) -> None:
    """A TTY can be driven from a terminal only."""
    if tty and stdin and not terminal.is_terminal(0):
        raise CommandError(
            "cannot attach stdin to a TTY-enabled container because stdin is not a terminal",
        )


def keys_of(text: str) -> bytes:
    """The bytes of the detach keys; raises CommandError."""
    try:
        return terminal.parse_detach_keys(text or terminal.DEFAULT_DETACH_KEYS)
    except ValueError as wrong:
        raise CommandError(f"invalid detach keys ({text}): {wrong}") from wrong


def exchange(connection: Upgraded, wiring: Wiring, when_raw: Callable[[], None] = lambda: None) -> bool:
    """Moves bytes until the end; true when the user detached. ``when_raw`` runs once the terminal is ready."""
    sys.stdout.flush()
    keys = terminal.DetachKeys(keys_of(wiring.detach_keys)) if wiring.tty and wiring.stdin else None
    with ExitStack() as undo:
        if keys is not None and terminal.is_terminal(0):
            undo.enter_context(terminal.raw_mode(0))
        when_raw()
        session = Exchange(connection, sink_for(tty=wiring.tty), 0 if wiring.stdin else None, keys)
        session.run()
    return session.detached


@contextmanager
def forwarded_signals(context: Context, container: str) -> Iterator[None]:
    """Signals that reach us are sent on to the container's process."""

    def forward(number: int, _frame: object) -> None:
        name = signal.Signals(number).name.removeprefix("SIG")
        # It may not run yet, or no more: then there is nobody to tell.
        with suppress(ClientError, OSError):
            context.client.post(f"/containers/{container}/kill", {"signal": name})

    with _handlers({getattr(signal, f"SIG{name}"): forward for name in _FORWARDED}):
        yield


@contextmanager
def followed_size(context: Context, path: str) -> Iterator[Callable[[], None]]:
    """The TTY behind ``path`` has the size of our terminal, and keeps it; yields the first resize."""

    def resize(*_: object) -> None:
        _resize(context, path, 0)

    with _handlers({signal.SIGWINCH: resize}):
        yield resize


def redraw(context: Context, path: str) -> None:
    """A program that draws its screen does so only when the size changes: it is changed for a moment."""
    _resize(context, path, 1)
    _resize(context, path, 0)


def _resize(context: Context, path: str, more: int) -> None:
    rows, columns = terminal.size(1)
    if rows or columns:
        # A process that has just ended has no TTY to resize.
        with suppress(ClientError, OSError):
            context.client.post(path, {"h": rows + more, "w": columns + more})


@contextmanager
def _handlers(wanted: dict[signal.Signals, Callable[[int, object], None]]) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number, handler in wanted.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
