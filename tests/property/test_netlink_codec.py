"""The netlink codec: whatever the bytes, only NetlinkError comes out; what is written reads back."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable
from functools import partial
from ipaddress import IPv4Interface, IPv6Interface

from hypothesis import given
from hypothesis import strategies as st

from fairlead.kernel.netlink import codec, ct, frames, neighbours, rules, tables, tc
from fairlead.kernel.netlink.codec import RouteEntry
from fairlead.kernel.netlink.frames import NetlinkError

TABLE_READERS = (tables.read_chain, tables.read_rule, tables.read_set, tables.read_counter)
READERS: tuple[Callable[[memoryview], object], ...] = (
    codec.read_link,
    codec.read_address,
    codec.read_route,
    neighbours.read_neighbour,
    rules.read_rule,
    codec.read_nsid,
    tc.read_qdisc,
    tc.read_redirect,
    ct.read_entry,
    *(partial(read, table=f"{family} fairlead-policy") for read in TABLE_READERS for family in ("inet", "bridge")),
)
interfaces = st.builds(lambda ip, length: IPv4Interface((ip, length)), st.ip_addresses(v=4), st.integers(0, 32)) | (
    st.builds(lambda ip, length: IPv6Interface((ip, length)), st.ip_addresses(v=6), st.integers(0, 128))
)
# Bytes that look like attributes get further than noise does.
attribute = st.builds(frames.attribute, st.integers(0, 60), st.binary(max_size=20))
nested = st.builds(lambda kind, parts: frames.nested(kind, *parts), st.integers(0, 40), st.lists(attribute, max_size=4))
bodies = st.builds(
    lambda head, parts: head + b"".join(parts), st.binary(min_size=8, max_size=16), st.lists(attribute | nested)
)

ours = st.sampled_from([0x0F1C0000, 0x0F1D0000, 0x0F1E0000, 0xFFFF0000])
shaped = st.builds(
    lambda handle, kind, parts: (
        struct.pack("=BxxxiIII", 0, 1, handle, 0, 0x0F1E << 16) + frames.text(1, kind) + frames.nested(2, *parts)
    ),
    ours,
    st.sampled_from(["tbf", "netem", "u32"]),
    st.lists(attribute | nested, max_size=4),
)
of_policies = st.builds(
    lambda family, parts: struct.pack(">BBH", family, 0, 0) + frames.text(1, "fairlead-policy") + b"".join(parts),
    st.sampled_from([1, 7]),
    st.lists(attribute | nested, max_size=6),
)


@given(st.binary() | bodies | shaped | of_policies, st.sampled_from(READERS))
def test_readers_raise_only_their_own_error(raw: bytes, read: Callable[[memoryview], object]) -> None:
    with contextlib.suppress(NetlinkError):
        read(memoryview(raw))


@given(st.binary())
def test_datagrams_raise_only_their_own_error(raw: bytes) -> None:
    with contextlib.suppress(NetlinkError):
        for message in frames.messages(raw):
            frames.refusal(message)


@given(st.lists(st.tuples(st.integers(0, 0xFFFF), st.binary(max_size=40)), max_size=8), st.integers(1, 1 << 31))
def test_datagrams_read_back(parts: list[tuple[int, bytes]], first: int) -> None:
    raw = frames.joined([frames.message(kind, 0, body) for kind, body in parts], first)
    found = list(frames.messages(raw))
    assert [(message.kind, bytes(message.body)) for message in found] == parts
    assert [message.sequence for message in found] == [first + place for place in range(len(parts))]


@given(interfaces, st.integers(1, 1 << 30), st.integers(0, 255))
def test_addresses_read_back(address: IPv4Interface | IPv6Interface, index: int, protocol: int) -> None:
    (message,) = frames.messages(codec.new_address(index, address, protocol))
    assert codec.read_address(message.body) == codec.AddressInfo(index, address, protocol)


@given(interfaces, st.integers(1, 1 << 30), st.integers(0, 1 << 30))
def test_routes_read_back(interface: IPv4Interface | IPv6Interface, index: int, metric: int) -> None:
    entry = RouteEntry(prefix=interface.network, index=index, via=interface.ip, metric=metric, protocol=200)
    (message,) = frames.messages(codec.new_route(entry))
    found = codec.read_route(message.body)
    assert found is not None
    assert (found.prefix, found.index, found.via, found.metric) == (entry.prefix, index, entry.via, metric)


@given(
    st.builds(
        rules.RuleEntry,
        version=st.just(4),
        priority=st.integers(1, 1 << 31),
        source=st.none() | interfaces.filter(lambda found: found.version == 4).map(lambda found: found.network),
        iif=st.sampled_from(["", "eth0"]),
        mark=st.integers(0, 1 << 31),
        table=st.integers(1, 1 << 31),
        protocol=st.integers(0, 255),
    )
)
def test_rules_read_back(rule: rules.RuleEntry) -> None:
    (message,) = frames.messages(rules.new_rule(rule))
    assert rules.read_rule(message.body) == rule
