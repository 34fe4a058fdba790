"""Applying steps: what is asked for is there, what is observed is what was asked for, twice is as good as once."""

from __future__ import annotations

import asyncio
import errno
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_address, ip_interface, ip_network

import pytest

from fairlead.errors import KernelError
from fairlead.ids import ContainerId
from fairlead.kernel import netns, sysctl
from fairlead.kernel.apply import Kernel
from fairlead.kernel.reaper import CONDEMNED_PREFIX
from fairlead.kernel.sandbox import Sandbox, open_sandbox
from fairlead.net.plan import plan
from fairlead.net.state import (
    HOST,
    Add,
    Address,
    Change,
    Element,
    Fact,
    Link,
    LinkKind,
    Neighbour,
    Remove,
    Route,
    Rule,
    State,
    Sysctl,
)
from fairlead.settings import Settings
from kernel.plumbing import BRIDGE, CONTAINER, bridge, endpoint, facts, ip, ip_inside, network, run, undone

OWNER = ContainerId(CONTAINER)


@pytest.fixture
def joined(kernel: Kernel, sandbox: Sandbox) -> Sandbox:
    """A network with one container on it."""
    kernel.add_sandbox(OWNER, sandbox.ns)
    kernel.apply(network() + endpoint())
    return sandbox


def wanted(number: int = 2) -> State:
    return frozenset(step.fact for step in network() + endpoint(number))


def test_a_network_is_there_and_gone(kernel: Kernel) -> None:
    kernel.apply(network())
    link = ip("link", "show", BRIDGE)[0]
    assert (link["linkinfo"]["info_kind"], link["mtu"], link["ifalias"]) == ("bridge", 1500, "net1")
    assert "UP" in link["flags"]
    assert ip("-4", "address", "show", BRIDGE)[0]["addr_info"][0]["local"] == "10.9.0.1"
    kernel.apply(undone(network()))
    assert subprocess.run(["ip", "link", "show", BRIDGE], capture_output=True, check=False).returncode != 0
    asyncio.run(kernel.settle())
    assert [link["ifname"] for link in ip("link")] == ["lo"]


def test_a_container_reaches_its_gateway(kernel: Kernel, joined: Sandbox) -> None:
    assert "1 received" in netns.run_in(joined.ns, lambda: run("ping", "-c1", "-W2", "10.9.0.1"))
    inside = ip_inside(joined.ns, "address", "show", "eth0")[0]
    assert inside["address"] == "02:00:00:00:00:02"
    assert [(each["local"], each["prefixlen"]) for each in inside["addr_info"] if each["family"] == "inet"] == [
        ("10.9.0.2", 16)
    ]
    assert ip_inside(joined.ns, "route", "show", "default")[0]["gateway"] == "10.9.0.1"


def test_what_is_observed_is_what_was_asked_for(kernel: Kernel, joined: Sandbox) -> None:
    assert kernel.observe_host() == facts(network() + endpoint(), HOST)
    assert kernel.observe_sandbox(OWNER) == facts(endpoint(), CONTAINER)


def test_another_daemon_observes_what_needs_no_step(kernel: Kernel, joined: Sandbox, settings: Settings) -> None:
    other = Kernel(settings)
    other.add_sandbox(OWNER, joined.ns)
    assert plan(other.observe_host(), facts(network() + endpoint(), HOST)) == ()
    assert plan(other.observe_sandbox(OWNER), facts(endpoint(), CONTAINER)) == ()
    asyncio.run(other.close())


def test_applying_again_changes_nothing(kernel: Kernel, joined: Sandbox) -> None:
    before = run("ip", "-o", "-4", "address"), netns.run_in(joined.ns, lambda: run("ip", "-o", "-4", "address"))
    kernel.apply(network() + endpoint())
    assert (
        run("ip", "-o", "-4", "address"),
        netns.run_in(joined.ns, lambda: run("ip", "-o", "-4", "address")),
    ) == before


def test_removing_again_is_success(kernel: Kernel, joined: Sandbox) -> None:
    steps = undone(network() + endpoint())
    kernel.apply(steps)
    kernel.apply(steps)
    assert kernel.observe_host() == frozenset()
    assert kernel.observe_sandbox(OWNER) == frozenset()


def test_a_removed_link_frees_its_name_at_once_on_both_sides(kernel: Kernel, joined: Sandbox) -> None:
    for _ in range(5):
        kernel.apply(undone(endpoint()))
        assert [a for a in ip_inside(joined.ns, "-4", "address") if a["ifname"] != "lo" and a["addr_info"]] == []
        kernel.apply(endpoint())
    assert "1 received" in netns.run_in(joined.ns, lambda: run("ping", "-c1", "-W2", "10.9.0.1"))
    asyncio.run(kernel.settle())
    assert [link["ifname"] for link in ip_inside(joined.ns, "link")] == ["lo", "eth0"]


def test_leftovers_of_a_former_daemon_are_swept_at_start(kernel: Kernel, settings: Settings) -> None:
    run("ip", "link", "add", CONDEMNED_PREFIX + "dead", "group", str(0x0F1EAD), "type", "bridge")
    other = Kernel(settings)
    asyncio.run(other.settle())
    assert [link["ifname"] for link in ip("link")] == ["lo"]
    asyncio.run(other.close())


def test_two_containers_on_one_network_talk(kernel: Kernel, joined: Sandbox) -> None:
    second = open_sandbox("db", {})
    kernel.add_sandbox(ContainerId("d" * 64), second.ns)
    kernel.apply(endpoint(3, "d" * 64))
    assert "1 received" in netns.run_in(joined.ns, lambda: run("ping", "-c1", "-W2", "10.9.0.3"))
    second.udp.close()
    second.tcp.close()


def test_isolated_ports_do_not_talk(kernel: Kernel, joined: Sandbox) -> None:
    second = open_sandbox("db", {})
    kernel.add_sandbox(ContainerId("d" * 64), second.ns)
    before = endpoint()[0].fact
    assert isinstance(before, Link)
    kernel.apply([Change(before, replace(before, isolated=True)), *endpoint(3, "d" * 64, isolated=True)])
    silent = ["ping", "-c1", "-W1", "10.9.0.3"]
    assert netns.run_in(joined.ns, lambda: subprocess.run(silent, capture_output=True, check=False)).returncode == 1
    assert {link.isolated for link in kernel.observe_host() if isinstance(link, Link) and link.master} == {True}
    second.udp.close()
    second.tcp.close()


def test_a_second_network_is_joined_and_left_while_it_runs(kernel: Kernel, joined: Sandbox) -> None:
    other = "br-ba9876543210"
    steps = [
        Add(bridge(other, alias="net2")),
        Add(Address(ns=HOST, link=other, address=ip_interface("10.8.0.1/24"))),
        Add(Address(ns=HOST, link=other, address=ip_interface("fd00:8::1/64"))),
        *endpoint(5, ifname="eth1", master=other)[:2],
        Add(Sysctl(ns=CONTAINER, key="net/ipv6/conf/eth1/disable_ipv6", value="0")),
        Add(Address(ns=CONTAINER, link="eth1", address=ip_interface("10.8.0.5/24"))),
        Add(Address(ns=CONTAINER, link="eth1", address=ip_interface("fd00:8::5/64"))),
        Add(Route(ns=CONTAINER, prefix=ip_network("::/0"), link="eth1", via=ip_address("fd00:8::1"), metric=1024)),
    ]
    kernel.apply(steps)
    assert "1 received" in netns.run_in(joined.ns, lambda: run("ping", "-c1", "-W2", "fd00:8::1"))
    assert kernel.observe_sandbox(OWNER) == facts(endpoint() + steps, CONTAINER)
    kernel.apply([step for step in undone(steps) if not isinstance(step.fact, Sysctl)])
    assert kernel.observe_sandbox(OWNER) == facts(endpoint(), CONTAINER)
    assert ip_inside(joined.ns, "-6", "route", "show", "default") == []


def test_the_default_route_moves_from_one_gateway_to_another(kernel: Kernel, joined: Sandbox) -> None:
    before = endpoint()[3].fact
    assert isinstance(before, Route)
    after = replace(before, via=ip_address("10.9.0.254"))
    kernel.apply([Change(before, after)])
    assert [route["gateway"] for route in ip_inside(joined.ns, "route", "show", "default")] == ["10.9.0.254"]
    # A route that is there in another way is brought into line, too.
    kernel.apply([Add(before)])
    assert [route["gateway"] for route in ip_inside(joined.ns, "route", "show", "default")] == ["10.9.0.1"]


def test_changes_of_a_link_are_made_in_place(kernel: Kernel, joined: Sandbox) -> None:
    host, inside = endpoint()[0].fact, endpoint()[1].fact
    assert isinstance(host, Link)
    assert isinstance(inside, Link)
    index = ip("link", "show", host.name)[0]["ifindex"]
    changed = replace(host, alias="renamed/net1", mtu=1400, up=False)
    kernel.apply([Change(host, changed), Change(inside, replace(inside, mtu=1400))])
    seen = ip("link", "show", host.name)[0]
    assert (seen["ifindex"], seen["ifalias"], seen["mtu"]) == (index, "renamed/net1", 1400)
    assert "UP" not in seen["flags"]
    assert changed in kernel.observe_host()


def test_a_strangers_bridge_is_not_taken(kernel: Kernel) -> None:
    run("ip", "link", "add", "mybr", "type", "bridge")
    with pytest.raises(KernelError) as refused:
        kernel.apply([Add(bridge("mybr", alias="net1"))])
    assert refused.value.errno == errno.EEXIST
    assert "ifalias" not in ip("link", "show", "mybr")[0]
    assert kernel.observe_host() == frozenset()


def test_an_adopted_bridge_is_used_and_left_standing(kernel: Kernel) -> None:
    run("ip", "link", "add", "mybr", "type", "bridge")
    run("ip", "address", "add", "192.0.2.7/24", "dev", "mybr")
    adopted = Link(ns=HOST, name="mybr", kind=LinkKind.BRIDGE, adopted=True)
    ours = Address(ns=HOST, link="mybr", address=ip_interface("10.7.0.1/24"))
    kernel.apply([Add(adopted), Add(ours)])
    assert kernel.observe_host() == frozenset({adopted, ours})
    kernel.apply([Remove(ours), Remove(adopted)])
    shown = ip("-4", "address", "show", "mybr")[0]["addr_info"]
    assert [address["local"] for address in shown] == ["192.0.2.7"]


def test_what_is_not_ours_is_not_observed(kernel: Kernel, joined: Sandbox) -> None:
    run("ip", "link", "add", "foreign", "type", "bridge")
    run("ip", "address", "add", "10.99.0.1/24", "dev", BRIDGE)
    run("ip", "route", "add", "10.98.0.0/24", "dev", BRIDGE)
    netns.run_in(joined.ns, lambda: run("ip", "address", "add", "10.9.0.77/16", "dev", "eth0"))
    netns.run_in(joined.ns, lambda: run("ip", "link", "add", "vip", "type", "bridge"))
    assert kernel.observe_host() == facts(network() + endpoint(), HOST)
    assert kernel.observe_sandbox(OWNER) == facts(endpoint(), CONTAINER)


TAMPERINGS = (
    "ip link set {br} down",
    "ip address delete 10.9.0.1/16 dev {br}",
    "ip link set veth0000002 down",
    "ip link set veth0000002 nomaster",
    "ip link set veth0000002 alias x/y",
    "ip link delete veth0000002",
    "ip link delete {br}",
    "ip link set veth0000002 mtu 1300",
)


@pytest.mark.parametrize("tampering", TAMPERINGS)
def test_what_a_stranger_changed_is_seen_and_mended(kernel: Kernel, joined: Sandbox, tampering: str) -> None:
    run(*tampering.format(br=BRIDGE).split())
    for _ in range(2):  # a pair that is gone takes a second look, at the sandbox
        kernel.apply(plan(kernel.observe_host() | kernel.observe_sandbox(OWNER), wanted()))
    assert kernel.observe_host() | kernel.observe_sandbox(OWNER) == wanted()
    assert "1 received" in netns.run_in(joined.ns, lambda: run("ping", "-c1", "-W2", "10.9.0.1"))


@pytest.mark.parametrize(
    "tampering",
    ["ip route delete default", "ip address flush dev eth0", "ip link set eth0 down", "ip link delete eth0"],
)
def test_what_was_changed_inside_is_mended(kernel: Kernel, joined: Sandbox, tampering: str) -> None:
    netns.run_in(joined.ns, lambda: run(*tampering.split()))
    kernel.apply(plan(kernel.observe_host() | kernel.observe_sandbox(OWNER), wanted()))
    assert kernel.observe_sandbox(OWNER) == facts(endpoint(), CONTAINER)
    assert "1 received" in netns.run_in(joined.ns, lambda: run("ping", "-c1", "-W2", "10.9.0.1"))


def routing(table: int = 200) -> frozenset[Fact]:
    """Replies from a container's address leave by a table of their own; the neighbour there need not be asked for."""
    via = ip_address("10.9.0.7")
    return frozenset(
        {
            Route(ns=CONTAINER, prefix=ip_network("0.0.0.0/0"), link="eth0", via=via, table=table),
            Rule(ns=CONTAINER, version=4, priority=90, iif="lo", goto=101),
            Rule(ns=CONTAINER, version=4, priority=100, source=ip_network("10.9.0.2/32"), table=table),
            Rule(ns=CONTAINER, version=4, priority=101),
            Rule(ns=CONTAINER, version=6, priority=100, mark=7, table=table + 1000),
            Neighbour(ns=CONTAINER, link="eth0", address=via, mac="02:00:00:00:00:07"),
        }
    )


def test_rules_tables_and_neighbours_come_change_and_go(kernel: Kernel, joined: Sandbox) -> None:
    base = kernel.observe_sandbox(OWNER)
    kernel.apply(plan(base, base | routing()))
    assert kernel.observe_sandbox(OWNER) == base | routing()
    assert ip_inside(joined.ns, "route", "show", "table", "200")[0]["gateway"] == "10.9.0.7"
    assert {"src": "10.9.0.2", "table": "200"}.items() <= ip_inside(joined.ns, "rule", "show", "pref", "100")[0].items()
    kernel.apply(plan(base | routing(), base | routing(1000)))
    assert kernel.observe_sandbox(OWNER) == base | routing(1000)
    kernel.apply(plan(base | routing(1000), base))
    assert kernel.observe_sandbox(OWNER) == base
    assert [rule["priority"] for rule in ip_inside(joined.ns, "rule", "show")] == [0, 32766, 32767]


def test_sysctls_are_written_and_seen(kernel: Kernel) -> None:
    key = f"net/ipv4/conf/{BRIDGE}/route_localnet"
    kernel.apply([*network(), Add(Sysctl(ns=HOST, key=key, value="1"))])
    assert sysctl.read(key) == "1"
    sysctl.write(key, "0")
    assert Sysctl(ns=HOST, key=key, value="0") in kernel.observe_host()


def test_elements_come_and_go_in_one_transaction(kernel: Kernel) -> None:
    one = Element(container="published4", key="tcp . 8080", value="10.9.0.2 . 80")
    other = Element(container="bridges", key=f'"{BRIDGE}"')
    kernel.apply([Add(one), Add(other)])
    kernel.apply([Add(one), Add(other)])
    assert kernel.observe_host() == frozenset({one, other})
    moved = replace(one, value="10.9.0.3 . 80")
    kernel.apply([Change(one, moved)])
    assert kernel.observe_host() == frozenset({moved, other})
    kernel.apply([Add(one)])  # as after a restart, with another value there
    assert kernel.observe_host() == frozenset({one, other})
    kernel.apply([Remove(one), Remove(moved), Remove(other)])
    kernel.apply([Remove(one)])
    assert kernel.observe_host() == frozenset()


def test_a_missing_table_is_an_error_for_adds_only(kernel: Kernel) -> None:
    run("nft", "delete", "table", "inet", "fairlead")
    one = Element(container="published4", key="tcp . 8080", value="10.9.0.2 . 80")
    kernel.apply([Remove(one)])
    with pytest.raises(KernelError) as refused:
        kernel.apply([Add(one)])
    assert refused.value.errno == errno.ENOENT


def test_steps_for_an_unknown_sandbox(kernel: Kernel) -> None:
    kernel.apply(network())
    with pytest.raises(KernelError):
        kernel.apply(endpoint())
    kernel.apply(undone(endpoint()))
    assert kernel.observe_sandbox(OWNER) == frozenset()


def test_a_taken_name_inside_is_said(kernel: Kernel, sandbox: Sandbox) -> None:
    kernel.add_sandbox(OWNER, sandbox.ns)
    netns.run_in(sandbox.ns, lambda: run("ip", "link", "add", "eth0", "type", "bridge"))
    with pytest.raises(KernelError, match="eth0"):
        kernel.apply(network() + endpoint())


def test_a_dropped_sandbox_takes_its_links_along(kernel: Kernel, joined: Sandbox) -> None:
    kernel.drop_sandbox(OWNER)
    netns.remove(joined.ns)
    joined.udp.close()
    joined.tcp.close()
    deadline = time.monotonic() + 5
    while len(ip("link")) > 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert {link["ifname"] for link in ip("link")} == {"lo", BRIDGE}
    assert kernel.observe_host() == facts(network(), HOST)


def test_host_facts(kernel: Kernel) -> None:
    run("ip", "link", "add", "uplink", "mtu", "1420", "type", "bridge")
    run("ip", "address", "add", "198.51.100.5/24", "dev", "uplink")
    run("ip", "link", "set", "uplink", "up")
    run("ip", "route", "add", "default", "via", "198.51.100.1")
    run("ip", "route", "add", "203.0.113.0/24", "via", "198.51.100.1", "table", "77")
    found = kernel.host_facts()
    assert found.default_mtu == 1420
    assert {ip_network("198.51.100.0/24"), ip_network("203.0.113.0/24")} <= set(found.routes)
    assert all(prefix.prefixlen for prefix in found.routes)
    assert {"lo", "uplink"} <= set(found.links)
    assert ip_interface("198.51.100.5/24") in found.addresses


def test_joining_and_leaving_are_quick(
    kernel: Kernel, sandbox: Sandbox, timing: Callable[[str, list[float]], None]
) -> None:
    kernel.add_sandbox(OWNER, sandbox.ns)
    took: dict[str, list[float]] = {}

    def timed(what: str, steps: list[object]) -> None:
        began = time.perf_counter()
        kernel.apply(steps)  # type: ignore[arg-type]  # the union, built as lists of its members
        took.setdefault(what, []).append(time.perf_counter() - began)

    for _ in range(15):
        timed("network made", network())
        timed("endpoint made", endpoint())
        timed("endpoint removed", undone(endpoint()))
        timed("network removed", undone(network()))
    for what, seconds in took.items():
        timing(what, seconds)
        assert sorted(seconds)[7] < 0.02
