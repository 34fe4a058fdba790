from __future__ import annotations

from random import Random

import pytest

from fairlead.errors import InvalidArgument
from fairlead.model.port import ContainerPort, PortBinding, PortRequest, Protocol
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


def asked(container: int, low: int = 0, high: int = 0, host_ip: str = "") -> PortRequest:
    port = ContainerPort(port=container)
    return PortRequest(container=port, host_ip=ip(host_ip) if host_ip else None, low=low, high=high or low)


def bound(container: int, host: int, *addresses: str) -> list[PortBinding]:
    port = ContainerPort(port=container)
    return [PortBinding(container=port, host_ip=ip(text), host_port=host) for text in addresses or ("0.0.0.0", "::")]


@pytest.mark.parametrize(
    ("requests", "bindings", "patterns", "left", "gone"),
    [
        ([asked(80, 8080)], bound(80, 8080), [asked(80, 8080)], [], bound(80, 8080)),
        ([asked(80, 8080)], bound(80, 8080), [asked(80)], [], bound(80, 8080)),
        # one family of two
        (
            [asked(80, 8080)],
            bound(80, 8080),
            [asked(80, 8080, host_ip="::")],
            [asked(80, 8080, host_ip="0.0.0.0")],
            bound(80, 8080, "::"),
        ),
        # an ephemeral one by the number it got, beside one that was asked for
        (
            [asked(80), asked(80, 8080)],
            [*bound(80, 8080), *bound(80, 32768)],
            [asked(80, 32768)],
            [asked(80, 8080)],
            bound(80, 32768),
        ),
        # what a range gave
        (
            [asked(80, 7000, 7002), asked(80, 7001)],
            [*bound(80, 7001), *bound(80, 7000)],
            [asked(80, 7000)],
            [asked(80, 7001)],
            bound(80, 7000),
        ),
        # nothing is published: the container does not run
        ([asked(80, 8080), asked(81, 8081)], [], [asked(80, 8080)], [asked(81, 8081)], []),
        # routed networks have no host port
        ([asked(80, 8080)], bound(80, 0), [asked(80, 8080)], [], bound(80, 0)),
    ],
)
def test_what_is_withdrawn(
    requests: list[PortRequest],
    bindings: list[PortBinding],
    patterns: list[PortRequest],
    left: list[PortRequest],
    gone: list[PortBinding],
) -> None:
    assert ports.withdraw(requests, bindings, patterns) == ports.Withdrawal(tuple(left), tuple(gone), ())


@pytest.mark.parametrize(
    "pattern",
    [asked(81), asked(80, 8081), asked(80, 8080, host_ip="127.0.0.1"), asked(80, 8079, 8081, host_ip="10.0.0.1")],
)
@pytest.mark.parametrize("bindings", [[], bound(80, 8080), bound(80, 0)])
def test_a_pattern_that_names_nothing(pattern: PortRequest, bindings: list[PortBinding]) -> None:
    requests = [asked(80, 8080)]
    found = ports.withdraw(requests, bindings, [pattern])
    assert found == ports.Withdrawal(tuple(requests), (), (pattern,))


def test_ten_thousand_ports_are_withdrawn_at_once() -> None:
    requests = [asked(port, port) for port in range(20_000, 30_000)]
    bindings = [binding for port in range(20_000, 30_000) for binding in bound(port, port)]
    found = ports.withdraw(requests, bindings, requests[:-1])
    assert found.left == (requests[-1],)
    assert len(found.gone) == 2 * 9_999
