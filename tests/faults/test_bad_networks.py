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


BOOLS = ("enable_icc", "enable_ip_masquerade", "inhibit_ipv4", "default_bridge")

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
    *((option(f"{BRIDGE}{name}", "perhaps"), 400, f"failed to parse {BRIDGE}{name} value: perhaps") for name in BOOLS),
    (option(f"{BRIDGE}gateway_mode_ipv6", "zz"), 400, "unknown gateway mode zz"),
    (option(f"{BRIDGE}gateway_mode_ipv6", "isolated"), 500, "only be used for an internal network"),
    (option(f"{BRIDGE}host_binding_ipv4", "zz"), 400, "(nil ip)"),
    (option(f"{BRIDGE}trusted_host_interfaces", "eth0:a/b"), 400, "not a valid interface name"),
    (option("com.docker.network.container_iface_prefix", "a b"), 400, "not a valid interface name"),
    (option("com.docker.network.container_iface_prefix", "x" * 13), 400, "not a valid interface name"),
    (option("com.docker.network.driver.mtu", "x"), 400, "com.docker.network.driver.mtu value: x"),
    (option("com.docker.network.driver.mtu", "-1"), 400, "invalid MTU number: -1"),
    (option("com.docker.network.driver.mtu", "65536"), 400, "invalid MTU number: 65536"),
    (option("com.docker.network.host_ipv4", "zz"), 400, "(nil ip)"),
    (option("com.docker.network.host_ipv6", "10.0.0.1"), 400, "not an IPv6 address"),
    (option("com.docker.network.advertise_addr_nmsgs", "x"), 400, "must be an integer"),
    (option("com.docker.network.advertise_addr_nmsgs", "4"), 400, "must be in the range 0 to 3"),
    (option("com.docker.network.advertise_addr_ms", "1s"), 400, "must be integer milliseconds"),
    (option("com.docker.network.advertise_addr_ms", "99"), 400, "must be in the range 100 to 2000"),
    (option("com.docker.network.enable_ipv4", "no"), 400, "is not a valid bool"),
    (option("com.docker.network.enable_ipv6", "no"), 400, "is not a valid bool"),
    (option("com.docker.network.enable_ipv4", "false"), 400, "IPv4 or IPv6 must be enabled"),
    (ipam(Subnet="10.1.1.0/33"), 400, "invalid subnet 10.1.1.0/33"),
    (ipam(Subnet="0.0.0.0/8"), 400, "all predefined address pools have been fully subnetted"),
    (ipam(Subnet="fe80::/80") | {"EnableIPv6": True}, 400, "clashes with the Link-Local prefix 'fe80::/64'"),
    (ipam(Subnet="fe80::/10") | {"EnableIPv6": True}, 400, "clashes with the Link-Local prefix 'fe80::/64'"),
    (ipam(Subnet="10.1.1.0/24", IPRange="10.1.1.5/28"), 400, "it should be 10.1.1.0/28"),
    (ipam(Subnet="10.1.1.0/24", IPRange="10.1.2.0/28"), 400, "doesn't contain ip-range"),
    (ipam(Subnet="10.1.1.0/24", IPRange="fd00::/80"), 400, "parent subnet is an IPv4 block"),
    (ipam(Subnet="10.1.1.0/24", IPRange="zz"), 400, "invalid ip-range zz"),
    (ipam(Subnet="10.1.1.0/24", Gateway="zz"), 400, "invalid gateway"),
    (ipam(Subnet="10.1.1.0/24", Auxiliary_Addresses={"a": "zz"}), 400, "invalid auxiliary address"),
    (
        ipam(Subnet="10.1.1.0/24", Gateway="10.1.1.9", Auxiliary_Addresses={"a": "10.1.1.9"}),
        403,
        "failed to allocate secondary ip address (a:10.1.1.9): Address already in use",
    ),
    (
        ipam(Subnet="10.1.1.0/24", Auxiliary_Addresses={"a": "10.1.1.9", "b": "10.1.1.9"}),
        403,
        "failed to allocate secondary ip address (b:10.1.1.9): Address already in use",
    ),
    (
        ipam(Subnet="10.1.1.0/24", Auxiliary_Addresses={"a": "10.1.1.255"}),
        403,
        "failed to allocate secondary ip address (a:10.1.1.255): Address already in use",
    ),
    (
        {"IPAM": {"Config": [{"Subnet": "10.1.1.1/24"}, {"Subnet": "10.2.1.0/24", "Gateway": "10.3.0.1"}]}},
        400,
        "invalid subnet 10.1.1.1/24: it should be 10.1.1.0/24",
    ),
    ({"ConfigOnly": True, "Internal": True}, 403, "configuration network can only contain network specific fields"),
    ({"ConfigOnly": True, "ConfigFrom": {"Network": "x"}}, 403, "cannot depend on another configuration network"),
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
    ({"IPAMConfig": {"LinkLocalIPs": ["224.0.0.1"]}}, 400, "invalid link-local IP address: 224.0.0.1"),
    ({"IPAMConfig": {"LinkLocalIPs": ["127.0.0.1"]}}, 400, "invalid link-local IP address: 127.0.0.1"),
    ({"DriverOpts": {f"{ENDPOINT}ifname": "x" * 16}}, 400, "not a valid interface name"),
    ({"DriverOpts": {f"{ENDPOINT}sysctls": "kernel.a.b.IFNAME.c=1"}}, 400, "unable to recognise"),
    ({"DriverOpts": {f"{ENDPOINT}sysctls": "net.ipv4.conf.IFNAME.log_martians"}}, 400, "unable to parse"),
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


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"IPAMConfig": {"IPv4Address": "172.17.0.99"}}, "user-specified IP address is supported on user-defined"),
        ({"Aliases": ["x"]}, "network-scoped aliases are only supported for user-defined networks"),
    ],
)
def test_the_default_bridge_takes_no_addresses_and_aliases(engine: Engine, spec: dict[str, object], words: str) -> None:
    body = {"Image": "busybox", "Cmd": ["true"], "NetworkingConfig": {"EndpointsConfig": {"bridge": spec}}}
    found = refused(engine, "/containers/create?name=box", body)
    assert found[0] == 400
    assert found[1].startswith("invalid config for network bridge: invalid endpoint settings:\n")
    assert words in found[1]
    engine.docker("network", "create", "n")
    engine.docker("run", "-d", "--name", "box", "--network", "n", "busybox", "sleep", "1000")
    assert words in refused(engine, "/networks/bridge/connect", {"Container": "box", "EndpointConfig": spec})[1]


def test_a_pool_that_overlaps_anothers(engine: Engine) -> None:
    engine.docker("network", "create", "--subnet", "10.9.0.0/16", "--ipv6", "--subnet", "fd00:9::/48", "taken")
    for subnet in ("10.9.8.0/24", "10.0.0.0/8", "10.9.0.0/16", "fd00:9:0:7::/64", "fd00::/16"):
        body = {"Name": "n", "EnableIPv6": True, "IPAM": {"Config": [{"Subnet": subnet}]}}
        assert refused(engine, "/networks/create", body) == (
            403,
            "invalid pool request: Pool overlaps with other one on this address space",
        )


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
