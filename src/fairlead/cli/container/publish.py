"""``--publish`` and ``--expose``: specifications to Docker's port maps; errors are ValueErrors in Docker's words."""

from __future__ import annotations

from collections.abc import Sequence

from fairlead.cli.container.values import is_address
from fairlead.wire import publish

PortMap = dict[str, list[dict[str, str]]]


def port_map(specs: Sequence[str]) -> PortMap:
    """``[ip:][host[-host]]:container[-container][/protocol]`` or ``published=…,target=…`` each."""
    ports: PortMap = {}
    for spec in specs:
        for port, binding in publish.bindings(spec, is_address):
            ports.setdefault(port, []).append(binding)
    return ports


def exposed(specs: Sequence[str]) -> dict[str, object]:
    """``port[-port][/protocol]`` each."""
    ports: dict[str, object] = {}
    for spec in specs:
        if ":" in spec:
            raise ValueError(f"invalid port format for --expose: {spec}")
        text, protocol = publish.split_protocol(spec)
        try:
            first, last = publish.port_range(text)
        except ValueError as wrong:
            raise ValueError(f"invalid range format for --expose: {spec}, error: {wrong}") from wrong
        ports.update({f"{port}/{protocol}": {} for port in range(first, last + 1)})
    return ports
