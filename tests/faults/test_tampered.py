"""What a stranger deletes or changes of ours is put back: by events within a second, by the beat within ten."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest

from harness import snapshot
from harness.engine import Engine, wait_until
from harness.machine import HOST4

TABLE = ("inet", "fairlead")


@pytest.fixture
def served(engine: Engine) -> Engine:
    engine.docker("network", "create", "--ipv6", "-o", "com.docker.network.bridge.name=brx", "n")
    engine.docker("run", "-d", "--name", "web", "--network", "n", "-p", "8080:80", "nginx")
    engine.docker("run", "-d", "--name", "asker", "--network", "n", "busybox", "sleep", "1000")
    return engine


def host_side(engine: Engine, alias: str) -> str:
    links = json.loads(engine.host.run("ip", "-j", "-d", "link"))
    return next(str(link["ifname"]) for link in links if link.get("ifalias") == alias)


def works(engine: Engine) -> bool:
    return (
        engine.machine.peer.reaches(HOST4, 8080)
        and engine.host.reaches("127.0.0.1", 8080)
        and engine.docker("exec", "asker", "wget", "-q", "-O-", "http://web/", check=False).returncode == 0
    )


def gateway(engine: Engine) -> str:
    config = engine.network("n")["IPAM"]["Config"]
    return next(str(part["Gateway"]) for part in config if "." in part["Gateway"])


def delete_element(engine: Engine) -> None:
    """Every element of the first map that has any."""
    for entry in json.loads(engine.host.run("nft", "-j", "list", "table", *TABLE))["nftables"]:
        if "map" in entry and entry["map"].get("elem"):
            engine.host.run("nft", "flush", "map", *TABLE, entry["map"]["name"])
            return
    raise AssertionError("no map has elements")


def rename(link: str, name: str) -> str:
    return f"ip link set {link} down && ip link set {link} name {name} && ip link set {name} up"


TAMPERINGS: dict[str, Callable[[Engine], object]] = {
    "the table deleted": lambda e: e.host.run("nft", "delete", "table", *TABLE),
    "all rules flushed": lambda e: e.host.run("nft", "flush", "table", *TABLE),
    "elements deleted": delete_element,
    "the bridge down": lambda e: e.host.run("ip", "link", "set", "brx", "down"),
    "the bridge deleted": lambda e: e.host.run("ip", "link", "del", "brx"),
    "the gateway address deleted": lambda e: e.host.run("ip", "address", "flush", "dev", "brx", "scope", "global"),
    "a veth down": lambda e: e.host.run("ip", "link", "set", host_side(e, "web/n"), "down"),
    "a veth off its bridge": lambda e: e.host.run("ip", "link", "set", host_side(e, "web/n"), "nomaster"),
    "a veth deleted": lambda e: e.host.run("ip", "link", "del", host_side(e, "web/n")),
    "a rule added": lambda e: e.host.run("nft", "insert", "rule", *TABLE, "forward", "accept"),
    "a rule deleted": lambda e: e.host.run("nft", "flush", "chain", *TABLE, "loopback"),
    "an element added": lambda e: e.host.run("nft", "add", "element", *TABLE, "no_icc", '{ "brx" }'),
    "the ruleset flushed": lambda e: e.host.run("nft", "flush", "ruleset"),
    "much at once": lambda e: e.host.run("sh", "-c", "nft flush ruleset; ip link del brx; ip link set docker0 down"),
    "the mtu changed": lambda e: e.host.run("ip", "link", "set", "brx", "mtu", "1280"),
}
INSIDE: dict[str, Callable[[Engine], object]] = {
    "the address inside deleted": lambda e: e.host.run("ip", "-n", "web", "address", "flush", "dev", "eth0"),
    "the route inside deleted": lambda e: e.host.run("ip", "-n", "web", "route", "del", "default"),
    "the link inside down": lambda e: e.host.run("ip", "-n", "web", "link", "set", "eth0", "down"),
    "a veth renamed": lambda e: e.host.run("sh", "-c", rename(host_side(e, "web/n"), "theirs0")),
    "the bridge renamed": lambda e: e.host.run("sh", "-c", rename("brx", "theirs1")),
    "the link inside renamed": lambda e: e.host.run(
        "ip", "netns", "exec", "web", "sh", "-c", rename("eth0", "theirs2")
    ),
    "the link inside deleted": lambda e: e.host.run("ip", "-n", "web", "link", "del", "eth0"),
    "localhost no longer routed": lambda e: e.host.run("sysctl", "-qw", "net.ipv4.conf.brx.route_localnet=0"),
    "hairpin off": lambda e: e.host.run(
        "ip", "link", "set", host_side(e, "web/n"), "type", "bridge_slave", "hairpin", "off"
    ),
    "forwarding off": lambda e: e.host.run("sysctl", "-qw", "net.ipv4.ip_forward=0"),
    "no way to the resolver": lambda e: e.host.run("ip", "netns", "exec", "asker", "nft", "flush", "ruleset"),
    "half a way to the resolver": lambda e: e.host.run(
        "ip", "netns", "exec", "asker", "nft", "flush", "chain", "ip", "fairlead-dns", "output"
    ),
    "the pin unmounted": lambda e: e.host.run("umount", "/run/netns/web"),
    "the pin removed": lambda e: e.host.run("ip", "netns", "delete", "web"),
}


def addresses(engine: Engine) -> set[str]:
    """Those of web's eth0, without the link-local one, which is the kernel's."""
    shown = engine.host.run("ip", "-n", "web", "-br", "address", "show", "eth0", check=False).split()
    return {address for address in shown[2:] if not address.startswith("fe80:")}


def repaired(engine: Engine, tamper: Callable[[Engine], object], seconds: float) -> None:
    before, inner, since = snapshot.take(engine), addresses(engine), str(time.time())
    tamper(engine)

    def told() -> bool:
        window = ("--since", since, "--until", str(time.time()))
        return "repair" in engine.out("events", *window, "--format", "{{.Action}}").split()

    def same() -> bool:
        if snapshot.difference(before, snapshot.take(engine)) or not inner <= addresses(engine):
            return False
        return "default" in engine.host.run("ip", "-n", "web", "route", check=False) and told()

    try:
        wait_until(same, "all is as it was", seconds)
    except AssertionError:
        left = snapshot.difference(before, snapshot.take(engine))
        pytest.fail(f"not repaired in {seconds} s: {left}; an event tells of a repair: {told()}")
    wait_until(lambda: works(engine), "traffic flows again", 3)


@pytest.mark.parametrize("what", TAMPERINGS)
def test_repaired_within_a_second(served: Engine, what: str) -> None:
    wait_until(lambda: works(served), "it works to begin with")
    repaired(served, TAMPERINGS[what], 1.0 + 0.5)


@pytest.mark.parametrize("what", INSIDE)
def test_repaired_within_ten_seconds(served: Engine, what: str) -> None:
    wait_until(lambda: works(served), "it works to begin with")
    repaired(served, INSIDE[what], 10.0)


def test_repaired_at_start_too(served: Engine) -> None:
    before = snapshot.take(served)
    served.kill()
    served.host.run("nft", "delete", "table", *TABLE)
    served.host.run("ip", "link", "del", host_side(served, "web/n"))
    served.host.run("ip", "address", "flush", "dev", "brx", "scope", "global")
    served.start()
    wait_until(lambda: not snapshot.difference(before, snapshot.take(served)), "all is as it was", 2)
    assert works(served)


def test_strangers_things_are_left_alone(served: Engine) -> None:
    served.host.run("ip", "link", "add", "theirs", "type", "bridge")
    served.host.run("ip", "address", "add", "10.200.0.1/24", "dev", "theirs")
    served.host.run("nft", "add", "table", "inet", "theirs")
    served.host.run("ip", "netns", "add", "theirs")
    try:
        served.kill()
        served.start()
        time.sleep(0.5)
        assert "10.200.0.1/24" in served.host.run("ip", "address", "show", "theirs")
        assert "table inet theirs" in served.host.run("nft", "list", "tables")
        assert "theirs" in served.host.run("ls", "/run/netns").split()
    finally:
        served.host.run("ip", "link", "del", "theirs")
        served.host.run("nft", "delete", "table", "inet", "theirs")
        served.host.run("ip", "netns", "del", "theirs")


def test_a_container_named_like_a_strangers_namespace(engine: Engine) -> None:
    engine.host.run("ip", "netns", "add", "taken")
    try:
        engine.docker("run", "-d", "--name", "taken", "busybox", "sleep", "100")
        found = engine.inspect("taken")
        assert found["NetworkSettings"]["SandboxKey"] == f"/run/netns/taken.{found['Id'][:12]}"
        engine.docker("rm", "-f", "taken")
        assert engine.host.run("ls", "/run/netns").split() == ["taken"]
    finally:
        engine.host.run("ip", "netns", "del", "taken")
