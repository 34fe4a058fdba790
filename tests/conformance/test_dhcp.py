"""``--ipam-driver dhcp``: real servers give containers their addresses, on macvlan and on a bridge of the host's."""

from __future__ import annotations

import json
import random
import socket
import threading
import time
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from fairlead.net import dhcp
from fairlead.net.dhcp import Kind, Message
from harness.dhcp import Dnsmasq, Server, Udhcpd
from harness.engine import Engine, wait_until
from harness.machine import PEER4

RANGE = "198.51.100.100,198.51.100.120,255.255.255.0,2m"
LAN = ("-d", "macvlan", "-o", "parent=eth0", "--ipam-driver", "dhcp")
SOON = ("--ipam-opt", "fairlead.dhcp.timeout=1.2s")


@pytest.fixture
def dnsmasq(engine: Engine, tmp_path: Path) -> Iterator[Dnsmasq]:
    with Dnsmasq(
        engine.machine.peer,
        tmp_path,
        "eth0",
        RANGE,
        f"dhcp-option=option:router,{PEER4}",
        f"dhcp-option=option:dns-server,{PEER4}",
        "dhcp-option=option:domain-name,lan.example",
        "dhcp-option=option:classless-static-route,203.0.113.0/24,198.51.100.7,0.0.0.0/0,198.51.100.2",
    ) as server:
        yield server


def sleeper(engine: Engine, name: str, *flags: str) -> None:
    engine.docker("run", "-d", "--name", name, *flags, "busybox", "sleep", "1000")


def pings(engine: Engine, name: str, address: str) -> bool:
    return engine.docker("exec", name, "ping", "-c", "1", "-W", "1", address, check=False).returncode == 0


def addresses(engine: Engine, name: str, netns: str = "") -> list[str]:
    """What the kernel has on eth0."""
    entered = f"--net={netns or engine.netns(name)}"
    shown = engine.host.run("nsenter", entered, "ip", "-j", "-4", "address", "show", "eth0")
    found = [each for link in json.loads(shown) for each in link["addr_info"]]
    return [f"{each['local']}/{each['prefixlen']}" for each in found]


@pytest.mark.docker_option("--ipam-driver dhcp", section="dhcp")
def test_a_server_gives_a_macvlan_container_all_it_needs(engine: Engine, dnsmasq: Dnsmasq) -> None:
    engine.docker("network", "create", *LAN, "lan")
    sleeper(engine, "web", "--network", "lan")
    address = engine.address("web", "lan")
    assert address.startswith("198.51.100.1")
    assert addresses(engine, "web") == [f"{address}/24"]
    assert pings(engine, "web", PEER4)
    routes = engine.execute("web", "ip", "route")
    assert f"default via {PEER4} dev eth0" in routes
    assert "203.0.113.0/24 via 198.51.100.7 dev eth0" in routes
    assert engine.inspect("web")["NetworkSettings"]["Networks"]["lan"]["Gateway"] == PEER4
    lease = engine.inspect("web")["Fairlead"]["Networks"]["lan"]["Lease"]
    assert (lease["Server"], lease["ClientID"]) == (PEER4, dnsmasq.lease(address)[1])  # type: ignore[index]
    assert lease["Obtained"] < lease["Expires"]
    # The server's name for it, and the servers for its names.
    assert dnsmasq.lease(address) is not None
    assert dnsmasq.lease(address)[0] == "web"  # type: ignore[index]
    assert "search lan.example" in engine.execute("web", "cat", "/etc/resolv.conf")


@pytest.mark.docker_option("name servers of the lease", section="dhcp")
def test_names_are_asked_of_the_servers_that_the_lease_names(engine: Engine, tmp_path: Path) -> None:
    peer, elsewhere = engine.machine.peer, "198.51.100.9"
    peer.run("ip", "address", "add", f"{elsewhere}/24", "dev", "eth0")
    argv = ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--user=root", "--no-resolv"]
    argv += [f"--listen-address={elsewhere}", "--except-interface=lo", "--bind-interfaces", "--log-facility=-"]
    argv += ["--address=/only.lan.example/203.0.113.9", f"--pid-file={tmp_path}/pid"]
    option = f"dhcp-option=option:dns-server,{elsewhere}"
    try:
        with Server(peer, argv, tmp_path / "dns.log", "started"), Dnsmasq(peer, tmp_path, "eth0", RANGE, option):
            engine.docker("network", "create", *LAN, "lan")
            sleeper(engine, "web", "--network", "lan")
            assert "203.0.113.9" in engine.execute("web", "nslookup", "only.lan.example.", check=False)
            # Whoever says which servers to ask, has them asked.
            sleeper(engine, "own", "--network", "lan", "--dns", PEER4)
            assert "203.0.113.9" not in engine.execute("own", "nslookup", "only.lan.example.", check=False)
            engine.clear()
    finally:
        peer.run("ip", "address", "delete", f"{elsewhere}/24", "dev", "eth0")


@pytest.mark.docker_option("fairlead.dhcp.hostname", section="dhcp")
@pytest.mark.docker_option("fairlead.dhcp.client_id", section="dhcp")
def test_the_hostname_and_the_client_id_are_those_asked_for(engine: Engine, dnsmasq: Dnsmasq) -> None:
    engine.docker("network", "create", *LAN, "lan")
    sleeper(engine, "one", "--network", "lan", "--hostname", "printer")
    options = "driver-opt=fairlead.dhcp.hostname=scanner,driver-opt=fairlead.dhcp.client_id=01:02:03"
    sleeper(engine, "two", "--network", f"name=lan,{options}")
    assert dnsmasq.lease(engine.address("one", "lan"))[0] == "printer"  # type: ignore[index]
    assert dnsmasq.lease(engine.address("two", "lan")) == ("scanner", "01:02:03")


@pytest.mark.docker_option("release on stop", section="dhcp")
def test_an_address_is_given_back_and_comes_back(engine: Engine, dnsmasq: Dnsmasq) -> None:
    engine.docker("network", "create", *LAN, "lan")
    sleeper(engine, "web", "--network", "lan")
    address, mac = engine.address("web", "lan"), engine.execute("web", "cat", "/sys/class/net/eth0/address")
    engine.docker("stop", "-t", "0", "web")
    wait_until(lambda: dnsmasq.lease(address) is None, "the lease was released")
    sleeper(engine, "other", "--network", "lan")
    engine.docker("start", "web")
    assert engine.address("web", "lan") == address
    assert engine.execute("web", "cat", "/sys/class/net/eth0/address") == mac
    other = engine.address("other", "lan")
    engine.docker("network", "disconnect", "lan", "other")
    wait_until(lambda: dnsmasq.lease(other) is None, "a disconnected container's lease was released")
    engine.docker("network", "connect", "lan", "other")
    assert dnsmasq.lease(engine.address("other", "lan")) is not None
    assert pings(engine, "other", "web")


@pytest.mark.docker_option("--ip", section="dhcp")
def test_an_address_that_is_asked_for_is_given_or_refused(engine: Engine, dnsmasq: Dnsmasq) -> None:
    engine.docker("network", "create", *LAN, *SOON, "lan")
    sleeper(engine, "web", "--network", "lan", "--ip", "198.51.100.117")
    assert engine.address("web", "lan") == "198.51.100.117"
    refused = engine.docker(
        "run", "-d", "--name", "no", "--network", "lan", "--ip", "198.51.100.200", "busybox", check=False
    )
    assert f"the DHCP server {PEER4} offers 198.51.100." in refused.stderr
    assert "and not 198.51.100.200, which was asked for" in refused.stderr
    assert refused.returncode == 125
    engine.docker("rm", "no")


@pytest.mark.docker_option("--ipam-driver dhcp", section="dhcp")
def test_a_bridge_that_leads_to_a_server(engine: Engine, tmp_path: Path) -> None:
    machine = engine.machine
    machine.host.run("ip", "link", "add", "br0", "type", "bridge")
    machine.host.run(
        "ip", "link", "add", "lan0", "type", "veth", "peer", "name", "lan0", "netns", str(machine.peer.pid)
    )
    for host, link in ((machine.host, "br0"), (machine.host, "lan0"), (machine.peer, "lan0")):
        host.run("ip", "link", "set", link, "up")
    machine.host.run("ip", "link", "set", "lan0", "master", "br0")
    machine.peer.run("ip", "address", "add", "192.0.2.1/24", "dev", "lan0")
    try:
        with Dnsmasq(machine.peer, tmp_path, "lan0", "192.0.2.50,192.0.2.59,255.255.255.0,2m"):
            engine.docker(
                "network", "create", "-o", "com.docker.network.bridge.name=br0", "--ipam-driver", "dhcp", "lan"
            )
            sleeper(engine, "web", "--network", "lan")
            sleeper(engine, "db", "--network", "lan")
            assert engine.address("web", "lan").startswith("192.0.2.5")
            assert pings(engine, "web", "192.0.2.1")
            assert pings(engine, "web", "db")
            engine.clear()
    finally:
        machine.host.run("ip", "link", "delete", "lan0")
        machine.host.run("ip", "link", "delete", "br0")


@pytest.mark.docker_option("fairlead.dhcp.timeout", section="dhcp")
def test_a_silent_network_is_an_error_and_leaves_nothing(engine: Engine) -> None:
    engine.docker("network", "create", *LAN, *SOON, "lan")
    began = time.monotonic()
    refused = engine.docker("run", "--rm", "--network", "lan", "busybox", check=False)
    assert time.monotonic() - began < 5
    assert "no DHCP server on eth0 (network lan) gave an address within 1.2 s" in refused.stderr
    assert engine.out("ps", "-aq") == ""


@pytest.fixture
def rubbish(engine: Engine) -> Iterator[None]:
    """Somebody on the network says all kinds of things to DHCP clients, all the time."""
    seed = random.Random(5)
    mac = "02:00:00:00:00:01"
    lies = [
        Message(kind=kind, xid=seed.getrandbits(32), mac=mac, reply=True, address=IPv4Address(address))
        for kind in (Kind.OFFER, Kind.ACK, Kind.NAK)
        for address in ("0.0.0.0", "255.255.255.255", "198.51.100.3")
    ]
    junk = [dhcp.render(lie) for lie in lies]
    junk += [raw[:cut] for raw in junk for cut in (1, 100, 241, 250)]
    junk += [seed.randbytes(length) for length in (0, 1, 300, 1400)]
    over = threading.Event()

    def speak() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
            link.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            link.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
            while not over.wait(0.005):
                for raw in junk:
                    link.sendto(raw, ("255.255.255.255", 68))

    thread = threading.Thread(target=lambda: engine.machine.peer.call(speak))
    thread.start()
    yield
    over.set()
    thread.join()


@pytest.mark.usefixtures("rubbish")
def test_rubbish_on_the_wire_changes_nothing(engine: Engine, dnsmasq: Dnsmasq) -> None:
    engine.docker("network", "create", *LAN, "lan")
    sleeper(engine, "web", "--network", "lan")
    assert dnsmasq.lease(engine.address("web", "lan")) is not None
    assert pings(engine, "web", PEER4)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("-d", "macvlan", "-o", "parent=eth0", "--subnet", "198.51.100.0/24"), "leave out --subnet"),
        (("-d", "bridge"), "only over a bridge that leads to the server"),
        (("-d", "macvlan"), "leads to no DHCP server: give -o parent=eth0"),
        ((*LAN, "--ipam-opt", "timeout=5s"), "the DHCP IPAM driver has no option timeout"),
        ((*LAN, "--ipam-opt", "fairlead.dhcp.timeout=soon"), "failed to parse fairlead.dhcp.timeout value: soon"),
    ],
)
def test_a_network_that_cannot_be_is_refused(engine: Engine, flags: tuple[str, ...], words: str) -> None:
    refused = engine.docker("network", "create", "--ipam-driver", "dhcp", *flags, "bad", check=False)
    assert refused.returncode == 1
    assert words in refused.stderr
    assert engine.docker("network", "inspect", "bad", check=False).returncode == 1


def test_what_cannot_be_asked_of_a_server_is_refused(engine: Engine) -> None:
    engine.docker("network", "create", *LAN, "lan")
    sleeper(engine, "web")
    for flags, words in (
        (("--ip6", "fd00::5"), "a DHCP server gives no IPv6 addresses"),
        (("--driver-opt", "fairlead.dhcp.hostname=a b"), "a b is no host name"),
        (("--driver-opt", "fairlead.dhcp.name=x"), "there is no option fairlead.dhcp.name"),
    ):
        refused = engine.docker("network", "connect", *flags, "lan", "web", check=False)
        assert refused.returncode == 1
        assert words in refused.stderr
    assert list(engine.inspect("web")["NetworkSettings"]["Networks"]) == ["bridge"]


# udhcpd's leases are of seconds.


def short(engine: Engine, base: Path, seconds: int, first: int = 100) -> Udhcpd:
    pool = (f"198.51.100.{first}", f"198.51.100.{first + 20}")
    return Udhcpd(engine.machine.peer, base, "eth0", pool, f"option lease {seconds}", f"option router {PEER4}")


def events(engine: Engine) -> str:
    return engine.out("events", "--since", "1m", "--until", "0s", "--filter", "type=network", "--format", "{{json .}}")


def acks(server: Udhcpd) -> int:
    return server.said().count("sending ACK")


@pytest.mark.docker_option("renewal", section="dhcp")
def test_a_lease_is_renewed_in_time_and_over_a_killed_daemon(engine: Engine, tmp_path: Path) -> None:
    with short(engine, tmp_path, 4) as server:
        engine.docker("network", "create", *LAN, "lan")
        sleeper(engine, "web", "--network", "lan")
        address = engine.address("web", "lan")
        given = acks(server)
        wait_until(lambda: acks(server) > given, "renewed", seconds=5, every=0.1)
        netns = engine.netns("web")
        engine.kill()
        # The container keeps its address while nobody renews it.
        time.sleep(2.5)
        assert addresses(engine, "web", netns) == [f"{address}/24"]
        engine.start()
        given = acks(server)
        wait_until(lambda: acks(server) > given, "renewed by the next daemon", seconds=5, every=0.1)
        assert engine.address("web", "lan") == address
        assert addresses(engine, "web") == [f"{address}/24"]


def test_a_lease_that_runs_out_is_taken_off_and_asked_for_anew(engine: Engine, tmp_path: Path) -> None:
    with short(engine, tmp_path, 3):
        engine.docker("network", "create", *LAN, "lan")
        sleeper(engine, "web", "--network", "lan")
        sleeper(engine, "other", "--network", "lan")
    wait_until(lambda: addresses(engine, "web") == [], "the address is gone with its lease", seconds=6, every=0.1)
    assert engine.address("web", "lan") == ""
    wait_until(lambda: "its lease has run out" in events(engine), "those who listen are told")
    (tmp_path / "again").mkdir()
    with short(engine, tmp_path / "again", 600, first=130):
        wait_until(lambda: addresses(engine, "web") != [], "it has an address again", seconds=10, every=0.1)
        address = engine.address("web", "lan")
        assert addresses(engine, "web") == [f"{address}/24"]
        assert int(address.rpartition(".")[2]) in range(130, 151)
        assert pings(engine, "web", PEER4)
        wait_until(lambda: pings(engine, "other", "web"), "its name is the new address")


def test_a_lease_that_runs_out_unseen_is_taken_off_by_the_next_daemon(engine: Engine, tmp_path: Path) -> None:
    with short(engine, tmp_path, 2):
        engine.docker("network", "create", *LAN, "lan")
        sleeper(engine, "web", "--network", "lan")
        netns = engine.netns("web")
        engine.kill()
    assert addresses(engine, "web", netns) != []
    time.sleep(2)
    engine.start()
    wait_until(lambda: addresses(engine, "web", netns) == [], "the address is gone with its lease", every=0.1)
    wait_until(lambda: "its lease has run out" in events(engine), "those who listen are told")


def test_a_server_that_refuses_is_heard(engine: Engine, tmp_path: Path) -> None:
    with short(engine, tmp_path, 6):
        engine.docker("network", "create", *LAN, "lan")
        sleeper(engine, "web", "--network", "lan")
        before = engine.address("web", "lan")
    with Dnsmasq(
        engine.machine.peer, tmp_path, "eth0", "198.51.100.30,198.51.100.39,255.255.255.0,2m", "dhcp-authoritative"
    ) as server:
        wait_until(lambda: engine.address("web", "lan") not in ("", before), "another address", seconds=10, every=0.1)
        assert "DHCPNAK" in server.said()
        assert engine.address("web", "lan").startswith("198.51.100.3")
        wait_until(lambda: "refuses it" in events(engine), "those who listen are told")
        assert pings(engine, "web", PEER4)
