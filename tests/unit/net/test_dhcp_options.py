"""What users may say about DHCP."""

from __future__ import annotations

from typing import Any

import pytest

from fairlead.errors import InvalidArgument
from fairlead.ids import ContainerId
from fairlead.model.container import Config, Container, ContainerSpec, HostConfig
from fairlead.model.endpoint import EndpointSpec
from fairlead.model.network import IpamConfig, NetworkSpec
from fairlead.net.dhcp_options import check_network, check_parent, client_of, stable_mac, timeout_of
from unit.net.things import CONTAINER, endpoint, ip, network


def spec(**fields: Any) -> NetworkSpec:
    return NetworkSpec(**({"name": "lan", "driver": "macvlan", "ipam_driver": "dhcp"} | fields))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"driver": "ipvlan"}, "share their parent's MAC"),
        ({"driver": "overlay"}, "is for macvlan and bridge networks, not overlay"),
        ({"ipam": (IpamConfig(gateway=ip("192.0.2.1")),)}, "leave out --subnet"),
        ({"options": {"fairlead.host_shim": "true"}}, "fairlead.host_shim needs an address of its own"),
        ({"enable_ipv4": False, "enable_ipv6": True}, "DHCP gives IPv4 addresses"),
        ({"ipam_options": {"timeout": "5s"}}, "has no option timeout: it has fairlead.dhcp.timeout"),
        ({"ipam_options": {"fairlead.dhcp.timeout": "soon"}}, "as in 10s or 500ms"),
        ({"ipam_options": {"fairlead.dhcp.timeout": "0s"}}, "as in 10s or 500ms"),
        ({"ipam_options": {"fairlead.dhcp.timeout": "61s"}}, "up to 60s"),
    ],
)
def test_a_network_whose_addresses_no_server_can_give(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        check_network(spec(**fields))
    assert words in str(refused.value)


@pytest.mark.parametrize(("text", "seconds"), [("10s", 10), ("500ms", 0.5), ("1.5s", 1.5), ("60s", 60)])
def test_how_long_a_start_waits(text: str, seconds: float) -> None:
    asked = spec(ipam_options={"fairlead.dhcp.timeout": text})
    check_network(asked)
    assert timeout_of(asked) == seconds


def test_a_start_waits_ten_seconds_unless_told() -> None:
    assert timeout_of(spec()) == 10


def test_a_bridge_of_our_own_leads_to_no_server() -> None:
    with pytest.raises(InvalidArgument, match=r"com\.docker\.network\.bridge\.name=br0"):
        check_parent(network(ipam_driver="dhcp"))
    with pytest.raises(InvalidArgument, match="give -o parent=eth0"):
        check_parent(network(driver="macvlan", internal=True))
    check_parent(network(driver="macvlan", options={"parent": "eth0"}))


def container(name: str = "web", hostname: str = "") -> Container:
    asked = ContainerSpec(config=Config(image="busybox", hostname=hostname), host=HostConfig(), networks={}, ports=())
    return Container(
        id=ContainerId(CONTAINER), name=name, created=0, image="", spec=asked, path="", args=(), mounts=(), runtime=""
    )


@pytest.mark.parametrize(
    ("name", "hostname", "option", "sent"),
    [
        ("web", "", "", "web"),
        ("web", CONTAINER[:12], "", "web"),
        ("web", "printer.example", "", "printer"),
        ("web", "printer", "scanner", "scanner"),
        ("shop_web.1", "", "", "shop-web"),
        ("_", "", "", ""),
        ("x" * 80, "", "", "x" * 63),
    ],
)
def test_the_hostname_a_server_is_told(name: str, hostname: str, option: str, sent: str) -> None:
    options = {"fairlead.dhcp.hostname": option} if option else {}
    assert client_of(endpoint(), EndpointSpec(options=options), container(name, hostname)).hostname == sent


@pytest.mark.parametrize(
    ("text", "raw"), [("01:0A:ff", b"\x01\x0a\xff"), ("shop", b"\0shop"), ("0a", b"\x000a"), ("1:2", b"\x001:2")]
)
def test_client_ids_are_octets_or_words(text: str, raw: bytes) -> None:
    asked = EndpointSpec(options={"fairlead.dhcp.client_id": text})
    assert client_of(endpoint(), asked, container()).id == raw


def test_a_client_is_the_same_at_every_start() -> None:
    first = client_of(endpoint(), EndpointSpec(), container())
    again = client_of(endpoint(id="f" * 64), EndpointSpec(), container())
    assert first == again
    assert (first.id[0], len(first.id)) == (0xFF, 23)
    assert stable_mac(endpoint()) == stable_mac(endpoint(id="f" * 64))
    assert int(stable_mac(endpoint())[:2], 16) & 3 == 2


def test_an_address_that_is_asked_for_is_the_only_one() -> None:
    client = client_of(endpoint(), EndpointSpec(ipv4=ip("192.0.2.9")), container())
    assert (client.wanted, client.only) == (ip("192.0.2.9"), True)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"fairlead.dhcp.hostname": "a b"}, "a b is no host name"),
        ({"fairlead.dhcp.hostname": "-a"}, "is no host name"),
        ({"fairlead.dhcp.client_id": "x" * 300}, "more than 254 octets"),
        ({"fairlead.dhcp.hostnam": "a"}, "there is no option fairlead.dhcp.hostnam"),
    ],
)
def test_an_endpoint_that_cannot_be_asked_for(options: dict[str, str], words: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        client_of(endpoint(), EndpointSpec(options=options), container())
    assert words in str(refused.value)
