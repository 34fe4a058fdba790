"""Beside the real ufw and firewalld: who decides about published ports, and what their reloads do to containers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness import firewalls
from harness.engine import Engine, wait_until
from harness.firewalls import Firewalls
from harness.machine import HOST4, HOST6, PEER4, Machine

pytestmark = pytest.mark.skipif(
    not (firewalls.TREE / "usr/sbin/ufw").exists(), reason="ufw and firewalld are not unpacked: ./test does it"
)


@pytest.fixture(scope="module")
def daemon_flags() -> list[str]:
    return ["--publish-policy", "host-firewall", "--foreign-forward", "accept"]


@pytest.fixture(scope="module")
def programs(machine: Machine) -> Iterator[Firewalls]:
    found = Firewalls(machine.host, machine.base / "firewalls")
    yield found
    found.close()


@pytest.fixture
def shop(engine: Engine) -> Engine:
    """The network of ``web`` is judged, since the engine was told so; that of ``other`` has a word of its own."""
    engine.docker("network", "create", "--ipv6", "shop")
    engine.docker("network", "create", "--ipv6", "-o", "fairlead.publish_policy=open", "open")
    engine.docker("run", "-d", "--name", "web", "--network", "shop", "-p", "8080:80", "nginx")
    engine.docker("run", "-d", "--name", "other", "--network", "open", "-p", "8090:80", "nginx")
    engine.listens("web", 80)
    engine.listens("other", 80)
    return engine


def gets_out(engine: Engine, name: str) -> bool:
    return engine.docker("exec", name, "ping", "-c", "1", "-W", "1", PEER4, check=False).returncode == 0


def is_open(engine: Engine, *addresses: str, port: int = 8080) -> None:
    for address in addresses:
        wait_until(lambda: engine.machine.peer.reaches(address, port, timeout=0.4), f"{address} {port} is open", 4)  # noqa: B023


def is_shut(engine: Engine, *addresses: str) -> None:
    assert not [address for address in addresses if engine.machine.peer.reaches(address, 8080)]


def test_ufw_decides(shop: Engine, programs: Firewalls) -> None:
    is_open(shop, HOST4, HOST6)
    with programs.ufw():
        is_open(shop, HOST4, HOST6, port=8090)
        is_shut(shop, HOST4, HOST6)
        programs.run("ufw", "allow", "8080/tcp")
        is_open(shop, HOST4, HOST6)
        assert shop.machine.peer.get(HOST4, 8080, "/cgi-bin/who").strip("[]\n").endswith(PEER4)
        programs.run("ufw", "reload")
        is_open(shop, HOST4, HOST6)
        is_open(shop, HOST4, HOST6, port=8090)
        wait_until(lambda: gets_out(shop, "web"), "containers get out", 4)
        programs.run("ufw", "insert", "1", "deny", "from", PEER4, "to", "any", "port", "8080")
        is_shut(shop, HOST4)
        is_open(shop, HOST6)


def test_firewalld_decides(shop: Engine, programs: Firewalls) -> None:
    with programs.firewalld():
        is_open(shop, HOST4, HOST6, port=8090)
        is_shut(shop, HOST4, HOST6)
        programs.run("firewall-cmd", "--add-port=8080/tcp")
        programs.run("firewall-cmd", "--permanent", "--add-port=8080/tcp")
        is_open(shop, HOST4, HOST6)
        for verb in ("--reload", "--complete-reload"):
            programs.run("firewall-cmd", verb)
            is_open(shop, HOST4, HOST6)
            is_open(shop, HOST4, HOST6, port=8090)
        wait_until(lambda: gets_out(shop, "web"), "containers get out", 4)
        programs.run("firewall-cmd", "--remove-port=8080/tcp")
        is_shut(shop, HOST4, HOST6)


def test_chains_that_drop_are_opened_for_each_network_and_no_longer(engine: Engine, programs: Firewalls) -> None:
    with programs.ufw():
        engine.docker("network", "create", "-o", "com.docker.network.bridge.name=brq", "n")
        wait_until(lambda: "brq" in engine.host.run("iptables-nft", "-S", "FORWARD"), "a passage for brq", 4)
        assert "-A FORWARD -i brq -m comment --comment fairlead -j ACCEPT" in engine.host.run(
            "iptables-nft", "-S", "FORWARD"
        ).replace('"', "")
        engine.docker("network", "rm", "n")
        assert "brq" not in engine.host.run("iptables-nft", "-S", "FORWARD")
