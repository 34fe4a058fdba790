"""A tutorial about the host and bridge drivers, section by section."""

from __future__ import annotations

import json

from harness.engine import Engine
from harness.machine import HOST4
from harness.terminal import Terminal


def test_a_working_install(engine: Engine) -> None:
    shown = engine.out("info")
    assert "Server Version:" in shown
    networks = json.loads(engine.out("info", "--format", "{{json .Plugins.Network}}"))
    assert {"bridge", "host", "null"} <= set(networks)


def test_containers_on_the_host_network(engine: Engine) -> None:
    engine.docker("run", "-itd", "--net", "host", "--name", "C1", "alpine", "sh")
    assert "alpine" in engine.out("images", "--format", "{{.Repository}}").splitlines()
    assert "ADD layer" in engine.out("history", "--no-trunc", "alpine")
    assert "C1" in engine.out("ps", "--format", "{{.Names}}").splitlines()
    found = engine.inspect("C1")
    assert found["HostConfig"]["NetworkMode"] == "host"
    assert list(found["NetworkSettings"]["Networks"]) == ["host"]


def test_connect_to_the_container_shell(engine: Engine) -> None:
    engine.docker("run", "-itd", "--net", "host", "--name", "C1", "alpine", "sh")
    with Terminal(["docker", "exec", "-it", "C1", "sh"], engine.environment) as screen:
        screen.expect("# ")
        screen.type("echo pid $$; exit\n")
        screen.expect("pid ")
        assert screen.end() == 0


def test_the_host_network_shares_the_interface(engine: Engine) -> None:
    engine.docker("run", "-itd", "--net", "host", "--name", "C1", "alpine", "sh")
    argv = ["docker", "exec", "-it", "C1", "sh", "-c", "hostname && ip a && cat /etc/resolv.conf; echo end"]
    with Terminal(argv, engine.environment) as screen:
        shown = screen.expect("end\r\n")
        assert screen.end() == 0
    assert shown.startswith(engine.host.run("hostname").strip() + "\r\n")
    assert f"inet {HOST4}/24" in shown
    assert engine.machine.resolv_conf.read_text().strip() in shown


def test_the_default_bridge(engine: Engine) -> None:
    with Terminal(["docker", "run", "-it", "--name", "c1", "busybox", "sh"], engine.environment) as screen:
        screen.expect("# ")
        screen.type("ip -4 -o a show eth0\n")
        screen.expect("inet 172.17.0.")
        shown = engine.host.run("brctl", "show")
        assert "docker0" in shown
        assert "veth" in shown
        screen.type("exit\n")
        assert screen.end() == 0


def test_manual_address_and_subnet_assignment(engine: Engine) -> None:
    engine.docker("network", "create", "-d", "bridge", "--subnet", "10.0.0.0/24", "my_bridge")
    assert "my_bridge" in engine.out("network", "ls", "--format", "{{.Name}}").splitlines()
    engine.docker("run", "-itd", "--name", "c2", "--net", "my_bridge", "busybox", "sh")
    engine.docker("run", "-itd", "--name", "c3", "--net", "my_bridge", "--ip", "10.0.0.254", "busybox", "sh")
    assert engine.address("c2", "my_bridge").startswith("10.0.0.")
    assert "inet 10.0.0.254/24" in engine.execute("c3", "ip", "-4", "-o", "address", "show", "eth0")


def test_each_veth_is_between_a_bridge_and_a_namespace(engine: Engine) -> None:
    network = engine.out("network", "create", "-d", "bridge", "--subnet", "10.0.0.0/24", "my_bridge")
    engine.docker("run", "-itd", "--name", "c2", "--net", "my_bridge", "busybox", "sh")
    engine.docker("run", "-itd", "--name", "c3", "--net", "my_bridge", "busybox", "sh")
    links = json.loads(engine.host.run("ip", "-j", "-d", "link", "show", "type", "veth"))
    ours = [link for link in links if link.get("master") == f"br-{network[:12]}"]
    assert sorted(link["ifalias"] for link in ours) == ["c2/my_bridge", "c3/my_bridge"]


def test_networks_are_firewalled_from_each_other(engine: Engine) -> None:
    engine.docker("run", "-itd", "--name", "c1", "busybox", "sh")
    engine.docker("network", "create", "-d", "bridge", "--subnet", "10.0.0.0/24", "my_bridge")
    engine.docker("run", "-itd", "--name", "c2", "--net", "my_bridge", "busybox", "sh")
    engine.docker("run", "-itd", "--name", "c3", "--net", "my_bridge", "busybox", "sh")
    address = engine.address("c2", "my_bridge")
    engine.execute("c3", "ping", "-c", "1", "-W", "2", address)
    assert engine.docker("exec", "c1", "ping", "-c", "1", "-W", "1", address, check=False).returncode == 1
    assert engine.docker("exec", "c1", "ping", "-c", "1", "-W", "1", "c2", check=False).returncode == 1
    # "c1 has connectivity to host"
    engine.execute("c1", "ping", "-c", "1", "-W", "2", "172.17.0.1")
    engine.execute("c1", "ping", "-c", "1", "-W", "2", HOST4)


def test_ingress_through_explicit_port_publishing(engine: Engine) -> None:
    engine.docker("network", "create", "-d", "bridge", "--subnet", "10.0.0.0/24", "my_bridge")
    engine.docker("run", "-d", "--name", "C2", "--net", "my_bridge", "-p", "5000:80", "nginx")
    assert "Welcome to nginx!" in engine.machine.peer.get(HOST4, 5000)
    assert "Welcome to nginx!" in engine.host.get("127.0.0.1", 5000)
    assert "Welcome to nginx!" in engine.host.get(HOST4, 5000)


def test_a_macvlan_network(engine: Engine) -> None:
    engine.docker(
        *("network", "create", "-d", "macvlan", "--subnet=172.16.86.0/24", "--gateway=172.16.86.1"),
        *("-o", "parent=eth0", "my_macvlan_network"),
    )
    shown = engine.network("my_macvlan_network")
    assert (shown["Driver"], shown["Options"]) == ("macvlan", {"parent": "eth0"})
    engine.docker("run", "-d", "--name", "c1", "--network", "my_macvlan_network", "busybox", "sleep", "100")
    engine.docker("run", "-d", "--name", "c2", "--network", "my_macvlan_network", "busybox", "sleep", "100")
    engine.execute("c1", "ping", "-c", "1", "-W", "2", "c2")
