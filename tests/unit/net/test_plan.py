from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_interface, ip_network

from fairlead.net.plan import foreign_parents, out_of_reach, plan, satisfied
from fairlead.net.state import (
    HOST,
    Add,
    Address,
    Change,
    Element,
    Fact,
    Link,
    LinkKind,
    Remove,
    Route,
    Sysctl,
    slot,
)

BRIDGE = Link(ns=HOST, name="br-1", kind=LinkKind.BRIDGE, mtu=1500, mac="02:00:00:00:00:01", alias="shop")
VETH = Link(
    ns=HOST, name="veth1", kind=LinkKind.VETH, master="br-1", peer_ns="c1", peer="eth0", peer_mac="02:00:00:00:00:05"
)
INNER = Link(ns="c1", name="eth0", kind=LinkKind.VETH, mac="02:00:00:00:00:05", peer_ns=HOST, peer="veth1")
GATEWAY = Address(ns=HOST, link="br-1", address=ip_interface("10.1.0.1/24"))
OWN = Address(ns="c1", link="eth0", address=ip_interface("10.1.0.5/24"))
DEFAULT = Route(ns="c1", prefix=ip_network("0.0.0.0/0"), link="eth0", via=ip_address("10.1.0.1"))
ON_LINK = Route(ns="c1", prefix=ip_network("10.9.0.0/24"), link="eth0")
LOCALNET = Sysctl(ns=HOST, key="net/ipv4/conf/br-1/route_localnet", value="1")
PORT = Element(container="published4", key="tcp . 80", value="10.1.0.5 . 80")
ALL: frozenset[Fact] = frozenset({BRIDGE, VETH, INNER, GATEWAY, OWN, DEFAULT, ON_LINK, LOCALNET, PORT})
NOTHING: frozenset[Fact] = frozenset()


def test_nothing_to_do() -> None:
    assert plan(ALL, ALL) == ()


def test_additions_come_in_the_order_of_need() -> None:
    assert [step.fact for step in plan(NOTHING, ALL)] == [
        BRIDGE,
        VETH,
        INNER,
        LOCALNET,
        GATEWAY,
        OWN,
        ON_LINK,
        DEFAULT,
        PORT,
    ]
    assert all(isinstance(step, Add) for step in plan(NOTHING, ALL))


def test_removals_come_the_other_way_round_and_leave_sysctls() -> None:
    assert [step.fact for step in plan(ALL, NOTHING)] == [PORT, DEFAULT, ON_LINK, OWN, GATEWAY, INNER, VETH, BRIDGE]
    assert all(isinstance(step, Remove) for step in plan(ALL, NOTHING))


def test_removals_come_before_additions() -> None:
    other = replace(PORT, key="tcp . 81")
    assert plan(frozenset({PORT}), frozenset({other})) == (Remove(PORT), Add(other))


def test_another_value_in_the_same_slot_is_a_change() -> None:
    moved = replace(PORT, value="10.1.0.6 . 80")
    assert plan(frozenset({PORT}), frozenset({moved})) == (Change(PORT, moved),)
    on = replace(LOCALNET, value="0")
    assert plan(frozenset({on}), frozenset({LOCALNET})) == (Change(on, LOCALNET),)


def test_a_default_route_moves_to_another_link_by_going_first() -> None:
    """The kernel takes one route for a prefix and metric."""
    moved = replace(DEFAULT, link="eth1")
    assert plan(frozenset({DEFAULT}), frozenset({moved})) == (Remove(DEFAULT), Add(moved))


def test_an_adopted_link_is_never_removed() -> None:
    adopted = Link(ns=HOST, name="br0", kind=LinkKind.BRIDGE, adopted=True)
    assert plan(frozenset({adopted}), NOTHING) == ()


def test_what_the_kernel_chooses_satisfies_a_link_that_leaves_it_open() -> None:
    want = Link(ns=HOST, name="br0", kind=LinkKind.BRIDGE, adopted=True)
    assert satisfied(
        Link(ns=HOST, name="br0", kind=LinkKind.BRIDGE, mtu=9000, mac="02:00:00:00:00:09", alias="x"), want
    )
    assert not satisfied(replace(want, up=False), want)


def test_a_link_whose_peer_cannot_be_seen_is_not_another() -> None:
    assert satisfied(replace(VETH, peer_ns="", peer="", peer_mac="", mtu=1500, mac="02:00:00:00:00:77"), VETH)


def test_fields_that_were_asked_for_count() -> None:
    for field, value in (("mtu", 1400), ("mac", "02:00:00:00:00:ff"), ("alias", "other"), ("up", False)):
        assert not satisfied(replace(BRIDGE, **{field: value}), BRIDGE)  # type: ignore[arg-type]
    for field, value in (("master", ""), ("isolated", True), ("hairpin", True)):
        assert not satisfied(replace(VETH, **{field: value}), VETH)  # type: ignore[arg-type]


def test_a_link_of_another_kind_is_made_anew_with_what_stood_on_it() -> None:
    have: frozenset[Fact] = frozenset({replace(BRIDGE, kind=LinkKind.VETH), GATEWAY, LOCALNET, VETH})
    steps = plan(have, frozenset({BRIDGE, GATEWAY, LOCALNET, VETH}))
    assert steps == (
        Remove(replace(BRIDGE, kind=LinkKind.VETH)),
        Add(BRIDGE),
        Change(VETH, VETH),  # its master is a new one
        Add(LOCALNET),
        Add(GATEWAY),
    )


def test_a_veth_that_leads_elsewhere_is_made_anew() -> None:
    stray = replace(VETH, peer_ns="c2")
    assert plan(frozenset({BRIDGE, stray}), frozenset({BRIDGE, VETH})) == (Remove(stray), Add(VETH))


def test_what_stood_on_a_lost_link_and_is_not_wanted_needs_no_removal() -> None:
    have: frozenset[Fact] = frozenset({replace(BRIDGE, kind=LinkKind.VETH), GATEWAY})
    assert plan(have, frozenset({BRIDGE})) == (Remove(replace(BRIDGE, kind=LinkKind.VETH)), Add(BRIDGE))


VLAN = Link(ns=HOST, name="eth0.10", kind=LinkKind.VLAN, parent="eth0", vlan=10)
SHIM = Link(ns=HOST, name="a-shim", kind=LinkKind.MACVLAN, parent="eth0.10", mode="bridge")
STATION = Link(ns="c1", name="eth0", kind=LinkKind.MACVLAN, parent="eth0.10", mode="bridge")
ON_SHIM = Route(ns=HOST, prefix=ip_network("10.1.0.5/32"), link="a-shim")
STANDING: frozenset[Fact] = frozenset({VLAN, SHIM, STATION, OWN, ON_SHIM})


def test_parents_come_before_and_go_after_what_stands_on_them() -> None:
    assert [step.fact for step in plan(NOTHING, STANDING)] == [VLAN, SHIM, STATION, OWN, ON_SHIM]
    assert [step.fact for step in plan(STANDING, NOTHING)] == [ON_SHIM, OWN, STATION, SHIM, VLAN]


def test_what_a_link_cannot_change_makes_it_anew() -> None:
    other = replace(STATION, mode="private")
    steps = plan(frozenset({VLAN, STATION, OWN}), frozenset({VLAN, other, OWN}))
    assert steps == (Remove(STATION), Add(other), Add(OWN))


def test_a_parent_made_anew_takes_along_what_stands_on_it() -> None:
    moved = replace(VLAN, vlan=20)
    steps = plan(STANDING, (STANDING - {VLAN}) | {moved})
    assert {step.fact for step in steps if isinstance(step, Remove)} == {VLAN, SHIM, STATION}
    assert {step.fact for step in steps if isinstance(step, Add)} == {moved, SHIM, STATION, OWN, ON_SHIM}


def test_what_needs_a_missing_link_of_somebody_elses_is_out_of_reach() -> None:
    assert foreign_parents(ALL) == frozenset()
    assert foreign_parents(STANDING) == {"eth0"}
    assert out_of_reach(STANDING | ALL, {"eth0"}) == {
        ("link", HOST, "eth0"),
        *map(slot, STANDING),
        slot(DEFAULT),
        slot(ON_LINK),
    }
    assert out_of_reach(ALL, ()) == frozenset()
