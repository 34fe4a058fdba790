"""Networks that a plugin makes: the engine brings the link it made into the sandbox, and routes as it said."""

from __future__ import annotations

from collections.abc import Sequence

from fairlead.model.endpoint import Endpoint
from fairlead.model.host import HostFacts
from fairlead.model.network import Network, NetworkSpec
from fairlead.net.drivers.inside import on_interface
from fairlead.net.state import HOST, Link, LinkKind, State
from fairlead.net.world import World


def check(spec: NetworkSpec, host: HostFacts) -> None:
    """Whatever the plugin takes."""


def gatewayless(spec: NetworkSpec) -> frozenset[int]:  # noqa: ARG001 (the plugin knows, and is asked)
    """None: by default a gateway's address is set apart."""
    return frozenset()


def bridge_name(network: Network) -> str:  # noqa: ARG001
    """The plugin's link on the host, if it has one, is not ours to know."""
    return ""


def network_wants(network: Network, world: World) -> State:  # noqa: ARG001
    """Nothing: the plugin makes it."""
    return frozenset()


def endpoint_wants(network: Network, endpoint: Endpoint, world: World) -> State:  # noqa: ARG001
    """Nothing: the plugin makes it."""
    return frozenset()


def wants(network: Network, endpoints: Sequence[Endpoint], world: World) -> State:  # noqa: ARG001
    """Nothing: the plugin makes it."""
    return frozenset()


def sandbox_wants(network: Network, endpoint: Endpoint, world: World) -> State:
    """The link the plugin named, and what it and the engine decided for it; nothing where it named none."""
    if not endpoint.outside.link:
        return frozenset()
    link = Link(
        ns=endpoint.container,
        name=endpoint.ifname,
        kind=LinkKind.GUEST,
        mac=endpoint.mac,
        peer_ns=HOST,
        peer=endpoint.outside.link,
    )
    return frozenset({link, *on_interface(network, endpoint, world)})
