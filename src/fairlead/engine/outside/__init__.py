"""Parties outside the engine that decide, or do, part of a network's job: plugins, CNI chains, DHCP servers.

The engine asks, writes the answer into the record, and computes from the record what the kernel should hold: drivers
stay pure. Who is asked follows from the network's driver and from its IPAM driver; about an ordinary network nobody is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from fairlead.engine.outside.cni import Cni
from fairlead.engine.outside.party import Outside
from fairlead.model.network import NetworkSpec
from fairlead.net.drivers import cni

if TYPE_CHECKING:
    from fairlead.engine.core import Engine

__all__ = ["Outside", "Parties"]


class Parties:
    """Who is asked about which network."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.cni = Cni(engine)
        self._drivers: Mapping[str, Outside] = {cni.NAME: self.cni}
        self._ipam: Mapping[str, Outside] = {}

    def of(self, spec: NetworkSpec) -> tuple[Outside, ...]:
        """In the order in which they are asked: who knows of addresses, then who makes the network."""
        if spec.config_only:
            return ()
        asked = (self._ipam.get(spec.ipam_driver), self._drivers.get(spec.driver))
        return tuple(party for party in asked if party is not None)

    def choose_addresses(self, spec: NetworkSpec) -> bool:
        return any(party.addresses for party in self.of(spec))
