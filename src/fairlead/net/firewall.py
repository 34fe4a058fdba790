"""What the firewall should hold for a network and for an endpoint, as elements of our table's sets and maps.

The rules themselves are in ``ruleset`` and never change. Publishing is done by address translation in both families;
what it cannot do (``[::1]``, IPv6 on the host to a container without) is named by ``relays``, for a listener.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv6Address
from itertools import groupby
from typing import NamedTuple

from fairlead.model.address import Interface, Ip, Prefix
from fairlead.model.endpoint import Endpoint
from fairlead.model.port import ContainerPort, PortBinding, Protocol
from fairlead.net.state import Element

_LOOPBACK6 = IPv6Address("::1")


class GatewayMode(StrEnum):
    """How a network's addresses are reached from elsewhere, in one family."""

    NAT = "nat"
    UNPROTECTED = "nat-unprotected"
    ROUTED = "routed"
    ISOLATED = "isolated"


@dataclass(frozen=True, slots=True, kw_only=True)
class Perimeter:
    """One bridge network as the firewall sees it. ``snat`` are source addresses to use instead of the host's own."""

    bridge: str
    prefixes: tuple[Prefix, ...]
    modes: tuple[GatewayMode, GatewayMode] = (GatewayMode.NAT, GatewayMode.NAT)  # IPv4, IPv6
    internal: bool = False
    icc: bool = True
    masquerade: bool = True
    snat: tuple[Ip, ...] = ()
    trusted: tuple[str, ...] = ()
    judged: bool = False  # the host's own input rules decide about published ports
    direct: bool = False  # published ports may be reached at the container's own address, from anywhere

    def mode(self, version: int) -> GatewayMode:
        return self.modes[0] if version == 4 else self.modes[1]

    @property
    def port_filtered(self) -> bool:
        """Whether some ports are let in at the container's own address: those need elements of their own."""
        return self.direct or bool(self.trusted) or GatewayMode.ROUTED in self.modes


def network_elements(perimeter: Perimeter) -> Iterator[Element]:
    """What holds for the network, with or without containers on it."""
    bridge = _quoted(perimeter.bridge)
    yield Element(container="bridges", key=bridge)
    yield Element(container="same_bridge", key=f"{bridge} . {bridge}")
    if not perimeter.icc:
        yield Element(container="no_icc", key=bridge)
    if perimeter.internal:
        yield Element(container="internal", key=bridge)
        return
    if perimeter.direct:
        yield Element(container="direct", key=bridge)
    for interface in perimeter.trusted:
        yield Element(container="trusted", key=f"{_quoted(interface)} . {bridge}")
    for prefix in perimeter.prefixes:
        yield from _outwards(perimeter, prefix)
    for version in sorted({prefix.version for prefix in perimeter.prefixes}):
        if (container := _OPEN_SETS.get(perimeter.mode(version))) is not None:
            yield Element(container=container, key=f"ipv{version} . {bridge}")


_OPEN_SETS = {GatewayMode.UNPROTECTED: "open", GatewayMode.ROUTED: "routed"}


def _outwards(perimeter: Perimeter, prefix: Prefix) -> Iterator[Element]:
    """Under which address the network's packets leave the host."""
    if not perimeter.masquerade or perimeter.mode(prefix.version) is GatewayMode.ROUTED:
        return
    source = next((address for address in perimeter.snat if address.version == prefix.version), None)
    if source is None:
        yield Element(container=f"masquerade{prefix.version}", key=str(prefix))
    else:
        yield Element(container=f"snat{prefix.version}", key=str(prefix), value=str(source))


def endpoint_elements(perimeter: Perimeter, endpoint: Endpoint) -> Iterator[Element]:
    """What holds for one container on the network: its published ports."""
    if perimeter.internal or not endpoint.published:
        return
    yield from published(perimeter, endpoint)
    for interface in endpoint.addresses:
        yield Element(container=f"hairpin{interface.version}", key=f"{interface.ip} . {interface.ip}")
    if perimeter.port_filtered:
        yield from _reachable(endpoint.addresses, (binding.container for binding in endpoint.published))


def opened_elements(perimeter: Perimeter, endpoint: Endpoint, ports: Iterable[ContainerPort]) -> Iterator[Element]:
    """Where the network is routed: these ports, which the container publishes by whichever network, are let in."""
    routed = [address for address in endpoint.addresses if perimeter.mode(address.version) is GatewayMode.ROUTED]
    if not perimeter.internal:
        yield from _reachable(routed, ports)


class _Run(NamedTuple):
    """Published ports that go to the same place: consecutive host ports with the same container ports, or one port."""

    host_ip: Ip
    protocol: Protocol
    low: int
    high: int
    target: int


def published(perimeter: Perimeter, endpoint: Endpoint) -> Iterator[Element]:
    """Translation from host ports to the endpoint: one element for a port, or for a range that keeps its numbers."""
    for run in _runs(endpoint.published):
        target = address_of(endpoint, run.host_ip.version)
        if target is None or run.host_ip == _LOOPBACK6 or perimeter.mode(run.host_ip.version) is GatewayMode.ROUTED:
            continue
        yield _translation(run, target.ip)
        if perimeter.judged and not run.host_ip.is_loopback:
            yield _judgement(run)


def _translation(run: _Run, target: Ip) -> Element:
    at, where = ("", "") if run.host_ip.is_unspecified else ("_at", f"{run.host_ip} . ")
    version = run.host_ip.version
    if run.low != run.high:
        key = f"{where}{run.protocol} . {run.low}-{run.high}"
        return Element(container=f"ranges{version}{at}", key=key, value=str(target))
    key = f"{where}{run.protocol} . {run.low}"
    return Element(container=f"published{version}{at}", key=key, value=f"{target} . {run.target}")


def _judgement(run: _Run) -> Element:
    at, where = ("", "") if run.host_ip.is_unspecified else ("_at", f"{run.host_ip} . ")
    span = str(run.low) if run.low == run.high else f"{run.low}-{run.high}"
    return Element(container=f"judged{run.host_ip.version}{at}", key=f"{where}{run.protocol} . {span}")


def _runs(bindings: Sequence[PortBinding]) -> Iterator[_Run]:
    for (host_ip, protocol), group in groupby(sorted(bindings, key=_binding_order), key=_place):
        pairs = [(binding.host_port, binding.container.port) for binding in group]
        for low, high, target in _joined(pairs):
            yield _Run(host_ip, protocol, low, high, target)


def _place(binding: PortBinding) -> tuple[Ip, Protocol]:
    return binding.host_ip, binding.container.protocol


def _binding_order(binding: PortBinding) -> tuple[int, int, Protocol, int]:
    return binding.host_ip.version, int(binding.host_ip), binding.container.protocol, binding.host_port


def _joined(pairs: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int, int]]:
    """(low, high, container port) of ascending (host port, container port); only equal numbers are joined.

    A map from a range to one address keeps the packet's port; nft has no "same offset in another range".
    """
    low = high = target = 0
    for host, container in pairs:
        if low and host == high + 1 and host == container and low == target:
            high = host
            continue
        if low:
            yield low, high, target
        low, high, target = host, host, container
    if low:
        yield low, high, target


def _reachable(addresses: Sequence[Interface], ports: Iterable[ContainerPort]) -> Iterator[Element]:
    """The container's side of its published ports, for those who may come to its own address."""
    listed = sorted({(port.protocol, port.port) for port in ports})
    for protocol, group in groupby(listed, key=_first):
        for low, high, _ in _joined((port, port) for _, port in group):
            span = str(low) if low == high else f"{low}-{high}"
            for interface in addresses:
                yield Element(container=f"ports{interface.version}", key=f"{interface.ip} . {protocol} . {span}")


def link_elements(parent: Endpoint, child: Endpoint, ports: Iterable[ContainerPort]) -> Iterator[Element]:
    """What lets ``parent`` connect to these ports of ``child`` on a network without ICC; IPv4 only, as in Docker."""
    one, other = address_of(parent, 4), address_of(child, 4)
    if one is None or other is None:
        return
    for port in ports:
        yield Element(container="links4", key=f"{one.ip} . {other.ip} . {port.protocol} . {port.port}")


def _first(pair: tuple[Protocol, int]) -> Protocol:
    return pair[0]


class Relay(NamedTuple):
    """A binding that a listener must serve, and the container's address it goes to."""

    binding: PortBinding
    target: Ip


def relays(endpoint: Endpoint) -> Iterator[Relay]:
    """The bindings that translation serves not at all, or not wholly.

    ``[::]`` and ``[::1]``: the kernel cannot translate ``::1``. And a host address of a family the container lacks.
    What translation does serve never arrives at the listener.
    """
    for binding in endpoint.published:
        version = binding.host_ip.version
        own = address_of(endpoint, version)
        loopback6 = version == 6 and (binding.host_ip.is_unspecified or binding.host_ip.is_loopback)
        target = own or address_of(endpoint, 10 - version)
        if target is not None and (own is None or loopback6):
            yield Relay(binding, target.ip)


def address_of(endpoint: Endpoint, version: int) -> Interface | None:
    """The endpoint's own address of that family."""
    return next((address for address in endpoint.addresses if address.version == version), None)


def _quoted(interface: str) -> str:
    return f'"{interface}"'
