from __future__ import annotations

import pytest

from fairlead.errors import InvalidArgument
from fairlead.ids import EndpointId
from fairlead.model.endpoint import Endpoint, EndpointSpec
from fairlead.model.network import Network
from fairlead.model.outside import Attachment
from fairlead.net import gateway
from unit.net.things import endpoint, ip, network

FOUR, SIX = "10.1.0.5/24", "fd00:1::5/64"
NET4, NET6 = "10.1.0.0/24", "fd00:1::/64"


def candidate(
    name: str, *, priority: int = 0, six: bool = False, internal: bool = False
) -> tuple[Endpoint, Network, int]:
    subnets, addresses = ((NET4, NET6), (FOUR, SIX)) if six else ((NET4,), (FOUR,))
    return endpoint(*addresses, id=EndpointId(name)), network(*subnets, name=name, internal=internal), priority


def test_the_networks_name_decides_between_equals() -> None:
    assert gateway.choose([candidate("b"), candidate("a")]) == ("a", None)


def test_more_families_come_before_the_name() -> None:
    assert gateway.choose([candidate("a"), candidate("b", six=True)]) == ("b", "b")


def test_priority_comes_first_and_families_are_chosen_separately() -> None:
    assert gateway.choose([candidate("a", priority=1), candidate("b", six=True)]) == ("a", "b")
    assert gateway.choose([candidate("a", priority=-1), candidate("b")]) == ("b", None)


def test_internal_networks_lead_nowhere() -> None:
    assert gateway.choose([candidate("a", internal=True, priority=9), candidate("b")]) == ("b", None)
    assert gateway.choose([candidate("a", internal=True)]) == (None, None)
    assert gateway.choose([]) == (None, None)


def test_interface_names_count_from_the_first_free_number() -> None:
    plain = network()
    assert gateway.interface_name(plain, EndpointSpec(), []) == "eth0"
    assert gateway.interface_name(plain, EndpointSpec(), ["eth0", "eth2"]) == "eth1"
    prefixed = network(options={"com.docker.network.container_iface_prefix": "wan"})
    assert gateway.interface_name(prefixed, EndpointSpec(), ["eth0"]) == "wan0"


def test_an_interface_name_that_was_asked_for() -> None:
    def asked(name: str) -> str:
        return gateway.interface_name(network(), EndpointSpec(options={gateway.IFNAME: name}), ["eth0"])

    assert asked("lan.7") == "lan.7"
    for wrong in ("eth0", "lo", "a/b", "sixteen-letters-", "a b", "."):
        with pytest.raises(InvalidArgument, match=r"com\.docker\.network\.endpoint\.ifname"):
            asked(wrong)


def test_sysctls_of_an_endpoint() -> None:
    text = "net.ipv4.conf.IFNAME.log_martians=1, net.ipv6.conf.ifname.accept_ra=2,"
    assert gateway.endpoint_sysctls(EndpointSpec(options={gateway.SYSCTLS: text})) == {
        "net/ipv4/conf/IFNAME/log_martians": "1",
        "net/ipv6/conf/IFNAME/accept_ra": "2",
    }
    assert gateway.endpoint_sysctls(EndpointSpec()) == {}


@pytest.mark.parametrize(
    "text",
    [
        "net.ipv4.conf.eth0.log_martians=1",
        "net.core.conf.IFNAME.x=1",
        "kernel.ipv4.conf.IFNAME.x=1",
        "net.ipv4.ip_forward=1",
        "net.ipv4.conf.IFNAME.log_martians",
        "net.ipv4.conf.IFNAME./../x=1",
        "net.ipv4./etc.IFNAME.x=1",
    ],
)
def test_sysctls_that_are_not_the_interfaces_own(text: str) -> None:
    with pytest.raises(InvalidArgument, match="invalid endpoint settings"):
        gateway.endpoint_sysctls(EndpointSpec(options={gateway.SYSCTLS: text}))


def test_gateways_that_others_named_stand_for_those_of_the_subnets() -> None:
    named = Attachment(gateways=(ip("10.1.0.254"),))
    at, home = endpoint(FOUR, SIX, outside=named), network(NET4, NET6)
    assert gateway.choose([(at, home, 0)]) == (at.id, None)
    assert list(gateway.next_hops(home, at)) == [ip("10.1.0.254")]
    assert list(gateway.next_hops(home, endpoint(FOUR, SIX))) == [ip("10.1.0.1"), ip("fd00:1::1")]


def test_others_may_say_that_nothing_leads_out() -> None:
    at = endpoint(FOUR, outside=Attachment(gateways=()))
    assert gateway.choose([(at, network(NET4), 0)]) == (None, None)
    assert list(gateway.next_hops(network(NET4), at)) == []
    assert list(gateway.next_hops(network(NET4, internal=True), endpoint(FOUR))) == []


def placed(name: str, *, leads: bool = False, held: bool = False, internal: bool = False) -> tuple[Endpoint, Network]:
    found, net, _ = candidate(name, internal=internal)
    made = endpoint(FOUR, id=found.id, gateway4=leads, gateway6=False, outside=Attachment(holds_ports=held))
    return made, net


def test_ports_are_published_where_the_default_route_is() -> None:
    leading, other = placed("a", leads=True), placed("b")
    assert gateway.publisher([other, leading], 4) == leading[0]
    assert gateway.publisher([other, leading], 6) is None


def test_but_not_where_plugins_do_that() -> None:
    chained, inner, other = placed("a", leads=True, held=True), placed("i", internal=True), placed("b")
    assert gateway.publisher([chained, inner, other], 4) == other[0]
    assert gateway.publisher([chained, inner], 4) is None
