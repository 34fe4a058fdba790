"""What a party outside the engine is asked, and when."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from fairlead.kernel.netns import Namespace
from fairlead.model.container import Container
from fairlead.model.endpoint import Endpoint, EndpointSpec
from fairlead.model.network import Network


class Outside(Protocol):
    """What the engine asks of a party, and when; what a party does not care about it leaves as it is here.

    Every call is bounded in time and raises EngineError naming the party. The making calls (create, join, linked) come
    one after the other; whatever one of them raises, the unmaking calls of that network or endpoint follow, also those
    whose making was never reached. So these are idempotent: what is gone, or was never there, is success. They are
    called in the reverse order of the parties.

    A container's calls come with its lock held; those of a network, and of containers on it, may come side by side.
    """

    # Whether addresses are this party's choice: then the engine chooses neither subnets nor containers' addresses.
    addresses: bool = False

    # Whether it is this party that publishes the ports of the endpoints through which a container leads out.
    publishes: bool = False

    async def create_network(self, network: Network) -> Network:
        """Before the network is recorded: completed with subnets, gateways and whatever is to be found again."""
        return network

    async def remove_network(self, network: Network) -> None:
        """The network's record is gone, and what it wanted of the kernel."""
        return

    async def create_endpoint(
        self,
        network: Network,
        endpoint: Endpoint,
        spec: EndpointSpec,
        container: Container,
    ) -> Endpoint:
        """The endpoint is recorded; nothing of it is in the kernel. Completed with addresses, MAC, names of links.

        ``spec`` is how the container asked to be on the network.
        """
        return endpoint

    async def join(
        self,
        network: Network,
        endpoint: Endpoint,
        container: Container,
        namespace: Namespace,
    ) -> Endpoint:
        """The sandbox is open, its links are not there yet: a party may make them itself."""
        return endpoint

    async def linked(
        self,
        network: Network,
        endpoint: Endpoint,
        container: Container,
        namespace: Namespace,
    ) -> Endpoint:
        """The links that the engine makes are in the sandbox and up: for those who learn the rest by talking."""
        return endpoint

    async def rerouted(
        self,
        network: Network,
        endpoint: Endpoint,
        container: Container,
    ) -> Endpoint:
        """Which endpoints carry the default routes (``gateway4``, ``gateway6``) was decided, maybe again."""
        return endpoint

    async def leave(self, network: Network, endpoint: Endpoint, namespace: Namespace | None) -> None:
        """Before the engine takes its links away; ``namespace`` is None where the sandbox is gone already."""
        return

    async def remove_endpoint(self, network: Network, endpoint: Endpoint) -> None:
        """After the engine took its links away."""
        return

    async def resume(self, network: Network, endpoints: Sequence[tuple[Endpoint, Namespace]]) -> None:
        """The daemon was started again: the network is there, and these endpoints of it are in use."""
        return
