"""docker_gwbridge: the bridge that leads containers out whose networks, made by others, do not."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

from fairlead.errors import Conflict, NotFound
from fairlead.ids import short
from fairlead.model.container import Container
from fairlead.model.endpoint import Endpoint, EndpointSpec
from fairlead.model.network import Network, NetworkSpec

if TYPE_CHECKING:
    from fairlead.engine.core import Engine
    from fairlead.engine.endpoints import Decider

GATEWAY_BRIDGE = "docker_gwbridge"

# As dockerd makes it: containers on it reach the world, not each other.
_SPEC = NetworkSpec(
    name=GATEWAY_BRIDGE,
    options={
        "com.docker.network.bridge.name": GATEWAY_BRIDGE,
        "com.docker.network.bridge.enable_icc": "false",
        "com.docker.network.bridge.enable_ip_masquerade": "true",
    },
)


def attached_name(network: Network, container: Container) -> str:
    """What a network's inspection calls the container: an endpoint that nobody asked for has Docker's name for it."""
    added = network.name == GATEWAY_BRIDGE and GATEWAY_BRIDGE not in container.spec.networks
    return f"gateway_{short(container.id)}" if added else container.name


class WayOut:
    """Adds and takes away the endpoint that leads a container out."""

    def __init__(self, engine: Engine, decider: Decider) -> None:
        self._engine, self._decider = engine, decider

    async def arranged(self, container: Container) -> Container:
        """With such an endpoint exactly while one is asked for and no other leads out. Not saved."""
        own = tuple(endpoint for endpoint in container.endpoints if not self._is_added(container, endpoint))
        asked = any(endpoint.outside.needs_way_out for endpoint in own)
        if not asked or self._decider.leads_out(own, container):
            return container if len(own) == len(container.endpoints) else replace(container, endpoints=own)
        if len(own) != len(container.endpoints):
            return container
        endpoint = self._decider.endpoint(container, await self._network(), EndpointSpec(), own)
        return replace(container, endpoints=(*own, replace(endpoint, names=())))

    def _is_added(self, container: Container, endpoint: Endpoint) -> bool:
        """Whether the container did not ask for it itself."""
        network = self._engine.networks.get(endpoint.network)
        return network is not None and network.name == GATEWAY_BRIDGE and GATEWAY_BRIDGE not in container.spec.networks

    async def _network(self) -> Network:
        """Made at first use; it stays, as in Docker."""
        with contextlib.suppress(NotFound):
            return self._engine.networks.find(GATEWAY_BRIDGE)
        with contextlib.suppress(Conflict):  # somebody else needed it, too
            network, _ = await self._engine.networks.create(_SPEC)
            return network
        return self._engine.networks.find(GATEWAY_BRIDGE)
