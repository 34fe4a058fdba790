"""Tables and rules of containers with several ways out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fairlead.ids import EndpointId, NetworkId
from fairlead.model.network import Network
from fairlead.net.multihoming import Home, wants
from fairlead.net.plan import plan
from fairlead.net.state import MAIN_TABLE, Fact, Route, Rule
from unit.net.things import endpoint, network


def home(number: int, address: str, *subnets: str, ifname: str = "", **fields: Any) -> Home:
    there = replace(
        network(*subnets, name=f"n{number}", **fields), id=NetworkId(f"{number}" * 64), bridge=f"br{number}"
    )
    name = ifname or f"eth{number}"
    return endpoint(address, id=EndpointId(f"{number}" * 64), network=there.id, ifname=name), there


def shown(facts: list[Fact]) -> set[str]:
    rules = {f"from {fact.source} table {fact.table} at {fact.priority}" for fact in facts if isinstance(fact, Rule)}
    return rules | {f"{r.prefix} via {r.via} dev {r.link} table {r.table}" for r in facts if isinstance(r, Route)}


ONE = home(0, "10.1.0.5/24", "10.1.0.0/24")
TWO = home(1, "10.2.0.5/24", "10.2.0.0/24")


def test_one_way_out_has_no_tables() -> None:
    assert list(wants([])) == list(wants([ONE])) == []
    inner = home(1, "10.2.0.5/24", "10.2.0.0/24", internal=True)
    assert list(wants([ONE, inner])) == []
    six = home(1, "fd00::5/64", "fd00::/64")
    assert list(wants([ONE, six])) == []


def test_a_table_for_each_way_out() -> None:
    assert shown(list(wants([ONE, TWO]))) == {
        "from 10.1.0.5/32 table 1000 at 1000",
        "0.0.0.0/0 via 10.1.0.1 dev eth0 table 1000",
        "10.1.0.0/24 via None dev eth0 table 1000",
        "from 10.2.0.5/32 table 1001 at 1001",
        "0.0.0.0/0 via 10.2.0.1 dev eth1 table 1001",
        "10.2.0.0/24 via None dev eth1 table 1001",
    }


def test_the_families_are_apart() -> None:
    one = home(0, "10.1.0.5/24", "10.1.0.0/24", "fd00:1::/64")
    both = replace(one[0], addresses=(*one[0].addresses, *endpoint("fd00:1::5/64").addresses)), one[1]
    two = home(1, "fd00:2::5/64", "fd00:2::/64")
    facts = list(wants([both, two]))
    assert {fact.version for fact in facts if isinstance(fact, Rule)} == {6}
    assert "from fd00:2::5/128 table 1001 at 1001" in shown(facts)
    assert "::/0 via fd00:1::1 dev eth0 table 1000" in shown(facts)


def test_all_subnets_of_a_bridge_are_beside_it() -> None:
    wide = home(1, "10.2.0.5/24", "10.2.0.0/24", "10.3.0.0/24")
    assert "10.3.0.0/24 via None dev eth1 table 1001" in shown(list(wants([ONE, wide])))
    elsewhere: Network = replace(wide[1], bridge="")
    assert "10.3.0.0/24 via None dev eth1 table 1001" not in shown(list(wants([ONE, (wide[0], elsewhere)])))


def test_an_interface_that_leads_out_by_itself() -> None:
    routed = home(1, "10.2.0.5/24", "10.2.0.0/24", driver="ipvlan", options={"ipvlan_mode": "l3"})
    assert "0.0.0.0/0 via None dev eth1 table 1001" in shown(list(wants([ONE, routed])))


def test_names_with_the_same_number_or_none() -> None:
    homes = [
        ONE,
        home(1, "10.2.0.5/24", "10.2.0.0/24", ifname="lan0"),
        home(2, "10.3.0.5/24", "10.3.0.0/24", ifname="wan"),
    ]
    tables = {fact.table for fact in wants(homes) if isinstance(fact, Rule)}
    assert tables == {1000, 2000, 3000}
    assert MAIN_TABLE not in tables


def test_the_way_back_is_legal() -> None:
    facts = frozenset(wants([ONE, TWO]))
    kinds = [type(step.fact) for step in plan(frozenset(), facts)]
    assert kinds == [Route] * 4 + [Rule] * 2
    assert [type(step.fact) for step in plan(facts, frozenset())] == [Rule] * 2 + [Route] * 4
