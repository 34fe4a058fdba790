"""The words of plugins: answers become values, values become requests."""

from __future__ import annotations

import json
from ipaddress import ip_address, ip_interface, ip_network
from typing import Any

import pytest

from fairlead.errors import InvalidArgument
from fairlead.model.outside import StaticRoute
from fairlead.model.plugin import (
    DriverAbilities,
    InterfaceChoice,
    IpamAbilities,
    IpamData,
    JoinChoice,
    PoolChoice,
)
from fairlead.model.port import ContainerPort, PortBinding, PortRequest, Protocol
from fairlead.wire import plugins as words


def text(value: Any) -> bytes:
    return json.dumps(value).encode()


def test_complaints_of_either_kind() -> None:
    assert words.complaint(text({"Err": "no"})) == "no"
    assert words.complaint(text({"Error": "no"})) == "no"
    assert words.complaint(text({"err": "as Go reads it"})) == "as Go reads it"
    assert [words.complaint(each) for each in (b"", b"{}", b"[]", b'{"Err": 7}', b"\xff")] == [""] * 5


def test_nothing_may_be_said_with_nothing() -> None:
    for fine in (b"", b" \n", b"{}", b'{"Anything": 1}'):
        words.nothing(fine)
    with pytest.raises(InvalidArgument):
        words.nothing(b"[]")


def test_what_a_plugin_is_and_can() -> None:
    assert words.implements(text({"Implements": ["NetworkDriver", "IpamDriver"]})) == {"NetworkDriver", "IpamDriver"}
    assert words.implements(b"{}") == frozenset()
    assert words.driver_abilities(text({"Scope": "local"})) == DriverAbilities()
    assert words.driver_abilities(
        text({"Scope": "global", "ConnectivityScope": "local", "GwAllocChecker": True})
    ) == DriverAbilities(scope="global", connectivity="local", checks_gateways=True)
    assert words.driver_abilities(text({"Scope": "global"})).connectivity == "global"
    for wrong in ({}, {"Scope": "mars"}, {"Scope": "local", "ConnectivityScope": "mars"}):
        with pytest.raises(InvalidArgument, match="invalid capability: expecting 'local' or 'global', got"):
            words.driver_abilities(text(wrong))
    assert words.ipam_abilities(text({"RequiresMACAddress": True})) == IpamAbilities(needs_mac=True)
    assert words.skipped_gateways(text({"SkipIPv4": True})) == {4}
    assert words.address_spaces(text({"LocalDefaultAddressSpace": "l", "GlobalDefaultAddressSpace": "g"})) == ("l", "g")


def test_an_interface() -> None:
    chosen = words.interface_choice(
        text({"Interface": {"Address": "10.0.0.9/24", "AddressIPv6": "fd00::9/64", "MacAddress": "02-AA-00-00-00-01"}})
    )
    assert chosen == InterfaceChoice(
        ipv4=ip_interface("10.0.0.9/24"), ipv6=ip_interface("fd00::9/64"), mac="02:aa:00:00:00:01"
    )
    assert words.interface_choice(b"{}") == words.interface_choice(text({"Interface": None})) == InterfaceChoice()
    assert chosen.addresses == (ip_interface("10.0.0.9/24"), ip_interface("fd00::9/64"))


def test_a_join() -> None:
    joined = words.join_choice(
        text(
            {
                "InterfaceName": {"SrcName": "veth1", "DstPrefix": "eth"},
                "Gateway": "10.0.0.1",
                "GatewayIPv6": "fd00::1",
                "StaticRoutes": [
                    {"Destination": "10.9.0.0/16", "RouteType": 0, "NextHop": "10.0.0.2"},
                    {"Destination": "224.0.0.0/4", "RouteType": 1, "NextHop": ""},
                ],
                "DisableGatewayService": True,
            }
        )
    )
    assert joined == JoinChoice(
        link="veth1",
        prefix="eth",
        gateways=(ip_address("10.0.0.1"), ip_address("fd00::1")),
        routes=(
            StaticRoute(prefix=ip_network("10.9.0.0/16"), via=ip_address("10.0.0.2")),
            StaticRoute(prefix=ip_network("224.0.0.0/4")),
        ),
        gateway_service=False,
    )
    assert words.join_choice(text({"InterfaceName": None, "StaticRoutes": None})) == JoinChoice()


@pytest.mark.parametrize("name", ["a/b", "x" * 16, "a b", "..", "lo", "a:b", "a\0"])
def test_names_the_kernel_does_not_take(name: str) -> None:
    for field in ("SrcName", "DstPrefix", "DstName"):
        with pytest.raises(InvalidArgument, match=f"{field} .* is not a name for an interface"):
            words.join_choice(text({"InterfaceName": {field: name}}))


def test_what_an_endpoint_is_said_to_be() -> None:
    info = words.endpoint_info(text({"Value": {"a": [1], words.PORT_MAP: [
        {"Proto": 6, "Port": 80, "HostIP": "192.0.2.1", "HostPort": 8080},
        {"Proto": 17, "Port": 53, "HostPort": 53},
        {"Proto": 99, "Port": 53, "HostPort": 53},
        {"Proto": 6, "Port": 80, "HostPort": 0},
        {"Proto": 6, "Port": 80, "HostPort": 80, "HostIP": "there"},
        {"Proto": 6, "Port": 80, "HostPort": 80, "HostIP": 7},
        "80", None, {},
    ]}}))  # fmt: skip
    assert info["a"] == [1]
    assert words.shown_ports(info) == (
        PortBinding(container=ContainerPort(port=80), host_ip=ip_address("192.0.2.1"), host_port=8080),
        PortBinding(
            container=ContainerPort(port=53, protocol=Protocol.UDP), host_ip=ip_address("0.0.0.0"), host_port=53
        ),
    )
    assert words.endpoint_info(b"{}") == words.endpoint_info(text({"Value": None})) == {}
    assert words.shown_ports({words.PORT_MAP: "80"}) == ()
    for wrong in ([], {"Value": []}, {"Value": 7}):
        with pytest.raises(InvalidArgument):
            words.endpoint_info(text(wrong))


def test_pools_and_addresses() -> None:
    pool = words.pool_choice(text({"PoolID": "p", "Pool": "10.0.0.0/24", "Data": {words.GATEWAY: "10.0.0.1/24"}}))
    assert pool == PoolChoice(id="p", prefix=ip_network("10.0.0.0/24"), gateway=ip_interface("10.0.0.1/24"))
    assert words.pool_choice(text({"PoolID": "p", "Pool": "10.0.0.9/24", "Data": None})).prefix == pool.prefix
    assert words.address_choice(text({"Address": "10.0.0.9/24"})) == ip_interface("10.0.0.9/24")
    for wrong in ("", "10.0.0.9", "there/24", "fe80::1%eth0/64"):
        with pytest.raises(InvalidArgument):
            words.address_choice(text({"Address": wrong}))


def test_requests() -> None:
    data = [
        IpamData(space="l", pool=ip_network("10.0.0.0/24"), gateway=ip_interface("10.0.0.1/24"),
                 aux=(("printer", ip_interface("10.0.0.9/24")),)),
        IpamData(space="l", pool=ip_network("fd00::/64"), gateway=None),
    ]  # fmt: skip
    assert words.ipam_request(data) == {
        "IPv4Data": [{
            "AddressSpace": "l", "Pool": "10.0.0.0/24", "Gateway": "10.0.0.1/24",
            "AuxAddresses": {"printer": "10.0.0.9/24"},
        }],
        "IPv6Data": [{"AddressSpace": "l", "Pool": "fd00::/64"}],
    }  # fmt: skip
    assert words.network_options({"a": "b"}, ipv4=True, ipv6=False, internal=True) == {
        words.GENERIC: {"a": "b"}, words.ENABLE_IPV4: True, words.ENABLE_IPV6: False, words.INTERNAL: True,
    }  # fmt: skip
    addresses = (ip_interface("10.0.0.9/24"), ip_interface("fd00::9/64"))
    assert words.interface_request(addresses, "") == {
        "Address": "10.0.0.9/24", "AddressIPv6": "fd00::9/64", "MacAddress": "",
    }  # fmt: skip
    port = ContainerPort(port=80)
    assert words.port_options([port], [PortRequest(container=port, low=1, high=2)]) == {
        words.EXPOSED: [{"Proto": 6, "Port": 80}],
        words.PORT_MAP: [{"Proto": 6, "IP": "", "Port": 80, "HostIP": "", "HostPort": 1, "HostPortEnd": 2}],
    }
    assert words.pool_request("l", None, None, {}, v6=True) == {
        "AddressSpace": "l", "Pool": "", "SubPool": "", "Options": {}, "V6": True,
    }  # fmt: skip
    assert words.address_request("p", ip_address("10.0.0.9"), {"a": "b"}) == {
        "PoolID": "p", "Address": "10.0.0.9", "Options": {"a": "b"},
    }  # fmt: skip
    assert words.address_release("p", ip_address("10.0.0.9")) == {"PoolID": "p", "Address": "10.0.0.9"}
