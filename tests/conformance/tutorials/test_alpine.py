"""A tutorial with pairs of alpine containers on the default and on a user-defined bridge, section by section."""

from __future__ import annotations

import pytest

from harness.engine import Engine
from harness.terminal import Terminal


@pytest.fixture
def pair(engine: Engine) -> Engine:
    for name in ("alpine1", "alpine2"):
        engine.docker("run", "-dit", "--name", name, "alpine", "ash")
    return engine


def test_the_management_commands(engine: Engine) -> None:
    shown = engine.out("network", "--help")
    for verb in ("connect", "create", "disconnect", "inspect", "ls", "prune", "rm"):
        assert f"  {verb} " in shown


def test_prune_removes_unused_networks_only(engine: Engine) -> None:
    engine.docker("network", "create", "used")
    engine.docker("network", "create", "unused")
    engine.docker("run", "-dit", "--name", "alpine1", "--network", "used", "alpine", "ash")
    assert engine.out("network", "prune", "-f").splitlines() == ["Deleted Networks:", "unused"]
    assert "used" in engine.out("network", "ls", "--format", "{{.Name}}").splitlines()


def test_two_containers_are_listed(pair: Engine) -> None:
    lines = pair.out("container", "ls").splitlines()
    assert lines[0].split() == ["CONTAINER", "ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"]
    assert {line.split()[-1] for line in lines[1:]} == {"alpine1", "alpine2"}
    assert all('"ash"' in line and " Up " in line for line in lines[1:])


def test_the_bridge_lists_both(pair: Engine) -> None:
    found = {entry["Name"]: entry["IPv4Address"] for entry in pair.network("bridge")["Containers"].values()}
    assert sorted(found) == ["alpine1", "alpine2"]
    assert all(address.endswith("/16") for address in found.values())


def test_attach_ping_and_detach(pair: Engine) -> None:
    other = pair.address("alpine2")
    with Terminal(["docker", "attach", "alpine1"], pair.environment) as screen:
        screen.type("\n")
        screen.expect("/ # ")
        screen.type("ping -c 2 google.com\n")
        screen.expect(", 0% packet loss", 15)
        screen.type(f"ping -c 2 {other}\n")
        screen.expect(", 0% packet loss", 15)
        screen.type("ping -c 2 alpine2\n")
        screen.expect("bad address 'alpine2'", 15)
        screen.expect("/ # ")
        screen.type(b"\x10")
        screen.type(b"\x11")
        screen.expect("read escape sequence")
        screen.end()
    assert pair.inspect("alpine1")["State"]["Running"] is True


def test_stop_and_remove(pair: Engine) -> None:
    assert pair.out("container", "stop", "-t", "1", "alpine1", "alpine2").split() == ["alpine1", "alpine2"]
    assert pair.out("container", "rm", "alpine1", "alpine2").split() == ["alpine1", "alpine2"]
    assert pair.out("ps", "-aq") == ""


def test_user_defined_bridge(engine: Engine) -> None:
    engine.docker("network", "create", "--driver", "bridge", "alpine-net")
    assert "alpine-net" in engine.out("network", "ls", "--format", "{{.Name}}").splitlines()
    everyone = [f"alpine{n}" for n in range(1, 5)]
    for name in everyone:
        engine.docker("run", "-dit", "--name", name, "--network", "alpine-net", "alpine", "ash")
    found = {entry["Name"]: entry["IPv4Address"] for entry in engine.network("alpine-net")["Containers"].values()}
    assert sorted(found) == everyone
    for name in everyone:
        shown = engine.execute("alpine1", "ping", "-c", "1", "-W", "2", name)
        assert f"({found[name].partition('/')[0]})" in shown
