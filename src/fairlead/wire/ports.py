"""Ports: ``80/tcp`` and PortBindings <-> model."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from fairlead.errors import InvalidArgument
from fairlead.model.container import PortMap
from fairlead.model.port import ContainerPort, PortBinding, PortRequest, Protocol
from fairlead.wire.addresses import parse_ip

_PORT = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?\Z", re.ASCII)
_HIGHEST = 65535


def parse_port(text: str) -> ContainerPort:
    """``80``, ``80/tcp``, ``53/udp``; raises InvalidArgument."""
    number, _, protocol = text.partition("/")
    low, high = _range(number, text)
    if low != high or low == 0:
        raise InvalidArgument(f'invalid port specification: "{text}"')
    try:
        return ContainerPort(port=low, protocol=Protocol(protocol.lower() or "tcp"))
    except ValueError as error:
        raise InvalidArgument(f'invalid port specification: "{text}"') from error


def parse_bindings(bindings: Mapping[str, tuple[PortMap, ...] | None] | None) -> tuple[PortRequest, ...]:
    """What -p asked for, in the order given."""
    return tuple(_requests(bindings or {}))


def render_bindings(requests: Iterable[PortRequest]) -> dict[str, tuple[PortMap, ...]]:
    """PortBindings that ask for just these."""
    bindings: dict[str, tuple[PortMap, ...]] = {}
    for request in requests:
        ports = str(request.low or "") if request.low == request.high else f"{request.low}-{request.high}"
        entry = PortMap(host_ip=str(request.host_ip or ""), host_port=ports)
        bindings[str(request.container)] = (*bindings.get(str(request.container), ()), entry)
    return bindings


def _requests(bindings: Mapping[str, tuple[PortMap, ...] | None]) -> Iterator[PortRequest]:
    for key, maps in bindings.items():
        container = parse_port(key)
        for binding in maps or ():
            low, high = _range(binding.host_port, binding.host_port) if binding.host_port else (0, 0)
            host_ip = parse_ip(binding.host_ip.strip("[]"), "host IP address")
            yield PortRequest(container=container, host_ip=host_ip, low=low, high=high)


def _range(text: str, shown: str) -> tuple[int, int]:
    found = _PORT.match(text)
    if found is None:
        raise InvalidArgument(f'invalid port specification: "{shown}"')
    low, high = int(found[1]), int(found[2] or found[1])
    if not low <= high <= _HIGHEST:
        raise InvalidArgument(f'invalid port specification: "{shown}"')
    return low, high


def check_exposed(exposed: Mapping[str, Any] | None) -> None:
    """Raise InvalidArgument for a key of ExposedPorts that is neither a port nor a range of ports."""
    for key in exposed or {}:
        _expanded(key)


def exposed_ports(exposed: Mapping[str, Any] | None) -> Iterator[ContainerPort]:
    """Every port of ExposedPorts, ranges expanded; an image's key that means nothing is passed over."""
    for key in exposed or {}:
        try:
            yield from _expanded(key)
        except InvalidArgument:
            continue


def _expanded(key: str) -> tuple[ContainerPort, ...]:
    number, _, protocol = key.partition("/")
    low, high = _range(number, key)
    if low == high:
        return (parse_port(key),)
    first = parse_port(f"{low}/{protocol}")
    return tuple(ContainerPort(port=port, protocol=first.protocol) for port in range(low, high + 1))


def port_map(exposed: Mapping[str, Any] | None, published: tuple[PortBinding, ...]) -> dict[str, Any]:
    """NetworkSettings.Ports: for each port its host bindings, null where it is only exposed."""
    ports: dict[str, Any] = {str(port): None for port in exposed_ports(exposed)}
    for binding in published:
        entry = {"HostIp": str(binding.host_ip), "HostPort": str(binding.host_port)}
        key = str(binding.container)
        ports[key] = [*(ports.get(key) or ()), entry]
    return ports


def port_list(exposed: Mapping[str, Any] | None, published: tuple[PortBinding, ...]) -> list[dict[str, Any]]:
    """Ports as a container list shows them."""
    ports: list[dict[str, Any]] = [
        {
            "IP": str(binding.host_ip),
            "PrivatePort": binding.container.port,
            "PublicPort": binding.host_port,
            "Type": str(binding.container.protocol),
        }
        for binding in published
    ]
    seen = {str(binding.container) for binding in published}
    closed = (port for port in exposed_ports(exposed) if str(port) not in seen)
    return [*ports, *({"PrivatePort": port.port, "Type": str(port.protocol)} for port in closed)]
