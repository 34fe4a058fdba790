"""Networks changed while containers use them: by our CLI, with the effect in traffic, and Docker's client seeing it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from conformance.test_bandwidth import kinds, received
from conformance.test_hot_ports import connection
from conformance.test_live_networks import free, repairs, resolves, sleeper, unchanged, web
from harness import inside, traffic
from harness.engine import Engine
from harness.machine import HOST4, PEER4
from harness.upstream import __file__ as upstream_file

BRIDGE = "com.docker.network.bridge"


def update(engine: Engine, *words: str, network: str = "n") -> None:
    assert engine.fairlead("network", "update", *words, network).stdout == f"{network}\n"


def refused(engine: Engine, *words: str, network: str = "n") -> str:
    done = engine.fairlead("network", "update", *words, network, check=False)
    assert done.returncode == 1
    return done.stderr


@contextmanager
def talking(engine: Engine, name: str = "box", port: int = 8080) -> Iterator[None]:
    """A connection through a published port, of which the body must not break a byte."""
    with inside.tcp_echo(engine.netns(name), 80), connection(engine, port) as link:
        link.send(b"before")
        assert link.recv(64) == b"before"
        yield
        link.send(b"after")
        assert link.recv(64) == b"after"


def test_labels_and_name(engine: Engine) -> None:
    engine.docker("network", "create", "--label", "a=1", "--label", "b=2", "n")
    sleeper(engine, "box", "--network", "n", "--network-alias", "nick", "-p", "8080:80")
    sleeper(engine, "asker", "--network", "n")
    engine.docker("create", "--name", "stopped", "--network", "n", "busybox", "sleep", "9")
    identifier, address = engine.network("n")["Id"], engine.address("box", "n")
    with talking(engine):
        update(engine, "--label-add", "c=3", "--label-rm", "a", "--name", "mall")
    shown = engine.network("mall")
    assert (shown["Id"], shown["Labels"]) == (identifier, {"b": "2", "c": "3"})
    assert engine.docker("network", "inspect", "n", check=False).returncode == 1
    for question in ("box", "nick", "box.mall", "nick.mall"):
        assert resolves(engine, "asker", question) == {address}
    assert resolves(engine, "asker", "box.n") == set()
    box = engine.inspect("box")
    assert list(box["NetworkSettings"]["Networks"]) == ["mall"]
    assert box["HostConfig"]["NetworkMode"] == "mall"
    assert "mall" in engine.host.run("ip", "link", "show", "type", "bridge")
    engine.docker("start", "stopped")
    engine.docker("restart", "-t", "0", "box")
    engine.kill()
    engine.start()
    assert resolves(engine, "asker", "box.mall") == {engine.address("box", "mall")}
    assert "repair" not in repairs(engine)


def test_a_name_that_cannot_be(engine: Engine) -> None:
    engine.docker("network", "create", "n")
    engine.docker("network", "create", "other")
    assert "network with name other already exists" in refused(engine, "--name", "other")
    assert "invalid network name" in refused(engine, "--name", "a b")
    assert "network with name bridge already exists" in refused(engine, "--name", "bridge")
    assert "bridge is a pre-defined network and cannot be updated" in refused(engine, "--name", "x", network="bridge")
    assert "network nosuch not found" in refused(engine, "--name", "x", network="nosuch")
    assert "nothing is to change" in refused(engine)


def test_mtu(engine: Engine) -> None:
    engine.docker("network", "create", "-o", f"{BRIDGE}.name=brn", "n")
    sleeper(engine, "box", "--network", "n", "-p", "8080:80")
    with talking(engine):
        update(engine, "-o", "com.docker.network.driver.mtu=1300")
        assert "mtu 1300" in engine.host.run("ip", "link", "show", "brn")
        assert "mtu 1300" in engine.execute("box", "ip", "link", "show", "eth0")
        assert engine.host.run("ip", "link", "show", "master", "brn").count("mtu 1300") == 1
    with talking(engine):
        update(engine, "--opt-rm", "com.docker.network.driver.mtu")
    assert "mtu 1500" in engine.execute("box", "ip", "link", "show", "eth0")
    assert "repair" not in repairs(engine)


def test_icc(engine: Engine) -> None:
    engine.docker("network", "create", "n")
    web(engine, "--network", "n", "-p", "8080:80")
    sleeper(engine, "box", "--network", "n")
    address = engine.address("web", "n")

    def reached() -> bool:
        return "Welcome" in engine.execute(
            "box", "timeout", "1", "wget", "-q", "-O-", f"http://{address}/", check=False
        )

    assert reached()
    update(engine, "-o", f"{BRIDGE}.enable_icc=false")
    assert not reached()
    assert engine.machine.peer.reaches(HOST4, 8080)
    update(engine, "-o", f"{BRIDGE}.enable_icc=true")
    assert reached()


WHO = """import socket
server = socket.create_server(("", 9009))
print("ready", flush=True)
while True:
    link, peer = server.accept()
    link.send(peer[0].encode())
    link.close()
"""


def test_under_which_address_packets_leave(engine: Engine) -> None:
    engine.docker("network", "create", "--subnet", "172.30.7.0/24", "n")
    sleeper(engine, "box", "--network", "n")
    engine.host.run("ip", "address", "add", "198.51.100.77/24", "dev", "eth0")
    server = engine.machine.peer.popen([sys.executable, "-c", WHO], stdout=subprocess.PIPE)

    def source() -> str:
        return engine.execute("box", "nc", "-w", "2", PEER4, "9009", check=False)

    try:
        assert server.stdout is not None
        assert server.stdout.readline() == b"ready\n"
        assert source() == HOST4
        update(engine, "-o", "com.docker.network.host_ipv4=198.51.100.77")
        assert source() == "198.51.100.77"
        update(engine, "--opt-rm", "com.docker.network.host_ipv4", "-o", f"{BRIDGE}.enable_ip_masquerade=false")
        assert source() == engine.address("box", "n")
    finally:
        server.terminate()
        server.wait()
        server.stdout.close()
        engine.host.run("ip", "address", "del", "198.51.100.77/24", "dev", "eth0")


def test_trusted_interfaces_and_unprotected_mode(engine: Engine) -> None:
    engine.docker("network", "create", "--subnet", "172.30.7.0/24", "n")
    web(engine, "--network", "n", "-p", "8080:80")
    address = engine.address("web", "n")
    peer = engine.machine.peer
    assert not peer.reaches(address, 80)
    for option, value, default in (
        ("trusted_host_interfaces", "eth0", ""),
        ("gateway_mode_ipv4", "nat-unprotected", "nat"),
    ):
        update(engine, "-o", f"{BRIDGE}.{option}={value}")
        assert peer.reaches(address, 80)
        assert peer.reaches(HOST4, 8080)
        update(engine, "-o", f"{BRIDGE}.{option}={default}")
        assert not peer.reaches(address, 80)
    said = refused(engine, "-o", f"{BRIDGE}.gateway_mode_ipv4=routed")
    assert "cannot change between routed and translated while containers publish ports through it (web)" in said
    engine.fairlead("port", "rm", "web", "8080:80")
    update(engine, "-o", f"{BRIDGE}.gateway_mode_ipv4=routed")
    engine.fairlead("port", "add", "web", "8080:80")
    assert peer.reaches(address, 80)
    assert free(engine, 8080)


def test_where_ports_are_published_from_now_on(engine: Engine) -> None:
    engine.docker("network", "create", "n")
    sleeper(engine, "box", "--network", "n", "-p", "8080:80")
    update(engine, "-o", f"{BRIDGE}.host_binding_ipv4=127.0.0.1")
    engine.fairlead("port", "add", "box", "8081:80")
    shown = set(engine.out("port", "box").splitlines())
    assert shown == {"80/tcp -> 0.0.0.0:8080", "80/tcp -> [::]:8080", "80/tcp -> 127.0.0.1:8081"}


@contextmanager
def second_server(engine: Engine) -> Iterator[Path]:
    """A DNS server at 198.51.100.53, and the log of its questions."""
    log = engine.base / "second.log"
    peer = engine.machine.peer
    peer.run("ip", "address", "add", "198.51.100.53/24", "dev", "eth0")
    process = peer.popen([sys.executable, upstream_file, str(log), "198.51.100.53"], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield log
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()
        peer.run("ip", "address", "del", "198.51.100.53/24", "dev", "eth0")


def test_dns_servers(engine: Engine) -> None:
    engine.docker("network", "create", "n")
    engine.docker("network", "create", "--ipv6", "other")
    sleeper(engine, "box", "--network", "n")
    sleeper(engine, "stranger", "--network", "other")
    sleeper(engine, "own", "--network", "n", "--dns", PEER4)
    with second_server(engine) as log:
        update(engine, "--dns", "198.51.100.53")
        assert engine.network("n")["Options"] == {"fairlead.dns": "198.51.100.53"}
        for name in ("box", "stranger", "own"):
            assert PEER4 in resolves(engine, name, "four.test"), name
        # One container's questions, an A and an AAAA.
        assert len([line for line in log.read_text().splitlines() if "four.test" in line]) <= 2
        assert "four.test" in log.read_text()
        sleeper(engine, "late", "--network", "n")
        assert PEER4 in resolves(engine, "late", "example.test")
        assert "example.test" in log.read_text()
        engine.kill()
        engine.start()
        assert PEER4 in resolves(engine, "box", "many.test") | {PEER4}
        assert "many.test" in log.read_text()
        update(engine, "--dns", "")
        resolves(engine, "box", "slow.test")
        assert "slow.test" not in log.read_text()
    assert engine.network("n")["Options"] == {}
    assert "failed to parse fairlead.dns value: nobody (not an IP address)" in refused(engine, "--dns", "nobody")


def test_subnets_come_and_go(engine: Engine) -> None:
    engine.docker("network", "create", "--subnet", "172.30.7.0/29", "n")
    web(engine, "--network", "n", "-p", "8080:80", name="one")
    for number in range(4):
        sleeper(engine, f"fill{number}", "--network", "n")
    done = engine.docker("run", "-d", "--name", "two", "--network", "n", "nginx", check=False)
    assert "no available IPv4 addresses" in done.stderr
    engine.docker("rm", "two")
    with inside.tcp_echo(engine.netns("one"), 81):
        engine.fairlead("port", "add", "one", "8081:81")
        with connection(engine, 8081) as link:
            update(engine, "--subnet-add", "172.30.8.0/24", "--gateway", "172.30.8.9", "--ip-range", "172.30.8.128/25")
            link.send(b"still here")
            assert link.recv(64) == b"still here"
    web(engine, "--network", "n", "-p", "8082:80", name="two")
    assert engine.address("two", "n") == "172.30.8.128"
    settings = engine.inspect("two")["NetworkSettings"]["Networks"]["n"]
    assert (settings["Gateway"], settings["IPPrefixLen"]) == ("172.30.8.9", 24)
    assert engine.network("n")["IPAM"]["Config"] == [
        {"Subnet": "172.30.7.0/29", "Gateway": "172.30.7.1"},
        {"Subnet": "172.30.8.0/24", "IPRange": "172.30.8.128/25", "Gateway": "172.30.8.9"},
    ]
    for asker, other in (("one", "two"), ("two", "one"), ("fill0", "two")):
        assert "Welcome" in engine.execute(asker, "wget", "-q", "-O-", f"http://{other}/")
    assert "1 packets received" in engine.execute("two", "ping", "-c", "1", "-W", "2", PEER4)
    assert engine.machine.peer.reaches(HOST4, 8082)
    assert engine.host.reaches("127.0.0.1", 8082)
    said = refused(engine, "--subnet-rm", "172.30.8.0/24")
    assert 'subnet 172.30.8.0/24 of network n has active endpoints (name:"two" id:"' in said
    engine.kill()
    engine.start()
    assert "Welcome" in engine.execute("one", "wget", "-q", "-O-", "http://two/")
    engine.docker("rm", "-f", "two")
    update(engine, "--subnet-rm", "172.30.8.0/24")
    assert len(engine.network("n")["IPAM"]["Config"]) == 1
    assert "172.30.8" not in engine.host.run("ip", "address")
    assert "172.30.8" not in engine.execute("one", "ip", "route")
    assert "172.30.8" not in engine.host.run("nft", "list", "table", "inet", "fairlead")
    assert "repair" not in repairs(engine)


@pytest.mark.parametrize("words", [["--internal"], ["-o", f"{BRIDGE}.enable_icc=true", "--ipv6"]])
def test_several_subnets_from_the_start(engine: Engine, words: list[str]) -> None:
    subnets = ["--subnet", "172.30.7.0/24", "--subnet", "172.30.8.0/24", "--gateway", "172.30.8.9"]
    six = ["--subnet", "fd00:7::/64", "--subnet", "fd00:8::/64"] if "--ipv6" in words else []
    engine.docker("network", "create", *subnets, *six, *words, "n")
    web(engine, "--network", "n", "--ip", "172.30.7.20", name="one")
    web(engine, "--network", "n", "--ip", "172.30.8.20", *(["--ip6", "fd00:8::20"] if six else []), name="two")
    for asker, address in (("one", "172.30.8.20"), ("two", "172.30.7.20"), *([("one", "[fd00:8::20]")] if six else [])):
        assert "Welcome" in engine.execute(asker, "wget", "-q", "-O-", f"http://{address}/")
    if six:
        assert "default via 172.30.8.9" in engine.execute("two", "ip", "route")
        assert "default via 172.30.7.1" in engine.execute("one", "ip", "route")


def test_an_empty_network_is_moved(engine: Engine) -> None:
    engine.docker("network", "create", "--subnet", "172.30.7.0/24", "n")
    update(engine, "--subnet-rm", "172.30.7.0/24", "--subnet-add", "172.30.7.0/25")
    sleeper(engine, "box", "--network", "n")
    assert engine.execute("box", "ip", "address").count("172.30.7.2/25") == 1


def test_subnets_that_cannot_be(engine: Engine) -> None:
    engine.docker("network", "create", "--subnet", "172.30.7.0/24", "n")
    engine.docker("network", "create", "--subnet", "172.30.9.0/24", "other")
    sleeper(engine, "box", "--network", "n")
    with unchanged(engine):
        for words, said in (
            (["--subnet-add", "172.30.7.128/25"], "Pool overlaps with other one on this address space"),
            (["--subnet-add", "172.30.9.0/25"], "Pool overlaps with other one on this address space"),
            (["--subnet-add", "fd00:9::/64"], "was made without IPv6"),
            (["--subnet-add", "172.30.8.0/24", "--gateway", "172.30.9.1"], "no matching subnet for gateway"),
            (["--subnet-add", "172.30.8.1/24"], "it should be 172.30.8.0/24"),
            (["--subnet-add", "224.0.0.0/24"], "multicast"),
            (["--subnet-add", "zz"], "invalid CIDR address: zz"),
            (["--subnet-rm", "172.30.8.0/24"], "network n has no subnet 172.30.8.0/24; it has 172.30.7.0/24"),
            (["--subnet-rm", "172.30.7.0/24"], "has active endpoints"),
        ):
            assert said in refused(engine, *words)
        assert "would have no IPv4 subnet left" in refused(engine, "--subnet-rm", "172.30.9.0/24", network="other")
    assert len(engine.network("n")["IPAM"]["Config"]) == 1


def test_options_that_cannot_change_or_be(engine: Engine) -> None:
    engine.docker("network", "create", "n")
    sleeper(engine, "box", "--network", "n", "-p", "8080:80")
    before = engine.network("n")
    with unchanged(engine):
        for option, said in (
            (f"{BRIDGE}.name=x", f"option {BRIDGE}.name cannot change while the network exists; these can: "),
            ("foo=bar", "option foo cannot change"),
            (f"{BRIDGE}.enable_icc=maybe", f"failed to parse {BRIDGE}.enable_icc value: maybe"),
            ("com.docker.network.driver.mtu=20", "invalid MTU number"),
            (f"{BRIDGE}.gateway_mode_ipv4=isolated", "can only be used for an internal network"),
            ("com.docker.network.host_ipv4=fd00::1", "not an IPv4 address"),
            ("fairlead.dns=zz", "failed to parse fairlead.dns value"),
        ):
            assert said in refused(engine, "-o", option, "--label-add", "a=1")
    assert engine.network("n") == before


def test_a_change_that_the_kernel_refuses_leaves_all_as_it_was(engine: Engine) -> None:
    engine.host.run("ip", "link", "add", "brx", "type", "bridge")
    engine.docker("network", "create", "-o", f"{BRIDGE}.name=brx", "n")
    sleeper(engine, "box", "--network", "n")
    sleeper(engine, "other")
    engine.host.run("ip", "link", "del", "brx")
    before = engine.network("n")
    with unchanged(engine):
        assert "cannot find link brx" in refused(engine, "--subnet-add", "172.30.8.0/24", "--name", "m")
    assert engine.network("n") == before
    assert list(engine.inspect("box")["NetworkSettings"]["Networks"]) == ["n"]
    assert "172.30.8" not in engine.host.run("nft", "list", "table", "inet", "fairlead")
    assert "172.30.8" not in engine.execute("box", "ip", "route")


def test_aliases(engine: Engine) -> None:
    engine.docker("network", "create", "n")
    sleeper(engine, "box", "--network", "n", "--network-alias", "first", "-p", "8080:80")
    sleeper(engine, "asker", "--network", "n")
    address = engine.address("box", "n")
    with talking(engine):
        engine.fairlead("network", "alias", "add", "n", "box", "second", "db.local")
        engine.fairlead("network", "alias", "rm", "n", "box", "first")
    assert engine.fairlead("network", "alias", "n", "box").stdout.split() == ["second", "db.local"]
    assert engine.inspect("box")["NetworkSettings"]["Networks"]["n"]["Aliases"] == ["second", "db.local"]
    assert resolves(engine, "asker", "second") == resolves(engine, "asker", "db.local") == {address}
    assert resolves(engine, "asker", "first") == set()
    engine.docker("restart", "-t", "0", "box")
    assert resolves(engine, "asker", "second") == {engine.address("box", "n")}
    engine.docker("stop", "-t", "0", "box")
    engine.fairlead("network", "alias", "add", "n", "box", "third")
    engine.docker("start", "box")
    assert resolves(engine, "asker", "third") == {engine.address("box", "n")}
    for words, said in (
        (["rm", "n", "box", "nosuch"], "container box has no alias nosuch there"),
        (["add", "n", "box", "a b"], "invalid alias 'a b'"),
        (["add", "bridge", "box", "x"], "container box is not connected to network bridge"),
        (["add", "n", "nobody", "x"], "No such container: nobody"),
        (["add", "nosuch", "box", "x"], "network nosuch not found"),
    ):
        assert said in engine.fairlead("network", "alias", *words, check=False).stderr


def test_no_alias_on_the_default_bridge(engine: Engine) -> None:
    sleeper(engine, "box")
    said = engine.fairlead("network", "alias", "add", "bridge", "box", "x", check=False).stderr
    assert "network-scoped aliases are only supported for user-defined networks" in said


def test_the_gateway_moves(engine: Engine) -> None:
    engine.docker("network", "create", "--subnet", "172.30.7.0/24", "one")
    engine.docker("network", "create", "--subnet", "172.30.8.0/24", "two")
    web(engine, "--network", "one", "-p", "8080:80")
    engine.docker("network", "connect", "two", "web")
    assert "default via 172.30.7.1" in engine.execute("web", "ip", "route")
    assert engine.call("POST", "/fairlead/networks/two/endpoints/web", {"GwPriority": 5})[0] == 200
    assert "default via 172.30.8.1" in engine.execute("web", "ip", "route")
    assert engine.machine.peer.reaches(HOST4, 8080)


def test_events_tell_of_changes(engine: Engine) -> None:
    engine.docker("network", "create", "n")
    sleeper(engine, "box", "--network", "n")
    since = str(time.time())
    update(engine, "--label-add", "a=1")
    update(engine, "--label-add", "a=1")
    engine.fairlead("network", "alias", "add", "n", "box", "x")
    shown = engine.out(
        "events", "--since", since, "--until", str(time.time()), "--filter", "network=n", "--format", "{{json .}}"
    )
    told = [json.loads(line) for line in shown.splitlines()]
    assert [event["Action"] for event in told] == ["update", "update"]
    assert told[1]["Actor"]["Attributes"]["container"] == engine.inspect("box")["Id"]


def test_rates_and_delays(engine: Engine) -> None:
    engine.docker("network", "create", "n")
    sleeper(engine, "box", "--network", "n", "-p", "8080:80")
    with talking(engine):
        update(engine, "-o", "fairlead.bandwidth.ingress=8mbit", "-o", "fairlead.bandwidth.egress=4mbit")
        assert {kind for kind, _ in kinds(engine)} >= {"tbf"}
        update(engine, "-o", "fairlead.bandwidth.ingress=16mbit", "--opt-rm", "fairlead.bandwidth.egress")
        assert traffic.holds(lambda: received(engine, "box", "n"), 16)
        update(engine, "--opt-rm", "fairlead.bandwidth.ingress")
        assert kinds(engine) == []
    sleeper(engine, "picky", "--network", "name=n,driver-opt=fairlead.bandwidth.egress=1mbit")
    assert "is that of a rate" in refused(engine, "-o", "fairlead.bandwidth.ingress.burst=32kb")
    assert "repair" not in repairs(engine)
