"""Bodies of the calls that Docker does not have."""

from __future__ import annotations

import json
from ipaddress import ip_address, ip_network

import pytest

from fairlead.errors import InvalidArgument
from fairlead.ids import check_alias
from fairlead.model.container import PortMap
from fairlead.model.network import IpamConfig
from fairlead.model.port import ContainerPort, PortRequest, Protocol
from fairlead.model.requests import EndpointUpdate, NetworkUpdate
from fairlead.wire.extensions import parse_endpoint_update, parse_network_update, parse_ports, parse_publish
from fairlead.wire.ports import parse_bindings, render_bindings


def test_ports_in_both_forms() -> None:
    assert parse_ports(b'{"Publish": ["127.0.0.1:8080:80", "published=53,target=53,protocol=udp", "81"]}') == (
        PortRequest(container=ContainerPort(port=80), host_ip=ip_address("127.0.0.1"), low=8080, high=8080),
        PortRequest(container=ContainerPort(port=53, protocol=Protocol.UDP), low=53, high=53),
        PortRequest(container=ContainerPort(port=81)),
    )


def test_ranges() -> None:
    assert [request.low for request in parse_publish(["8000-8002:9000-9002/tcp"])] == [8000, 8001, 8002]
    (one,) = parse_publish(["[::1]:8000-8002:80"])
    assert (one.low, one.high, one.host_ip) == (8000, 8002, ip_address("::1"))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "EOF"),
        (b"{}", "no port is named"),
        (b'{"Publish": []}', "no port is named"),
        (b'{"Publish": "80"}', "Publish"),
        (b'{"Publish": [80]}', "Publish"),
        (b'{"Publish": [""]}', 'invalid publish "": no port specified'),
        (b'{"Publish": ["8080:"]}', "no port specified"),
        (b'{"Publish": ["99999:80"]}', "invalid hostPort: 99999"),
        (b'{"Publish": ["8080:80/icmp"]}', "invalid proto: icmp"),
        (b'{"Publish": ["300.1.1.1:8080:80"]}', "invalid IP address: 300.1.1.1"),
        (b'{"Publish": ["8000-8001:80-82"]}', "invalid ranges specified"),
        (b'{"Publish": ["8001-8000:80"]}', "invalid hostPort: 8001-8000"),
        (b'{"Publish": ["8080:0"]}', "invalid port specification"),
        (b'{"Publish": ["published=80"]}', "no port specified"),
    ],
)
def test_what_is_no_port(body: bytes, words: str) -> None:
    with pytest.raises(InvalidArgument, match="^" if words == "EOF" else "invalid") as caught:
        parse_ports(body)
    assert words in str(caught.value)


def test_port_bindings_that_ask_for_the_same() -> None:
    bindings = {
        "80/tcp": (PortMap(host_port="8080"), PortMap(host_ip="::1", host_port="7000-7002")),
        "53/udp": (PortMap(),),
    }
    assert render_bindings(parse_bindings(bindings)) == bindings


def test_a_network_update() -> None:
    body = {
        "Name": "new",
        "Labels": {"a": "1"},
        "RemoveLabels": ["b"],
        "Options": {"x": "y"},
        "DNS": ["10.0.0.1", "::2"],
        "AddSubnets": [{"Subnet": "10.2.0.0/24", "Gateway": "10.2.0.9"}],
        "RemoveSubnets": ["10.1.0.0/24"],
    }
    assert parse_network_update(json.dumps(body).encode()) == NetworkUpdate(
        name="new",
        labels={"a": "1"},
        remove_labels=("b",),
        options={"x": "y", "fairlead.dns": "10.0.0.1,::2"},
        add_subnets=(IpamConfig(subnet=ip_network("10.2.0.0/24"), gateway=ip_address("10.2.0.9")),),
        remove_subnets=(ip_network("10.1.0.0/24"),),
    )
    assert parse_network_update(b'{"DNS": []}') == NetworkUpdate(remove_options=("fairlead.dns",))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{}", "nothing is to change"),
        (b'{"Labels": {"a": 1}}', "Labels"),
        (b'{"AddSubnets": [{"Subnet": "10.1.0.1/24"}]}', "it should be 10.1.0.0/24"),
        (b'{"AddSubnets": [{"Gateway": "10.1.0.1"}]}', "has no Subnet"),
        (b'{"RemoveSubnets": ["10.1.0.1/24"]}', "it should be 10.1.0.0/24"),
        (b'{"RemoveSubnets": [""]}', "a subnet to remove is empty"),
        (b'{"RemoveSubnets": "10.1.0.0/24"}', "RemoveSubnets"),
    ],
)
def test_what_is_no_network_update(body: bytes, words: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse_network_update(body)
    assert words in str(caught.value)


def test_an_endpoint_update() -> None:
    assert parse_endpoint_update(b'{"Aliases": [], "GwPriority": -1}') == EndpointUpdate(aliases=(), gw_priority=-1)
    assert parse_endpoint_update(b'{"AddAliases": ["a"]}') == EndpointUpdate(add_aliases=("a",))
    with pytest.raises(InvalidArgument, match="nothing is to change"):
        parse_endpoint_update(b"{}")
    with pytest.raises(InvalidArgument, match="GwPriority"):
        parse_endpoint_update(b'{"GwPriority": "high"}')


@pytest.mark.parametrize("alias", ["db", "DB_1", "a.b-c.d", "x" * 63, "0"])
def test_aliases(alias: str) -> None:
    assert check_alias(alias) == alias


@pytest.mark.parametrize(
    "alias", ["", ".", "a..b", "a.", "-a", "a-", "a b", "x" * 64, "a/b", "ü", ".".join(["x" * 60] * 5)]
)
def test_what_is_no_alias(alias: str) -> None:
    with pytest.raises(InvalidArgument, match="invalid alias"):
        check_alias(alias)
