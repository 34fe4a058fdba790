"""The bridge driver: a Linux bridge on the host, and a veth pair from it to each container."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from ipaddress import IPv6Network, ip_interface

from fairlead import ids
from fairlead.errors import InvalidArgument
from fairlead.model.address import Interface, Prefix
from fairlead.model.endpoint import Endpoint
from fairlead.model.host import HostFacts
from fairlead.model.network import Network, NetworkSpec
from fairlead.model.port import ContainerPort
from fairlead.net import firewall
from fairlead.net.drivers.inside import on_interface, route_metric
from fairlead.net.drivers.options import BridgeOptions, check_options, parse_options
from fairlead.net.firewall import GatewayMode, Perimeter
from fairlead.net.state import HOST, Address, Fact, Link, LinkKind, Route, State, Sysctl
from fairlead.net.world import World
from fairlead.settings import PublishPolicy

__all__ = [
    "BridgeOptions",
    "bridge_name",
    "check",
    "choose_mtu",
    "endpoint_wants",
    "gatewayless",
    "is_judged",
    "network_wants",
    "parse_options",
    "sandbox_wants",
    "wants",
]

_IFALIAS_LONGEST = 255

# RFC 791 and RFC 8200, 5; below it the kernel takes the protocol off the link.
_LEAST_MTU: Mapping[int, int] = {4: 68, 6: 1280}


def check(spec: NetworkSpec, host: HostFacts) -> None:
    """Raise for options and combinations that a bridge network cannot have."""
    options = check_options(spec)
    if options.mtu and options.mtu < _LEAST_MTU[6 if spec.enable_ipv6 else 4]:
        least = _LEAST_MTU[6 if spec.enable_ipv6 else 4]
        raise InvalidArgument(f"invalid MTU number: {options.mtu}: IPv{6 if spec.enable_ipv6 else 4} needs {least}")
    for config in spec.ipam if spec.enable_ipv6 else ():
        _check_ipv6(config.subnet)
    if spec.enable_ipv6 and not host.ipv6:
        raise InvalidArgument("IPv6 was asked for, but this host's kernel has IPv6 disabled: leave out --ipv6")


_LINK_LOCAL = IPv6Network("fe80::/64")


def _check_ipv6(subnet: Prefix | None) -> None:
    """The kernel gives the bridge an address in fe80::/64 whatever we do: no other subnet may be around it."""
    if isinstance(subnet, IPv6Network) and subnet != _LINK_LOCAL and subnet.overlaps(_LINK_LOCAL):
        raise InvalidArgument(f"'{subnet}' clashes with the Link-Local prefix 'fe80::/64'")


def gatewayless(spec: NetworkSpec) -> frozenset[int]:
    """Isolated families, and IPv4 where neither the bridge has an address nor containers a default route."""
    options = parse_options(spec)
    without = {4: options.mode4 is GatewayMode.ISOLATED or (options.inhibit_ipv4 and spec.internal)}
    without[6] = options.mode6 is GatewayMode.ISOLATED
    return frozenset(version for version, none in without.items() if none)


def bridge_name(network: Network) -> str:
    """As asked for, or ``br-`` and the short id."""
    return parse_options(network.spec).name or f"br-{ids.short(network.id)}"


def is_judged(network: Network, world: World) -> bool:
    """Whether the host's own input rules decide about the network's published ports."""
    policy = parse_options(network.spec).publish_policy or world.settings.publish_policy
    return policy is PublishPolicy.HOST_FIREWALL and not network.spec.internal


def perimeter(network: Network, options: BridgeOptions, world: World) -> Perimeter:
    """The network as the firewall sees it."""
    return Perimeter(
        bridge=network.bridge or bridge_name(network),
        prefixes=tuple(subnet.prefix for subnet in network.subnets),
        modes=(options.mode4, options.mode6),
        internal=network.spec.internal,
        icc=options.icc,
        masquerade=options.masquerade,
        snat=options.snat,
        trusted=options.trusted,
        judged=is_judged(network, world),
        direct=world.settings.allow_direct_routing,
    )


def wants(network: Network, endpoints: Sequence[Endpoint], world: World) -> State:
    """The host's side of the network with these endpoints."""
    return network_wants(network, world).union(*(endpoint_wants(network, each, world) for each in endpoints))


def network_wants(network: Network, world: World) -> State:
    """The bridge, its gateway addresses, what the kernel must allow, and the firewall's view of it."""
    options = parse_options(network.spec)
    border = perimeter(network, options, world)
    facts: set[Fact] = {_bridge_link(network, border.bridge, world)}
    facts.update(Address(ns=HOST, link=border.bridge, address=own) for own in _own_addresses(network, options))
    facts.update(_sysctls(network, border.bridge, world))
    facts.update(firewall.network_elements(border))
    return frozenset(facts)


def _bridge_link(network: Network, name: str, world: World) -> Link:
    if network.adopted:
        return Link(ns=HOST, name=name, kind=LinkKind.BRIDGE, adopted=True)
    return Link(
        ns=HOST,
        name=name,
        kind=LinkKind.BRIDGE,
        mtu=_mtu(network, world),
        # A bridge otherwise takes its lowest port's MAC, which changes as ports come and go.
        mac=_stable_mac(network.id),
        alias=network.name[:_IFALIAS_LONGEST],
    )


def choose_mtu(spec: NetworkSpec, world: World) -> int:
    """As asked for, as the daemon's flags say, or that of the host's way out."""
    return parse_options(spec).mtu or world.settings.mtu or world.host.default_mtu


def _mtu(network: Network, world: World) -> int:
    return network.mtu or choose_mtu(network.spec, world)


def _stable_mac(identifier: str) -> str:
    """Locally administered unicast, the same at every start."""
    digest = sha256(identifier.encode()).digest()
    return ":".join(f"{byte:02x}" for byte in (digest[0] & 0xFC | 2, *digest[1:6]))


def _own_addresses(network: Network, options: BridgeOptions) -> Iterator[Interface]:
    for subnet in network.subnets:
        mode = options.mode4 if subnet.prefix.version == 4 else options.mode6
        inhibited = options.inhibit_ipv4 and subnet.prefix.version == 4
        if subnet.gateway is None or mode is GatewayMode.ISOLATED or inhibited:
            continue
        own = ip_interface(f"{subnet.gateway}/{subnet.prefix.prefixlen}")
        if own not in network.found:
            yield own


def _sysctls(network: Network, bridge: str, world: World) -> Iterator[Sysctl]:
    versions = {subnet.prefix.version for subnet in network.subnets}
    if 4 in versions and not network.spec.internal:
        # For 127.0.0.1 on the host to reach a container; the chain "loopback" keeps everybody else out.
        yield Sysctl(ns=HOST, key=f"net/ipv4/conf/{bridge}/route_localnet", value="1")
        if world.settings.ip_forward:
            yield Sysctl(ns=HOST, key="net/ipv4/ip_forward", value="1")
    options = parse_options(network.spec)
    if options.default_bridge and (network.adopted or not options.icc):
        # For --link: what isolated ports send each other is routed by the host, and let through or not by its firewall.
        yield Sysctl(ns=HOST, key=f"net/ipv4/conf/{bridge}/proxy_arp_pvlan", value="0" if options.icc else "1")
        yield Sysctl(ns=HOST, key=f"net/ipv4/neigh/{bridge}/proxy_delay", value="0")
    if world.host.ipv6 and (6 in versions or not network.adopted):
        # Without an IPv6 subnet the bridge needs no link-local address that containers could reach the host by.
        yield Sysctl(ns=HOST, key=f"net/ipv6/conf/{bridge}/disable_ipv6", value="0" if 6 in versions else "1")
    if 6 in versions:
        # Its link-local address is needed to find a neighbour, and would be kept back for a second or two.
        yield Sysctl(ns=HOST, key=f"net/ipv6/conf/{bridge}/accept_dad", value="0")
    if 6 in versions and not network.spec.internal and world.settings.ip_forward:
        yield Sysctl(ns=HOST, key="net/ipv6/conf/all/forwarding", value="1")


def endpoint_wants(network: Network, endpoint: Endpoint, world: World) -> State:
    """The host's end of the veth pair, and the published ports."""
    options = parse_options(network.spec)
    border = perimeter(network, options, world)
    return frozenset({_host_link(network, endpoint, options, world), *firewall.endpoint_elements(border, endpoint)})


def opened_wants(network: Network, endpoint: Endpoint, ports: Iterable[ContainerPort], world: World) -> State:
    """What ports that the container publishes by another network want here: nothing unless this one is routed."""
    border = perimeter(network, parse_options(network.spec), world)
    return frozenset(firewall.opened_elements(border, endpoint, ports))


def _host_link(network: Network, endpoint: Endpoint, options: BridgeOptions, world: World) -> Link:
    who = endpoint.names[0] if endpoint.names else ids.short(endpoint.container)
    return Link(
        ns=HOST,
        name=endpoint.host_ifname,
        kind=LinkKind.VETH,
        mtu=_mtu(network, world),
        master=network.bridge or bridge_name(network),
        alias=f"{who}/{network.name}"[:_IFALIAS_LONGEST],
        peer_ns=endpoint.container,
        peer=endpoint.ifname,
        peer_mac=endpoint.mac,
        isolated=not options.icc,
        # Where br_netfilter is on, a published container's connection to itself turns round inside the bridge.
        hairpin=bool(endpoint.published),
    )


def sandbox_wants(network: Network, endpoint: Endpoint, world: World) -> State:
    """The container's end of the veth pair, its addresses and, where this endpoint is the gateway, default routes."""
    return frozenset(_sandbox_facts(network, endpoint, world))


def _sandbox_facts(network: Network, endpoint: Endpoint, world: World) -> Iterator[Fact]:
    yield Link(
        ns=endpoint.container,
        name=endpoint.ifname,
        kind=LinkKind.VETH,
        mtu=_mtu(network, world),
        mac=endpoint.mac,
        peer_ns=HOST,
        peer=endpoint.host_ifname,
    )
    yield from on_interface(network, endpoint, world)
    yield from _ways_to_siblings(network, endpoint)


def _ways_to_siblings(network: Network, endpoint: Endpoint) -> Iterator[Route]:
    """To the network's other subnets: they are on the same link, so not through the host, nor by another network."""
    for subnet in network.subnets:
        version = subnet.prefix.version
        own = [address for address in endpoint.addresses if address.version == version]
        if own and not any(address in subnet.prefix for address in own):
            metric = route_metric(version)
            yield Route(ns=endpoint.container, prefix=subnet.prefix, link=endpoint.ifname, metric=metric)
