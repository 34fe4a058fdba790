"""Endpoints: one container on one network, as asked (EndpointSpec) and as decided (Endpoint)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from fairlead.ids import ContainerId, EndpointId, NetworkId
from fairlead.model.address import Interface, Ip
from fairlead.model.outside import ALONE, Attachment
from fairlead.model.port import PortBinding


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointSpec:
    """How a container asked to be on a network; kept over stops and starts.

    ``links`` are ``container:alias`` pairs; ``mac`` is lower-case with colons or "".
    """

    ipv4: Ip | None = None
    ipv6: Ip | None = None
    link_local: tuple[Ip, ...] = ()
    aliases: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    mac: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    gw_priority: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One container on one network, decided: exists as a record while the container runs.

    ``ifname`` is the interface's name inside the sandbox, ``host_ifname`` that of the veth end on the host.
    ``names`` are what the embedded DNS answers for, the PTR name first. ``gateway4``/``gateway6`` say whether this
    endpoint carries the sandbox's default route of that family. ``options`` are its own, of those that a network's
    options stand in for. ``outside`` is what others than the engine decided.
    """

    id: EndpointId
    network: NetworkId
    container: ContainerId
    mac: str
    addresses: tuple[Interface, ...]
    link_local: tuple[Interface, ...] = ()
    names: tuple[str, ...] = ()
    published: tuple[PortBinding, ...] = ()
    ifname: str = "eth0"
    host_ifname: str = ""
    gateway4: bool = False
    gateway6: bool = False
    sysctls: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)
    outside: Attachment = ALONE
