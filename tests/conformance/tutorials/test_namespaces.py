"""A tutorial about network namespaces, custom networks and port forwarding, section by section."""

from __future__ import annotations

import ipaddress
import os

from harness.engine import Engine
from harness.terminal import Terminal


def test_a_container_is_a_writable_layer_that_disappears(engine: Engine) -> None:
    engine.docker("run", "--name", "first", "busybox", "sh", "-c", "echo mine > /tmp/file")
    assert engine.out("run", "--rm", "busybox", "ls", "/tmp") == ""
    assert "A /tmp/file" in engine.out("diff", "first").splitlines()
    engine.docker("rm", "first")
    assert "first" not in engine.out("ps", "-a", "--format", "{{.Names}}").splitlines()


def test_the_process_id_names_a_network_namespace(engine: Engine) -> None:
    engine.docker("run", "-dit", "--name", "cont1", "busybox")
    pid = engine.inspect("cont1")["State"]["Pid"]
    assert os.path.exists(f"/proc/{pid}/ns/net")
    assert os.readlink(f"/proc/{pid}/ns/net") != os.readlink(engine.host.netns)


def test_ip_netns_shows_the_container(engine: Engine) -> None:
    engine.docker("run", "-dit", "--name", "cont1", "busybox")
    assert "cont1" in [line.split()[0] for line in engine.host.run("ip", "netns").splitlines()]
    shown = engine.host.run("ip", "netns", "exec", "cont1", "ip", "-4", "-o", "address", "show", "eth0")
    assert f"inet {engine.address('cont1')}/" in shown


def test_the_bind_mount_of_the_tutorial_works_too(engine: Engine) -> None:
    engine.docker("run", "-dit", "--name", "cont1", "busybox")
    pid = engine.inspect("cont1")["State"]["Pid"]
    engine.host.run("mount", "-o", "bind", f"/proc/{pid}/ns/net", "/var/run/netns/cont1")
    try:
        shown = engine.host.run("ip", "netns", "exec", "cont1", "ip", "-4", "-o", "address", "show", "eth0")
        assert engine.address("cont1") in shown
    finally:
        engine.host.run("umount", "/var/run/netns/cont1")


def test_custom_networks(engine: Engine) -> None:
    assert "Usage:  docker network create" in engine.out("network", "create", "--help")
    engine.docker("network", "create", "mynet1")
    engine.docker("network", "create", "--subnet", "11.11.11.0/24", "mynet")
    (config,) = engine.network("mynet1")["IPAM"]["Config"]
    engine.docker("run", "--net=mynet1", "--name", "cont3", "-dit", "myimg")
    shown = engine.execute("cont3", "ifconfig", "eth0")
    address = engine.address("cont3", "mynet1")
    assert ipaddress.ip_address(address) in ipaddress.ip_network(config["Subnet"])
    assert f"inet addr:{address} " in shown
    assert engine.network("mynet")["IPAM"]["Config"][0]["Subnet"] == "11.11.11.0/24"


def test_a_container_without_a_network_option_is_on_docker0(engine: Engine) -> None:
    engine.docker("run", "-dit", "--name", "cont1", "busybox")
    assert list(engine.inspect("cont1")["NetworkSettings"]["Networks"]) == ["bridge"]
    assert engine.network("bridge")["Options"]["com.docker.network.bridge.name"] == "docker0"
    assert "master docker0" in engine.host.run("ip", "-o", "link", "show", "type", "veth")


def test_attach_containers_to_multiple_networks(engine: Engine) -> None:
    engine.docker("network", "create", "mynet1")
    engine.docker("run", "--net=mynet1", "--name", "cont3", "-dit", "myimg")
    engine.docker("network", "connect", "bridge", "cont3")
    assert f"inet addr:{engine.address('cont3')} " in engine.execute("cont3", "ifconfig", "eth1")
    assert sorted(engine.inspect("cont3")["NetworkSettings"]["Networks"]) == ["bridge", "mynet1"]


def test_port_forwarding(engine: Engine) -> None:
    engine.docker("run", "--name", "cont2", "-p", "8080:80", "-dit", "myimg")
    assert "Welcome to nginx!" in engine.host.get("127.0.0.1", 8080)
    assert "0.0.0.0:8080->80/tcp" in engine.out("ps", "--format", "{{.Ports}}")


def test_interactive_run_on_a_terminal(engine: Engine) -> None:
    with Terminal(["docker", "run", "--rm", "-it", "busybox"], engine.environment) as screen:
        screen.expect("/ # ")
        screen.type("ip -o link show eth0 | wc -l\n")
        screen.expect("1\r\n")
        screen.type("exit 3\n")
        assert screen.end() == 3
