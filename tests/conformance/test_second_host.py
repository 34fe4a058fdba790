"""What a second host on the outer link reaches, and what it never does."""

from __future__ import annotations

import ipaddress

import pytest

from harness.engine import Engine
from harness.machine import HOST4, HOST6, PEER4, PEER6


@pytest.fixture
def served(engine: Engine) -> Engine:
    """web: 8080 published everywhere, 8081 on loopback, 8082 on the outer address; both families; 80 itself not."""
    engine.docker("network", "create", "--ipv6", "n")
    argv = ["-p", "8080:80", "-p", "127.0.0.1:8081:80", "-p", "[::1]:8081:80", "-p", f"{HOST4}:8082:80"]
    engine.docker("run", "-d", "--name", "web", "--network", "n", *argv, "nginx")
    engine.listens("web", 80)
    return engine


@pytest.mark.parametrize("address", [HOST4, HOST6])
def test_published_ports_are_reachable(served: Engine, address: str) -> None:
    assert "Welcome" in served.machine.peer.get(address, 8080)


def test_a_port_on_the_outer_address(served: Engine) -> None:
    assert "Welcome" in served.machine.peer.get(HOST4, 8082)
    assert not served.machine.peer.reaches(HOST6, 8082)


@pytest.mark.parametrize(("address", "source"), [(HOST4, PEER4), (HOST6, PEER6)])
def test_the_source_address_is_preserved(served: Engine, address: str, source: str) -> None:
    seen = served.machine.peer.get(address, 8080, "/cgi-bin/who").strip().strip("[]").removeprefix("::ffff:")
    assert ipaddress.ip_address(seen) == ipaddress.ip_address(source)


def test_unpublished_ports_are_not(served: Engine) -> None:
    assert not served.machine.peer.reaches(HOST4, 80)
    assert not served.machine.peer.reaches(HOST6, 80)


def test_loopback_ports_are_not(served: Engine) -> None:
    peer = served.machine.peer
    assert not peer.reaches(HOST4, 8081)
    assert not peer.reaches(HOST6, 8081)
    # Even a host that routes 127/8 to us gets nothing.
    peer.run("sysctl", "-qw", "net.ipv4.conf.all.route_localnet=1")
    peer.run("ip", "route", "add", "127.9.0.0/16", "via", HOST4)
    assert not peer.reaches("127.9.0.1", 8081)
    assert served.host.reaches("127.9.0.1", 8081) is False
    assert served.host.reaches("127.0.0.1", 8081)
    assert served.host.reaches("::1", 8081)


@pytest.mark.docker_option(
    "direct access", section="publishing", shows="container addresses are not reached from outside"
)
def test_container_addresses_are_not(served: Engine) -> None:
    four, six = served.address("web", "n"), served.address6("web", "n")
    # The second host has routes to them, and the first one forwards.
    assert served.machine.peer.run("ip", "route", "get", four).startswith(f"{four} via {HOST4}")
    for address in (four, six):
        assert not served.machine.peer.reaches(address, 80)
    assert served.host.reaches(four, 80)
    assert served.host.reaches(six, 80)
    pinged = served.machine.peer.run("ping", "-c", "1", "-W", "1", four, check=False)
    assert "0 received" in pinged


def test_nor_the_default_bridges(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "web", "-p", "8080:80", "nginx")
    assert not engine.machine.peer.reaches(engine.address("web"), 80)
    assert "Welcome" in engine.machine.peer.get(HOST4, 8080)


def test_an_internal_network_publishes_nothing(engine: Engine) -> None:
    engine.docker("network", "create", "--internal", "n")
    engine.docker("run", "-d", "--name", "web", "--network", "n", "-p", "8080:80", "nginx")
    assert not engine.machine.peer.reaches(HOST4, 8080)
    assert not engine.machine.peer.reaches(engine.address("web", "n"), 80)


def test_replies_to_the_outside_come_back(served: Engine) -> None:
    done = served.docker("exec", "web", "ping", "-c", "2", "-W", "2", PEER4)
    assert ", 0% packet loss" in done.stdout


def test_a_stopped_container_is_not_reachable_through_another(served: Engine) -> None:
    served.docker("stop", "-t", "0", "web")
    served.docker("run", "-d", "--name", "other", "--network", "n", "nginx")
    assert not served.machine.peer.reaches(HOST4, 8080)
