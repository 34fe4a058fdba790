"""Published ports: whatever is published, each port is translated exactly once and to the right place."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_address, ip_interface

from hypothesis import given
from hypothesis import strategies as st

from fairlead.ids import ContainerId, EndpointId, NetworkId
from fairlead.model.endpoint import Endpoint
from fairlead.model.port import ContainerPort, PortBinding, Protocol
from fairlead.net import firewall
from fairlead.net.firewall import Perimeter
from fairlead.net.state import Element

PERIMETER = Perimeter(bridge="br-1", prefixes=(IPv4Network("10.1.0.0/24"), IPv6Network("fd00:1::/64")))
ADDRESSES = [ip_address(text) for text in ("0.0.0.0", "::", "127.0.0.1", "192.0.2.1", "2001:db8::1")]

Place = tuple[str, str, int]
PORTS = st.dictionaries(
    st.tuples(st.sampled_from(ADDRESSES), st.sampled_from(list(Protocol)), st.integers(1, 40)),
    st.integers(1, 40),
    max_size=60,
)


def _translated(element: Element) -> dict[Place, tuple[str, int]]:
    """What a packet to each (address, protocol, port) becomes, read as the kernel would."""
    fields = element.key.split(" . ")
    if not element.container.endswith("_at"):
        fields.insert(0, "0.0.0.0" if "4" in element.container else "::")
    address, protocol, span = fields
    if element.container.startswith("published"):
        target, port = element.value.split(" . ")
        return {(address, protocol, int(span)): (target, int(port))}
    low, high = map(int, span.split("-"))
    return {(address, protocol, port): (element.value, port) for port in range(low, high + 1)}


@given(PORTS)
def test_each_port_is_translated_once_and_rightly(ports: dict[tuple[object, Protocol, int], int]) -> None:
    published = tuple(
        PortBinding(container=ContainerPort(port=inner, protocol=protocol), host_ip=address, host_port=outer)  # type: ignore[arg-type]
        for (address, protocol, outer), inner in ports.items()
    )
    endpoint = Endpoint(
        id=EndpointId("e"),
        network=NetworkId("n"),
        container=ContainerId("c"),
        mac="",
        addresses=(ip_interface("10.1.0.5/24"), ip_interface("fd00:1::5/64")),
        published=published,
    )
    found: dict[Place, tuple[str, int]] = {}
    for element in firewall.published(PERIMETER, endpoint):
        translated = _translated(element)
        assert not found.keys() & translated.keys()
        found |= translated
    assert found == {
        (str(address), str(protocol), outer): ("10.1.0.5" if address.version == 4 else "fd00:1::5", inner)  # type: ignore[attr-defined]
        for (address, protocol, outer), inner in ports.items()
    }
