"""``fairlead compose logs``: the output of several containers, each line with its container's name in front."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any

from fairlead.cli.command import ANY, Command, Context
from fairlead.cli.compose.common import containers
from fairlead.cli.flags import Values, switch, text
from fairlead.client.errors import ClientError
from fairlead.compose.observed import Container

_COLOURS = (36, 33, 32, 35, 34, 96, 93, 92, 95, 94)
_HEADER = 8


class _Lines:
    """Cuts the output of one container into lines; frames are unpacked where there is no TTY."""

    def __init__(self, prefix: str, write: Callable[[str, bytes], None], *, tty: bool) -> None:
        self._prefix, self._write, self._tty = prefix, write, tty
        self._frames, self._line = bytearray(), bytearray()

    def feed(self, data: bytes) -> None:
        if self._tty:
            self._take(data)
            return
        self._frames += data
        while len(self._frames) >= _HEADER:
            length = int.from_bytes(self._frames[4:_HEADER], "big")
            if len(self._frames) < _HEADER + length:
                return
            self._take(bytes(self._frames[_HEADER : _HEADER + length]))
            del self._frames[: _HEADER + length]

    def _take(self, data: bytes) -> None:
        self._line += data
        *whole, rest = self._line.split(b"\n")
        self._line = bytearray(rest)
        for line in whole:
            self._write(self._prefix, bytes(line))

    def end(self) -> None:
        if self._line:
            self._write(self._prefix, bytes(self._line))


def _short_name(container: Container) -> str:
    """``web-1``: without the project, where the name has the usual form."""
    return container.name.removeprefix(f"{container.labels.get('com.docker.compose.project', '')}-")


def _prefixes(those: Sequence[Container], *, colours: bool) -> dict[str, str]:
    width = max((len(_short_name(container)) for container in those), default=0)
    coloured = colours and sys.stdout.isatty()
    found = {}
    for place, container in enumerate(those):
        name = _short_name(container).ljust(width)
        colour = _COLOURS[place % len(_COLOURS)]
        found[container.id] = f"\x1b[{colour}m{name} | \x1b[0m" if coloured else f"{name}  | "
    return found


def follow(
    context: Context, those: Sequence[Container], *, since_start: bool, colours: bool, until_first_end: bool
) -> int:
    """The output of containers that run, until all of them (or the first) have ended; the code of the first to end."""
    query = {"follow": True, "stdout": True, "stderr": True, "tail": "all" if since_start else "0"}
    return _show(context, those, query, _prefixes(those, colours=colours), until_first_end=until_first_end)


def _show(
    context: Context,
    those: Sequence[Container],
    query: dict[str, Any],
    prefixes: dict[str, str],
    *,
    until_first_end: bool = False,
) -> int:
    lock, over = threading.Lock(), threading.Event()
    codes: list[int] = []

    def write(prefix: str, line: bytes) -> None:
        with lock:
            sys.stdout.buffer.write(prefix.encode() + line + b"\n")
            sys.stdout.buffer.flush()

    def read(container: Container) -> None:
        with suppress(ClientError, OSError):
            codes.append(
                _read(context, container, query, _Lines(prefixes[container.id], write, tty=_tty(context, container)))
            )
        if until_first_end:
            over.set()

    threads = [threading.Thread(target=read, args=(container,), daemon=True) for container in those]
    for thread in threads:
        thread.start()
    _wait(threads, over)
    return codes[0] if codes else 0


def _wait(threads: Iterable[threading.Thread], over: threading.Event) -> None:
    """For all of them, or for the word that it is over; an interrupt comes through."""
    for thread in threads:
        while thread.is_alive() and not over.is_set():
            thread.join(0.1)


def _tty(context: Context, container: Container) -> bool:
    found = context.client.get(f"/containers/{container.id}/json")
    assert isinstance(found, dict)
    return bool(found["Config"].get("Tty"))


def _read(context: Context, container: Container, query: dict[str, Any], lines: _Lines) -> int:
    with context.client.stream("GET", f"/containers/{container.id}/logs", query) as response:
        for piece in response.pieces():
            lines.feed(piece)
    lines.end()
    if not query.get("follow"):
        return 0
    found = context.client.get(f"/containers/{container.id}/json")
    assert isinstance(found, dict)
    return int(found["State"]["ExitCode"])


def _run(context: Context, values: Values, services: list[str]) -> None:
    those = containers(context, services)
    query = {
        "stdout": True,
        "stderr": True,
        "follow": values.switch("follow") or None,
        "timestamps": values.switch("timestamps") or None,
        "since": values.text("since") or None,
        "until": values.text("until") or None,
        "tail": values.text("tail"),
    }
    prefixes = _prefixes(those, colours=not values.switch("no-color"))
    if values.switch("no-log-prefix"):
        prefixes = dict.fromkeys(prefixes, "")
    if values.switch("follow"):
        _show(context, those, query, prefixes)
        return
    for container in those:
        _show(context, [container], query, prefixes)


LOGS = Command(
    "[OPTIONS] [SERVICE...]",
    _run,
    (
        switch("follow", "Follow log output", "f"),
        switch("no-color", "Produce monochrome output"),
        switch("no-log-prefix", "Don't print prefix in logs"),
        text("since", "Show logs since timestamp (e.g. 2013-01-02T13:23:37Z) or relative (e.g. 42m for 42 minutes)"),
        text("tail", "Number of lines to show from the end of the logs for each container", "n", "all"),
        switch("timestamps", "Show timestamps", "t"),
        text("until", "Show logs before a timestamp (e.g. 2013-01-02T13:23:37Z) or relative (e.g. 42m for 42 minutes)"),
    ),
    ANY,
)
