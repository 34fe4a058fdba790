"""A tutorial that publishes a notebook server and then reaches it by name, section by section."""

from __future__ import annotations

import ipaddress

from harness.engine import Engine, wait_until
from harness.machine import HOST4
from harness.terminal import Terminal

NOTEBOOK = ("jupyter/minimal-notebook", "start-notebook.sh", "--NotebookApp.token=''")


def test_the_three_networks(engine: Engine) -> None:
    assert sorted(engine.out("network", "ls", "--format", "{{.Name}}").splitlines()) == ["bridge", "host", "none"]


def test_ps_shows_the_exposed_port(engine: Engine) -> None:
    engine.docker("run", "-d", *NOTEBOOK)
    assert engine.out("ps", "--format", "{{.Ports}}") == "8888/tcp"
    assert "8888/tcp" in engine.out("ps")


def test_unpublished_it_is_not_reachable_from_outside(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "gigantic_brown", *NOTEBOOK)
    assert not engine.machine.peer.reaches(HOST4, 8888)
    assert engine.out("rm", "-f", "gigantic_brown") == "gigantic_brown"


def test_published_it_is(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "lab", "-p", "8888:8888", *NOTEBOOK)
    assert "0.0.0.0:8888->8888/tcp" in engine.out("ps", "--format", "{{.Ports}}")
    for address in ("127.0.0.1", HOST4):
        assert "Jupyter" in engine.host.get(address, 8888)
    assert "Jupyter" in engine.machine.peer.get(HOST4, 8888)
    assert "Serving notebooks with" in engine.out("logs", "lab")


def test_inspect_bridge_lists_it_with_its_address(engine: Engine) -> None:
    container = engine.out("run", "-d", *NOTEBOOK)
    entry = engine.network("bridge")["Containers"][container]
    address = ipaddress.ip_interface(entry["IPv4Address"])
    assert address in ipaddress.ip_network("172.17.0.0/16")
    # On the bridge's own addresses no publishing is needed, from the host.
    wait_until(lambda: engine.host.reaches(str(address.ip), 8888), "the host reaches the container's address")


def test_create_a_network_of_ones_own(engine: Engine) -> None:
    engine.docker("network", "create", "my_net")
    assert "my_net" in engine.out("network", "ls", "--format", "{{.Name}}").splitlines()


def test_names_on_a_custom_network(engine: Engine) -> None:
    engine.docker("network", "create", "my_net")
    engine.docker("run", "-d", "--name=jupyter", "--network=my_net", *NOTEBOOK)
    argv = ["docker", "run", "-it", "--rm", "--name=debian", "--network", "my_net", "debian"]
    with Terminal(argv, engine.environment) as screen:
        screen.expect("# ")
        screen.type("ping -c 1 -w 4 jupyter\n")
        screen.expect(", 0% packet loss")
        screen.type("ping -c 1 -w 4 debian\n")
        screen.expect(", 0% packet loss")
        screen.type("exit\n")
        assert screen.end() == 0
