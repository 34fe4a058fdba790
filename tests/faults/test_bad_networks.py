"""Networks, endpoints and ports that cannot be: the right status, one sentence, and the host as it was."""

from __future__ import annotations

import json
import time

import pytest

from harness import snapshot
from harness.engine import Engine, wait_until

BRIDGE = "com.docker.network.bridge."
ENDPOINT = "com.docker.network.endpoint."


def ipam(**config: object) -> dict[str, object]:
    return {"IPAM": {"Config": [{key.replace("_", ""): value for key, value in config.items()}]}}


def option(name: str, value: str) -> dict[str, object]:
    return {"Options": {name: value}}


NETWORKS: list[tuple[dict[str, object], int, str]] = [
    ({"Name": "a/b"}, 400, "invalid network name"),
    ({"Name": "a\x01b"}, 400, "invalid network name"),
    ({"Name": ""}, 400, "name is empty"),
    ({"Name": ".."}, 400, "invalid network name"),
    ({"Driver": "nosuch"}, 404, "plugin not found"),
    ({"Driver": "host"}, 403, "only one instance"),
    ({"Scope": "swarm"}, 403, "swarm is not active"),
    ({"IPAM": {"Driver": "nosuch"}}, 400, "invalid ipam driver"),
    (ipam(Subnet="zz"), 400, "invalid subnet zz"),
    (ipam(Subnet="10.1.1.1/24"), 400, "it should be 10.1.1.0/24"),
    (ipam(Subnet="0.0.0.0/0"), 403, "overlaps"),
    (ipam(Subnet="224.0.0.0/8"), 400, "multicast"),
    (ipam(Subnet="127.0.0.0/8"), 400, "loopback"),
    (ipam(Subnet="ff00::/8") | {"EnableIPv6": True}, 400, "multicast"),
    (ipam(Subnet="::1/128") | {"EnableIPv6": True}, 400, "loopback"),
    (ipam(Subnet="10.1.1.0/24", Gateway="10.1.2.1"), 400, "doesn't contain this address"),
    (ipam(Subnet="10.1.1.0/24", Gateway="10.1.1.0"), 403, "Address already in use"),
    (ipam(Subnet="10.1.1.0/24", Gateway="10.1.1.255"), 403, "Address already in use"),
    (ipam(Subnet="10.1.1.0/24", Gateway="fe80::1"), 400, "IPv4 block"),
    (ipam(Subnet="10.1.1.0/24", IPRange="10.1.0.0/16"), 400, "bigger than its parent"),
    (ipam(Subnet="10.1.1.0/24", Auxiliary_Addresses={"a": "10.2.0.1"}), 400, "invalid auxiliary address a"),
    (ipam(Gateway="10.1.1.1"), 400, "subnet"),
    ({"IPAM": {"Config": [{"Subnet": "10.1.0.0/16"}, {"Subnet": "10.1.2.0/24"}]}}, 400, "multiple overlapping subnet"),
    (option(f"{BRIDGE}name", "a/b"), 400, "not a valid interface name"),
    (option(f"{BRIDGE}name", "x" * 16), 400, "not a valid interface name"),
    (option(f"{BRIDGE}name", "eth0"), 400, "existing interface eth0 is not a bridge"),
    (option(f"{BRIDGE}name", "lo"), 400, "existing interface lo is not a bridge"),
    (option(f"{BRIDGE}name", "docker0"), 403, "networks have same bridge name"),
    (option(f"{BRIDGE}name", "flx9"), 400, "on their way out"),
    (option(f"{BRIDGE}gateway_mode_ipv4", "zz"), 400, "unknown gateway mode"),
    (option(f"{BRIDGE}gateway_mode_ipv4", "isolated"), 500, "only be used for an internal network"),
    (option("com.docker.network.driver.mtu", "20"), 400, "invalid MTU number"),
    (option("com.docker.network.driver.mtu", "1000") | {"EnableIPv6": True}, 400, "IPv6 needs 1280"),
    (option("com.docker.network.host_ipv4", "fd00::1"), 400, "not an IPv4 address"),
    ({"ConfigFrom": {"Network": "nosuch"}}, 404, "does not exist"),
    ({"EnableIPv4": False}, 400, "IPv4 or IPv6 must be enabled"),
]

ENDPOINTS: list[tuple[dict[str, object], int, str]] = [
    ({"IPAMConfig": {"IPv4Address": "zz"}}, 400, "not an IP address"),
    ({"IPAMConfig": {"IPv4Address": "10.9.0.1"}}, 403, "Address already in use"),
    ({"IPAMConfig": {"IPv4Address": "10.9.0.255"}}, 400, "out of range"),
    ({"IPAMConfig": {"IPv4Address": "fd00::1"}}, 400, "not an IPv4 address"),
    ({"IPAMConfig": {"IPv6Address": "fd00::1"}}, 400, "no configured subnet"),
    ({"IPAMConfig": {"LinkLocalIPs": ["zz"]}}, 400, "invalid link-local"),
    ({"MacAddress": "zz"}, 400, "invalid MAC address"),
    ({"MacAddress": "ff:ff:ff:ff:ff:ff"}, 400, "multicast"),
    ({"MacAddress": "00:00:00:00:00:00"}, 400, "invalid MAC address"),
    ({"Links": ["a:b:c:d"]}, 400, "bad format for links"),
    ({"DriverOpts": {f"{ENDPOINT}ifname": "lo"}}, 400, "already"),
    ({"DriverOpts": {f"{ENDPOINT}sysctls": "net.ipv4.conf.IFNAME.nosuch=1"}}, 500, "nosuch"),
    ({"DriverOpts": {f"{ENDPOINT}sysctls": "net.ipv4.conf.IFNAME.log_martians=z"}}, 500, "invalid argument"),
    ({"DriverOpts": {f"{ENDPOINT}sysctls": "net.ipv4.conf.IFNAME/../x.y=1"}}, 400, "sysctl"),
    ({"GwPriority": 1 << 70}, 400, "out of range"),
]

PORTS: list[tuple[object, int, str]] = [
    ({"80/tcp": [{"HostPort": "x"}]}, 400, "invalid port specification"),
    ({"80/tcp": [{"HostPort": "65536"}]}, 400, "invalid port specification"),
    ({"80/tcp": [{"HostPort": "90-80"}]}, 400, "invalid port specification"),
    ({"0/tcp": [{"HostPort": "80"}]}, 400, "invalid port specification"),
    ({"80/zz": [{"HostPort": "80"}]}, 400, "invalid port specification"),
    ({"80/tcp": [{"HostIp": "999.1.1.1", "HostPort": "80"}]}, 400, "invalid host IP"),
    ({"80/tcp": [{"HostIp": "1.2.3.4", "HostPort": "80"}]}, 500, "cannot assign requested address"),
    ({"80/tcp": [{"HostPort": "8094"}], "81/tcp": [{"HostPort": "8094"}]}, 500, "port is already allocated"),
]


def refused(engine: Engine, path: str, body: object) -> tuple[int, str]:
    status, _, reply = engine.request("POST", path, body)
    message = json.loads(reply)
    assert list(message) == ["message"]
    return status, str(message["message"])


def check_nothing_left(engine: Engine, before: dict[str, frozenset[str]]) -> None:
    try:
        wait_until(lambda: not snapshot.difference(before, snapshot.take(engine)), "as it was", 1.5, every=0.05)
    except AssertionError:
        pytest.fail(f"left behind: {snapshot.difference(before, snapshot.take(engine))}")


@pytest.mark.parametrize(("body", "status", "words"), NETWORKS, ids=lambda value: str(value)[:60])
def test_networks(engine: Engine, body: dict[str, object], status: int, words: str) -> None:
    before, since = snapshot.take(engine), time.time()
    found = refused(engine, "/networks/create", {"Name": "n", **body})
    assert found[0] == status, found
    assert words in found[1]
    check_nothing_left(engine, before)
    assert "repair" not in engine.out("events", "--since", str(since), "--until", str(time.time()))


@pytest.mark.parametrize(("spec", "status", "words"), ENDPOINTS, ids=lambda value: str(value)[:60])
def test_endpoints(engine: Engine, spec: dict[str, object], status: int, words: str) -> None:
    engine.docker("network", "create", "--subnet", "10.9.0.0/24", "n")
    engine.docker("run", "-d", "--name", "box", "busybox", "sleep", "1000")
    before = snapshot.take(engine)
    found = refused(engine, "/networks/n/connect", {"Container": "box", "EndpointConfig": spec})
    assert found[0] == status, found
    assert words in found[1]
    check_nothing_left(engine, before)
    assert list(engine.inspect("box")["NetworkSettings"]["Networks"]) == ["bridge"]


@pytest.mark.parametrize(("bindings", "status", "words"), PORTS, ids=lambda value: str(value)[:60])
def test_ports(engine: Engine, bindings: object, status: int, words: str) -> None:
    before = snapshot.take(engine)
    body = {"Image": "busybox", "Cmd": ["sleep", "9"], "HostConfig": {"PortBindings": bindings}}
    if status == 400:
        found = refused(engine, "/containers/create?name=box", body)
    else:
        assert engine.call("POST", "/containers/create?name=box", body)[0] == 201
        found = refused(engine, "/containers/box/start", None)
        assert engine.inspect("box")["State"]["Status"] == "created"
        engine.docker("rm", "box")
    assert found[0] == status, found
    assert words in found[1]
    check_nothing_left(engine, before)


@pytest.mark.docker_option("com.docker.network.bridge.name", section="bridge")
def test_a_strangers_bridge_is_used_and_left_as_it_was(engine: Engine) -> None:
    engine.host.run("ip", "link", "add", "theirs", "type", "bridge")
    engine.host.run("ip", "link", "set", "theirs", "up")
    engine.host.run("ip", "address", "add", "fd00:77::1/64", "dev", "theirs", "nodad")
    try:
        before = snapshot.take(engine)
        engine.docker("network", "create", "-o", f"{BRIDGE}name=theirs", "--subnet", "10.88.0.0/24", "n")
        engine.docker("run", "--rm", "--network", "n", "busybox", "ping", "-c", "1", "-W", "1", "10.88.0.1")
        assert "fd00:77::1/64" in engine.host.run("ip", "address", "show", "theirs")
        engine.docker("network", "rm", "n")
        check_nothing_left(engine, before)
    finally:
        engine.host.run("ip", "link", "del", "theirs")
