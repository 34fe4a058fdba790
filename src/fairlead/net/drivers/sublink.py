"""The macvlan and ipvlan drivers: each container has a link of its own that stands on a link of the host.

There is no bridge and no firewall between: the container is a station on the network that its parent is on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fairlead.errors import EngineError, Forbidden, InvalidArgument, Unsupported
from fairlead.model.endpoint import Endpoint, EndpointSpec
from fairlead.model.host import HostFacts
from fairlead.model.network import Network, NetworkSpec
from fairlead.net.drivers import parents, shim
from fairlead.net.drivers.inside import on_interface
from fairlead.net.drivers.sublink_options import PASSTHRU, SubLinkOptions, parse_options
from fairlead.net.state import HOST, Fact, Link, LinkKind, State, Sysctl
from fairlead.net.world import World


@dataclass(frozen=True, slots=True)
class SubLink:
    """The driver of one kind of link."""

    kind: LinkKind

    def check(self, spec: NetworkSpec, host: HostFacts) -> None:
        """Raise Docker's error for a mode, flag or parent that cannot be."""
        options = parse_options(spec, self.kind)
        if self.kind in host.unknown_kinds:
            raise Unsupported(f"the host's kernel knows no {self.kind} links (CONFIG_{self.kind.upper()})")
        parents.check(options, self.kind, host)
        if options.shim:
            shim.check(options, self.kind, spec)
        if spec.enable_ipv6 and not host.ipv6:
            raise InvalidArgument("IPv6 was asked for, but this host's kernel has IPv6 disabled: leave out --ipv6")

    def gatewayless(self, spec: NetworkSpec) -> frozenset[int]:  # noqa: ARG002 (the signature of every driver)
        """Both: the gateway is on the outer network, and only its administrator knows where."""
        return frozenset((4, 6))

    def bridge_name(self, network: Network) -> str:  # noqa: ARG002
        return ""

    def network_wants(self, network: Network, world: World) -> State:
        """The parent, where it is ours, and the host's own link beside it, where that was asked for."""
        return frozenset(self._network_facts(network, world))

    def _network_facts(self, network: Network, world: World) -> Iterator[Fact]:
        options = parse_options(network.spec, self.kind)
        for link in parents.wants(network):
            yield link
            if world.host.ipv6:
                # Nobody is to reach the host by a link-local address of it.
                yield Sysctl(ns=HOST, key=f"net/ipv6/conf/{link.name}/disable_ipv6", value="1")
        if options.shim:
            yield from shim.wants(network, self._link(network, options), world)

    def endpoint_wants(self, network: Network, endpoint: Endpoint, world: World) -> State:  # noqa: ARG002
        """The host's way to the container, where it has one."""
        options = parse_options(network.spec, self.kind)
        return frozenset(shim.routes(network, endpoint)) if options.shim else frozenset()

    def wants(self, network: Network, endpoints: Sequence[Endpoint], world: World) -> State:
        """The host's side of the network with these endpoints."""
        return self.network_wants(network, world).union(
            *(self.endpoint_wants(network, endpoint, world) for endpoint in endpoints)
        )

    def sandbox_wants(self, network: Network, endpoint: Endpoint, world: World) -> State:
        """The container's link, its addresses and routes."""
        return frozenset(self._sandbox_facts(network, endpoint, world))

    def _sandbox_facts(self, network: Network, endpoint: Endpoint, world: World) -> Iterator[Fact]:
        options = parse_options(network.spec, self.kind)
        yield self._link(network, options, ns=endpoint.container, name=endpoint.ifname, mac=endpoint.mac)
        yield from on_interface(network, endpoint, world)
        if options.shim:
            yield from shim.ways_to_host(network, endpoint, world)

    def _link(
        self, network: Network, options: SubLinkOptions, *, ns: str = HOST, name: str = "", mac: str = ""
    ) -> Link:
        return Link(
            ns=ns,
            name=name,
            kind=self.kind,
            mtu=options.mtu,
            mac=mac,
            parent=network.parent,
            mode=options.mode,
            flag=options.flag,
        )


def check_endpoint(spec: EndpointSpec, network: Network) -> None:
    """Raise for what a container cannot have on such a network."""
    if network.driver == LinkKind.IPVLAN and spec.mac:
        raise EngineError("ipvlan interfaces do not support custom mac address assignment")


def check_room(network: Network, taken: bool) -> None:
    """Raise where the network takes no second container."""
    if taken and is_passthru(network):
        raise Forbidden(
            f"network {network.name} is in macvlan mode passthru, which hands parent interface {network.parent} to one "
            "container, and another one has it"
        )


def is_passthru(network: Network) -> bool:
    """Whether the container's link is the parent under another name, with its MAC."""
    return network.driver == LinkKind.MACVLAN and parse_options(network.spec, LinkKind.MACVLAN).mode == PASSTHRU
