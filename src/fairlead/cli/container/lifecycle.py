"""The verbs that take containers from one state to another."""

from __future__ import annotations

from collections.abc import Callable

from fairlead.cli.command import ONE_OR_MORE, TWO, Command, Context, for_each
from fairlead.cli.errors import CommandError
from fairlead.cli.flags import Values, number, switch, text
from fairlead.client import ApiError, Query

_NAMES = "[OPTIONS] CONTAINER [CONTAINER...]"
_TIMEOUT = number("timeout", "Seconds to wait before killing the container", "t")._replace(also="time")
_SIGNAL = text("signal", "Signal to send to the container", "s")


def _each(verb: str, query: Callable[[Values], Query]) -> Callable[[Context, Values, list[str]], int]:
    """A verb that is posted to every container named."""

    def run(context: Context, values: Values, names: list[str]) -> int:
        asked = query(values)
        return for_each(context, names, lambda name: context.client.post(f"/containers/{name}/{verb}", asked))

    return run


def _stop_query(values: Values) -> Query:
    seconds = values.number("timeout") if values.changed("timeout") else None
    return {"t": seconds, "signal": values.text("signal") or None}


def _kill_query(values: Values) -> Query:
    return {"signal": values.text("signal") or None}


def _nothing(_values: Values) -> Query:
    return {}


def _remove(context: Context, values: Values, names: list[str]) -> int:
    force = values.switch("force")
    query: Query = {
        "v": values.switch("volumes") or None,
        "link": values.switch("link") or None,
        "force": force or None,
    }

    def remove(name: str) -> None:
        bare = name.strip("/")
        if not bare:
            raise CommandError("Container name cannot be empty")
        try:
            context.client.delete(f"/containers/{bare}", query)
        except ApiError as wrong:
            if not (force and wrong.status == 404):
                raise
            raise CommandError(str(wrong)) from wrong

    return for_each(context, names, remove) if not force else _remove_by_force(context, names, remove)


def _remove_by_force(context: Context, names: list[str], remove: Callable[[str], None]) -> int:
    """With ``--force`` a container that is already gone is said but is no failure."""
    code = 0
    for name in names:
        try:
            remove(name)
        except CommandError as wrong:
            context.warn(str(wrong))
        except ApiError as wrong:
            context.warn(str(wrong))
            code = 1
        else:
            context.print(name)
    return code


def _wait(context: Context, _values: Values, names: list[str]) -> int:
    code = 0
    for name in names:
        try:
            result = context.client.post(f"/containers/{name}/wait")
        except ApiError as wrong:
            context.warn(str(wrong))
            code = 1
            continue
        assert isinstance(result, dict)
        context.print(str(result["StatusCode"]))
    return code


def _rename(context: Context, _values: Values, arguments: list[str]) -> None:
    old, new = (argument.strip() for argument in arguments)
    if not old or not new:
        raise CommandError("Error: Neither old nor new names may be empty")
    context.client.post(f"/containers/{old}/rename", {"name": new})


STOP = Command(_NAMES, _each("stop", _stop_query), (_SIGNAL, _TIMEOUT), ONE_OR_MORE, completes="running")
RESTART = Command(_NAMES, _each("restart", _stop_query), (_SIGNAL, _TIMEOUT), ONE_OR_MORE, completes="containers")
KILL = Command(_NAMES, _each("kill", _kill_query), (_SIGNAL,), ONE_OR_MORE, completes="running")
PAUSE = Command("CONTAINER [CONTAINER...]", _each("pause", _nothing), (), ONE_OR_MORE, completes="running")
UNPAUSE = Command("CONTAINER [CONTAINER...]", _each("unpause", _nothing), (), ONE_OR_MORE, completes="paused")
WAIT = Command("CONTAINER [CONTAINER...]", _wait, (), ONE_OR_MORE, completes="containers")
RENAME = Command("CONTAINER NEW_NAME", _rename, (), TWO, completes="containers")
RM = Command(
    _NAMES,
    _remove,
    (
        switch("force", "Force the removal of a running container (uses SIGKILL)", "f"),
        switch("link", "Remove the specified link", "l"),
        switch("volumes", "Remove anonymous volumes associated with the container", "v"),
    ),
    ONE_OR_MORE,
    completes="containers",
)
