"""The links of the host that macvlan and ipvlan networks stand on: found, made for them, or shared with others."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

from fairlead import ids
from fairlead.errors import EngineError, Forbidden, InvalidArgument
from fairlead.model.host import HostFacts, HostLink
from fairlead.model.network import Network, NetworkSpec
from fairlead.net.drivers.options import is_ifname
from fairlead.net.drivers.sublink_options import PARENT, PASSTHRU, SubLinkOptions, parse_options
from fairlead.net.state import HOST, Link, LinkKind

# The drivers whose networks have a parent, and how the parent of a network that names none begins (Docker's names).
STAND_INS: Mapping[str, str] = {LinkKind.MACVLAN.value: "dm-", LinkKind.IPVLAN.value: "di-"}

_VLANS = range(1, 4095)  # IEEE 802.1Q keeps 0 and 4095 for itself

# A link with such a master has given its frames to it, and can give them to nobody else.
_TAKERS = frozenset({"bridge", "bond", "team", "openvswitch"})

_VLAN_ALIAS = "made for networks with this parent"


class Vlan(NamedTuple):
    """``eth0.10``: a sub-interface of ``base`` with that VLAN id."""

    base: str
    vlan: int


def names(spec: NetworkSpec) -> Iterator[str]:
    """The links of the host that decide whether this network can be; wrong names are told by ``check``."""
    if spec.driver not in STAND_INS:
        return
    name = spec.options.get(PARENT, "")
    if not is_ifname(name):
        return
    yield name
    if name.count(".") == 1:
        yield name.partition(".")[0]


def kinds(spec: NetworkSpec) -> Iterator[LinkKind]:
    """The kinds of link that this network needs of the kernel."""
    if spec.driver in STAND_INS:
        yield LinkKind(spec.driver)
        if "." in spec.options.get(PARENT, ""):
            yield LinkKind.VLAN


def check(options: SubLinkOptions, kind: LinkKind, host: HostFacts) -> None:
    """Raise for a parent that is not there and cannot be made, or that carries nobody."""
    if not options.parent:
        return
    found = host.asked.get(options.parent)
    if found is not None:
        _check_free(options.parent, found, kind)
        _check_mtu(options, options.parent, found)
        return
    base = _checked_vlan(options.parent, kind, host)
    if LinkKind.VLAN in host.unknown_kinds:
        raise EngineError(f"cannot make {options.parent}: the host's kernel knows no VLAN links (CONFIG_VLAN_8021Q)")
    _check_mtu(options, base, host.asked[base])


def _check_free(name: str, found: HostLink, kind: LinkKind) -> None:
    if found.master_kind in _TAKERS:
        raise InvalidArgument(
            f"parent interface {name} is a port of {found.master_kind} {found.master}, which takes all its frames: "
            f"name {found.master} as the parent of {kind} networks"
        )


def _check_mtu(options: SubLinkOptions, name: str, found: HostLink) -> None:
    if options.mtu > found.mtu:
        raise InvalidArgument(f"invalid MTU number: {options.mtu}: parent interface {name} has {found.mtu}")


def _checked_vlan(name: str, kind: LinkKind, host: HostFacts) -> str:
    """The link that the sub-interface is to stand on."""
    if "." not in name:
        raise EngineError(
            f"invalid subinterface vlan name {name}, example formatting is eth0.10: "
            "no interface of that name was found on the host either"
        )
    base, vlan = _parse_vlan(name)
    if base == "lo":
        raise EngineError(f"loopback interface is not a valid {kind} parent link")
    if base not in host.asked:
        raise EngineError(f"-o parent interface was not found on the host: {base}")
    if vlan not in _VLANS:
        raise EngineError(f"vlan id must be between 1-4094, received: {vlan}")
    return base


def _parse_vlan(name: str) -> Vlan:
    parts = name.split(".")
    if len(parts) != 2:
        raise EngineError(
            f"required interface name format is: name.vlan_id, ex. eth0.10 for vlan 10, instead received {name}"
        )
    if not (parts[1].isascii() and parts[1].isdigit()):
        raise EngineError(f"unable to parse a valid vlan id from: {parts[1]} (ex. eth0.10 for vlan 10)")
    return Vlan(parts[0], int(parts[1]))


def complete(spec: NetworkSpec) -> NetworkSpec:
    """A network without a parent leads nowhere: it is internal."""
    if spec.driver in STAND_INS and not spec.options.get(PARENT) and not spec.config_only:
        return replace(spec, internal=True)
    return spec


def settle(network: Network, others: Iterable[Network], links: Collection[str]) -> Network:
    """With its parent: the one named, or one of its own. What was on the host before any network of ours stays there.

    ``links`` are the names of the host's links now.
    """
    prefix = STAND_INS.get(network.driver)
    if prefix is None or network.spec.config_only:
        return network
    asked = network.spec.options.get(PARENT, "")
    if not asked:
        return replace(network, parent=f"{prefix}{ids.short(network.id)}", adopted=False)
    shared = next((other for other in others if other.parent == asked), None)
    return replace(network, parent=asked, adopted=shared.adopted if shared is not None else asked in links)


def check_beside(network: Network, others: Iterable[Network]) -> None:
    """Raise where a network that is there already does not let this one onto the same parent."""
    for other in others:
        if network.parent and other.parent == network.parent and other.id != network.id:
            _check_pair(network, other)


def _check_pair(network: Network, other: Network) -> None:
    if network.driver != other.driver:
        raise Forbidden(
            f"cannot create network {network.name}: {other.driver} network {other.name} is already using parent "
            f"interface {network.parent}, and one link carries either macvlan or ipvlan"
        )
    mine, theirs = (parse_options(each.spec, LinkKind(each.driver)) for each in (network, other))
    if mine.mode == PASSTHRU:
        raise EngineError(
            f"cannot use mode passthru, macvlan network {other.id} is already using parent interface {network.parent}"
        )
    if theirs.mode == PASSTHRU:
        raise EngineError(
            f"macvlan network {other.id} is already using parent interface {network.parent} in mode passthru"
        )
    if network.driver == LinkKind.IPVLAN and (mine.mode, mine.flag) != (theirs.mode, theirs.flag):
        raise Forbidden(
            f"cannot create network {network.name}: ipvlan network {other.name} is already using parent interface "
            f"{network.parent} in mode {theirs.mode} with flag {theirs.flag}, which all ipvlan links of a parent share"
        )


def wants(network: Network) -> Iterator[Link]:
    """The parent, where it is ours to make; the same for all networks that share it."""
    if network.adopted or not network.parent:
        return
    if not network.spec.options.get(PARENT):
        # A bridge without ports: what stands on it talks among itself, and the kernel has bridges for sure.
        yield Link(ns=HOST, name=network.parent, kind=LinkKind.BRIDGE, alias=network.name[:255])
        return
    base, vlan = _parse_vlan(network.parent)
    yield Link(ns=HOST, name=network.parent, kind=LinkKind.VLAN, parent=base, vlan=vlan, alias=_VLAN_ALIAS)
