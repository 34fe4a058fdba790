"""Bodies and answers of the calls under ``/fairlead``, for what Docker has no call for."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address
from typing import Any

import msgspec

from fairlead.errors import InvalidArgument
from fairlead.model.container import Container, PortMap, Strings
from fairlead.model.port import PortRequest
from fairlead.wire import body, publish
from fairlead.wire.ports import parse_bindings, port_map


class PortsBody(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    publish: Strings = ()


def parse_ports(text: bytes) -> tuple[PortRequest, ...]:
    """POST /fairlead/containers/{id}/ports."""
    return parse_publish(body.parse(text, PortsBody).publish)


def parse_publish(specs: Iterable[str]) -> tuple[PortRequest, ...]:
    """What ``-p`` says, once for each port of a range; raises InvalidArgument."""
    requests: list[PortRequest] = []
    for spec in specs:
        try:
            found = list(publish.bindings(spec, _is_address))
        except ValueError as error:
            raise InvalidArgument(f'invalid publish "{spec}": {error}') from error
        for port, entry in found:
            bound = PortMap(host_ip=entry["HostIp"], host_port=entry["HostPort"])
            requests += parse_bindings({port: (bound,)})
    if not requests:
        raise InvalidArgument("invalid publish: no port is named")
    return tuple(requests)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def published_ports(container: Container) -> dict[str, Any]:
    """The answer to a change of ports: those that are published now, as NetworkSettings.Ports has them."""
    bindings = tuple(binding for endpoint in container.endpoints for binding in endpoint.published)
    return {"Ports": port_map(None, bindings)}
