"""macvlan networks through the official client: who reaches whom, on the link that the host has to the second host."""

from __future__ import annotations

import json

import pytest

from harness.engine import Engine, wait_until
from harness.machine import HOST4, OUTER4, PEER4

LAN = ("--subnet", OUTER4, "--ip-range", "198.51.100.64/26")


def lan(engine: Engine, *options: str, name: str = "lan", subnet: tuple[str, ...] = LAN) -> None:
    engine.docker("network", "create", "-d", "macvlan", *subnet, "-o", "parent=eth0", *options, name)


def sleeper(engine: Engine, name: str, *flags: str) -> None:
    engine.docker("run", "-d", "--name", name, *flags, "busybox", "sleep", "1000")


def web(engine: Engine, name: str, *flags: str) -> None:
    engine.docker("run", "-d", "--name", name, *flags, "nginx")
    engine.listens(name, 80)


def pings(engine: Engine, name: str, address: str) -> bool:
    return engine.docker("exec", name, "ping", "-c", "1", "-W", "1", address, check=False).returncode == 0


def links(engine: Engine) -> set[str]:
    return {link["ifname"] for link in json.loads(engine.host.run("ip", "-j", "link"))}


@pytest.mark.docker_option("parent", section="macvlan")
def test_a_container_is_a_station_of_its_own_on_the_parents_network(engine: Engine) -> None:
    lan(engine, "--gateway", PEER4)
    web(engine, "web", "--network", "lan")
    sleeper(engine, "other", "--network", "lan", "--ip", "198.51.100.99", "--mac-address", "02:00:00:00:00:99")
    address = engine.address("web", "lan")
    assert engine.machine.peer.get(address, 80)
    assert pings(engine, "other", address)
    assert pings(engine, "other", "web")
    # The gateway is the second host, and the host itself is out of reach.
    assert f"default via {PEER4}" in engine.execute("other", "ip", "route")
    assert pings(engine, "other", PEER4)
    assert not pings(engine, "other", HOST4)
    assert not engine.host.reaches(address, 80)
    assert "02:00:00:00:00:99" in engine.execute("other", "cat", "/sys/class/net/eth0/address")
    shown = engine.inspect("other")["NetworkSettings"]["Networks"]["lan"]
    assert (shown["MacAddress"], shown["IPAddress"], shown["Gateway"]) == ("02:00:00:00:00:99", "198.51.100.99", PEER4)


def test_names_are_answered_as_on_any_user_network(engine: Engine) -> None:
    lan(engine)
    web(engine, "web", "--network", "lan", "--network-alias", "shop")
    sleeper(engine, "other", "--network", "lan")
    for name in ("web", "shop"):
        assert engine.address("web", "lan") in engine.execute("other", "nslookup", f"{name}.")


def test_no_gateway_is_chosen_for_a_network_that_names_none(engine: Engine) -> None:
    lan(engine)
    sleeper(engine, "one", "--network", "lan")
    assert "default" not in engine.execute("one", "ip", "route")
    assert "Gateway" not in engine.network("lan")["IPAM"]["Config"][0]
    assert pings(engine, "one", PEER4)


def test_a_link_that_a_stranger_deleted_comes_back(engine: Engine) -> None:
    lan(engine, "--gateway", PEER4)
    sleeper(engine, "one", "--network", "lan")
    engine.host.run("ip", "netns", "exec", "one", "ip", "link", "delete", "eth0")
    wait_until(lambda: pings(engine, "one", PEER4), "the link is back", seconds=4)
    assert f"default via {PEER4}" in engine.execute("one", "ip", "route")


def test_stopping_takes_everything_away_and_the_same_mac_is_free_at_once(engine: Engine) -> None:
    lan(engine)
    sleeper(engine, "one", "--network", "lan", "--mac-address", "02:00:00:00:00:77", "--ip", "198.51.100.77")
    for _ in range(3):
        engine.docker("restart", "-t", "0", "one")
        assert pings(engine, "one", PEER4)


def test_a_running_container_joins_and_leaves(engine: Engine) -> None:
    lan(engine)
    sleeper(engine, "one")
    engine.docker("network", "connect", "--ip", "198.51.100.98", "lan", "one")
    assert pings(engine, "one", PEER4)
    assert "198.51.100.98" in engine.execute("one", "ip", "address", "show", "eth1")
    engine.docker("network", "disconnect", "lan", "one")
    assert "eth1" not in engine.execute("one", "ip", "link")
    engine.docker("network", "connect", "lan", "one")
    assert "eth1" in engine.execute("one", "ip", "link")


@pytest.mark.docker_option(
    "fairlead.host_shim", section="fairlead", shows="kept over the engine's restart, and removed"
)
def test_the_host_has_a_link_of_its_own_where_it_asks_for_one(engine: Engine) -> None:
    before = links(engine)
    lan(engine, "-o", "fairlead.host_shim=true", "--aux-address", "fairlead.host_shim=198.51.100.200")
    web(engine, "web", "--network", "lan")
    address = engine.address("web", "lan")
    assert "Welcome" in engine.host.get(address, 80)
    assert pings(engine, "web", "198.51.100.200")
    assert pings(engine, "web", HOST4)
    engine.kill()
    try:
        assert "Welcome" in engine.host.get(address, 80)
    finally:
        engine.start()
    assert "Welcome" in engine.host.get(address, 80)
    shim = next(iter(links(engine) - before))
    engine.host.run("ip", "link", "delete", shim)
    wait_until(lambda: engine.host.reaches(address, 80), "the host's link is back", seconds=4)
    engine.docker("rm", "-f", "web")
    assert f"{address} " not in engine.host.run("ip", "route")
    engine.docker("network", "rm", "lan")
    assert links(engine) == before


def test_a_shims_address_is_chosen_and_shown(engine: Engine) -> None:
    lan(engine, "-o", "fairlead.host_shim=true")
    sleeper(engine, "one", "--network", "lan")
    chosen = engine.network("lan")["IPAM"]["Config"][0]["AuxiliaryAddresses"]["fairlead.host_shim"]
    assert chosen == "198.51.100.64"
    assert engine.address("one", "lan") == "198.51.100.65"
    assert pings(engine, "one", chosen)


def test_a_link_of_the_hosts_comes_and_goes_while_containers_run(engine: Engine) -> None:
    before = links(engine)
    lan(engine)
    web(engine, "web", "--network", "lan")
    address = engine.address("web", "lan")
    assert not engine.host.reaches(address, 80)
    engine.fairlead("network", "update", "lan", "-o", "fairlead.host_shim=true")
    assert "Welcome" in engine.host.get(address, 80)
    assert pings(engine, "web", HOST4)
    engine.fairlead("network", "update", "lan", "-o", "fairlead.host_shim=false")
    assert not engine.host.reaches(address, 80)
    assert links(engine) == before
    assert "AuxiliaryAddresses" not in engine.network("lan")["IPAM"]["Config"][0]
    refused = engine.fairlead("network", "update", "lan", "-o", "parent=eth1", check=False)
    assert "option parent cannot change while the network exists" in refused.stderr


def test_without_a_parent_a_network_is_internal(engine: Engine) -> None:
    before = links(engine)
    made = engine.out("network", "create", "-d", "macvlan", "--subnet", "10.66.0.0/24", "alone")
    assert links(engine) - before == {f"dm-{made[:12]}"}
    assert engine.network("alone")["Internal"] is True
    web(engine, "web", "--network", "alone")
    sleeper(engine, "other", "--network", "alone")
    assert pings(engine, "other", "web")
    assert "default" not in engine.execute("other", "ip", "route")
    engine.docker("rm", "-f", "web", "other")
    engine.docker("network", "rm", "alone")
    wait_until(lambda: links(engine) == before, "nothing is left")


def test_networks_outlive_a_parent_that_goes_and_comes_back(engine: Engine) -> None:
    engine.host.run("ip", "link", "add", "lan0", "type", "veth", "peer", "name", "lan1")
    try:
        engine.host.run("ip", "link", "set", "lan0", "up")
        engine.host.run("ip", "link", "set", "lan1", "up")
        engine.docker("network", "create", "-d", "macvlan", "--subnet", "10.66.0.0/24", "-o", "parent=lan0", "lan")
        engine.docker("network", "create", "beside")
        sleeper(engine, "one", "--network", "lan")
        sleeper(engine, "two", "--network", "lan")
        sleeper(engine, "three", "--network", "beside")
        engine.host.run("ip", "link", "delete", "lan0")
        assert not pings(engine, "one", "two")
        # What else there is goes on being repaired meanwhile, and no container starts without its parent.
        veth = next(link for link in links(engine) if link.startswith("veth"))
        engine.host.run("ip", "link", "delete", veth)
        wait_until(lambda: pings(engine, "three", engine.network("beside")["IPAM"]["Config"][0]["Gateway"]), "repair")
        refused = engine.docker("run", "--rm", "--network", "lan", "busybox", "true", check=False)
        assert "cannot add link eth0 on lan0: no such device" in refused.stderr
        engine.host.run("ip", "link", "add", "lan0", "type", "veth", "peer", "name", "lan1")
        engine.host.run("ip", "link", "set", "lan0", "up")
        engine.host.run("ip", "link", "set", "lan1", "up")
        wait_until(lambda: pings(engine, "one", "two"), "the links are back with their parent", seconds=4)
    finally:
        engine.host.run("ip", "link", "delete", "lan0", check=False)


def test_containers_do_not_notice_that_the_engine_is_killed(engine: Engine) -> None:
    lan(engine)
    sleeper(engine, "one", "--network", "lan")
    engine.kill()
    try:
        engine.host.run("ip", "netns", "exec", "one", "ping", "-c", "1", "-W", "2", PEER4)
    finally:
        engine.start()
    assert pings(engine, "one", PEER4)
    engine.docker("rm", "-f", "one")


def test_ports_are_not_published_and_the_log_says_so(engine: Engine) -> None:
    lan(engine, "--gateway", PEER4)
    web(engine, "web", "--network", "lan", "-p", "8081:80")
    assert engine.out("port", "web") == ""
    assert not engine.machine.peer.reaches(HOST4, 8081)
    assert b"reached at their own address: no port is mapped" in engine.log.read_bytes()
    sleeper(engine, "other", "-p", "8081:80")


def test_an_endpoint_has_what_it_asks_for(engine: Engine) -> None:
    lan(engine)
    options = "name=lan,driver-opt=com.docker.network.endpoint.ifname=wan0"
    sysctl = "driver-opt=com.docker.network.endpoint.sysctls=net.ipv4.conf.IFNAME.log_martians=1"
    sleeper(engine, "one", "--network", f"{options},{sysctl}", "--link-local-ip", "169.254.7.7")
    assert "169.254.7.7" in engine.execute("one", "ip", "address", "show", "wan0")
    assert engine.execute("one", "cat", "/proc/sys/net/ipv4/conf/wan0/log_martians").strip() == "1"


def test_a_lan_beside_a_bridge_network(engine: Engine) -> None:
    """The bridge leads out unless the LAN has a gateway and priority."""
    lan(engine, "--gateway", PEER4)
    engine.docker("network", "create", "app")
    sleeper(engine, "one", "--network", "app", "--network", "name=lan,gw-priority=1")
    assert f"default via {PEER4} dev eth1" in engine.execute("one", "ip", "route")
    lan(engine, name="quiet", subnet=("--subnet", "10.66.0.0/24"))
    sleeper(engine, "two", "--network", "quiet", "--network", "app")
    assert "dev eth1" in engine.execute("two", "ip", "route", "show", "default")


def test_configuration_networks_lend_a_parent(engine: Engine) -> None:
    engine.docker("network", "create", "--config-only", *LAN, "-o", "parent=eth0", "settings")
    engine.docker("network", "create", "-d", "macvlan", "--config-from", "settings", "lan")
    sleeper(engine, "one", "--network", "lan")
    assert pings(engine, "one", PEER4)
    engine.docker("rm", "-f", "one")
    engine.docker("network", "rm", "lan")
    engine.docker("network", "rm", "settings")


def test_drivers_are_listed(engine: Engine) -> None:
    shown = engine.out("info", "--format", '{{join .Plugins.Network " "}}').split()
    assert {"macvlan", "ipvlan"} <= set(shown)
    lan(engine)
    assert engine.out(
        "network", "ls", "--filter", "driver=macvlan", "--format", "{{.Name}} {{.Driver}} {{.Scope}}"
    ) == ("lan macvlan local")


@pytest.mark.parametrize(
    ("options", "status", "complaint"),
    [
        (
            {"macvlan_mode": "hub"},
            500,
            "requested macvlan mode 'hub' is not valid, 'bridge' mode is the macvlan driver",
        ),
        ({"parent": "lo"}, 500, "loopback interface is not a valid macvlan parent link"),
        ({"parent": "eth9"}, 500, "invalid subinterface vlan name eth9, example formatting is eth0.10"),
        ({"parent": "eth9.10"}, 500, "-o parent interface was not found on the host: eth9"),
        ({"parent": "eth0.0"}, 500, "vlan id must be between 1-4094, received: 0"),
        ({"parent": "eth0.4095"}, 500, "vlan id must be between 1-4094, received: 4095"),
        ({"parent": "eth0.1.2"}, 500, "required interface name format is: name.vlan_id"),
        ({"parent": "eth0.x"}, 500, "unable to parse a valid vlan id from: x"),
        ({"parent": "a123456789012345"}, 400, '"a123456789012345" is not a valid interface name'),
        ({"parent": "eth0/../x"}, 400, "is not a valid interface name"),
        ({"fairlead.host_shim": "maybe"}, 400, "failed to parse fairlead.host_shim value: maybe"),
        ({"fairlead.host_shim": "true", "macvlan_mode": "private"}, 400, "needs macvlan mode bridge: with private"),
        ({"com.docker.network.driver.mtu": "9000"}, 400, "parent interface eth0 has 1500"),
        ({"com.docker.network.driver.mtu": "-1"}, 400, "invalid MTU number: -1"),
    ],
)
def test_what_cannot_be_is_refused_and_leaves_nothing(
    engine: Engine, options: dict[str, str], status: int, complaint: str
) -> None:
    before = links(engine)
    body = {"Name": "lan", "Driver": "macvlan", "Options": {"parent": "eth0"} | options}
    answered, said = engine.call("POST", "/v1.51/networks/create", body)
    assert (answered, complaint in said["message"]) == (status, True), said
    assert links(engine) == before


def test_what_two_networks_cannot_share(engine: Engine) -> None:
    lan(engine)
    wrong = {
        "cannot use mode passthru, macvlan network": {"Options": {"parent": "eth0", "macvlan_mode": "passthru"}},
        "Pool overlaps with other one": {"Options": {"parent": "eth0"}, "IPAM": {"Config": [{"Subnet": OUTER4}]}},
    }
    for complaint, parts in wrong.items():
        answered, said = engine.call("POST", "/v1.51/networks/create", {"Name": "more", "Driver": "macvlan", **parts})
        assert complaint in said["message"], (answered, said)


def test_a_passthru_network_takes_one_container(engine: Engine) -> None:
    engine.host.run("ip", "link", "add", "lan0", "type", "veth", "peer", "name", "lan1")
    try:
        engine.docker(
            *("network", "create", "-d", "macvlan", "--subnet", "10.66.0.0/24"),
            *("-o", "parent=lan0", "-o", "macvlan_mode=passthru", "lan"),
        )
        sleeper(engine, "one", "--network", "lan")
        parent = json.loads(engine.host.run("ip", "-j", "link", "show", "lan0"))[0]["address"]
        assert engine.inspect("one")["NetworkSettings"]["Networks"]["lan"]["MacAddress"] == parent
        refused = engine.docker("run", "--network", "lan", "busybox", "true", check=False)
        assert "which hands parent interface lan0 to one container" in refused.stderr
        engine.docker("restart", "-t", "0", "one")
        engine.docker("rm", "-f", "one")
        sleeper(engine, "two", "--network", "lan")
        engine.docker("rm", "-f", "two")
    finally:
        engine.host.run("ip", "link", "delete", "lan0")


def test_ipvlan_is_refused_where_the_kernel_has_none(engine: Engine) -> None:
    body = {"Name": "lan", "Driver": "ipvlan", "Options": {"parent": "eth0", "ipvlan_mode": "l4"}}
    answered, said = engine.call("POST", "/v1.51/networks/create", body)
    assert (answered, said["message"].split(",")[0]) == (500, "requested ipvlan mode 'l4' is not valid")
    body["Options"] = {"parent": "eth0"}
    answered, said = engine.call("POST", "/v1.51/networks/create", body)
    if answered != 201:
        assert (answered, said["message"]) == (501, "the host's kernel knows no ipvlan links (CONFIG_IPVLAN)")
