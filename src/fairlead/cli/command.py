"""What a command is, and what it is given when it runs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from fairlead.cli.errors import BadArguments, CommandError
from fairlead.cli.flags import Flag, Values

if TYPE_CHECKING:
    from fairlead.client import Client

_ANY = 1 << 30


class Arguments(NamedTuple):
    """How many arguments a command takes."""

    least: int
    most: int

    @property
    def is_open(self) -> bool:
        """Whether there may be any number of them."""
        return self.most >= _ANY


NONE = Arguments(0, 0)
ANY = Arguments(0, _ANY)
ONE = Arguments(1, 1)
TWO = Arguments(2, 2)
ONE_OR_MORE = Arguments(1, _ANY)
TWO_OR_MORE = Arguments(2, _ANY)
AT_MOST_ONE = Arguments(0, 1)
ONE_OR_TWO = Arguments(1, 2)


class Context:
    """The world of one command: the engine, the streams and the environment."""

    def __init__(self, make_client: Callable[[], Client], environment: Mapping[str, str], path: str) -> None:
        """``path`` is how the command was called, `fairlead container ls`."""
        self._make_client = make_client
        self._client: Client | None = None
        self.environment = environment
        self.path = path
        self.group: Values | None = None  # the flags between a noun and its verb, where the noun has any

    @property
    def client(self) -> Client:
        if self._client is None:
            self._client = self._make_client()
        return self._client

    def print(self, line: str) -> None:
        sys.stdout.write(line + "\n")

    def write(self, written: str) -> None:
        sys.stdout.write(written)

    def flush(self) -> None:
        sys.stdout.flush()

    def warn(self, line: str) -> None:
        sys.stderr.write(line + "\n")


class Command(NamedTuple):
    """``usage`` stands behind the command's name in help; ``completes`` says what its arguments are, for the shell."""

    usage: str
    run: Callable[[Context, Values, list[str]], int | None]
    flags: Sequence[Flag] = ()
    arguments: Arguments = NONE
    long: str = ""
    interspersed: bool = True
    completes: str = ""
    # The exit code of an error that the engine answers, and whether `--help` is recommended with it.
    failure: int = 1


def check_arguments(path: str, rule: Arguments, arguments: Sequence[str]) -> None:
    """Raises BadArguments in Docker's words."""
    count = len(arguments)
    if rule.least <= count <= rule.most:
        return
    if rule.most == 0:
        raise BadArguments(f"'{path}' accepts no arguments")
    if rule.least == rule.most:
        raise BadArguments(f"'{path}' requires {_count(rule.least)}")
    if rule.most == _ANY:
        raise BadArguments(f"'{path}' requires at least {_count(rule.least)}")
    if rule.least == 0:
        raise BadArguments(f"'{path}' requires at most {_count(rule.most)}")
    raise BadArguments(f"'{path}' requires at least {rule.least} and at most {_count(rule.most)}")


def _count(number: int) -> str:
    return f"{number} argument" + ("" if number == 1 else "s")


def for_each(context: Context, names: Sequence[str], act: Callable[[str], object]) -> int:
    """``act`` on every name, printing each that went well; goes on behind a failure and is 1 after one."""
    from fairlead.client.errors import ApiError  # noqa: PLC0415 - loaded with the client

    code = 0
    for name in names:
        try:
            act(name)
        except (ApiError, CommandError) as wrong:
            sys.stdout.flush()
            context.warn(str(wrong))
            code = 1
        else:
            context.print(name)
    return code
