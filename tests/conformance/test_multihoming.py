"""Containers on several networks: which interface is which, and by which one answers leave."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from conformance.test_live_networks import repairs, sleeper, web
from harness.engine import Engine, wait_until
from harness.machine import HOST4, PEER4

BRIDGE = "com.docker.network.bridge"
# A client behind the second host, which no network of ours is beside.
FAR = "203.0.113.9"


@contextmanager
def far_client(engine: Engine) -> Iterator[None]:
    engine.machine.peer.run("ip", "address", "add", f"{FAR}/32", "dev", "lo")
    try:
        yield
    finally:
        engine.machine.peer.run("ip", "address", "del", f"{FAR}/32", "dev", "lo")


def answers(engine: Engine, address: str, port: int = 80) -> bool:
    """Whether the far client is served."""

    def ask() -> bytes:
        with socket.socket() as link:
            link.settimeout(1.5)
            link.bind((FAR, 0))
            link.connect((address, port))
            link.send(b"GET / HTTP/1.0\r\n\r\n")
            return link.recv(4096)

    with suppress(OSError):
        return b"200" in engine.machine.peer.call(ask)
    return False


def inside(engine: Engine, name: str, *words: str) -> str:
    return engine.host.run("nsenter", f"--net={engine.netns(name)}", "ip", *words)


def rules(engine: Engine, name: str) -> list[str]:
    """Those beyond the kernel's own."""
    shown = inside(engine, name, "rule").splitlines() + inside(engine, name, "-6", "rule").splitlines()
    return [line for line in shown if not line.startswith(("0:", "32766:", "32767:"))]


def interfaces(engine: Engine, name: str, networks: int) -> list[str]:
    """The networks behind eth0, eth1 …, by their addresses."""
    found = engine.inspect(name)["NetworkSettings"]["Networks"]
    homes = {settings["IPAddress"]: network for network, settings in found.items()}
    shown = [engine.execute(name, "ip", "-4", "address", "show", f"eth{number}") for number in range(networks)]
    return [next(home for address, home in homes.items() if f"inet {address}/" in text) for text in shown]


def test_through_every_network_that_leads_out(engine: Engine) -> None:
    lan = ["--subnet", "198.51.100.0/24", "--gateway", PEER4, "--ip-range", "198.51.100.128/26"]
    told = repairs(engine)
    engine.docker("network", "create", "n")
    engine.docker("network", "create", "-d", "macvlan", "-o", "parent=eth0", *lan, "lan")
    web(engine, "--network", "n", "-p", "8080:80")
    engine.docker("network", "connect", "--gw-priority", "-1", "lan", "web")
    address = engine.address("web", "lan")
    with far_client(engine):
        assert answers(engine, HOST4, 8080)
        assert answers(engine, address)
        engine.docker("restart", "-t", "0", "web")
        engine.listens("web", 80)
        assert answers(engine, engine.address("web", "lan"))
        assert answers(engine, HOST4, 8080)
        engine.kill()
        engine.start()
        assert answers(engine, engine.address("web", "lan"))
    assert repairs(engine) == told


def test_a_strict_host(engine: Engine) -> None:
    """With reverse path filtering an answer by another interface would be dropped."""
    engine.docker("network", "create", "--subnet", "172.30.7.0/24", "n")
    open_ = ["-o", f"{BRIDGE}.gateway_mode_ipv4=nat-unprotected", "-o", f"{BRIDGE}.name=bropen"]
    engine.docker("network", "create", "--subnet", "172.30.8.0/24", *open_, "open")
    web(engine, "--network", "n", "-p", "8080:80")
    engine.docker("network", "connect", "--gw-priority", "-1", "open", "web")
    bridge = f"br-{engine.network('n')['Id'][:12]}"
    for link in ("all", bridge, "bropen"):
        engine.host.run("sh", "-c", f"echo 1 > /proc/sys/net/ipv4/conf/{link}/rp_filter")
    try:
        with far_client(engine):
            assert answers(engine, engine.address("web", "open"))
            assert answers(engine, HOST4, 8080)
    finally:
        engine.host.run("sh", "-c", "echo 0 > /proc/sys/net/ipv4/conf/all/rp_filter")


def test_one_way_out_has_no_rules(engine: Engine) -> None:
    engine.docker("network", "create", "n")
    engine.docker("network", "create", "--internal", "inner")
    sleeper(engine, "box", "--network", "n")
    engine.docker("network", "connect", "inner", "box")
    assert rules(engine, "box") == []
    engine.docker("network", "create", "--ipv6", "second")
    engine.docker("network", "connect", "second", "box")
    assert len(rules(engine, "box")) == 2
    assert "dev eth2" in inside(engine, "box", "route", "show", "table", "1002")
    engine.docker("network", "disconnect", "second", "box")
    assert rules(engine, "box") == []
    assert "table" not in inside(engine, "box", "route", "show", "table", "all").replace("table local", "")


def test_both_families(engine: Engine) -> None:
    engine.docker("network", "create", "--ipv6", "one")
    engine.docker("network", "create", "--ipv6", "two")
    web(engine, "--network", "one")
    engine.docker("network", "connect", "two", "web")
    assert len(rules(engine, "web")) == 4
    for network in ("one", "two"):
        sleeper(engine, f"ask-{network}", "--network", network)
        for address in (engine.address("web", network), f"[{engine.address6('web', network)}]"):
            assert "Welcome" in engine.execute(f"ask-{network}", "wget", "-q", "-O-", f"http://{address}/")


@pytest.mark.parametrize("what", [["rule", "del", "priority", "1001"], ["route", "flush", "table", "1001"]])
def test_what_a_stranger_removes_is_put_back(engine: Engine, what: list[str]) -> None:
    engine.docker("network", "create", "one")
    engine.docker("network", "create", "two")
    sleeper(engine, "box", "--network", "one")
    engine.docker("network", "connect", "two", "box")
    before = rules(engine, "box"), inside(engine, "box", "route", "show", "table", "1001")
    inside(engine, "box", *what)
    wait_until(
        lambda: (rules(engine, "box"), inside(engine, "box", "route", "show", "table", "1001")) == before,
        "it is there again",
    )


def test_subnets_added_live_are_known_to_the_tables(engine: Engine) -> None:
    told = repairs(engine)
    engine.docker("network", "create", "--subnet", "172.30.7.0/24", "one")
    engine.docker("network", "create", "--subnet", "172.30.8.0/24", "two")
    sleeper(engine, "box", "--network", "one")
    engine.docker("network", "connect", "two", "box")
    engine.fairlead("network", "update", "--subnet-add", "172.30.9.0/24", "two")
    assert "172.30.9.0/24 dev eth1" in inside(engine, "box", "route", "show", "table", "1001")
    engine.fairlead("network", "update", "--subnet-rm", "172.30.9.0/24", "two")
    assert "172.30.9" not in inside(engine, "box", "route", "show", "table", "all")
    assert repairs(engine) == told


NETWORKS = ["zeta", "alpha", "mid"]


def test_interfaces_in_the_order_of_the_command_line(engine: Engine) -> None:
    for name in NETWORKS:
        engine.docker("network", "create", name)
    flags = [word for name in NETWORKS for word in ("--network", name)]
    engine.fairlead("run", "-d", "--name", "ours", *flags, "busybox", "sleep", "1000")
    assert interfaces(engine, "ours", 3) == NETWORKS
    engine.docker("restart", "-t", "0", "ours")
    assert interfaces(engine, "ours", 3) == NETWORKS
    # Docker's client sends them as a map, which Go sorts by name: only the first keeps its place.
    engine.docker("run", "-d", "--name", "theirs", *flags, "busybox", "sleep", "1000")
    assert interfaces(engine, "theirs", 3) == ["zeta", "alpha", "mid"]
    reverse = [word for name in reversed(NETWORKS) for word in ("--network", name)]
    engine.docker("run", "-d", "--name", "sorted", *reverse, "busybox", "sleep", "1000")
    assert interfaces(engine, "sorted", 3) == ["mid", "alpha", "zeta"]
    engine.fairlead("run", "-d", "--name", "reverse", *reverse, "busybox", "sleep", "1000")
    assert interfaces(engine, "reverse", 3) == ["mid", "alpha", "zeta"]


def test_interfaces_in_the_order_of_a_librarys_call(engine: Engine) -> None:
    for name in NETWORKS:
        engine.docker("network", "create", name)
    with engine.low() as api:
        endpoints = api.create_networking_config({name: api.create_endpoint_config() for name in NETWORKS})
        host = api.create_host_config(network_mode="zeta")
        made = api.create_container(
            "busybox", ["sleep", "1000"], name="lib", networking_config=endpoints, host_config=host
        )
        api.start(made["Id"])
    assert interfaces(engine, "lib", 3) == NETWORKS
