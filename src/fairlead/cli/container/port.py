"""``fairlead port``: what is published; ``port add`` and ``port rm`` change it while the container runs."""

from __future__ import annotations

from typing import Any

from fairlead.cli.command import ONE_OR_MORE, Command, Context
from fairlead.cli.container.values import is_address
from fairlead.cli.errors import BadArguments, CommandError
from fairlead.cli.flags import Values
from fairlead.wire import publish

_CHANGES = frozenset({"add", "rm"})


def _run(context: Context, _values: Values, arguments: list[str]) -> None:
    verb, *rest = arguments
    if verb in _CHANGES and (len(rest) > 1 or (rest and not rest[0].partition("/")[0].isdecimal())):
        _change(context, verb, rest)
    elif len(rest) > 1:
        raise BadArguments(f"'{context.path}' requires at least 1 and at most 2 arguments")
    else:
        _show(context, arguments)


def _change(context: Context, verb: str, arguments: list[str]) -> None:
    container, *specs = arguments
    if not specs:
        raise BadArguments(f"'{context.path} {verb}' requires at least 2 arguments")
    path = f"/fairlead/containers/{container}/ports"
    if verb == "rm":
        context.client.delete(path, {"publish": specs})
        return
    found = context.client.post(path, None, {"Publish": specs})
    assert isinstance(found, dict)
    wanted = {port for spec in specs for port, _ in _bindings(spec)}
    ports = {port: bindings for port, bindings in found["Ports"].items() if port in wanted}
    for line in _lines(ports):
        context.print(line)


def _bindings(spec: str) -> list[tuple[str, dict[str, str]]]:
    return list(publish.bindings(spec, is_address))


def _lines(ports: dict[str, Any]) -> list[str]:
    return [f"{port} -> {where}" for port in sorted(ports, key=_order) for where in _where(ports[port])]


def _show(context: Context, arguments: list[str]) -> None:
    found = context.client.get(f"/containers/{arguments[0]}/json")
    assert isinstance(found, dict)
    ports: dict[str, Any] = (found.get("NetworkSettings") or {}).get("Ports") or {}
    lines = _lines(ports) if len(arguments) == 1 else _one(ports, arguments[0], arguments[1])
    for line in lines:
        context.print(line)


def _order(port: str) -> tuple[int, str]:
    number, _, protocol = port.partition("/")
    return int(number), protocol


def _where(bindings: list[dict[str, str]] | None) -> list[str]:
    return [_join(binding.get("HostIp", ""), binding.get("HostPort", "")) for binding in bindings or []]


def _join(address: str, port: str) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _one(ports: dict[str, Any], container: str, asked: str) -> list[str]:
    number, _, protocol = asked.partition("/")
    if not number.isdecimal() or int(number) > 65535:
        raise CommandError(f'Error: invalid port ({number}): strconv.ParseUint: parsing "{number}": invalid syntax')
    bindings = ports.get(f"{number}/{protocol or 'tcp'}")
    if not bindings:
        raise CommandError(f"Error: No public port '{asked}' published for {container}")
    return _where(bindings)


PORT = Command(
    "CONTAINER [PRIVATE_PORT[/PROTO]]",
    _run,
    (),
    ONE_OR_MORE,
    "List port mappings or a specific mapping for the container\n\n"
    "fairlead port add CONTAINER [[IP:]HOST:]CONTAINER[/PROTO]...   publish further ports, now and after restarts\n"
    "fairlead port rm CONTAINER [[IP:]HOST:]CONTAINER[/PROTO]...    publish them no more; what is left out is any",
    completes="running",
)
