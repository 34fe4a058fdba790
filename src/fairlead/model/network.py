"""Networks: what was asked (NetworkSpec) and what was decided (Network)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from fairlead.ids import NetworkId
from fairlead.model.address import Interface, Ip, Prefix
from fairlead.model.policy import Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class IpamConfig:
    """One subnet as asked; everything may be left out. ``aux`` are names of addresses never given to containers."""

    subnet: Prefix | None = None
    ip_range: Prefix | None = None
    gateway: Ip | None = None
    aux: Mapping[str, Ip] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSpec:
    """A network as asked for. ``options`` are Docker's ``-o`` options, still text: the driver parses them.

    ``open_families`` are the IP versions about which the request said nothing: options may switch them on or off.
    """

    name: str
    driver: str = "bridge"
    scope: str = "local"
    enable_ipv4: bool = True
    enable_ipv6: bool = False
    open_families: tuple[int, ...] = ()
    ipam_driver: str = "default"
    ipam_options: Mapping[str, str] = field(default_factory=dict)
    ipam: tuple[IpamConfig, ...] = ()
    internal: bool = False
    attachable: bool = False
    ingress: bool = False
    config_only: bool = False
    config_from: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)


# Docker's names in --aux-address for another host on the network that is to be the containers' gateway.
OTHER_GATEWAY: Mapping[int, str] = {4: "DefaultGatewayIPv4", 6: "DefaultGatewayIPv6"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Subnet:
    """One subnet as decided. ``gateway`` is None where the network has none (macvlan without one, inhibited)."""

    prefix: Prefix
    gateway: Ip | None = None
    ip_range: Prefix | None = None
    aux: Mapping[str, Ip] = field(default_factory=dict)

    @property
    def way_out(self) -> Ip | None:
        """Where containers send what is for elsewhere."""
        return self.aux.get(OTHER_GATEWAY[self.prefix.version], self.gateway)


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A network as decided and recorded. ``created`` is in nanoseconds since the epoch.

    ``outside`` is what parties outside the engine want to find again, by the party's name, in its own words.
    """

    id: NetworkId
    spec: NetworkSpec
    created: int
    subnets: tuple[Subnet, ...] = ()
    parent: str = ""  # the host's link that macvlan and ipvlan links stand on; "" for drivers without one
    bridge: str = ""  # the bridge link's name on the host; "" for drivers without one
    adopted: bool = False  # the bridge or parent was there before us: never deleted
    found: tuple[Interface, ...] = ()  # addresses that an adopted bridge had before us: never taken off it
    mtu: int = 0  # decided once: the host's default route may move to another link, running containers cannot
    outside: Mapping[str, str] = field(default_factory=dict)
    policy: Policy | None = None

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def driver(self) -> str:
        return self.spec.driver

    @property
    def predefined(self) -> bool:
        """bridge, host and none exist always and cannot be removed."""
        return self.spec.name in PREDEFINED


PREDEFINED = frozenset({"bridge", "host", "none"})

# The option with a network's own DNS servers, separated by commas: asked by its containers in place of the host's.
DNS = "fairlead.dns"
