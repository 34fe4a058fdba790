"""The daemon's flags about networks, each by its effect."""

from __future__ import annotations

import ipaddress
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from harness.engine import FAIRLEAD, Engine
from harness.machine import HOST4, HOST6, PEER4, PEER6


def sleeper(engine: Engine, name: str, *flags: str) -> None:
    engine.docker("run", "-d", "--name", name, *flags, "busybox", "sleep", "1000")


def web(engine: Engine, *flags: str, name: str = "web") -> None:
    engine.docker("run", "-d", "--name", name, *flags, "nginx")
    engine.listens(name, 80)


def pings(engine: Engine, name: str, address: str) -> bool:
    return engine.docker("exec", name, "ping", "-c", "1", "-W", "1", address, check=False).returncode == 0


def shown(engine: Engine, link: str) -> str:
    return engine.host.run("ip", "address", "show", link)


@pytest.mark.docker_option("--bip", section="daemon")
@pytest.mark.docker_option("--fixed-cidr", section="daemon")
@pytest.mark.docker_option("--default-gateway", section="daemon")
def test_the_default_bridge_has_the_subnet_range_and_gateway_asked_for(engine: Engine) -> None:
    flags = ["--bip", "10.70.0.1/24", "--fixed-cidr", "10.70.0.64/26", "--default-gateway", "10.70.0.9"]
    with engine.with_flags(*flags):
        assert "inet 10.70.0.1/24" in shown(engine, "docker0")
        sleeper(engine, "box")
        assert ipaddress.ip_address(engine.address("box")) in ipaddress.ip_network("10.70.0.64/26")
        assert "default via 10.70.0.9 " in engine.execute("box", "ip", "route")


@pytest.mark.docker_option("--ipv6", section="daemon")
@pytest.mark.docker_option("--bip6", section="daemon")
@pytest.mark.docker_option("--fixed-cidr-v6", section="daemon")
@pytest.mark.docker_option("--default-gateway-v6", section="daemon")
def test_the_default_bridge_has_ipv6(engine: Engine) -> None:
    flags = ["--bip6", "fd00:70::1/64", "--fixed-cidr-v6", "fd00:70::100/120", "--default-gateway-v6", "fd00:70::9"]
    with engine.with_flags("--ipv6", *flags):
        assert "inet6 fd00:70::1/64" in shown(engine, "docker0")
        sleeper(engine, "box")
        address = ipaddress.ip_address(engine.address6("box", "bridge"))
        assert address in ipaddress.ip_network("fd00:70::100/120")
        assert "default via fd00:70::9 " in engine.execute("box", "ip", "-6", "route")


@pytest.mark.docker_option("--ipv6", section="daemon", shows="without a subnet: a unique local one")
def test_the_default_bridge_has_ipv6_out_of_the_engines_own(engine: Engine) -> None:
    with engine.with_flags("--ipv6"):
        web(engine, "-p", "8080:80")
        assert ipaddress.ip_address(engine.address6("web", "bridge")) in ipaddress.ip_network("fd00::/8")
        assert pings(engine, "web", PEER6)
        assert engine.machine.peer.reaches(HOST6, 8080)


@pytest.mark.docker_option("--mtu", section="daemon")
@pytest.mark.docker_option("--ip-masq", section="daemon")
def test_mtu_and_masquerade(engine: Engine) -> None:
    with engine.with_flags("--mtu", "1400", "--ip-masq=false"):
        sleeper(engine, "box")
        assert engine.execute("box", "cat", "/sys/class/net/eth0/mtu").strip() == "1400"
        engine.docker("exec", "box", "nslookup", "unmasked.test", PEER4, check=False)
        assert f"{engine.address('box')} unmasked.test" in engine.machine.queries.read_text()


@pytest.mark.docker_option("--ip", section="daemon")
def test_the_address_to_publish_on(engine: Engine) -> None:
    with engine.with_flags("--ip", "127.0.0.1"):
        web(engine, "-p", "8080:80")
        assert engine.out("port", "web") == "80/tcp -> 127.0.0.1:8080"
        assert engine.host.reaches("127.0.0.1", 8080)
        assert not engine.machine.peer.reaches(HOST4, 8080)


@pytest.mark.docker_option("--ip-forward=false", section="daemon")
def test_forwarding_is_left_off(engine: Engine) -> None:
    path = "/proc/sys/net/ipv4/ip_forward"
    engine.stop()
    engine.host.run("sh", "-c", f"echo 0 > {path}")
    engine.start()
    assert engine.host.run("cat", path).strip() == "1"
    with engine.with_flags("--ip-forward=false"):
        engine.host.run("sh", "-c", f"echo 0 > {path}")
        engine.docker("network", "create", "n")
        assert engine.host.run("cat", path).strip() == "0"


@pytest.mark.docker_option("--allow-direct-routing", section="daemon")
def test_published_ports_at_containers_addresses(engine: Engine) -> None:
    with engine.with_flags("--allow-direct-routing"):
        web(engine, "-p", "8080:80")
        address = engine.address("web")
        assert engine.machine.peer.reaches(address, 80)
        assert not engine.machine.peer.reaches(address, 81)
        assert engine.machine.peer.reaches(HOST4, 8080)
    web(engine, "-p", "8080:80")
    assert not engine.machine.peer.reaches(engine.address("web"), 80)


@pytest.mark.docker_option("--bridge-accept-fwmark", section="daemon")
def test_marked_packets_are_let_through(engine: Engine) -> None:
    rule = "add table inet mine; add chain inet mine marking { type filter hook prerouting priority mangle; }; "
    rule += "add rule inet mine marking tcp dport 80 meta mark set 0x5"
    with engine.with_flags("--bridge-accept-fwmark", "0x1/0x3"):
        web(engine)
        address = engine.address("web")
        assert not engine.machine.peer.reaches(address, 80)
        engine.host.run("nft", rule)
        try:
            assert engine.machine.peer.reaches(address, 80)
        finally:
            engine.host.run("nft", "delete", "table", "inet", "mine")
        assert not engine.machine.peer.reaches(address, 80)


@pytest.mark.docker_option("--host-gateway-ip", section="daemon")
def test_host_gateway_is_the_address_asked_for(engine: Engine) -> None:
    with engine.with_flags("--host-gateway-ip", "192.0.2.7", "--host-gateway-ip", "fd00:7::7"):
        hosts = engine.out("run", "--rm", "--add-host", "gw:host-gateway", "busybox", "cat", "/etc/hosts")
        assert "192.0.2.7\tgw" in hosts
        assert "fd00:7::7\tgw" in hosts


@contextmanager
def bridge_of_ones_own(engine: Engine, *addresses: str) -> Iterator[None]:
    engine.host.run("ip", "link", "add", "own0", "type", "bridge")
    for address in addresses:
        engine.host.run("ip", "address", "add", address, "dev", "own0", *(["nodad"] if ":" in address else []))
    engine.host.run("ip", "link", "set", "own0", "up")
    try:
        yield
    finally:
        engine.host.run("ip", "link", "del", "own0")


@pytest.mark.docker_option("--bridge NAME", section="daemon")
def test_a_bridge_of_the_administrators_is_used_and_left(engine: Engine) -> None:
    with bridge_of_ones_own(engine, "10.71.0.1/24", "10.72.0.1/24"):
        with engine.with_flags("--bridge", "own0", "--fixed-cidr", "10.72.0.64/26"):
            assert "docker0" not in engine.host.run("ip", "link")
            web(engine, "-p", "8080:80")
            assert ipaddress.ip_address(engine.address("web")) in ipaddress.ip_network("10.72.0.64/26")
            assert engine.network("bridge")["IPAM"]["Config"][0]["Gateway"] == "10.72.0.1"
            assert "master own0" in engine.host.run("ip", "-o", "link", "show", "type", "veth")
            assert engine.machine.peer.reaches(HOST4, 8080)
            assert pings(engine, "web", PEER4)
        assert "inet 10.71.0.1/24" in shown(engine, "own0")
        assert "inet 10.72.0.1/24" in shown(engine, "own0")
        assert "inet 172.17.0.1/16" in shown(engine, "docker0")


@pytest.mark.docker_option("--bridge none", section="daemon")
def test_without_a_default_network(engine: Engine) -> None:
    with engine.with_flags("--bridge", "none"):
        assert "docker0" not in engine.host.run("ip", "link")
        assert set(engine.out("network", "ls", "--format", "{{.Name}}").split()) == {"host", "none"}
        done = engine.docker("run", "--rm", "busybox", "true", check=False)
        assert done.returncode == 125
        assert "network bridge not found" in done.stderr
        engine.docker("network", "create", "n")
        engine.docker("run", "--rm", "--network", "n", "busybox", "ping", "-c", "1", "-W", "1", PEER4)
        done = engine.docker("run", "--rm", "--network", "n", "--add-host", "gw:host-gateway", "busybox", check=False)
        assert "unable to derive the IP value for host-gateway" in done.stderr
    assert "docker0" in engine.host.run("ip", "link")


@pytest.mark.docker_option("--default-address-pool", section="daemon")
def test_networks_come_from_the_pools(engine: Engine) -> None:
    pools = ["base=10.80.0.0/30,size=30", "base=10.81.0.0/16,size=24", "base=fd00:81::/32,size=64"]
    with engine.with_flags(*(word for pool in pools for word in ("--default-address-pool", pool))):
        engine.docker("network", "create", "--ipv6", "a")
        engine.docker("network", "create", "b")
        found = {config["Subnet"] for name in "ab" for config in engine.network(name)["IPAM"]["Config"]}
        assert found <= {"10.80.0.0/30", "10.81.0.0/24", "10.81.1.0/24", "fd00:81::/64"}
        assert "fd00:81::/64" in found


@pytest.mark.docker_option("--default-address-pool", section="daemon", shows="used up: an error, and what to do")
def test_pools_may_be_used_up(engine: Engine) -> None:
    with engine.with_flags("--default-address-pool", "base=10.82.0.0/23,size=24", "--bip", "10.83.0.1/24"):
        engine.docker("network", "create", "a")
        engine.docker("network", "create", "b")
        done = engine.docker("network", "create", "c", check=False)
        assert "all predefined address pools have been fully subnetted" in done.stderr
        engine.docker("network", "rm", "a")
        engine.docker("network", "create", "c")


@pytest.mark.docker_option("--default-network-opt", section="daemon")
def test_options_for_all_networks_of_a_driver(engine: Engine) -> None:
    options = ["com.docker.network.driver.mtu=1380", "com.docker.network.enable_ipv6=true"]
    with engine.with_flags(*(word for option in options for word in ("--default-network-opt", f"bridge={option}"))):
        engine.docker("network", "create", "n")
        sleeper(engine, "box", "--network", "n")
        assert engine.execute("box", "cat", "/sys/class/net/eth0/mtu").strip() == "1380"
        assert engine.address6("box", "n")
        engine.docker("network", "create", "--ipv6=false", "-o", "com.docker.network.driver.mtu=1390", "m")
        assert engine.network("m")["Options"] == {"com.docker.network.driver.mtu": "1390"}
        assert engine.network("m")["EnableIPv6"] is False


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--bridge", "nosuch0"], "there is no bridge nosuch0"),
        (["--bridge", "eth0"], "existing interface eth0 is not a bridge"),
        (["--default-gateway", "10.99.0.1"], "is not in the subnet of the default bridge"),
        (["--bip", "10.70.0.0/24"], "Address already in use"),
        (["--bip", "127.0.0.1/8"], "loopback"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(engine: Engine, flags: list[str], words: str) -> None:
    engine.stop()
    try:
        argv = ["daemon", "--data-root", str(engine.data_root), "--exec-root", str(engine.exec_root), *flags]
        argv += ["--pidfile", str(engine.base / "e.pid"), "--host", f"unix://{engine.socket}"]
        done = subprocess.run(
            [*engine.host.enter, FAIRLEAD, *argv], capture_output=True, text=True, timeout=20, check=False
        )
        assert done.returncode == 1
        assert words in done.stderr
        assert "Traceback" not in done.stderr
    finally:
        engine.start()
    assert "docker0" in engine.host.run("ip", "link")


def fetches(engine: Engine, name: str, address: str, port: int = 80) -> bool:
    url = f"http://{address}:{port}/"
    done = engine.docker("exec", name, "timeout", "1", "wget", "-q", "-O-", url, check=False)
    return "Welcome" in done.stdout


@pytest.mark.docker_option("--icc", section="daemon")
def test_containers_of_the_default_bridge_are_kept_from_each_other(engine: Engine) -> None:
    with engine.with_flags("--icc=false"):
        web(engine, "-p", "8080:80")
        sleeper(engine, "box")
        assert not fetches(engine, "box", engine.address("web"))
        assert not pings(engine, "box", engine.address("web"))
        assert pings(engine, "box", PEER4)
        assert engine.machine.peer.reaches(HOST4, 8080)


@pytest.mark.docker_option("--link", section="modes", shows="with --icc=false: to the exposed ports, and to no others")
@pytest.mark.docker_option("--icc", section="daemon", shows="what a --link names is let through")
@pytest.mark.parametrize("bridged", ["0", "1"])
def test_links_are_let_through_where_nothing_else_is(engine: Engine, bridged: str) -> None:
    engine.host.run("sysctl", "-qw", f"net.bridge.bridge-nf-call-iptables={bridged}")
    with engine.with_flags("--icc=false"):
        web(engine, "--expose", "8000", name="db")
        engine.docker("exec", "-d", "db", "nc", "-lk", "-p", "7000", "-e", "cat")
        sleeper(engine, "app", "--link", "db:store")
        sleeper(engine, "stranger")
        assert fetches(engine, "app", "store")
        assert fetches(engine, "app", "store")  # no redirect of the host's has led it astray
        assert not fetches(engine, "app", "store", 7000)
        assert not pings(engine, "app", "store")
        assert not fetches(engine, "stranger", engine.address("db"))
        assert not pings(engine, "db", engine.address("app"))
        engine.docker("stop", "-t", "0", "db")
        assert "links4" not in _elements(engine)
        engine.docker("start", "db")
        engine.listens("db", 80)
        assert fetches(engine, "app", "store")
        engine.kill()
        engine.start()
        assert fetches(engine, "app", "store")
        engine.docker("rm", "-f", "app")
        assert "links4" not in _elements(engine)


def _elements(engine: Engine) -> dict[str, str]:
    """The sets and maps of our table that have elements."""
    listing = engine.host.run("nft", "list", "table", "inet", "fairlead")
    found = re.findall(r"^\t(?:set|map) (\S+) \{(.*?)^\t\}", listing, re.MULTILINE | re.DOTALL)
    return {name: body for name, body in found if "elements = {" in body}
