"""DHCP: whatever the bytes, only DhcpError comes out; whatever comes when, the conversation goes on."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

from hypothesis import given
from hypothesis import strategies as st

from fairlead.model.outside import StaticRoute
from fairlead.net import lease as leases
from fairlead.net.dhcp import DhcpError, Kind, Message, parse, render, unwrap, wrap
from fairlead.net.lease import Bound, Client, Selecting

MAC = "02:00:00:00:00:05"
CLIENT = Client(mac=MAC, id=b"id")
addresses = st.ip_addresses(v=4)
seconds = st.integers(0, 0xFFFFFFFF)
words = st.text(st.characters(codec="ascii", categories=["L", "N", "P"]), max_size=300)
routes = st.builds(
    lambda ip, length, via: StaticRoute(prefix=IPv4Network((ip, length), strict=False), via=via),
    addresses,
    st.integers(0, 32),
    st.none() | addresses.filter(lambda ip: ip != IPv4Address(0)),
)
messages = st.builds(
    Message,
    kind=st.sampled_from(Kind),
    xid=seconds,
    mac=st.binary(min_size=6, max_size=6).map(lambda raw: raw.hex(":")) | st.just(MAC),
    seconds=st.integers(0, 0xFFFF),
    reply=st.booleans(),
    broadcast=st.booleans(),
    own=addresses,
    address=addresses,
    requested=st.none() | addresses,
    server=st.none() | addresses,
    mask=st.none() | addresses | st.just(IPv4Address("255.255.255.0")),
    routers=st.lists(addresses, max_size=70).map(tuple),
    dns=st.lists(addresses, max_size=3).map(tuple),
    domain=words,
    hostname=words,
    client=st.binary(max_size=300),
    lease=seconds,
    t1=seconds,
    t2=seconds,
    routes=st.lists(routes, max_size=40).map(tuple),
    text=words,
    wanted=st.binary(max_size=10),
)


@given(messages)
def test_messages_read_back(message: Message) -> None:
    assert parse(render(message)) == message


# Bytes that begin like a message get further than noise does.
HEAD = render(Message(kind=Kind.ACK, xid=1, mac=MAC, reply=True))[:240]
options = st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=12)), max_size=8).map(
    lambda parts: HEAD + b"".join(bytes([code, len(value)]) + value for code, value in parts)
)


@given(st.binary(max_size=400) | st.binary(max_size=60).map(lambda tail: HEAD + tail) | options)
def test_any_bytes_raise_only_their_own_error(raw: bytes) -> None:
    with contextlib.suppress(DhcpError):
        parse(raw)
    with contextlib.suppress(DhcpError):
        unwrap(raw)


@given(st.binary(max_size=600), addresses, addresses, st.sampled_from([67, 68]))
def test_packets_read_back(payload: bytes, source: IPv4Address, target: IPv4Address, port: int) -> None:
    assert unwrap(wrap(payload, source, target, port=port), port=port) == payload


@given(st.lists(st.tuples(messages, st.floats(0, 1000)), max_size=12), st.booleans())
def test_a_conversation_always_goes_on(story: list[tuple[Message, float]], ours: bool) -> None:
    """Whatever is said: the next deadline is there, no state is left behind by time, a lease is one for a host."""
    now, state = 1e9, leases.begin(1e9, 7)
    current: leases.State = state
    for message, pause in story:
        now += pause
        progress = leases.tick(CLIENT, current, now)
        assert leases.deadline(progress.state) > now
        assert not (progress.lost and not isinstance(progress.state, Selecting))
        current = progress.state
        fitting = leases.take(CLIENT, current, _fitting(message, current) if ours else message, now, "")
        assert leases.deadline(fitting.state) >= now
        current = fitting.state
        if isinstance(current, Bound):
            assert not current.lease.address.ip.is_unspecified
            assert current.lease.t1 <= current.lease.t2 <= current.lease.seconds


def _fitting(message: Message, state: leases.State) -> Message:
    """As an answer to what was asked."""
    xid = 0 if isinstance(state, Bound) else state.xid
    return replace(message, xid=xid, mac=MAC, reply=True)
