"""The zone after any walk of changes is the zone built at once from where the walk ended."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from fairlead.dns import message, resolver
from fairlead.dns.resolver import Answer
from fairlead.dns.view import EndpointNames, NamedPort, View
from fairlead.dns.zone import Zone

NETWORKS = ("n1", "n2")
NAMES = ("web", "db", "web.n1name", "n1name", "a.b")
ADDRESSES = ("10.0.0.1", "10.0.0.2", "fd00::1")
KINDS = (message.A, message.AAAA, message.MX, message.PTR, message.SRV)

endpoints = st.builds(
    EndpointNames,
    id=st.sampled_from("abcd"),
    container=st.just("c"),
    names=st.lists(st.sampled_from(NAMES), max_size=3).map(tuple),
    addresses=st.lists(st.sampled_from(ADDRESSES), max_size=2).map(tuple),
    ports=st.sampled_from([(), (NamedPort("http", "tcp", 80),)]),
)
networks = st.sampled_from(NETWORKS)


def picture(zone: Zone, order: tuple[str, ...]) -> dict[tuple[bytes, int], object]:
    """Every question of this small world with its verdict; records of one answer in any order."""
    view = View(networks=order)
    names = [
        message.encode_name(name) for name in (*NAMES, "_http._tcp.web", "db.n1name", "db.n2name", "web.n1name.n1name")
    ]
    names += [message.reverse_name(packed) for packed in (bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2]))]
    found = {}
    for name in names:
        for kind in KINDS:
            verdict = resolver.decide(zone, view, resolver.compile_aliases(view), name, kind)
            found[name, kind] = frozenset(verdict.records) if isinstance(verdict, Answer) else verdict
    return found


class Walk(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.zone = Zone()
        self.model: dict[str, dict[str, EndpointNames]] = {}

    @rule(network=networks, given=st.lists(endpoints, max_size=3))
    def set_network(self, network: str, given: list[EndpointNames]) -> None:
        self.zone.set_network(network, f"{network}name", given)
        self.model[network] = {}
        for endpoint in given:
            self.put(network, endpoint)

    @rule(network=networks)
    def drop_network(self, network: str) -> None:
        self.zone.drop_network(network)
        self.model.pop(network, None)

    @rule(network=networks, endpoint=endpoints)
    def set_endpoint(self, network: str, endpoint: EndpointNames) -> None:
        if network in self.model:
            self.zone.set_endpoint(network, endpoint)
            self.put(network, endpoint)

    @rule(network=networks, endpoint_id=st.sampled_from("abcd"))
    def drop_endpoint(self, network: str, endpoint_id: str) -> None:
        self.zone.drop_endpoint(network, endpoint_id)
        self.model.get(network, {}).pop(endpoint_id, None)

    def put(self, network: str, endpoint: EndpointNames) -> None:
        """An endpoint set again is the youngest: only PTR, which has one answer, tells."""
        self.model[network].pop(endpoint.id, None)
        self.model[network][endpoint.id] = endpoint

    @invariant()
    def is_what_it_would_be_built_at_once(self) -> None:
        fresh = Zone()
        for network, known in self.model.items():
            fresh.set_network(network, f"{network}name", list(known.values()))
        for order in (NETWORKS, NETWORKS[::-1], ("n2",), ()):
            assert picture(self.zone, order) == picture(fresh, order)


TestWalk = Walk.TestCase
TestWalk.settings = settings(max_examples=30, stateful_step_count=10, deadline=None)


@given(st.lists(endpoints, max_size=5))
def test_known_names_never_leave(given: list[EndpointNames]) -> None:
    """Whatever is known here, a question for it is answered here."""
    zone = Zone()
    zone.set_network("n1", "n1name", given)
    kept = {endpoint.id: endpoint for endpoint in given}
    for endpoint in kept.values():
        for name in endpoint.names:
            for kind in (message.A, message.AAAA, message.MX, 65):
                view = View(networks=("n1",))
                verdict = resolver.decide(zone, view, resolver.compile_aliases(view), message.encode_name(name), kind)
                assert verdict not in (resolver.ELSEWHERE, resolver.NX_DOMAIN)
