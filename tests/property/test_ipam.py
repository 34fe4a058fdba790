"""Addresses against a naive count over every address, subnets against a naive search."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.errors import EngineError, InvalidArgument
from fairlead.model.address import Ip, Prefix
from fairlead.model.network import IpamConfig, NetworkSpec, Subnet
from fairlead.net import ipam
from fairlead.settings import AddressPool

SMALL = st.integers(24, 32).map(lambda bits: IPv4Network(f"10.0.0.0/{bits}"))
INSIDE = st.integers(0, 300).map(lambda offset: IPv4Address("10.0.0.0") + offset)
SETS = st.sets(INSIDE, max_size=40)


@st.composite
def subnets(draw: st.DrawFn) -> Subnet:
    prefix = draw(SMALL)
    bits = draw(st.integers(prefix.prefixlen, 32))
    ip_range = draw(st.none() | st.sampled_from(list(prefix.subnets(new_prefix=bits))[:8]))
    aux = {str(address): address for address in draw(SETS)}
    return Subnet(prefix=prefix, gateway=draw(st.none() | INSIDE), ip_range=ip_range, aux=aux)


def naive(subnet: Subnet, unavailable: set[Ip]) -> list[Ip]:
    """Every address that may be given, by going through all of them."""
    hosts = set(subnet.prefix.hosts()) if subnet.prefix.prefixlen < 31 else set(subnet.prefix)
    inside = set(subnet.ip_range or subnet.prefix)
    blocked = {subnet.gateway, *subnet.aux.values(), *unavailable}
    return sorted((hosts & inside) - blocked, key=int)


@given(subnets(), SETS, st.lists(INSIDE, unique=True, max_size=20))
def test_the_lowest_free_address_else_the_longest_rested(subnet: Subnet, used: set[Ip], resting: list[Ip]) -> None:
    fresh, any_free = naive(subnet, {*used, *resting}), naive(subnet, used)
    rested = [address for address in resting if address in any_free]
    if not any_free:
        with pytest.raises(EngineError, match="no available IPv4 addresses"):
            ipam.choose_address([subnet], used=used, resting=resting)
        return
    chosen = ipam.choose_address([subnet], used=used, resting=resting)
    assert chosen.ip == (fresh or rested)[0]
    assert chosen.network.prefixlen == subnet.prefix.prefixlen


@given(subnets(), SETS, INSIDE)
def test_a_wanted_address_is_given_or_refused_but_never_another(subnet: Subnet, used: set[Ip], wanted: Ip) -> None:
    whole = Subnet(prefix=subnet.prefix, gateway=subnet.gateway, aux=subnet.aux)
    if wanted in naive(whole, used):
        assert ipam.choose_address([subnet], used=used, wanted=wanted).ip == wanted
    else:
        with pytest.raises(EngineError):
            ipam.choose_address([subnet], used=used, wanted=wanted)


@given(subnets(), st.integers(1, 30))
def test_addresses_given_one_after_another_are_all_different(subnet: Subnet, count: int) -> None:
    used: list[Ip] = []
    free = naive(subnet, set())
    for expected in free[:count]:
        used.append(ipam.choose_address([subnet], used=used).ip)
        assert used[-1] == expected


@given(st.integers(0, 2**56 - 1), st.integers(64, 128))
def test_ipv6_subnets_of_every_size(low: int, bits: int) -> None:
    prefix = IPv6Network(((0xFD << 120) + (low << 64), bits))
    chosen = ipam.choose_address([Subnet(prefix=prefix)], used=())
    assert chosen.ip in prefix
    assert bits > 126 or chosen.ip != prefix.network_address


BLOCKS = st.builds(
    lambda offset, bits: IPv4Network((int(IPv4Address("10.0.0.0")) + offset * 64, bits), strict=False),
    st.integers(0, 40),
    st.integers(20, 30),
)


@given(st.lists(BLOCKS, max_size=12), st.lists(BLOCKS, max_size=6), st.integers(22, 28))
def test_subnets_against_a_naive_search(taken: list[Prefix], routes: list[Prefix], size: int) -> None:
    base = IPv4Network("10.0.0.0/21")
    pools = [AddressPool(base=base, size=size)]
    pieces = list(base.subnets(new_prefix=size))
    free = [piece for piece in pieces if not any(piece.overlaps(other) for other in taken)]
    unrouted = [piece for piece in free if not any(piece.overlaps(route) for route in routes)]
    spec = NetworkSpec(name="shop")
    if not free:
        with pytest.raises(InvalidArgument, match="fully subnetted"):
            ipam.choose_subnets(spec, taken=taken, pools=pools, routes=routes, ula_seed=b"")
        return
    (chosen,), warnings = ipam.choose_subnets(spec, taken=taken, pools=pools, routes=routes, ula_seed=b"")
    if unrouted:
        assert (chosen.prefix, warnings) == (unrouted[0], ())
    else:
        assert chosen.prefix in free
        assert str(chosen.prefix) in warnings[0]


@given(st.binary(max_size=64))
def test_every_seed_gives_a_unique_local_prefix(seed: bytes) -> None:
    pool = ipam.ula_pool(seed)
    assert pool.base.subnet_of(IPv6Network("fd00::/8"))
    assert (pool.base.prefixlen, pool.size) == (48, 64)


@given(st.lists(st.integers(16, 28), max_size=20))
def test_networks_made_one_after_another_never_overlap(sizes: list[int]) -> None:
    taken: list[Prefix] = []
    for size in sizes:
        spec = NetworkSpec(name="shop", ipam=(IpamConfig(subnet=IPv4Network(f"0.0.0.0/{size}")),))
        try:
            (subnet,), _ = ipam.choose_subnets(spec, taken=taken, pools=(), routes=(), ula_seed=b"")
        except InvalidArgument:
            continue
        assert not any(subnet.prefix.overlaps(other) for other in taken)
        assert subnet.prefix.subnet_of(IPv4Network("172.16.0.0/12"))
        assert subnet.gateway == ip_address(int(subnet.prefix.network_address) + 1)
        taken.append(subnet.prefix)
