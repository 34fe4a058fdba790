"""What parties outside the engine (a plugin, a CNI chain, a DHCP server) said of an endpoint, as it is recorded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from fairlead.model.address import Ip, Prefix
from fairlead.model.port import PortBinding


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticRoute:
    """``via`` None means on-link."""

    prefix: Prefix
    via: Ip | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """An outside party's part of an endpoint; empty for endpoints that the engine decided alone.

    ``link`` is a link on the host that is to become the endpoint's interface. ``gateways`` are where default routes
    lead, at most one of each family; None leaves that to the network's subnets. ``needs_way_out`` asks for the gateway
    bridge where nothing else leads out. ``holds_ports`` and ``holds_rates``: what is published here, and limits of
    bandwidth, are the party's business, from its join to its leave. ``published`` are ports that the party publishes
    in its own way. ``nameservers`` and ``search`` are for names, where the user says nothing of them. ``shown`` and
    ``lease`` are for inspect. ``data`` is what each party wants to find again, by the party's name, in its own words.
    """

    link: str = ""
    gateways: tuple[Ip, ...] | None = None
    routes: tuple[StaticRoute, ...] = ()
    needs_way_out: bool = False
    holds_ports: bool = False
    holds_rates: bool = False
    published: tuple[PortBinding, ...] = ()
    nameservers: tuple[Ip, ...] = ()
    search: tuple[str, ...] = ()
    shown: Mapping[str, str] = field(default_factory=dict)
    lease: Mapping[str, str] = field(default_factory=dict)
    data: Mapping[str, str] = field(default_factory=dict)


ALONE = Attachment()
