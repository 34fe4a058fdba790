"""CNI's own plugins whose links a kernel may lack: let in, reached from the second host, taken off again."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fairlead.engine.outside.cni.running import Chains
from fairlead.kernel import netns
from fairlead.kernel.netns import Namespace
from fairlead.net.cni.call import Attached
from fairlead.settings import Settings
from harness.cni import REAL
from harness.stations import UPLINK, Stations, opened

pytestmark = pytest.mark.skipif(not (REAL / "ipvlan").exists(), reason="./test fetches the CNI plugins")


@pytest.fixture
def lab() -> Iterator[Stations]:
    with opened() as lab:
        yield lab


@pytest.fixture
def space() -> Iterator[Namespace]:
    ns = netns.create("cni-links")
    yield ns
    netns.remove(ns)


def tag(lab: Stations) -> None:
    """The second host has VLAN 7, too."""
    lab.ip(lab.second, "link", "add", "link", "eth0", "name", "eth0.7", "type", "vlan", "id", "7")
    lab.ip(lab.second, "address", "add", "10.77.0.1/24", "dev", "eth0.7")
    lab.ip(lab.second, "link", "set", "eth0.7", "up")


def asked(directory: Path, space: Namespace, subnet: str, first: str, **plugin: Any) -> Attached:
    ranges = [[{"subnet": subnet, "rangeStart": first}]]
    ipam = {"type": "host-local", "dataDir": str(directory), "ranges": ranges}
    text = json.dumps({"master": UPLINK, "ipam": ipam, **plugin})
    return Attached(
        network="n", container="c1", ifname="eth0", netns=space.path, chain="lan", version="1.0.0", plugins=(text,)
    )


def run(lab: Stations, call: Callable[[Chains], Awaitable[Any]]) -> Any:
    """As the daemon does it: the plugins are born in the host's namespace."""

    async def main() -> Any:
        return await call(Chains(Settings(cni_bin_dirs=(str(REAL),))))

    return netns.run_in(lab.host, lambda: asyncio.run(main()))


def reached(space: Namespace, address: str) -> bool:
    words = ["nsenter", f"--net={space.path}", "ping", "-c1", "-W3", address]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


PLUGINS = {
    "ipvlan": ({"type": "ipvlan", "mode": "l2"}, "192.0.2.0/24", "192.0.2.100", "192.0.2.2"),
    "macvlan": ({"type": "macvlan", "mode": "bridge"}, "192.0.2.0/24", "192.0.2.100", "192.0.2.2"),
    "vlan": ({"type": "vlan", "vlanId": 7}, "10.77.0.0/24", "10.77.0.100", "10.77.0.1"),
}


@pytest.mark.docker_option("plugins: ipvlan, vlan", section="cni", shows="in the virtual machine")
@pytest.mark.parametrize("plugin", PLUGINS)
def test_in_and_out(lab: Stations, space: Namespace, tmp_path: Path, plugin: str) -> None:
    config, subnet, first, neighbour = PLUGINS[plugin]
    if plugin == "vlan":
        tag(lab)
    attached = asked(tmp_path, space, subnet, first, **config)
    answer = run(lab, lambda chains: chains.add(attached))
    assert [str(each.address.ip) for each in answer.of("eth0")] == [first]
    assert space.netlink.link("eth0") is not None
    assert reached(space, neighbour)
    run(lab, lambda chains: chains.delete(attached))
    assert space.netlink.link("eth0") is None
    assert not (tmp_path / "lan" / first).exists()
