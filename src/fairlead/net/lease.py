"""A DHCP client's conversation with servers, pure: the clock is an argument, what is to be sent is the result.

A state is a value. ``tick`` is what time does to it, ``take`` what a message does; ``deadline`` says when to tick next.
Where RFC 2131 leaves a client its choice: retransmissions double from one second on, an address that was asked for
comes first, and nothing is remembered of a server that does not answer.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import NamedTuple

from fairlead.model.outside import StaticRoute
from fairlead.net.dhcp import FOREVER, UNSPECIFIED, WANTED, DhcpError, Kind, Message

_LONGEST_PAUSE = 64.0
_REQUESTS = 3  # for one offer, before looking for another
_RENEWAL_PAUSE = 60.0  # RFC 2131, 4.4.5: no more often, whatever is left of the lease
_AFTER_REFUSAL = 1.0
_SHORTEST_LEASE = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """An address that is ours from ``obtained`` (seconds since the epoch) for ``seconds``; times are as the server set.

    ``server_mac`` is where its answers came from: the server, or the relay before it.
    """

    address: IPv4Interface
    server: IPv4Address
    obtained: float
    seconds: int
    t1: int
    t2: int
    server_mac: str = ""
    gateway: IPv4Address | None = None
    routes: tuple[StaticRoute, ...] = ()
    dns: tuple[IPv4Address, ...] = ()
    domain: str = ""

    def _at(self, seconds: int) -> float:
        return math.inf if self.seconds == FOREVER else self.obtained + seconds

    @property
    def renew_at(self) -> float:
        return self._at(self.t1)

    @property
    def rebind_at(self) -> float:
        return self._at(self.t2)

    @property
    def expires_at(self) -> float:
        return self._at(self.seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """Who asks. With ``only`` no other address than ``wanted`` is taken."""

    mac: str
    id: bytes
    hostname: str = ""
    wanted: IPv4Address | None = None
    only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Selecting:
    """Looking for a server. ``declined`` is what one offered that was not ``only`` what was wanted."""

    xid: int
    since: float
    due: float
    tries: int = 0
    declined: Message | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Requesting:
    xid: int
    since: float
    due: float
    offer: Message
    tries: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    lease: Lease


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewing:
    """The server that gave the lease is asked to prolong it."""

    xid: int
    since: float
    due: float
    lease: Lease


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebinding:
    """Any server is."""

    xid: int
    since: float
    due: float
    lease: Lease


State = Selecting | Requesting | Bound | Renewing | Rebinding


class Progress(NamedTuple):
    """The next state; what to send, to everybody or (``to``) to one server; why an address is ours no longer."""

    state: State
    send: Message | None = None
    to: Lease | None = None
    lost: str = ""


def begin(now: float, xid: int) -> Selecting:
    return Selecting(xid=xid, since=now, due=now)


def deadline(state: State) -> float:
    """When time will change the state."""
    match state:
        case Selecting() | Requesting():
            return state.due
        case Bound():
            return state.lease.renew_at
        case Renewing():
            return min(state.due, state.lease.rebind_at)
        case Rebinding():
            return min(state.due, state.lease.expires_at)


# Time


def tick(client: Client, state: State, now: float) -> Progress:
    """What the time that has come asks for; nothing where it has not."""
    if now < deadline(state):
        return Progress(state)
    match state:
        case Selecting():
            return _discover(client, state, now)
        case Requesting() if state.tries < _REQUESTS:
            again = replace(state, tries=state.tries + 1, due=now + _pause(state.tries))
            return Progress(again, _request(client, again, now))
        case Requesting():
            return _discover(client, begin(now, _next(state.xid)), now)
        case Bound() | Renewing() | Rebinding():
            return _prolong(client, state, now)


def _pause(tries: int) -> float:
    return min(_LONGEST_PAUSE, 2.0**tries)


def _discover(client: Client, state: Selecting, now: float) -> Progress:
    waiting = replace(state, tries=state.tries + 1, due=now + _pause(state.tries))
    return Progress(waiting, _ask(client, Kind.DISCOVER, state.xid, now - state.since, requested=client.wanted))


def _prolong(client: Client, state: Bound | Renewing | Rebinding, now: float) -> Progress:
    lease = state.lease
    if now >= lease.expires_at:
        return _discover(client, begin(now, _xid(state)), now)._replace(lost="its lease has run out")
    if now >= lease.rebind_at:
        since = state.since if isinstance(state, Rebinding) else now
        due = now + max(_RENEWAL_PAUSE, (lease.expires_at - now) / 2)
        wider = Rebinding(xid=_xid(state), since=since, due=due, lease=lease)
        return Progress(wider, _ask(client, Kind.REQUEST, wider.xid, now - since, own=lease.address.ip))
    since = state.since if isinstance(state, Renewing) else now
    due = now + max(_RENEWAL_PAUSE, (lease.rebind_at - now) / 2)
    asking = Renewing(xid=_xid(state), since=since, due=due, lease=lease)
    return Progress(asking, _ask(client, Kind.REQUEST, asking.xid, now - since, own=lease.address.ip), to=lease)


def _xid(state: Bound | Renewing | Rebinding) -> int:
    """A lease's own number where the conversation is a new one: it need be nobody's secret, only not a neighbour's."""
    if isinstance(state, Bound):
        lease = state.lease
        return (int(lease.address.ip) * 2654435761 + int(lease.obtained * 1000)) & 0xFFFFFFFF
    return _next(state.xid)


def _next(xid: int) -> int:
    return (xid + 1) & 0xFFFFFFFF


# Messages


def take(client: Client, state: State, message: Message, now: float, sender: str) -> Progress:
    """What a server says (from the MAC ``sender``); what is not for this client, or makes no sense, changes nothing."""
    if isinstance(state, Bound) or not message.reply or (message.xid, message.mac) != (state.xid, client.mac):
        return Progress(state)
    match state, message.kind:
        case Selecting(), Kind.OFFER:
            return _choose(client, state, message, now)
        case Requesting(), Kind.ACK if message.server in (None, state.offer.server):
            return _bind(state, message, now, state.offer.server, sender)
        case ((Renewing() | Rebinding()), Kind.ACK):
            return _bind(state, message, now, message.server or state.lease.server, sender)
        case Requesting(), Kind.NAK if message.server in (None, state.offer.server):
            return Progress(_after_refusal(state.xid, now))
        case ((Renewing() | Rebinding()), Kind.NAK):
            why = f"the DHCP server {message.server or state.lease.server} refuses it"
            return Progress(_after_refusal(state.xid, now), lost=f"{why}: {message.text}" if message.text else why)
    return Progress(state)


def _after_refusal(xid: int, now: float) -> Selecting:
    return Selecting(xid=_next(xid), since=now, due=now + _AFTER_REFUSAL)


def _choose(client: Client, state: Selecting, offer: Message, now: float) -> Progress:
    try:
        _sensible(offer)
    except DhcpError:
        return Progress(state)
    if offer.server is None:
        return Progress(state)
    if client.only and offer.address != client.wanted:
        return Progress(replace(state, declined=offer))
    asking = Requesting(xid=state.xid, since=state.since, due=now + _pause(0), offer=offer)
    return Progress(asking, _request(client, asking, now))


def _bind(state: State, ack: Message, now: float, server: IPv4Address | None, sender: str) -> Progress:
    try:
        return Progress(Bound(lease=lease_of(ack, now, server, sender)))
    except DhcpError:
        return Progress(state)


def _ask(
    client: Client,
    kind: Kind,
    xid: int,
    elapsed: float,
    *,
    own: IPv4Address = UNSPECIFIED,
    requested: IPv4Address | None = None,
    server: IPv4Address | None = None,
) -> Message:
    """Without an address of its own the client asks for answers to everybody: what is sent to it would not arrive."""
    return Message(
        kind=kind,
        xid=xid,
        mac=client.mac,
        client=client.id,
        hostname=client.hostname,
        seconds=max(0, int(elapsed)),
        broadcast=own == UNSPECIFIED,
        own=own,
        requested=requested,
        server=server,
        wanted=WANTED,
    )


def _request(client: Client, state: Requesting, now: float) -> Message:
    offer = state.offer
    elapsed = now - state.since
    return _ask(client, Kind.REQUEST, state.xid, elapsed, requested=offer.address, server=offer.server)


def release(client: Client, lease: Lease, xid: int) -> Message:
    """The address is given back."""
    return Message(
        kind=Kind.RELEASE, xid=xid, mac=client.mac, client=client.id, own=lease.address.ip, server=lease.server
    )


# Leases


def lease_of(ack: Message, now: float, server: IPv4Address | None, sender: str) -> Lease:
    """Raises DhcpError for what cannot be a lease."""
    address = _sensible(ack)
    if server is None:
        raise DhcpError("a lease of no server")
    seconds = max(_SHORTEST_LEASE, ack.lease) if ack.lease else FOREVER
    t2 = ack.t2 if 0 < ack.t2 < seconds else seconds * 7 // 8
    t1 = ack.t1 if 0 < ack.t1 < t2 else max(1, min(seconds // 2, t2 * 4 // 7))
    gateway, routes = _ways_out(ack, address)
    return Lease(
        address=address,
        server=server,
        obtained=now,
        seconds=seconds,
        t1=t1,
        t2=t2,
        server_mac=sender,
        gateway=gateway,
        routes=routes,
        dns=tuple(server for server in ack.dns if _usable(server)),
        domain=ack.domain,
    )


def _sensible(message: Message) -> IPv4Interface:
    """The address that is offered, with its mask."""
    if not _usable(message.address):
        raise DhcpError(f"{message.address} is no address for a host")
    mask = message.mask or _classful(message.address)
    try:
        return IPv4Interface((message.address, str(mask)))
    except ValueError as error:
        raise DhcpError(f"{mask} is no subnet mask") from error


def _usable(address: IPv4Address) -> bool:
    return not (address.is_unspecified or address.is_multicast or address.is_loopback or address.is_reserved)


def _classful(address: IPv4Address) -> IPv4Address:
    """The mask of a server that says none (RFC 950, 2.1)."""
    first = address.packed[0]
    return IPv4Address("255.0.0.0" if first < 128 else "255.255.0.0" if first < 192 else "255.255.255.0")


def _ways_out(ack: Message, own: IPv4Interface) -> tuple[IPv4Address | None, tuple[StaticRoute, ...]]:
    """The default gateway and the other routes. Where there are classless ones, those of option 3 do not count."""
    gateway = next((router for router in ack.routers if _usable(router)), None)
    routes: list[StaticRoute] = []
    if ack.routes:
        defaults = [route.via for route in ack.routes if not route.prefix.prefixlen and route.via]
        gateway = next((via for via in defaults if isinstance(via, IPv4Address) and _usable(via)), None)
        routes = [route for route in ack.routes if route.prefix.prefixlen and route.prefix != own.network]
    vias = [gateway, *(route.via for route in routes)]
    return gateway, tuple(dict.fromkeys((*_on_link(vias, own), *routes)))


def _on_link(vias: Iterable[object], own: IPv4Interface) -> Iterator[StaticRoute]:
    """Gateways outside the subnet, as where every host has a /32, are reached on the link."""
    for via in vias:
        if isinstance(via, IPv4Address) and via not in own.network:
            yield StaticRoute(prefix=IPv4Network(via))
