"""A DHCP conversation by the clock and on the wire: what ``net.lease`` says is to be sent is sent, when it says so."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from fairlead.errors import Conflict, Unavailable
from fairlead.kernel.dhcp import Wire
from fairlead.net import lease as leases
from fairlead.net.lease import Bound, Client, Lease, Progress, Requesting, Selecting, State

# What is told when an address is no longer ours: why.
OnLoss = Callable[[str], Awaitable[None]]


async def _nobody(_: str) -> None:
    return


async def acquire(wire: Wire, client: Client, xid: int, seconds: float, place: str) -> Lease:
    """A lease within that time, or the error that says what the servers did instead."""
    now = time.time()
    state = await converse(wire, client, leases.begin(now, xid), until=now + seconds)
    match state:
        case Bound():
            return state.lease
        case Selecting(declined=offer) if offer is not None:
            raise Conflict(
                f"the DHCP server {offer.server} offers {offer.address} and not {client.wanted}, which was asked for: "
                "choose another address, or leave --ip out"
            )
        case Requesting():
            raise Unavailable(
                f"the DHCP server {state.offer.server} offered {state.offer.address} but did not confirm it "
                f"within {seconds:g} s"
            )
    raise Unavailable(f"no DHCP server on {place} gave an address within {seconds:g} s")


async def converse(
    wire: Wire, client: Client, state: State, *, until: float = float("inf"), on_loss: OnLoss = _nobody
) -> State:
    """Until there is a lease (``Bound``), or until then."""
    progress = leases.tick(client, state, time.time())
    while True:
        state = await _take(wire, progress, on_loss)
        now = time.time()
        if isinstance(state, Bound) or now >= until:
            return state
        progress = await _next(wire, client, state, min(until, leases.deadline(state)) - now)


async def _take(wire: Wire, progress: Progress, on_loss: OnLoss) -> State:
    if progress.lost:
        await on_loss(progress.lost)
    if (message := progress.send) is not None:
        to = progress.to
        if to is None:
            wire.send(message, source=message.own)
        else:
            wire.send(message, source=message.own, server=to.server, mac=to.server_mac)
    return progress.state


async def _next(wire: Wire, client: Client, state: State, seconds: float) -> Progress:
    """What comes, a message or the time."""
    try:
        async with asyncio.timeout(max(0.0, seconds)):
            message, sender = await wire.receive()
    except TimeoutError:
        return leases.tick(client, state, time.time())
    return leases.take(client, state, message, time.time(), sender)


def give_back(wire: Wire, client: Client, lease: Lease, xid: int) -> None:
    """Said once: a server that does not hear it waits for the lease to run out."""
    message = leases.release(client, lease, xid)
    wire.send(message, source=lease.address.ip, server=lease.server, mac=lease.server_mac)
