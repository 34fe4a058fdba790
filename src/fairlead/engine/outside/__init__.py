"""Parties outside the engine that decide, or do, part of a network's job: plugins, CNI chains, DHCP servers.

The engine asks, writes the answer into the record, and computes from the record what the kernel should hold: drivers
stay pure. Who is asked follows from the network's driver and from its IPAM driver; about an ordinary network nobody is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fairlead.engine.outside.cni import Cni
from fairlead.engine.outside.dhcp import Dhcp
from fairlead.engine.outside.ipam import IpamPlugin, NoAddresses
from fairlead.engine.outside.party import Outside
from fairlead.engine.outside.remote import NetworkPlugin
from fairlead.errors import InvalidArgument, NotFound
from fairlead.model.network import Network, NetworkSpec
from fairlead.net import dhcp_options
from fairlead.net.drivers import DRIVERS, cni, driver_named

if TYPE_CHECKING:
    from fairlead.engine.core import Engine

__all__ = ["Outside", "Parties"]

# Docker's word for the engine's own choice of addresses.
_OWN_IPAM = "default"


class Parties:
    """Who is asked about which network."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.cni = Cni(engine)
        # What is part of this program; every other name is a plugin's.
        self._drivers: dict[str, Outside] = {cni.NAME: self.cni}
        self._ipam: dict[str, Outside] = {"null": NoAddresses(), dhcp_options.NAME: Dhcp(engine)}

    def of(self, spec: NetworkSpec) -> tuple[Outside, ...]:
        """In the order in which they are asked: who knows of addresses, then who makes the network."""
        if spec.config_only:
            return ()
        asked = (self._for_addresses(spec.ipam_driver), self._for_network(spec.driver))
        return tuple(party for party in asked if party is not None)

    def _for_network(self, driver: str) -> Outside | None:
        if driver in DRIVERS or driver in self._drivers:
            return self._drivers.get(driver)
        return self._drivers.setdefault(driver, NetworkPlugin(self._engine, driver))

    def _for_addresses(self, driver: str) -> Outside | None:
        if driver == _OWN_IPAM or driver in self._ipam:
            return self._ipam.get(driver)
        return self._ipam.setdefault(driver, IpamPlugin(self._engine, driver))

    def own_ipam(self) -> tuple[str, ...]:
        """The names for ``--ipam-driver`` that need no plugin."""
        own = (name for name, party in self._ipam.items() if not isinstance(party, IpamPlugin))
        return tuple(sorted((_OWN_IPAM, *own)))

    def check(self, spec: NetworkSpec) -> None:
        """Raises for drivers that are neither part of this program nor found as plugins."""
        if spec.driver not in DRIVERS and spec.driver not in self._drivers:
            self._engine.plugins.check_exists(spec.driver)
        if spec.ipam_driver != _OWN_IPAM and spec.ipam_driver not in self._ipam:
            try:
                self._engine.plugins.check_exists(spec.ipam_driver)
            except NotFound as error:
                raise InvalidArgument(f'invalid ipam driver: "{spec.ipam_driver}": {error}') from error

    def choose_addresses(self, spec: NetworkSpec) -> bool:
        """Whether somebody else than the engine does."""
        return any(party.addresses for party in self.of(spec))

    def publish(self, spec: NetworkSpec) -> bool:
        """Whether somebody else than the engine publishes ports of containers on such a network."""
        return any(party.publishes for party in self.of(spec))

    async def skipped_gateways(self, network: Network) -> frozenset[int]:
        """The IP versions in which whoever makes the network wants no gateway address allocated."""
        party = self._for_network(network.driver)
        if isinstance(party, NetworkPlugin):
            return await party.skipped_gateways(network)
        return driver_named(network.driver).gatewayless(network.spec)

    async def need_mac(self, spec: NetworkSpec) -> bool:
        """Whether addresses were chosen for the MAC that the engine gave the endpoint, which must stay then."""
        party = self._for_addresses(spec.ipam_driver)
        return isinstance(party, IpamPlugin) and (await party.abilities()).needs_mac
