"""The tables of policies in the kernel: written, observed, mended, edited, gone."""

from __future__ import annotations

import struct
import time
from dataclasses import replace
from ipaddress import ip_interface

import pytest

from fairlead.dns import learning, message
from fairlead.dns.learning import Learner
from fairlead.dns.view import Lesson
from fairlead.errors import KernelError
from fairlead.kernel.apply import Kernel
from fairlead.kernel.policing import PolicyTables
from fairlead.model.address import Interface
from fairlead.model.network import Network
from fairlead.model.policy import Action
from fairlead.net import policing
from fairlead.net.plan import plan
from fairlead.net.policing import Member
from fairlead.net.state import Add, Element, Policing, State, is_policy
from fairlead.wire.policy import checked, parse_rule
from unit.net import things

RULES = ("allow from=label:tier=web to=name:c2 port=80,90-99,53/udp", "deny to=dns:*.example.org", "allow proto=icmp")


def policed(*rules: str, bridge: str = "br-1", identifier: str = things.ID) -> Network:
    network = replace(things.network("10.1.0.0/16", "fd00:1::/64"), id=identifier, bridge=bridge)
    return replace(network, policy=checked(Action.DENY, [parse_rule(rule) for rule in rules]))


def members(count: int) -> list[Member]:
    def addresses(number: int) -> tuple[Interface, ...]:
        return ip_interface(f"10.1.{number >> 8}.{number & 255}/16"), ip_interface(f"fd00:1::{number:x}/64")

    return [
        Member(things.endpoint(host_ifname=f"veth{n:07x}", addresses=addresses(n)), f"c{n}", {"tier": "web"})
        for n in range(2, count + 2)
    ]


def nothing(network: Network) -> Network:
    return replace(network, policy=None)


def observed(kernel: Kernel) -> State:
    return frozenset(fact for fact in kernel.observe_host() if is_policy(fact))


def made(kernel: Kernel, network: Network, count: int = 2) -> State:
    have, want = policing.edit(nothing(network), network, members(count))
    kernel.apply(plan(have, want))
    return want


def test_what_was_written_is_observed_and_leaves_nothing(kernel: Kernel) -> None:
    before = kernel.nft.listing()
    want = made(kernel, policed(*RULES))
    assert observed(kernel) == want
    kernel.apply(plan(want, frozenset()))
    assert kernel.nft.listing() == before


def test_two_networks_and_one_goes(kernel: Kernel) -> None:
    first, second = policed(*RULES), policed(RULES[0], bridge="br-2", identifier="a" * 64)
    one = made(kernel, first, 0)
    two = made(kernel, second, 0)
    assert observed(kernel) == one | two
    kernel.apply(plan(one, frozenset()))
    assert observed(kernel) == two
    assert policing.name_of(first) not in kernel.nft.listing()


def test_edits_keep_counts_and_learned_names(kernel: Kernel) -> None:
    network = policed(*RULES)
    made(kernel, network)
    (lesson,) = policing.lessons(network)
    kernel.nft.run(f"add element inet fairlead-policy {lesson.stem}4 {{ 192.0.2.1 timeout 1h }}")
    edited = policed("allow from=name:c3", *RULES[1:])
    have, want = policing.edit(network, edited, members(2))
    kernel.apply(plan(have, want))
    assert observed(kernel) >= want
    assert "192.0.2.1" in kernel.nft.listing(f"set inet fairlead-policy {lesson.stem}4")
    assert len(kernel.policies.counts()) == 4


@pytest.mark.parametrize(
    "harm",
    [
        "flush ruleset",
        "delete table bridge fairlead-policy",
        "insert rule bridge fairlead-policy always accept",
        "flush chain inet fairlead-policy p0123456789ab_back",
        "insert rule inet fairlead-policy p0123456789ab accept",
        "flush map bridge fairlead-policy from_port",
        'add element bridge fairlead-policy origin4 { "veth0000002" . 10.1.9.9 }',
    ],
)
def test_a_strangers_change_is_seen_and_mended(kernel: Kernel, harm: str) -> None:
    want = made(kernel, policed(*RULES))
    kernel.nft.run(harm)
    have = observed(kernel)
    assert have != want
    kernel.policies.apply(plan(have, want))
    assert frozenset(kernel.policies.observe()) == want


def test_an_edit_right_after_a_strangers_change(kernel: Kernel) -> None:
    network, edited = policed(*RULES), policed(*RULES, "allow from=name:c3")
    for harm in ("flush ruleset", "flush chain bridge fairlead-policy p0123456789ab_ask"):
        made(kernel, network)
        have, want = policing.edit(network, edited, members(2))
        kernel.nft.run(harm)
        kernel.policies.apply(plan(have, want))
        whole = policing.edit(nothing(edited), edited, members(2))[1]
        kernel.policies.apply(plan(frozenset(kernel.policies.observe()), whole))
        assert frozenset(kernel.policies.observe()) == whole
        kernel.policies.apply(plan(whole, frozenset()))


def test_the_next_daemon_writes_all_anew_and_keeps_the_elements(kernel: Kernel) -> None:
    want = made(kernel, policed(*RULES))
    successor = PolicyTables(kernel.nft, kernel._netfilter)
    have = frozenset(successor.observe())
    assert have - want == {Policing(name="p0123456789ab")}
    successor.apply(plan(have, want))
    assert frozenset(successor.observe()) == want


def test_what_is_so_already_is_success_and_what_cannot_be_is_refused(kernel: Kernel) -> None:
    network = policed(*RULES)
    made(kernel, network)
    newcomer = Member(things.endpoint("10.1.0.9/16", host_ifname="veth00000ff"), "c9", {"tier": "web"})
    facts = frozenset(policing.endpoint_facts(network, newcomer))
    for _ in range(2):
        kernel.apply(plan(frozenset(), facts))
    for _ in range(2):
        kernel.apply(plan(facts, frozenset()))
    stray = Element(table="inet fairlead-policy", container="nosuch", key="10.0.0.1")
    with pytest.raises(KernelError):
        kernel.apply([Add(stray)])


def test_every_rule_there_can_be_is_taken_by_the_kernel(kernel: Kernel) -> None:
    peers = ("any", "network", "name:a", "label:k", "label:k=v", "cidr:10.0.0.0/8", "cidr:fd00::/8")
    ports = ("", " port=80", " port=80,90-99,53/udp,7/sctp", " proto=tcp", " proto=udp,icmp", " port=tcp,9/sctp,icmp")
    rules = [
        f"{action} from={source} to={target}{port}"
        for action in ("allow", "deny")
        for source in peers
        for target in (*peers, "dns:a.example", "dns:*.example")
        for port in ports
        if {source, target} != {"cidr:10.0.0.0/8", "cidr:fd00::/8"}
    ]
    for start in range(0, len(rules), 250):
        want = made(kernel, policed(*rules[start : start + 250]))
        assert observed(kernel) == want
        kernel.apply(plan(want, frozenset()))


def answer(ttl: int) -> bytes:
    name = message.encode_name("a.example.org")
    record = b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, ttl, 4) + bytes([192, 0, 2, 7])
    return b"\0\1\x81\x80\0\1\0\1\0\0\0\0" + name + b"\0\1\0\1" + record


def test_an_address_is_in_the_set_before_the_answer_is_sent(kernel: Kernel) -> None:
    network = policed(*RULES)
    made(kernel, network)
    learner = Learner()
    (lesson,) = policing.lessons(network)
    learner.set_lessons("n", [Lesson(*lesson)])
    stems = learner.stems(["n"], message.encode_name("a.example.org"))
    seen: list[str] = []

    def send(_data: bytes, _peer: tuple[str, int]) -> None:
        seen.extend(kernel.nft.listing(f"set {table} fairlead-policy {lesson.stem}4") for table in ("inet", "bridge"))

    learner.before(send, stems)(answer(60), ("", 0))
    assert all("192.0.2.7 timeout 5m" in each for each in seen)
    assert len(seen) == 2
    kernel.nft.run(f"flush set inet fairlead-policy {lesson.stem}4")
    learner.before(lambda _data, _peer: None, stems)(answer(60), ("", 0))
    assert "192.0.2.7" not in kernel.nft.listing(f"set inet fairlead-policy {lesson.stem}4"), "known to be there"
    learner.set_lessons("n", [Lesson(*lesson)])
    assert "192.0.2.7" in kernel.nft.listing(f"set inet fairlead-policy {lesson.stem}4"), "the tables are new"
    learner.before(lambda _data, _peer: None, stems)(answer(7200), ("", 0))
    assert "192.0.2.7 timeout 2h" in kernel.nft.listing(f"set inet fairlead-policy {lesson.stem}4")


def test_learning_for_sets_that_are_not_there_holds_no_answer_back(machine: object) -> None:
    learner = Learner()
    learner.set_lessons("n", [Lesson("a.example.org", "nosuch")])
    sent: list[bytes] = []
    learner.before(lambda data, _peer: sent.append(data), ["nosuch"])(answer(1), ("", 0))
    assert sent == [answer(1)]
    assert learning.TABLE == "fairlead-policy"


def test_a_change_costs_the_same_however_many_there_are(kernel: Kernel) -> None:
    costs = {count: _cost(kernel, count) for count in (1, 1000)}
    assert costs[1000] < 10 * costs[1] + 0.005, costs


def _cost(kernel: Kernel, count: int) -> float:
    network = policed(*RULES)
    want = made(kernel, network, count)
    newcomer = Member(things.endpoint("10.1.200.9/16", host_ifname="veth0ffffff"), "new", {"tier": "web"})
    facts = frozenset(policing.endpoint_facts(network, newcomer))
    best = 1.0
    for _ in range(5):
        began = time.perf_counter()
        kernel.apply(plan(frozenset(), facts))
        kernel.apply(plan(facts, frozenset()))
        best = min(best, time.perf_counter() - began)
    kernel.apply(plan(want, frozenset()))
    return best
