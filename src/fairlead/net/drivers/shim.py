"""The host's own link beside those of its macvlan or ipvlan containers: the kernel lets nothing pass from a parent to
what stands on it, so that without one the host and its containers cannot talk.

The shim has an address of its own in each subnet, as a host address: the rest of the subnet stays on the parent. Each
container is one more route over the shim, and has routes to the host's other addresses over it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from ipaddress import ip_interface, ip_network

from fairlead import ids
from fairlead.errors import InvalidArgument
from fairlead.model.address import Interface, Ip, Prefix
from fairlead.model.endpoint import Endpoint
from fairlead.model.network import Network, NetworkSpec, Subnet
from fairlead.net import ipam
from fairlead.net.drivers import parents
from fairlead.net.drivers.inside import route_metric
from fairlead.net.drivers.sublink_options import HOST_SHIM, SubLinkOptions, parse_options
from fairlead.net.state import HOST, Address, Fact, Link, LinkKind, Route, Sysctl
from fairlead.net.world import World

# The name of the shim's address in --aux-address, and in inspect where it was chosen here.
AUX = HOST_SHIM


def check(options: SubLinkOptions, kind: LinkKind, spec: NetworkSpec) -> None:
    """Raise for modes in which a neighbour on the same parent is not reached, and for addresses that others choose."""
    if spec.ipam_driver not in ("", "default"):
        raise InvalidArgument(
            f"{HOST_SHIM} needs a subnet that this engine gives addresses out of, not IPAM driver {spec.ipam_driver}"
        )
    apart = options.mode if kind is LinkKind.MACVLAN else options.flag
    if apart != "bridge":
        word = "mode" if kind is LinkKind.MACVLAN else "flag"
        raise InvalidArgument(
            f"{HOST_SHIM} needs {kind} {word} bridge: with {apart} nothing on the parent reaches its neighbours"
        )


def complete(spec: NetworkSpec, subnets: Sequence[Subnet], avoided: Collection[Ip]) -> Sequence[Subnet]:
    """Each subnet with an address for the shim, where one is asked for: the auxiliary address of that name, else one
    chosen now. ``avoided`` are addresses that the host itself has.
    """
    if spec.driver not in parents.STAND_INS:
        return subnets
    if not parse_options(spec, LinkKind(spec.driver)).shim:
        return tuple(_without(subnet, spec) for subnet in subnets)
    return tuple(
        subnet if AUX in subnet.aux else replace(subnet, aux={**subnet.aux, AUX: _choose(subnet, avoided)})
        for subnet in subnets
    )


def _without(subnet: Subnet, spec: NetworkSpec) -> Subnet:
    """The address that was chosen here for a shim is free again; one that was asked for stays kept back."""
    if AUX not in subnet.aux or any(subnet.aux[AUX] in config.aux.values() for config in spec.ipam):
        return subnet
    return replace(subnet, aux={name: address for name, address in subnet.aux.items() if name != AUX})


def _choose(subnet: Subnet, avoided: Collection[Ip]) -> Ip:
    return ipam.choose_address([subnet], used=avoided, network="for the host's own link").ip


def name(network: Network) -> str:
    return f"hs-{ids.short(network.id)}"


def wants(network: Network, link: Link, world: World) -> Iterator[Fact]:
    """The shim, like ``link`` but on the host, with its addresses."""
    own = name(network)
    yield replace(link, ns=HOST, name=own, alias=f"host/{network.name}"[:255])
    # ARP for the host's other addresses is its parent's business, or all the network would learn two MACs for them.
    yield Sysctl(ns=HOST, key=f"net/ipv4/conf/{own}/arp_ignore", value="1")
    six = any(subnet.prefix.version == 6 for subnet in network.subnets)
    if world.host.ipv6:
        yield Sysctl(ns=HOST, key=f"net/ipv6/conf/{own}/disable_ipv6", value="0" if six else "1")
        # A router on the parent's network advertises to the parent; the host needs no second way out.
        yield Sysctl(ns=HOST, key=f"net/ipv6/conf/{own}/accept_ra", value="0")
        yield Sysctl(ns=HOST, key=f"net/ipv6/conf/{own}/accept_dad", value="0")
    for address in _addresses(network):
        yield Address(ns=HOST, link=own, address=address)


def _addresses(network: Network) -> Iterator[Interface]:
    for subnet in network.subnets:
        if AUX in subnet.aux:
            yield _alone(subnet.aux[AUX])


def _alone(address: Ip) -> Interface:
    return ip_interface(f"{address}/{address.max_prefixlen}")


def routes(network: Network, endpoint: Endpoint) -> Iterator[Route]:
    """The host's way to a container."""
    for address in endpoint.addresses:
        shim = _of(network, address.ip)
        if shim is not None:
            yield Route(
                ns=HOST,
                prefix=_host_prefix(address.ip),
                link=name(network),
                source=shim,
                metric=route_metric(address.version),
            )


def ways_to_host(network: Network, endpoint: Endpoint, world: World) -> Iterator[Route]:
    """A container's way to those addresses of the host in its subnet that the shim does not answer for."""
    for own in world.host.addresses:
        shim = _of(network, own.ip)
        if shim is None or own.ip == shim or not any(own.ip in address.network for address in endpoint.addresses):
            continue
        yield Route(
            ns=endpoint.container,
            prefix=_host_prefix(own.ip),
            link=endpoint.ifname,
            via=shim,
            metric=route_metric(own.version),
        )


def _of(network: Network, address: Ip) -> Ip | None:
    """The shim's address in the subnet of that one."""
    return next((subnet.aux.get(AUX) for subnet in network.subnets if address in subnet.prefix), None)


def _host_prefix(address: Ip) -> Prefix:
    return ip_network(f"{address}/{address.max_prefixlen}")
