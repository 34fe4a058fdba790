"""The firewall against real traffic: a host, containers on its networks, a second host on an outer link.

Every test runs with and without br_netfilter looking into the bridges, because either is found on real hosts.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from dataclasses import replace

import pytest

from fairlead.net import ruleset
from fairlead.net.state import Element
from harness import inside
from harness import lab as laboratory
from harness.lab import HOST4, HOST6, SECOND4, SECOND6, Lab

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

_BRIDGE = "com.docker.network.bridge"


@pytest.fixture(scope="module", params=["bridged traffic unseen", "bridged traffic seen"])
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    with laboratory.opened() as lab:
        seen = "1" if request.param == "bridged traffic seen" else "0"
        for family in ("", "6"):
            lab.set("host", f"net/bridge/bridge-nf-call-ip{family}tables", seen)
        _furnish(lab)
        yield lab


def _furnish(lab: Lab) -> None:
    lab.network("front", ipv6=True)
    lab.network("back")
    lab.network("quiet", options={f"{_BRIDGE}.enable_icc": "false"})
    lab.network("vault", internal=True, ipv6=True)
    lab.container(
        "web",
        "front",
        "8080:80",
        "5353:53/udp",
        "9000-9009:9000-9009",
        "7000-7004:6000-6004",
        "127.0.0.1:8081:81",
        f"{HOST4}:8082:82",
        "127.0.0.1:5454:54/udp",
        f"{HOST4}:9100-9105:9100-9105",
        f"[{HOST6}]:8083:83",
    )
    lab.container("peer", "front")
    lab.container("db", "back")
    lab.container("shy", "quiet", "8090:80")
    lab.container("shyer", "quiet")
    lab.container("gold", "vault", "8099:80")
    lab.container("silver", "vault")
    ports = (
        "80/tcp",
        "53/udp",
        "9000/tcp",
        "9005/tcp",
        "9009/tcp",
        "6002/tcp",
        "81/tcp",
        "82/tcp",
        "54/udp",
        "9103/tcp",
    )
    lab.serve("web", *ports, "83/tcp", "9999/tcp", "9999/udp")
    for name in ("peer", "db", "shy", "shyer", "gold", "silver", "second"):
        lab.serve(name, "80/tcp", "53/udp")
    lab.serve("host", "7777/tcp")


PUBLISHED = [
    (HOST4, 8080, "tcp"),
    (HOST6, 8080, "tcp"),
    (HOST4, 5353, "udp"),
    (HOST6, 5353, "udp"),
    (HOST4, 9000, "tcp"),
    (HOST4, 9005, "tcp"),
    (HOST6, 9009, "tcp"),
    (HOST4, 7002, "tcp"),
    (HOST6, 7002, "tcp"),
    (HOST4, 8082, "tcp"),
    (HOST4, 9103, "tcp"),
    (HOST6, 8083, "tcp"),
]


@pytest.mark.parametrize(("address", "port", "protocol"), PUBLISHED)
def test_second_host_reaches_published_ports_and_keeps_its_address(
    lab: Lab, address: str, port: int, protocol: str
) -> None:
    source = SECOND6 if ":" in address else SECOND4
    assert lab.ask("second", address, port, protocol) == f"web {source}"


@pytest.mark.parametrize(
    ("address", "port", "protocol"),
    [
        (HOST4, 8081, "tcp"),  # published on loopback only
        (HOST4, 5454, "udp"),
        (HOST6, 8082, "tcp"),  # published on an IPv4 address only
        (HOST4, 8083, "tcp"),
        (HOST4, 9999, "tcp"),  # not published
        (HOST4, 80, "tcp"),
        (HOST4, 9010, "tcp"),  # one beyond a range
        (HOST4, 8099, "tcp"),  # of an internal network
        (HOST4, 5353, "tcp"),  # the other protocol
    ],
)
def test_second_host_reaches_nothing_else(lab: Lab, address: str, port: int, protocol: str) -> None:
    assert lab.ask("second", address, port, protocol) == ""


@pytest.mark.parametrize("name", ["web", "peer", "db", "shy", "gold"])
@pytest.mark.parametrize("port", ["80/tcp", "9999/udp", "53/udp"])
def test_second_host_does_not_reach_container_addresses(lab: Lab, name: str, port: str) -> None:
    number, protocol = port.split("/")
    assert lab.ask("second", lab.address(name), int(number), protocol) == ""


def test_second_host_does_not_reach_container_ipv6_addresses(lab: Lab) -> None:
    assert [lab.ask("second", lab.address(name, 6), 80) for name in ("web", "peer", "gold")] == ["", "", ""]


@pytest.mark.parametrize(
    ("address", "port", "protocol"),
    [
        ("127.0.0.1", 8080, "tcp"),
        ("127.0.0.1", 8081, "tcp"),
        ("127.0.0.1", 5353, "udp"),
        ("127.0.0.1", 5454, "udp"),
        ("127.0.0.1", 9005, "tcp"),
        ("127.0.0.1", 7002, "tcp"),
        (HOST4, 8080, "tcp"),
        (HOST4, 8082, "tcp"),
        (HOST6, 8080, "tcp"),
        (HOST6, 7002, "tcp"),
    ],
)
def test_host_reaches_published_ports(lab: Lab, address: str, port: int, protocol: str) -> None:
    assert lab.ask("host", address, port, protocol).startswith("web ")


def test_host_reaches_container_addresses_under_its_own(lab: Lab) -> None:
    assert lab.ask("host", lab.address("web"), 80) == f"web {lab.gateway('front')}"
    assert lab.ask("host", lab.address("gold"), 80) == f"gold {lab.gateway('vault')}"
    assert lab.ask("host", lab.address("shyer"), 80) == f"shyer {lab.gateway('quiet')}"


def test_an_address_only_binding_is_not_on_loopback(lab: Lab) -> None:
    assert lab.ask("host", "127.0.0.1", 8082) == ""


@pytest.mark.parametrize("who", ["web", "peer", "db", "shyer"])
@pytest.mark.parametrize(
    ("address", "port", "protocol"), [(HOST4, 8080, "tcp"), (HOST4, 5353, "udp"), (HOST4, 9005, "tcp")]
)
def test_containers_reach_published_ports_through_the_host(
    lab: Lab, who: str, address: str, port: int, protocol: str
) -> None:
    """The container itself included: hairpin."""
    assert lab.ask(who, address, port, protocol).startswith("web ")


@pytest.mark.parametrize("who", ["web", "peer"])
def test_containers_reach_published_ports_through_the_host_over_ipv6(lab: Lab, who: str) -> None:
    assert lab.ask(who, HOST6, 8080).startswith("web ")


def test_containers_reach_published_ports_through_any_gateway(lab: Lab) -> None:
    assert lab.ask("peer", lab.gateway("front"), 8080).startswith("web ")
    assert lab.ask("db", lab.gateway("back"), 8080).startswith("web ")


def test_neighbours_see_each_other_unmasked(lab: Lab) -> None:
    assert lab.ask("peer", lab.address("web"), 9999) == f"web {lab.address('peer')}"
    assert lab.ask("peer", lab.address("web", 6), 9999) == f"web {lab.address('peer', 6)}"


def test_networks_are_isolated(lab: Lab) -> None:
    assert lab.ask("db", lab.address("web"), 80) == ""
    assert lab.ask("web", lab.address("db"), 80) == ""
    assert lab.ask("web", lab.address("db"), 53, "udp") == ""
    assert lab.ask("db", lab.address("shy"), 80) == ""


@pytest.mark.docker_option("com.docker.network.bridge.enable_icc", section="bridge")
def test_without_icc_neighbours_do_not_see_each_other(lab: Lab) -> None:
    assert lab.ask("shyer", lab.address("shy"), 80) == ""
    assert lab.ask("shyer", lab.address("shy"), 53, "udp") == ""


@pytest.mark.docker_option("com.docker.network.bridge.enable_icc", section="bridge")
def test_without_icc_not_even_through_the_gateway(lab: Lab) -> None:
    """A container may send to the bridge's MAC what is for its neighbour: it is routed, and must be dropped there."""
    lab.ip(lab.space("shyer"), "route", "add", lab.address("shy"), "via", lab.gateway("quiet"))
    try:
        assert lab.ask("shyer", lab.address("shy"), 80) == ""
    finally:
        lab.ip(lab.space("shyer"), "route", "del", lab.address("shy"))


def test_without_icc_ports_are_published_and_the_outside_is_there(lab: Lab) -> None:
    assert lab.ask("second", HOST4, 8090) == f"shy {SECOND4}"
    assert lab.ask("shy", SECOND4, 80) == f"second {HOST4}"


def test_outwards_under_the_hosts_address(lab: Lab) -> None:
    assert lab.ask("web", SECOND4, 80) == f"second {HOST4}"
    assert lab.ask("web", SECOND6, 80) == f"second {HOST6}"
    assert lab.ask("db", SECOND4, 53, "udp") == f"second {HOST4}"


@pytest.mark.docker_option("--internal", section="network")
def test_internal_networks_lead_nowhere(lab: Lab) -> None:
    lab.ip(lab.space("silver"), "route", "add", "default", "via", lab.gateway("vault"))
    try:
        assert lab.ask("silver", lab.address("gold"), 80) == f"gold {lab.address('silver')}"
        assert lab.ask("silver", lab.address("gold", 6), 80) == f"gold {lab.address('silver', 6)}"
        assert lab.ask("silver", SECOND4, 80) == ""
        assert lab.ask("silver", HOST4, 8080) == ""
        assert lab.ask("silver", lab.address("web"), 80) == ""
        assert lab.ask("web", lab.address("gold"), 80) == ""
        assert lab.ask("silver", lab.gateway("vault"), 7777) == f"host {lab.address('silver')}"
    finally:
        lab.ip(lab.space("silver"), "route", "del", "default")


def test_the_hosts_own_services_are_not_touched(lab: Lab) -> None:
    assert lab.ask("second", HOST4, 7777) == f"host {SECOND4}"
    assert lab.ask("web", lab.gateway("front"), 7777) == f"host {lab.address('web')}"


def test_what_the_kernel_lists_is_what_was_wanted(lab: Lab) -> None:
    listed = lab.inside(lab.kernel.nft.elements)
    wanted = {fact for fact in lab.wanted() if isinstance(fact, Element)}
    found = {
        Element(container=name, key=key, value=value) for name, all_ in listed.items() for key, value in all_.items()
    }
    assert found == wanted
    assert set(listed) == set(ruleset.CONTAINERS)


@pytest.fixture
def empty() -> Iterator[Lab]:
    with laboratory.opened() as lab:
        yield lab


def test_a_loopback_packet_from_the_wire_is_dropped(empty: Lab) -> None:
    """Even where the administrator lets 127/8 in from the outer link."""
    empty.network("front")
    empty.container("web", "front", "127.0.0.1:5454:54/udp")
    empty.serve("web", "54/udp")
    second = empty.space("second")
    empty.ip(second, "addr", "flush", "dev", "lo")
    empty.set("second", "net/ipv4/conf/eth0/route_localnet", "1")
    empty.ip(second, "route", "add", "127.0.0.0/8", "via", HOST4, "src", SECOND4)
    empty.set("host", "net/ipv4/conf/up0/route_localnet", "1")
    assert empty.ask("second", "127.0.0.1", 5454, "udp", source=SECOND4) == ""
    empty.nft("flush chain inet fairlead loopback")
    assert empty.ask("second", "127.0.0.1", 5454, "udp", source=SECOND4) == f"web {SECOND4}"


def test_a_container_cannot_speak_to_the_hosts_loopback(empty: Lab) -> None:
    """route_localnet on the bridge is for the host's own packets only."""
    empty.network("front")
    empty.container("web", "front")
    web = empty.space("web")
    empty.serve("host", "127.0.0.1 7777/udp")
    empty.ip(web, "addr", "flush", "dev", "lo")
    empty.set("web", "net/ipv4/conf/eth0/route_localnet", "1")
    empty.ip(web, "route", "add", "127.0.0.0/8", "via", empty.gateway("front"), "src", empty.address("web"))
    assert empty.ask("web", "127.0.0.1", 7777, "udp", source=empty.address("web")) == ""
    empty.nft("flush chain inet fairlead loopback")
    assert empty.ask("web", "127.0.0.1", 7777, "udp", source=empty.address("web")).startswith("host ")


@pytest.mark.docker_option("com.docker.network.bridge.gateway_mode_ipv4=routed", section="bridge")
def test_routed_networks(empty: Lab) -> None:
    """No translation: published ports at the container's own address, nothing else."""
    empty.network("open", options={f"{_BRIDGE}.gateway_mode_ipv4": "routed"})
    empty.network("other")
    empty.container("web", "open", "0.0.0.0:8080:80")
    empty.container("db", "other")
    empty.serve("web", "80/tcp", "9999/tcp")
    empty.serve("second", "80/tcp")
    assert empty.ask("second", empty.address("web"), 80) == f"web {SECOND4}"
    assert empty.ask("db", empty.address("web"), 80).startswith("web ")
    assert empty.ask("second", empty.address("web"), 9999) == ""
    assert empty.ask("second", HOST4, 8080) == ""
    assert empty.ask("web", SECOND4, 80) == f"second {empty.address('web')}"


@pytest.mark.docker_option("com.docker.network.bridge.gateway_mode_ipv4=nat-unprotected", section="bridge")
def test_unprotected_networks(empty: Lab) -> None:
    empty.network("open", options={f"{_BRIDGE}.gateway_mode_ipv4": "nat-unprotected"})
    empty.container("web", "open", "8080:80")
    empty.serve("web", "80/tcp", "9999/tcp")
    empty.serve("second", "80/tcp")
    assert empty.ask("second", empty.address("web"), 9999) == f"web {SECOND4}"
    assert empty.ask("second", HOST4, 8080) == f"web {SECOND4}"
    assert empty.ask("web", SECOND4, 80) == f"second {HOST4}"


@pytest.mark.docker_option("com.docker.network.bridge.trusted_host_interfaces", section="bridge")
def test_trusted_interfaces_reach_published_ports_directly(empty: Lab) -> None:
    empty.network("front", options={f"{_BRIDGE}.trusted_host_interfaces": "up0"})
    empty.network("other")
    empty.container("web", "front", "8080:80", "9000-9009:9000-9009")
    empty.container("db", "other")
    empty.serve("web", "80/tcp", "9005/tcp", "9999/tcp")
    assert empty.ask("second", empty.address("web"), 80) == f"web {SECOND4}"
    assert empty.ask("second", empty.address("web"), 9005) == f"web {SECOND4}"
    assert empty.ask("second", empty.address("web"), 9999) == ""
    assert empty.ask("db", empty.address("web"), 80) == ""


@pytest.mark.docker_option("com.docker.network.host_ipv4", section="bridge")
def test_a_source_address_of_ones_own(empty: Lab) -> None:
    empty.ip(empty.host, "addr", "add", "192.0.2.9/24", "dev", "up0")
    empty.network("front", options={"com.docker.network.host_ipv4": "192.0.2.9"})
    empty.container("web", "front")
    empty.serve("second", "80/tcp")
    assert empty.ask("web", SECOND4, 80) == "second 192.0.2.9"


@pytest.mark.docker_option("com.docker.network.bridge.enable_ip_masquerade", section="bridge")
def test_without_masquerade(empty: Lab) -> None:
    empty.network("front", options={f"{_BRIDGE}.enable_ip_masquerade": "false"})
    empty.container("web", "front")
    empty.serve("second", "80/tcp")
    assert empty.ask("web", SECOND4, 80) == f"second {empty.address('web')}"


def test_the_administrators_table_is_heard_first(empty: Lab) -> None:
    """By the port the client asked for, which is what people know."""
    empty.network("front")
    empty.container("web", "front", "8080:80", "8081:81")
    empty.serve("web", "80/tcp", "81/tcp")
    empty.nft("add rule inet fairlead-user forward meta l4proto tcp ct original proto-dst 8080 drop")
    assert empty.ask("second", HOST4, 8080) == ""
    assert empty.ask("second", HOST4, 8081) == f"web {SECOND4}"


def test_what_is_taken_away_is_closed(empty: Lab) -> None:
    empty.network("front", ipv6=True)
    endpoint = empty.container("web", "front", "8080:80", "9000-9099:9000-9099")
    empty.serve("web", "80/tcp", "9050/tcp")
    assert empty.ask("second", HOST4, 8080)
    assert empty.ask("second", HOST6, 9050)
    empty.endpoints["web"] = replace(endpoint, published=())
    empty.settle()
    assert [empty.ask("second", HOST4, 8080), empty.ask("second", HOST6, 9050), empty.ask("host", HOST4, 8080)] == [
        ""
    ] * 3
    empty.endpoints["web"] = endpoint
    empty.settle()
    assert empty.ask("second", HOST4, 8080)
    assert empty.ask("second", HOST6, 9050)
    del empty.endpoints["web"], empty.networks["front"]
    empty.settle()
    assert not any(empty.inside(empty.kernel.nft.elements).values())


def test_a_reload_of_the_table_keeps_connections(empty: Lab) -> None:
    """The whole table replaced at once, as after tampering: an open connection does not notice."""
    empty.network("front")
    empty.container("web", "front", "8080:80")
    web = inside.run(empty.space("web").path, lambda: socket.create_server(("0.0.0.0", 80)))
    client = inside.run(empty.space("second").path, lambda: socket.create_connection((HOST4, 8080), timeout=2))
    with web, client:
        server, _ = web.accept()
        with server:
            wanted = [fact for fact in empty.wanted() if isinstance(fact, Element)]
            empty.inside(lambda: empty.kernel.nft.load(ruleset.load(wanted)))
            client.sendall(b"still")
            assert server.recv(16) == b"still"
            server.sendall(b"here")
            assert client.recv(16) == b"here"
    assert empty.inside(empty.kernel.nft.elements)["published4"] == {"tcp . 8080": f"{empty.address('web')} . 80"}
