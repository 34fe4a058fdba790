"""Every option of a bridge network by its effect: traffic, or what the kernel holds."""

from __future__ import annotations

import ipaddress
import json

import pytest

from harness import sniffer
from harness.engine import Engine
from harness.machine import HOST4, HOST6, PEER4, PEER6, Host

BRIDGE = "com.docker.network.bridge"


def network(engine: Engine, *flags: str, name: str = "n") -> str:
    """The name of its bridge."""
    return f"br-{engine.out('network', 'create', *flags, name)[:12]}"


def sleeper(engine: Engine, name: str, *flags: str) -> None:
    engine.docker("run", "-d", "--name", name, *flags, "busybox", "sleep", "1000")


def web(engine: Engine, *flags: str, name: str = "web") -> None:
    engine.docker("run", "-d", "--name", name, *flags, "nginx")
    engine.listens(name, 80)


def pings(engine: Engine, name: str, address: str) -> bool:
    return engine.docker("exec", name, "ping", "-c", "1", "-W", "1", address, check=False).returncode == 0


def seen_as(engine: Engine, name: str, address: str = PEER4) -> str:
    """The source address under which a container's query arrives at the DNS server on the second host."""
    engine.docker("exec", name, "nslookup", f"{name}.test", address, check=False)
    lines = [line for line in engine.machine.queries.read_text().splitlines() if f" {name}.test" in line]
    return lines[-1].split()[1] if lines else ""


def gateway(engine: Engine, name: str = "n", version: int = 4) -> str:
    configs = engine.network(name)["IPAM"]["Config"]
    return next((c.get("Gateway", "") for c in configs if ipaddress.ip_network(c["Subnet"]).version == version), "")


# -- names and looks ----------------------------------------------------------------------------------------------


@pytest.mark.docker_option("com.docker.network.bridge.name", section="bridge")
def test_a_bridge_name_may_have_fifteen_characters_not_sixteen(engine: Engine) -> None:
    network(engine, "-o", f"{BRIDGE}.name={'b' * 15}")
    assert "b" * 15 in engine.host.run("ip", "link", "show", "type", "bridge")
    done = engine.docker("network", "create", "-o", f"{BRIDGE}.name={'b' * 16}", "m", check=False)
    assert "is not a valid interface name" in done.stderr


@pytest.mark.docker_option(
    "com.docker.network.bridge.name",
    section="bridge",
    shows="an address the bridge had before stays when the network goes",
)
def test_an_adopted_bridge_keeps_its_address(engine: Engine) -> None:
    engine.host.run("ip", "link", "add", "mine", "type", "bridge")
    engine.host.run("ip", "address", "add", "10.77.0.1/24", "dev", "mine")
    try:
        network(engine, "-o", f"{BRIDGE}.name=mine", "--subnet", "10.77.0.0/24", "--gateway", "10.77.0.1")
        sleeper(engine, "box", "--network", "n")
        assert pings(engine, "box", "10.77.0.1")
        assert pings(engine, "box", PEER4)
        engine.docker("rm", "-f", "box")
        engine.docker("network", "rm", "n")
        assert "inet 10.77.0.1/24" in engine.host.run("ip", "address", "show", "mine")
    finally:
        engine.host.run("ip", "link", "del", "mine")


@pytest.mark.docker_option("com.docker.network.container_iface_prefix", section="bridge")
def test_the_prefix_counts_on_its_own(engine: Engine) -> None:
    network(engine, "-o", "com.docker.network.container_iface_prefix=lan", name="a")
    network(engine, name="b")
    sleeper(engine, "box", "--network", "a", "--network", "b")
    links = engine.execute("box", "ls", "/sys/class/net").split()
    assert sorted(links) == ["eth0", "lan0", "lo"]


# -- families -----------------------------------------------------------------------------------------------------


@pytest.mark.docker_option("com.docker.network.enable_ipv6", section="bridge")
@pytest.mark.docker_option("com.docker.network.enable_ipv4", section="bridge")
def test_options_switch_families_and_flags_win(engine: Engine) -> None:
    options = ["-o", "com.docker.network.enable_ipv4=false", "-o", "com.docker.network.enable_ipv6=true"]
    network(engine, *options)
    sleeper(engine, "box", "--network", "n")
    assert engine.execute("box", "ip", "-4", "-o", "address", "show", "eth0") == ""
    assert engine.address6("box", "n")
    network(engine, "--ipv4", "--ipv6=false", *options, name="m")
    sleeper(engine, "other", "--network", "m")
    assert engine.address("other", "m")
    assert engine.address6("other", "m") == ""
    assert engine.network("m")["Options"] == {}


# -- gateway modes ------------------------------------------------------------------------------------------------


def _routes_to_containers(peer: Host, address: str) -> bool:
    return peer.reaches(address, 80)


@pytest.mark.docker_option("com.docker.network.bridge.gateway_mode_ipv6=routed", section="bridge")
def test_ipv6_routed_beside_ipv4_translated(engine: Engine) -> None:
    network(engine, "--ipv6", "-o", f"{BRIDGE}.gateway_mode_ipv6=routed")
    web(engine, "--network", "n", "-p", "8080:80")
    address = engine.address6("web", "n")
    peer = engine.machine.peer
    assert peer.reaches(address, 80)
    assert not peer.reaches(address, 81)
    assert "1 received" in peer.run("ping", "-c", "1", "-W", "1", address, check=False)
    assert not peer.reaches(HOST6, 8080)
    assert peer.reaches(HOST4, 8080)
    assert not peer.reaches(engine.address("web", "n"), 80)
    assert seen_as(engine, "web", PEER6) == address


@pytest.mark.docker_option("com.docker.network.bridge.gateway_mode_ipv6=nat-unprotected", section="bridge")
def test_ipv6_without_a_port_filter(engine: Engine) -> None:
    network(engine, "--ipv6", "-o", f"{BRIDGE}.gateway_mode_ipv6=nat-unprotected")
    web(engine, "--network", "n", "-p", "8080:8000")
    peer = engine.machine.peer
    assert peer.reaches(engine.address6("web", "n"), 80)  # not published at all
    assert not peer.reaches(engine.address("web", "n"), 80)
    assert seen_as(engine, "web", PEER6) == HOST6


@pytest.mark.docker_option("com.docker.network.bridge.gateway_mode_ipv4=nat", section="bridge")
@pytest.mark.docker_option("com.docker.network.bridge.gateway_mode_ipv6=nat", section="bridge")
def test_translated_unless_said_otherwise(engine: Engine) -> None:
    modes = ["-o", f"{BRIDGE}.gateway_mode_ipv4=nat", "-o", f"{BRIDGE}.gateway_mode_ipv6=nat"]
    network(engine, "--ipv6", *modes)
    web(engine, "--network", "n", "-p", "8080:80")
    peer = engine.machine.peer
    assert peer.reaches(HOST4, 8080)
    assert peer.reaches(HOST6, 8080)
    assert not peer.reaches(engine.address("web", "n"), 80)
    assert not peer.reaches(engine.address6("web", "n"), 80)
    assert seen_as(engine, "web") == HOST4
    assert seen_as(engine, "web", PEER6) == HOST6


@pytest.mark.docker_option("com.docker.network.bridge.gateway_mode_ipv4=isolated", section="bridge")
@pytest.mark.docker_option("com.docker.network.bridge.gateway_mode_ipv6=isolated", section="bridge")
def test_isolated_the_host_is_not_on_the_network(engine: Engine) -> None:
    modes = [flag for family in "46" for flag in ("-o", f"{BRIDGE}.gateway_mode_ipv{family}=isolated")]
    bridge = network(engine, "--internal", "--ipv6", "--subnet", "10.60.0.0/24", "--subnet", "fd00:60::/64", *modes)
    shown = engine.host.run("ip", "-o", "address", "show", bridge)
    assert "10.60.0" not in shown
    assert "fd00:60" not in shown
    web(engine, "--network", "n")
    sleeper(engine, "box", "--network", "n")
    # Nobody is the gateway, so its address is for whoever comes first.
    assert (engine.address("web", "n"), engine.address6("web", "n")) == ("10.60.0.1", "fd00:60::1")
    assert "Welcome" in engine.execute("box", "wget", "-q", "-O-", "http://web/")
    assert pings(engine, "box", "fd00:60::1")
    assert not engine.host.reaches("10.60.0.1", 80)
    assert "default" not in engine.execute("box", "ip", "route") + engine.execute("box", "ip", "-6", "route")
    assert all("Gateway" not in config for config in engine.network("n")["IPAM"]["Config"])


def test_isolated_with_a_gateway_of_ones_own(engine: Engine) -> None:
    """Its address is kept for it; the bridge does not have it either."""
    mode = ["-o", f"{BRIDGE}.gateway_mode_ipv4=isolated"]
    bridge = network(engine, "--internal", "--subnet", "10.60.0.0/24", "--gateway", "10.60.0.1", *mode)
    sleeper(engine, "box", "--network", "n")
    assert engine.address("box", "n") == "10.60.0.2"
    assert "10.60.0.1" not in engine.host.run("ip", "address", "show", bridge)
    assert gateway(engine) == "10.60.0.1"


@pytest.mark.docker_option("com.docker.network.bridge.inhibit_ipv4", section="bridge")
def test_inhibited_the_gateway_is_somebody_else(engine: Engine) -> None:
    bridge = network(engine, "--subnet", "10.61.0.0/24", "-o", f"{BRIDGE}.inhibit_ipv4=true")
    assert "10.61.0" not in engine.host.run("ip", "address", "show", bridge)
    sleeper(engine, "box", "--network", "n")
    assert "default via 10.61.0.1 " in engine.execute("box", "ip", "route")
    assert not pings(engine, "box", "10.61.0.1")
    # A router of the administrator's on the bridge takes the address.
    engine.host.run("ip", "address", "add", "10.61.0.1/24", "dev", bridge)
    assert pings(engine, "box", "10.61.0.1")
    assert pings(engine, "box", PEER4)


# -- sources ------------------------------------------------------------------------------------------------------


@pytest.mark.docker_option("com.docker.network.host_ipv4", section="bridge")
@pytest.mark.docker_option("com.docker.network.host_ipv6", section="bridge")
def test_containers_leave_under_the_address_asked_for(engine: Engine) -> None:
    second4, second6 = "198.51.100.99", "2001:db8:51::99"
    engine.host.run("ip", "address", "add", f"{second4}/24", "dev", "eth0")
    engine.host.run("ip", "address", "add", f"{second6}/64", "dev", "eth0", "nodad")
    options = ["-o", f"com.docker.network.host_ipv4={second4}", "-o", f"com.docker.network.host_ipv6={second6}"]
    try:
        network(engine, "--ipv6", *options)
        sleeper(engine, "box", "--network", "n")
        assert seen_as(engine, "box") == second4
        assert seen_as(engine, "box", PEER6) == second6
    finally:
        engine.host.run("ip", "address", "del", f"{second4}/24", "dev", "eth0")
        engine.host.run("ip", "address", "del", f"{second6}/64", "dev", "eth0")


@pytest.mark.docker_option("com.docker.network.bridge.enable_ip_masquerade", section="bridge")
def test_without_masquerade_in_ipv6(engine: Engine) -> None:
    network(engine, "--ipv6", "-o", f"{BRIDGE}.enable_ip_masquerade=false")
    sleeper(engine, "box", "--network", "n")
    assert seen_as(engine, "box", PEER6) == engine.address6("box", "n")


@pytest.mark.docker_option(
    "com.docker.network.bridge.host_binding_ipv4", section="bridge", shows="an IPv6 address, too"
)
def test_the_host_binding_may_be_ipv6(engine: Engine) -> None:
    network(engine, "--ipv6", "-o", f"{BRIDGE}.host_binding_ipv4={HOST6}")
    web(engine, "--network", "n", "-p", "8080:80")
    assert engine.out("port", "web") == f"80/tcp -> [{HOST6}]:8080"
    assert engine.machine.peer.reaches(HOST6, 8080)
    assert not engine.machine.peer.reaches(HOST4, 8080)


@pytest.mark.docker_option("com.docker.network.bridge.trusted_host_interfaces", section="bridge")
def test_from_a_trusted_interface_published_ports_are_reached_directly(engine: Engine) -> None:
    network(engine, "-o", f"{BRIDGE}.trusted_host_interfaces=wg7:eth0")
    web(engine, "--network", "n", "-p", "8080:80")
    address = engine.address("web", "n")
    assert engine.machine.peer.reaches(address, 80)
    assert not engine.machine.peer.reaches(address, 81)


# -- being announced ----------------------------------------------------------------------------------------------


@pytest.mark.docker_option("com.docker.network.advertise_addr_ms", section="bridge")
@pytest.mark.docker_option("com.docker.network.advertise_addr_nmsgs", section="bridge")
def test_addresses_are_told_as_often_and_as_slowly_as_asked(engine: Engine) -> None:
    options = ["-o", "com.docker.network.advertise_addr_nmsgs=3", "-o", "com.docker.network.advertise_addr_ms=300"]
    bridge = network(engine, "--ipv6", *options)
    with sniffer.on(engine.host.netns, bridge) as heard:
        sleeper(engine, "box", "--network", "n")
        adverts = heard.adverts(seconds=8, enough=6)
    mac = engine.inspect("box")["NetworkSettings"]["Networks"]["n"]["MacAddress"]
    for address in (engine.address("box", "n"), engine.address6("box", "n")):
        mine = [advert for advert in adverts if str(advert.address) == address]
        assert {advert.mac for advert in mine} == {mac}
        assert len(mine) == 3, adverts
        assert mine[2].at - mine[1].at > 0.25


@pytest.mark.docker_option("com.docker.network.advertise_addr_nmsgs", section="bridge", shows="0 is silence")
def test_addresses_are_not_told_at_all(engine: Engine) -> None:
    options = ["-o", "com.docker.network.advertise_addr_nmsgs=0", "-o", "com.docker.network.advertise_addr_ms=100"]
    bridge = network(engine, "--ipv6", *options)
    with sniffer.on(engine.host.netns, bridge) as heard:
        sleeper(engine, "box", "--network", "n")
        assert heard.adverts(seconds=1) == []


@pytest.mark.docker_option(
    "com.docker.network.advertise_addr_nmsgs", section="bridge", shows="after a live connect, too"
)
def test_addresses_are_told_after_a_connect(engine: Engine) -> None:
    bridge = network(engine, "-o", "com.docker.network.advertise_addr_ms=100")
    sleeper(engine, "box")
    with sniffer.on(engine.host.netns, bridge) as heard:
        engine.docker("network", "connect", "n", "box")
        adverts = heard.adverts(seconds=5, enough=3)
    assert [str(advert.address) for advert in adverts] == [engine.address("box", "n")] * 3


# -- other gateways -----------------------------------------------------------------------------------------------


@pytest.mark.docker_option("--aux-address DefaultGatewayIPv4=, DefaultGatewayIPv6=", section="addresses")
def test_another_host_on_the_bridge_is_the_gateway(engine: Engine) -> None:
    aux = ["--aux-address", "DefaultGatewayIPv4=10.62.0.9", "--aux-address", "DefaultGatewayIPv6=fd00:62::9"]
    network(engine, "--ipv6", "--subnet", "10.62.0.0/24", "--subnet", "fd00:62::/64", *aux)
    sleeper(engine, "box", "--network", "n")
    assert "default via 10.62.0.9 " in engine.execute("box", "ip", "route")
    assert "default via fd00:62::9 " in engine.execute("box", "ip", "-6", "route")
    settings = engine.inspect("box")["NetworkSettings"]["Networks"]["n"]
    assert settings["Gateway"] == "10.62.0.9"


# -- the whole picture --------------------------------------------------------------------------------------------


@pytest.mark.docker_option("docker network inspect", section="network", shows="how full each subnet is (API 1.51)")
def test_status_says_how_full_the_subnets_are(engine: Engine) -> None:
    argv = ["--ipv6", "--subnet", "10.63.0.0/24", "--ip-range", "10.63.0.64/30", "--subnet", "fd00:63::/64"]
    network(engine, *argv, "--aux-address", "in=10.63.0.65", "--aux-address", "out=10.63.0.9")
    sleeper(engine, "box", "--network", "n")
    _, shown = engine.call("GET", "/v1.51/networks/n")
    assert shown["Status"] == {
        "IPAM": {
            "Subnets": {
                # Network, broadcast, gateway, two kept back, the container. In the range: gateway, one kept back,
                # the container, one free.
                "10.63.0.0/24": {"IPsInUse": 6, "DynamicIPsAvailable": 1},
                "fd00:63::/64": {"IPsInUse": 3, "DynamicIPsAvailable": 2**64 - 3},
            }
        }
    }
    assert "Status" not in engine.call("GET", "/v1.50/networks/n")[1]


@pytest.mark.docker_option("docker network inspect --verbose", section="network")
def test_inspect_verbose_adds_services(engine: Engine) -> None:
    network(engine)
    assert json.loads(engine.out("network", "inspect", "--verbose", "n"))[0]["Services"] == {}
    assert "Services" not in engine.network("n")


@pytest.mark.docker_option(
    "-p with several networks", section="publishing", shows="also at the address on a routed one"
)
def test_a_routed_network_lets_in_what_is_published_by_another(engine: Engine) -> None:
    network(engine, name="plain")
    network(engine, "-o", f"{BRIDGE}.gateway_mode_ipv4=routed", name="routed")
    web(engine, "--network", "name=plain,gw-priority=1", "--network", "routed", "-p", "8080:80")
    peer, address = engine.machine.peer, engine.address("web", "routed")
    assert peer.reaches(HOST4, 8080)
    assert peer.reaches(address, 80)
    assert not peer.reaches(address, 81)
    engine.docker("network", "disconnect", "routed", "web")
    engine.docker("network", "connect", "routed", "web")
    assert peer.reaches(engine.address("web", "routed"), 80)
    engine.kill()
    engine.start()
    assert peer.reaches(engine.address("web", "routed"), 80)
