"""Policies as chains, sets and elements."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_interface
from typing import Any

import pytest

from fairlead.errors import InvalidArgument
from fairlead.model.network import Network
from fairlead.model.policy import Action
from fairlead.net import policing, policytables
from fairlead.net.plan import plan
from fairlead.net.policing import Lesson, Member
from fairlead.net.policytables import BRIDGED, ROUTED
from fairlead.net.state import Add, Change, Element, Policing, Remove, is_policy
from fairlead.wire.policy import checked, parse_rule
from unit.net import things

V4, V6 = "10.1.0.0/24", "fd00:1::/64"
NAME = "p0123456789ab"


def policed(*rules: str, default: Action = Action.DENY, subnets: tuple[str, ...] = (V4,), **fields: Any) -> Network:
    network = things.network(*subnets, **fields)
    return replace(network, bridge="br-1", policy=checked(default, [parse_rule(rule) for rule in rules]))


def chains(network: Network) -> dict[tuple[str, str], tuple[str, ...]]:
    (fact,) = (fact for fact in policing.network_facts(network) if isinstance(fact, Policing))
    return {(chain.table, chain.name): chain.rules for chain in fact.chains}


def member(name: str = "web", *addresses: str, **labels: str) -> Member:
    ports = {"host_ifname": f"veth{name}"} if name != "web" else {}
    return Member(things.endpoint(*addresses, **ports), name, labels)


def bare(rule: str) -> str:
    return rule.partition(" counter")[0]


def test_no_policy_no_fact() -> None:
    network = replace(policed(), policy=None)
    assert list(policing.network_facts(network)) == []
    assert list(policing.endpoint_facts(network, member())) == []
    assert policing.lessons(network) == ()


def test_answers_meet_the_rules_mirrored() -> None:
    found = chains(policed("allow from=cidr:10.9.0.0/16 to=network port=80,90-99,53/udp"))
    assert [bare(rule) for rule in found[BRIDGED, f"{NAME}_ask"][:2]] == [
        "ip saddr 10.9.0.0/16 ip daddr 10.1.0.0/24 tcp dport { 80, 90-99 }",
        "ip saddr 10.9.0.0/16 ip daddr 10.1.0.0/24 udp dport 53",
    ]
    assert [bare(rule) for rule in found[BRIDGED, f"{NAME}_back"][:2]] == [
        "ip daddr 10.9.0.0/16 ip saddr 10.1.0.0/24 tcp sport { 80, 90-99 }",
        "ip daddr 10.9.0.0/16 ip saddr 10.1.0.0/24 udp sport 53",
    ]
    assert [bare(rule) for rule in found[ROUTED, NAME][1:3]] == [
        bare(rule) for rule in found[BRIDGED, f"{NAME}_ask"][:2]
    ]


@pytest.mark.parametrize(
    ("default", "table", "end"),
    [
        (Action.DENY, BRIDGED, "drop"),
        (Action.ALLOW, BRIDGED, "goto admitted"),
        (Action.ALLOW, ROUTED, "return"),
    ],
)
def test_the_default_comes_last(default: Action, table: str, end: str) -> None:
    rules = chains(policed("deny to=any port=1", default=default))[table, NAME if table == ROUTED else f"{NAME}_ask"]
    assert rules[-1] == f'counter name "{NAME}_default" {end} comment "default {default}"'
    assert " drop comment" in rules[-2]


def test_a_rule_for_everybody_speaks_of_no_family() -> None:
    found = chains(policed("allow port=80", "allow proto=icmp", "allow to=any", subnets=(V4, V6)))[ROUTED, NAME]
    assert [bare(rule) for rule in found[1:3]] == ["tcp dport 80", "meta l4proto { icmp, ipv6-icmp }"]
    assert found[3].startswith("counter name")
    assert len(found) == 5


def test_each_side_in_its_families() -> None:
    found = chains(policed("allow from=network to=cidr:fd00::/8 port=80/udp,icmp", subnets=(V4, V6)))[ROUTED, NAME]
    assert [bare(rule) for rule in found[1:-1]] == [
        "ip6 saddr fd00:1::/64 ip6 daddr fd00::/8 meta l4proto ipv6-icmp",
        "ip6 saddr fd00:1::/64 ip6 daddr fd00::/8 udp dport 80",
    ]
    assert len(chains(policed("allow to=cidr:fd00::/8"))[ROUTED, NAME]) == 2, "this network has no IPv6"


def test_several_subnets_are_one_network() -> None:
    found = chains(policed("allow from=network", subnets=(V4, "10.2.0.0/24")))[ROUTED, NAME]
    assert bare(found[1]) == "ip saddr { 10.1.0.0/24, 10.2.0.0/24 }"


def test_overlapping_ports_are_joined() -> None:
    found = chains(policed("allow port=80-90,85-99,100,200"))[ROUTED, NAME]
    assert bare(found[1]) == "tcp dport { 80-100, 200 }"
    assert bare(chains(policed("allow port=tcp,80"))[ROUTED, NAME][1]) == "meta l4proto tcp"


def test_a_name_in_dns() -> None:
    network = policed("allow to=dns:*.example.org port=443", "deny to=dns:bad.example")
    (stem, bad) = (lesson.stem for lesson in policing.lessons(network))
    assert policing.lessons(network) == (Lesson("*.example.org", stem), Lesson("bad.example", bad))
    rules = chains(network)[ROUTED, NAME]
    live = stem.replace("_names", "_live4")
    assert bare(rules[1]) == f"ip daddr @{stem}4 tcp dport 443 update @{live} {{ ip daddr timeout 1d }}"
    assert bare(rules[2]).startswith(f"ct state established,related ip daddr @{live} tcp dport 443")
    assert bare(rules[3]) == f"ip daddr @{bad}4"
    assert len(rules) == 5
    (fact,) = (fact for fact in policing.network_facts(network) if isinstance(fact, Policing))
    learned = {each.name for each in fact.sets if policytables.is_volatile(each.name)}
    assert learned == {f"{stem}4", live, f"{bad}4", bad.replace("_names", "_live4")}


def test_what_a_container_adds() -> None:
    network = policed("allow from=label:tier=web to=name:db", "allow from=label:tier", subnets=(V4, V6))
    found = list(policing.endpoint_facts(network, member("web", "10.1.0.5/24", "fd00:1::5/64", tier="web")))
    assert all(isinstance(fact, Element) and is_policy(fact) for fact in found)
    assert {(fact.container, fact.key, fact.value) for fact in found if fact.container in ("from_port", "to_port")} == {
        ("from_port", '"veth0000001"', f"goto {NAME}_from"),
        ("to_port", '"veth0000001"', f"goto {NAME}"),
    }
    assert {fact.key for fact in found if fact.container.startswith("origin")} == {
        '"veth0000001" . 10.1.0.5',
        '"veth0000001" . fd00:1::5',
    }
    spare = replace(things.endpoint("10.1.0.5/24"), link_local=(ip_interface("169.254.9.9/16"),))
    keys = {fact.key for fact in policing.endpoint_facts(network, Member(spare, "x", {})) if isinstance(fact, Element)}
    assert '"veth0000001" . 169.254.9.9' in keys, "asked for with --link-local-ip"
    bare_family = replace(spare, link_local=(ip_interface("fe80::9/64"),))
    chosen = Member(bare_family, "db", {})
    found6 = [f for f in policing.endpoint_facts(policed("allow to=name:db"), chosen) if isinstance(f, Element)]
    assert not [fact for fact in found6 if fact.container.endswith("_6")], "the network has no such set"
    members = [fact for fact in found if fact.container.startswith(NAME)]
    assert len(members) == 2 * 2 * 2, "two selectors, two families, two tables"


@pytest.mark.parametrize(
    ("peer", "name", "labels", "chosen"),
    [
        ("name:db", "db", {}, True),
        ("name:db", "db2", {}, False),
        ("label:a", "x", {"a": ""}, True),
        ("label:a", "x", {"b": "a"}, False),
        ("label:a=", "x", {"a": ""}, True),
        ("label:a=", "x", {"a": "1"}, False),
        ("label:a=b=c", "x", {"a": "b=c"}, True),
        ("any", "x", {}, False),
    ],
)
def test_who_is_chosen(peer: str, name: str, labels: dict[str, str], chosen: bool) -> None:
    network = policed(f"allow from={peer}")
    assert network.policy is not None
    assert network.policy.rules[0].source.is_container(name, labels) is chosen


def test_an_edit_touches_what_it_changes() -> None:
    members = [
        member(f"c{number}", f"10.1.0.{number}/24", tier="web" if number % 2 else "db") for number in range(2, 12)
    ]
    before = policed("allow from=label:tier=web to=label:tier=db")
    after = policed("allow from=label:tier=web to=label:tier=db", "allow from=name:c3")
    steps = plan(*policing.edit(before, after, members))
    assert [type(step) for step in steps] == [Change, Add, Add]
    assert {step.fact.key for step in steps[1:] if isinstance(step.fact, Element)} == {"10.1.0.3"}
    back = plan(*policing.edit(after, before, members))
    assert [type(step) for step in back] == [Remove, Remove, Change]
    first = plan(*policing.edit(replace(before, policy=None), before, members))
    assert isinstance(first[0].fact, Policing)
    assert len(first) == 2 + 10 * 3 + 10 * 2, "chains, the network; each one's port and address; its membership"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"name": "bridge"}, "predefined"),
        ({"config_only": True}, "only lends"),
        ({"driver": "macvlan"}, "has the driver macvlan"),
    ],
)
def test_networks_that_cannot(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        policing.check(things.network(**fields))
    policing.check(things.network())


def test_comments_hold_nothing_that_ends_them() -> None:
    rules = chains(policed('allow from=label:a="};x\\'))[ROUTED, NAME]
    assert rules[1].count('"') == 4
    assert rules[1].endswith('comment "allow from=label:a=???x? to=any"')


# -- the tables as text ---------------------------------------------------------------------------------------------


def test_stale_parts_go_and_known_chains_stay() -> None:
    (before,) = (f for f in policing.network_facts(policed("allow from=name:a")) if isinstance(f, Policing))
    (after,) = (f for f in policing.network_facts(policed("allow from=name:b")) if isinstance(f, Policing))
    there = {("chain", chain.table, chain.name) for chain in before.chains}
    there |= {("set", each.table, each.name) for each in before.sets}
    there |= {("counter", table, name) for name in before.counters for table in policytables.TABLES}
    text = policytables.written(after, there, before)
    assert f"flush chain {BRIDGED} {NAME}_ask" in text
    assert f"chain {BRIDGED} {NAME}_from" not in text, "as it was"
    assert f"add counter {ROUTED} {NAME}_default" not in text
    (stale,) = (each.name for each in before.sets if each.table == ROUTED)
    assert text.index(f"delete set {ROUTED} {stale}") > text.rindex("add rule")
    assert policytables.written(before, there, before) == "", "nothing to do"
    assert policytables.erased(there).count("delete chain") == len(before.chains)


@pytest.mark.parametrize(
    ("name", "network", "volatile"),
    [
        (NAME, NAME, False),
        (f"{NAME}_back", NAME, False),
        (f"{NAME}_89abcdef_names4", NAME, True),
        (f"{NAME}_89abcdef_live6", NAME, True),
        (f"{NAME}_89abcdef_4", NAME, False),
        ("flows4", "", True),
        ("closing6", "", True),
        ("forward", "", False),
        ("p0123456789abc", "", False),
        ("origin4", "", False),
    ],
)
def test_names(name: str, network: str, volatile: bool) -> None:
    assert policytables.network_of(name) == network
    assert policytables.is_volatile(name) is volatile
