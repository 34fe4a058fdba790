"""Network and IPAM plugins, driven by the official client: what they are told, and what containers get by it."""

from __future__ import annotations

import json

from harness.engine import Engine
from harness.machine import HOST4
from harness.plugins import Plugin, daemon_flags, directory, ipam, net

__all__ = ["daemon_flags", "directory", "ipam", "net"]


def sleeper(engine: Engine, name: str, *flags: str) -> None:
    engine.docker("run", "-d", "--name", name, *flags, "busybox", "sleep", "1000")


def links(engine: Engine, name: str) -> dict[str, dict[str, object]]:
    """The interfaces in a container, by name."""
    shown = engine.host.run("nsenter", f"--net={engine.netns(name)}", "ip", "-j", "address")
    return {link["ifname"]: link for link in json.loads(shown) if link["ifname"] != "lo"}


def routes(engine: Engine, name: str) -> set[tuple[str, str]]:
    shown = engine.host.run("nsenter", f"--net={engine.netns(name)}", "ip", "-j", "route")
    return {(route["dst"], route.get("gateway", "")) for route in json.loads(shown)}


def test_a_network_plugins_life(engine: Engine, net: Plugin) -> None:
    engine.docker("network", "create", "-d", "testnet", "--subnet", "10.9.0.0/24", "-o", "colour=blue", "plug")
    network = engine.network("plug")
    assert (network["Driver"], network["Scope"]) == ("testnet", "local")
    created = net.last("CreateNetwork")
    assert created["NetworkID"] == network["Id"]
    assert created["Options"]["com.docker.network.generic"] == {"colour": "blue"}
    assert created["Options"]["com.docker.network.enable_ipv6"] is False
    assert created["IPv4Data"] == [{"AddressSpace": "LocalDefault", "Pool": "10.9.0.0/24", "Gateway": "10.9.0.1/24"}]
    sleeper(engine, "one", "--network", "plug")
    sleeper(engine, "two", "--network", "plug", "--ip", "10.9.0.77")
    assert net.names()[2:5] == ["CreateEndpoint", "Join", "ProgramExternalConnectivity"]
    inside = links(engine, "two")
    assert list(inside) == ["eth0"]
    assert [a["local"] for a in inside["eth0"]["addr_info"] if a["family"] == "inet"] == ["10.9.0.77"]  # type: ignore[attr-defined]
    assert ("default", "10.9.0.1") in routes(engine, "two")
    shown = engine.inspect("two")["NetworkSettings"]["Networks"]["plug"]
    assert (shown["IPAddress"], shown["Gateway"], shown["MacAddress"]) == (
        "10.9.0.77",
        "10.9.0.1",
        inside["eth0"]["address"],
    )
    engine.execute("one", "ping", "-c1", "-W2", "two")
    engine.docker("rm", "-f", "one", "two")
    assert net.names().count("DeleteEndpoint") == 2
    assert net.names().count("Leave") == 2
    assert net.names().count("RevokeExternalConnectivity") == 2
    engine.docker("network", "rm", "plug")
    assert net.last("DeleteNetwork") == {"NetworkID": network["Id"]}


def test_the_interface_is_named_and_routed_as_the_plugin_says(engine: Engine, net: Plugin) -> None:
    engine.docker(
        "network", "create", "-d", "testnet", "--subnet", "10.9.0.0/24", "-o", "prefix=lan", "-o", "mac=plugin",
        "-o", "route=10.200.0.0/16,10.9.0.200", "plug",
    )  # fmt: skip
    engine.docker("network", "create", "-d", "testnet", "-o", "name=uplink", "-o", "gateway=none", "other")
    sleeper(engine, "one", "--network", "plug", "--network", "other")
    inside = links(engine, "one")
    assert list(inside) == ["lan0", "uplink"]
    assert inside["lan0"]["address"] == "02:aa:00:00:00:01"
    assert {("10.200.0.0/16", "10.9.0.200"), ("default", "10.9.0.1")} <= routes(engine, "one")
    assert engine.inspect("one")["NetworkSettings"]["Networks"]["plug"]["MacAddress"] == "02:aa:00:00:00:01"
    assert "docker_gwbridge" not in engine.out("network", "ls", "--format", "{{.Name}}").split()


def test_a_mac_and_endpoint_options_are_passed_on(engine: Engine, net: Plugin) -> None:
    engine.docker("network", "create", "-d", "testnet", "plug")
    asked = "name=plug,mac-address=02:00:00:00:12:34,driver-opt=colour=red"
    sleeper(engine, "one", "--network", asked, "--expose", "9/udp")
    told = net.last("CreateEndpoint")
    assert told["Interface"]["MacAddress"] == "02:00:00:00:12:34"
    assert told["Options"]["colour"] == "red"
    assert told["Options"]["com.docker.network.endpoint.exposedports"] == [{"Proto": 17, "Port": 9}]
    assert links(engine, "one")["eth0"]["address"] == "02:00:00:00:12:34"
    assert net.last("Join")["SandboxKey"] == "/run/netns/one"


def test_ports_are_published_by_the_plugin(engine: Engine, net: Plugin) -> None:
    engine.host.run("sysctl", "-w", "net.ipv4.ip_forward=1")
    engine.docker("network", "create", "-d", "testnet", "--subnet", "10.9.0.0/24", "plug")
    engine.docker("run", "-d", "--name", "web", "--network", "plug", "-p", "8088:80", "nginx")
    engine.listens("web", 80)
    told = net.last("ProgramExternalConnectivity")["Options"]["com.docker.network.portmap"]
    assert told == [{"Proto": 6, "IP": "", "Port": 80, "HostIP": "", "HostPort": 8088, "HostPortEnd": 8088}]
    assert engine.out("port", "web") == "80/tcp -> 0.0.0.0:8088"
    assert engine.inspect("web")["Fairlead"]["Networks"]["plug"]["Plugin"]["test.plugin"] == "says so"
    assert engine.machine.peer.reaches(HOST4, 8088)
    engine.docker("stop", "-t", "0", "web")
    assert net.names()[-3:] == ["RevokeExternalConnectivity", "Leave", "DeleteEndpoint"]
    assert not engine.machine.peer.reaches(HOST4, 8088)


def test_without_a_gateway_the_gateway_bridge_leads_out(engine: Engine, net: Plugin) -> None:
    engine.docker("network", "create", "-d", "testnet", "-o", "gateway=none", "plug")
    engine.docker("run", "-d", "--name", "web", "--network", "plug", "-p", "8089:80", "nginx")
    sleeper(engine, "two", "--network", "plug")
    engine.listens("web", 80)
    bridge = engine.network("docker_gwbridge")
    assert bridge["Options"]["com.docker.network.bridge.enable_icc"] == "false"
    assert sorted(entry["Name"].partition("_")[0] for entry in bridge["Containers"].values()) == ["gateway", "gateway"]
    assert list(engine.inspect("web")["NetworkSettings"]["Networks"]) == ["plug"]
    assert sorted(links(engine, "web")) == ["eth0", "eth1"]
    assert ("default", bridge["IPAM"]["Config"][0]["Gateway"]) in routes(engine, "web")
    assert engine.machine.peer.reaches(HOST4, 8089)
    engine.execute("two", "ping", "-c1", "-W2", "web")
    own = next(a["local"] for a in links(engine, "web")["eth1"]["addr_info"] if a["family"] == "inet")  # type: ignore[attr-defined]
    assert "100% packet loss" in engine.execute("two", "ping", "-c1", "-W1", str(own), check=False)

    # A network with a gateway of its own takes over, and gives it back.
    engine.docker("network", "create", "--subnet", "10.8.0.0/24", "plain")
    engine.docker("network", "connect", "plain", "web")
    assert ("default", "10.8.0.1") in routes(engine, "web")
    assert len(engine.network("docker_gwbridge")["Containers"]) == 1
    assert engine.machine.peer.reaches(HOST4, 8089)
    engine.docker("network", "disconnect", "plain", "web")
    assert ("default", bridge["IPAM"]["Config"][0]["Gateway"]) in routes(engine, "web")
    assert engine.machine.peer.reaches(HOST4, 8089)
    engine.docker("rm", "-f", "web", "two")
    assert engine.network("docker_gwbridge")["Containers"] == {}


def test_a_plugin_may_want_no_way_out(engine: Engine, net: Plugin) -> None:
    engine.docker("network", "create", "-d", "testnet", "-o", "gateway=none", "-o", "service=off", "plug")
    engine.docker("network", "create", "-d", "testnet", "-o", "gateway=none", "--internal", "inner")
    sleeper(engine, "one", "--network", "plug", "--network", "inner")
    assert not any(destination == "default" for destination, _ in routes(engine, "one"))
    assert net.calls()[-1][0] != "ProgramExternalConnectivity"
    assert net.last("CreateNetwork")["Options"]["com.docker.network.internal"] is True
    assert "docker_gwbridge" not in engine.out("network", "ls", "--format", "{{.Name}}").split()


def test_containers_come_and_go_while_they_run(engine: Engine, net: Plugin) -> None:
    engine.docker("network", "create", "-d", "testnet", "--subnet", "10.9.0.0/24", "plug")
    sleeper(engine, "one", "--network", "plug")
    sleeper(engine, "two")
    engine.docker("network", "connect", "--ip", "10.9.0.50", "plug", "two")
    assert sorted(links(engine, "two")) == ["eth0", "eth1"]
    engine.execute("one", "ping", "-c1", "-W2", "10.9.0.50")
    engine.execute("one", "ping", "-c1", "-W2", "two")
    engine.docker("network", "disconnect", "plug", "two")
    assert list(links(engine, "two")) == ["eth0"]
    assert net.names()[-2:] == ["Leave", "DeleteEndpoint"]
    engine.docker("network", "disconnect", "plug", "one")
    assert links(engine, "one") == {}
    engine.docker("network", "connect", "plug", "one")
    assert list(links(engine, "one")) == ["eth0"]


def test_a_plugin_may_ask_the_engine_while_it_is_asked(engine: Engine, net: Plugin) -> None:
    """As Weave's does after a restart of its own."""
    engine.docker("network", "create", "-d", "testnet", "-o", f"engine={engine.socket}", "plug")
    sleeper(engine, "one", "--network", "plug")
    assert engine.inspect("one")["Fairlead"]["Networks"]["plug"]["Plugin"]["test.asked"] == "plug"


def test_a_global_plugin_is_shown_as_such(engine: Engine, net: Plugin) -> None:
    net.kill()
    net.start(GLOBAL="1")
    engine.docker("network", "create", "-d", "testnet", "plug")
    assert engine.network("plug")["Scope"] == "global"


def test_an_ipam_plugin_gives_pools_and_addresses(engine: Engine, ipam: Plugin) -> None:
    engine.docker(
        "network", "create", "--ipam-driver", "testipam", "--ipam-opt", "zone=a", "--aux-address", "printer=10.5.0.9",
        "--subnet", "10.5.0.0/24", "--ip-range", "10.5.0.128/25", "given",
    )  # fmt: skip
    asked = ipam.last("RequestPool")
    assert asked == {
        "AddressSpace": "TestLocal", "Pool": "10.5.0.0/24", "SubPool": "10.5.0.128/25", "Options": {"zone": "a"},
        "V6": False,
    }  # fmt: skip
    requested = [message for call, message in ipam.calls() if call == "RequestAddress"]
    assert requested[0]["Options"] == {"RequestAddressType": "com.docker.network.gateway"}
    assert requested[1]["Address"] == "10.5.0.9"
    shown = engine.network("given")["IPAM"]
    assert (shown["Driver"], shown["Options"]) == ("testipam", {"zone": "a"})
    assert shown["Config"][0]["Gateway"] == "10.5.0.254"
    sleeper(engine, "one", "--network", "given")
    sleeper(engine, "two", "--network", "given", "--ip", "10.5.0.200")
    assert engine.address("one", "given") == "10.5.0.253"
    engine.execute("one", "ping", "-c1", "-W2", "10.5.0.200")
    engine.execute("one", "ping", "-c1", "-W2", "10.5.0.254")
    assert ipam.state()["TestLocal/10.5.0.0/24"] == [
        "10.5.0.200",
        "10.5.0.253",
        "10.5.0.254",
        "10.5.0.9",
    ]
    engine.docker("stop", "-t", "0", "one")
    assert "10.5.0.253" not in ipam.state()["TestLocal/10.5.0.0/24"]
    engine.docker("start", "one")
    engine.docker("rm", "-f", "one", "two")
    engine.docker("network", "rm", "given")
    assert ipam.state() == {}


def test_both_families_from_an_ipam_plugin_that_wants_macs(engine: Engine, ipam: Plugin) -> None:
    ipam.kill()
    ipam.start(MAC="1")
    engine.docker("network", "create", "--ipv6", "--ipam-driver", "testipam", "both")
    sleeper(engine, "one", "--network", "both")
    shown = engine.inspect("one")["NetworkSettings"]["Networks"]["both"]
    assert shown["IPAddress"].startswith("10.77.1.")
    assert shown["GlobalIPv6Address"].startswith("fd77:")
    assert ipam.last("RequestAddress")["Options"] == {"com.docker.network.endpoint.macaddress": shown["MacAddress"]}
    assert links(engine, "one")["eth0"]["address"] == shown["MacAddress"]
    engine.docker("rm", "-f", "one")
    engine.docker("network", "rm", "both")
    assert ipam.state() == {}


def test_a_macvlan_network_with_an_ipam_plugin(engine: Engine, ipam: Plugin) -> None:
    """Without a gateway, which only the outer network's administrator knows."""
    flags = ("-d", "macvlan", "-o", "parent=eth0", "--ipam-driver", "testipam", "--subnet", "10.5.0.0/24")
    engine.docker("network", "create", *flags, "outer")
    assert ipam.state() == {"TestLocal/10.5.0.0/24": []}
    sleeper(engine, "one", "--network", "outer")
    assert engine.address("one", "outer") == "10.5.0.254"
    engine.machine.peer.run("ip", "address", "add", "10.5.0.1/24", "dev", "eth0")
    try:
        engine.execute("one", "ping", "-c1", "-W2", "10.5.0.1")
    finally:
        engine.machine.peer.run("ip", "address", "delete", "10.5.0.1/24", "dev", "eth0")


def test_a_network_plugin_with_an_ipam_plugin(engine: Engine, net: Plugin, ipam: Plugin) -> None:
    engine.docker("network", "create", "-d", "testnet", "--ipam-driver", "testipam", "plug")
    assert net.last("CreateNetwork")["IPv4Data"] == [
        {"AddressSpace": "TestLocal", "Pool": "10.77.1.0/24", "Gateway": "10.77.1.254/24"}
    ]
    sleeper(engine, "one", "--network", "plug")
    assert net.last("CreateEndpoint")["Interface"]["Address"] == "10.77.1.253/24"
    engine.execute("one", "ping", "-c1", "-W2", "10.77.1.254")


def test_a_network_plugin_that_chooses_addresses_itself(engine: Engine, net: Plugin) -> None:
    engine.docker(
        "network", "create", "-d", "testnet", "--ipam-driver", "null", "-o", "address=10.66.0.5/24", "-o",
        "gateway=none", "-o", "service=off", "plug",
    )  # fmt: skip
    assert net.last("CreateNetwork")["IPv4Data"] == [{"AddressSpace": "null", "Pool": "0.0.0.0/0"}]
    sleeper(engine, "one", "--network", "plug")
    assert engine.address("one", "plug") == "10.66.0.5"
    refused = engine.docker("run", "-d", "--name", "two", "--network", "plug", "busybox", "true", check=False)
    assert "the address 10.66.0.5 that two was given is that of one already" in refused.stderr
    engine.docker("rm", "two")
    assert net.names().count("DeleteEndpoint") == 1


def test_plugins_are_listed_and_missed_by_name(engine: Engine, net: Plugin, ipam: Plugin) -> None:
    status, info = engine.call("GET", "/v1.47/info")
    assert status == 200
    assert {"bridge", "macvlan", "testnet"} <= set(info["Plugins"]["Network"])
    assert {"default", "null", "testipam"} <= set(info["Plugins"]["IPAM"])
    unknown = engine.docker("network", "create", "-d", "nosuch", "x", check=False)
    assert "could not find plugin nosuch in v1 plugin registry: plugin not found" in unknown.stderr
    unknown = engine.docker("network", "create", "--ipam-driver", "nosuch", "x", check=False)
    assert 'invalid ipam driver: "nosuch"' in unknown.stderr
    other = engine.docker("network", "create", "-d", "testipam", "x", check=False)
    assert "plugin testipam does not implement NetworkDriver: it implements IpamDriver" in other.stderr
