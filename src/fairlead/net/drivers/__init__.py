"""Network drivers: each with a check and what the kernel should hold for its networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from fairlead.model.endpoint import Endpoint
from fairlead.model.host import HostFacts
from fairlead.model.network import Network, NetworkSpec
from fairlead.net.drivers import bridge, cni, remote
from fairlead.net.drivers.linkless import Linkless
from fairlead.net.drivers.sublink import SubLink
from fairlead.net.state import LinkKind, State
from fairlead.net.world import World


class Driver(Protocol):
    """What a driver offers, all of it pure."""

    def check(self, spec: NetworkSpec, host: HostFacts) -> None:
        """Raise InvalidArgument (or Docker's class for the case) for what this driver cannot do."""

    def gatewayless(self, spec: NetworkSpec) -> frozenset[int]:
        """The families in which nobody on such a network is the gateway, unless one is asked for by its address."""

    def bridge_name(self, network: Network) -> str:
        """The link on the host that stands for the network; "" where there is none."""

    def network_wants(self, network: Network, world: World) -> State:
        """The host's side without any endpoint."""

    def endpoint_wants(self, network: Network, endpoint: Endpoint, world: World) -> State:
        """What one endpoint adds to the host's side."""

    def wants(self, network: Network, endpoints: Sequence[Endpoint], world: World) -> State:
        """The host's side of the network with these endpoints: the union of the two above."""

    def sandbox_wants(self, network: Network, endpoint: Endpoint, world: World) -> State:
        """The container's side of one endpoint."""


# Keyed by the driver's name in the API: Docker's "none" network has the driver "null".
DRIVERS: Mapping[str, Driver] = {
    "bridge": bridge,
    "macvlan": SubLink(LinkKind.MACVLAN),
    "ipvlan": SubLink(LinkKind.IPVLAN),
    cni.NAME: cni,
    "host": Linkless(driver="host", only="host"),
    "null": Linkless(driver="null", only="none"),
}


def driver_named(name: str) -> Driver:
    """What is not built in is made by a plugin on the host; the engine only brings it into sandboxes."""
    return DRIVERS.get(name, remote)


__all__ = ["DRIVERS", "Driver", "driver_named"]
