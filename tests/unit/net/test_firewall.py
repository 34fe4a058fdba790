from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest

from fairlead.model.port import ContainerPort, Protocol
from fairlead.net import firewall
from fairlead.net.firewall import GatewayMode, Perimeter
from fairlead.net.state import Element
from unit.net.things import binding, endpoint, ip

NAT = (GatewayMode.NAT, GatewayMode.NAT)


def perimeter(*prefixes: str, **fields: Any) -> Perimeter:
    return Perimeter(bridge="br-1", prefixes=tuple(ip_network(text) for text in prefixes or ("10.1.0.0/24",)), **fields)


def shown(elements: Any) -> set[str]:
    return {f"{e.container} {e.key}" + (f" : {e.value}" if e.value else "") for e in elements}


def test_a_plain_network() -> None:
    assert shown(firewall.network_elements(perimeter("10.1.0.0/24", "fd00:1::/64"))) == {
        'bridges "br-1"',
        'same_bridge "br-1" . "br-1"',
        "masquerade4 10.1.0.0/24",
        "masquerade6 fd00:1::/64",
    }


def test_a_network_without_icc() -> None:
    assert 'no_icc "br-1"' in shown(firewall.network_elements(perimeter(icc=False)))


def test_an_internal_network_lets_nothing_out_whatever_else_was_asked() -> None:
    internal = perimeter(internal=True, trusted=("eth9",), modes=(GatewayMode.UNPROTECTED, GatewayMode.NAT))
    assert shown(firewall.network_elements(internal)) == {
        'bridges "br-1"',
        'same_bridge "br-1" . "br-1"',
        'internal "br-1"',
    }
    published = endpoint(published=(binding("0.0.0.0", 8080, 80),))
    assert list(firewall.endpoint_elements(internal, published)) == []


def test_without_masquerade_and_with_a_source_of_its_own() -> None:
    assert not any("masquerade" in text for text in shown(firewall.network_elements(perimeter(masquerade=False))))
    snat = shown(firewall.network_elements(perimeter("10.1.0.0/24", "fd00:1::/64", snat=(ip("192.0.2.9"),))))
    assert "snat4 10.1.0.0/24 : 192.0.2.9" in snat
    assert "masquerade6 fd00:1::/64" in snat
    assert "masquerade4 10.1.0.0/24" not in snat


@pytest.mark.parametrize(
    ("modes", "wanted"),
    [
        ((GatewayMode.ROUTED, GatewayMode.NAT), {'routed ipv4 . "br-1"'}),
        ((GatewayMode.NAT, GatewayMode.UNPROTECTED), {'open ipv6 . "br-1"'}),
        ((GatewayMode.UNPROTECTED, GatewayMode.ROUTED), {'open ipv4 . "br-1"', 'routed ipv6 . "br-1"'}),
        (NAT, set()),
    ],
)
def test_gateway_modes_are_per_family(modes: tuple[GatewayMode, GatewayMode], wanted: set[str]) -> None:
    elements = shown(firewall.network_elements(perimeter("10.1.0.0/24", "fd00:1::/64", modes=modes)))
    assert {text for text in elements if text.startswith(("open", "routed"))} == wanted


def test_a_routed_family_is_not_masqueraded() -> None:
    elements = shown(firewall.network_elements(perimeter(modes=(GatewayMode.ROUTED, GatewayMode.NAT))))
    assert not any("masquerade" in text for text in elements)


def test_trusted_interfaces() -> None:
    elements = shown(firewall.network_elements(perimeter(trusted=("wg0", "eth1"))))
    assert {'trusted "wg0" . "br-1"', 'trusted "eth1" . "br-1"'} <= elements


def published(*bindings: Any, addresses: tuple[str, ...] = ("10.1.0.5/24", "fd00:1::5/64"), **fields: Any) -> set[str]:
    return shown(firewall.published(perimeter(**fields), endpoint(*addresses, published=bindings)))


def test_wildcards_and_addresses_in_both_families() -> None:
    assert published(
        binding("0.0.0.0", 8080, 80),
        binding("::", 8080, 80),
        binding("127.0.0.1", 8081, 81, Protocol.UDP),
        binding("2001:db8::1", 8082, 82, Protocol.SCTP),
    ) == {
        "published4 tcp . 8080 : 10.1.0.5 . 80",
        "published6 tcp . 8080 : fd00:1::5 . 80",
        "published4_at 127.0.0.1 . udp . 8081 : 10.1.0.5 . 81",
        "published6_at 2001:db8::1 . sctp . 8082 : fd00:1::5 . 82",
    }


def test_ranges_that_keep_their_numbers_are_one_element() -> None:
    bindings = [
        binding(address, port, port) for port in range(8000, 9000) for address in ("0.0.0.0", "::", "192.0.2.1")
    ]
    assert published(*reversed(bindings)) == {
        "ranges4 tcp . 8000-8999 : 10.1.0.5",
        "ranges6 tcp . 8000-8999 : fd00:1::5",
        "ranges4_at 192.0.2.1 . tcp . 8000-8999 : 10.1.0.5",
    }


def test_a_gap_another_protocol_or_another_number_ends_a_range() -> None:
    assert published(
        *(binding("0.0.0.0", port, port) for port in (80, 81, 83, 84)),
        binding("0.0.0.0", 85, 86),
        binding("0.0.0.0", 86, 87),
        binding("0.0.0.0", 87, 87),
        binding("0.0.0.0", 82, 82, Protocol.UDP),
    ) == {
        "ranges4 tcp . 80-81 : 10.1.0.5",
        "ranges4 tcp . 83-84 : 10.1.0.5",
        "published4 tcp . 85 : 10.1.0.5 . 86",
        "published4 tcp . 86 : 10.1.0.5 . 87",
        "published4 tcp . 87 : 10.1.0.5 . 87",
        "published4 udp . 82 : 10.1.0.5 . 82",
    }


def test_a_container_port_published_twice() -> None:
    assert len(published(binding("0.0.0.0", 80, 80), binding("0.0.0.0", 81, 80))) == 2


def test_what_cannot_be_translated_is_not() -> None:
    assert published(binding("::1", 8080, 80)) == set()
    assert published(binding("::", 8080, 80), addresses=("10.1.0.5/24",)) == set()
    assert published(binding("0.0.0.0", 8080, 80), modes=(GatewayMode.ROUTED, GatewayMode.NAT)) == set()


def test_a_published_endpoint_may_speak_to_itself_through_the_host() -> None:
    both = endpoint("10.1.0.5/24", "fd00:1::5/64", published=(binding("0.0.0.0", 8080, 80),))
    elements = shown(firewall.endpoint_elements(perimeter(), both))
    assert {"hairpin4 10.1.0.5 . 10.1.0.5", "hairpin6 fd00:1::5 . fd00:1::5"} <= elements
    assert list(firewall.endpoint_elements(perimeter(), endpoint())) == []


def test_ports_reachable_directly_are_the_containers_own() -> None:
    bindings = [binding("0.0.0.0", 9000 + port, port) for port in (80, 81, 82, 443)]
    routed = perimeter(modes=(GatewayMode.ROUTED, GatewayMode.NAT))
    elements = shown(firewall.endpoint_elements(routed, endpoint(published=tuple(bindings))))
    assert elements == {"ports4 10.1.0.5 . tcp . 80-82", "ports4 10.1.0.5 . tcp . 443", "hairpin4 10.1.0.5 . 10.1.0.5"}
    trusting = firewall.endpoint_elements(perimeter(trusted=("wg0",)), endpoint(published=tuple(bindings)))
    assert {"ports4 10.1.0.5 . tcp . 443", "published4 tcp . 9443 : 10.1.0.5 . 443"} <= shown(trusting)


def test_relays_serve_what_translation_does_not() -> None:
    def relayed(text: str, *addresses: str) -> list[str]:
        own = endpoint(*addresses, published=(binding(text, 8080, 80),))
        return [str(relay.target) for relay in firewall.relays(own)]

    assert relayed("0.0.0.0", "10.1.0.5/24") == []
    assert relayed("::", "10.1.0.5/24") == ["10.1.0.5"]
    assert relayed("::", "10.1.0.5/24", "fd00:1::5/64") == ["fd00:1::5"]
    assert relayed("::1", "10.1.0.5/24", "fd00:1::5/64") == ["fd00:1::5"]
    assert relayed("2001:db8::1", "10.1.0.5/24") == ["10.1.0.5"]
    assert relayed("2001:db8::1", "10.1.0.5/24", "fd00:1::5/64") == []
    assert relayed("0.0.0.0", "fd00:1::5/64") == ["fd00:1::5"]


def test_elements_are_the_same_every_time() -> None:
    one = endpoint(published=tuple(binding("0.0.0.0", port, port) for port in (1, 2, 3)))
    other = endpoint(published=tuple(binding("0.0.0.0", port, port) for port in (3, 1, 2)))
    wanted = [Element(container="ranges4", key="tcp . 1-3", value="10.1.0.5")]
    assert list(firewall.published(perimeter(), one)) == list(firewall.published(perimeter(), other)) == wanted


def test_judged_ports_are_named_beside_their_translation_but_not_on_loopback() -> None:
    ports = (
        binding("0.0.0.0", 8080, 80),
        binding("::", 8080, 80),
        binding("127.0.0.1", 8081, 81),
        *(binding("192.0.2.1", port, port, Protocol.UDP) for port in range(9000, 9004)),
    )
    home = endpoint("10.1.0.5/24", "fd00:1::5/64", published=ports)
    found = shown(firewall.endpoint_elements(perimeter("10.1.0.0/24", "fd00:1::/64", judged=True), home))
    assert {text for text in found if text.startswith("judged")} == {
        "judged4 tcp . 8080",
        "judged6 tcp . 8080",
        "judged4_at 192.0.2.1 . udp . 9000-9003",
    }
    openly = shown(firewall.endpoint_elements(perimeter("10.1.0.0/24", "fd00:1::/64"), home))
    assert found - openly == {text for text in found if text.startswith("judged")}


def test_a_link_is_an_element_for_each_exposed_port() -> None:
    parent, child = endpoint("10.1.0.5/24", "fd00:1::5/64"), endpoint("10.1.0.6/24")
    exposed = [ContainerPort(port=80), ContainerPort(port=53, protocol=Protocol.UDP)]
    assert shown(firewall.link_elements(parent, child, exposed)) == {
        "links4 10.1.0.5 . 10.1.0.6 . tcp . 80",
        "links4 10.1.0.5 . 10.1.0.6 . udp . 53",
    }
    assert shown(firewall.link_elements(endpoint("fd00:1::5/64"), child, exposed)) == set()


def test_a_routed_network_lets_in_ports_that_another_publishes() -> None:
    modes = (GatewayMode.ROUTED, GatewayMode.NAT)
    both = endpoint("10.1.0.5/24", "fd00:1::5/64")
    ports = [ContainerPort(port=80), ContainerPort(port=81), ContainerPort(port=80)]
    assert shown(firewall.opened_elements(perimeter(modes=modes), both, ports)) == {"ports4 10.1.0.5 . tcp . 80-81"}
    assert shown(firewall.opened_elements(perimeter(), both, ports)) == set()
    assert shown(firewall.opened_elements(perimeter(modes=modes, internal=True), both, ports)) == set()
