"""Several networks in one sandbox: who carries the default routes, and what the interfaces are called."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import count
from typing import NamedTuple

from fairlead.errors import InvalidArgument
from fairlead.ids import EndpointId
from fairlead.model.address import Ip
from fairlead.model.endpoint import Endpoint, EndpointSpec
from fairlead.model.network import Network, Subnet
from fairlead.net.drivers.options import parse_ifname, parse_options
from fairlead.net.drivers.sublink_options import IPVLAN_MODE, ROUTED_MODES
from fairlead.net.state import LinkKind

IFNAME = "com.docker.network.endpoint.ifname"
SYSCTLS = "com.docker.network.endpoint.sysctls"

Candidate = tuple[Endpoint, Network, int]


class Gateways(NamedTuple):
    """The endpoints with the default route of each family; None where no network leads out."""

    ipv4: EndpointId | None
    ipv6: EndpointId | None


def choose(candidates: Sequence[Candidate]) -> Gateways:
    """Docker's order: the highest gw-priority, then most families with a gateway, then the network's name."""
    return Gateways(_first(candidates, 4), _first(candidates, 6))


def _first(candidates: Sequence[Candidate], version: int) -> EndpointId | None:
    leading = [candidate for candidate in candidates if version in _outward(candidate)]
    return min(leading, key=_order)[0].id if leading else None


def _order(candidate: Candidate) -> tuple[int, int, str]:
    _, network, priority = candidate
    return -priority, -len(_outward(candidate)), network.name


def _outward(candidate: Candidate) -> frozenset[int]:
    """The families in which this endpoint's network leads out."""
    endpoint, network, _ = candidate
    own = {address.version for address in endpoint.addresses}
    if leads_by_interface(network):
        return frozenset(own)
    return frozenset(own & {hop.version for hop in next_hops(network, endpoint)})


def leads_by_interface(network: Network) -> bool:
    """Whether all that is for elsewhere just leaves by the interface: in ipvlan's routed modes there is no next hop."""
    mode = network.spec.options.get(IPVLAN_MODE, "")
    return network.driver == LinkKind.IPVLAN and mode in ROUTED_MODES and not network.spec.internal


def publisher(candidates: Sequence[tuple[Endpoint, Network]], version: int) -> Endpoint | None:
    """Through whom the engine publishes on the host's addresses of that family: the endpoint with its default route.

    Where that one's ports are its plugins', the first other that could lead out.
    """
    leading = next((e for e, _ in candidates if (e.gateway4 if version == 4 else e.gateway6)), None)
    if leading is None or not leading.outside.holds_ports:
        return leading
    others = (e for e, network in candidates if not (e.outside.holds_ports or network.spec.internal or network.parent))
    return next((e for e in others if any(address.version == version for address in e.addresses)), None)


def next_hops(network: Network, endpoint: Endpoint) -> Iterator[Ip]:
    """Where what is for elsewhere is sent if this endpoint carries the default routes, one address of each family."""
    if network.spec.internal:
        return
    named = endpoint.outside.gateways
    for gateway in (each.way_out for each in _own_subnets(network, endpoint)) if named is None else named:
        if gateway is not None:
            yield gateway


def _own_subnets(network: Network, endpoint: Endpoint) -> Iterator[Subnet]:
    """Of a network with several subnets those that the endpoint is in."""
    for subnet in network.subnets:
        if any(address in subnet.prefix for address in endpoint.addresses):
            yield subnet


def interface_name(network: Network, spec: EndpointSpec, taken: Collection[str]) -> str:
    """The name asked for, or the network's prefix (eth) and the first free number."""
    if asked := spec.options.get(IFNAME, ""):
        return _asked_name(asked, taken)
    prefix = parse_options(network.spec).iface_prefix
    return next(name for number in count() if (name := f"{prefix}{number}") not in taken)


def _asked_name(name: str, taken: Collection[str]) -> str:
    try:
        parse_ifname(name)
    except ValueError as error:
        raise InvalidArgument(f"invalid endpoint settings:\n{IFNAME}: {error}") from error
    if name in taken or name == "lo":
        raise InvalidArgument(f"invalid endpoint settings:\n{IFNAME}: the container has an interface {name} already")
    return name


def endpoint_sysctls(spec: EndpointSpec) -> Mapping[str, str]:
    """``net.ipv4.conf.IFNAME.log_martians=1,…`` as path and value; IFNAME stays until the interface has its name."""
    text = spec.options.get(SYSCTLS, "")
    return dict(_sysctl(part) for part in _parts(text))


def _parts(text: str) -> Iterator[str]:
    return (part.strip() for part in text.split(",") if part.strip())


_FAMILIES = frozenset({"ipv4", "ipv6", "mpls"})


def _sysctl(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    words = key.strip().split(".")
    # Docker's CLI writes the whole --network field in lower case, "ifname" included.
    if len(words) != 5 or words[0] != "net" or words[1] not in _FAMILIES or words[3].upper() != "IFNAME":
        raise InvalidArgument(
            f"invalid endpoint settings:\nunable to recognise network endpoint sysctl: '{text}', "
            "expected net.X.Y.IFNAME.Z=V with X one of ipv4, ipv6, mpls"
        )
    if not equals or not all(_is_word(word) for word in (words[2], words[4])):
        raise InvalidArgument(f"invalid endpoint settings:\nunable to parse network endpoint sysctl: '{text}'")
    return "/".join(("net", words[1], words[2], "IFNAME", words[4])), value.strip()


def _is_word(text: str) -> bool:
    """One step of a path below /proc/sys, and nothing that leads out of it."""
    return text.isascii() and text.replace("_", "").isalnum()
