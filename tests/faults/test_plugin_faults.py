"""Plugins that fail in every way: a clear error that names plugin and call, nothing left, and the next call works."""

from __future__ import annotations

import json
import subprocess
import time
from typing import Any

import pytest

from harness.engine import Engine, wait_until
from harness.plugins import Plugin, daemon_flags, directory, ipam, net

__all__ = ["daemon_flags", "directory", "ipam", "net"]

# What the plugin does, and a part of what the user is told.
FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "refuses": ({"answer": {"Err": "no room"}}, "remote: no room"),
    "refuses with a status": ({"status": 500, "answer": {"Err": "no room"}}, "remote: no room"),
    "fails": ({"status": 500, "raw": "oops"}, "HTTP status 500: oops"),
    "redirects": ({"status": 302, "raw": ""}, "HTTP status 302"),
    "lacks": ({"status": 404, "raw": "404 page not found"}, "the plugin does not know this call"),
    "mumbles": ({"raw": "<html>"}, "the answer is not understood: invalid JSON"),
    "is cut": ({"raw": '{"Interface": {'}, "the answer is not understood: invalid JSON"),
    "lists": ({"raw": "[]"}, "the answer is not understood"),
    "talks on": ({"much": 3 << 20}, "the answer is longer than 1 MiB"),
    "hangs": ({"hang": 5}, "no answer within 2 seconds"),
    "hangs up": ({"reset": True}, "the plugin hung up without an answer"),
    "dies": ({"die": True}, "the plugin hung up without an answer"),
}
WRONG_ANSWERS = [
    ("CreateEndpoint", {"Interface": 7}, "Interface must be an object"),
    ("CreateEndpoint", {"Interface": {"Address": "10.0.0.9"}}, "is no IPv4 address with a prefix length"),
    ("CreateEndpoint", {"Interface": {"AddressIPv6": "10.0.0.9/24"}}, "is no IPv6 address with a prefix length"),
    ("CreateEndpoint", {"Interface": {"MacAddress": "hello"}}, "invalid MAC address"),
    ("CreateEndpoint", {"Interface": {"Address": "10.0.0.9/24"}}, "driver modified interface address"),
    ("Join", {"InterfaceName": {"SrcName": "a/b", "DstPrefix": "eth"}}, "is not a name for an interface"),
    ("Join", {"InterfaceName": {"SrcName": "x" * 16, "DstPrefix": "eth"}}, "is not a name for an interface"),
    ("Join", {"InterfaceName": {"SrcName": "nosuch", "DstPrefix": "eth"}}, "cannot find link nosuch"),
    ("Join", {"Gateway": "fd00::1"}, "is not an IPv4 address"),
    ("Join", {"Gateway": "there"}, "unable to parse Gateway"),
    ("Join", {"StaticRoutes": [{"Destination": "10.0.0.0/33", "RouteType": 1}]}, "is no subnet"),
    ("Join", {"StaticRoutes": [{"Destination": "10.0.0.0/8", "RouteType": 0}]}, "has no NextHop"),
    ("Join", {"StaticRoutes": "all"}, "StaticRoutes must be a list"),
]


def network(engine: Engine, *flags: str) -> None:
    engine.docker("network", "create", "-d", "testnet", *flags, "plug")


def run(engine: Engine, *flags: str) -> str:
    """What the client is told of a container on the network; "" when it runs."""
    done = engine.docker("run", "-d", "--name", "one", *flags, "busybox", "sleep", "1000", check=False)
    return done.stderr if done.returncode else ""


def works_again(engine: Engine, plugin: Plugin, *flags: str) -> None:
    plugin.faults({})
    if not plugin.runs:
        plugin.start()
    engine.docker("rm", "-f", "one", check=False)
    assert run(engine, *flags) == ""
    engine.docker("rm", "-f", "one")


@pytest.mark.parametrize("fault", FAULTS)
def test_creating_a_network(engine: Engine, net: Plugin, fault: str) -> None:
    how, told = FAULTS[fault]
    net.faults({"NetworkDriver.CreateNetwork": how})
    before = time.monotonic()
    failed = engine.docker("network", "create", "-d", "testnet", "--subnet", "10.9.0.0/24", "plug", check=False)
    assert time.monotonic() - before < 8
    assert "plugin testnet: NetworkDriver.CreateNetwork: " in failed.stderr
    assert told in failed.stderr
    assert "plug" not in engine.out("network", "ls", "--format", "{{.Name}}").split()
    net.faults({})
    if not net.runs:
        net.start()
    network(engine, "--subnet", "10.9.0.0/24")
    engine.docker("network", "rm", "plug")


@pytest.mark.parametrize("call", ["CreateEndpoint", "Join"])
@pytest.mark.parametrize("fault", ["refuses", "fails", "mumbles", "talks on", "hangs", "dies"])
def test_starting_a_container(engine: Engine, net: Plugin, call: str, fault: str) -> None:
    network(engine)
    how, told = FAULTS[fault]
    net.faults({f"NetworkDriver.{call}": how})
    error = run(engine, "--network", "plug")
    assert f"plugin testnet: NetworkDriver.{call}: " in error
    assert told in error
    assert engine.inspect("one")["State"]["Status"] == "created"
    assert engine.network("plug")["Containers"] == {}
    works_again(engine, net, "--network", "plug")


@pytest.mark.parametrize(("call", "answer", "told"), WRONG_ANSWERS)
def test_wrong_answers(engine: Engine, net: Plugin, call: str, answer: dict[str, Any], told: str) -> None:
    network(engine)
    net.faults({f"NetworkDriver.{call}": {"answer": answer}})
    assert told in run(engine, "--network", "plug")
    assert engine.network("plug")["Containers"] == {}
    works_again(engine, net, "--network", "plug")


def test_connecting_a_running_container(engine: Engine, net: Plugin) -> None:
    network(engine)
    assert run(engine) == ""
    before = engine.inspect("one")["NetworkSettings"]
    for call in ("CreateEndpoint", "Join", "ProgramExternalConnectivity", "EndpointOperInfo"):
        net.faults({f"NetworkDriver.{call}": {"answer": {"Err": "no"}}})
        failed = engine.docker("network", "connect", "--gw-priority", "9", "plug", "one", check=False)
        assert f"plugin testnet: NetworkDriver.{call}: remote: no" in failed.stderr
        assert engine.inspect("one")["NetworkSettings"] == before
        assert net.state()["endpoints"] == []
    net.faults({})
    engine.docker("network", "connect", "plug", "one")
    engine.docker("network", "disconnect", "plug", "one")


def test_a_dead_plugin_holds_nothing_up(engine: Engine, net: Plugin) -> None:
    """What it could not be told it hears when it is back."""
    network(engine, "--subnet", "10.9.0.0/24")
    assert run(engine, "--network", "plug") == ""
    net.kill()
    failed = engine.docker("network", "create", "-d", "testnet", "second", check=False)
    assert "plugin testnet: NetworkDriver.CreateNetwork: cannot connect: Connection refused" in failed.stderr
    engine.docker("rm", "-f", "one")
    engine.docker("network", "rm", "plug")
    net.start()
    assert len(net.state()["endpoints"]) == len(net.state()["networks"]) == 1
    network(engine, "--subnet", "10.9.0.0/24")
    assert net.state()["endpoints"] == []
    assert net.state()["networks"] == [engine.network("plug")["Id"]]
    engine.docker("network", "rm", "plug")


def test_what_a_plugin_missed_it_is_told_though_nobody_asks(engine: Engine, net: Plugin) -> None:
    network(engine)
    assert run(engine, "--network", "plug") == ""
    net.kill()
    engine.docker("rm", "-f", "one")
    engine.docker("network", "rm", "plug")
    engine.kill()
    net.start()
    engine.start()
    wait_until(lambda: net.state() == {}, "the plugin is told at the daemon's start")


def test_a_plugin_may_refuse_to_give_a_network_up(engine: Engine, net: Plugin) -> None:
    network(engine)
    net.faults({"NetworkDriver.DeleteNetwork": {"answer": {"Err": "still needed"}}})
    failed = engine.docker("network", "rm", "plug", check=False)
    assert "error while removing network: plugin testnet: NetworkDriver.DeleteNetwork: remote: still needed" in (
        failed.stderr
    )
    assert engine.network("plug")["Name"] == "plug"
    net.faults({})
    engine.docker("network", "rm", "plug")


def test_a_plugin_restarts_while_a_container_runs(engine: Engine, net: Plugin) -> None:
    network(engine, "--subnet", "10.9.0.0/24")
    assert run(engine, "--network", "plug") == ""
    net.kill()
    engine.execute("one", "ping", "-c1", "-W2", "10.9.0.1")
    net.start()
    engine.docker("restart", "-t", "0", "one")
    engine.execute("one", "ping", "-c1", "-W2", "10.9.0.1")
    engine.docker("rm", "-f", "one")


def test_a_plugin_takes_its_link_away_and_gives_it_back(engine: Engine, net: Plugin) -> None:
    """Nobody but the plugin can make it; the engine brings it in again when it is there."""
    network(engine, "--subnet", "10.9.0.0/24")
    assert run(engine, "--network", "plug") == ""
    short = net.last("Join")["EndpointID"][:8]
    engine.host.run("ip", "link", "delete", f"pe{short}")
    bridge = f"pb{engine.network('plug')['Id'][:8]}"
    time.sleep(1)  # the engine looks, and leaves it at that
    assert "cannot repair" not in engine.log.read_text()
    pair = ["ip", "link", "add", f"pe{short}", "master", bridge, "up", "type", "veth", "peer", "name", f"pc{short}"]
    engine.host.run(*pair)
    inside = ["nsenter", f"--net={engine.netns('one')}", "ip", "address"]
    wait_until(lambda: "10.9.0.2" in engine.host.run(*inside), "the link is in the sandbox again", 15, every=0.2)
    engine.execute("one", "ping", "-c1", "-W2", "10.9.0.1")


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_the_daemon_restarts_while_a_container_runs(engine: Engine, net: Plugin, how: str) -> None:
    network(engine, "--subnet", "10.9.0.0/24", "-o", "route=10.200.0.0/16")
    assert run(engine, "--network", "plug") == ""
    before = engine.inspect("one")["NetworkSettings"]
    net.forget()
    getattr(engine, how)()
    engine.start()
    assert engine.inspect("one")["NetworkSettings"] == before
    engine.execute("one", "ping", "-c1", "-W2", "10.9.0.1")
    assert net.names() == []
    engine.host.run("nsenter", f"--net={engine.netns('one')}", "ip", "address", "flush", "dev", "eth0")
    wait_until(
        lambda: "10.9.0.2" in engine.host.run("nsenter", f"--net={engine.netns('one')}", "ip", "address"),
        "the address is put back",
    )
    engine.docker("rm", "-f", "one")
    assert net.names() == ["RevokeExternalConnectivity", "Leave", "DeleteEndpoint"]


def killed_during(engine: Engine, plugin: Plugin, call: str, *argv: str) -> None:
    """The client's call is under way at the plugin when the daemon is killed; then it is started again."""
    plugin.faults({f"{plugin.kind}.{call}": {"hang": 1, "then": True}})
    client = subprocess.Popen(
        ["docker", *argv], env=engine.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    wait_until(lambda: call in plugin.names(), f"{call} is under way")
    engine.kill()
    client.communicate(timeout=10)
    wait_until(lambda: f"{call} done" in plugin.names(), f"the plugin carried {call} out all the same")
    plugin.faults({})
    engine.start()


@pytest.mark.parametrize("call", ["CreateEndpoint", "Join"])
def test_the_daemon_is_killed_while_a_container_starts(engine: Engine, net: Plugin, call: str) -> None:
    network(engine)
    killed_during(engine, net, call, "run", "-d", "--name", "one", "--network", "plug", "busybox", "sleep", "1000")
    wait_until(lambda: net.state()["endpoints"] == [], "the endpoint is removed at the plugin")
    works_again(engine, net, "--network", "plug")


def test_the_daemon_is_killed_while_a_network_is_made(engine: Engine, net: Plugin, ipam: Plugin) -> None:
    killed_during(
        engine, net, "CreateNetwork", "network", "create", "-d", "testnet", "--ipam-driver", "testipam", "plug"
    )
    wait_until(lambda: net.state() == {}, "the network is removed at the plugin")
    wait_until(lambda: ipam.state() == {}, "pool and gateway are given back")
    assert "plug" not in engine.out("network", "ls", "--format", "{{.Name}}").split()


def test_the_daemon_ends_while_it_asks(engine: Engine, net: Plugin) -> None:
    """A plugin that hangs does not hold it: what is left to say is said by the next daemon."""
    net.faults({"NetworkDriver.CreateNetwork": {"hang": 3, "then": True}, "NetworkDriver.DeleteNetwork": {"hang": 9}})
    argv = ["docker", "network", "create", "-d", "testnet", "plug"]
    client = subprocess.Popen(argv, env=engine.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    wait_until(lambda: "CreateNetwork" in net.names(), "CreateNetwork is under way")
    before = time.monotonic()
    engine.stop()
    assert time.monotonic() - before < 3.5
    assert "DeleteNetwork" not in net.names()
    client.communicate(timeout=10)
    wait_until(lambda: "CreateNetwork done" in net.names(), "the plugin made the network all the same")
    net.faults({})
    engine.start()
    wait_until(lambda: net.state() == {}, "the network is removed at the plugin")


@pytest.mark.parametrize("call", ["GetDefaultAddressSpaces", "RequestPool", "RequestAddress"])
@pytest.mark.parametrize("fault", ["refuses", "mumbles", "hangs", "dies"])
def test_an_ipam_plugin_and_a_network(engine: Engine, ipam: Plugin, call: str, fault: str) -> None:
    how, told = FAULTS[fault]
    ipam.faults({f"IpamDriver.{call}": how})
    failed = engine.docker("network", "create", "--ipam-driver", "testipam", "given", check=False)
    assert f"plugin testipam: IpamDriver.{call}: " in failed.stderr
    assert told in failed.stderr
    ipam.faults({})
    if not ipam.runs:
        ipam.start()
    wait_until(lambda: ipam.state() == {}, "nothing is held")
    engine.docker("network", "create", "--ipam-driver", "testipam", "given")
    engine.docker("network", "rm", "given")


@pytest.mark.parametrize(
    ("call", "answer", "told"),
    [
        ("RequestPool", {"PoolID": "", "Pool": "10.1.0.0/24"}, "PoolID is empty"),
        ("RequestPool", {"PoolID": "p", "Pool": "10.1.0.0"}, "Pool '10.1.0.0' is no"),
        ("RequestPool", {"PoolID": "p", "Pool": "fd00::/64"}, "is not what was asked for"),
        ("RequestPool", {"PoolID": "p", "Pool": "10.1.0.0/24", "Data": []}, "Data must be an object"),
        ("RequestAddress", {"Address": ""}, "no address was returned"),
        ("RequestAddress", {"Address": "192.168.0.1/24"}, "is not what was asked for"),
        ("RequestAddress", {"Error": "exhausted"}, "remote: exhausted"),
    ],
)
def test_wrong_answers_of_an_ipam_plugin(
    engine: Engine, ipam: Plugin, call: str, answer: dict[str, Any], told: str
) -> None:
    ipam.faults({f"IpamDriver.{call}": {"answer": answer}})
    failed = engine.docker("network", "create", "--ipam-driver", "testipam", "given", check=False)
    assert f"plugin testipam: IpamDriver.{call}: " in failed.stderr
    assert told in failed.stderr


def test_an_ipam_plugin_and_a_container(engine: Engine, ipam: Plugin) -> None:
    engine.docker("network", "create", "--ipv6", "--ipam-driver", "testipam", "given")
    held = ipam.state()
    for how, told in (FAULTS[name] for name in ("refuses", "fails", "hangs")):
        ipam.faults({"IpamDriver.RequestAddress": how})
        assert told in run(engine, "--network", "given")
        engine.docker("rm", "one")
        ipam.faults({})
        wait_until(lambda: ipam.state() == held, "the addresses are given back")
    works_again(engine, ipam, "--network", "given")
    assert ipam.state() == held


def test_an_ipam_plugin_that_forgets_is_told_again(engine: Engine, ipam: Plugin) -> None:
    ipam.kill()
    ipam.start(REPLAY="1")
    engine.docker("network", "create", "--ipam-driver", "testipam", "given")
    assert run(engine, "--network", "given") == ""
    held = ipam.state()
    ipam.kill()
    engine.stop()
    ipam.start(REPLAY="1")
    engine.start()
    wait_until(lambda: ipam.state() == held, f"it holds {json.dumps(held)} again")
    engine.docker("rm", "-f", "one")
    engine.docker("network", "rm", "given")
    assert ipam.state() == {}
