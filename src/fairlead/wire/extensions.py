"""Bodies and answers of the calls under ``/fairlead``, for what Docker has no call for."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address
from typing import Any

import msgspec

from fairlead.errors import InvalidArgument
from fairlead.model.address import Prefix
from fairlead.model.container import Container, PortMap, Strings, StrMap
from fairlead.model.network import DNS, IpamConfig
from fairlead.model.port import PortRequest
from fairlead.model.requests import EndpointUpdate, NetworkUpdate
from fairlead.model.views import NetworkChecked
from fairlead.wire import body, publish
from fairlead.wire.addresses import parse_prefix
from fairlead.wire.networks import IpamConfigBody, parse_pools
from fairlead.wire.ports import parse_bindings, port_map


class PortsBody(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    publish: Strings = ()


class UpdateBody(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    name: str = ""
    labels: StrMap = {}
    remove_labels: Strings = ()
    options: StrMap = {}
    remove_options: Strings = ()
    add_subnets: tuple[IpamConfigBody, ...] = ()
    remove_subnets: Strings = ()
    dns: Strings | None = msgspec.field(default=None, name="DNS")


class EndpointUpdateBody(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    aliases: Strings | None = None
    add_aliases: Strings = ()
    remove_aliases: Strings = ()
    gw_priority: int | None = None


def parse_network_update(text: bytes) -> NetworkUpdate:
    """POST /fairlead/networks/{id}/update. ``DNS`` is short for the option: [] takes the servers away."""
    given = body.parse(text, UpdateBody)
    if given == UpdateBody():
        raise InvalidArgument("invalid network update: nothing is to change")
    servers = ",".join(given.dns or ())
    gone = tuple(_subnet(subnet) for subnet in given.remove_subnets)
    return NetworkUpdate(
        name=given.name,
        labels=given.labels,
        remove_labels=given.remove_labels,
        options={**given.options, **({DNS: servers} if servers else {})},
        remove_options=(*given.remove_options, *((DNS,) if given.dns is not None and not servers else ())),
        add_subnets=_named(parse_pools(given.add_subnets)),
        remove_subnets=gone,
    )


def _subnet(text: str) -> Prefix:
    prefix = parse_prefix(text, "subnet")
    if prefix is None:
        raise InvalidArgument("invalid network update: a subnet to remove is empty")
    return prefix


def _named(configs: tuple[IpamConfig, ...]) -> tuple[IpamConfig, ...]:
    if any(config.subnet is None for config in configs):
        raise InvalidArgument("invalid network update: a subnet to add has no Subnet (0.0.0.0/24 is any of that size)")
    return configs


def parse_endpoint_update(text: bytes) -> EndpointUpdate:
    """POST /fairlead/networks/{id}/endpoints/{container}."""
    given = body.parse(text, EndpointUpdateBody)
    if given == EndpointUpdateBody():
        raise InvalidArgument("invalid endpoint update: nothing is to change")
    return EndpointUpdate(
        aliases=given.aliases,
        add_aliases=given.add_aliases,
        remove_aliases=given.remove_aliases,
        gw_priority=given.gw_priority,
    )


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


def checked(found: NetworkChecked) -> dict[str, Any]:
    """POST /fairlead/networks/{id}/check."""
    endpoints = [
        {"Container": each.endpoint.container, "Name": each.name, "Interface": each.endpoint.ifname,
         "Error": each.complaint}
        for each in found.endpoints
    ]  # fmt: skip
    return {"Id": found.network.id, "Name": found.network.name, "Error": found.complaint, "Containers": endpoints}
