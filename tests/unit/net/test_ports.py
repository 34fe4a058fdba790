from __future__ import annotations

from random import Random

import pytest

from fairlead.errors import InvalidArgument
from fairlead.model.port import ContainerPort, PortRequest, Protocol
from fairlead.net import ports
from unit.net.things import ip

WEB = ContainerPort(port=80)


def tried(
    request: PortRequest, ephemeral: range = range(100, 110), reserved: frozenset[int] = frozenset()
) -> list[int]:
    return list(ports.candidates(request, ephemeral=ephemeral, reserved=reserved, random=Random(7)))


def test_asked_ports_are_tried_in_order() -> None:
    assert tried(PortRequest(container=WEB, low=8080, high=8080)) == [8080]
    assert tried(PortRequest(container=WEB, low=8000, high=8003)) == [8000, 8001, 8002, 8003]


def test_reserved_ports_may_be_asked_for() -> None:
    assert tried(PortRequest(container=WEB, low=8080, high=8080), reserved=frozenset({8080})) == [8080]


def test_ephemeral_ports_are_each_tried_once_from_anywhere_on() -> None:
    order = tried(PortRequest(container=WEB), reserved=frozenset({103}))
    assert sorted(order) == [100, 101, 102, *range(104, 110)]
    again = ports.candidates(PortRequest(container=WEB), ephemeral=range(100, 110), random=Random(8))
    assert list(again) != order


@pytest.mark.parametrize(
    ("wanted", "taken", "clash"),
    [
        (["0.0.0.0"], ["127.0.0.1"], "0.0.0.0"),
        (["127.0.0.1"], ["0.0.0.0"], "127.0.0.1"),
        (["127.0.0.1"], ["127.0.0.1"], "127.0.0.1"),
        (["127.0.0.1"], ["192.0.2.1", "::"], None),
        (["0.0.0.0", "::"], ["::1"], "::"),
        (["0.0.0.0"], ["::"], None),
        (["0.0.0.0"], [], None),
    ],
)
def test_a_wildcard_takes_its_whole_family(wanted: list[str], taken: list[str], clash: str | None) -> None:
    found = ports.conflict([ip(text) for text in wanted], [ip(text) for text in taken])
    assert (None if found is None else str(found)) == clash


def test_exposed_ports() -> None:
    assert list(ports.parse_exposed("80")) == [WEB]
    assert list(ports.parse_exposed("80/TCP")) == [WEB]
    assert [port.port for port in ports.parse_exposed("8000-8002/udp")] == [8000, 8001, 8002]
    assert next(iter(ports.parse_exposed("53/sctp"))).protocol is Protocol.SCTP


@pytest.mark.parametrize("text", ["", "x", "0", "65536", "80/icmp", "90-80", "80-", "-80", "८०", "80/tcp/udp", " 80"])
def test_what_is_no_port(text: str) -> None:
    with pytest.raises(InvalidArgument, match="invalid port specification"):
        ports.parse_exposed(text)
