"""Flags as Docker's command line reads them: declared as a table, parsed by the rules of Go's pflag.

A library for command lines would cost 30 ms of imports at each start, half of what `fairlead ps` may take, and would
read `--rm=false`, `-it` and `--flag value` by rules of its own (docs/decisions/flags-without-a-library.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from fairlead.cli.errors import BadFlag

_TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_FALSE = frozenset({"0", "f", "F", "false", "FALSE", "False"})
_INT64 = 1 << 63


class Flag(NamedTuple):
    """One flag. ``kind`` is the word that help shows for its value; it says how to read it unless ``parse`` does."""

    name: str
    kind: str
    help: str
    short: str = ""
    default: object = None
    repeats: bool = False
    parse: Callable[[str], object] | None = None
    hidden: bool = False
    shown_default: str = ""
    completes: str = ""
    also: str = ""

    @property
    def label(self) -> str:
        """How error messages name it."""
        return f"-{self.short}, --{self.name}" if self.short else f"--{self.name}"


def switch(name: str, help: str, short: str = "", *, default: bool = False, hidden: bool = False) -> Flag:  # noqa: A002
    """A flag that is there or not; ``--name=false`` is read too."""
    shown = "true" if default else ""
    return Flag(name, "bool", help, short, default, hidden=hidden, shown_default=shown)


def text(
    name: str,
    help: str,  # noqa: A002
    short: str = "",
    default: str = "",
    *,
    kind: str = "string",
    hidden: bool = False,
    completes: str = "",
) -> Flag:
    shown = f'"{default}"' if default else ""
    return Flag(name, kind, help, short, default, hidden=hidden, shown_default=shown, completes=completes)


def number(name: str, help: str, short: str = "", default: int = 0, *, kind: str = "int", hidden: bool = False) -> Flag:  # noqa: A002
    return Flag(name, kind, help, short, default, hidden=hidden, shown_default=str(default) if default else "")


def several(
    name: str,
    help: str,  # noqa: A002
    short: str = "",
    *,
    kind: str = "list",
    parse: Callable[[str], object] | None = None,
    hidden: bool = False,
    shown_default: str = "",
    completes: str = "",
    also: str = "",
) -> Flag:
    """A flag that may be given several times; its value is the list of all. ``also`` is an older name of it."""
    return Flag(
        name,
        kind,
        help,
        short,
        None,
        repeats=True,
        parse=parse,
        hidden=hidden,
        shown_default=shown_default,
        completes=completes,
        also=also,
    )


class Values:
    """What was given on the command line."""

    def __init__(self, flags: Sequence[Flag]) -> None:
        self._flags: Mapping[str, Flag] = {flag.name: flag for flag in flags}
        self._given: dict[str, Any] = {}

    def with_value(self, name: str, value: object) -> Values:
        """A copy in which this flag was given as well."""
        copy = Values(tuple(self._flags.values()))
        copy._given = {**self._given, name: value}
        return copy

    def changed(self, name: str) -> bool:
        return name in self._given

    def any_changed(self, *names: str) -> bool:
        return any(name in self._given for name in names)

    def get(self, name: str) -> Any:
        """The value given, else the flag's default."""
        flag = self._flags[name]
        return self._given.get(name, [] if flag.repeats else flag.default)

    def text(self, name: str) -> str:
        value = self.get(name)
        assert isinstance(value, str)
        return value

    def switch(self, name: str) -> bool:
        value = self.get(name)
        assert isinstance(value, bool)
        return value

    def number(self, name: str) -> int:
        value = self.get(name)
        assert isinstance(value, int)
        return value

    def list(self, name: str) -> list[str]:
        value = self.get(name)
        assert isinstance(value, list)
        return value

    def put(self, flag: Flag, raw: str) -> None:
        """Reads one value; raises BadFlag in pflag's words."""
        try:
            value = (flag.parse or _PARSERS.get(flag.kind, str))(raw)
        except ValueError as wrong:
            raise BadFlag(f'invalid argument "{raw}" for "{flag.label}" flag: {wrong}') from wrong
        if flag.kind == "strings":
            assert isinstance(value, list)
            self._given.setdefault(flag.name, []).extend(value)
        elif flag.repeats:
            self._given.setdefault(flag.name, []).append(value)
        else:
            self._given[flag.name] = value


class HelpAsked(Exception):
    """``--help`` stands among the flags."""


def parse(flags: Sequence[Flag], words: Sequence[str], *, interspersed: bool = True) -> tuple[Values, list[str]]:
    """The flags' values and the arguments; without ``interspersed`` the first argument ends the flags."""
    return _Parse(flags).run(words, interspersed=interspersed)


class _Parse:
    def __init__(self, flags: Sequence[Flag]) -> None:
        self._values = Values(flags)
        self._long = {name: flag for flag in flags for name in (flag.name, flag.also) if name}
        self._short = {flag.short: flag for flag in flags if flag.short}

    def run(self, words: Sequence[str], *, interspersed: bool) -> tuple[Values, list[str]]:
        arguments: list[str] = []
        rest = list(words)
        while rest:
            word = rest.pop(0)
            if word == "--":
                return self._values, arguments + rest
            if word.startswith("--"):
                self._read_long(word, rest)
            elif word.startswith("-") and word != "-":
                self._read_short(word, rest)
            elif interspersed:
                arguments.append(word)
            else:
                return self._values, [*arguments, word, *rest]
        return self._values, arguments

    def _read_long(self, word: str, rest: list[str]) -> None:
        name, equals, value = word[2:].partition("=")
        if not name or name.startswith("-"):
            raise BadFlag(f"bad flag syntax: {word}")
        flag = self._long.get(name)
        if flag is None:
            if name == "help":
                raise HelpAsked
            raise BadFlag(f"unknown flag: --{name}")
        if equals:
            self._values.put(flag, value)
        elif flag.kind == "bool":
            self._values.put(flag, "true")
        elif rest:
            self._values.put(flag, rest.pop(0))
        else:
            raise BadFlag(f"flag needs an argument: --{name}")

    def _read_short(self, word: str, rest: list[str]) -> None:
        letters = word[1:]
        while letters:
            letter, letters = letters[0], letters[1:]
            flag = self._short.get(letter)
            if flag is None:
                if letter == "h":
                    raise HelpAsked
                raise BadFlag(f"unknown shorthand flag: '{letter}' in {word}")
            if letters.startswith("="):
                return self._values.put(flag, letters[1:])
            if flag.kind == "bool":
                self._values.put(flag, "true")
            elif letters:
                return self._values.put(flag, letters)
            elif rest:
                return self._values.put(flag, rest.pop(0))
            else:
                raise BadFlag(f"flag needs an argument: '{letter}' in {word}")
        return None


def parse_bool(raw: str) -> bool:
    if raw in _TRUE:
        return True
    if raw in _FALSE:
        return False
    raise ValueError(f'strconv.ParseBool: parsing "{raw}": invalid syntax')


def parse_int(raw: str) -> int:
    return _integer(raw, "ParseInt", -_INT64, _INT64 - 1)


def _parse_uint16(raw: str) -> int:
    return _integer(raw, "ParseUint", 0, 0xFFFF)


def _parse_uint64(raw: str) -> int:
    return _integer(raw, "ParseUint", 0, 2 * _INT64 - 1)


def _integer(raw: str, function: str, low: int, high: int) -> int:
    """Go's base 0: decimal, 0x, 0o, 0b and a leading 0 for octal."""
    digits = raw.lstrip("+-")
    octal = len(digits) > 1 and digits[0] == "0" and digits.isdecimal()
    try:
        value = int(raw, 8) if octal else int(raw, 0)
    except ValueError as wrong:
        raise ValueError(f'strconv.{function}: parsing "{raw}": invalid syntax') from wrong
    if not low <= value <= high:
        raise ValueError(f'strconv.{function}: parsing "{raw}": value out of range')
    return value


def comma_separated(raw: str) -> list[str]:
    """The fields of a line of CSV, quotes understood."""
    if not raw:
        return []
    import csv  # noqa: PLC0415 - few flags need it

    try:
        return next(csv.reader([raw]), [])
    except csv.Error as wrong:
        raise ValueError(str(wrong)) from wrong


_PARSERS: Mapping[str, Callable[[str], object]] = {
    "bool": parse_bool,
    "int": parse_int,
    "uint": _parse_uint64,
    "uint16": _parse_uint16,
    "strings": comma_separated,
}
