from __future__ import annotations

import re

from fairlead.net import ruleset
from fairlead.net.state import HOST, Add, Change, Element, Link, LinkKind, Remove

PORT = Element(container="published4", key="tcp . 80", value="10.1.0.5 . 80")
NEXT = Element(container="published4", key="tcp . 81", value="10.1.0.5 . 81")
BRIDGE = Element(container="bridges", key='"br-1"')


def test_every_set_a_rule_names_is_declared_and_used() -> None:
    text = ruleset.static_ruleset()
    for name in ruleset.CONTAINERS:
        assert text.count(f"@{name}\n") + text.count(f"@{name} ") >= 1, name
    named = {word.strip("@") for word in text.split() if word.startswith("@")}
    assert named == set(ruleset.CONTAINERS)


def test_load_replaces_the_whole_tables_at_once() -> None:
    text = ruleset.load([BRIDGE, PORT])
    fresh = [f"table {table} {{}}\ndelete table {table}\n" for table in ruleset.TABLES]
    assert text.startswith("".join(fresh) + "table inet fairlead {\n")
    assert all(f"table {table} {{\n" in text for table in ruleset.TABLES)
    assert text.endswith(
        'add element inet fairlead bridges { "br-1" }\n'
        "add element inet fairlead published4 { tcp . 80 : 10.1.0.5 . 80 }\n"
    )


def test_a_transaction_has_one_command_for_each_set_and_verb_deletions_first() -> None:
    moved = Element(container="published4", key="tcp . 82", value="10.1.0.6 . 82")
    steps = [Add(PORT), Add(BRIDGE), Remove(moved), Add(NEXT)]
    assert ruleset.transaction(steps) == (
        "delete element inet fairlead published4 { tcp . 82 }\n"
        'add element inet fairlead bridges { "br-1" }\n'
        "add element inet fairlead published4 { tcp . 80 : 10.1.0.5 . 80, tcp . 81 : 10.1.0.5 . 81 }\n"
    )


def test_a_change_deletes_and_adds_in_one_transaction() -> None:
    after = Element(container="published4", key="tcp . 80", value="10.1.0.6 . 80")
    assert ruleset.transaction([Change(PORT, after)]) == (
        "delete element inet fairlead published4 { tcp . 80 }\n"
        "add element inet fairlead published4 { tcp . 80 : 10.1.0.6 . 80 }\n"
    )


def test_steps_about_other_things_are_not_nfts_business() -> None:
    assert ruleset.transaction([Add(Link(ns=HOST, name="br-1", kind=LinkKind.BRIDGE))]) == ""


def test_the_skeleton_has_no_elements() -> None:
    listing = (
        'table inet fairlead {\n\tset bridges {\n\t\ttype ifname\n\t\telements = { "br-1",\n\t\t\t     "br-2" }\n\t}\n'
        "\tset internal {\n\t\ttype ifname\n\t}\n}\n"
    )
    assert ruleset.skeleton(listing) == (
        "table inet fairlead {\n\tset bridges {\n\t\ttype ifname\n\t}\n\tset internal {\n\t\ttype ifname\n\t}\n}\n"
    )


def test_the_administrators_chain_comes_before_ours() -> None:
    assert "hook forward priority filter - 10;" in ruleset.USER_RULESET
    assert "hook forward priority filter;" in ruleset.static_ruleset()


def test_an_accepted_mark_is_a_rule_before_the_drops() -> None:
    assert "meta mark &" not in ruleset.static_ruleset()
    text = ruleset.static_ruleset("0x1/0x3")
    assert text.index("oifname @internal drop") < text.index("meta mark & 0x3 == 0x1 accept")
    assert text.index("meta mark & 0x3 == 0x1 accept") < text.index("ct state invalid")


def test_every_rule_and_set_says_which_packets_it_is_for() -> None:
    for line in ruleset.static_ruleset("0x1/0x3").splitlines():
        words = line.strip()
        is_rule = line.startswith("\t\t") and not words.startswith(("type ", "flags ", "comment "))
        assert not is_rule or words.endswith('"'), words
    assert all(container.about for container in ruleset.CONTAINERS.values())
    assert all(len(text) <= 128 for text in re.findall(r'comment "(.*?)"', ruleset.static_ruleset("0x1/0x3")))
