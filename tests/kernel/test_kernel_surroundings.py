"""The host's facts: always as the host is now, and read anew only when somebody else changed something."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_network

import pytest

from fairlead.ids import ContainerId
from fairlead.kernel.apply import Kernel
from fairlead.kernel.sandbox import Sandbox
from fairlead.kernel.watch import Watch
from fairlead.model.host import HostFacts
from fairlead.net.state import HOST, Add, Address, Link, LinkKind
from kernel.plumbing import BRIDGE, CONTAINER, bridge, endpoint, network, run, undone

OWNER = ContainerId(CONTAINER)


def watched(kernel: Kernel, *acts: Callable[[], object]) -> list[HostFacts]:
    """The facts before, and after each act, read without the loop having had a turn."""

    async def follow() -> list[HostFacts]:
        with _watch(kernel):
            found = [kernel.host_facts()]
            for act in acts:
                act()
                found.append(kernel.host_facts())
            return found

    return asyncio.run(follow())


@contextmanager
def _watch(kernel: Kernel) -> Iterator[Watch]:
    watch = Watch(lambda _scope: None, kernel)
    yield watch
    watch.close()


def typed(*commands: str) -> Callable[[], object]:
    return lambda: [run(*command.split()) for command in commands]


def test_what_others_change_is_known_at_once(kernel: Kernel) -> None:
    uplink = ("ip link add uplink mtu 1420 type bridge", "ip address add 198.51.100.5/24 dev uplink")
    _, made, routed, put_down, gone = watched(
        kernel,
        typed(*uplink, "ip link set uplink up"),
        typed("ip route add 203.0.113.0/24 via 198.51.100.1", "ip route add default via 198.51.100.1"),
        typed("ip link set uplink down"),
        typed("ip link delete uplink"),
    )
    far, near = ip_network("203.0.113.0/24"), ip_network("198.51.100.0/24")
    assert ("uplink" in made.links, near in made.routes, far in made.routes) == (True, True, False)
    assert (routed.default_mtu, far in routed.routes) == (1420, True)
    # The kernel tells of no IPv4 route that it loses with its link.
    assert {near, far}.isdisjoint(put_down.routes)
    assert (gone.default_mtu, "uplink" in gone.links) == (1500, False)


def test_our_own_changes_make_nothing_read_anew(kernel: Kernel, sandbox: Sandbox) -> None:
    kernel.add_sandbox(OWNER, sandbox.ns)
    before, made, gone, others = watched(
        kernel,
        lambda: kernel.apply([*network(), *endpoint()]),
        lambda: kernel.apply(undone([*network(), *endpoint()])),
        typed("ip route add blackhole 192.0.2.0/24", "ip route add 192.0.2.0/25 dev lo"),
    )
    assert made.routes is before.routes is gone.routes
    assert {BRIDGE, "veth0000002"} <= set(made.links)
    assert set(gone.links) == set(before.links)
    assert set(others.routes) - set(before.routes) == {ip_network("192.0.2.0/25")}


def test_our_own_links_count_by_name_only(kernel: Kernel) -> None:
    kernel.apply(network("10.9.0.1/16"))
    (found,) = watched(kernel)
    assert BRIDGE in found.links
    assert ip_network("10.9.0.0/16") not in found.routes


def test_an_adopted_bridge_is_somebody_elses(kernel: Kernel) -> None:
    run("ip", "link", "add", "mine", "type", "bridge")
    adopted = Link(ns=HOST, name="mine", kind=LinkKind.BRIDGE, adopted=True)
    (given,) = (step.fact for step in network("10.7.0.1/24") if isinstance(step.fact, Address))
    address = Address(ns=HOST, link="mine", address=given.address)
    _, found = watched(kernel, lambda: kernel.apply([Add(adopted), Add(address)]))
    assert ip_network("10.7.0.0/24") in found.routes


def test_lost_notifications_cost_no_truth(kernel: Kernel) -> None:
    async def flood() -> HostFacts:
        with _watch(kernel) as watch:
            kernel.host_facts()
            watch._links.setsockopt(1, 33, 1)  # SO_RCVBUFFORCE: as small as can be
            run("sh", "-c", "for i in $(seq 40); do ip route add 203.0.$i.0/24 dev lo; done")
            return kernel.host_facts()

    assert ip_network("203.0.40.0/24") in asyncio.run(flood()).routes


def test_without_a_watch_they_serve_for_a_while_only(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel.host_facts()
    kernel.apply([Add(bridge())])
    run("ip", "link", "add", "late", "type", "bridge")
    assert "late" not in kernel.host_facts().links
    monkeypatch.setattr("fairlead.kernel.surroundings._UNWATCHED", 0.0)
    assert "late" in kernel.host_facts().links
