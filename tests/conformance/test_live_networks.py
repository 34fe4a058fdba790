"""Networks and ports of containers that run: what moves when they are connected, disconnected, renamed, joined."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from harness import snapshot
from harness.engine import Engine, wait_until
from harness.machine import HOST4, HOST6, PEER4


def web(engine: Engine, *flags: str, name: str = "web") -> None:
    engine.docker("run", "-d", "--name", name, *flags, "nginx")
    engine.listens(name, 80)


def sleeper(engine: Engine, name: str, *flags: str) -> None:
    engine.docker("run", "-d", "--name", name, *flags, "busybox", "sleep", "1000")


def served(engine: Engine, port: int = 8080) -> bool:
    """From the second host, from this one by 127.0.0.1 and by [::1]."""
    return (
        engine.machine.peer.reaches(HOST4, port)
        and engine.host.reaches("127.0.0.1", port)
        and engine.host.reaches("::1", port)
    )


def free(engine: Engine, port: int) -> bool:
    """Whether a program on the host could take the port on every address."""

    def take() -> None:
        for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
            with socket.socket(family) as taken:
                if family == socket.AF_INET6:
                    taken.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                taken.bind((address, port))
                taken.listen()

    try:
        engine.host.call(take)
    except OSError:
        return False
    return True


def resolves(engine: Engine, name: str, question: str) -> set[str]:
    """The addresses a container's own resolver finds."""
    shown = engine.execute(name, "nslookup", f"{question}.", check=False)
    lines = [line for line in shown.partition("Name:")[2].splitlines() if line.startswith("Address")]
    return {line.partition(":")[2].strip().split()[0] for line in lines}


@contextmanager
def unchanged(engine: Engine) -> Iterator[None]:
    """What the body does leaves no trace on the host."""
    wait_until(lambda: snapshot.CONDEMNED not in str(snapshot.take(engine)["links"]), "links on their way out are gone")
    before = snapshot.take(engine)
    yield
    try:
        wait_until(lambda: not snapshot.difference(before, snapshot.take(engine)), "nothing is left", 3, every=0.1)
    except AssertionError:
        pytest.fail(f"left behind: {snapshot.difference(before, snapshot.take(engine))}")


def repairs(engine: Engine) -> str:
    return engine.out("events", "--since", "1h", "--until", str(time.time()), "--filter", "type=daemon")


@pytest.mark.docker_option("-p with several networks", section="publishing")
def test_ports_move_to_the_new_gateway(engine: Engine) -> None:
    engine.docker("network", "create", "one")
    engine.docker("network", "create", "two")
    web(engine, "--network", "one", "-p", "8080:80")
    assert served(engine)
    engine.docker("network", "connect", "--gw-priority", "10", "two", "web")
    gateway = engine.network("two")["IPAM"]["Config"][0]["Gateway"]
    assert f"default via {gateway}" in engine.execute("web", "ip", "route")
    assert served(engine)
    engine.docker("network", "disconnect", "one", "web")
    assert served(engine)
    assert engine.out("port", "web").splitlines() == ["80/tcp -> 0.0.0.0:8080", "80/tcp -> [::]:8080"]
    engine.docker("network", "connect", "one", "web")
    engine.docker("network", "disconnect", "two", "web")
    assert served(engine)


def test_ports_end_with_the_last_gateway_and_come_back_with_the_next(engine: Engine) -> None:
    engine.docker("network", "create", "one")
    engine.docker("network", "create", "two")
    web(engine, "--network", "one", "-p", "8080:80")
    engine.docker("network", "disconnect", "one", "web")
    assert not engine.machine.peer.reaches(HOST4, 8080)
    assert free(engine, 8080)
    assert engine.out("port", "web") == ""
    engine.docker("network", "connect", "two", "web")
    assert served(engine)
    assert not free(engine, 8080)
    engine.docker("rm", "-f", "web")
    assert free(engine, 8080)


def test_a_taken_port_refuses_the_connection_that_needs_it(engine: Engine) -> None:
    engine.docker("network", "create", "--internal", "inner")
    engine.docker("network", "create", "outer")
    web(engine, "--network", "inner", "-p", "8080:80")
    web(engine, "--network", "outer", "-p", "8080:80", name="other")
    with unchanged(engine):
        done = engine.docker("network", "connect", "outer", "web", check=False)
        assert "port is already allocated" in done.stderr
    assert list(engine.inspect("web")["NetworkSettings"]["Networks"]) == ["inner"]
    engine.docker("rm", "-f", "other")
    engine.docker("network", "connect", "outer", "web")
    assert served(engine)


def test_ports_follow_over_a_restart_of_the_daemon(engine: Engine) -> None:
    engine.docker("network", "create", "one")
    engine.docker("network", "create", "two")
    web(engine, "--network", "one", "-p", "8080:80")
    engine.docker("network", "connect", "--gw-priority", "10", "two", "web")
    engine.kill()
    engine.start()
    assert served(engine)
    engine.docker("network", "disconnect", "two", "web")
    assert served(engine)
    engine.docker("network", "disconnect", "one", "web")
    assert free(engine, 8080)
    assert "repair" not in repairs(engine)


@pytest.mark.docker_option("com.docker.network.bridge.host_binding_ipv4", section="bridge")
def test_the_network_says_where_to_publish(engine: Engine) -> None:
    engine.docker("network", "create", "-o", "com.docker.network.bridge.host_binding_ipv4=127.0.0.1", "n")
    web(engine, "--network", "n", "-p", "8080:80", "-p", f"{HOST4}:8081:80")
    assert engine.out("port", "web", "80").splitlines() == ["127.0.0.1:8080", f"{HOST4}:8081"]
    assert engine.host.reaches("127.0.0.1", 8080)
    assert not engine.machine.peer.reaches(HOST4, 8080)
    assert engine.machine.peer.reaches(HOST4, 8081)


@pytest.mark.docker_option("com.docker.network.bridge.gateway_mode_ipv4=routed", section="bridge")
def test_routed_networks_claim_no_host_port(engine: Engine) -> None:
    argv = ["-o", "com.docker.network.bridge.gateway_mode_ipv4=routed", "--subnet", "172.30.7.0/24", "n"]
    engine.docker("network", "create", *argv)
    web(engine, "--network", "n", "-p", "8080:80")
    sleeper(engine, "other", "--network", "n", "-p", "8080:80")
    address = engine.address("web", "n")
    ports = engine.inspect("web")["NetworkSettings"]["Ports"]
    assert ports == {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "0"}]}
    assert free(engine, 8080)
    assert engine.machine.peer.reaches(address, 80)
    assert not engine.machine.peer.reaches(HOST4, 8080)
    pinged = engine.machine.peer.run("ping", "-c", "1", "-W", "1", address, check=False)
    assert "1 received" in pinged
    engine.docker("rm", "-f", "other")
    assert engine.machine.peer.reaches(address, 80)


def test_from_a_routed_network_to_a_translated_one_and_back(engine: Engine) -> None:
    engine.docker("network", "create", "-o", "com.docker.network.bridge.gateway_mode_ipv4=routed", "routed")
    engine.docker("network", "create", "plain")
    web(engine, "--network", "routed", "-p", "8080:80")
    assert not engine.machine.peer.reaches(HOST4, 8080)
    engine.docker("network", "connect", "--gw-priority", "1", "plain", "web")
    assert served(engine)
    engine.docker("network", "disconnect", "plain", "web")
    assert free(engine, 8080)
    assert engine.machine.peer.reaches(engine.address("web", "routed"), 80)


def test_dual_stack_ports_move_in_both_families(engine: Engine) -> None:
    engine.docker("network", "create", "four")
    engine.docker("network", "create", "--ipv6", "both")
    web(engine, "--network", "four", "-p", "8080:80")
    assert engine.machine.peer.reaches(HOST6, 8080)  # by a listener
    engine.docker("network", "connect", "--gw-priority", "5", "both", "web")
    seen = engine.machine.peer.get(HOST6, 8080, "/cgi-bin/who").strip().strip("[]")
    assert ":" in seen
    assert not seen.startswith("::ffff:")
    assert served(engine)
    engine.docker("network", "disconnect", "both", "web")
    assert engine.machine.peer.reaches(HOST6, 8080)
    assert served(engine)


def test_rename_is_seen_by_names_and_by_ip_netns(engine: Engine) -> None:
    engine.docker("network", "create", "n")
    sleeper(engine, "asker", "--network", "n")
    web(engine, "--network", "n", "-p", "8080:80")
    address = engine.address("web", "n")
    for _ in range(3):
        engine.docker("rename", "web", "shop")
        assert resolves(engine, "asker", "shop") == {address}
        assert resolves(engine, "asker", "web") == set()
        assert {"shop", "asker"} == set(engine.host.run("ls", "/run/netns").split())
        assert engine.inspect("shop")["NetworkSettings"]["SandboxKey"] == "/run/netns/shop"
        engine.docker("rename", "shop", "web")
        assert resolves(engine, "asker", "web") == {address}
    assert served(engine)


def test_a_linked_container_that_comes_back_elsewhere_is_found(engine: Engine) -> None:
    engine.docker("network", "create", "n")
    web(engine, "--network", "n")
    sleeper(engine, "asker", "--network", "n", "--link", "web:shop")
    assert resolves(engine, "asker", "shop") == {engine.address("web", "n")}
    engine.docker("stop", "-t", "0", "web")
    sleeper(engine, "thief", "--network", "n")
    engine.docker("start", "web")
    assert resolves(engine, "asker", "shop") == {engine.address("web", "n")}
    assert resolves(engine, "thief", "shop") == set()


def test_a_link_on_the_default_bridge_follows_too(engine: Engine) -> None:
    web(engine)
    sleeper(engine, "asker", "--link", "web:shop")
    engine.docker("restart", "-t", "0", "web")
    engine.listens("web", 80)
    hosts = engine.execute("asker", "cat", "/etc/hosts")
    assert any(line.split()[0] == engine.address("web") and "shop" in line.split() for line in hosts.splitlines())
    assert "Welcome" in engine.execute("asker", "wget", "-q", "-O-", "http://shop/")


def test_who_joins_a_sandbox_uses_its_names_and_ports(engine: Engine) -> None:
    engine.docker("network", "create", "n")
    sleeper(engine, "owner", "--network", "n", "-p", "8080:80", "--hostname", "house")
    sleeper(engine, "neighbour", "--network", "n")
    web(engine, "--network", "container:owner", name="guest")
    assert served(engine)
    assert resolves(engine, "guest", "neighbour") == {engine.address("neighbour", "n")}
    assert engine.execute("guest", "hostname") == "house\n"
    assert engine.execute("guest", "cat", "/etc/hosts") == engine.execute("owner", "cat", "/etc/hosts")
    engine.docker("network", "create", "late")
    engine.docker("network", "connect", "late", "owner")
    sleeper(engine, "newcomer", "--network", "late")
    assert resolves(engine, "guest", "newcomer") == {engine.address("newcomer", "late")}
    engine.docker("rm", "-f", "guest")
    assert "hosts" in engine.inspect("owner")["HostsPath"]
    assert "house" in engine.execute("owner", "cat", "/etc/hosts")


def test_a_network_by_its_id(engine: Engine) -> None:
    engine.docker("network", "create", "--subnet", "10.41.0.0/24", "n")
    identifier = engine.out("network", "inspect", "-f", "{{.Id}}", "n")
    sleeper(engine, "box", "--network", identifier[:12], "--network-alias", "nick")
    sleeper(engine, "asker", "--network", "n")
    assert resolves(engine, "asker", "nick") == {engine.address("box", "n")}
    done = engine.docker("network", "connect", "n", "box", check=False)
    assert "already exists in network n" in done.stderr
    engine.docker("network", "disconnect", identifier, "box")
    assert engine.inspect("box")["NetworkSettings"]["Networks"] == {}
    engine.docker("network", "connect", "--ip", "10.41.0.77", identifier[:10], "box")
    assert engine.address("box", "n") == "10.41.0.77"


def test_a_stopped_container_changes_its_networks(engine: Engine) -> None:
    engine.docker("network", "create", "--subnet", "10.41.0.0/24", "n")
    engine.docker("create", "--name", "box", "busybox", "sleep", "1000")
    engine.docker("network", "connect", "--ip", "10.41.0.9", "--alias", "nick", "n", "box")
    engine.docker("network", "disconnect", "bridge", "box")
    engine.docker("start", "box")
    assert list(engine.inspect("box")["NetworkSettings"]["Networks"]) == ["n"]
    assert "inet 10.41.0.9/24" in engine.execute("box", "ip", "address", "show", "eth0")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--ip", "10.41.0.5"], "Address already in use"),
        (["--ip", "10.42.0.5"], "no configured subnet"),
        (["--ip6", "fd00::5"], "no configured subnet"),
        (["--driver-opt", "com.docker.network.endpoint.sysctls=kernel.x=1"], "unable to"),
        (["--driver-opt", "com.docker.network.endpoint.ifname=eth0"], "has an interface"),
        (["--driver-opt", "com.docker.network.endpoint.ifname=a/b"], "not a valid interface name"),
    ],
)
def test_a_refused_connection_leaves_nothing(engine: Engine, flags: list[str], message: str) -> None:
    engine.docker("network", "create", "--subnet", "10.41.0.0/24", "n")
    sleeper(engine, "holder", "--network", "n", "--ip", "10.41.0.5")
    sleeper(engine, "box")
    before = engine.inspect("box")["NetworkSettings"]
    with unchanged(engine):
        done = engine.docker("network", "connect", *flags, "n", "box", check=False)
        assert done.returncode == 1
        assert message in done.stderr
    assert engine.inspect("box")["NetworkSettings"] == before


def test_a_failing_endpoint_sysctl_takes_the_start_back(engine: Engine) -> None:
    engine.docker("network", "create", "n")
    with unchanged(engine):
        flag = "name=n,driver-opt=com.docker.network.endpoint.sysctls=net.ipv4.conf.IFNAME.nosuch=1"
        done = engine.docker("run", "--rm", "--network", flag, "-p", "8080:80", "busybox", "true", check=False)
        assert "nosuch" in done.stderr
        assert free(engine, 8080)


def test_a_start_on_a_network_that_went(engine: Engine) -> None:
    engine.docker("network", "create", "n")
    engine.docker("create", "--name", "box", "--network", "n", "-p", "8080:80", "busybox", "sleep", "9")
    engine.docker("network", "rm", "n")
    with unchanged(engine):
        done = engine.docker("start", "box", check=False)
        assert "network n not found" in done.stderr
        assert free(engine, 8080)
    assert engine.inspect("box")["State"]["Status"] == "created"
    engine.docker("network", "create", "n")
    engine.docker("start", "box")


@pytest.mark.docker_option("docker network prune", section="network")
def test_prune_takes_what_nobody_uses(engine: Engine) -> None:
    for name in ("used", "idle", "asked"):
        engine.docker("network", "create", "--label", f"kind={name}", name)
    sleeper(engine, "box", "--network", "used")
    engine.docker("create", "--network", "asked", "busybox")
    said = engine.out("network", "prune", "-f", "--filter", "label=kind=idle")
    assert said.split() == ["Deleted", "Networks:", "idle"]
    engine.docker("network", "prune", "-f")
    # A container that does not run holds no network, as in Docker.
    assert engine.out("network", "ls", "--filter", "type=custom", "--format", "{{.Name}}") == "used"


def test_many_connects_and_disconnects_leave_the_host_as_it_was(engine: Engine) -> None:
    for number in range(3):
        engine.docker("network", "create", f"n{number}")
    web(engine, "--network", "n0", "-p", "8080:80")
    with unchanged(engine):
        for _ in range(5):
            for number in (1, 2):
                engine.docker("network", "connect", f"n{number}", "web")
            for number in (1, 2):
                engine.docker("network", "disconnect", f"n{number}", "web")
    assert served(engine)
    assert [link for link in engine.execute("web", "ls", "/sys/class/net").split() if link != "lo"] == ["eth0"]
    assert "repair" not in repairs(engine)


@pytest.mark.docker_option("docker events", section="network")
def test_events_tell_of_networks_and_their_containers(engine: Engine) -> None:
    since = str(time.time())
    engine.docker("network", "create", "n")
    sleeper(engine, "box")
    engine.docker("network", "connect", "n", "box")
    engine.docker("network", "disconnect", "n", "box")
    engine.docker("network", "rm", "n")
    shown = engine.out(
        "events", "--since", since, "--until", str(time.time()), "--filter", "network=n", "--format", "{{json .}}"
    )
    told = [json.loads(line) for line in shown.splitlines()]
    assert [event["Action"] for event in told] == ["create", "connect", "disconnect", "destroy"]
    assert told[1]["Actor"]["Attributes"]["container"] == engine.inspect("box")["Id"]
    assert told[1]["Actor"]["Attributes"]["type"] == "bridge"


def test_a_container_without_ipv6_gets_it_by_connecting(engine: Engine) -> None:
    engine.docker("network", "create", "--ipv6", "both")
    sleeper(engine, "box")
    web(engine, "--network", "both")
    engine.docker("network", "connect", "both", "box")
    address = engine.address6("web", "both")
    assert "Welcome" in engine.execute("box", "wget", "-q", "-O-", f"http://[{address}]/")
    assert ", 0% packet loss" in engine.execute("box", "ping", "-c", "1", "-W", "2", PEER4)


@contextmanager
def restarted_with(engine: Engine, *flags: str) -> Iterator[None]:
    """The daemon with further flags, and after the body without them again."""
    usual = engine.flags
    try:
        engine.flags = [*usual, *flags]
        engine.stop()
        engine.start()
        yield
    finally:
        engine.flags = usual
        engine.stop()
        engine.start()


def test_the_default_bridge_follows_the_daemons_flags(engine: Engine) -> None:
    identifier = engine.network("bridge")["Id"]
    with restarted_with(engine, "--bip", "10.77.0.1/24", "--mtu", "1400", "--ip", "127.0.0.1", "--icc=false"):
        assert engine.network("bridge")["Id"] == identifier
        shown = engine.host.run("ip", "address", "show", "docker0")
        assert "inet 10.77.0.1/24" in shown
        assert "mtu 1400" in shown
        assert "172.17" not in shown
        web(engine, "-p", "8080:80")
        assert engine.address("web").startswith("10.77.0.")
        assert engine.out("port", "web") == "80/tcp -> 127.0.0.1:8080"
    # A container runs on it: it stays as it is, and so does the container.
    assert engine.address("web").startswith("10.77.0.")
    assert "inet 10.77.0.1/24" in engine.host.run("ip", "address", "show", "docker0")
    assert engine.host.reaches("127.0.0.1", 8080)
    engine.docker("rm", "-f", "web")
    engine.stop()
    engine.start()
    assert "inet 172.17.0.1/16" in engine.host.run("ip", "address", "show", "docker0")


def test_networks_are_there_again_after_a_reboot(engine: Engine) -> None:
    engine.docker("network", "create", "-o", "com.docker.network.bridge.name=brx", "--subnet", "10.42.0.0/24", "n")
    restart = ["--restart", "always", "--network", "n", "-p", "8080:80"]
    web(engine, *restart)
    engine.docker("run", "-d", "--name", "mortal", "--network", "n", "busybox", "sleep", "1000")
    pids = [engine.inspect(name)["State"]["Pid"] for name in ("web", "mortal")]
    engine.kill()
    # What a power cut takes: processes, links, table, pins, and all below /run.
    for pid in [*engine.processes("conmon"), engine.resolver, *pids]:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    engine.host.run("sh", "-c", "ip link del brx; ip link del docker0; nft flush ruleset; ip -all netns delete")
    engine.host.run("umount", "-l", str(engine.exec_root), check=False)
    shutil.rmtree(engine.exec_root)
    engine.start()
    wait_until(lambda: served(engine), "what restarts always is up again")
    assert engine.inspect("mortal")["State"]["Status"] == "exited"
    assert engine.host.run("ls", "/run/netns").split() == ["web"]
    assert "inet 10.42.0.1/24" in engine.host.run("ip", "address", "show", "brx")
    engine.docker("start", "mortal")
    assert "Welcome" in engine.execute("mortal", "wget", "-q", "-O-", "http://web/")
