"""macvlan networks through the official client: who reaches whom, on the link that the host has to the second host."""

from __future__ import annotations

import json

import pytest

from harness.engine import Engine, wait_until
from harness.machine import HOST4, OUTER4, PEER4

LAN = ("--subnet", OUTER4, "--ip-range", "198.51.100.64/26")


def lan(engine: Engine, *options: str, name: str = "lan", subnet: tuple[str, ...] = LAN) -> None:
    engine.docker("network", "create", "-d", "macvlan", *subnet, "-o", "parent=eth0", *options, name)


def sleeper(engine: Engine, name: str, *flags: str) -> None:
    engine.docker("run", "-d", "--name", name, *flags, "busybox", "sleep", "1000")


def web(engine: Engine, name: str, *flags: str) -> None:
    engine.docker("run", "-d", "--name", name, *flags, "nginx")
    engine.listens(name, 80)


def pings(engine: Engine, name: str, address: str) -> bool:
    return engine.docker("exec", name, "ping", "-c", "1", "-W", "1", address, check=False).returncode == 0


def links(engine: Engine) -> set[str]:
    return {link["ifname"] for link in json.loads(engine.host.run("ip", "-j", "link"))}


@pytest.mark.docker_option("parent", section="macvlan")
def test_a_container_is_a_station_of_its_own_on_the_parents_network(engine: Engine) -> None:
    lan(engine, "--gateway", PEER4)
    web(engine, "web", "--network", "lan")
    sleeper(engine, "other", "--network", "lan", "--ip", "198.51.100.99", "--mac-address", "02:00:00:00:00:99")
    address = engine.address("web", "lan")
    assert engine.machine.peer.get(address, 80)
    assert pings(engine, "other", address)
    assert pings(engine, "other", "web")
    # The gateway is the second host, and the host itself is out of reach.
    assert f"default via {PEER4}" in engine.execute("other", "ip", "route")
    assert pings(engine, "other", PEER4)
    assert not pings(engine, "other", HOST4)
    assert not engine.host.reaches(address, 80)
    assert "02:00:00:00:00:99" in engine.execute("other", "cat", "/sys/class/net/eth0/address")
    shown = engine.inspect("other")["NetworkSettings"]["Networks"]["lan"]
    assert (shown["MacAddress"], shown["IPAddress"], shown["Gateway"]) == ("02:00:00:00:00:99", "198.51.100.99", PEER4)


def test_names_are_answered_as_on_any_user_network(engine: Engine) -> None:
    lan(engine)
    web(engine, "web", "--network", "lan", "--network-alias", "shop")
    sleeper(engine, "other", "--network", "lan")
    for name in ("web", "shop"):
        assert engine.address("web", "lan") in engine.execute("other", "nslookup", f"{name}.")


def test_no_gateway_is_chosen_for_a_network_that_names_none(engine: Engine) -> None:
    lan(engine)
    sleeper(engine, "one", "--network", "lan")
    assert "default" not in engine.execute("one", "ip", "route")
    assert "Gateway" not in engine.network("lan")["IPAM"]["Config"][0]
    assert pings(engine, "one", PEER4)


def test_a_link_that_a_stranger_deleted_comes_back(engine: Engine) -> None:
    lan(engine, "--gateway", PEER4)
    sleeper(engine, "one", "--network", "lan")
    engine.host.run("ip", "netns", "exec", "one", "ip", "link", "delete", "eth0")
    wait_until(lambda: pings(engine, "one", PEER4), "the link is back", seconds=4)
    assert f"default via {PEER4}" in engine.execute("one", "ip", "route")


def test_stopping_takes_everything_away_and_the_same_mac_is_free_at_once(engine: Engine) -> None:
    lan(engine)
    sleeper(engine, "one", "--network", "lan", "--mac-address", "02:00:00:00:00:77", "--ip", "198.51.100.77")
    for _ in range(3):
        engine.docker("restart", "-t", "0", "one")
        assert pings(engine, "one", PEER4)


def test_a_running_container_joins_and_leaves(engine: Engine) -> None:
    lan(engine)
    sleeper(engine, "one")
    engine.docker("network", "connect", "--ip", "198.51.100.98", "lan", "one")
    assert pings(engine, "one", PEER4)
    assert "198.51.100.98" in engine.execute("one", "ip", "address", "show", "eth1")
    engine.docker("network", "disconnect", "lan", "one")
    assert "eth1" not in engine.execute("one", "ip", "link")
    engine.docker("network", "connect", "lan", "one")
    assert "eth1" in engine.execute("one", "ip", "link")
