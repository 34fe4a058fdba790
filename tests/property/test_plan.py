"""Walks through states: every step of every plan is legal when its turn comes, and the walk arrives."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_interface, ip_network

from hypothesis import given
from hypothesis import strategies as st

from fairlead.net.plan import plan, satisfied
from fairlead.net.state import (
    HOST,
    Add,
    Address,
    Change,
    Element,
    Fact,
    Link,
    LinkKind,
    Qdisc,
    Redirect,
    Remove,
    Route,
    Slot,
    State,
    Step,
    Sysctl,
    needs,
    slot,
)

BRIDGES = ("br-0", "br-1", "br-2")


def _bridge(name: str) -> st.SearchStrategy[Fact]:
    kinds = st.sampled_from([LinkKind.BRIDGE, LinkKind.BRIDGE, LinkKind.VETH])
    return st.builds(Link, ns=st.just(HOST), name=st.just(name), kind=kinds, mtu=st.sampled_from([1400, 1500]))


def _port(number: int) -> st.SearchStrategy[Fact]:
    return st.builds(
        Link,
        ns=st.just(HOST),
        name=st.just(f"veth{number}"),
        kind=st.just(LinkKind.VETH),
        master=st.sampled_from(["", *BRIDGES]),
        peer_ns=st.sampled_from(["c1", "c2"]),
        peer=st.just("eth0"),
        hairpin=st.booleans(),
    )


def _standing(link: str) -> list[st.SearchStrategy[Fact]]:
    """What may stand on a link, one strategy for each slot."""
    via = st.sampled_from([None, ip_address("10.0.0.1"), ip_address("10.0.0.2")])
    route = st.builds(Route, ns=st.just(HOST), prefix=st.just(ip_network("10.9.0.0/24")), link=st.just(link), via=via)
    key = f"net/ipv4/conf/{link}/route_localnet"
    return [
        st.just(Address(ns=HOST, link=link, address=ip_interface("10.0.0.9/24"))),
        st.just(Address(ns=HOST, link=link, address=ip_interface("fd00::9/64"))),
        route,
        st.builds(Sysctl, ns=st.just(HOST), key=st.just(key), value=st.sampled_from(["0", "1"])),
        st.builds(Qdisc, ns=st.just(HOST), link=st.just(link), rate=st.sampled_from([8_000, 16_000])),
        st.builds(Redirect, ns=st.just(HOST), link=st.just(link), to=st.sampled_from(["veth0", "veth1"])),
    ]


def _element(key: str) -> st.SearchStrategy[Fact]:
    return st.builds(Element, container=st.just("published4"), key=st.just(key), value=st.sampled_from(["a", "b"]))


LINKS = [*map(_bridge, BRIDGES), *map(_port, range(3))]
NAMES = (*BRIDGES, "veth0", "veth1", "veth2")
OTHERS = [strategy for name in NAMES for strategy in _standing(name)] + [_element(key) for key in "xyz"]
STATES = st.tuples(*(st.none() | strategy for strategy in [*LINKS, *OTHERS])).map(
    lambda facts: _possible(frozenset(fact for fact in facts if fact is not None))
)


def _possible(facts: State) -> State:
    """Without what could not be: a port of no bridge, an address on no link."""
    bridges = {slot(f) for f in facts if isinstance(f, Link) and f.kind is LinkKind.BRIDGE}
    links = frozenset(f for f in facts if isinstance(f, Link) and (not f.master or ("link", HOST, f.master) in bridges))
    there = {slot(f) for f in links}
    rest = (f for f in facts if not isinstance(f, Link) and set(needs(f)) <= there)
    return links | frozenset(rest)


class Model:
    """A kernel that takes nothing out of order."""

    def __init__(self, state: State) -> None:
        self.facts: dict[Slot, Fact] = {slot(fact): fact for fact in state}

    def take(self, step: Step) -> None:
        key = slot(step.fact)
        match step:
            case Add(fact):
                assert key not in self.facts, f"{fact} is there"
                assert set(needs(fact)) <= set(self.facts), f"{fact} lacks what it needs"
                self.facts[key] = fact
            case Change(before, fact):
                assert key in self.facts, f"{before} is gone"
                assert set(needs(fact)) <= set(self.facts), f"{fact} lacks what it needs"
                self.facts[key] = fact
            case Remove(fact):
                assert not isinstance(fact, Sysctl)
                del self.facts[key]
                if isinstance(fact, Link):
                    self._without(key, fact.name)

    def _without(self, key: Slot, name: str) -> None:
        """What stood on a link goes with it; its ports are free."""
        for other, fact in list(self.facts.items()):
            if isinstance(fact, Link):
                self.facts[other] = replace(fact, master="" if fact.master == name else fact.master)
            elif key in set(needs(fact)):
                del self.facts[other]


@given(st.lists(STATES, min_size=2, max_size=4))
def test_every_walk_is_legal_and_arrives(states: list[State]) -> None:
    kernel = Model(states[0])
    for want in states[1:]:
        have = frozenset(kernel.facts.values())
        for step in plan(have, want):
            kernel.take(step)
        for fact in want:
            assert satisfied(kernel.facts[slot(fact)], fact)
        extra = set(kernel.facts) - {slot(fact) for fact in want}
        assert all(isinstance(kernel.facts[key], Sysctl) for key in extra)


@given(STATES, STATES)
def test_the_second_plan_is_empty(have: State, want: State) -> None:
    kernel = Model(have)
    for step in plan(have, want):
        kernel.take(step)
    assert plan(frozenset(kernel.facts.values()), want) == ()


@given(STATES)
def test_a_state_needs_nothing_to_be_itself(state: State) -> None:
    assert plan(state, state) == ()


@given(STATES, STATES)
def test_plans_do_not_depend_on_the_order_of_a_set(have: State, want: State) -> None:
    assert plan(frozenset(sorted(have, key=str)), want) == plan(have, frozenset(sorted(want, key=repr, reverse=True)))
