"""What network and IPAM plugins answered, as values."""

from __future__ import annotations

from dataclasses import dataclass

from fairlead.model.address import Interface, Ip, Prefix
from fairlead.model.outside import StaticRoute


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverAbilities:
    """``scope`` is "local" or "global"; ``checks_gateways``: it can be asked whether a network needs a gateway."""

    scope: str = "local"
    connectivity: str = "local"
    checks_gateways: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class IpamAbilities:
    """``needs_mac``: with every request for an address; ``needs_replay``: of all requests when the daemon starts."""

    needs_mac: bool = False
    needs_replay: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class InterfaceChoice:
    """What a network plugin chose for an endpoint; None and "" where it left that to the engine."""

    ipv4: Interface | None = None
    ipv6: Interface | None = None
    mac: str = ""

    @property
    def addresses(self) -> tuple[Interface, ...]:
        return tuple(address for address in (self.ipv4, self.ipv6) if address is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinChoice:
    """How an endpoint is joined to a sandbox.

    ``link`` is the link on the host to move in, to be called ``name``, or ``prefix`` and a number; "" where the plugin
    has none to move.
    """

    link: str = ""
    prefix: str = ""
    name: str = ""
    gateways: tuple[Ip, ...] = ()
    routes: tuple[StaticRoute, ...] = ()
    gateway_service: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolChoice:
    """A pool of addresses; ``gateway`` None where the plugin named none with it."""

    id: str
    prefix: Prefix
    gateway: Interface | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IpamData:
    """What the engine tells a network plugin of one of a network's subnets."""

    space: str
    pool: Prefix
    gateway: Interface | None
    aux: tuple[tuple[str, Interface], ...] = ()
