"""Usage texts in Docker's layout."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterable, Mapping, Sequence

from fairlead.cli.catalog import COMMON, GROUPS, Entry, aliases_of, groups
from fairlead.cli.command import Command
from fairlead.cli.flags import Flag


def usage_line(path: str, command: Command) -> str:
    return f"Usage:  {path} {command.usage}".rstrip()


def command_help(path: str, entry: Entry, command: Command) -> str:
    """The whole page of one command."""
    parts = [usage_line(path, command), command.long or entry.short]
    aliases = aliases_of(entry)
    if len(aliases) > 1:
        parts.append("Aliases:\n  " + ", ".join(f"fairlead {alias}" for alias in aliases))
    shown = [flag for flag in command.flags if not flag.hidden]
    if shown:
        parts.append("Options:\n" + flag_table(shown))
    return "\n\n".join(parts) + "\n"


def group_help(name: str) -> str:
    group = GROUPS[name]
    listed = _entries(group.entries)
    return (
        f"Usage:  fairlead {name} COMMAND\n\n{group.short}\n\nCommands:\n{listed}\n\n"
        f"Run 'fairlead {name} COMMAND --help' for more information on a command.\n"
    )


def root_help(globals_: Sequence[Flag]) -> str:
    top = groups()
    common = {name: top[name] for name in COMMON}
    others = {name: entry for name, entry in sorted(top.items()) if name not in COMMON}
    management = "\n".join(f"  {name:<11} {group.short}" for name, group in GROUPS.items())
    return (
        "Usage:  fairlead [OPTIONS] COMMAND\n\nA container engine whose heart is networking\n\n"
        f"Common Commands:\n{_entries(common)}\n\nManagement Commands:\n{management}\n\n"
        f"Commands:\n{_entries(others)}\n\nGlobal Options:\n{flag_table(globals_)}\n\n"
        "Run 'fairlead COMMAND --help' for more information on a command.\n"
    )


def _entries(entries: Mapping[str, Entry]) -> str:
    width = max(len(name) for name in entries) + 1
    return "\n".join(f"  {name:<{max(width, 11)}} {entry.short}" for name, entry in entries.items())


def flag_table(flags: Iterable[Flag]) -> str:
    rows = [(_left(flag), flag) for flag in sorted(flags, key=lambda flag: flag.name)]
    width = max(len(left) for left, _ in rows) + 3
    columns = shutil.get_terminal_size((120, 24)).columns
    return "\n".join(_row(left, flag, width, max(columns, width + 24)) for left, flag in rows)


def _left(flag: Flag) -> str:
    short = f"-{flag.short}, " if flag.short else "    "
    kind = "" if flag.kind == "bool" else f" {flag.kind}"
    return f"  {short}--{flag.name}{kind}"


def _row(left: str, flag: Flag, width: int, columns: int) -> str:
    told = flag.help + (f" (default {flag.shown_default})" if flag.shown_default else "")
    lines = [part for line in told.split("\n") for part in textwrap.wrap(line, columns - width) or [""]]
    indent = "\n" + " " * width
    return left.ljust(width) + indent.join(lines)
