"""Networks made by the plugins of CNI's own project, driven by docker's command line client."""

from __future__ import annotations

import json

import pytest

from harness import cni
from harness.cni import Cni
from harness.cni_fixtures import chains, daemon_flags, engine
from harness.engine import Engine, wait_until
from harness.machine import HOST4, HOST6, PEER4

__all__ = ["chains", "daemon_flags", "engine"]

pytestmark = pytest.mark.skipif(not (cni.REAL / "bridge").exists(), reason="./test fetches the CNI plugins")


def web(engine: Engine, *flags: str, name: str = "web") -> None:
    engine.docker("run", "-d", "--name", name, *flags, "nginx")
    engine.listens(name, 80)


PORTMAP = {"type": "portmap", "capabilities": {"portMappings": True}, "snat": True}


def create(engine: Engine, name: str, *flags: str) -> None:
    engine.docker("network", "create", "-d", "cni", "-o", f"conflist={name}", *flags, name)


@pytest.mark.docker_option("plugins: bridge, host-local", section="cni")
@pytest.mark.docker_option("-p", section="cni", note="told as portMappings, needs a plugin that declares it")
@pytest.mark.docker_option("plugins: portmap", section="cni")
def test_a_published_port_of_a_bridge(engine: Engine, chains: Cni) -> None:
    """bridge, host-local and portmap: reached from the host and from the second one, until the container goes."""
    chains.write("shop", chains.bridge("10.88.0.0/24"), PORTMAP)
    create(engine, "shop")
    web(engine, "--network", "shop", "-p", "8080:80", "-p", "127.0.0.1:8081:80")
    assert engine.machine.peer.get(HOST4, 8080)
    assert engine.host.get("127.0.0.1", 8080)
    assert engine.host.get("127.0.0.1", 8081)
    assert not engine.machine.peer.reaches(HOST4, 8081)
    assert engine.out("port", "web", "80").splitlines() == ["0.0.0.0:8080", "127.0.0.1:8081", "[::]:8080"]
    engine.docker("stop", "-t", "0", "web")
    assert not engine.machine.peer.reaches(HOST4, 8080)
    engine.docker("start", "web")
    engine.listens("web", 80)
    assert engine.machine.peer.get(HOST4, 8080)
    engine.docker("rm", "-f", "web")
    assert not engine.machine.peer.reaches(HOST4, 8080)


@pytest.mark.docker_option("-p", section="cni")
def test_any_free_port(engine: Engine, chains: Cni) -> None:
    chains.write("shop", chains.bridge("10.88.0.0/24"), PORTMAP)
    create(engine, "shop")
    web(engine, "--network", "shop", "-p", "80")
    port = int(engine.out("port", "web", "80").splitlines()[0].rpartition(":")[2])
    assert engine.machine.peer.get(HOST4, port)
    taken = engine.docker("run", "--rm", "--network", "shop", "-p", f"{port}:80", "busybox", "true", check=False)
    assert "port is already allocated" in taken.stderr


def test_what_inspect_says(engine: Engine, chains: Cni) -> None:
    """Address, gateway, MAC and interface name are those in the kernel."""
    chains.write("shop", chains.bridge("10.88.0.0/24"))
    create(engine, "shop")
    web(engine, "--network", "shop")
    shown = engine.inspect("web")["NetworkSettings"]["Networks"]["shop"]
    inner = json.loads(
        engine.host.run("nsenter", f"--net={engine.netns('web')}", "ip", "-j", "address", "show", "eth0")
    )
    assert (shown["IPAddress"], shown["IPPrefixLen"], shown["Gateway"]) == ("10.88.0.2", 24, "10.88.0.1")
    assert shown["MacAddress"] == inner[0]["address"]
    assert "10.88.0.2" in [address["local"] for address in inner[0]["addr_info"]]
    network = engine.network("shop")
    assert network["IPAM"]["Config"] == [{"Subnet": "10.88.0.0/24"}]
    (attached,) = network["Containers"].values()
    assert (attached["Name"], attached["IPv4Address"]) == ("web", "10.88.0.2/24")
    assert "10.88.0.2\t" in engine.execute("web", "cat", "/etc/hosts")


@pytest.mark.docker_option("--network-alias", section="cni", note="also told as aliases")
def test_names_and_the_way_out(engine: Engine, chains: Cni) -> None:
    """Containers of one chain find each other by name and alias; ipMasq leads out."""
    chains.write("shop", chains.bridge("10.88.0.0/24"))
    create(engine, "shop")
    web(engine, "--network", "shop", "--network-alias", "www")
    said = engine.out("run", "--rm", "--network", "shop", "busybox", "wget", "-qO-", "http://www/")
    assert said == engine.out("run", "--rm", "--network", "shop", "busybox", "wget", "-qO-", "http://web.shop/")
    assert engine.docker("run", "--rm", "--network", "shop", "busybox", "ping", "-c1", "-W2", PEER4).returncode == 0


@pytest.mark.docker_option("--ip", section="cni", note="told as ips, or IP in CNI_ARGS")
@pytest.mark.docker_option("--mac-address", section="cni", note="told as mac, or MAC in CNI_ARGS")
def test_address_and_mac_as_asked_for(engine: Engine, chains: Cni) -> None:
    """By capability where the plugin declares it, by CNI_ARGS where it does not."""
    for name, capabilities in (("new", {"ips": True, "mac": True}), ("old", {})):
        chains.write(name, chains.bridge("10.88.0.0/24", capabilities=capabilities))
        create(engine, name)
        flags = ("--network", name, "--ip", "10.88.0.77", "--mac-address", "02:42:00:00:00:77")
        shown = engine.out("run", "--rm", *flags, "busybox", "ip", "address", "show", "eth0")
        assert "10.88.0.77/24" in shown
        assert "02:42:00:00:00:77" in shown


def test_an_address_that_cannot_be(engine: Engine, chains: Cni) -> None:
    chains.write("shop", chains.bridge("10.88.0.0/24", capabilities={"ips": True}))
    create(engine, "shop")
    web(engine, "--network", "shop", "--ip", "10.88.0.9")
    for wrong in ("10.88.0.9", "192.0.2.1", "10.88.0.1"):
        run = engine.docker("run", "--name", "no", "--network", "shop", "--ip", wrong, "busybox", "true", check=False)
        assert run.returncode == 125
        assert "CNI network shop" in run.stderr
        engine.docker("rm", "no")
    assert chains.held("shop") == ["10.88.0.9"]


def test_subnets_of_the_engine_keep_clear(engine: Engine, chains: Cni) -> None:
    """What host-local is told to give away is not given to a bridge network."""
    chains.write("shop", chains.bridge("172.17.0.0/12"))
    create(engine, "shop")
    assert engine.docker("network", "create", "--subnet", "172.20.0.0/16", "other", check=False).returncode == 1


@pytest.mark.docker_option(
    "--subnet, --ip-range, --gateway", section="cni", note="told as ipRanges, needs a plugin that declares it"
)
def test_ranges_are_chosen_by_the_network(engine: Engine, chains: Cni) -> None:
    """--subnet and --ip-range are told to plugins that declare ipRanges, and refused where none does."""
    ipam = {"type": "host-local", "dataDir": str(chains.data)}
    plugin = {"type": "bridge", "bridge": "cni0", "isGateway": True, "ipam": ipam}
    chains.write("shop", plugin | {"capabilities": {"ipRanges": True}})
    create(engine, "shop", "--subnet", "10.89.0.0/24", "--ip-range", "10.89.0.128/25", "--gateway", "10.89.0.5")
    web(engine, "--network", "shop")
    shown = engine.inspect("web")["NetworkSettings"]["Networks"]["shop"]
    assert (shown["IPAddress"], shown["IPPrefixLen"]) == ("10.89.0.128", 24)
    chains.write("fixed", chains.bridge("10.88.0.0/24"))
    refused = engine.docker(
        "network", "create", "-d", "cni", "-o", "conflist=fixed", "--subnet", "10.90.0.0/24", "fixed", check=False
    )
    assert "declares the capability ipRanges" in refused.stderr


@pytest.mark.docker_option("plugins: portmap", section="cni")
def test_two_families(engine: Engine, chains: Cni) -> None:
    plugin = chains.bridge("10.88.0.0/24")
    plugin["ipam"]["ranges"].append([{"subnet": "fd88::/64"}])
    plugin["ipam"]["routes"].append({"dst": "::/0"})
    chains.write("shop", plugin, PORTMAP)
    create(engine, "shop")
    web(engine, "--network", "shop", "-p", "8080:80")
    shown = engine.inspect("web")["NetworkSettings"]["Networks"]["shop"]
    assert (shown["GlobalIPv6Address"], shown["IPv6Gateway"]) == ("fd88::2", "fd88::1")
    assert "default via fd88::1" in engine.execute("web", "ip", "-6", "route")
    assert engine.machine.peer.get(HOST4, 8080)
    assert engine.machine.peer.get(HOST6, 8080)


@pytest.mark.docker_option("--gw-priority", section="cni")
def test_live_and_beside_a_bridge_of_ours(engine: Engine, chains: Cni) -> None:
    """Connected, disconnected; who leads out is the engine's choice, and the ports stay where they are."""
    chains.write("shop", chains.bridge("10.88.0.0/24"), PORTMAP)
    create(engine, "shop")
    engine.docker("network", "create", "--subnet", "10.70.0.0/24", "zone")
    web(engine, "--network", "zone", "-p", "8080:80")
    engine.docker("network", "connect", "--gw-priority", "-1", "shop", "web")
    assert "default via 10.70.0.1" in engine.execute("web", "ip", "route")
    assert "10.88.0.0/24 dev eth1" in engine.execute("web", "ip", "route")
    assert engine.machine.peer.get(HOST4, 8080)
    engine.docker("network", "disconnect", "zone", "web")
    assert "default via 10.88.0.1 dev eth1" in engine.execute("web", "ip", "route")
    engine.docker("network", "connect", "--gw-priority", "7", "zone", "web")
    assert "default via 10.70.0.1" in engine.execute("web", "ip", "route")
    engine.docker("network", "disconnect", "shop", "web")
    assert "10.88" not in engine.execute("web", "ip", "address")
    assert chains.held("shop") == []


def test_several_chains_in_one_container(engine: Engine, chains: Cni) -> None:
    chains.write("front", chains.bridge("10.88.0.0/24", "cni0"))
    chains.write("back", chains.bridge("10.89.0.0/24", "cni1"), PORTMAP)
    create(engine, "front")
    create(engine, "back")
    web(engine, "--network", "name=front,gw-priority=5", "--network", "back", "-p", "8080:80")
    assert "default via 10.88.0.1 dev eth0" in engine.execute("web", "ip", "route")
    assert engine.address("web", "front") == "10.88.0.2"
    assert engine.address("web", "back") == "10.89.0.2"
    assert engine.host.get("127.0.0.1", 8080)


@pytest.mark.docker_option("-p", section="cni")
def test_ports_need_a_plugin_that_publishes(engine: Engine, chains: Cni) -> None:
    chains.write("shop", chains.bridge("10.88.0.0/24"))
    create(engine, "shop")
    refused = engine.docker("run", "--rm", "--network", "shop", "-p", "8080:80", "busybox", "true", check=False)
    assert refused.returncode == 125
    assert "declares the capability portMappings, which publishing ports needs" in refused.stderr
    assert not engine.host.reaches("127.0.0.1", 8080)


def test_ports_of_plugins_do_not_change_while_it_runs(engine: Engine, chains: Cni) -> None:
    chains.write("shop", chains.bridge("10.88.0.0/24"), PORTMAP)
    create(engine, "shop")
    web(engine, "--network", "shop", "-p", "8080:80")
    for verb, port in (("add", "8081:80"), ("rm", "8080:80")):
        refused = engine.fairlead("port", verb, "web", port, check=False)
        assert refused.returncode == 1
        assert "stop it, change them, and start it again" in refused.stderr
    assert engine.host.get("127.0.0.1", 8080)


@pytest.mark.docker_option("plugins: bridge, host-local", section="cni")
def test_the_daemon_may_go_and_come_back(engine: Engine, chains: Cni) -> None:
    """What runs keeps its network; what ended meanwhile is taken off it at the start."""
    chains.write("shop", chains.bridge("10.88.0.0/24"), PORTMAP)
    create(engine, "shop")
    web(engine, "--network", "shop", "-p", "8080:80")
    web(engine, "--network", "shop", "-p", "8081:80", name="doomed")
    pid = engine.inspect("doomed")["State"]["Pid"]
    engine.kill()
    assert engine.machine.peer.get(HOST4, 8080)
    engine.host.run("kill", "-9", str(pid))
    engine.start()
    wait_until(lambda: chains.held("shop") == ["10.88.0.2"], "the address of the dead is given back")
    assert engine.machine.peer.get(HOST4, 8080)
    assert not engine.machine.peer.reaches(HOST4, 8081)
    assert engine.address("web", "shop") == "10.88.0.2"
    assert engine.out("run", "--rm", "--network", "shop", "busybox", "wget", "-qO-", "http://web/")
    engine.docker("rm", "-f", "web")
    assert chains.held("shop") == []


def test_a_default_route_taken_away_is_put_back(engine: Engine, chains: Cni) -> None:
    chains.write("shop", chains.bridge("10.88.0.0/24"))
    create(engine, "shop")
    web(engine, "--network", "shop")
    netns = engine.netns("web")
    engine.host.run("nsenter", f"--net={netns}", "ip", "route", "delete", "default")
    wait_until(lambda: "default via 10.88.0.1" in engine.execute("web", "ip", "route"), "repaired", seconds=10)


def test_renamed_while_it_runs(engine: Engine, chains: Cni) -> None:
    """The pinned namespace has another path by then: DEL is told the new one."""
    chains.write("shop", chains.bridge("10.88.0.0/24"), PORTMAP)
    create(engine, "shop")
    web(engine, "--network", "shop", "-p", "8080:80")
    engine.docker("rename", "web", "site")
    assert engine.out("run", "--rm", "--network", "shop", "busybox", "wget", "-qO-", "http://site/")
    engine.docker("rm", "-f", "site")
    assert chains.held("shop") == []


@pytest.mark.docker_option("plugins: macvlan", section="cni")
def test_macvlan(engine: Engine, chains: Cni) -> None:
    """On the outer link: the second host is a neighbour."""
    plugin = {"type": "macvlan", "master": "eth0", "mode": "bridge", "ipam": chains.ipam("198.51.100.0/24")}
    plugin["ipam"]["ranges"][0][0] |= {"rangeStart": "198.51.100.100", "rangeEnd": "198.51.100.110"}
    chains.write("lan", plugin)
    create(engine, "lan")
    web(engine, "--network", "lan")
    assert engine.address("web", "lan") == "198.51.100.100"
    assert engine.machine.peer.get("198.51.100.100", 80)


@pytest.mark.docker_option("plugins: ptp", section="cni")
def test_ptp(engine: Engine, chains: Cni) -> None:
    """A /32 behind a pair of its own: routes by hand, a gateway outside the subnet."""
    ipam = chains.ipam("10.88.0.0/24", routes=[{"dst": "0.0.0.0/0"}])
    chains.write("direct", {"type": "ptp", "ipMasq": True, "ipam": ipam}, PORTMAP)
    create(engine, "direct")
    web(engine, "--network", "direct", "-p", "8080:80")
    assert engine.machine.peer.get(HOST4, 8080)
    assert engine.host.get(engine.address("web", "direct"), 80)
    assert engine.docker("exec", "web", "ping", "-c1", "-W2", PEER4).returncode == 0


@pytest.mark.docker_option("fairlead network check", section="cni")
def test_check_finds_what_is_missing(engine: Engine, chains: Cni) -> None:
    chains.write("shop", chains.bridge("10.88.0.0/24"))
    create(engine, "shop")
    web(engine, "--network", "shop")
    assert engine.fairlead("network", "check", "shop").stdout.splitlines()[1].split() == ["web", "eth0", "ok"]
    inside = ("nsenter", f"--net={engine.netns('web')}", "ip", "address")
    engine.host.run(*inside, "delete", "10.88.0.2/24", "dev", "eth0")
    found = engine.fairlead("network", "check", "shop", check=False)
    assert found.returncode == 1
    assert "CNI plugin bridge: Failed to match addr" in found.stdout


def test_servers_for_names_that_plugins_tell(engine: Engine, chains: Cni) -> None:
    """They are asked from the container's namespace, as the second host's server sees; search domains are written."""
    dns = {"nameservers": [PEER4], "domain": "shop", "search": ["example.org"]}
    chains.write("shop", chains.bridge("10.88.0.0/24", ipMasq=False, dns=dns))
    create(engine, "shop")
    web(engine, "--network", "shop")
    assert "search shop example.org" in engine.execute("web", "cat", "/etc/resolv.conf")
    engine.docker("exec", "web", "nslookup", "plugins.test.", check=False)
    assert "udp 10.88.0.2 plugins.test" in engine.machine.queries.read_text()


@pytest.mark.docker_option("fairlead.bandwidth.*", section="cni", note="told as bandwidth where a plugin declares it")
@pytest.mark.docker_option("plugins: bandwidth", section="cni")
def test_limits_of_bandwidth(engine: Engine, chains: Cni) -> None:
    """By the plugin where one declares it, by the engine inside the sandbox where none does."""
    chains.write("fast", chains.bridge("10.88.0.0/24"), {"type": "bandwidth", "capabilities": {"bandwidth": True}})
    create(engine, "fast", "-o", "fairlead.bandwidth.ingress=8mbit")
    web(engine, "--network", "fast")
    host = engine.host.run("tc", "qdisc", "show")
    inner = engine.host.run("nsenter", f"--net={engine.netns('web')}", "tc", "qdisc", "show", "dev", "eth0")
    assert "rate 8Mbit" in host
    assert "tbf" not in inner
    chains.write("plain", chains.bridge("10.89.0.0/24", "cni1"))
    create(engine, "plain", "-o", "fairlead.bandwidth.egress=8mbit")
    web(engine, "--network", "plain", name="other")
    inner = engine.host.run("nsenter", f"--net={engine.netns('other')}", "tc", "qdisc", "show", "dev", "eth0")
    assert "rate 8Mbit" in inner
