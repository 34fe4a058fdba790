from __future__ import annotations

from typing import Any

from fairlead.net import foreign
from fairlead.net.foreign import Chain, Passage

FORWARD = Chain("ip", "filter", "FORWARD")


def chain(family: str, table: str, name: str, **more: str) -> dict[str, Any]:
    return {"chain": {"family": family, "table": table, "name": name, "handle": 1, **more}}


def rule(handle: int, key: str, link: str, **more: Any) -> dict[str, Any]:
    match = {"match": {"op": "==", "left": {"meta": {"key": key}}, "right": link}}
    counter = {"counter": {"packets": 0, "bytes": 0}}
    return {"rule": {"handle": handle, "comment": "fairlead", "expr": [match, counter, {"accept": None}], **more}}


def test_forward_chains_of_others() -> None:
    listing = [
        {"metainfo": {"version": "1.0.6"}},
        chain("ip", "filter", "FORWARD", hook="forward", policy="drop"),
        chain("ip6", "filter", "FORWARD", hook="forward", policy="accept"),
        chain("ip", "filter", "INPUT", hook="input", policy="drop"),
        chain("inet", "mine", "forward", hook="forward", policy="drop"),
        chain("bridge", "b", "forward", hook="forward", policy="drop"),
        chain("ip", "filter", "ufw-user-forward"),
        chain("inet", "fairlead", "forward", hook="forward", policy="drop"),
        chain("inet", "fairlead-user", "forward", hook="forward", policy="drop"),
    ]
    assert foreign.forward_chains(listing) == (
        Chain("inet", "mine", "forward", drops=True),
        Chain("ip", "filter", "FORWARD", drops=True),
        Chain("ip6", "filter", "FORWARD"),
    )
    assert str(FORWARD) == "chain FORWARD of table ip filter"


def test_a_chain_is_closed_by_its_policy_or_its_last_rule() -> None:
    accepts = {"rule": {"handle": 1, "expr": [{"accept": None}]}}
    rejects = {"rule": {"handle": 2, "expr": [{"counter": None}, {"reject": {"type": "icmpx"}}]}}
    some = {"rule": {"handle": 3, "expr": [{"match": {}}, {"drop": None}]}}
    assert foreign.is_closed(FORWARD._replace(drops=True), [])
    assert foreign.is_closed(FORWARD, [{"chain": {}}, accepts, rejects])
    for listing in ([], [rejects, accepts], [accepts, some]):
        assert not foreign.is_closed(FORWARD, listing)


def test_our_rules_are_known_by_their_comment_and_changed_ones_as_such() -> None:
    listing = [
        rule(4, "iifname", "br-1"),
        rule(5, "oifname", "br-1"),
        rule(6, "iifname", "br-2", comment="theirs"),
        rule(7, "iifname", "br-1", expr=[{"drop": None}]),
    ]
    assert foreign.passages(listing) == {4: Passage("iifname", "br-1"), 5: Passage("oifname", "br-1"), 7: None}


def test_the_way_adds_what_is_missing_and_takes_the_rest() -> None:
    have = {4: Passage("iifname", "br-1"), 5: Passage("oifname", "br-9"), 6: Passage("iifname", "br-1"), 7: None}
    assert list(foreign.way(FORWARD, have, {"br-1"})) == [
        "delete rule ip filter FORWARD handle 5",
        "delete rule ip filter FORWARD handle 6",
        "delete rule ip filter FORWARD handle 7",
        'insert rule ip filter FORWARD oifname "br-1" counter accept comment "fairlead"',
    ]
    both = {1: Passage("iifname", "br-1"), 2: Passage("oifname", "br-1")}
    assert not list(foreign.way(FORWARD, both, {"br-1"}))
    assert len(list(foreign.way(FORWARD, both, ()))) == 2
