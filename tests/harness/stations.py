"""A lab whose containers are stations beside their host: macvlan and ipvlan networks on the link to the second host."""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import ip_address, ip_network

from fairlead.ids import ContainerId, EndpointId, NetworkId
from fairlead.kernel import netns
from fairlead.kernel.sandbox import discard_sublinks
from fairlead.model.endpoint import Endpoint
from fairlead.model.host import HostFacts
from fairlead.model.network import IpamConfig, Network, NetworkSpec, Subnet
from fairlead.net import ipam
from fairlead.net.drivers import DRIVERS, parents, shim, sublink
from fairlead.net.gateway import choose
from fairlead.net.state import Element, Fact
from harness.lab import HOST4, SECOND4, SECOND6, Lab

UPLINK = "up0"  # what the host calls its link to the second host
LAN = "192.0.2.0/24"
LAN6 = "2001:db8:9::/64"


def subnet(prefix: str, *, gateway: str = "", ip_range: str = "") -> IpamConfig:
    return IpamConfig(
        subnet=ip_network(prefix),
        gateway=ip_address(gateway) if gateway else None,
        ip_range=ip_network(ip_range) if ip_range else None,
    )


# The part of the outer network that containers get, with the second host as their gateway.
OURS = subnet(LAN, gateway=SECOND4, ip_range="192.0.2.64/26")
OURS6 = subnet(LAN6, gateway=SECOND6, ip_range="2001:db8:9::64:0/112")


class Stations(Lab):
    """Networks are made as the engine makes them: checked against the host as it is, settled, then applied."""

    def stations(self, name: str, driver: str, *subnets: IpamConfig, internal: bool = False, **options: str) -> Network:
        """A macvlan or ipvlan network; ``parent`` is the uplink unless it is given ("" is none)."""
        labels = {word.replace("__", "."): value for word, value in ({"parent": UPLINK} | options).items() if value}
        six = any(config.subnet is not None and config.subnet.version == 6 for config in subnets)
        four = any(config.subnet is None or config.subnet.version == 4 for config in subnets) or not subnets
        spec = NetworkSpec(
            name=name,
            driver=driver,
            enable_ipv4=four,
            enable_ipv6=six,
            internal=internal,
            options=labels,
            ipam=subnets,
        )
        spec = parents.complete(spec)
        host = self.look(spec)
        self.world = replace(self.world, host=self.now())
        DRIVERS[driver].check(spec, host)
        network = Network(id=NetworkId(secrets.token_hex(32)), spec=spec, created=0, subnets=self._subnets(spec))
        others = list(self.networks.values())
        network = parents.settle(network, others, self.now().links)
        parents.check_beside(network, others)
        self.networks[name] = network
        self.settle()
        return network

    def now(self) -> HostFacts:
        """The host as it is at this moment: no watch follows it here."""
        self.kernel.surroundings.forget()
        return self.kernel.host_facts()

    def look(self, spec: NetworkSpec) -> HostFacts:
        """The host as the engine looks at it before it makes such a network."""
        found = {name: self.kernel.host_link(name) for name in parents.names(spec)}
        unknown = frozenset(kind.value for kind in parents.kinds(spec) if not self.kernel.knows(kind))
        asked = {name: link for name, link in found.items() if link is not None}
        return replace(self.now(), asked=asked, unknown_kinds=unknown)

    def _subnets(self, spec: NetworkSpec) -> Sequence[Subnet]:
        taken = [each.prefix for network in self.networks.values() for each in network.subnets]
        chosen, _ = ipam.choose_subnets(spec, taken=taken, pools=(), routes=(), ula_seed=b"lab", gatewayless=(4, 6))
        return shim.complete(spec, chosen, [address.ip for address in self.now().addresses])

    def station(self, name: str, network: str, *, mac: str = "") -> Endpoint:
        """A container on such a network; it carries the default routes that the network has."""
        home = self.networks[network]
        sublink.check_room(home, taken=any(each.network == home.id for each in self.endpoints.values()))
        ns = self._namespace(name)
        self.spaces[name] = ns
        endpoint = Endpoint(
            id=EndpointId(secrets.token_hex(32)),
            network=home.id,
            container=ContainerId(secrets.token_hex(32)),
            mac=mac or self._mac(home),
            addresses=self._addresses(home),
            names=(name,),
        )
        gateways = choose([(endpoint, home, 0)])
        endpoint = replace(endpoint, gateway4=gateways.ipv4 is not None, gateway6=gateways.ipv6 is not None)
        self.kernel.add_sandbox(endpoint.container, ns)
        self.endpoints[name] = endpoint
        self.settle()
        return endpoint

    def _addresses(self, home: Network) -> tuple[ipam.Interface, ...]:
        used = {address.ip for endpoint in self.endpoints.values() for address in endpoint.addresses}
        versions = sorted({each.prefix.version for each in home.subnets})
        return tuple(
            ipam.choose_address([each for each in home.subnets if each.prefix.version == version], used=used)
            for version in versions
        )

    def _mac(self, network: Network) -> str:
        """Random; none where the link shares its parent's."""
        if network.driver == "ipvlan":
            return ""
        if sublink.is_passthru(network):
            parent = self.kernel.host_link(network.parent)
            return parent.mac if parent is not None else ""
        return ":".join(("02", *(f"{byte:02x}" for byte in secrets.token_bytes(5))))

    def leave(self, name: str) -> None:
        """The container stops: as the engine closes a sandbox."""
        endpoint = self.endpoints.pop(name)
        self.settle()
        self.kernel.drop_sandbox(endpoint.container)
        ns = self.spaces.pop(name)
        discard_sublinks(ns)
        self._namespaces.remove(ns)
        netns.remove(ns)

    def remove(self, name: str) -> None:
        """The network, of which nobody is any more."""
        del self.networks[name]
        self.settle()

    def pings(self, who: str, address: str) -> bool:
        argv = ["ip", "netns", "exec", self.space(who).name, "ping", "-c", "1", "-W", "1", address]
        return subprocess.run(argv, capture_output=True, check=False).returncode == 0

    def shows(self, who: str, *words: str) -> str:
        """What ``ip`` says inside."""
        argv = ["ip", "-n", self.space(who).name, *words]
        return subprocess.run(argv, check=True, capture_output=True, text=True).stdout

    def observed(self, container: ContainerId) -> frozenset[Fact]:
        """What the host and that sandbox hold of ours, the firewall aside."""
        there = self.inside(lambda: self.kernel.observe_host() | self.kernel.observe_sandbox(container))
        return frozenset(fact for fact in there if not isinstance(fact, Element))

    def links(self) -> set[str]:
        """The names of the host's links."""
        return set(self.now().links)


@contextmanager
def opened() -> Iterator[Stations]:
    lab = Stations()
    try:
        yield lab
    finally:
        lab.close()


__all__ = ["HOST4", "LAN", "LAN6", "OURS", "OURS6", "SECOND4", "SECOND6", "UPLINK", "Stations", "opened", "subnet"]
