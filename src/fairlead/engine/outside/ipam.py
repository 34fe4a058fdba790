"""IPAM plugins: pools for networks and addresses for endpoints, asked of them and given back."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, TypeVar

import msgspec

from fairlead.engine.outside.party import Outside
from fairlead.errors import EngineError, PluginError, PluginRefused
from fairlead.kernel.netns import Namespace
from fairlead.model.address import Interface, Ip, Prefix
from fairlead.model.container import Container
from fairlead.model.endpoint import Endpoint, EndpointSpec
from fairlead.model.network import IpamConfig, Network, Subnet
from fairlead.model.plugin import IpamAbilities, PoolChoice
from fairlead.net.ipam import configs
from fairlead.plugins.channel import Message
from fairlead.wire import plugins as words

if TYPE_CHECKING:
    from fairlead.engine.core import Engine

T = TypeVar("T")

log = logging.getLogger(__name__)

KEY = "ipam"


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """An address of a pool."""

    pool: str
    address: str

    @property
    def ip(self) -> Ip:
        return ip_address(self.address)


class Pool(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    prefix: str

    @property
    def subnet(self) -> Prefix:
        return ip_network(self.prefix)


class Holdings(msgspec.Struct, frozen=True, kw_only=True):
    """What a network or an endpoint has of an IPAM plugin; kept as text in its record."""

    space: str = ""
    pools: tuple[Pool, ...] = ()
    held: tuple[Held, ...] = ()

    def text(self) -> str:
        return msgspec.json.encode(self).decode()


def holdings(data: Mapping[str, str]) -> Holdings:
    text = data.get(KEY, "")
    return msgspec.json.decode(text, type=Holdings) if text else Holdings()


def space_of(network: Network) -> str:
    """The address space its pools are in; that of Docker's own IPAM where no plugin was asked."""
    return holdings(network.outside).space or "LocalDefault"


class NoAddresses(Outside):
    """The party for ``--ipam-driver null``: neither subnets nor addresses."""

    addresses = True


class IpamPlugin(Outside):
    """The party for ``--ipam-driver NAME``."""

    addresses = True

    def __init__(self, engine: Engine, name: str) -> None:
        self._engine, self._name = engine, name
        self._known: tuple[int, IpamAbilities] | None = None

    async def _ask(self, call: str, message: Message, read: Callable[[bytes], T]) -> T:
        return await self._engine.plugins.call(self._name, f"IpamDriver.{call}", message, read)

    async def abilities(self) -> IpamAbilities:
        """Asked once of each program that takes up this name; a plugin need not know the question."""
        generation = await self._engine.plugins.generation(self._name)
        if self._known is None or self._known[0] != generation:
            try:
                found = await self._ask("GetCapabilities", {}, words.ipam_abilities)
            except PluginRefused:
                found = IpamAbilities()
            self._known = generation, found
        return self._known[1]

    # -- networks ---------------------------------------------------------------------------------------------------

    async def create_network(self, network: Network) -> Network:
        """Pools, gateways and auxiliary addresses; each is noted as soon as it is held."""
        await self.abilities()
        local, wide = await self._ask("GetDefaultAddressSpaces", {}, words.address_spaces)
        network = _with(network, Holdings(space=wide if network.spec.scope == "global" else local))
        skipped = await self._engine.outside.skipped_gateways(network)
        for config, version in configs(network.spec):
            network = await self._add_subnet(network, config, version, gateway=version not in skipped)
        return network

    async def _add_subnet(self, network: Network, config: IpamConfig, version: int, *, gateway: bool) -> Network:
        kept = holdings(network.outside)
        request = words.pool_request(
            kept.space, config.subnet, config.ip_range, network.spec.ipam_options, v6=version == 6
        )
        pool = await self._ask("RequestPool", request, words.pool_choice)
        network = self._noted(network, pools=(Pool(id=pool.id, prefix=str(pool.prefix)),))
        self._check_pool(pool, config, version)
        subnet = Subnet(prefix=pool.prefix, ip_range=config.ip_range, aux=config.aux)
        if gateway or config.gateway is not None:
            network, chosen = await self._gateway(network, pool, config)
            subnet = replace(subnet, gateway=chosen)
        for address in config.aux.values():
            network, _ = await self._hold(network, pool, address, {})
        return replace(network, subnets=(*network.subnets, subnet))

    def _check_pool(self, pool: PoolChoice, config: IpamConfig, version: int) -> None:
        wanted = config.subnet
        exact = wanted is not None and not wanted.network_address.is_unspecified
        if pool.prefix.version != version or (exact and pool.prefix != wanted):
            raise PluginError(f"plugin {self._name}: IpamDriver.RequestPool: {pool.prefix} is not what was asked for")

    async def _gateway(self, network: Network, pool: PoolChoice, config: IpamConfig) -> tuple[Network, Ip]:
        """As asked for, as the plugin said with the pool, or one more address of it."""
        if config.gateway is None and pool.gateway is not None:
            return network, pool.gateway.ip
        network, address = await self._hold(network, pool, config.gateway, {words.ADDRESS_TYPE: words.GATEWAY})
        return network, address.ip

    async def _hold(
        self, network: Network, pool: PoolChoice, wanted: Ip | None, options: Mapping[str, str]
    ) -> tuple[Network, Interface]:
        address = await self._request(Pool(id=pool.id, prefix=str(pool.prefix)), wanted, options)
        return self._noted(network, held=(Held(pool=pool.id, address=str(address.ip)),)), address

    def _noted(self, network: Network, pools: Sequence[Pool] = (), held: Sequence[Held] = ()) -> Network:
        """With more that is to be given back, written down at once."""
        kept = holdings(network.outside)
        kept = msgspec.structs.replace(kept, pools=(*kept.pools, *pools), held=(*kept.held, *held))
        network = _with(network, kept)
        self._engine.debts.note(network)
        return network

    async def _request(self, pool: Pool, wanted: Ip | None, options: Mapping[str, str]) -> Interface:
        message = words.address_request(pool.id, wanted, options)
        address = await self._ask("RequestAddress", message, words.address_choice)
        if address.ip not in pool.subnet or (wanted is not None and address.ip != wanted):
            raise PluginError(
                f"plugin {self._name}: IpamDriver.RequestAddress: {address} is not what was asked for "
                f"({wanted or 'any address'} in {pool.prefix})"
            )
        return address

    async def remove_network(self, network: Network) -> None:
        kept = holdings(network.outside)
        for held in kept.held:
            await self._release("ReleaseAddress", words.address_release(held.pool, held.ip))
        for pool in kept.pools:
            await self._release("ReleasePool", {"PoolID": pool.id})

    async def _release(self, call: str, message: Message) -> None:
        """What the plugin does not hold any more is released."""
        try:
            await self._ask(call, message, words.nothing)
        except PluginRefused as error:
            log.info("%s", error)

    # -- endpoints --------------------------------------------------------------------------------------------------

    async def create_endpoint(
        self,
        network: Network,
        endpoint: Endpoint,
        spec: EndpointSpec,
        container: Container,
    ) -> Endpoint:
        """One address of each family, as asked for where it was."""
        needs_mac = (await self.abilities()).needs_mac
        options = {words.MAC: endpoint.mac} if needs_mac else {}
        kept, addresses = Holdings(), list(endpoint.addresses)
        try:
            for version, pools in _by_family(network):
                wanted = spec.ipv4 if version == 4 else spec.ipv6
                pool, address = await self._first(pools, wanted, options)
                kept = msgspec.structs.replace(kept, held=(*kept.held, Held(pool=pool.id, address=str(address.ip))))
                addresses.append(address)
        except EngineError:
            await self._give_back(network, endpoint, kept)
            raise
        data = {**endpoint.outside.data, KEY: kept.text()}
        return replace(endpoint, addresses=tuple(addresses), outside=replace(endpoint.outside, data=data))

    async def _first(
        self, pools: Sequence[Pool], wanted: Ip | None, options: Mapping[str, str]
    ) -> tuple[Pool, Interface]:
        """Of the pool that has the wanted address, or the first with one to give."""
        if wanted is not None:
            pools = [pool for pool in pools if wanted in pool.subnet] or pools[:1]
        for pool in pools[:-1]:
            with contextlib.suppress(PluginRefused):
                return pool, await self._request(pool, wanted, options)
        return pools[-1], await self._request(pools[-1], wanted, options)

    async def _give_back(self, network: Network, endpoint: Endpoint, kept: Holdings) -> None:
        """Of an endpoint whose record does not say yet that it holds them."""
        told = replace(endpoint, outside=replace(endpoint.outside, data={KEY: kept.text()}))
        try:
            await self.remove_endpoint(network, told)
        except EngineError:
            self._engine.debts.owe(network, told)

    async def remove_endpoint(self, network: Network, endpoint: Endpoint) -> None:
        others = (each for each in self._engine.index.endpoints(network.id).values() if each.id != endpoint.id)
        taken = {address.ip for each in others for address in each.addresses}
        for held in holdings(endpoint.outside.data).held:
            if held.ip not in taken:  # told a second time, it may be somebody else's by now
                await self._release("ReleaseAddress", words.address_release(held.pool, held.ip))

    # -- a daemon's start -------------------------------------------------------------------------------------------

    async def resume(self, network: Network, endpoints: Sequence[tuple[Endpoint, Namespace]]) -> None:
        """A plugin that keeps nothing itself is told again what is in use."""
        if not (await self.abilities()).needs_replay:
            return
        kept, options = holdings(network.outside), network.spec.ipam_options
        for pool, subnet in zip(kept.pools, network.subnets, strict=False):
            version = pool.subnet.version
            request = words.pool_request(kept.space, pool.subnet, subnet.ip_range, options, v6=version == 6)
            await self._replay("RequestPool", request)
        held = [*kept.held, *(each for endpoint, _ in endpoints for each in holdings(endpoint.outside.data).held)]
        for each in held:
            await self._replay("RequestAddress", words.address_request(each.pool, each.ip, {}))

    async def _replay(self, call: str, message: Message) -> None:
        try:
            await self._ask(call, message, words.nothing)
        except PluginRefused as error:
            log.info("%s", error)


def _with(network: Network, kept: Holdings) -> Network:
    return replace(network, outside={**network.outside, KEY: kept.text()})


def _by_family(network: Network) -> Iterator[tuple[int, Sequence[Pool]]]:
    pools = holdings(network.outside).pools
    for version in (4, 6):
        if found := [pool for pool in pools if pool.subnet.version == version]:
            yield version, found
