from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest

from fairlead.errors import EngineError, InvalidArgument
from fairlead.model.endpoint import EndpointSpec
from fairlead.model.network import IpamConfig, NetworkSpec
from fairlead.net import validate
from unit.net.things import ip, network


def spec(*configs: IpamConfig, **fields: Any) -> NetworkSpec:
    return NetworkSpec(name="shop", ipam=configs, **fields)


def pool(subnet: str, **fields: Any) -> IpamConfig:
    return IpamConfig(subnet=ip_network(subnet), **fields)


@pytest.mark.parametrize(
    "good",
    [
        spec(),
        spec(
            pool("10.0.0.0/24", ip_range=ip_network("10.0.0.128/25"), gateway=ip("10.0.0.9"), aux={"a": ip("10.0.0.3")})
        ),
        spec(pool("10.0.0.0/24"), pool("fd00::/64"), enable_ipv6=True),
        spec(pool("0.0.0.0/26", gateway=ip("10.0.0.1"))),
        spec(pool("0.0.0.0/26"), pool("0.0.0.0/26")),
        spec(enable_ipv4=False, enable_ipv6=True),
        spec(enable_ipv4=False, config_only=True),
    ],
)
def test_what_is_right_passes(good: NetworkSpec) -> None:
    validate.check_network(good)


def test_all_address_errors_are_told_at_once() -> None:
    wrong = spec(
        pool("10.0.0.0/24", gateway=ip("10.0.1.1"), aux={"router": ip("10.0.2.1"), "six": ip("fd00::1")}),
        pool("10.1.0.0/24", ip_range=ip_network("10.1.0.0/16"), gateway=ip("fd00::1")),
        pool("10.2.0.0/24", ip_range=ip_network("10.3.0.0/25")),
        pool("10.4.0.0/24", ip_range=ip_network("fd00::/65")),
        IpamConfig(aux={"lost": ip("10.0.0.1")}),
    )
    with pytest.raises(InvalidArgument) as caught:
        validate.check_network(wrong)
    assert str(caught.value).splitlines() == [
        "invalid network config:",
        "invalid gateway 10.0.1.1: parent subnet 10.0.0.0/24 doesn't contain this address",
        "invalid auxiliary address router: parent subnet 10.0.0.0/24 doesn't contain this address",
        "invalid auxiliary address six: parent subnet is an IPv4 block",
        "invalid ip-range 10.1.0.0/16: CIDR block is bigger than its parent subnet 10.1.0.0/24",
        "invalid gateway fd00::1: parent subnet is an IPv4 block",
        "invalid ip-range 10.3.0.0/25: parent subnet 10.2.0.0/24 doesn't contain ip-range",
        "invalid ip-range fd00::/65: parent subnet is an IPv4 block",
        "auxiliary addresses need a subnet that contains them",
    ]


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        (spec(enable_ipv4=False), "IPv4 or IPv6 must be enabled"),
        (spec(scope="moon"), 'invalid scope "moon"'),
        (spec(pool("10.0.0.0/24"), pool("10.0.0.0/25")), "multiple overlapping subnet configuration is not supported"),
        (spec(pool("10.0.0.0/25"), pool("10.0.0.0/24")), "multiple overlapping subnet configuration is not supported"),
    ],
)
def test_what_no_driver_could_make(wrong: NetworkSpec, text: str) -> None:
    with pytest.raises(InvalidArgument, match=text):
        validate.check_network(wrong)


def test_swarm_is_not_active() -> None:
    with pytest.raises(EngineError, match="cannot create a swarm scoped network when swarm is not active"):
        validate.check_network(spec(scope="swarm"))


SHOP = network("10.1.0.0/24", "fd00:1::/64")


def test_endpoints_that_can_be() -> None:
    validate.check_endpoint(EndpointSpec(), SHOP)
    validate.check_endpoint(EndpointSpec(ipv4=ip("10.1.0.9"), ipv6=ip("fd00:1::9"), aliases=("a",)), SHOP)
    validate.check_endpoint(EndpointSpec(link_local=(ip("169.254.1.1"),)), SHOP)
    validate.check_endpoint(EndpointSpec(), network(name="none", driver="null"))


def test_endpoint_errors_are_told_at_once() -> None:
    wrong = EndpointSpec(ipv4=ip("fd00:1::9"), ipv6=ip("10.2.0.9"), link_local=(ip("224.0.0.1"),))
    with pytest.raises(InvalidArgument) as caught:
        validate.check_endpoint(wrong, SHOP)
    assert str(caught.value).splitlines() == [
        "invalid endpoint settings:",
        "invalid IPv4 address: fd00:1::9",
        "invalid IPv6 address: 10.2.0.9",
        "no configured subnet contains IP address 10.2.0.9",
        "invalid link-local IP address: 224.0.0.1",
    ]


def test_the_default_bridge_gives_neither_addresses_nor_names() -> None:
    bridge = network("172.17.0.0/16", name="bridge")
    with pytest.raises(InvalidArgument, match="user-specified IP address is supported on user-defined networks only"):
        validate.check_endpoint(EndpointSpec(ipv4=ip("172.17.0.9")), bridge)
    with pytest.raises(InvalidArgument, match="network-scoped aliases are only supported for user-defined networks"):
        validate.check_endpoint(EndpointSpec(aliases=("a",)), bridge)


def test_host_and_none_have_no_addresses_to_give() -> None:
    with pytest.raises(InvalidArgument, match="user-defined networks only"):
        validate.check_endpoint(EndpointSpec(ipv4=ip("10.1.0.9")), network(name="host", driver="host"))
