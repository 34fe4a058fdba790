"""An engine with configurations and plugins of CNI in a directory of the module's own."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from harness import snapshot
from harness.cni import Cni
from harness.engine import Engine, wait_until


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
