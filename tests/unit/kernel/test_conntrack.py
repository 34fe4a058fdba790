"""Which published UDP ports steps are about, and entries as the kernel tells them."""

from __future__ import annotations

import struct
from ipaddress import ip_address

import pytest

from fairlead.kernel.conntrack import goes_to, udp_ports
from fairlead.kernel.netlink import ct, frames
from fairlead.kernel.netlink.frames import NetlinkError, attribute, nested, u8
from fairlead.model.port import ContainerPort, PortBinding
from fairlead.net.state import Add, Change, Element, Remove


def test_ports_of_steps() -> None:
    steps = [
        Add(Element(container="published4", key="udp . 53", value="10.0.0.2 . 53")),
        Remove(Element(container="published6_at", key="fd00::1 . udp . 54", value="fd00::2 . 53")),
        Add(Element(container="ranges4", key="udp . 60-62", value="10.0.0.2")),
        Add(Element(container="published4", key="tcp . 80", value="10.0.0.2 . 80")),
        Add(Element(container="ports4", key="10.0.0.2 . udp . 99")),
        Add(Element(container="bridges", key='"udp"')),
    ]
    assert udp_ports(steps) == {53, 54, 60, 61, 62}


def test_an_entry_and_its_deletion() -> None:
    addresses = nested(1, attribute(1, bytes([10, 0, 0, 1])), attribute(2, bytes([10, 0, 0, 2])))
    ports = nested(2, u8(1, ct.UDP), attribute(2, b"\x10\x00"), attribute(3, struct.pack(">H", 53)))
    body = struct.pack(">BBH", 2, 0, 0) + nested(1, addresses, ports)
    entry = ct.read_entry(memoryview(body))
    assert entry == ct.Entry(2, ip_address("10.0.0.2"), 53, addresses + ports)
    (request,) = frames.messages(ct.delete_entry(entry))
    assert bytes(request.body) == body


@pytest.mark.parametrize(
    "body", [struct.pack(">BBH", 2, 0, 0), struct.pack(">BBH", 9, 0, 0) + nested(1), b"\2\0\0\0" + nested(1)]
)
def test_what_has_no_port_is_passed_over(body: bytes) -> None:
    assert ct.read_entry(memoryview(body)) is None


def test_a_truncated_entry_is_malformed() -> None:
    with pytest.raises(NetlinkError):
        ct.read_entry(memoryview(b"\2"))


def test_a_port_that_only_moves_into_a_range_is_left_alone() -> None:
    steps = [
        Remove(Element(container="published4", key="udp . 60", value="10.0.0.2 . 60")),
        Add(Element(container="ranges4", key="udp . 60-61", value="10.0.0.2")),
        Change(
            Element(container="published4_at", key="10.0.0.9 . udp . 70", value="10.0.0.2 . 70"),
            Element(container="published4_at", key="10.0.0.9 . udp . 70", value="10.0.0.3 . 70"),
        ),
    ]
    assert udp_ports(steps) == {61, 70}


def test_where_flows_to_a_withdrawn_port_went() -> None:
    port = ContainerPort(port=80)
    wild = PortBinding(container=port, host_ip=ip_address("0.0.0.0"), host_port=8080)
    stale = goes_to([wild], [ip_address("10.0.0.2")], {ip_address("192.0.2.1"), ip_address("fd00::1")})
    assert stale(ip_address("192.0.2.1"), 8080)
    assert stale(ip_address("127.0.0.1"), 8080)
    assert stale(ip_address("10.0.0.2"), 80)
    assert not stale(ip_address("192.0.2.1"), 8081)
    assert not stale(ip_address("192.0.2.2"), 8080)
    assert not stale(ip_address("fd00::1"), 8080)
    at = PortBinding(container=port, host_ip=ip_address("127.0.0.1"), host_port=8080)
    assert not goes_to([at], [], {ip_address("192.0.2.1")})(ip_address("192.0.2.1"), 8080)
