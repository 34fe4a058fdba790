"""A whole engine on Debian's kernel: ipvlan on a VLAN link, containers that find each other, a published port."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from harness import images
from harness.engine import Engine, wait_until
from harness.machine import Machine

EMULATED = 120.0  # seconds of patience where the processor is emulated


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    archive = tmp_path_factory.mktemp("images") / "busybox.tar"
    archive.write_bytes(images.archive([recipe for recipe in images.recipes() if "busybox:latest" in recipe.names]))
    machine = Machine()
    engine = Engine(machine)
    try:
        engine.start(EMULATED)
        engine.fairlead("load", "-i", str(archive), timeout=EMULATED)
        yield engine
    finally:
        engine.close()
        machine.close()


def fairlead(engine: Engine, *argv: str) -> str:
    return engine.fairlead(*argv, timeout=EMULATED).stdout.strip()


def links(engine: Engine) -> set[str]:
    return {link["ifname"] for link in json.loads(engine.host.run("ip", "-j", "link"))}


def test_ipvlan_on_a_vlan_link(engine: Engine) -> None:
    before = links(engine)
    engine.machine.peer.run("ip", "link", "add", "link", "eth0", "name", "eth0.10", "type", "vlan", "id", "10")
    engine.machine.peer.run("ip", "address", "add", "10.7.0.254/24", "dev", "eth0.10")
    engine.machine.peer.run("ip", "link", "set", "eth0.10", "up")
    fairlead(
        engine,
        *("network", "create", "-d", "ipvlan", "-o", "parent=eth0.10", "-o", "fairlead.host_shim=true"),
        *("--subnet", "10.7.0.0/24", "--gateway", "10.7.0.254", "lan"),
    )
    for name in ("one", "two"):
        fairlead(engine, "run", "-d", "--name", name, "--network", "lan", "busybox", "sleep", "1000")
    fairlead(engine, "exec", "one", "ping", "-c", "1", "-W", "5", "two")
    fairlead(engine, "exec", "one", "ping", "-c", "1", "-W", "5", "10.7.0.254")
    address = fairlead(engine, "inspect", "-f", "{{.NetworkSettings.Networks.lan.IPAddress}}", "two")
    engine.host.run("ping", "-c", "1", "-W", "5", address)
    # What a stranger takes away comes back, with all that stood on it.
    engine.host.run("ip", "link", "delete", "eth0.10")
    wait_until(lambda: reaches(engine, address), "VLAN link, the host's link and the containers' are back", EMULATED)
    fairlead(engine, "rm", "-f", "one", "two")
    fairlead(engine, "network", "rm", "lan")
    assert links(engine) == before


def reaches(engine: Engine, address: str) -> bool:
    return " 0% packet loss" in engine.host.run("ping", "-c", "1", "-W", "1", address, check=False)


def test_a_published_port_on_a_bridge_network(engine: Engine) -> None:
    fairlead(
        engine,
        *("run", "-d", "--name", "web", "-p", "8080:80", "busybox"),
        *("sh", "-c", "echo Welcome >/index.html; exec httpd -f -p 80 -h /"),
    )
    wait_until(lambda: engine.host.reaches("127.0.0.1", 8080, 5), "the page is there", EMULATED)
    assert "Welcome" in engine.host.get("127.0.0.1", 8080, "/index.html", 10)
    fairlead(engine, "rm", "-f", "web")
