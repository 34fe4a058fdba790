"""The watch tells of what strangers do, in the right scope, and not of what we do ourselves."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import pytest

from fairlead.ids import ContainerId
from fairlead.kernel import netns
from fairlead.kernel.apply import Kernel
from fairlead.kernel.sandbox import Sandbox, mend_redirection, open_sandbox
from fairlead.kernel.watch import FOREIGN, HOST_LINKS, NFT, Watch
from fairlead.net.state import HOST, Add, Element, Qdisc, Remove, Rule
from kernel.plumbing import BRIDGE, CONTAINER, endpoint, network, run, undone

OWNER = ContainerId(CONTAINER)
PORT = Element(container="published4", key="tcp . 8080", value="10.9.0.2 . 80")


@pytest.fixture
def joined(kernel: Kernel, sandbox: Sandbox) -> Sandbox:
    kernel.add_sandbox(OWNER, sandbox.ns)
    kernel.apply([*network(), *endpoint(), Add(PORT)])
    return sandbox


def told(kernel: Kernel, act: Callable[[], Any], patience: float = 0.3) -> set[str]:
    """The scopes that are told of because of ``act``."""

    async def watch() -> set[str]:
        scopes: set[str] = set()
        heard = asyncio.Event()

        def hear(scope: str) -> None:
            scopes.add(scope)
            heard.set()

        await asyncio.sleep(0.05)  # what happened before is over
        watch = Watch(hear, kernel)
        act()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(heard.wait(), patience)
        await asyncio.sleep(0.02)
        watch.close()
        return scopes

    return asyncio.run(watch())


@pytest.mark.parametrize(
    "command",
    [
        f"ip link set {BRIDGE} down",
        f"ip link delete {BRIDGE}",
        f"ip address delete 10.9.0.1/16 dev {BRIDGE}",
        "ip link set veth0000002 nomaster",
        "ip link set veth0000002 down",
        "ip link set veth0000002 mtu 1280",
    ],
)
def test_damage_to_host_links_is_told(kernel: Kernel, joined: Sandbox, command: str) -> None:
    assert HOST_LINKS in told(kernel, lambda: run(*command.split()), 2)


def test_a_rule_taken_away_is_told(kernel: Kernel, joined: Sandbox) -> None:
    kernel.apply([Add(Rule(ns=CONTAINER, version=4, priority=100, mark=7, table=200))])
    assert CONTAINER in told(
        kernel, lambda: netns.run_in(joined.ns, lambda: run("ip", "rule", "delete", "pref", "100")), 2
    )


def test_a_strangers_hand_on_a_rate_is_told_and_ours_is_not(kernel: Kernel, joined: Sandbox) -> None:
    held = Qdisc(ns=HOST, link="veth0000002", rate=10_000_000, burst=12_500, limit=75_000)
    assert told(kernel, lambda: kernel.apply([Add(held)])) == set()
    assert told(kernel, lambda: run("tc", "qdisc", "add", "dev", BRIDGE, "clsact"), 2) == {HOST_LINKS}
    assert told(kernel, lambda: run("tc", "qdisc", "delete", "dev", "veth0000002", "root"), 2) == {HOST_LINKS}


@pytest.mark.parametrize(
    "command",
    ["ip route delete default", "ip address delete 10.9.0.2/16 dev eth0", "ip link set eth0 down"],
)
def test_damage_in_a_sandbox_is_told_with_its_container(kernel: Kernel, joined: Sandbox, command: str) -> None:
    assert CONTAINER in told(kernel, lambda: netns.run_in(joined.ns, lambda: run(*command.split())), 2)


@pytest.mark.parametrize("command", ["nft flush ruleset", "nft flush chain ip fairlead-dns output"])
def test_a_cut_way_to_the_resolver_is_told_with_its_container(kernel: Kernel, joined: Sandbox, command: str) -> None:
    assert told(kernel, lambda: netns.run_in(joined.ns, lambda: run(*command.split())), 2) == {CONTAINER}
    assert mend_redirection(joined)
    assert not mend_redirection(joined)


def test_a_containers_own_rules_are_its_business(kernel: Kernel, joined: Sandbox) -> None:
    def act() -> None:
        for command in ("add table ip own", "add chain ip own c", "add rule ip own c accept", "delete table ip own"):
            run("nft", *command.split())

    assert told(kernel, lambda: netns.run_in(joined.ns, act)) == set()
    assert not mend_redirection(joined)


@pytest.mark.parametrize(
    "command",
    [
        "nft flush ruleset",
        "nft delete table inet fairlead",
        "nft flush chain inet fairlead forward",
        "nft delete element inet fairlead published4 { tcp . 8080 }",
        "nft add element inet fairlead published4 { tcp . 9090 : 10.9.0.3 . 90 }",
    ],
)
def test_a_change_of_our_table_is_told(kernel: Kernel, joined: Sandbox, command: str) -> None:
    # Flushing everything takes the administrators' table along, which is not ours either.
    assert told(kernel, lambda: run(*command.split()), 2) - {FOREIGN} == {NFT}


def test_a_removed_pin_is_told_with_its_container(kernel: Kernel, joined: Sandbox) -> None:
    assert told(kernel, lambda: run("ip", "netns", "delete", "web"), 2) == {CONTAINER}


def test_tables_of_others_are_told_as_such(kernel: Kernel, joined: Sandbox) -> None:
    assert told(kernel, lambda: run("nft", "add", "table", "inet", "theirs"), 2) == {FOREIGN}


def test_other_links_and_namespaces_are_none_of_our_business(kernel: Kernel, joined: Sandbox) -> None:
    def act() -> None:
        run("ip", "link", "add", "foreign", "type", "bridge")
        run("ip", "address", "add", "10.77.0.1/24", "dev", "foreign")
        run("ip", "link", "set", "foreign", "up")
        run("ip", "link", "delete", "foreign")
        run("ip", "netns", "add", "theirs")
        run("ip", "netns", "delete", "theirs")

    assert told(kernel, act) == set()


def test_our_own_changes_are_not_told(kernel: Kernel, joined: Sandbox) -> None:
    box = open_sandbox("db", {})
    other = ContainerId("d" * 64)

    def act() -> None:
        kernel.add_sandbox(other, box.ns)
        kernel.apply([*endpoint(3, other), Add(Element(container="bridges", key='"x"'))])
        kernel.apply([*undone(endpoint(3, other)), Remove(Element(container="bridges", key='"x"'))])
        kernel.apply(endpoint(3, other))
        kernel.apply([Remove(PORT), *undone(endpoint())])
        netns.rename(box.ns, "db2")
        kernel.drop_sandbox(other)
        netns.remove(box.ns)

    assert told(kernel, act) == set()
    box.udp.close()
    box.tcp.close()


def test_a_newly_started_daemon_hears_too(kernel: Kernel, joined: Sandbox) -> None:
    fresh = Kernel(kernel.settings)
    fresh.add_sandbox(OWNER, joined.ns)
    fresh.observe_host()
    fresh.observe_sandbox(OWNER)
    assert told(fresh, lambda: run("ip", "link", "set", BRIDGE, "down"), 2) == {HOST_LINKS}
    inside = ["ip", "link", "set", "eth0", "down"]
    assert CONTAINER in told(fresh, lambda: netns.run_in(joined.ns, lambda: run(*inside)), 2)
    asyncio.run(fresh.close())


def test_lost_notifications_are_a_sign_for_everything(kernel: Kernel, joined: Sandbox) -> None:
    async def flood() -> set[str]:
        scopes: set[str] = set()
        watch = Watch(scopes.add, kernel)
        watch._links.setsockopt(1, 33, 1)  # SO_RCVBUFFORCE: as small as can be
        run("sh", "-c", f"for i in $(seq 40); do ip link set {BRIDGE} mtu $((1400 + i)); done")
        await asyncio.sleep(0.05)
        watch.close()
        return scopes

    assert {HOST_LINKS, NFT, CONTAINER} <= asyncio.run(flood())


def test_a_closed_watch_is_silent(kernel: Kernel, joined: Sandbox) -> None:
    async def close_first() -> list[str]:
        scopes: list[str] = []
        Watch(scopes.append, kernel).close()
        run("ip", "link", "set", BRIDGE, "down")
        await asyncio.sleep(0.05)
        return scopes

    assert asyncio.run(close_first()) == []
