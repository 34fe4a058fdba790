"""The host driver: the container uses the host's own network stack, so there is nothing to hold."""

from __future__ import annotations

from collections.abc import Sequence

from fairlead.errors import Forbidden
from fairlead.model.endpoint import Endpoint
from fairlead.model.host import HostFacts
from fairlead.model.network import Network, NetworkSpec
from fairlead.net.state import State
from fairlead.net.world import World


def check(spec: NetworkSpec, host: HostFacts) -> None:  # noqa: ARG001 (the signature of every driver)
    """Only the predefined network may have this driver."""
    if spec.name != "host":
        raise Forbidden('only one instance of "host" network is allowed')


def bridge_name(network: Network) -> str:  # noqa: ARG001
    return ""


def network_wants(network: Network, world: World) -> State:  # noqa: ARG001
    return frozenset()


def endpoint_wants(network: Network, endpoint: Endpoint, world: World) -> State:  # noqa: ARG001
    return frozenset()


def wants(network: Network, endpoints: Sequence[Endpoint], world: World) -> State:  # noqa: ARG001
    return frozenset()


def sandbox_wants(network: Network, endpoint: Endpoint, world: World) -> State:  # noqa: ARG001
    return frozenset()
