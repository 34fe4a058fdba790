"""A client's conversation with servers, by the clock."""

from __future__ import annotations

import math
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any

import pytest

from fairlead.model.outside import StaticRoute
from fairlead.net import lease as leases
from fairlead.net.dhcp import FOREVER, UNSPECIFIED, DhcpError, Kind, Message
from fairlead.net.lease import (
    Bound,
    Client,
    Lease,
    Progress,
    Rebinding,
    Renewing,
    Requesting,
    Selecting,
    lease_of,
    take,
)
from fairlead.net.lease import tick as ticked

NOW = 1_000_000.0
SERVER, OTHER = IPv4Address("192.0.2.1"), IPv4Address("192.0.2.2")
FROM = "02:00:00:00:00:aa"
CLIENT = Client(mac="02:00:00:00:00:05", id=b"\xffid", hostname="web")


def said(kind: Kind, xid: int, **fields: Any) -> Message:
    base: dict[str, Any] = {"mac": CLIENT.mac, "reply": True, "server": SERVER}
    if kind is not Kind.NAK:
        base |= {"address": IPv4Address("192.0.2.50"), "mask": IPv4Address("255.255.255.0"), "lease": 600}
    return Message(kind=kind, xid=xid, **(base | fields))


def selecting(client: Client = CLIENT) -> Selecting:
    state = ticked(client, leases.begin(NOW, 7), NOW).state
    assert isinstance(state, Selecting)
    return state


def requesting() -> Requesting:
    state = take(CLIENT, selecting(), said(Kind.OFFER, 7), NOW, FROM).state
    assert isinstance(state, Requesting)
    return state


def bound(**fields: Any) -> Bound:
    state = take(CLIENT, requesting(), said(Kind.ACK, 7, **fields), NOW, FROM).state
    assert isinstance(state, Bound)
    return state


def test_nothing_is_said_before_its_time() -> None:
    state = selecting()
    assert ticked(CLIENT, state, NOW + 0.5) == Progress(state)
    assert ticked(CLIENT, bound(), NOW + 299) == Progress(bound())


def test_servers_are_looked_for_at_doubling_intervals() -> None:
    state, times, now = leases.begin(NOW, 7), [], NOW
    while now < NOW + 300:
        progress = ticked(replace(CLIENT, wanted=OTHER), state, now)
        assert isinstance(progress.state, Selecting)
        assert progress.send is not None
        assert (progress.send.kind, progress.send.seconds, progress.to) == (Kind.DISCOVER, int(now - NOW), None)
        assert (progress.send.broadcast, progress.send.requested, progress.send.own) == (True, OTHER, UNSPECIFIED)
        assert (progress.send.hostname, progress.send.client, progress.send.mac) == ("web", CLIENT.id, CLIENT.mac)
        times.append(now - NOW)
        state, now = progress.state, leases.deadline(progress.state)
    assert times == [0, 1, 3, 7, 15, 31, 63, 127, 191, 255]


def test_an_offer_is_asked_for_and_its_acknowledgement_is_a_lease() -> None:
    progress = take(CLIENT, selecting(), said(Kind.OFFER, 7), NOW, FROM)
    assert progress.send is not None
    assert (progress.send.kind, progress.send.requested, progress.send.server) == (
        Kind.REQUEST,
        IPv4Address("192.0.2.50"),
        SERVER,
    )
    lease = bound(dns=(OTHER, IPv4Address(0)), domain="lan").lease
    assert lease == Lease(
        address=IPv4Interface("192.0.2.50/24"),
        server=SERVER,
        obtained=NOW,
        seconds=600,
        t1=300,
        t2=525,
        server_mac=FROM,
        dns=(OTHER,),
        domain="lan",
    )


@pytest.mark.parametrize(
    "message",
    [
        said(Kind.OFFER, 8),
        said(Kind.OFFER, 7, mac="02:00:00:00:00:06"),
        said(Kind.OFFER, 7, reply=False),
        said(Kind.OFFER, 7, server=None),
        said(Kind.OFFER, 7, address=UNSPECIFIED),
        said(Kind.OFFER, 7, address=IPv4Address("224.0.0.1")),
        said(Kind.OFFER, 7, address=IPv4Address("127.0.0.1")),
        said(Kind.OFFER, 7, mask=IPv4Address("255.0.255.0")),
        said(Kind.ACK, 7),
        said(Kind.NAK, 7),
        said(Kind.DISCOVER, 7),
    ],
)
def test_what_is_for_others_or_makes_no_sense_changes_nothing(message: Message) -> None:
    assert take(CLIENT, selecting(), message, NOW, FROM) == Progress(selecting())


def test_a_request_is_repeated_and_then_another_server_is_looked_for() -> None:
    state: leases.State = requesting()
    kinds = []
    for _ in range(3):
        progress = ticked(CLIENT, state, leases.deadline(state))
        assert progress.send is not None
        kinds.append(progress.send.kind)
        state = progress.state
    assert kinds == [Kind.REQUEST, Kind.REQUEST, Kind.DISCOVER]
    assert isinstance(state, Selecting)
    assert state.xid == 8


def test_a_refused_request_begins_anew_a_moment_later() -> None:
    progress = take(CLIENT, requesting(), said(Kind.NAK, 7), NOW, FROM)
    assert progress == Progress(Selecting(xid=8, since=NOW, due=NOW + 1))
    other = said(Kind.NAK, 7, server=OTHER)
    assert take(CLIENT, requesting(), other, NOW, FROM) == Progress(requesting())
    nonsense = said(Kind.ACK, 7, address=UNSPECIFIED)
    assert take(CLIENT, requesting(), nonsense, NOW, FROM) == Progress(requesting())


def test_only_the_address_that_is_wanted_is_taken_where_that_is_so() -> None:
    strict = replace(CLIENT, wanted=OTHER, only=True)
    offer = said(Kind.OFFER, 7)
    progress = take(strict, selecting(strict), offer, NOW, FROM)
    assert progress == Progress(replace(selecting(strict), declined=offer))
    wanted = replace(offer, address=OTHER)
    assert isinstance(take(strict, progress.state, wanted, NOW, FROM).state, Requesting)


def test_a_lease_is_renewed_then_rebound_then_lost() -> None:
    state: leases.State = bound()
    story = []
    now = NOW
    while not isinstance(state, Selecting):
        now = leases.deadline(state)
        progress = ticked(CLIENT, state, now)
        assert progress.send is not None
        if progress.send.kind is not Kind.DISCOVER:
            assert progress.send.own == IPv4Address("192.0.2.50")
            assert (progress.send.server, progress.send.requested, progress.send.broadcast) == (None, None, False)
        story.append((now - NOW, type(progress.state), progress.to is not None, progress.lost))
        state = progress.state
    assert story == [
        (300, Renewing, True, ""),
        (412.5, Renewing, True, ""),
        (472.5, Renewing, True, ""),
        (525, Rebinding, False, ""),
        (585, Rebinding, False, ""),
        (600, Selecting, False, "its lease has run out"),
    ]


def renewing() -> Renewing:
    state = ticked(CLIENT, bound(), NOW + 300).state
    assert isinstance(state, Renewing)
    return state


def test_a_renewed_lease_begins_when_it_is_renewed() -> None:
    state = renewing()
    ack = said(Kind.ACK, state.xid, server=None, lease=60, t1=10, t2=20)
    progress = take(CLIENT, state, ack, NOW + 301, FROM)
    assert isinstance(progress.state, Bound)
    lease = progress.state.lease
    assert (lease.server, lease.renew_at, lease.rebind_at, lease.expires_at) == (
        SERVER,
        NOW + 311,
        NOW + 321,
        NOW + 361,
    )


def test_a_lease_that_is_refused_is_lost() -> None:
    state = renewing()
    nak = said(Kind.NAK, state.xid, text="not yours")
    progress = take(CLIENT, state, nak, NOW + 301, FROM)
    assert isinstance(progress.state, Selecting)
    assert progress.lost == "the DHCP server 192.0.2.1 refuses it: not yours"
    assert take(CLIENT, state, replace(nak, text=""), NOW, FROM).lost == "the DHCP server 192.0.2.1 refuses it"
    assert take(CLIENT, bound(), nak, NOW, FROM) == Progress(bound())


@pytest.mark.parametrize(("late", "then"), [(400, Renewing), (550, Rebinding), (700, Selecting)])
def test_what_time_brought_while_nobody_looked(late: int, then: type) -> None:
    assert isinstance(ticked(CLIENT, bound(), NOW + late).state, then)


def test_a_lease_for_ever_is_never_renewed() -> None:
    for seconds in (0, FOREVER):
        assert leases.deadline(bound(lease=seconds)) == math.inf


@pytest.mark.parametrize(
    ("lease", "t1", "t2", "times"),
    [(600, 0, 0, (300, 525)), (600, 700, 650, (300, 525)), (600, 100, 50, (28, 50)), (1, 0, 0, (1, 1))],
)
def test_times_that_make_no_sense_are_the_usual_ones(lease: int, t1: int, t2: int, times: tuple[int, int]) -> None:
    found = bound(lease=lease, t1=t1, t2=t2).lease
    assert (found.t1, found.t2) == times


@pytest.mark.parametrize(("address", "length"), [("10.0.0.5", 8), ("172.16.0.5", 16), ("192.0.2.5", 24)])
def test_a_server_without_a_mask_means_the_address_class(address: str, length: int) -> None:
    ack = said(Kind.ACK, 7, address=IPv4Address(address), mask=None)
    assert lease_of(ack, NOW, SERVER, FROM).address == IPv4Interface(f"{address}/{length}")
    with pytest.raises(DhcpError):
        lease_of(ack, NOW, None, FROM)


def route(prefix: str, via: str | None) -> StaticRoute:
    return StaticRoute(prefix=IPv4Network(prefix), via=None if via is None else IPv4Address(via))


def test_classless_routes_count_instead_of_routers() -> None:
    plain = lease_of(said(Kind.ACK, 7, routers=(UNSPECIFIED, OTHER, SERVER)), NOW, SERVER, FROM)
    assert (plain.gateway, plain.routes) == (OTHER, ())
    given = (route("0.0.0.0/0", "192.0.2.9"), route("192.0.2.0/24", None), route("203.0.113.0/24", "192.0.2.8"))
    both = lease_of(said(Kind.ACK, 7, routers=(OTHER,), routes=given), NOW, SERVER, FROM)
    assert (both.gateway, both.routes) == (IPv4Address("192.0.2.9"), (given[2],))
    none = lease_of(said(Kind.ACK, 7, routers=(OTHER,), routes=given[2:]), NOW, SERVER, FROM)
    assert none.gateway is None


def test_a_gateway_outside_the_subnet_is_reached_on_the_link() -> None:
    alone = said(Kind.ACK, 7, mask=IPv4Address("255.255.255.255"), routers=(SERVER,))
    found = lease_of(alone, NOW, SERVER, FROM)
    assert (found.gateway, found.routes) == (SERVER, (route("192.0.2.1/32", None),))


def test_an_address_is_given_back_to_its_server() -> None:
    message = leases.release(CLIENT, bound().lease, 9)
    assert (message.kind, message.own, message.server, message.client) == (
        Kind.RELEASE,
        IPv4Address("192.0.2.50"),
        SERVER,
        CLIENT.id,
    )
