"""What an endpoint wants on its interface inside the sandbox, whatever link that is."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network

from fairlead.model.address import Ip
from fairlead.model.endpoint import Endpoint
from fairlead.model.network import Network
from fairlead.net.gateway import leads_by_interface, next_hops
from fairlead.net.state import Address, Fact, Route, Sysctl
from fairlead.net.world import World

# The kernel shows this metric for IPv6 routes that were added without one.
IPV6_METRIC = 1024


def on_interface(network: Network, endpoint: Endpoint, world: World) -> Iterator[Fact]:
    """Addresses, sysctls, routes that others asked for and, where this endpoint is the gateway, default routes."""
    ns, link = endpoint.container, endpoint.ifname
    addresses = (*endpoint.addresses, *endpoint.link_local)
    yield from (Address(ns=ns, link=link, address=address) for address in addresses)
    for route in endpoint.outside.routes:
        yield Route(ns=ns, prefix=route.prefix, link=link, via=route.via, metric=route_metric(route.prefix.version))
    yield from default_routes(network, endpoint)
    if world.host.ipv6 and any(address.version == 6 for address in addresses):
        # The sandbox is opened without IPv6 when its first endpoints have none.
        yield Sysctl(ns=ns, key=f"net/ipv6/conf/{link}/disable_ipv6", value="0")
    yield from sysctls(endpoint)


def sysctls(endpoint: Endpoint) -> Iterator[Sysctl]:
    """Those asked for with the endpoint, for its interface."""
    for key, value in endpoint.sysctls.items():
        yield Sysctl(ns=endpoint.container, key=key.replace("IFNAME", endpoint.ifname), value=value)


def default_routes(network: Network, endpoint: Endpoint) -> Iterator[Route]:
    """Of the families that this endpoint is the gateway of."""
    if leads_by_interface(network):
        versions = {address.version for address in endpoint.addresses}
        yield from (_default(endpoint, version, None) for version in versions if _carries(endpoint, version))
        return
    for via in next_hops(network, endpoint):
        if _carries(endpoint, via.version):
            yield _default(endpoint, via.version, via)


def _carries(endpoint: Endpoint, version: int) -> bool:
    return endpoint.gateway4 if version == 4 else endpoint.gateway6


def _default(endpoint: Endpoint, version: int, via: Ip | None) -> Route:
    return Route(
        ns=endpoint.container,
        prefix=ip_network("0.0.0.0/0" if version == 4 else "::/0"),
        link=endpoint.ifname,
        via=via,
        metric=route_metric(version),
    )


def route_metric(version: int) -> int:
    """The metric under which the kernel shows a route that was added without one."""
    return IPV6_METRIC if version == 6 else 0
