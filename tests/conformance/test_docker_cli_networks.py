"""Networks by the official CLI: addresses, several at once, isolation, names, options, errors."""

from __future__ import annotations

import ipaddress
import json
import re

import pytest

from harness.engine import Engine, wait_until
from harness.machine import HOST4, PEER4


def reaches(engine: Engine, name: str, address: str) -> bool:
    return engine.docker("exec", name, "ping", "-c", "1", "-W", "1", address, check=False).returncode == 0


def sleeper(engine: Engine, name: str, *flags: str) -> None:
    engine.docker("run", "-d", "--name", name, *flags, "busybox", "sleep", "1000")


@pytest.mark.docker_option(
    "automatic subnets", section="addresses", note="/24s out of 172.16.0.0/12 instead of /16s and /20s"
)
def test_default_pools_give_small_subnets_out_of_172(engine: Engine) -> None:
    subnets = []
    for n in range(5):
        engine.docker("network", "create", f"n{n}")
        subnets.append(ipaddress.ip_network(engine.network(f"n{n}")["IPAM"]["Config"][0]["Subnet"]))
    assert all(subnet.prefixlen == 24 for subnet in subnets)
    assert all(subnet.subnet_of(ipaddress.ip_network("172.16.0.0/12")) for subnet in subnets)
    assert len(set(subnets)) == 5


@pytest.mark.docker_option("--gateway", section="addresses")
def test_the_bridge_has_the_gateway_address(engine: Engine) -> None:
    network = engine.out("network", "create", "--subnet", "10.9.8.0/24", "--gateway", "10.9.8.77", "n")
    shown = engine.host.run("ip", "-o", "-4", "address", "show", f"br-{network[:12]}")
    assert "inet 10.9.8.77/24" in shown


@pytest.mark.docker_option("--ip-range", section="addresses")
@pytest.mark.docker_option("--aux-address", section="addresses", shows="the address is not given out")
def test_addresses_come_from_the_range(engine: Engine) -> None:
    argv = ["--subnet", "10.9.8.0/24", "--ip-range", "10.9.8.64/30", "--aux-address", "printer=10.9.8.65"]
    engine.docker("network", "create", *argv, "n")
    taken = []
    for n in range(2):
        sleeper(engine, f"c{n}", "--network", "n")
        taken.append(ipaddress.ip_address(engine.address(f"c{n}", "n")))
    assert all(address in ipaddress.ip_network("10.9.8.64/30") for address in taken)
    assert ipaddress.ip_address("10.9.8.65") not in taken


def test_a_freed_address_rests(engine: Engine) -> None:
    engine.docker("network", "create", "n")
    sleeper(engine, "one", "--network", "n")
    first = engine.address("one", "n")
    engine.docker("rm", "-f", "one")
    sleeper(engine, "two", "--network", "n")
    assert engine.address("two", "n") != first


@pytest.mark.docker_option("--ip", section="endpoint")
@pytest.mark.docker_option("--ip6", section="endpoint")
def test_static_addresses(engine: Engine) -> None:
    engine.docker("network", "create", "--ipv6", "--subnet", "10.9.8.0/24", "--subnet", "fd00:9::/64", "n")
    sleeper(engine, "box", "--network", "n", "--ip", "10.9.8.99", "--ip6", "fd00:9::99")
    shown = engine.execute("box", "ip", "address", "show", "eth0")
    assert "inet 10.9.8.99/24" in shown
    assert "inet6 fd00:9::99/64" in shown
    done = engine.docker("run", "--rm", "--network", "n", "--ip", "10.9.8.99", "busybox", check=False)
    assert done.returncode == 125
    assert "Address already in use" in done.stderr


@pytest.mark.docker_option("--mac-address", section="endpoint")
def test_a_mac_address_of_ones_choice(engine: Engine) -> None:
    sleeper(engine, "box", "--mac-address", "02:00:00:00:be:ef")
    assert engine.execute("box", "cat", "/sys/class/net/eth0/address").strip() == "02:00:00:00:be:ef"
    assert engine.inspect("box")["NetworkSettings"]["Networks"]["bridge"]["MacAddress"] == "02:00:00:00:be:ef"


@pytest.mark.docker_option("--ipv6", section="network")
def test_dual_stack_by_ula(engine: Engine) -> None:
    engine.docker("network", "create", "--ipv6", "n")
    sleeper(engine, "one", "--network", "n")
    sleeper(engine, "two", "--network", "n")
    address = ipaddress.ip_address(engine.address6("one", "n"))
    assert address in ipaddress.ip_network("fd00::/8")
    assert reaches(engine, "two", str(address))
    assert engine.docker("exec", "two", "ping6", "-c", "1", "-W", "2", "2001:db8:51::2").returncode == 0


@pytest.mark.docker_option("--ipv4=false", section="network")
def test_ipv6_only(engine: Engine) -> None:
    engine.docker("network", "create", "--ipv4=false", "--ipv6", "n")
    sleeper(engine, "box", "--network", "n")
    assert engine.execute("box", "ip", "-4", "-o", "address", "show", "eth0") == ""
    assert engine.address6("box", "n")


def test_the_outside_is_reached_with_the_hosts_address(engine: Engine) -> None:
    engine.docker("network", "create", "n")
    shown = engine.out("run", "--rm", "--network", "n", "busybox", "ping", "-c", "1", "-W", "2", PEER4)
    assert ", 0% packet loss" in shown


@pytest.mark.docker_option("--internal", section="network")
def test_internal_has_no_way_out(engine: Engine) -> None:
    engine.docker("network", "create", "--internal", "n")
    sleeper(engine, "one", "--network", "n")
    sleeper(engine, "two", "--network", "n")
    assert reaches(engine, "one", "two")
    assert not reaches(engine, "one", PEER4)
    assert "default" not in engine.execute("one", "ip", "route")
    assert engine.network("n")["Internal"] is True
    assert engine.docker("exec", "one", "nslookup", "google.com", check=False).returncode == 1


@pytest.mark.docker_option("com.docker.network.bridge.enable_icc", section="bridge")
def test_icc_off_separates_neighbours(engine: Engine) -> None:
    engine.docker("network", "create", "-o", "com.docker.network.bridge.enable_icc=false", "n")
    sleeper(engine, "one", "--network", "n")
    sleeper(engine, "two", "--network", "n")
    assert not reaches(engine, "one", engine.address("two", "n"))
    assert reaches(engine, "one", PEER4)


@pytest.mark.docker_option("com.docker.network.bridge.enable_ip_masquerade", section="bridge")
def test_masquerade_off_keeps_the_source(engine: Engine) -> None:
    argv = ["-o", "com.docker.network.bridge.enable_ip_masquerade=false", "--subnet", "10.9.8.0/24"]
    engine.docker("network", "create", *argv, "n")
    sleeper(engine, "box", "--network", "n", "--dns", PEER4)
    engine.docker("exec", "box", "nslookup", "four.test", check=False)
    assert f"{engine.address('box', 'n')} four.test" in engine.machine.queries.read_text()


@pytest.mark.docker_option(
    "com.docker.network.driver.mtu",
    section="bridge",
    shows="the MTU of the bridge and of the container's link",
    note="unset: that of the host's default route",
)
def test_mtu(engine: Engine) -> None:
    network = engine.out("network", "create", "-o", "com.docker.network.driver.mtu=1400", "n")
    sleeper(engine, "box", "--network", "n")
    assert engine.execute("box", "cat", "/sys/class/net/eth0/mtu").strip() == "1400"
    assert "mtu 1400" in engine.host.run("ip", "link", "show", f"br-{network[:12]}")


@pytest.mark.docker_option("com.docker.network.bridge.name", section="bridge")
@pytest.mark.docker_option("com.docker.network.container_iface_prefix", section="bridge")
def test_bridge_and_interface_names(engine: Engine) -> None:
    options = ["-o", "com.docker.network.bridge.name=mybr", "-o", "com.docker.network.container_iface_prefix=net"]
    engine.docker("network", "create", *options, "n")
    sleeper(engine, "box", "--network", "n")
    assert "mybr" in engine.host.run("ip", "link", "show", "type", "bridge")
    assert "net0" in engine.execute("box", "ip", "link")


@pytest.mark.docker_option("--network, repeated", section="endpoint", note="eth0 is the first asked for")
def test_several_networks_from_the_start(engine: Engine) -> None:
    for name in ("a", "b"):
        engine.docker("network", "create", name)
    sleeper(engine, "box", "--network", "b", "--network", "a")
    shown = engine.execute("box", "ip", "-4", "-o", "address")
    assert re.search(rf"eth0\s+inet {re.escape(engine.address('box', 'b'))}/", shown)
    assert re.search(rf"eth1\s+inet {re.escape(engine.address('box', 'a'))}/", shown)


@pytest.mark.docker_option("gw-priority", section="endpoint")
def test_gateway_priority(engine: Engine) -> None:
    for name in ("a", "b"):
        engine.docker("network", "create", name)
    gateway = {name: engine.network(name)["IPAM"]["Config"][0]["Gateway"] for name in ("a", "b")}
    sleeper(engine, "plain", "--network", "a", "--network", "b")
    sleeper(engine, "wants_b", "--network", "a", "--network", "name=b,gw-priority=1")
    assert f"default via {gateway['a']} " in engine.execute("plain", "ip", "route")
    assert f"default via {gateway['b']} " in engine.execute("wants_b", "ip", "route")


def test_the_default_route_moves_with_connect_and_disconnect(engine: Engine) -> None:
    for name in ("a", "b"):
        engine.docker("network", "create", name)
    sleeper(engine, "box", "--network", "b")
    engine.docker("network", "connect", "a", "box")
    gateway = {name: engine.network(name)["IPAM"]["Config"][0]["Gateway"] for name in ("a", "b")}
    assert f"default via {gateway['a']} " in engine.execute("box", "ip", "route")
    engine.docker("network", "disconnect", "a", "box")
    assert f"default via {gateway['b']} " in engine.execute("box", "ip", "route")
    engine.docker("network", "disconnect", "b", "box")
    assert engine.execute("box", "ip", "route") == ""


@pytest.mark.docker_option("--alias", section="endpoint")
def test_connect_with_address_and_alias(engine: Engine) -> None:
    engine.docker("network", "create", "--subnet", "10.9.8.0/24", "n")
    sleeper(engine, "box")
    sleeper(engine, "asker", "--network", "n")
    engine.docker("network", "connect", "--ip", "10.9.8.50", "--alias", "other", "n", "box")
    assert "10.9.8.50" in engine.execute("asker", "nslookup", "other.")


def test_connect_before_start_takes_effect_at_start(engine: Engine) -> None:
    engine.docker("network", "create", "n")
    engine.docker("create", "--name", "box", "busybox", "sleep", "100")
    engine.docker("network", "connect", "n", "box")
    engine.docker("start", "box")
    assert engine.address("box", "n") in engine.execute("box", "ip", "address")


def test_connect_twice_is_refused(engine: Engine) -> None:
    engine.docker("network", "create", "n")
    sleeper(engine, "box", "--network", "n")
    done = engine.docker("network", "connect", "n", "box", check=False)
    assert done.returncode == 1
    assert "endpoint with name box already exists in network n" in done.stderr


def test_networks_survive_stop_and_start(engine: Engine) -> None:
    engine.docker("network", "create", "n")
    sleeper(engine, "box")
    engine.docker("network", "connect", "--alias", "kept", "n", "box")
    engine.docker("restart", "-t", "0", "box")
    assert sorted(engine.inspect("box")["NetworkSettings"]["Networks"]) == ["bridge", "n"]
    assert "kept" in engine.inspect("box")["NetworkSettings"]["Networks"]["n"]["Aliases"]


@pytest.mark.docker_option("--network container:NAME", section="modes")
def test_container_mode_shares_the_stack(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "web", "nginx")
    page = engine.out("run", "--rm", "--network", "container:web", "busybox", "wget", "-q", "-O-", "http://127.0.0.1/")
    assert "Welcome" in page


def test_container_mode_of_what_is_stopped(engine: Engine) -> None:
    engine.docker("create", "--name", "web", "nginx")
    done = engine.docker("run", "--rm", "--network", "container:web", "busybox", check=False)
    assert done.returncode == 125
    assert "cannot join network" in done.stderr


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["-h", "x"], "conflicting options: hostname and the network mode"),
        (["-p", "80:80"], "conflicting options: port publishing and the container type network mode"),
        (["--dns", "1.1.1.1"], "conflicting options: dns and the network mode"),
        (["--add-host", "a:1.1.1.1"], "conflicting options: custom host-to-IP mapping and the network mode"),
        (["--expose", "80"], "conflicting options: port exposing and the container type network mode"),
    ],
)
def test_what_container_mode_forbids(engine: Engine, flags: list[str], message: str) -> None:
    engine.docker("run", "-d", "--name", "web", "nginx")
    done = engine.docker("create", "--network", "container:web", *flags, "busybox", check=False)
    assert done.returncode == 1
    assert message in done.stderr


@pytest.mark.docker_option(
    "automatic subnets", section="addresses", note="all routes of the host are avoided, not only on-link ones"
)
def test_an_existing_route_is_avoided(engine: Engine) -> None:
    engine.docker("network", "create", "probe")
    subnet = engine.network("probe")["IPAM"]["Config"][0]["Subnet"]
    engine.docker("network", "rm", "probe")
    engine.host.run("ip", "route", "add", subnet, "via", PEER4)
    try:
        engine.docker("network", "create", "n")
        assert engine.network("n")["IPAM"]["Config"][0]["Subnet"] != subnet
    finally:
        engine.host.run("ip", "route", "del", subnet)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["create", "bridge"], "operation is not permitted on predefined bridge network"),
        (["create", "-d", "nosuch", "n"], "plugin not found"),
        (["create", "--subnet", "10.1.2.3/24", "n"], "invalid subnet"),
        (["create", "--subnet", "10.1.2.0/24", "--gateway", "10.1.3.1", "n"], "no matching subnet for gateway"),
        (["create", "-o", "com.docker.network.driver.mtu=x", "n"], "com.docker.network.driver.mtu"),
        (["create", "-o", "com.docker.network.bridge.enable_icc=perhaps", "n"], "enable_icc"),
        (["create", "--subnet", "172.17.0.0/24", "n"], "overlap"),
        (["create", "--ipv4=false", "n"], "IPv4 or IPv6 must be enabled"),
        (["create", "-d", "host", "n"], 'only one instance of "host" network is allowed'),
        (["rm", "bridge"], "bridge is a pre-defined network and cannot be removed"),
        (["rm", "missing"], "network missing not found"),
        (["inspect", "missing"], "network missing not found"),
        (["connect", "missing", "box"], "network missing not found"),
        (["connect", "bridge", "missing"], "No such container: missing"),
        (["disconnect", "none", "box"], "is not connected to"),
    ],
)
def test_refusals(engine: Engine, argv: list[str], message: str) -> None:
    sleeper(engine, "box")
    done = engine.docker("network", *argv, check=False)
    assert done.returncode == 1
    assert message in done.stderr


def test_a_taken_name_and_a_taken_subnet(engine: Engine) -> None:
    engine.docker("network", "create", "--subnet", "10.9.8.0/24", "n")
    assert "network with name n already exists" in engine.docker("network", "create", "n", check=False).stderr
    done = engine.docker("network", "create", "--subnet", "10.9.0.0/16", "m", check=False)
    assert done.returncode == 1
    assert "overlap" in done.stderr.lower()


def test_a_network_in_use_stays(engine: Engine) -> None:
    engine.docker("network", "create", "n")
    sleeper(engine, "box", "--network", "n")
    done = engine.docker("network", "rm", "n", check=False)
    assert done.returncode == 1
    assert re.search(r'network n has active endpoints \(name:"box" id:"[0-9a-f]{12}"\)', done.stderr)


@pytest.mark.docker_option(
    "docker network ls --filter", section="network", shows="dangling, driver, id, label, name, type"
)
def test_ls_filters_and_format(engine: Engine) -> None:
    engine.docker("network", "create", "--label", "team=red", "n")

    def ls(*flags: str) -> set[str]:
        return set(engine.out("network", "ls", "--format", "{{.Name}}", *flags).split())

    assert ls("-f", "label=team=red") == {"n"}
    assert ls("-f", "type=builtin") == {"bridge", "host", "none"}
    assert ls("-f", "type=custom") == {"n"}
    assert ls("-f", "driver=null") == {"none"}
    assert ls("-f", "name=ost") == {"host"}
    assert ls("-f", "dangling=true") == {"n"}
    assert ls("-f", f"id={engine.network('n')['Id'][:8]}") == {"n"}
    assert "invalid filter 'colour'" in engine.docker("network", "ls", "-f", "colour=red", check=False).stderr


def test_inspect_shows_what_was_decided(engine: Engine) -> None:
    argv = [
        "--subnet",
        "10.9.8.0/24",
        "--gateway",
        "10.9.8.1",
        "--label",
        "a=b",
        "-o",
        "com.docker.network.driver.mtu=1400",
    ]
    engine.docker("network", "create", *argv, "n")
    found = engine.network("n")
    assert found["IPAM"] == {
        "Driver": "default",
        "Options": {},
        "Config": [{"Subnet": "10.9.8.0/24", "Gateway": "10.9.8.1"}],
    }
    assert (found["EnableIPv6"], found["Internal"], found["Attachable"], found["Ingress"]) == (False,) * 4
    assert found["Labels"] == {"a": "b"}
    assert found["Options"] == {"com.docker.network.driver.mtu": "1400"}
    assert found["Containers"] == {}


@pytest.mark.docker_option("--link", section="modes")
def test_links_on_the_default_bridge(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "db", "nginx")
    hosts = engine.out("run", "--rm", "--link", "db:database", "busybox", "cat", "/etc/hosts")
    assert re.search(rf"^{re.escape(engine.address('db'))}\s+database .*\bdb$", hosts, re.MULTILINE)


def test_links_on_the_default_bridge_follow_a_rename(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "db", "nginx")
    sleeper(engine, "app", "--link", "db:database")
    engine.docker("rename", "db", "store")
    address = re.escape(engine.address("store"))
    assert re.search(rf"^{address}\s+database .*\bstore$", engine.execute("app", "cat", "/etc/hosts"), re.MULTILINE)
    engine.docker("restart", "-t", "0", "app")
    assert re.search(rf"^{address}\s+database\b", engine.execute("app", "cat", "/etc/hosts"), re.MULTILINE)


@pytest.mark.docker_option("--add-host, host-gateway", section="modes")
def test_hosts_file(engine: Engine) -> None:
    engine.docker("network", "create", "n")
    argv = ["--network", "n", "-h", "me", "--domainname", "example.org", "--add-host", "gw:host-gateway"]
    sleeper(engine, "box", *argv, "--add-host", "other:1.2.3.4")
    hosts = engine.execute("box", "cat", "/etc/hosts").splitlines()
    assert "127.0.0.1\tlocalhost" in hosts
    assert "1.2.3.4\tother" in hosts
    assert "172.17.0.1\tgw" in hosts
    assert f"{engine.address('box', 'n')}\tme.example.org me" in hosts


@pytest.mark.docker_option("--ip-forward", section="daemon")
def test_ip_forwarding_is_on(engine: Engine) -> None:
    assert engine.host.run("cat", "/proc/sys/net/ipv4/ip_forward").strip() == "1"


@pytest.mark.docker_option(
    "DOCKER-USER",
    section="publishing",
    shows="rules of the administrator's come first",
    note="the table inet fairlead-user",
)
def test_the_administrators_table_is_left_alone(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "web", "-p", "8080:80", "nginx")
    chain = next(
        entry["chain"]["name"]
        for entry in json.loads(engine.host.run("nft", "-j", "list", "table", "inet", "fairlead-user"))["nftables"]
        if "chain" in entry and entry["chain"].get("hook") == "forward"
    )
    engine.host.run("nft", "add", "rule", "inet", "fairlead-user", chain, "ip", "saddr", PEER4, "drop")
    try:
        assert not engine.machine.peer.reaches(HOST4, 8080)
        assert engine.host.reaches("127.0.0.1", 8080)
    finally:
        engine.host.run("nft", "flush", "chain", "inet", "fairlead-user", chain)
    wait_until(lambda: engine.machine.peer.reaches(HOST4, 8080), "reachable again")
