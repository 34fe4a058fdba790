"""Published ports about which the host's own input rules decide: real rules of the host's, real traffic."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from harness import lab as laboratory
from harness.lab import HOST4, HOST6, SECOND4, SECOND6, Lab

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

JUDGED = {"fairlead.publish_policy": "host-firewall"}
PORTS = ((8080, "tcp"), (5353, "udp"), (9005, "tcp"), (8082, "tcp"))


@pytest.fixture(scope="module", params=["0", "1"], ids=["loose rp_filter", "strict rp_filter"])
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    with laboratory.opened() as lab:
        lab.set("host", "net/ipv4/conf/all/rp_filter", request.param)
        lab.network("shop", options=JUDGED, ipv6=True)
        lab.network("open")
        lab.container(
            "web", "shop", "8080:80", "5353:53/udp", "9000-9009:9000-9009", f"{HOST4}:8082:82", "[::]:8083:83"
        )
        lab.container("peer", "shop")
        lab.container("other", "open", "8090:80")
        lab.serve("web", "80/tcp", "53/udp", "9005/tcp", "82/tcp", "83/tcp")
        lab.serve("other", "80/tcp")
        yield lab


@pytest.fixture
def rules(lab: Lab) -> Iterator[Lab]:
    """The host's administrator has an input chain; what the test puts into it is gone afterwards."""
    lab.nft("table inet host { chain input { type filter hook input priority filter; policy accept; }; }")
    yield lab
    lab.nft("delete table inet host")


def decide(lab: Lab, rule: str) -> None:
    lab.nft(f"add rule inet host input {rule}")


@pytest.mark.parametrize(("port", "protocol"), PORTS)
def test_what_the_host_lets_in_arrives_with_the_clients_address(lab: Lab, port: int, protocol: str) -> None:
    assert lab.ask("second", HOST4, port, protocol) == f"web {SECOND4}"


@pytest.mark.parametrize(("port", "protocol"), [(8080, "tcp"), (5353, "udp"), (8083, "tcp")])
def test_the_same_by_ipv6(lab: Lab, port: int, protocol: str) -> None:
    assert lab.ask("second", HOST6, port, protocol) == f"web {SECOND6}"


@pytest.mark.parametrize(("port", "protocol"), PORTS)
def test_what_the_host_drops_does_not_arrive(rules: Lab, port: int, protocol: str) -> None:
    decide(rules, f"{protocol} dport {port} drop")
    assert rules.ask("second", HOST4, port, protocol) == ""
    others = [(number, kind) for number, kind in PORTS if number != port]
    assert all(rules.ask("second", HOST4, number, kind) for number, kind in others)


def test_what_the_host_drops_does_not_arrive_by_ipv6(rules: Lab) -> None:
    decide(rules, f"ip6 saddr {SECOND6} tcp dport 8080 drop")
    assert rules.ask("second", HOST6, 8080) == ""
    assert rules.ask("second", HOST6, 8083) == f"web {SECOND6}"


def test_a_host_that_lets_nothing_in_but_one_port(rules: Lab) -> None:
    decide(rules, "ct state established,related accept")
    decide(rules, "tcp dport 8080 accept")
    decide(rules, 'iifname "up0" drop')
    assert rules.ask("second", HOST4, 8080) == f"web {SECOND4}"
    assert rules.ask("second", HOST4, 8082) == ""


def test_a_network_that_publishes_openly_is_not_judged(rules: Lab) -> None:
    decide(rules, "tcp dport 8090 drop")
    assert rules.ask("second", HOST4, 8090) == f"other {SECOND4}"


def test_the_host_itself_and_containers_are_not_judged(rules: Lab) -> None:
    decide(rules, "tcp dport { 8080, 8082 } drop")
    assert rules.ask("host", "127.0.0.1", 8080).startswith("web ")
    assert rules.ask("host", HOST4, 8082).startswith("web ")
    assert rules.ask("peer", HOST4, 8080).startswith("web ")
    assert rules.ask("web", HOST4, 8080).startswith("web ")
    assert rules.ask("other", HOST4, 8080).startswith("web ")


def test_a_port_that_is_not_published_any_more_is_refused_and_goes_round_no_loop(lab: Lab) -> None:
    lab.nft("add element inet fairlead judged4 { tcp . 6789 }")
    assert lab.ask("second", HOST4, 6789) == ""
    lab.nft("delete element inet fairlead judged4 { tcp . 6789 }")
