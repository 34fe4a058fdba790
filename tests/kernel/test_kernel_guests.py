"""Guests: links that somebody else made on the host, moved into sandboxes and handed back."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from ipaddress import ip_interface, ip_network

import pytest

from fairlead.errors import KernelError
from fairlead.ids import ContainerId
from fairlead.kernel import netns
from fairlead.kernel.apply import Kernel
from fairlead.kernel.sandbox import Sandbox
from fairlead.net.plan import plan
from fairlead.net.state import HOST, Address, Fact, Link, LinkKind, Route
from fairlead.settings import Settings
from kernel.plumbing import CONTAINER, ip, ip_inside, run

OWNER = ContainerId(CONTAINER)
GUEST = Link(ns=CONTAINER, name="eth0", kind=LinkKind.GUEST, peer_ns=HOST, peer="pc1")
WANTED: frozenset[Fact] = frozenset(
    {
        GUEST,
        Address(ns=CONTAINER, link="eth0", address=ip_interface("10.9.0.2/24")),
        Route(ns=CONTAINER, prefix=ip_network("10.8.0.0/16"), link="eth0"),
    }
)


@pytest.fixture
def made(kernel: Kernel, sandbox: Sandbox) -> Iterator[Sandbox]:
    """The pair of somebody else: pe1 stays on the host, pc1 is for the sandbox."""
    kernel.add_sandbox(OWNER, sandbox.ns)
    run("ip", "link", "add", "pe1", "type", "veth", "peer", "name", "pc1")
    run("ip", "address", "add", "10.9.0.1/24", "dev", "pe1")
    run("ip", "link", "set", "pe1", "up")
    yield sandbox
    subprocess.run(["ip", "link", "delete", "pe1"], check=False, capture_output=True)


def names() -> set[str]:
    return {link["ifname"] for link in ip("link")}


def test_moved_in_named_and_addressed(kernel: Kernel, made: Sandbox) -> None:
    kernel.apply(plan(frozenset(), WANTED))
    assert "pc1" not in names()
    assert "1 received" in netns.run_in(made.ns, lambda: run("ping", "-c1", "-W2", "10.9.0.1"))
    assert kernel.observe_sandbox(OWNER) == WANTED
    kernel.apply(plan(frozenset(), WANTED))
    assert plan(kernel.observe_sandbox(OWNER), WANTED) == ()


def test_handed_back_under_its_name(kernel: Kernel, made: Sandbox) -> None:
    kernel.apply(plan(frozenset(), WANTED))
    kernel.apply(plan(WANTED, frozenset()))
    assert {"pe1", "pc1"} <= names()
    assert [link["ifname"] for link in ip_inside(made.ns, "link")] == ["lo"]
    kernel.apply(plan(WANTED, frozenset()))
    assert kernel.observe_sandbox(OWNER) == frozenset()


def test_the_host_may_have_a_link_of_that_name(kernel: Kernel, made: Sandbox) -> None:
    run("ip", "link", "add", "eth0", "type", "bridge")
    try:
        kernel.apply(plan(frozenset(), WANTED))
        assert ip_inside(made.ns, "link", "show", "eth0")[0]["linkinfo"]["info_kind"] == "veth"
        kernel.apply(plan(WANTED, frozenset()))
        assert {"pc1", "eth0"} <= names()
    finally:
        run("ip", "link", "delete", "eth0")


def test_mended_inside_by_another_daemon(kernel: Kernel, made: Sandbox, settings: Settings) -> None:
    kernel.apply(plan(frozenset(), WANTED))
    later = Kernel(settings)
    later.add_sandbox(OWNER, made.ns)
    later.ledger.learn(WANTED)
    netns.run_in(made.ns, lambda: run("ip", "address", "flush", "dev", "eth0"))
    netns.run_in(made.ns, lambda: run("ip", "link", "set", "eth0", "down"))
    later.apply(plan(later.observe_sandbox(OWNER), WANTED))
    assert later.observe_sandbox(OWNER) == WANTED
    later.nft.close()


def test_one_that_is_not_there(kernel: Kernel, made: Sandbox) -> None:
    run("ip", "link", "delete", "pe1")
    with pytest.raises(KernelError, match="cannot find link pc1 to move into the sandbox: no such device"):
        kernel.apply(plan(frozenset(), WANTED))
