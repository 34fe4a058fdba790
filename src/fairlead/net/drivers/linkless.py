"""Drivers without links of their own: ``host`` shares the host's network stack, ``null`` leaves a bare loopback."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fairlead.errors import Forbidden
from fairlead.model.endpoint import Endpoint
from fairlead.model.host import HostFacts
from fairlead.model.network import Network, NetworkSpec
from fairlead.net.state import State
from fairlead.net.world import World


@dataclass(frozen=True, slots=True, kw_only=True)
class Linkless:
    """A driver whose networks want nothing of the kernel, and of which there is one network, ``only``."""

    driver: str
    only: str

    def check(self, spec: NetworkSpec, host: HostFacts) -> None:  # noqa: ARG002 (the signature of every driver)
        """Only the predefined network may have this driver."""
        if spec.name != self.only:
            raise Forbidden(f'only one instance of "{self.driver}" network is allowed')

    def gatewayless(self, spec: NetworkSpec) -> frozenset[int]:  # noqa: ARG002
        return frozenset()

    def bridge_name(self, network: Network) -> str:  # noqa: ARG002
        return ""

    def network_wants(self, network: Network, world: World) -> State:  # noqa: ARG002
        return frozenset()

    def endpoint_wants(self, network: Network, endpoint: Endpoint, world: World) -> State:  # noqa: ARG002
        return frozenset()

    def wants(self, network: Network, endpoints: Sequence[Endpoint], world: World) -> State:  # noqa: ARG002
        return frozenset()

    def sandbox_wants(self, network: Network, endpoint: Endpoint, world: World) -> State:  # noqa: ARG002
        return frozenset()
