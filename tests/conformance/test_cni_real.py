"""Networks made by the plugins of CNI's own project, driven by docker's command line client."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from harness import cni, snapshot
from harness.cni import Cni
from harness.engine import Engine, wait_until
from harness.machine import HOST4

pytestmark = pytest.mark.skipif(not (cni.REAL / "bridge").exists(), reason="./test fetches the CNI plugins")


@pytest.fixture(scope="module")
def chains(tmp_path_factory: pytest.TempPathFactory) -> Cni:
    return Cni(tmp_path_factory.mktemp("cni"))


@pytest.fixture(scope="module")
def daemon_flags(chains: Cni) -> list[str]:
    return chains.flags


@pytest.fixture
def engine(running: Engine, pristine: dict[str, frozenset[str]], chains: Cni) -> Iterator[Engine]:
    """As ever, but for the bridges and rules that plugins keep for the next container."""
    yield running
    running.clear()
    for name in chains.conf.glob("*.conflist"):
        assert chains.held(name.stem) == [], "addresses are still given away"
    chains.clear()
    for link in json.loads(running.host.run("ip", "-j", "link", "show", "type", "bridge")):
        if link["ifname"].startswith("cni"):
            running.host.run("ip", "link", "delete", link["ifname"])
    for family in ("ip", "ip6"):
        for table in ("nat", "filter"):
            running.host.run("nft", "delete", "table", family, table, check=False)
    found: dict[str, list[str]] = {}

    def clean() -> bool:
        found.clear()
        found.update(snapshot.difference(pristine, snapshot.take(running)))
        return not found

    try:
        wait_until(clean, "all is as it was before", seconds=5, every=0.2)
    except AssertionError:
        pytest.fail(f"left behind: {found}")


def web(engine: Engine, *flags: str, name: str = "web") -> None:
    engine.docker("run", "-d", "--name", name, *flags, "nginx")
    engine.listens(name, 80)


def test_bridge_with_published_port(engine: Engine, chains: Cni) -> None:
    ports = {"type": "portmap", "capabilities": {"portMappings": True}, "snat": True}
    chains.write("shop", chains.bridge("10.88.0.0/24"), ports)
    engine.docker("network", "create", "-d", "cni", "-o", "conflist=shop", "shop")
    web(engine, "--network", "shop", "-p", "8080:80")
    assert engine.address("web", "shop") == "10.88.0.2"
    assert engine.machine.peer.get(HOST4, 8080)
    assert engine.host.get("127.0.0.1", 8080)
    assert engine.out("port", "web").splitlines() == ["80/tcp -> 0.0.0.0:8080", "80/tcp -> [::]:8080"]
    engine.docker("rm", "-f", "web")
    assert not engine.machine.peer.reaches(HOST4, 8080)
