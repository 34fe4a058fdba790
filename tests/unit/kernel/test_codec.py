"""The rtnetlink messages: requests as the kernel's headers lay them out, answers as it sends them."""

from __future__ import annotations

import struct
from ipaddress import ip_address, ip_interface, ip_network

import pytest

from fairlead.kernel.netlink import codec, frames, neighbours
from fairlead.kernel.netlink.codec import LinkEdit, RouteEntry, VethEnd
from fairlead.kernel.netlink.frames import NetlinkError, attribute, attributes, nested, string, text, u8, u32


def body_of(request: bytes) -> memoryview:
    (message,) = frames.messages(request)
    return message.body


def flags_of(request: bytes) -> int:
    (message,) = frames.messages(request)
    return message.flags


def test_a_veth_pair_is_one_message_with_the_far_end_in_its_namespace() -> None:
    near = VethEnd(name="veth0000001", master=7, group=5, up=True)
    far = VethEnd(name="eth0", mac="02:00:00:00:00:01", mtu=1400, namespace=9)
    body = body_of(codec.new_veth(near, far))
    assert struct.unpack_from("=BxHiII", body) == (0, 0, 0, codec.UP, codec.UP)
    found = attributes(body, 16)
    assert (string(found[3]), frames.number(found[10]), frames.number(found[27])) == ("veth0000001", 7, 5)
    about = attributes(found[18])
    assert string(about[1]) == "veth"
    peer = attributes(attributes(about[2])[1], 16)
    assert (string(peer[3]), frames.number(peer[4]), frames.number(peer[28])) == ("eth0", 1400, 9)
    assert bytes(peer[1]).hex(":") == "02:00:00:00:00:01"


def test_new_things_must_be_new() -> None:
    for request in (
        codec.new_bridge("br0"),
        codec.new_veth(VethEnd(name="a"), VethEnd(name="b")),
        codec.new_address(1, ip_interface("10.0.0.1/24")),
        codec.new_route(RouteEntry(prefix=ip_network("10.0.0.0/8"), index=1)),
    ):
        assert flags_of(request) & (frames.CREATE | frames.EXCL) == frames.CREATE | frames.EXCL


def test_a_link_is_named_by_number_or_by_name() -> None:
    by_number = body_of(codec.set_link(4, LinkEdit(name="new", up=False)))
    assert struct.unpack_from("=BxHiII", by_number) == (0, 0, 4, 0, codec.UP)
    assert string(attributes(by_number, 16)[3]) == "new"
    by_name = body_of(codec.set_link("eth0", LinkEdit(mtu=9000, master=0, alias="")))
    found = attributes(by_name, 16)
    assert struct.unpack_from("=BxHiII", by_name) == (0, 0, 0, 0, 0)
    assert (string(found[3]), frames.number(found[4]), frames.number(found[10]), len(found[20])) == ("eth0", 9000, 0, 0)
    assert struct.unpack_from("=BxHi", body_of(codec.delete_link(4)))[2] == 4
    assert string(attributes(body_of(codec.delete_link("eth0")), 16)[3]) == "eth0"
    assert frames.number(attributes(body_of(codec.delete_group(3)), 16)[27]) == 3


def test_bridge_port_settings() -> None:
    about = attributes(attributes(body_of(codec.set_port("veth1", hairpin=True, isolated=False)), 16)[18])
    port = attributes(about[5])
    assert (string(about[4]), frames.number(port[4]), frames.number(port[33])) == ("bridge", 1, 0)


def test_a_link_as_the_kernel_tells_it() -> None:
    port = nested(18, text(1, "veth"), text(4, "bridge"), nested(5, u8(1, 3), u8(4, 0), u8(33, 1)))
    raw = struct.pack("=BxHiII", 0, 1, 12, 0x11043, 0) + text(3, "veth1") + u32(4, 1500) + u32(10, 3) + u32(5, 8)
    raw += attribute(1, bytes.fromhex("020000000001")) + text(20, "web/net") + u32(27, 6) + u32(37, 0xFFFFFFFF) + port
    found = codec.read_link(memoryview(raw))
    assert found == codec.LinkInfo(
        index=12,
        name="veth1",
        kind="veth",
        up=True,
        mtu=1500,
        mac="02:00:00:00:00:01",
        master=3,
        alias="web/net",
        group=6,
        peer_index=8,
        peer_nsid=codec.NO_NSID,
        hairpin=False,
        isolated=True,
    )


@pytest.mark.parametrize(("state", "shut"), [(0, True), (2, True), (3, False)])
def test_a_port_passes_nothing_until_it_forwards(state: int, shut: bool) -> None:
    port = nested(18, text(4, "bridge"), nested(5, u8(1, state)))
    raw = struct.pack("=BxHiII", 0, 1, 12, 0x11043, 0) + port
    assert codec.read_link(memoryview(raw)).shut is shut


@pytest.mark.parametrize("text_form", ["10.9.0.2/16", "10.0.0.1/31", "fd00::2/64", "fe80::1/64"])
def test_an_address_reads_back_as_it_was_written(text_form: str) -> None:
    address = ip_interface(text_form)
    assert codec.read_address(body_of(codec.new_address(3, address, 200))) == codec.AddressInfo(3, address, 200)


def test_ipv6_addresses_are_used_at_once_and_ipv4_ones_have_a_broadcast() -> None:
    v6, v4 = (body_of(codec.new_address(3, ip_interface(text))) for text in ("fd00::2/64", "10.9.0.2/16"))
    assert v6[2] == 0x02  # IFA_F_NODAD
    assert bytes(attributes(v4, 8)[4]) == ip_address("10.9.255.255").packed
    assert body_of(codec.new_address(3, ip_interface("fe80::1/64")))[3] == 253  # scope link


def test_on_a_point_to_point_link_the_address_is_the_local_one() -> None:
    raw = (
        struct.pack("=BBBBi", 2, 32, 0, 0, 1) + attribute(1, bytes([10, 0, 0, 2])) + attribute(2, bytes([10, 0, 0, 1]))
    )
    assert str(codec.read_address(memoryview(raw)).address) == "10.0.0.1/32"


@pytest.mark.parametrize(
    ("prefix", "via", "source"),
    [("0.0.0.0/0", "10.9.0.1", None), ("10.8.0.0/16", None, "10.8.0.1"), ("::/0", "fd00::1", None)],
)
def test_a_route_reads_back_as_it_was_written(prefix: str, via: str | None, source: str | None) -> None:
    entry = RouteEntry(
        prefix=ip_network(prefix),
        index=4,
        via=None if via is None else ip_address(via),
        source=None if source is None else ip_address(source),
        metric=10,
        protocol=200,
    )
    found = codec.read_route(body_of(codec.new_route(entry)))
    assert found is not None
    assert (found.prefix, found.index, found.via, found.source) == (entry.prefix, 4, entry.via, entry.source)
    assert (found.metric, found.protocol, found.table, found.unicast) == (10, 200, 254, True)


def test_a_route_of_several_hops_leaves_by_the_first() -> None:
    hop = struct.pack("=HBBi", 8, 0, 0, 21)
    raw = struct.pack("=BBBBBBBBI", 2, 0, 0, 0, 254, 3, 0, 1, 0) + attribute(9, hop + struct.pack("=HBBi", 8, 0, 0, 22))
    found = codec.read_route(memoryview(raw))
    assert found is not None
    assert found.index == 21


def test_routes_of_other_families_are_passed_over() -> None:
    assert codec.read_route(memoryview(struct.pack("=BBBBBBBBI", 28, 20, 0, 0, 254, 3, 0, 1, 0))) is None


def test_neighbours_and_forwarding_entries_read_back() -> None:
    request = neighbours.new_neighbour(5, ip_address("fd00::9"), "02:00:00:00:00:09", protocol=200)
    found = neighbours.read_neighbour(body_of(request))
    assert found == neighbours.NeighbourInfo(5, ip_address("fd00::9"), "02:00:00:00:00:09", 0x80, 200)
    entry = neighbours.new_fdb(6, "02:00:00:00:00:0a", ip_address("192.0.2.1"), own=True)
    assert neighbours.read_neighbour(body_of(entry)).address == ip_address("192.0.2.1")
    assert body_of(entry)[10] == 0x02  # NTF_SELF
    assert body_of(neighbours.delete_fdb(6, "02:00:00:00:00:0a"))[10] == 0x04  # NTF_MASTER


def test_namespace_numbers() -> None:
    assert codec.read_nsid(memoryview(bytes(4) + u32(1, 7))) == 7
    assert codec.read_nsid(memoryview(bytes(4) + u32(1, 0xFFFFFFFF))) == codec.NO_NSID
    assert frames.number(attributes(body_of(codec.get_nsid(11)), 4)[3]) == 11


def test_a_datagram_numbers_its_requests() -> None:
    raw = frames.joined([codec.get_link("lo"), codec.get_link(3), codec.dump_links()], 41)
    assert [message.sequence for message in frames.messages(raw)] == [41, 42, 43]


@pytest.mark.parametrize("read", [codec.read_link, codec.read_address, codec.read_route, neighbours.read_neighbour])
def test_truncated_answers_are_malformed(read: object) -> None:
    with pytest.raises(NetlinkError):
        read(memoryview(b"\2"))  # type: ignore[operator]


@pytest.mark.parametrize(
    "raw",
    [
        struct.pack("=BBBBi", 2, 33, 0, 0, 1) + attribute(2, bytes(4)),
        struct.pack("=BBBBi", 2, 24, 0, 0, 1),
        struct.pack("=BBBBi", 2, 24, 0, 0, 1) + attribute(2, bytes(16)),
    ],
)
def test_addresses_that_cannot_be_are_malformed(raw: bytes) -> None:
    with pytest.raises(NetlinkError):
        codec.read_address(memoryview(raw))


@pytest.mark.parametrize("family", [2, 10])
def test_prefixes_that_cannot_be_are_malformed(family: int) -> None:
    for length, packed in ((200, b""), (8, attribute(1, b"123"))):
        with pytest.raises(NetlinkError):
            codec.read_route(memoryview(struct.pack("=BBBBBBBBI", family, length, 0, 0, 254, 3, 0, 1, 0) + packed))
