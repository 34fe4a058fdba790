"""Addresses: which subnets a new network gets, and which address a container gets in them.

What is in use follows from the records and is handed in; nothing is remembered here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_interface, ip_network
from itertools import pairwise
from typing import NamedTuple

from fairlead.errors import EngineError, Forbidden, InvalidArgument
from fairlead.model.address import Interface, Ip, Prefix
from fairlead.model.network import OTHER_GATEWAY, IpamConfig, NetworkSpec, Subnet
from fairlead.settings import AddressPool

# Network "bridge" has 172.17.0.0/16, as in Docker, where that is free.
_BRIDGE_POOL = AddressPool(base=IPv4Network("172.17.0.0/16"), size=16)

# 172.16/12 without the default bridge's part, the part that Docker never used last. Never 192.168/16, which is what
# routers at home use, nor 10/8, which is what companies use.
DEFAULT_POOLS = tuple(
    AddressPool(base=IPv4Network(base), size=24)
    for base in ("172.18.0.0/15", "172.20.0.0/14", "172.24.0.0/13", "172.16.0.0/16")
)

_IPV6_SUBNET = 64
_MOST = (1 << 64) - 1


def ula_pool(seed: bytes) -> AddressPool:
    """The engine's own ``fd…/48`` (RFC 4193), the same for the same seed, in pieces of /64."""
    base = b"\xfd" + sha256(seed).digest()[:5] + bytes(10)
    return AddressPool(base=IPv6Network((base, 48)), size=_IPV6_SUBNET)


def choose_subnets(
    spec: NetworkSpec,
    *,
    taken: Collection[Prefix],
    pools: Sequence[AddressPool],
    routes: Collection[Prefix],
    ula_seed: bytes,
    gatewayless: Collection[int] = (),
) -> tuple[tuple[Subnet, ...], tuple[str, ...]]:
    """The network's subnets with their gateways, and warnings for the user.

    ``taken`` are the subnets of all other networks: never overlapped. ``routes`` are the host's: avoided where a
    subnet is chosen here and there is another one to choose, else named in a warning. ``gatewayless`` are the families
    in which nobody is the gateway: an address is kept for one only if it was asked for.
    """
    chooser = _Chooser(tuple(taken), tuple(routes), _with_defaults(spec, pools, ula_seed))
    subnets: list[Subnet] = []
    warnings = [*_passed_over(spec)]
    for config, version in configs(spec):
        prefix, warning = chooser.prefix(config, version, subnets)
        subnets.append(_subnet(config, prefix, gateway=version not in gatewayless))
        warnings += [warning] if warning else []
    return tuple(subnets), tuple(warnings)


def configs(spec: NetworkSpec) -> Iterator[tuple[IpamConfig, int]]:
    """What was asked in each enabled family; an empty config where nothing was."""
    for version, enabled in ((4, spec.enable_ipv4), (6, spec.enable_ipv6)):
        asked = [config for config in spec.ipam if _version(config) == version]
        if enabled:
            yield from ((config, version) for config in asked or (IpamConfig(),))


def _passed_over(spec: NetworkSpec) -> Iterator[str]:
    """What was asked for in a family that is off: Docker says nothing of it."""
    for version, enabled in ((4, spec.enable_ipv4), (6, spec.enable_ipv6)):
        for config in spec.ipam:
            if not enabled and _version(config) == version and config.subnet is not None:
                yield f"subnet {config.subnet} is not used: IPv{version} is off for this network (--ipv{version})"


def _version(config: IpamConfig) -> int:
    """A config without any address is about IPv4, as in Docker."""
    named = (config.subnet, config.ip_range, config.gateway)
    return next((thing.version for thing in named if thing is not None), 4)


def _with_defaults(spec: NetworkSpec, pools: Sequence[AddressPool], ula_seed: bytes) -> tuple[AddressPool, ...]:
    """The pools configured; for a family without any, ours."""
    versions = {pool.base.version for pool in pools}
    own = (_BRIDGE_POOL,) if spec.name == "bridge" else ()
    four = () if 4 in versions else (*own, *DEFAULT_POOLS)
    six = () if 6 in versions else (ula_pool(ula_seed),)
    return (*pools, *four, *six)


@dataclass(frozen=True, slots=True)
class _Chooser:
    taken: tuple[Prefix, ...]
    routes: tuple[Prefix, ...]
    pools: tuple[AddressPool, ...]

    def prefix(self, config: IpamConfig, version: int, chosen: Sequence[Subnet]) -> tuple[Prefix, str]:
        """The subnet for one config and a warning or ""."""
        taken = (*self.taken, *(subnet.prefix for subnet in chosen))
        asked = config.subnet
        if asked is not None and not _any_of_size(asked):
            if any(overlap(asked, other) for other in taken):
                raise Forbidden("invalid pool request: Pool overlaps with other one on this address space")
            return asked, ""
        if asked is None and (config.ip_range is not None or config.gateway is not None):
            raise InvalidArgument("invalid network config:\nan ip-range or gateway needs a subnet that contains it")
        return self._free(version, asked.prefixlen if asked is not None else None, taken)

    def _free(self, version: int, size: int | None, taken: tuple[Prefix, ...]) -> tuple[Prefix, str]:
        pools = [(pool.base, size or pool.size) for pool in self.pools if pool.base.version == version]
        for ignored in self._relaxations(version):
            avoided = [route for route in self.routes if route not in ignored]
            for base, bits in pools:
                if (found := _first_gap(base, bits, (*taken, *avoided))) is not None:
                    return found, self._warning(found)
        raise InvalidArgument("all predefined address pools have been fully subnetted")

    def _relaxations(self, version: int) -> Iterator[frozenset[Prefix]]:
        """Routes to overlook: none, then ever narrower ones; the narrower a route, the likelier a real neighbour."""
        routes = [route for route in self.routes if route.version == version]
        yield frozenset()
        for length in sorted({route.prefixlen for route in routes}):
            yield frozenset(route for route in routes if route.prefixlen <= length)

    def _warning(self, prefix: Prefix) -> str:
        # 0.0.0.0/1 and its twin are how VPNs spell "default route".
        hit = [route for route in self.routes if route.prefixlen > 1 and overlap(route, prefix)]
        if not hit:
            return ""
        listed = ", ".join(str(route) for route in hit)
        return (
            f"no address pool is free of the host's routes: {prefix} overlaps {listed}; what is behind that route "
            "cannot be reached from this network (choose another --subnet, or set --default-address-pool)"
        )


def _any_of_size(prefix: Prefix) -> bool:
    """0.0.0.0/24 and ::/64 ask for any subnet of that size."""
    return prefix.network_address.is_unspecified and prefix.prefixlen > 0


def overlap(one: Prefix, other: Prefix) -> bool:
    """Whether they share an address; prefixes of two families do not."""
    match one, other:
        case IPv4Network(), IPv4Network():
            return one.overlaps(other)
        case IPv6Network(), IPv6Network():
            return one.overlaps(other)
        case _:
            return False


def _first_gap(base: Prefix, bits: int, blocked: Iterable[Prefix]) -> Prefix | None:
    """The lowest subnet of ``bits`` prefix bits in ``base`` that overlaps nothing of ``blocked``."""
    if bits < base.prefixlen or bits > base.max_prefixlen:
        return None
    step = 1 << (base.max_prefixlen - bits)
    start, end = int(base.network_address), int(base.broadcast_address)
    for low, high in sorted(_span(prefix) for prefix in blocked if prefix.version == base.version):
        if low >= start + step:
            break
        if high >= start:
            start = -(-(high + 1) // step) * step
    return _network(base.version, start, bits) if start + step - 1 <= end else None


def _span(prefix: Prefix) -> tuple[int, int]:
    return int(prefix.network_address), int(prefix.broadcast_address)


def _network(version: int, start: int, bits: int) -> Prefix:
    return IPv4Network((start, bits)) if version == 4 else IPv6Network((start, bits))


def _subnet(config: IpamConfig, prefix: Prefix, *, gateway: bool) -> Subnet:
    _check_aux(config, prefix)
    plain = Subnet(prefix=prefix, ip_range=config.ip_range, aux=config.aux)
    if config.gateway is not None:
        if config.gateway in _edges(prefix):
            raise Forbidden(f"failed to allocate gateway ({config.gateway}): Address already in use")
        return replace(plain, gateway=config.gateway)
    if not gateway:
        return plain
    first = next(_free_in(plain, ()), None)
    if first is None:
        raise EngineError(f"no available addresses on this pool: {prefix} has no room for a gateway")
    return replace(plain, gateway=first)


def _check_aux(config: IpamConfig, prefix: Prefix) -> None:
    """Raises for an auxiliary address that is somebody's already; another gateway may be the gateway itself."""
    taken = {*_edges(prefix), config.gateway}
    for name, address in config.aux.items():
        if address in taken and not (address == config.gateway and name in OTHER_GATEWAY.values()):
            raise Forbidden(f"failed to allocate secondary ip address ({name}:{address}): Address already in use")
        taken.add(address)


def choose_address(
    subnets: Sequence[Subnet],
    *,
    used: Collection[Ip],
    resting: Collection[Ip] = (),
    wanted: Ip | None = None,
    network: str = "",
) -> Interface:
    """An address for a container in one of ``subnets`` (of one family): ``wanted``, or the lowest free one.

    ``resting`` are addresses freed a short while ago, the longest rested first: given out again only when no other is
    left, because peers and caches may still take them for their former owner. ``network`` names it in errors.
    """
    if wanted is not None:
        return _wanted(subnets, used, wanted)
    unavailable = {*used, *resting}
    for subnet in subnets:
        if (free := next(_free_in(subnet, unavailable), None)) is not None:
            return _interface(free, subnet)
    for address in resting:
        home = _home(subnets, address)
        if home is not None and address not in used and _may_give(home, address):
            return _interface(address, home)
    family = f"IPv{subnets[0].prefix.version} " if subnets else ""
    raise EngineError(f"no available {family}addresses on this network's address pools: {network}")


def _wanted(subnets: Sequence[Subnet], used: Collection[Ip], wanted: Ip) -> Interface:
    home = _home(subnets, wanted)
    if home is None:
        raise InvalidArgument(f"invalid endpoint settings:\nno configured subnet contains IP address {wanted}")
    if wanted in _edges(home.prefix):
        raise InvalidArgument("requested address is out of range")
    if wanted in used or wanted == home.gateway or wanted in home.aux.values():
        raise Forbidden("Address already in use")
    return _interface(wanted, home)


def _home(subnets: Sequence[Subnet], address: Ip) -> Subnet | None:
    return next((subnet for subnet in subnets if address in subnet.prefix), None)


def _may_give(subnet: Subnet, address: Ip) -> bool:
    """Whether an address may be given to a container that did not ask for it."""
    inside = subnet.ip_range is None or address in subnet.ip_range
    return inside and address not in _reserved(subnet)


def _reserved(subnet: Subnet) -> frozenset[Ip]:
    own = () if subnet.gateway is None else (subnet.gateway,)
    return frozenset((*_edges(subnet.prefix), *own, *subnet.aux.values()))


def _edges(prefix: Prefix) -> tuple[Ip, ...]:
    """What no host may have: network and broadcast address, the subnet-router anycast address (RFC 4291, 2.6.1)."""
    if prefix.max_prefixlen - prefix.prefixlen <= 1:
        return ()
    if prefix.version == 6:
        return (prefix.network_address,)
    return prefix.network_address, prefix.broadcast_address


def _free_in(subnet: Subnet, unavailable: Collection[Ip]) -> Iterator[Ip]:
    """Ascending: what dynamic choice may give."""
    low, high = _span(subnet.ip_range or subnet.prefix)
    blocked = {
        int(address) for address in (*unavailable, *_reserved(subnet)) if address.version == subnet.prefix.version
    }
    # Gaps between blocked addresses instead of every address: a /8 full at its beginning is no loop of millions.
    fences = sorted({low - 1, high + 1, *(number for number in blocked if low <= number <= high)})
    for before, after in pairwise(fences):
        for number in range(before + 1, after):
            yield _address(subnet.prefix.version, number)


def _address(version: int, number: int) -> Ip:
    return ip_address(number if version == 4 else number.to_bytes(16, "big"))


def _interface(address: Ip, subnet: Subnet) -> Interface:
    return ip_interface(f"{address}/{subnet.prefix.prefixlen}")


class Usage(NamedTuple):
    """How full a subnet is, as in the API: addresses in use or kept back, and those left to be chosen."""

    in_use: int
    available: int


def usage(subnet: Subnet, used: Iterable[Ip]) -> Usage:
    """With these addresses in use by containers; both counts end at 2**64 - 1."""
    taken = _reserved(subnet) | {address for address in used if address in subnet.prefix}
    pool = subnet.ip_range or subnet.prefix
    free = pool.num_addresses - sum(address in pool for address in taken)
    return Usage(min(len(taken), _MOST), min(free, _MOST))


def link_local(address: Ip) -> Interface:
    """--link-local-ip: an extra address without a subnet of its own, as wide as its family's link-local range."""
    wide = {4: ip_network("169.254.0.0/16"), 6: ip_network("fe80::/64")}[address.version]
    length = wide.prefixlen if address in wide else (32 if address.version == 4 else 128)
    return ip_interface(f"{address}/{length}")
