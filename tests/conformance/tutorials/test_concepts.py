"""A tutorial that walks through the concepts of container networking, section by section."""

from __future__ import annotations

import json

from harness.engine import Engine, wait_until
from harness.machine import HOST4


def names(engine: Engine) -> list[str]:
    return engine.out("network", "ls", "--format", "{{.Name}}").splitlines()


def test_listing_networks(engine: Engine) -> None:
    lines = engine.out("network", "ls").splitlines()
    assert lines[0].split() == ["NETWORK", "ID", "NAME", "DRIVER", "SCOPE"]
    assert {tuple(line.split()[1:]) for line in lines[1:]} == {
        ("bridge", "bridge", "local"),
        ("host", "host", "local"),
        ("none", "null", "local"),
    }


def test_creating_a_network(engine: Engine) -> None:
    created = engine.out("network", "create", "--driver", "bridge", "my_network")
    found = engine.network("my_network")
    assert (found["Id"], found["Driver"], found["Scope"]) == (created, "bridge", "local")


def test_connecting_and_disconnecting_a_container(engine: Engine) -> None:
    engine.docker("network", "create", "first_network")
    engine.docker("network", "create", "my_network")
    engine.docker("run", "-d", "--name", "my_container", "--network=first_network", "my_image")
    engine.docker("network", "connect", "my_network", "my_container")
    assert engine.address("my_container", "my_network") in engine.execute("my_container", "ip", "-4", "address")
    engine.docker("network", "disconnect", "my_network", "my_container")
    assert "eth1" not in engine.execute("my_container", "ip", "link")
    assert list(engine.inspect("my_container")["NetworkSettings"]["Networks"]) == ["first_network"]


def test_removing_a_network(engine: Engine) -> None:
    network = engine.out("network", "create", "my_network")
    assert engine.out("network", "rm", "my_network") == "my_network"
    assert "my_network" not in names(engine)
    assert f"br-{network[:12]}" not in engine.host.run("ip", "link")


def test_the_default_bridge_by_address_not_by_name(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "container1", "my_image")
    address = engine.address("container1")
    engine.docker("run", "--rm", "busybox", "ping", "-c", "1", "-W", "2", address)
    failed = engine.docker("run", "--rm", "busybox", "ping", "-c", "1", "-W", "2", "container1", check=False)
    assert failed.returncode == 1
    assert "bad address" in failed.stderr


def test_a_custom_bridge_by_name(engine: Engine) -> None:
    engine.docker("network", "create", "my_custom_bridge")
    engine.docker("run", "-d", "--network=my_custom_bridge", "--name=container1", "my_image")
    page = engine.out("run", "--rm", "--network=my_custom_bridge", "busybox", "wget", "-q", "-O-", "http://container1/")
    assert "Welcome to nginx!" in page


def test_publishing_ports(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "web", "-p", "8080:80", "nginx")
    assert "Welcome to nginx!" in engine.machine.peer.get(HOST4, 8080)
    assert engine.out("port", "web").splitlines()[0] == "80/tcp -> 0.0.0.0:8080"


def test_exposing_all_ports(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "web", "-P", "my_image")
    port = int(engine.out("port", "web", "80").splitlines()[0].rpartition(":")[2])
    assert "Welcome to nginx!" in engine.machine.peer.get(HOST4, port)


def test_host_networking(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "web", "--network", "host", "my_image")
    wait_until(lambda: engine.host.reaches("127.0.0.1", 80), "the server listens on the host itself")
    assert "Welcome to nginx!" in engine.machine.peer.get(HOST4, 80)


def test_inspecting_network_details(engine: Engine) -> None:
    engine.docker("network", "create", "my_network")
    engine.docker("run", "-d", "--network", "my_network", "--name", "my_container", "my_image")
    found = engine.network("my_network")
    (entry,) = found["Containers"].values()
    assert entry["Name"] == "my_container"
    assert entry["IPv4Address"].partition("/")[0] == engine.address("my_container", "my_network")


def test_viewing_a_containers_network_settings(engine: Engine) -> None:
    engine.docker("network", "create", "my_network")
    engine.docker("run", "-d", "--network", "my_network", "--name", "my_container", "my_image")
    settings = json.loads(engine.out("inspect", "--format={{json .NetworkSettings.Networks}}", "my_container"))
    assert list(settings) == ["my_network"]
    assert settings["my_network"]["Gateway"] == engine.network("my_network")["IPAM"]["Config"][0]["Gateway"]


def test_debugging_tools_in_a_container(engine: Engine) -> None:
    assert f"inet {HOST4}/24" in engine.out("run", "--rm", "--net=host", "nicolaka/netshoot")


def test_a_dns_alias(engine: Engine) -> None:
    engine.docker("network", "create", "my_network")
    engine.docker("run", "-d", "--network", "my_network", "--network-alias", "my_alias", "my_image")
    page = engine.out("run", "--rm", "--network", "my_network", "busybox", "wget", "-q", "-O-", "http://my_alias/")
    assert "Welcome to nginx!" in page


def test_none_disables_all_networking(engine: Engine) -> None:
    shown = engine.out("run", "--rm", "--network", "none", "busybox", "ip", "-o", "link")
    assert [line.split()[1] for line in shown.splitlines()] == ["lo:"]
