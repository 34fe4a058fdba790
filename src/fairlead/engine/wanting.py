"""What drivers want for endpoints, remembered: a look at everything asks for all of it, and little of it changes."""

from __future__ import annotations

from typing import NamedTuple

from fairlead.ids import EndpointId
from fairlead.model.endpoint import Endpoint
from fairlead.model.network import Network
from fairlead.net import shaping
from fairlead.net.drivers import driver_named
from fairlead.net.state import State
from fairlead.net.world import World

# More endpoints than one host has; beyond it what is remembered is of those that are gone.
_MOST = 4096


class Wanted(NamedTuple):
    """The links with what is on them, and what holds their traffic to its shape."""

    links: State
    shape: State


class _Known(NamedTuple):
    endpoint: Endpoint
    network: Network
    seen: tuple[bool, int]
    wanted: Wanted


class Wants:
    """Computed anew when the endpoint's record, its network's record or what the driver sees of the host is another."""

    def __init__(self) -> None:
        self._known: dict[EndpointId, _Known] = {}

    def of(self, network: Network, endpoint: Endpoint, world: World) -> Wanted:
        # Records are never changed, only replaced: the same object says the same. Of the host a bridge sees no more
        # than this; other drivers look at its addresses too, and are asked each time.
        seen = (world.host.ipv6, world.host.default_mtu)
        known = self._known.get(endpoint.id)
        if known is not None and known.endpoint is endpoint and known.network is network and known.seen == seen:
            return known.wanted
        wanted = _compute(network, endpoint, world)
        if network.driver == "bridge":
            if len(self._known) >= _MOST:
                self._known.clear()
            self._known[endpoint.id] = _Known(endpoint, network, seen, wanted)
        return wanted


def _compute(network: Network, endpoint: Endpoint, world: World) -> Wanted:
    driver = driver_named(network.driver)
    links = driver.endpoint_wants(network, endpoint, world) | driver.sandbox_wants(network, endpoint, world)
    return Wanted(links, shaping.wants(network, endpoint, links))
