"""What a container asks of a CNI network, in the chain's terms; and whether it got it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from ipaddress import ip_address, ip_network

import msgspec

from fairlead.errors import EngineError, InvalidArgument
from fairlead.model.address import Ip, Prefix
from fairlead.model.container import Container
from fairlead.model.endpoint import Endpoint, EndpointSpec
from fairlead.model.network import IpamConfig, Network, Subnet
from fairlead.net.cni.call import Bandwidth, Wishes
from fairlead.net.cni.conflist import NetworkList
from fairlead.net.shaping import Shape, parse_shape

PORT_MAPPINGS, BANDWIDTH = "portMappings", "bandwidth"

# The plugins want a burst with every rate: so much of a second, and never less than two packets (bits).
_BURST, _LEAST_BURST = 0.01, 8 * 2 * 1518


def wishes_of(network: Network, endpoint: Endpoint, spec: EndpointSpec, container: Container) -> Wishes:
    """``endpoint`` has the ports that are published through it."""
    host = container.host
    return Wishes(
        ips=tuple(_with_length(ip, network) for ip in (spec.ipv4, spec.ipv6) if ip is not None),
        ranges=tuple(_range(config) for config in network.spec.ipam),
        mac=spec.mac,
        aliases=spec.aliases,
        ports=endpoint.published,
        bandwidth=_bandwidth(parse_shape({**network.spec.options, **spec.options})),
        nameservers=host.dns or (),
        search=host.dns_search or (),
        dns_options=host.dns_options or (),
        cgroup=container.cgroup,
    )


def _bandwidth(shape: Shape) -> Bandwidth | None:
    if not (shape.ingress or shape.egress):
        return None
    return Bandwidth(
        ingress_rate=shape.ingress,
        ingress_burst=_burst(shape.ingress, shape.ingress_burst),
        egress_rate=shape.egress,
        egress_burst=_burst(shape.egress, shape.egress_burst),
    )


def _burst(rate: int, asked: int) -> int:
    return rate and (8 * asked or max(_LEAST_BURST, round(_BURST * rate)))


# Of what is asked for in vain nothing may come, or the user is told: these are not found again in any answer.
_UNSEEN = (PORT_MAPPINGS, "ipRanges")


def check(asked: Mapping[str, object], chain: NetworkList) -> None:
    """Raises for wishes that no plugin of the chain serves and whose fulfilment nobody could see."""
    for capability in _UNSEEN:
        if capability in asked and capability not in chain.capabilities:
            raise InvalidArgument(
                f"CNI network {chain.name}: none of its plugins declares the capability {capability}, which "
                f'{_MEANING[capability]} needs: add "capabilities": {{"{capability}": true}} to one that has it'
            )


_MEANING = {PORT_MAPPINGS: "publishing ports", "ipRanges": "--subnet"}


def check_served(spec: EndpointSpec, endpoint: Endpoint, chain: str) -> None:
    """Raises where plugins passed over what was asked for."""
    given = {address.ip for address in endpoint.addresses}
    for wanted in (spec.ipv4, spec.ipv6):
        if wanted is not None and wanted not in given:
            got = ", ".join(map(str, endpoint.addresses)) or "none"
            raise EngineError(f"CNI network {chain}: its plugins gave the address {got} where {wanted} was asked for")
    if spec.mac and spec.mac != endpoint.mac:
        raise EngineError(
            f"CNI network {chain}: its plugins gave the MAC address {endpoint.mac} where {spec.mac} was asked for"
        )


def configured_subnets(chain: NetworkList) -> Iterator[Subnet]:
    """Those that the chain's address plugins choose from, as far as they follow the way host-local is told."""
    for plugin in chain.plugins:
        match msgspec.json.decode(plugin.text):
            case {"ipam": {"ranges": list(sets)}}:
                yield from (found for each in sets if isinstance(each, list) for found in map(_subnet, each) if found)
            case {"ipam": {"subnet": _} as only}:
                yield from (found for found in (_subnet(only),) if found)


def _subnet(value: object) -> Subnet | None:
    match value:
        case {"subnet": str(subnet), "gateway": str(gateway)}:
            pass
        case {"subnet": str(subnet)}:
            gateway = ""
        case _:
            return None
    with suppress(ValueError):
        return Subnet(prefix=ip_network(subnet, strict=False), gateway=ip_address(gateway) if gateway else None)
    return None


def _with_length(ip: Ip, network: Network) -> str:
    """Address plugins without a subnet of their own (static) need to be told its length."""
    found = (subnet.prefix.prefixlen for subnet in network.subnets if ip in subnet.prefix)
    length = next(found, None)
    return str(ip) if length is None else f"{ip}/{length}"


def _range(config: IpamConfig) -> dict[str, str]:
    known = {
        "subnet": config.subnet,
        "gateway": config.gateway,
        "rangeStart": config.ip_range and _first(config.ip_range, config.subnet),
        "rangeEnd": config.ip_range and _last(config.ip_range, config.subnet),
    }
    return {key: str(value) for key, value in known.items() if value is not None}


def _first(part: Prefix, whole: Prefix | None) -> Ip:
    """Of a subnet, its own address is for nobody."""
    low = part.network_address
    return low + 1 if whole is not None and low == whole.network_address else low


def _last(part: Prefix, whole: Prefix | None) -> Ip:
    high = part.broadcast_address
    return high - 1 if whole is not None and high.version == 4 and high == whole.broadcast_address else high
