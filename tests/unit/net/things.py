"""Values for the tests of ``net``: a network, an endpoint, bindings, each with only what matters spelled out."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_interface, ip_network
from typing import Any

from fairlead.ids import ContainerId, EndpointId, NetworkId
from fairlead.model.endpoint import Endpoint
from fairlead.model.host import HostFacts
from fairlead.model.network import Network, NetworkSpec, Subnet
from fairlead.model.port import ContainerPort, PortBinding, Protocol
from fairlead.net.world import World
from fairlead.settings import Settings

ID = "0123456789ab" + "f" * 52
CONTAINER = ContainerId("c" * 64)
WORLD = World(settings=Settings(), host=HostFacts())


def network(*subnets: str, name: str = "shop", **fields: Any) -> Network:
    """``10.0.0.0/24`` each, with the first address as gateway; keyword arguments are those of NetworkSpec."""
    decided = tuple(
        Subnet(prefix=ip_network(text), gateway=ip_network(text)[1]) for text in subnets or ("10.1.0.0/24",)
    )
    fields.setdefault("enable_ipv6", any(subnet.prefix.version == 6 for subnet in decided))
    return Network(id=NetworkId(ID), spec=NetworkSpec(name=name, **fields), created=0, subnets=decided)


def endpoint(*addresses: str, **fields: Any) -> Endpoint:
    values: dict[str, Any] = {
        "id": EndpointId("e" * 64),
        "network": NetworkId(ID),
        "container": CONTAINER,
        "mac": "02:00:00:00:00:05",
        "names": ("web",),
        "host_ifname": "veth0000001",
        "gateway4": True,
        "gateway6": True,
    }
    interfaces = tuple(ip_interface(text) for text in addresses or ("10.1.0.5/24",))
    return Endpoint(**(values | {"addresses": interfaces} | fields))


def binding(address: str, host: int, container: int, protocol: Protocol = Protocol.TCP) -> PortBinding:
    return PortBinding(
        container=ContainerPort(port=container, protocol=protocol), host_ip=ip_address(address), host_port=host
    )


def ip(text: str) -> IPv4Address | IPv6Address:
    return ip_address(text)
