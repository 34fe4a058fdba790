"""Bodies of the calls that Docker does not have."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from fairlead.errors import InvalidArgument
from fairlead.model.container import PortMap
from fairlead.model.port import ContainerPort, PortRequest, Protocol
from fairlead.wire.extensions import parse_ports, parse_publish
from fairlead.wire.ports import parse_bindings, render_bindings


def test_ports_in_both_forms() -> None:
    assert parse_ports(b'{"Publish": ["127.0.0.1:8080:80", "published=53,target=53,protocol=udp", "81"]}') == (
        PortRequest(container=ContainerPort(port=80), host_ip=ip_address("127.0.0.1"), low=8080, high=8080),
        PortRequest(container=ContainerPort(port=53, protocol=Protocol.UDP), low=53, high=53),
        PortRequest(container=ContainerPort(port=81)),
    )


def test_ranges() -> None:
    assert [request.low for request in parse_publish(["8000-8002:9000-9002/tcp"])] == [8000, 8001, 8002]
    (one,) = parse_publish(["[::1]:8000-8002:80"])
    assert (one.low, one.high, one.host_ip) == (8000, 8002, ip_address("::1"))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "EOF"),
        (b"{}", "no port is named"),
        (b'{"Publish": []}', "no port is named"),
        (b'{"Publish": "80"}', "Publish"),
        (b'{"Publish": [80]}', "Publish"),
        (b'{"Publish": [""]}', 'invalid publish "": no port specified'),
        (b'{"Publish": ["8080:"]}', "no port specified"),
        (b'{"Publish": ["99999:80"]}', "invalid hostPort: 99999"),
        (b'{"Publish": ["8080:80/icmp"]}', "invalid proto: icmp"),
        (b'{"Publish": ["300.1.1.1:8080:80"]}', "invalid IP address: 300.1.1.1"),
        (b'{"Publish": ["8000-8001:80-82"]}', "invalid ranges specified"),
        (b'{"Publish": ["8001-8000:80"]}', "invalid hostPort: 8001-8000"),
        (b'{"Publish": ["8080:0"]}', "invalid port specification"),
        (b'{"Publish": ["published=80"]}', "no port specified"),
    ],
)
def test_what_is_no_port(body: bytes, words: str) -> None:
    with pytest.raises(InvalidArgument, match="^" if words == "EOF" else "invalid") as caught:
        parse_ports(body)
    assert words in str(caught.value)


def test_port_bindings_that_ask_for_the_same() -> None:
    bindings = {
        "80/tcp": (PortMap(host_port="8080"), PortMap(host_ip="::1", host_port="7000-7002")),
        "53/udp": (PortMap(),),
    }
    assert render_bindings(parse_bindings(bindings)) == bindings
