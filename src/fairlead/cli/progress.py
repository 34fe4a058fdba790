"""Docker's progress messages: one line per layer that is rewritten in place on a terminal, plain lines elsewhere."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from typing import Any, TextIO

from fairlead.cli.errors import CommandError
from fairlead.cli.units import human_size

_BAR = 50
_WIDE = 110


def show(messages: Iterable[object], out: TextIO) -> list[Mapping[str, Any]]:
    """Writes the messages as they come; returns the auxiliary ones. An error among them raises CommandError."""
    lines = _Lines(out) if out.isatty() else None
    auxiliary: list[Mapping[str, Any]] = []
    for message in messages:
        if not isinstance(message, dict):
            continue
        _refuse(message)
        if "aux" in message:
            auxiliary.append(message["aux"])
        elif lines is not None:
            lines.put(message)
        else:
            _plain(message, out)
        out.flush()
    return auxiliary


def _refuse(message: Mapping[str, Any]) -> None:
    detail = message.get("errorDetail") or {}
    problem = detail.get("message") or message.get("error")
    if problem:
        raise CommandError(str(problem), 1)


def _plain(message: Mapping[str, Any], out: TextIO) -> None:
    if "stream" in message:
        out.write(str(message["stream"]))
        return
    # Half-done transfers say nothing to somebody who reads a file.
    if (message.get("progressDetail") or {}).get("current") or message.get("progress"):
        return
    out.write(f"{_text(message, '')}\n")


class _Lines:
    """The lines below each other on the terminal, the newest last; each id has one."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._rows: dict[str, int] = {}

    def put(self, message: Mapping[str, Any]) -> None:
        if "stream" in message:
            self._out.write(str(message["stream"]))
            return
        identifier = str(message.get("id") or "")
        shown = _text(message, _bar(message.get("progressDetail") or {}, str(message.get("progress") or "")))
        has_own_line = bool(identifier) and "progressDetail" in message
        if not has_own_line:
            # A line of its own for good: what is above stays as it is.
            self._rows.clear()
            self._out.write(f"{shown}\n")
            return
        if identifier not in self._rows:
            self._rows[identifier] = len(self._rows)
            self._out.write(f"{shown}\n")
            return
        up = len(self._rows) - self._rows[identifier]
        self._out.write(f"\x1b[{up}A\x1b[2K\r{shown}\x1b[{up}B\r")


def _text(message: Mapping[str, Any], bar: str) -> str:
    identifier = message.get("id")
    head = f"{identifier}: " if identifier else ""
    return f"{head}{message.get('status', '')} {bar}".rstrip()


def _bar(detail: Mapping[str, Any], ready_made: str) -> str:
    current, total = detail.get("current") or 0, detail.get("total") or 0
    if current <= 0 and total <= 0:
        return ready_made
    done = human_size(current)
    if total <= 0 or current > total:
        return f"{done:>8}"
    bar = ""
    if shutil.get_terminal_size().columns > _WIDE:
        filled = int(current / total * _BAR)
        bar = f"[{'=' * filled}{'>' if filled < _BAR else ''}{' ' * (_BAR - filled - 1)}] "
    return f"{bar}{done:>8}/{human_size(total)}"
