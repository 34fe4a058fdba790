"""EndpointSettings: how a container is, or asks to be, on a network."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Interface, IPv6Interface
from typing import Any

import msgspec

from fairlead.errors import InvalidArgument
from fairlead.ids import short
from fairlead.model.container import Container, Strings, StrMap
from fairlead.model.endpoint import Endpoint, EndpointSpec
from fairlead.model.network import PREDEFINED, Network
from fairlead.wire.addresses import parse_ip, parse_ip4, parse_ip6, parse_mac


class IpamSettings(msgspec.Struct, frozen=True, kw_only=True):
    ipv4: str = msgspec.field(default="", name="IPv4Address")
    ipv6: str = msgspec.field(default="", name="IPv6Address")
    link_local: Strings = msgspec.field(default=(), name="LinkLocalIPs")


class EndpointBody(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """What a client may set; the operational fields it echoes back are not read."""

    ipam: IpamSettings | None = msgspec.field(default=None, name="IPAMConfig")
    links: Strings = ()
    aliases: Strings = ()
    mac_address: str = ""
    driver_opts: StrMap = {}
    gw_priority: int = 0


EMPTY = EndpointBody()


def parse_endpoint(given: EndpointBody | None) -> EndpointSpec:
    """Raises InvalidArgument for addresses that are none."""
    body = given or EMPTY
    ipam = body.ipam or IpamSettings()
    link_local = tuple(parse_ip(text, "link-local IP address") for text in ipam.link_local)
    if None in link_local:
        raise InvalidArgument("invalid link-local IP address: it is empty")
    return EndpointSpec(
        ipv4=parse_ip4(ipam.ipv4, "IPv4 address"),
        ipv6=parse_ip6(ipam.ipv6, "IPv6 address"),
        link_local=tuple(address for address in link_local if address is not None),
        aliases=tuple(dict.fromkeys(body.aliases)),
        links=tuple(_link(text) for text in body.links),
        mac=parse_mac(body.mac_address),
        options=body.driver_opts,
        gw_priority=body.gw_priority,
    )


def _link(text: str) -> str:
    """``container:alias``; a bare name is its own alias, as in Docker."""
    container, colon, alias = text.partition(":")
    if not container or (colon and not alias) or ":" in alias:
        raise InvalidArgument(f"bad format for links: {text}")
    return f"{container}:{alias or container.rpartition('/')[2]}"


def endpoint_settings(
    spec: EndpointSpec,
    endpoint: Endpoint | None,
    network: Network | None,
    names: tuple[str, ...],
) -> dict[str, Any]:
    """One entry of NetworkSettings.Networks; ``endpoint`` is None while the container does not run."""
    settings = {
        "IPAMConfig": _ipam(spec),
        "Links": list(spec.links) or None,
        "Aliases": list(spec.aliases) or None,
        "MacAddress": endpoint.mac if endpoint else spec.mac,
        "DriverOpts": dict(spec.options) or None,
        "GwPriority": spec.gw_priority,
        "NetworkID": network.id if network else "",
        "EndpointID": endpoint.id if endpoint else "",
        "DNSNames": list(names) or None,
    }
    return settings | _addresses(endpoint, network)


def _ipam(spec: EndpointSpec) -> dict[str, Any] | None:
    ipam: dict[str, Any] = {}
    if spec.ipv4 is not None:
        ipam["IPv4Address"] = str(spec.ipv4)
    if spec.ipv6 is not None:
        ipam["IPv6Address"] = str(spec.ipv6)
    if spec.link_local:
        ipam["LinkLocalIPs"] = [str(address) for address in spec.link_local]
    return ipam or None


def _addresses(endpoint: Endpoint | None, network: Network | None) -> dict[str, Any]:
    v4 = first4(endpoint)
    v6 = first6(endpoint)
    return {
        "Gateway": gateway_of(network, endpoint, 4) if v4 else "",
        "IPAddress": str(v4.ip) if v4 else "",
        "IPPrefixLen": v4.network.prefixlen if v4 else 0,
        "IPv6Gateway": gateway_of(network, endpoint, 6) if v6 else "",
        "GlobalIPv6Address": str(v6.ip) if v6 else "",
        "GlobalIPv6PrefixLen": v6.network.prefixlen if v6 else 0,
    }


def first4(endpoint: Endpoint | None) -> IPv4Interface | None:
    found = (address for address in endpoint.addresses if isinstance(address, IPv4Interface)) if endpoint else iter(())
    return next(found, None)


def first6(endpoint: Endpoint | None) -> IPv6Interface | None:
    found = (address for address in endpoint.addresses if isinstance(address, IPv6Interface)) if endpoint else iter(())
    return next(found, None)


def gateway_of(network: Network | None, endpoint: Endpoint | None, version: int) -> str:
    """The gateway containers use; "" on internal networks, which have none."""
    if network is None or network.spec.internal:
        return ""
    own = [address.ip for address in endpoint.addresses] if endpoint is not None else []
    homes = [subnet for subnet in network.subnets if any(ip in subnet.prefix for ip in own)] or network.subnets
    gateways = [gateway for subnet in homes if (gateway := subnet.way_out) is not None]
    if endpoint is not None and endpoint.outside.gateways is not None:
        gateways = [*endpoint.outside.gateways]
    return next((str(gateway) for gateway in gateways if gateway.version == version), "")


def container_networks(
    container: Container, networks: Mapping[str, Network], *, legacy_aliases: bool
) -> dict[str, dict[str, Any]]:
    """NetworkSettings.Networks. ``legacy_aliases``: API < 1.45 lists the short id among the aliases."""
    by_network = {endpoint.network: endpoint for endpoint in container.endpoints}
    out: dict[str, dict[str, Any]] = {}
    for asked, spec in container.spec.networks.items():
        network = networks.get(asked)
        name = network.name if network else asked
        endpoint = by_network.get(network.id) if network else None
        settings = endpoint_settings(spec, endpoint, network, dns_names(container, name, spec, endpoint))
        if legacy_aliases and name not in PREDEFINED:
            settings["Aliases"] = list(dict.fromkeys((*spec.aliases, short(container.id))))
        out[name] = settings
    return out


def dns_names(container: Container, network: str, spec: EndpointSpec, endpoint: Endpoint | None) -> tuple[str, ...]:
    """The names the embedded DNS answers for; none on predefined networks."""
    if network in PREDEFINED:
        return ()
    if endpoint is not None:
        return endpoint.names
    hostname = container.config.hostname
    names = (container.name, *spec.aliases, short(container.id), hostname)
    return tuple(dict.fromkeys(name for name in names if name))
