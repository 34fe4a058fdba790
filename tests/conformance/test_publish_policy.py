"""Who decides about published ports, by the official client: the network's option, the engine's flag, over repairs."""

from __future__ import annotations

import json

import pytest

from harness.engine import Engine, wait_until
from harness.machine import HOST4, HOST6

LABEL = "fairlead.publish_policy"
DENY = (
    "table inet host { chain input { type filter hook input priority filter; policy accept; tcp dport 8080 drop; }; }"
)


@pytest.fixture
def shop(engine: Engine) -> Engine:
    """Web on a network whose ports the host's firewall decides about, other on an ordinary one."""
    engine.docker("network", "create", "--ipv6", "-o", f"{LABEL}=host-firewall", "shop")
    engine.docker("run", "-d", "--name", "web", "--network", "shop", "-p", "8080:80", "nginx")
    engine.docker("run", "-d", "--name", "other", "-p", "8090:80", "nginx")
    engine.listens("web", 80)
    engine.listens("other", 80)
    return engine


def links(engine: Engine) -> set[str]:
    return {link["ifname"] for link in json.loads(engine.host.run("ip", "-j", "link"))}


def test_the_hosts_rules_decide_from_one_moment_to_the_next(shop: Engine) -> None:
    peer = shop.machine.peer
    assert peer.reaches(HOST4, 8080)
    assert peer.reaches(HOST6, 8080)
    shop.host.run("nft", "-f", "-", text=DENY)
    try:
        assert not peer.reaches(HOST4, 8080)
        assert not peer.reaches(HOST6, 8080)
        assert peer.reaches(HOST4, 8090)
        assert shop.host.reaches("127.0.0.1", 8080)
    finally:
        shop.host.run("nft", "delete", "table", "inet", "host")
    assert peer.reaches(HOST4, 8080)


@pytest.mark.parametrize(
    "damage",
    [
        "ip link delete fl-out",
        "nft delete table ip fairlead",
        "nft flush chain inet fairlead arrive",
        "ip rule delete pref 31001",
        "ip link set fl-in down",
    ],
)
def test_what_a_stranger_breaks_of_it_is_mended(shop: Engine, damage: str) -> None:
    shop.host.run("sysctl", "-qw", "net.ipv4.conf.all.rp_filter=1")
    try:
        assert shop.machine.peer.reaches(HOST4, 8080)
        shop.host.run(*damage.split())
        wait_until(lambda: shop.machine.peer.reaches(HOST4, 8080, timeout=0.3), "mended", seconds=5)
    finally:
        shop.host.run("sysctl", "-qw", "net.ipv4.conf.all.rp_filter=0")


def test_a_daemon_that_is_killed_leaves_it_to_the_next(shop: Engine) -> None:
    shop.kill()
    assert shop.machine.peer.reaches(HOST4, 8080)
    shop.start()
    assert shop.machine.peer.reaches(HOST4, 8080)
    assert {"fl-in", "fl-out"} <= links(shop)


def test_the_last_network_that_wants_it_takes_it_along(shop: Engine) -> None:
    shop.docker("network", "create", "-o", f"{LABEL}=host-firewall", "second")
    shop.docker("network", "rm", "second")
    assert {"fl-in", "fl-out"} <= links(shop)
    assert shop.machine.peer.reaches(HOST4, 8080)
    shop.docker("rm", "-f", "web")
    shop.docker("network", "rm", "shop")
    assert not {"fl-in", "fl-out"} & links(shop)
    assert "31001" not in shop.host.run("ip", "rule")


def test_an_unknown_policy_is_refused_with_the_known_ones(engine: Engine) -> None:
    done = engine.docker("network", "create", "-o", f"{LABEL}=ask", "n", check=False)
    assert done.returncode == 1
    assert "choose open or host-firewall" in done.stderr
