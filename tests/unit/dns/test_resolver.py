"""Docker's rules for names, decided without a socket."""

from __future__ import annotations

import random

import dns.message
import pytest

from fairlead.dns import message, resolver
from fairlead.dns.message import AAAA, ANY, MX, PTR, SRV, TXT, A, DnsError
from fairlead.dns.resolver import ELSEWHERE, NO_DATA, NX_DOMAIN, Answer, Verdict
from fairlead.dns.view import EndpointNames, NamedPort, View
from fairlead.dns.zone import Zone

WEB = EndpointNames(
    "e1", "c1", ("web", "www", "0123456789ab"), ("10.0.0.2", "fd00::2"), (NamedPort("http", "tcp", 80),)
)
DB = EndpointNames("e2", "c2", ("db", "store"), ("10.0.0.3",))
FAR_WEB = EndpointNames("e3", "c3", ("web", "a.b"), ("10.1.0.2",))
HIDDEN = EndpointNames("e4", "c4", ("secret",), ("10.2.0.2",))


@pytest.fixture
def zone() -> Zone:
    zone = Zone()
    zone.set_network("n1", "mynet", [WEB, DB])
    zone.set_network("n2", "far.net", [FAR_WEB])
    zone.set_network("n3", "other", [HIDDEN])
    return zone


VIEW = View(networks=("n1", "n2"))


def decide(zone: Zone, name: str, kind: int = A, view: View = VIEW) -> Verdict:
    return resolver.decide(zone, view, resolver.compile_aliases(view), message.encode_name(name), kind)


def texts(verdict: Verdict, name: str = "q", kind: str = "A") -> list[str]:
    """Types and contents of an answer's records, as dnspython reads them."""
    assert isinstance(verdict, Answer)
    query = message.parse(dns.message.make_query(name, kind).to_wire())
    packet = message.render(query, 0, verdict.records, verdict.additional)
    read = dns.message.from_wire(packet)
    return [record.to_text() for section in (read.answer, read.additional) for rrset in section for record in rrset]


def test_bare_names_aliases_and_short_id(zone: Zone) -> None:
    for name in ("web", "www", "0123456789ab"):
        assert texts(decide(zone, name)) == ["10.0.0.2"]
        assert texts(decide(zone, name, AAAA), kind="AAAA") == ["fd00::2"]


def test_name_in_network(zone: Zone) -> None:
    assert texts(decide(zone, "web.mynet")) == ["10.0.0.2"]
    assert texts(decide(zone, "web.far.net")) == ["10.1.0.2"]
    assert texts(decide(zone, "a.b.far.net")) == ["10.1.0.2"]
    assert decide(zone, "db.far.net") is ELSEWHERE


def test_gateway_network_answers_first(zone: Zone) -> None:
    assert texts(decide(zone, "web", view=View(networks=("n2", "n1")))) == ["10.1.0.2"]


def test_other_family_is_looked_for_in_the_next_network(zone: Zone) -> None:
    assert texts(decide(zone, "web", AAAA, View(networks=("n2", "n1"))), kind="AAAA") == ["fd00::2"]


def test_networks_not_joined_are_not_seen(zone: Zone) -> None:
    for name in ("secret", "secret.other"):
        assert decide(zone, name) is ELSEWHERE
    assert decide(zone, "2.0.2.10.in-addr.arpa", PTR) is ELSEWHERE
    assert decide(zone, "web", view=View()) is ELSEWHERE


@pytest.mark.parametrize("kind", [AAAA, MX, TXT, 65])
def test_known_name_without_such_records_is_nodata(zone: Zone, kind: int) -> None:
    assert decide(zone, "db", kind) is NO_DATA
    assert decide(zone, "store.mynet", kind) is NO_DATA


def test_any(zone: Zone) -> None:
    assert sorted(texts(decide(zone, "web", ANY))) == ["10.0.0.2", "fd00::2"]


def test_pointers_in_both_families(zone: Zone) -> None:
    four = message.reverse_name(bytes([10, 0, 0, 2]))
    six = message.reverse_name(bytes.fromhex("fd00" + "0" * 27 + "2"))
    for name in (four, six):
        verdict = resolver.decide(zone, VIEW, resolver.compile_aliases(VIEW), name, PTR)
        assert texts(verdict, kind="PTR") == ["web.mynet."]
    assert decide(zone, "9.9.9.9.in-addr.arpa", PTR) is ELSEWHERE


def test_several_bearers_of_a_name_answer_together(zone: Zone) -> None:
    zone.set_endpoint("n1", EndpointNames("e9", "c9", ("web2", "www"), ("10.0.0.9",)))
    assert texts(decide(zone, "www")) == ["10.0.0.2", "10.0.0.9"]
    zone.drop_endpoint("n1", "e1")
    assert texts(decide(zone, "www")) == ["10.0.0.9"]


def test_rename_leaves_nothing(zone: Zone) -> None:
    zone.set_endpoint("n1", WEB._replace(names=("shop",), addresses=("10.0.0.7",)))
    assert texts(decide(zone, "shop")) == ["10.0.0.7"]
    assert texts(decide(zone, "web")) == ["10.1.0.2"]
    assert decide(zone, "www") is ELSEWHERE
    assert decide(zone, "2.0.0.10.in-addr.arpa", PTR) is ELSEWHERE


def test_link_aliases_come_first(zone: Zone) -> None:
    view = VIEW._replace(aliases={"web": ("10.9.9.9",), "x" * 64: ("10.9.9.8",)})
    assert texts(decide(zone, "web", view=view)) == ["10.9.9.9"]
    assert decide(zone, "web", AAAA, view) is NO_DATA


def test_link_alias_needs_an_address() -> None:
    with pytest.raises(DnsError):
        resolver.compile_aliases(View(aliases={"db": ("nonsense",)}))


def test_service(zone: Zone) -> None:
    found = texts(decide(zone, "_http._tcp.web", SRV), kind="SRV")
    assert found == ["0 0 80 web.mynet.", "10.0.0.2", "fd00::2"]
    assert texts(decide(zone, "_http._tcp.web.mynet", SRV), kind="SRV") == found


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("_ftp._tcp.web", NX_DOMAIN),
        ("_http._udp.web", NX_DOMAIN),
        ("_http._tcp.nobody", ELSEWHERE),
        ("_http._tcp", ELSEWHERE),
        ("_http.web", ELSEWHERE),
        ("http._tcp.web", ELSEWHERE),
        ("_http", ELSEWHERE),
    ],
)
def test_services_that_are_not_there(zone: Zone, name: str, verdict: Verdict) -> None:
    assert decide(zone, name, SRV) is verdict


def test_root_goes_elsewhere(zone: Zone) -> None:
    for kind in (A, message.NS, SRV, PTR):
        assert resolver.decide(zone, VIEW, resolver.compile_aliases(VIEW), b"\0", kind) is ELSEWHERE


def test_single_labels_stay_when_ndots_is_the_users(zone: Zone) -> None:
    view = VIEW._replace(ndots_set=True)
    assert decide(zone, "nobody", view=view) is NX_DOMAIN
    assert decide(zone, "nobody", AAAA, view) is NX_DOMAIN
    assert decide(zone, "nobody", MX, view) is ELSEWHERE
    assert decide(zone, "nobody.example", view=view) is ELSEWHERE
    assert texts(decide(zone, "db", view=view)) == ["10.0.0.3"]
    assert decide(zone, "nobody") is ELSEWHERE


def test_names_too_long_for_dns_are_left_out(zone: Zone) -> None:
    long = EndpointNames("e5", "c5abc", ("x" * 70, "fit"), ("10.0.0.5",))
    zone.set_endpoint("n1", long)
    assert texts(decide(zone, "fit")) == ["10.0.0.5"]
    assert texts(decide(zone, "5.0.0.10.in-addr.arpa", PTR), kind="PTR") == ["fit.mynet."]
    zone.set_endpoint("n1", long._replace(names=("x" * 70,)))
    assert texts(decide(zone, "5.0.0.10.in-addr.arpa", PTR), kind="PTR") == ["c5abc."]


def test_zone_refuses_and_stays(zone: Zone) -> None:
    with pytest.raises(DnsError):
        zone.set_endpoint("n1", WEB._replace(addresses=("10.0.0.300",)))
    with pytest.raises(DnsError):
        zone.set_endpoint("n9", WEB)
    with pytest.raises(DnsError):
        zone.set_network("n1", "mynet", [WEB._replace(addresses=("",))])
    assert texts(decide(zone, "web")) == ["10.0.0.2"]
    zone.drop_endpoint("n9", "e1")
    zone.drop_endpoint("n1", "e77")
    zone.drop_network("n9")


def test_network_goes_with_its_names(zone: Zone) -> None:
    zone.drop_network("n1")
    assert decide(zone, "db") is ELSEWHERE
    assert [known[0] for known in zone.known()] == ["n2", "n3"]
    assert len(zone) == 2


def answers(verdict: Verdict, kind: str = "A", **edns: object) -> list[dns.message.Message]:
    assert not isinstance(verdict, resolver.Elsewhere)
    query = message.parse(dns.message.make_query("web", kind, **edns).to_wire())
    orders = resolver.respond(query, verdict, query.edns or 512, random.Random(1).shuffle)
    return [dns.message.from_wire(order) for order in orders]


def test_each_address_has_its_turn_in_front(zone: Zone) -> None:
    for number in range(20, 25):
        zone.set_endpoint("n1", EndpointNames(f"r{number}", f"r{number}", ("web",), (f"10.0.0.{number}",)))
    found = answers(decide(zone, "web"))
    first = {order.answer[0][0].to_text() for order in found}
    assert first == {"10.0.0.2", *(f"10.0.0.{number}" for number in range(20, 25))}
    assert all(len(order.answer[0]) == 6 for order in found)


def test_rcodes(zone: Zone) -> None:
    assert [order.rcode() for order in answers(NO_DATA)] == [0]
    assert [order.rcode() for order in answers(NX_DOMAIN)] == [3]
    assert [order.rcode() for order in answers(decide(zone, "web"), use_edns=1)] == [16]


def test_ttl_is_short(zone: Zone) -> None:
    (order,) = answers(decide(zone, "web"))
    assert 0 < order.answer[0].ttl <= 5
