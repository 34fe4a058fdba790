from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest

from fairlead.errors import EngineError, Forbidden, InvalidArgument
from fairlead.model.address import Prefix
from fairlead.model.network import IpamConfig, NetworkSpec, Subnet
from fairlead.net import ipam
from fairlead.settings import AddressPool
from unit.net.things import ip


def nets(*texts: str) -> list[Prefix]:
    return [ip_network(text) for text in texts]


def choose(
    *configs: IpamConfig,
    taken: tuple[str, ...] = (),
    routes: tuple[str, ...] = (),
    pools: tuple[AddressPool, ...] = (),
    name: str = "shop",
    **fields: Any,
) -> tuple[list[str], list[str], list[str]]:
    """(subnets, gateways, warnings)"""
    spec = NetworkSpec(name=name, ipam=configs, **fields)
    subnets, warnings = ipam.choose_subnets(
        spec, taken=nets(*taken), pools=pools, routes=nets(*routes), ula_seed=b"engine"
    )
    return [str(s.prefix) for s in subnets], [str(s.gateway) for s in subnets], list(warnings)


def asked(subnet: str, **fields: Any) -> IpamConfig:
    return IpamConfig(subnet=ip_network(subnet), **fields)


def test_the_first_network_is_a_24_of_172_18() -> None:
    assert choose() == (["172.18.0.0/24"], ["172.18.0.1"], [])


def test_the_default_bridge_is_as_in_docker_where_that_is_free() -> None:
    assert choose(name="bridge")[0] == ["172.17.0.0/16"]
    assert choose(name="bridge", routes=("172.17.4.0/24",))[0] == ["172.18.0.0/24"]


def test_gaps_are_filled_and_other_networks_never_overlapped() -> None:
    assert choose(taken=("172.18.0.0/24", "172.18.2.0/24"))[0] == ["172.18.1.0/24"]
    assert choose(taken=("172.18.0.0/15",))[0] == ["172.20.0.0/24"]
    assert choose(taken=("172.18.0.128/25",))[0] == ["172.18.1.0/24"]


def test_there_are_thousands_of_networks() -> None:
    taken = ("172.18.0.0/15", "172.20.0.0/14", "172.24.0.0/13")
    assert choose(taken=taken)[0] == ["172.16.0.0/24"]


def test_never_192_168() -> None:
    with pytest.raises(InvalidArgument, match="all predefined address pools have been fully subnetted"):
        choose(taken=("172.16.0.0/12",))


def test_host_routes_are_avoided() -> None:
    assert choose(routes=("172.18.0.0/16", "10.0.0.0/8"))[0] == ["172.19.0.0/24"]


def test_a_route_over_everything_is_overlooked_with_a_warning_that_names_it() -> None:
    subnets, _, warnings = choose(routes=("172.16.0.0/12",))
    assert subnets == ["172.18.0.0/24"]
    assert "172.18.0.0/24 overlaps 172.16.0.0/12" in warnings[0]


def test_the_wider_route_is_overlooked_first() -> None:
    subnets, _, warnings = choose(routes=("172.16.0.0/12", "172.18.0.0/16"))
    assert subnets == ["172.19.0.0/24"]
    assert "172.16.0.0/12" in warnings[0]


def test_halves_of_the_internet_are_a_default_route() -> None:
    assert choose(routes=("0.0.0.0/1", "128.0.0.0/1")) == (["172.18.0.0/24"], ["172.18.0.1"], [])


def test_configured_pools_replace_ours_in_their_family() -> None:
    pools = (AddressPool(base=ip_network("10.9.0.0/16"), size=26), AddressPool(base=ip_network("10.8.0.0/24"), size=24))
    assert choose(pools=pools)[0] == ["10.9.0.0/26"]
    assert choose(pools=pools, taken=("10.9.0.0/16",))[0] == ["10.8.0.0/24"]
    assert choose(pools=pools, name="bridge")[0] == ["10.9.0.0/26"]
    assert choose(pools=pools, enable_ipv6=True)[0][1].startswith("fd")


def test_ipv6_is_the_engines_own_unique_local_prefix() -> None:
    subnets, gateways, _ = choose(enable_ipv6=True)
    ula = ipam.ula_pool(b"engine").base
    assert ula.prefixlen == 48
    assert ula.network_address in ip_network("fd00::/8")
    assert subnets[1] == f"{ula.network_address}/64"
    assert gateways[1] == str(ula.network_address + 1)
    assert ipam.ula_pool(b"engine") == ipam.ula_pool(b"engine") != ipam.ula_pool(b"other")


def test_ipv6_alone() -> None:
    assert len(choose(enable_ipv4=False, enable_ipv6=True)[0]) == 1


def test_a_subnet_that_was_asked_for() -> None:
    assert choose(asked("10.5.0.0/24")) == (["10.5.0.0/24"], ["10.5.0.1"], [])
    assert choose(asked("10.5.0.0/24"), routes=("10.0.0.0/8",))[2] == []
    with pytest.raises(Forbidden, match="Pool overlaps with other one on this address space"):
        choose(asked("10.5.0.0/24"), taken=("10.5.0.128/25",))


def test_a_subnet_of_a_disabled_family_is_passed_over() -> None:
    assert choose(asked("fd00:5::/64"))[0] == ["172.18.0.0/24"]


def test_any_subnet_of_a_size() -> None:
    assert choose(asked("0.0.0.0/26"), taken=("172.18.0.0/26",))[0] == ["172.18.0.64/26"]
    assert choose(asked("::/72"), enable_ipv6=True)[0][1].endswith("/72")
    with pytest.raises(InvalidArgument, match="fully subnetted"):
        choose(asked("0.0.0.0/8"))


def test_a_range_without_a_subnet() -> None:
    with pytest.raises(InvalidArgument, match="an ip-range or gateway needs a subnet"):
        choose(IpamConfig(gateway=ip("10.0.0.1")))


def test_gateways() -> None:
    assert choose(asked("10.5.0.0/24", gateway=ip("10.5.0.254")))[1] == ["10.5.0.254"]
    assert choose(asked("10.5.0.0/24", ip_range=ip_network("10.5.0.64/26")))[1] == ["10.5.0.64"]
    assert choose(asked("10.5.0.0/24", aux={"router": ip("10.5.0.1")}))[1] == ["10.5.0.2"]
    assert choose(asked("10.5.0.0/31"))[1] == ["10.5.0.0"]
    with pytest.raises(EngineError, match="no room for a gateway"):
        choose(asked("10.5.0.0/31", aux={"a": ip("10.5.0.0"), "b": ip("10.5.0.1")}))


SUBNET = Subnet(prefix=ip_network("10.5.0.0/29"), gateway=ip("10.5.0.1"), aux={"router": ip("10.5.0.3")})


def address(*used: str, resting: tuple[str, ...] = (), wanted: str = "", subnet: Subnet = SUBNET) -> str:
    return str(
        ipam.choose_address(
            [subnet],
            used={ip(text) for text in used},
            resting=[ip(text) for text in resting],
            wanted=ip(wanted) if wanted else None,
            network="shop (1234)",
        )
    )


def test_the_lowest_free_address() -> None:
    assert address() == "10.5.0.2/29"
    assert address("10.5.0.2") == "10.5.0.4/29"
    assert address("10.5.0.4") == "10.5.0.2/29"


def test_a_freed_address_rests() -> None:
    assert address(resting=("10.5.0.2",)) == "10.5.0.4/29"


def test_when_nothing_else_is_free_the_longest_rested_is_taken() -> None:
    assert address("10.5.0.4", "10.5.0.5", resting=("10.5.0.6", "10.5.0.2")) == "10.5.0.6/29"
    assert address("10.5.0.4", "10.5.0.5", "10.5.0.6", resting=("10.5.0.6", "10.5.0.2")) == "10.5.0.2/29"
    assert address("10.5.0.4", "10.5.0.5", "10.5.0.6", resting=("10.9.0.1", "10.5.0.1", "10.5.0.2")) == "10.5.0.2/29"


def test_a_full_subnet() -> None:
    with pytest.raises(
        EngineError, match=r"no available IPv4 addresses on this network's address pools: shop \(1234\)"
    ):
        address("10.5.0.2", "10.5.0.4", "10.5.0.5", "10.5.0.6")


def test_the_ip_range_bounds_what_is_chosen_but_not_what_is_asked() -> None:
    ranged = Subnet(prefix=ip_network("10.5.0.0/24"), gateway=ip("10.5.0.1"), ip_range=ip_network("10.5.0.128/30"))
    # Inside the subnet the first and last address of a range are ordinary ones.
    assert address(subnet=ranged) == "10.5.0.128/24"
    assert address("10.5.0.128", "10.5.0.129", "10.5.0.130", subnet=ranged) == "10.5.0.131/24"
    assert address(wanted="10.5.0.9", subnet=ranged) == "10.5.0.9/24"


def test_an_address_that_was_asked_for() -> None:
    assert address(wanted="10.5.0.6") == "10.5.0.6/29"
    assert address(wanted="10.5.0.6", resting=("10.5.0.6",)) == "10.5.0.6/29"
    with pytest.raises(InvalidArgument, match=r"no configured subnet contains IP address 10\.6\.0\.1"):
        address(wanted="10.6.0.1")
    for edge in ("10.5.0.0", "10.5.0.7"):
        with pytest.raises(InvalidArgument, match="requested address is out of range"):
            address(wanted=edge)
    for used in ("10.5.0.1", "10.5.0.3", "10.5.0.4"):
        with pytest.raises(Forbidden, match="Address already in use"):
            address("10.5.0.4", wanted=used)


def test_ipv6_addresses() -> None:
    six = Subnet(prefix=ip_network("fd00:5::/64"), gateway=ip("fd00:5::1"))
    assert address(subnet=six) == "fd00:5::2/64"
    assert address(wanted="fd00:5::ffff:ffff:ffff:ffff", subnet=six) == "fd00:5::ffff:ffff:ffff:ffff/64"
    with pytest.raises(InvalidArgument, match="out of range"):
        address(wanted="fd00:5::", subnet=six)
    low = Subnet(prefix=ip_network("::/120"))
    assert address(subnet=low) == "::1/120"


def test_point_to_point_subnets_have_no_edges() -> None:
    pair = Subnet(prefix=ip_network("10.5.0.0/31"), gateway=ip("10.5.0.0"))
    assert address(subnet=pair) == "10.5.0.1/31"


def test_a_network_without_subnets() -> None:
    with pytest.raises(EngineError, match="no available addresses"):
        ipam.choose_address([], used=(), network="x")


def test_link_local_addresses() -> None:
    assert str(ipam.link_local(ip("169.254.7.7"))) == "169.254.7.7/16"
    assert str(ipam.link_local(ip("fe80::7"))) == "fe80::7/64"
    assert str(ipam.link_local(ip("10.1.1.1"))) == "10.1.1.1/32"
    assert str(ipam.link_local(ip("2001:db8::1"))) == "2001:db8::1/128"


def test_a_family_without_a_gateway_keeps_no_address_for_one() -> None:
    spec = NetworkSpec(name="n", ipam=(asked("10.1.0.0/24"), asked("fd00:1::/64")), enable_ipv6=True)
    arguments: dict[str, Any] = {"taken": (), "pools": (), "routes": (), "ula_seed": b""}
    four, six = ipam.choose_subnets(spec, **arguments, gatewayless={4})[0]
    assert (four.gateway, six.gateway) == (None, ip("fd00:1::1"))
    assert str(ipam.choose_address([four], used=())) == "10.1.0.1/24"
    spec = NetworkSpec(name="n", ipam=(asked("10.1.0.0/24", gateway=ip("10.1.0.9")),))
    assert ipam.choose_subnets(spec, **arguments, gatewayless={4})[0][0].gateway == ip("10.1.0.9")


def test_a_subnet_of_a_family_that_is_off_is_said_to_be_unused() -> None:
    subnets, _, warnings = choose(asked("10.1.0.0/24"), asked("fd00:1::/64"))
    assert subnets == ["10.1.0.0/24"]
    assert warnings == ["subnet fd00:1::/64 is not used: IPv6 is off for this network (--ipv6)"]


@pytest.mark.parametrize(
    ("subnet", "used", "wanted"),
    [
        (Subnet(prefix=ip_network("10.1.0.0/24"), gateway=ip("10.1.0.1")), [], (3, 253)),
        (Subnet(prefix=ip_network("10.1.0.0/24"), gateway=ip("10.1.0.1")), ["10.1.0.2", "10.9.0.2"], (4, 252)),
        (
            Subnet(
                prefix=ip_network("10.1.0.0/24"),
                gateway=ip("10.1.0.1"),
                ip_range=ip_network("10.1.0.64/30"),
                aux={"in": ip("10.1.0.65"), "out": ip("10.1.0.9")},
            ),
            ["10.1.0.64"],
            (6, 2),
        ),
        (Subnet(prefix=ip_network("fd00::/120")), ["fd00::2"], (2, 254)),
        (Subnet(prefix=ip_network("fd00::/64")), [], (1, 2**64 - 1)),
        (Subnet(prefix=ip_network("fd00::/48")), [], (1, 2**64 - 1)),
        (Subnet(prefix=ip_network("10.1.0.0/31")), ["10.1.0.0"], (1, 1)),
    ],
)
def test_how_full_a_subnet_is(subnet: Subnet, used: list[str], wanted: tuple[int, int]) -> None:
    assert ipam.usage(subnet, [ip(text) for text in used]) == wanted


@pytest.mark.parametrize(
    ("aux", "name"),
    [
        ({"a": "10.1.0.9", "b": "10.1.0.9"}, "b:10.1.0.9"),
        ({"a": "10.1.0.5"}, "a:10.1.0.5"),
        ({"a": "10.1.0.0"}, "a:10.1.0.0"),
        ({"a": "10.1.0.255"}, "a:10.1.0.255"),
    ],
)
def test_an_auxiliary_address_is_nobody_elses(aux: dict[str, str], name: str) -> None:
    given = {key: ip(text) for key, text in aux.items()}
    with pytest.raises(Forbidden, match=rf"failed to allocate secondary ip address \({name}\): Address already in use"):
        choose(asked("10.1.0.0/24", gateway=ip("10.1.0.5"), aux=given))


def test_another_gateway_may_be_the_gateway_itself() -> None:
    config = asked("10.1.0.0/24", gateway=ip("10.1.0.5"), aux={"DefaultGatewayIPv4": ip("10.1.0.5")})
    assert choose(config)[1] == ["10.1.0.5"]
