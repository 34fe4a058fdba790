"""A DHCP server on the outside gives the addresses: ``--ipam-driver dhcp``.

The lease is in the endpoint's record. Who renews it is a task of the engine; a daemon that is started again goes on
where the last one stopped, and the container keeps its address meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import msgspec

from fairlead.engine.outside.dhcp import talking
from fairlead.engine.outside.party import Outside
from fairlead.errors import EngineError
from fairlead.ids import EndpointId
from fairlead.kernel import dhcp
from fairlead.kernel.netns import Namespace
from fairlead.model import codec
from fairlead.model.container import Container
from fairlead.model.endpoint import Endpoint, EndpointSpec
from fairlead.model.network import Network
from fairlead.net import dhcp_options
from fairlead.net import lease as leases
from fairlead.net.dhcp_options import NAME
from fairlead.net.lease import Bound, Client, Lease
from fairlead.wire.times import rfc3339

if TYPE_CHECKING:
    from fairlead.engine.core import Engine

log = logging.getLogger(__name__)

_NAP = 60.0  # seconds: the clock that leases go by may be set, and does not stop while the machine sleeps
_AFTER_FAILURE = 10.0
_SLAAC = {"net/ipv6/conf/IFNAME/disable_ipv6": "0", "net/ipv6/conf/IFNAME/accept_ra": "2"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What is to be found again: who asked, and what was given; None while there is no address."""

    client: Client
    lease: Lease | None = None


class Dhcp(Outside):
    """Networks with the IPAM driver ``dhcp``."""

    addresses = True

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._keepers: dict[EndpointId, asyncio.Task[None]] = {}

    async def create_network(self, network: Network) -> Network:
        dhcp_options.check_network(network.spec)
        dhcp_options.check_parent(network)
        return network

    async def create_endpoint(
        self, network: Network, endpoint: Endpoint, spec: EndpointSpec, container: Container
    ) -> Endpoint:
        """Who will ask. IPv6, where the network has it, is what routers advertise: the kernel's own business."""
        mac = spec.mac or dhcp_options.stable_mac(endpoint)
        sysctls = {**(_SLAAC if network.spec.enable_ipv6 else {}), **endpoint.sysctls}
        endpoint = replace(endpoint, mac=mac, sysctls=sysctls)
        return _with(endpoint, Held(client=dhcp_options.client_of(endpoint, spec, container)))

    async def linked(
        self, network: Network, endpoint: Endpoint, container: Container, namespace: Namespace
    ) -> Endpoint:
        held = _held(endpoint)
        place = f"{network.parent or network.bridge} (network {network.name})"
        with dhcp.opened(namespace, endpoint.ifname) as wire:
            seconds = dhcp_options.timeout_of(network.spec)
            lease = await talking.acquire(wire, held.client, secrets.randbits(32), seconds, place)
        log.info("%s: %s has %s from %s", network.name, container.name, lease.address, lease.server)
        endpoint = _with(endpoint, replace(held, lease=lease))
        self._keep(endpoint, namespace)
        return endpoint

    async def leave(self, network: Network, endpoint: Endpoint, namespace: Namespace | None) -> None:
        keeper = self._keepers.pop(endpoint.id, None)
        if keeper is not None:
            keeper.cancel()
        held = _held(endpoint)
        if namespace is None or held.lease is None:
            return
        with contextlib.suppress(EngineError), dhcp.opened(namespace, endpoint.ifname) as wire:
            talking.give_back(wire, held.client, held.lease, secrets.randbits(32))

    async def resume(self, network: Network, endpoints: Sequence[tuple[Endpoint, Namespace]]) -> None:
        for endpoint, namespace in endpoints:
            self._keep(endpoint, namespace)

    # -- while it runs ----------------------------------------------------------------------------------------------

    def _keep(self, endpoint: Endpoint, namespace: Namespace) -> None:
        self._keepers[endpoint.id] = self._engine.spawn(
            Keeper(self._engine, endpoint, namespace).run(), f"lease of {endpoint.id[:12]}"
        )


class Keeper:
    """Keeps one endpoint's lease: renews it in time, and looks for another when it is lost."""

    def __init__(self, engine: Engine, endpoint: Endpoint, namespace: Namespace) -> None:
        self._engine = engine
        self._endpoint = endpoint
        self._namespace = namespace

    async def run(self) -> None:
        """Until cancelled."""
        held = _held(self._endpoint)
        state: leases.State = Bound(lease=held.lease) if held.lease else leases.begin(time.time(), secrets.randbits(32))
        while True:
            await _sleep_until(leases.deadline(state))
            try:
                with dhcp.opened(self._namespace, self._endpoint.ifname) as wire:
                    state = await talking.converse(wire, held.client, state, on_loss=self._lose)
                if isinstance(state, Bound):
                    await self._record(state.lease)
            except EngineError as error:
                # The interface may be down, or be put back by a repair just now.
                who = self._endpoint.names[0] if self._endpoint.names else self._endpoint.id[:12]
                log.warning("lease of %s: %s", who, error)
                await asyncio.sleep(_AFTER_FAILURE)

    async def _lose(self, why: str) -> None:
        await self._record(None, why)

    async def _record(self, lease: Lease | None, why: str = "") -> None:
        """What the endpoint has now, in its record and in the kernel; those who listen are told where it changed."""
        async with self._engine.locks[self._endpoint.container]:
            container = self._engine.store.containers.get(self._endpoint.container)
            endpoints = container.endpoints if container is not None else ()
            before = next((each for each in endpoints if each.id == self._endpoint.id), None)
            if container is None or before is None:
                return
            after = _with(before, replace(_held(before), lease=lease))
            await self._engine.sandboxes.amend(container, after)
        if before.addresses != after.addresses:
            self._tell(container, before, after, why)

    def _tell(self, container: Container, before: Endpoint, after: Endpoint, why: str) -> None:
        network = self._engine.networks.get(after.network)
        if network is None:
            return
        had, has = (" ".join(map(str, endpoint.addresses)) for endpoint in (before, after))
        if not has:
            log.warning("%s has lost %s on network %s: %s", container.name, had, network.name, why)
            self._engine.networks.tell(network, "lease-lost", container=container.id, address=had, reason=why)
        else:
            log.info("%s has %s on network %s", container.name, has, network.name)
            self._engine.networks.tell(network, "lease", container=container.id, address=has)


async def _sleep_until(moment: float) -> None:
    while (left := moment - time.time()) > 0:  # noqa: ASYNC110 (the clock itself is waited for)
        await asyncio.sleep(min(left, _NAP))


def _with(endpoint: Endpoint, held: Held) -> Endpoint:
    """The endpoint as its lease has it."""
    lease = held.lease
    outside = replace(
        endpoint.outside,
        gateways=() if lease is None or lease.gateway is None else (lease.gateway,),
        routes=() if lease is None else lease.routes,
        nameservers=() if lease is None else lease.dns,
        search=(lease.domain,) if lease is not None and lease.domain else (),
        lease={} if lease is None else _shown(held.client, lease),
        data={**endpoint.outside.data, NAME: codec.encode(held).decode()},
    )
    return replace(endpoint, addresses=() if lease is None else (lease.address,), outside=outside)


def _shown(client: Client, lease: Lease) -> Mapping[str, str]:
    """For inspect."""
    ends = "" if math.isinf(lease.expires_at) else rfc3339(int(lease.expires_at) * 10**9)
    return {
        "Server": str(lease.server),
        "ClientID": client.id.hex(":"),
        "Obtained": rfc3339(int(lease.obtained) * 10**9),
        "Expires": ends,
    }


def _held(endpoint: Endpoint) -> Held:
    try:
        return codec.decode(endpoint.outside.data[NAME], Held)
    except (KeyError, msgspec.ValidationError) as error:
        raise EngineError(f"endpoint {endpoint.id[:12]} has no record of its DHCP lease: {error}") from error
