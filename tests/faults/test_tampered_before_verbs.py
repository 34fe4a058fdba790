"""Verbs that come a moment after somebody took away what they stand on, before anything was repaired."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.engine import Engine, wait_until
from harness.machine import HOST4

TAMPERINGS: dict[str, str] = {
    "the table deleted": "nft delete table inet fairlead",
    "all elements flushed": "nft flush set inet fairlead bridges; nft flush map inet fairlead published4",
    "the bridge deleted": "ip link del brx",
    "the bridge down": "ip link set brx down",
    "the pins deleted": "for name in $(ls /run/netns); do ip netns del $name; done",
    "every veth deleted": "for link in /sys/class/net/veth*; do ip link del ${link##*/} || true; done",
}


def start(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "new", "--network", "n", "-p", "9090:80", "nginx")
    engine.listens("new", 80)
    wait_until(lambda: engine.machine.peer.reaches(HOST4, 9090), "the new one is published")


def connect(engine: Engine) -> None:
    engine.docker("network", "connect", "m", "web")
    assert "eth1" in engine.execute("web", "ls", "/sys/class/net")


def disconnect(engine: Engine) -> None:
    engine.docker("network", "disconnect", "n", "web")
    assert "eth0" not in engine.execute("web", "ls", "/sys/class/net")
    engine.docker("network", "connect", "n", "web")


def rename(engine: Engine) -> None:
    engine.docker("rename", "web", "shop")
    assert "shop" in engine.host.run("ls", "/run/netns").split()
    engine.docker("rename", "shop", "web")


def remove(engine: Engine) -> None:
    engine.docker("rm", "-f", "web")
    engine.docker("run", "-d", "--name", "web", "--network", "n", "-p", "8080:80", "nginx")


def create(engine: Engine) -> None:
    engine.docker("network", "create", "-o", "com.docker.network.bridge.name=bry", "fresh")
    assert "inet " in engine.host.run("ip", "address", "show", "bry")
    engine.docker("network", "rm", "fresh")


VERBS = [start, connect, disconnect, rename, remove, create]


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.__name__)
@pytest.mark.parametrize("what", TAMPERINGS)
def test_a_verb_right_after(engine: Engine, what: str, verb: Callable[[Engine], None]) -> None:
    engine.docker("network", "create", "-o", "com.docker.network.bridge.name=brx", "n")
    engine.docker("network", "create", "m")
    engine.docker("run", "-d", "--name", "web", "--network", "n", "-p", "8080:80", "nginx")
    engine.listens("web", 80)
    engine.host.run("sh", "-c", TAMPERINGS[what])
    verb(engine)
    wait_until(lambda: engine.machine.peer.reaches(HOST4, 8080), "all is well again", seconds=3)
    wait_until(
        lambda: engine.host.run("ip", "-n", "web", "route", check=False).startswith("default"), "and inside", seconds=3
    )
