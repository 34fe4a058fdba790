"""The default network as the daemon's flags say."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Interface, IPv6Network, ip_address, ip_interface
from typing import Any

import pytest

from fairlead.engine import default_bridge
from fairlead.errors import InvalidArgument
from fairlead.settings import Settings


def asked(*own: str, **flags: Any) -> list[tuple[str, str, str, dict[str, str]]]:
    """(subnet, gateway, range, aux) of each family about which something is said."""
    spec = default_bridge.spec(Settings(**flags), "docker0", [ip_interface(text) for text in own])
    return [
        (str(c.subnet), str(c.gateway), str(c.ip_range), {name: str(address) for name, address in c.aux.items()})
        for c in spec.ipam
    ]


def test_nothing_said() -> None:
    assert asked() == []
    assert asked(ipv6=True) == []


def test_bip_is_gateway_and_subnet_and_fixed_cidr_the_range_in_it() -> None:
    flags = {"bip": IPv4Interface("10.1.0.1/24"), "fixed_cidr": IPv4Network("10.1.0.128/25")}
    assert asked(**flags) == [("10.1.0.0/24", "10.1.0.1", "10.1.0.128/25", {})]


def test_fixed_cidr_alone_is_the_subnet_too() -> None:
    assert asked(fixed_cidr=IPv4Network("10.1.0.0/25")) == [("10.1.0.0/25", "None", "10.1.0.0/25", {})]


def test_ipv6_is_said_only_with_the_switch() -> None:
    flags = {"bip6": IPv6Interface("fd00:1::1/64"), "fixed_cidr_v6": IPv6Network("fd00:1::/80")}
    assert asked(**flags) == []
    assert asked(**flags, ipv6=True) == [("fd00:1::/64", "fd00:1::1", "fd00:1::/80", {})]


def test_another_gateway_is_an_auxiliary_address() -> None:
    found = asked(bip=IPv4Interface("10.1.0.1/24"), default_gateway=IPv4Address("10.1.0.254"))
    assert found == [("10.1.0.0/24", "10.1.0.1", "None", {"DefaultGatewayIPv4": "10.1.0.254"})]


@pytest.mark.parametrize("flags", [{}, {"bip": IPv4Interface("10.2.0.1/24")}])
def test_another_gateway_must_be_in_a_subnet_that_was_named(flags: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument, match=r"--default-gateway 10\.1\.0\.254 is not in the subnet"):
        asked(default_gateway=ip_address("10.1.0.254"), **flags)


def test_a_bridge_of_the_administrators_says_its_subnet_itself() -> None:
    assert asked("10.7.0.1/24", "fe80::1/64") == [("10.7.0.0/24", "10.7.0.1", "None", {})]
    assert asked("fe80::1/64", "fd00:7::1/64", ipv6=True) == [("fd00:7::/64", "fd00:7::1", "None", {})]


def test_of_several_addresses_the_one_around_the_range() -> None:
    found = asked("10.7.0.1/24", "10.8.0.1/24", fixed_cidr=IPv4Network("10.8.0.64/26"))
    assert found == [("10.8.0.0/24", "10.8.0.1", "10.8.0.64/26", {})]
