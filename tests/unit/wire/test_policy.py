"""Rules as typed and as JSON."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.errors import InvalidArgument
from fairlead.model.policy import Action, Count, Peer, PeerKind, Policy, PolicyView, Rule, Service
from fairlead.wire.policy import MOST_RULES, checked, parse_peer, parse_policy, parse_rule, policy_body, policy_entry

ANY = Peer()


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("allow from=any to=any", Rule(Action.ALLOW)),
        ("deny to=name:db", Rule(Action.DENY, destination=Peer(PeerKind.NAME, "db"))),
        ("allow from=network", Rule(Action.ALLOW, Peer(PeerKind.NETWORK))),
        ("allow from=label:tier=web", Rule(Action.ALLOW, Peer(PeerKind.LABEL, "tier=web"))),
        ("allow from=label:tier", Rule(Action.ALLOW, Peer(PeerKind.LABEL, "tier"))),
        ("allow from=label:url=a=b:c", Rule(Action.ALLOW, Peer(PeerKind.LABEL, "url=a=b:c"))),
        ("allow to=cidr:10.0.0.1", Rule(Action.ALLOW, destination=Peer(PeerKind.CIDR, "10.0.0.1/32"))),
        ("allow to=cidr:FD00::/8", Rule(Action.ALLOW, destination=Peer(PeerKind.CIDR, "fd00::/8"))),
        ("allow to=dns:API.Example.org.", Rule(Action.ALLOW, destination=Peer(PeerKind.DNS, "api.example.org"))),
        ("allow to=dns:*.Example.org", Rule(Action.ALLOW, destination=Peer(PeerKind.DNS, "*.example.org"))),
        ("allow port=80", Rule(Action.ALLOW, services=(Service("tcp", 80, 80),))),
        ("allow port=9-10/udp,53/udp,53", Rule(Action.ALLOW, services=(
            Service("tcp", 53, 53), Service("udp", 9, 10), Service("udp", 53, 53)))),
        ("allow proto=udp,icmp", Rule(Action.ALLOW, services=(Service("icmp"), Service("udp")))),
        ("allow port=sctp,80/sctp", Rule(Action.ALLOW, services=(Service("sctp"), Service("sctp", 80, 80)))),
    ],
)  # fmt: skip
def test_rules_as_typed(text: str, rule: Rule) -> None:
    assert parse_rule(text) == rule
    assert parse_rule(rule.text) == rule
    assert parse_rule(rule.text.partition(" ")[2], rule.action) == rule


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "it is empty"),
        ("allow", "nothing is said"),
        ("permit to=any", "'permit' is not allow or deny"),
        ("allow any", "'any' is not from="),
        ("allow src=any", "'src=any' is not from="),
        ("allow from=any from=any", "from= is there twice"),
        ("allow from=web", "from=: 'web' is not any"),
        ("allow from=any:x", "'any:x' is not any"),
        ("allow from=name", "'name' is not any"),
        ("allow from=dns:a.b", "in to= only"),
        ("allow to=name:-a", "cannot be the name"),
        ("allow to=label:=v", "is not KEY"),
        ("allow to=label:", "is not KEY"),
        ("allow to=cidr:10.0.0.1/8", "host bits"),
        ("allow to=cidr:10.0.0.300", "not an address"),
        ("allow to=dns:", "not a name in DNS"),
        ("allow to=dns:*", "not a name in DNS"),
        ("allow to=dns:*x.org", "not a name in DNS"),
        ("allow to=dns:a..b", "not a name in DNS"),
        ("allow to=dns:" + "a" * 64, "not a name in DNS"),
        ("allow to=dns:" + ".".join(["a" * 63] * 4), "not a name in DNS"),
        ("allow to=dns:ä.org", "not a name in DNS"),
        ("allow port=", "'' is not a port"),
        ("allow port=80,", "'' is not a port"),
        ("allow port=http", "'http' is not a port"),
        ("allow port=80/dccp", "'80/dccp' is not a port"),
        ("allow port=80/", "'80/' is not a port"),
        ("allow port=65536", "1 to 65535"),
        ("allow port=0", "1 to 65535"),
        ("allow port=9-8", "the lower one first"),
        ("allow port=٣", "is not a port"),
        ("allow proto=gre", "proto=gre: each is one of"),
        ("allow proto=tcp port=80", "exclude each other"),
        ("allow from=cidr:10.0.0.0/8 to=cidr:fd00::/8", "no packet is both"),
    ],
)
def test_wrong_words_are_named(text: str, words: str) -> None:
    with pytest.raises(InvalidArgument, match="invalid") as caught:
        parse_rule(text)
    assert words in str(caught.value)


def test_what_is_shown_can_be_put_back() -> None:
    policy = checked(
        Action.DENY, [parse_rule("allow from=label:a to=name:db port=80,53/udp"), parse_rule("deny to=any")]
    )
    counts = {policy.rules[0].id: Count(3, 180)}
    shown = policy_entry(PolicyView(policy=policy, counts=counts, default=Count(1, 60)))
    assert parse_policy(json.dumps(shown).encode()) == policy
    assert parse_policy(json.dumps(policy_body(policy)).encode()) == policy
    assert (shown["DefaultPackets"], shown["DefaultBytes"]) == (1, 60)
    assert [(rule["Packets"], rule["Bytes"]) for rule in shown["Rules"]] == [(3, 180), (0, 0)]


def test_a_rule_keeps_its_id_among_others() -> None:
    rule = parse_rule("allow port=80,81")
    assert rule.id == parse_rule("allow   port=81,80/tcp from=any").id != parse_rule("deny port=80,81").id


def test_too_many_and_twice() -> None:
    rules = [parse_rule(f"allow port={number}") for number in range(1, MOST_RULES + 2)]
    assert len(checked(Action.DENY, rules[:-1]).rules) == MOST_RULES
    with pytest.raises(InvalidArgument, match="at most 500"):
        checked(Action.DENY, rules)
    with pytest.raises(InvalidArgument, match="is there twice"):
        checked(Action.DENY, [rules[0], parse_rule("allow port=1/tcp")])


def test_left_out_is_any() -> None:
    assert parse_policy(b'{"Default": "allow", "Rules": [{"Action": "deny"}]}') == Policy(rules=(Rule(Action.DENY),))


@given(st.text(max_size=60))
def test_no_peer_holds_what_nft_could_take_for_its_own(text: str) -> None:
    for kind in ("name", "cidr", "dns"):
        try:
            peer = parse_peer(f"{kind}:{text}", "to=")
        except InvalidArgument:
            continue
        assert not set(peer.value) & set(" \"'{}\n\t;#\\$@")
