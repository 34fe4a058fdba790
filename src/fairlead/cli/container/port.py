"""``fairlead port``."""

from __future__ import annotations

from typing import Any

from fairlead.cli.command import ONE_OR_TWO, Command, Context
from fairlead.cli.errors import CommandError
from fairlead.cli.flags import Values


def _run(context: Context, _values: Values, arguments: list[str]) -> None:
    found = context.client.get(f"/containers/{arguments[0]}/json")
    assert isinstance(found, dict)
    ports: dict[str, Any] = (found.get("NetworkSettings") or {}).get("Ports") or {}
    if len(arguments) == 1:
        lines = [f"{port} -> {where}" for port in sorted(ports, key=_order) for where in _where(ports[port])]
    else:
        lines = _one(ports, arguments[0], arguments[1])
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


PORT = Command("CONTAINER [PRIVATE_PORT[/PROTO]]", _run, (), ONE_OR_TWO, completes="running")
