"""nftables through libnftables: what the pure ruleset says is what the kernel lists, all or nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from fairlead.kernel.apply import Kernel
from fairlead.kernel.netlink import setelem
from fairlead.kernel.netlink.connection import NETFILTER, Netlink
from fairlead.kernel.netlink.frames import NetlinkError
from fairlead.kernel.nft import NftError
from fairlead.net import ruleset
from fairlead.net.state import Add, Element, Remove
from kernel.plumbing import run

ELEMENTS = frozenset(
    Element(container=container, key=key, value=value)
    for container, key, value in (
        ("bridges", '"br-0123456789ab"', ""),
        ("same_bridge", '"docker0" . "docker0"', ""),
        ("masquerade4", "172.17.0.0/16", ""),
        ("masquerade4", "172.19.0.0/24", ""),
        ("masquerade6", "fd00:8::/64", ""),
        ("snat4", "10.1.0.0/24", "192.0.2.7"),
        ("published4", "tcp . 8080", "172.17.0.2 . 80"),
        ("published4", "udp . 53", "172.17.0.2 . 53"),
        ("published4", "sctp . 99", "172.17.0.2 . 99"),
        ("published6", "tcp . 8080", "fd00:8::2 . 80"),
        ("published4_at", "127.0.0.1 . tcp . 8081", "172.17.0.3 . 80"),
        ("ranges4", "tcp . 20000-20999", "172.17.0.4"),
        ("ranges6_at", "fd00::1 . udp . 4000-4010", "fd00:8::4"),
        ("ports4", "172.17.0.4 . tcp . 20000-20999", ""),
        ("ports6", "fd00:8::4 . udp . 53", ""),
        # Intervals side by side, and one that nothing lies behind.
        ("masquerade4", "172.19.1.0/24", ""),
        ("masquerade4", "255.255.255.0/24", ""),
        ("open", 'ipv4 . "br-0123456789ab"', ""),
        ("routed", 'ipv6 . "docker0"', ""),
        ("hairpin6", "fd00:8::2 . fd00:8::2", ""),
    )
)


def listed(kernel: Kernel) -> frozenset[Element]:
    return frozenset(
        Element(container=container, key=key, value=value)
        for container, entries in kernel.nft.elements().items()
        for key, value in entries.items()
    )


def test_a_loaded_table_lists_its_elements_as_they_were_written(kernel: Kernel) -> None:
    kernel.nft.load(ruleset.load(ELEMENTS))
    assert listed(kernel) == ELEMENTS == kernel.observe_host()


def test_elements_added_later_too(kernel: Kernel) -> None:
    kernel.apply([Add(element) for element in ELEMENTS])
    assert listed(kernel) == ELEMENTS
    kernel.apply([Remove(element) for element in ELEMENTS])
    assert listed(kernel) == frozenset()


def test_our_own_messages_and_nft_mean_the_same_elements(kernel: Kernel) -> None:
    """What one of them puts in, the other takes out."""
    add, remove = [Add(element) for element in ELEMENTS], [Remove(element) for element in ELEMENTS]
    netfilter = Netlink(NETFILTER)
    netfilter.transact(setelem.transaction(add))
    assert listed(kernel) == ELEMENTS
    kernel.nft.run(ruleset.transaction(remove))
    kernel.nft.run(ruleset.transaction(add))
    netfilter.transact(setelem.transaction(remove))
    assert listed(kernel) == frozenset()
    netfilter.close()


def test_a_transaction_in_our_own_messages_is_all_or_nothing(kernel: Kernel) -> None:
    there = Element(container="published4", key="tcp . 80", value="10.0.0.1 . 80")
    kernel.apply([Add(there)])
    netfilter = Netlink(NETFILTER)
    fresh, other = Element(container="bridges", key='"br-1"'), replace(there, value="10.0.0.2 . 80")
    for steps in ([Add(fresh), Add(other)], [Add(fresh), Remove(Element(container="bridges", key='"br-2"'))]):
        with pytest.raises(NetlinkError):
            netfilter.transact(setelem.transaction(steps))
        assert listed(kernel) == {there}
    netfilter.close()


def test_loading_again_replaces_the_whole_table_and_touches_no_other(kernel: Kernel) -> None:
    run("nft", "add", "table", "inet", "theirs")
    kernel.apply([Add(element) for element in ELEMENTS])
    kernel.nft.load(ruleset.load(()))
    assert listed(kernel) == frozenset()
    tables = run("nft", "list", "tables").split("\n")
    assert tables.count("table inet fairlead") == 1
    assert "table inet theirs" in tables


def test_a_refused_transaction_changes_nothing(kernel: Kernel) -> None:
    before = kernel.nft.listing()
    good = 'add element inet fairlead bridges { "x" }\n'
    with pytest.raises(NftError) as missing:
        kernel.nft.run(good + "delete element inet fairlead published4 { tcp . 1 }\n")
    assert missing.value.missing
    with pytest.raises(NftError, match="syntax error"):
        kernel.nft.run(good + "nonsense\n")
    assert kernel.nft.listing() == before


def test_checking_changes_nothing(kernel: Kernel) -> None:
    kernel.nft.check('add element inet fairlead bridges { "x" }')
    assert listed(kernel) == frozenset()
    with pytest.raises(NftError):
        kernel.nft.check("add element inet fairlead no_such_set { 1 }")


def test_the_administrators_table_is_made_once_and_left_alone(kernel: Kernel) -> None:
    assert kernel.nft.has_tables()
    assert "fairlead-user" in run("nft", "list", "tables")
    run("nft", "add", "rule", "inet", "fairlead-user", "forward", "tcp", "dport", "25", "drop")
    before = run("nft", "list", "table", "inet", "fairlead-user")
    kernel.nft.ensure_user_table()
    kernel.nft.load(ruleset.load(ELEMENTS))
    assert run("nft", "list", "table", "inet", "fairlead-user") == before


def test_a_missing_table_has_no_elements(kernel: Kernel) -> None:
    run("nft", "flush", "ruleset")
    assert not kernel.nft.has_tables()
    assert kernel.nft.elements() == {}


def test_a_closed_context_refuses(kernel: Kernel) -> None:
    kernel.nft.close()
    kernel.nft.close()
    with pytest.raises(NftError):
        kernel.nft.run("list tables")


def test_a_hundred_ports_are_published_quickly(kernel: Kernel, timing: Callable[[str, list[float]], None]) -> None:
    ports = [
        Element(container="published4", key=f"tcp . {8000 + number}", value=f"10.9.0.2 . {number}")
        for number in range(100)
    ]
    one = [Element(container="published4", key="tcp . 80", value="10.9.0.2 . 80")]
    took: dict[str, list[float]] = {}
    for _ in range(10):
        for what, elements in (("one port", one), ("a hundred ports", ports)):
            for verb, step in (("published", Add), ("withdrawn", Remove)):
                began = time.perf_counter()
                kernel.apply([step(element) for element in elements])
                took.setdefault(f"{what} {verb}", []).append(time.perf_counter() - began)
    for what, seconds in took.items():
        timing(what, seconds)
        assert sorted(seconds)[5] < 0.05
