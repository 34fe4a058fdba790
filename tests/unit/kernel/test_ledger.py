"""The ledger: what was left open stays open, what is struck is forgotten."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_interface, ip_network

from fairlead.kernel.ledger import Ledger
from fairlead.net.state import HOST, Address, Element, Link, LinkKind, Route, Sysctl

LINK = Link(ns=HOST, name="veth1", kind=LinkKind.VETH, peer_ns="c", peer="eth0")
ADDRESS = Address(ns="c", link="eth0", address=ip_interface("10.0.0.2/24"))
ROUTE = Route(ns="c", prefix=ip_network("0.0.0.0/0"), link="eth0")
SYSCTL = Sysctl(ns="c", key="net/ipv4/ip_forward", value="1")


def test_what_the_kernel_chose_is_told_as_left_open() -> None:
    ledger = Ledger()
    seen = replace(LINK, mtu=1500, mac="02:00:00:00:00:01")
    assert ledger.in_our_terms(seen) == seen
    ledger.enter(LINK)
    assert ledger.in_our_terms(seen) == LINK


def test_what_was_asked_for_is_told_as_it_is() -> None:
    ledger = Ledger()
    ledger.enter(replace(LINK, mtu=1500))
    assert ledger.in_our_terms(replace(LINK, mtu=1400)).mtu == 1400


def test_of_an_adopted_link_only_up_or_down_counts() -> None:
    ledger = Ledger()
    adopted = Link(ns=HOST, name="mybr", kind=LinkKind.BRIDGE, adopted=True)
    ledger.enter(adopted)
    seen = replace(adopted, adopted=False, mtu=1400, alias="theirs", up=False)
    assert ledger.in_our_terms(seen) == replace(adopted, up=False)


def test_found_facts_are_learned_but_do_not_replace_what_was_asked() -> None:
    ledger = Ledger()
    ledger.enter(LINK)
    ledger.learn([replace(LINK, mtu=1500), ADDRESS, ROUTE, SYSCTL])
    assert ledger.links == {(HOST, "veth1"): LINK}
    assert ledger.has_address("c", ADDRESS.address)
    assert ledger.has_route("c", ROUTE.prefix)
    assert not ledger.has_route(HOST, ROUTE.prefix)


def test_striking_forgets_one_fact_and_forgetting_a_whole_sandbox() -> None:
    ledger = Ledger()
    for fact in (LINK, ADDRESS, ROUTE, SYSCTL, Element(container="bridges", key='"x"')):
        ledger.enter(fact)
    for fact in (ADDRESS, ROUTE, SYSCTL, Element(container="bridges", key='"x"')):
        ledger.strike(fact)
    assert (ledger.addresses, ledger.routes, ledger.sysctls) == (set(), set(), {})
    ledger.forget("c")  # with the host's end of its pair
    assert ledger == Ledger()
    ledger.strike(LINK)


def test_who_stands_on_a_parent_is_known_even_after_that_is_gone() -> None:
    ledger = Ledger()
    inside = Link(ns="c1", name="eth0", kind=LinkKind.MACVLAN, parent="lan0")
    ledger.enter(inside)
    ledger.enter(Link(ns=HOST, name="lan0.10", kind=LinkKind.VLAN, parent="lan0"))
    assert ledger.parents == {"lan0"}
    assert ledger.standing_on("lan0") == {"c1", HOST}
    ledger.strike(inside)
    assert ledger.standing_on("lan0") == {HOST}
    assert ledger.standing_on("eth0") == frozenset()
