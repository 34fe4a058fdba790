"""Which answers are of interest, and how they are said to the firewall."""

from __future__ import annotations

import struct

import dns.message
import dns.rrset
import pytest

from fairlead.dns import learning, message
from fairlead.dns.learning import Learner
from fairlead.dns.protocol import lesson_from_json, lessons_to_json
from fairlead.dns.view import Lesson
from fairlead.kernel.netlink import frames
from fairlead.net import policytables


def learner(*lessons: tuple[str, str], network: str = "n") -> Learner:
    made = Learner()
    made.set_lessons(network, [Lesson(*lesson) for lesson in lessons])
    return made


@pytest.mark.parametrize(
    ("name", "stems"),
    [
        ("api.shop.test", ["exact", "below"]),
        ("a.api.shop.test", ["below"]),
        ("shop.test", []),
        ("xshop.test", []),
        ("test", []),
        ("a.shop.test.org", []),
    ],
)
def test_names_below_and_names_alone(name: str, stems: list[str]) -> None:
    made = learner(("api.shop.test", "exact"), ("*.shop.test", "below"))
    assert made.stems(["n"], message.encode_name(name)) == stems
    assert made.stems(["other"], message.encode_name(name)) == []
    made.set_lessons("n", ())
    assert made.stems(["n"], message.encode_name(name)) == []


def test_addresses_behind_aliases() -> None:
    query = dns.message.make_query("www.shop.test", "A")
    answer = dns.message.make_response(query)
    for name, kind, value, ttl in (
        ("www.shop.test.", "CNAME", "edge.cdn.test.", 9),
        ("edge.cdn.test.", "A", "192.0.2.1", 60),
        ("edge.cdn.test.", "A", "192.0.2.2", 60),
    ):
        answer.answer.append(dns.rrset.from_text(name, ttl, "IN", kind, value))
    answer.additional.append(dns.rrset.from_text("other.test.", 60, "IN", "A", "192.0.2.9"))
    found = list(learning._addresses(answer.to_wire()))
    assert found == [(4, bytes([192, 0, 2, 1]), 60), (4, bytes([192, 0, 2, 2]), 60)]
    assert list(learning._addresses(answer.to_wire()[:-20])) == found, "what was read before the end is good"
    assert list(learning._addresses(b"")) == []


def test_it_is_one_transaction_that_is_legal_whatever_is_there() -> None:
    raw = learning._transaction(1, "p_names4", [(bytes([192, 0, 2, 1]), 300.0)])
    found = list(frames.messages(raw))
    assert [each.kind & 0xFF for each in found] == [16, 12, 14, 12, 17]
    parts = frames.attributes(found[3].body, 4)
    assert (frames.string(parts[1]), frames.string(parts[2])) == (policytables.TABLE, "p_names4")
    item = frames.attributes(frames.attributes(parts[3])[1])
    assert bytes(frames.attributes(item[1])[1]) == bytes([192, 0, 2, 1])
    assert struct.unpack(">Q", item[4]) == (300_000,)
    assert 4 not in frames.attributes(frames.attributes(frames.attributes(found[2].body, 4)[3])[1])


def test_both_sides_name_the_same_table_and_mark() -> None:
    from fairlead.dns import relay

    assert {f"{family} {learning.TABLE}" for family in ("inet", "bridge")} == set(policytables.TABLES)
    assert f"{relay.RELAYED:#x}" in policytables.base()


def test_lessons_survive() -> None:
    told = lessons_to_json("n", [Lesson("*.shop.test", "p1_names")])
    assert told["network"] == "n"
    assert [lesson_from_json(each) for each in told["lessons"]] == [Lesson("*.shop.test", "p1_names")]  # type: ignore[attr-defined, arg-type]
    for wrong in ({"pattern": "a..b", "stem": "x"}, {"pattern": "a"}, {"pattern": 1, "stem": "x"}):
        with pytest.raises(message.DnsError):
            lesson_from_json(wrong)  # type: ignore[arg-type]
