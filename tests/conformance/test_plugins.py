"""Network and IPAM plugins, driven by the official client: what they are told, and what containers get by it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.engine import Engine
from harness.machine import Machine
from harness.plugins import Plugin


@pytest.fixture(scope="module")
def directory(machine: Machine) -> Path:
    path = machine.base / "plugins"
    path.mkdir()
    return path


@pytest.fixture(scope="module")
def daemon_flags(directory: Path) -> list[str]:
    return ["--plugin-dir", str(directory), "--plugin-timeout", "2s"]


@pytest.fixture
def net(engine: Engine, directory: Path) -> Iterator[Plugin]:
    """The network plugin ``testnet``; whatever a test breaks in it, it runs again at the end of the test."""
    yield from _running(engine, Plugin(engine.host, directory, "network", "testnet"))


@pytest.fixture
def ipam(engine: Engine, directory: Path) -> Iterator[Plugin]:
    """The IPAM plugin ``testipam``. In the end it holds nothing."""
    yield from _running(engine, Plugin(engine.host, directory, "ipam", "testipam"))


def _running(engine: Engine, plugin: Plugin) -> Iterator[Plugin]:
    plugin.start()
    yield plugin
    plugin.faults({})
    plugin.close()
    for leftover in plugin.socket.parent.glob(f"{plugin.name}.*"):
        leftover.unlink()


def sleeper(engine: Engine, name: str, *flags: str) -> None:
    engine.docker("run", "-d", "--name", name, *flags, "busybox", "sleep", "1000")


def links(engine: Engine, name: str) -> dict[str, dict[str, object]]:
    """The interfaces in a container, by name."""
    shown = engine.host.run("nsenter", f"--net={engine.netns(name)}", "ip", "-j", "address")
    return {link["ifname"]: link for link in json.loads(shown) if link["ifname"] != "lo"}


def routes(engine: Engine, name: str) -> set[tuple[str, str]]:
    shown = engine.host.run("nsenter", f"--net={engine.netns(name)}", "ip", "-j", "route")
    return {(route["dst"], route.get("gateway", "")) for route in json.loads(shown)}


def test_a_network_plugins_life(engine: Engine, net: Plugin) -> None:
    engine.docker("network", "create", "-d", "testnet", "--subnet", "10.9.0.0/24", "-o", "colour=blue", "plug")
    network = engine.network("plug")
    assert (network["Driver"], network["Scope"]) == ("testnet", "local")
    created = net.last("CreateNetwork")
    assert created["NetworkID"] == network["Id"]
    assert created["Options"]["com.docker.network.generic"] == {"colour": "blue"}
    assert created["Options"]["com.docker.network.enable_ipv6"] is False
    assert created["IPv4Data"] == [{"AddressSpace": "LocalDefault", "Pool": "10.9.0.0/24", "Gateway": "10.9.0.1/24"}]
    sleeper(engine, "one", "--network", "plug")
    sleeper(engine, "two", "--network", "plug", "--ip", "10.9.0.77")
    assert net.names()[2:5] == ["CreateEndpoint", "Join", "ProgramExternalConnectivity"]
    inside = links(engine, "two")
    assert list(inside) == ["eth0"]
    assert [a["local"] for a in inside["eth0"]["addr_info"] if a["family"] == "inet"] == ["10.9.0.77"]  # type: ignore[attr-defined]
    assert ("default", "10.9.0.1") in routes(engine, "two")
    shown = engine.inspect("two")["NetworkSettings"]["Networks"]["plug"]
    assert (shown["IPAddress"], shown["Gateway"], shown["MacAddress"]) == (
        "10.9.0.77",
        "10.9.0.1",
        inside["eth0"]["address"],
    )
    engine.execute("one", "ping", "-c1", "-W2", "two")
    engine.docker("rm", "-f", "one", "two")
    assert net.names().count("DeleteEndpoint") == 2
    assert net.names().count("Leave") == 2
    assert net.names().count("RevokeExternalConnectivity") == 2
    engine.docker("network", "rm", "plug")
    assert net.last("DeleteNetwork") == {"NetworkID": network["Id"]}
