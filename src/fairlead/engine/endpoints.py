"""Deciding endpoints: addresses, MAC, interface name, names in DNS, and which one carries the default route."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from fairlead import ids
from fairlead.errors import EngineError
from fairlead.ids import EndpointId
from fairlead.model.address import Interface, Ip
from fairlead.model.container import Container
from fairlead.model.endpoint import Endpoint, EndpointSpec
from fairlead.model.network import Network
from fairlead.model.port import PortBinding
from fairlead.net import gateway, ipam, shaping, validate
from fairlead.net.drivers import sublink

if TYPE_CHECKING:
    from fairlead.engine.core import Engine


def random_mac() -> str:
    """Locally administered, unicast, random: never derived from the address, which is reused sooner than a FDB ages."""
    octets = bytearray(secrets.token_bytes(6))
    octets[0] = (octets[0] & 0xFC) | 0x02
    return octets.hex(":")


class Decider:
    """Turns what a container asked for into endpoints. Synchronous: nobody else chooses between choice and record."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def endpoints(self, container: Container) -> tuple[Endpoint, ...]:
        """All of a container that starts, in the order asked: the first is eth0."""
        decided: tuple[Endpoint, ...] = ()
        for name, spec in container.spec.networks.items():
            network = self._engine.networks.find(name)
            if network.driver in ("null", "host"):
                continue
            decided = (*decided, self.endpoint(container, network, spec, decided))
        return self.with_gateways(decided, container)

    def endpoint(
        self, container: Container, network: Network, spec: EndpointSpec, others: Sequence[Endpoint]
    ) -> Endpoint:
        """One more; published ports and the default route are decided over all of them later."""
        shaping.check_endpoint(spec.options, network.spec.options)
        if network.spec.config_only:
            validate.check_endpoint(spec, network)
        sublink.check_room(network, taken=bool(set(self._engine.index.endpoints(network.id)) - {container.id}))
        endpoint = Endpoint(
            id=EndpointId(ids.new_id()),
            network=network.id,
            container=container.id,
            mac=self._mac(network, spec),
            addresses=self._addresses(network, spec),
            link_local=tuple(ipam.link_local(address) for address in spec.link_local),
            ifname=gateway.interface_name(network, spec, [other.ifname for other in others]),
            host_ifname="" if network.parent else f"veth{secrets.token_hex(4)[:7]}",
            sysctls=gateway.endpoint_sysctls(spec),
            options=spec.options,
        )
        return replace(endpoint, names=self._names(container, network, spec))

    def _mac(self, network: Network, spec: EndpointSpec) -> str:
        """As asked, or random; that of the parent where the link shares it."""
        if network.driver == "ipvlan":
            return ""
        if sublink.is_passthru(network) and not spec.mac:
            parent = self._engine.kernel.host_link(network.parent)
            return parent.mac if parent is not None else ""
        return spec.mac or random_mac()

    def _addresses(self, network: Network, spec: EndpointSpec) -> tuple[Interface, ...]:
        """One of each family that the network has; none where somebody else is asked for them."""
        if self._engine.outside.choose_addresses(network.spec):
            return ()
        versions = {subnet.prefix.version for subnet in network.subnets}
        return tuple(self._address(network, version, spec) for version in sorted(versions))

    def _address(self, network: Network, version: int, spec: EndpointSpec) -> Interface:
        wanted: Ip | None = spec.ipv4 if version == 4 else spec.ipv6
        subnets = [subnet for subnet in network.subnets if subnet.prefix.version == version]
        index = self._engine.index
        return ipam.choose_address(
            subnets,
            used=index.used(network.id),
            resting=index.resting(network.id),
            wanted=wanted,
            network=f"{network.name} ({network.id})",
        )

    def names(self, container: Container, endpoint: Endpoint) -> tuple[str, ...]:
        """What DNS answers for, the PTR name first. None on the default bridge, as in Docker."""
        network = self._network(endpoint)
        return self._names(container, network, container.spec.networks.get(network.name) or EndpointSpec())

    @staticmethod
    def _names(container: Container, network: Network, spec: EndpointSpec) -> tuple[str, ...]:
        if network.name == "bridge":
            return ()
        host = container.config.hostname
        names = (container.name, *spec.aliases, ids.short(container.id), *((host,) if host else ()))
        return tuple(dict.fromkeys(name for name in names if name))

    def with_gateways(
        self, endpoints: Sequence[Endpoint], container: Container, bindings: Sequence[PortBinding] = ()
    ) -> tuple[Endpoint, ...]:
        """Who carries the default routes, and with them the ports that are published already."""
        networks = {endpoint.id: self._network(endpoint) for endpoint in endpoints}
        specs = {
            endpoint.id: container.spec.networks.get(networks[endpoint.id].name) or EndpointSpec()
            for endpoint in endpoints
        }
        chosen = gateway.choose(
            [(endpoint, networks[endpoint.id], specs[endpoint.id].gw_priority) for endpoint in endpoints]
        )
        marked = [
            replace(endpoint, gateway4=endpoint.id == chosen.ipv4, gateway6=endpoint.id == chosen.ipv6)
            for endpoint in endpoints
        ]
        return _with_published([(endpoint, networks[endpoint.id]) for endpoint in marked], bindings)

    def leads_out(self, endpoints: Sequence[Endpoint], container: Container) -> bool:
        """Whether one of these endpoints can carry a default route."""
        return any(endpoint.gateway4 or endpoint.gateway6 for endpoint in self.with_gateways(endpoints, container))

    def _network(self, endpoint: Endpoint) -> Network:
        network = self._engine.networks.get(endpoint.network)
        if network is None:
            raise EngineError(f"network {endpoint.network} is gone")
        return network


def _with_published(
    candidates: Sequence[tuple[Endpoint, Network]], bindings: Sequence[PortBinding]
) -> tuple[Endpoint, ...]:
    """Bindings follow the gateways: IPv6 ones to that of IPv6, IPv4 ones to that of IPv4; without any, they end.

    Those that are an endpoint's plugins' stay with it.
    """
    endpoints = [endpoint for endpoint, _ in candidates]
    held = {binding for endpoint in endpoints if endpoint.outside.holds_ports for binding in endpoint.published}
    moving = [binding for binding in bindings if binding not in held]
    if not moving:
        return tuple(endpoints)
    four, six = gateway.publisher(candidates, 4), gateway.publisher(candidates, 6)
    homes = {4: four or six, 6: six or four}
    return tuple(
        endpoint
        if endpoint.outside.holds_ports
        else replace(endpoint, published=tuple(b for b in moving if homes[b.host_ip.version] == endpoint))
        for endpoint in endpoints
    )
