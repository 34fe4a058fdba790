"""Host ports of containers: chosen, claimed by binding them, handed to the resolver process to hold."""

from __future__ import annotations

import contextlib
import logging
import socket
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from ipaddress import IPv4Address, IPv6Address
from random import Random
from typing import TYPE_CHECKING, NamedTuple

from fairlead.dns.view import HeldPort, PortName
from fairlead.errors import EngineError
from fairlead.ids import ContainerId
from fairlead.kernel import ports as kernel_ports
from fairlead.model.address import Ip
from fairlead.model.container import Container
from fairlead.model.endpoint import Endpoint
from fairlead.model.port import ContainerPort, PortBinding, PortRequest, Protocol
from fairlead.net import ports
from fairlead.net.drivers.options import BridgeOptions, parse_options
from fairlead.net.firewall import GatewayMode, address_of, relays
from fairlead.net.gateway import publisher

if TYPE_CHECKING:
    from fairlead.engine.core import Engine

log = logging.getLogger(__name__)

_ANY4, _ANY6 = IPv4Address("0.0.0.0"), IPv6Address("::")


@dataclass(frozen=True, slots=True)
class _Claim:
    binding: PortBinding
    socket: socket.socket


_Taken = defaultdict[tuple[Protocol, int], set[Ip]]


class _Way(Enum):
    """How a port of a container is published in one family."""

    TRANSLATED = auto()  # a host port is claimed
    OPENED = auto()  # routed: reachable at the container's own address, no host port
    UNSERVED = auto()


class _Home(NamedTuple):
    """The endpoint that publishes in one family of the host, and its network's options.

    ``apart``: the network is not behind this host, but beside it.
    """

    endpoint: Endpoint
    options: BridgeOptions
    apart: bool = False

    def way(self, version: int) -> _Way:
        own = address_of(self.endpoint, version) is not None
        served = version if own else 10 - version
        mode = self.options.mode4 if served == 4 else self.options.mode6
        if mode is not GatewayMode.ROUTED:
            return _Way.TRANSLATED
        return _Way.OPENED if own else _Way.UNSERVED


@dataclass(frozen=True, slots=True)
class _Choice:
    """From what a port is chosen where none was asked for."""

    ephemeral: range = range(0)
    reserved: frozenset[int] = frozenset()
    random: Random = field(default_factory=Random)

    @classmethod
    def of_this_host(cls) -> _Choice:
        return cls(kernel_ports.ephemeral_range(), kernel_ports.reserved_ports())


class Claims:
    """The host ports of containers between choice and release."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._claimed: dict[ContainerId, list[_Claim]] = {}
        self._holding: set[ContainerId] = set()

    async def claim(self, container: Container, endpoints: Sequence[Endpoint]) -> tuple[Endpoint, ...]:
        """The endpoints with concrete bindings, every one of them bound; raises with none left bound."""
        bare = tuple(replace(endpoint, published=()) for endpoint in endpoints)
        return self.claim_more(container, bare, self.requests(container))

    def claim_more(
        self, container: Container, endpoints: Sequence[Endpoint], requests: Sequence[PortRequest]
    ) -> tuple[Endpoint, ...]:
        """The endpoints with further bindings, every one of them bound; raises with none of these left bound."""
        return self._claim_on(self._homes(endpoints), container, endpoints, requests)

    def claim_at(self, container: Container, endpoint: Endpoint) -> Endpoint:
        """An endpoint with all that the container publishes, whatever leads to it there; raises like ``claim``."""
        home = _Home(endpoint, BridgeOptions())
        (claimed,) = self._claim_on({4: home, 6: home}, container, [endpoint], self.requests(container))
        return claimed

    def _claim_on(
        self,
        homes: Mapping[int, _Home],
        container: Container,
        endpoints: Sequence[Endpoint],
        requests: Sequence[PortRequest],
    ) -> tuple[Endpoint, ...]:
        if not requests or not homes:
            return tuple(endpoints)
        claims: list[_Claim] = []
        opened: list[PortBinding] = []
        own = _taken(endpoints)
        choice = _Choice.of_this_host() if any(not request.low for request in requests) else _Choice()
        try:
            for request in requests:
                claimed, free = self._places(request, homes)
                opened += [PortBinding(container=request.container, host_ip=ip, host_port=0) for ip in free]
                if claimed:
                    claims += self._claim_one(container.id, request, claimed, own, choice)
        except BaseException as error:
            for claim in claims:
                claim.socket.close()
            if isinstance(error, EngineError):
                carrier = next(iter(homes.values())).endpoint
                raise EngineError(
                    "failed to set up container networking: driver failed programming external connectivity on "
                    f"endpoint {container.name} ({carrier.id}): {error}"
                ) from error
            raise
        self._claimed[container.id] = claims
        bindings = [*(claim.binding for claim in claims), *opened]
        return tuple(
            replace(e, published=(*e.published, *(b for b in bindings if homes[b.host_ip.version].endpoint.id == e.id)))
            for e in endpoints
        )

    def leads_out(self, endpoints: Sequence[Endpoint]) -> bool:
        """Whether there is an endpoint that can publish."""
        return bool(self._homes(endpoints))

    # -- where ------------------------------------------------------------------------------------------------------

    def _homes(self, endpoints: Sequence[Endpoint]) -> dict[int, _Home]:
        """By family of the host's address: the endpoint with that family's default route, else with the other's."""
        known = [(e, network) for e in endpoints if (network := self._engine.networks.get(e.network)) is not None]
        four, six = publisher(known, 4), publisher(known, 6)
        chosen = {4: four or six, 6: six or four}
        homes = {
            version: self._home(endpoint)
            for version, endpoint in chosen.items()
            if endpoint is not None and not self._is_published_by_others(endpoint)
        }
        if any(home.apart for home in homes.values()):
            log.warning("containers on a macvlan or ipvlan network are reached at their own address: no port is mapped")
            return {}
        return homes

    def _is_published_by_others(self, endpoint: Endpoint) -> bool:
        network = self._engine.networks.get(endpoint.network)
        return network is not None and self._engine.outside.publish(network.spec)

    def _home(self, endpoint: Endpoint) -> _Home:
        network = self._engine.networks.get(endpoint.network)
        if network is None:
            return _Home(endpoint, BridgeOptions())
        return _Home(endpoint, parse_options(network.spec), apart=bool(network.parent))

    def _places(self, request: PortRequest, homes: Mapping[int, _Home]) -> tuple[list[Ip], list[Ip]]:
        """Host addresses to claim a port on, and those (of routed networks) that only let the port be reached."""
        claimed: list[Ip] = []
        opened: list[Ip] = []
        for ip in self._addresses(request, homes):
            way = homes[ip.version].way(ip.version)
            if way is _Way.TRANSLATED:
                claimed.append(ip)
            elif way is _Way.OPENED:
                opened.append(_ANY4 if ip.version == 4 else _ANY6)
        return claimed, opened

    def requests(self, container: Container) -> list[PortRequest]:
        """All that -p and -P ask for."""
        requests = list(container.spec.ports)
        if container.host.publish_all_ports:
            asked = {request.container for request in requests}
            exposed = (port for text in container.config.exposed_ports or {} for port in ports.parse_exposed(text))
            requests.extend(PortRequest(container=port) for port in exposed if port not in asked)
        return requests

    def _addresses(self, request: PortRequest, homes: Mapping[int, _Home]) -> tuple[Ip, ...]:
        """As asked for, or as the network says; both families when neither says anything and the host has both."""
        asked = request.host_ip if request.host_ip is not None else homes[4].options.publish_ip
        if asked is not None:
            return (asked,)
        return (_ANY4, _ANY6) if self._engine.networks.host_facts().ipv6 else (_ANY4,)

    def _claim_one(
        self, owner: ContainerId, request: PortRequest, addresses: Sequence[Ip], own: _Taken, choice: _Choice
    ) -> list[_Claim]:
        """One host port for all addresses of the mapping, added to the container's ``own``."""
        protocol = request.container.protocol
        failure: EngineError | None = None
        for port in ports.candidates(
            request, ephemeral=choice.ephemeral, reserved=choice.reserved, random=choice.random
        ):
            others = (ip for ip, who in self._engine.index.ports_in_use(protocol, port).items() if who != owner)
            taken = {*others, *own.get((protocol, port), ())}
            clash = ports.conflict(addresses, taken)
            if clash is not None:
                failure = EngineError(f"Bind for {_host(clash)}:{port} failed: port is already allocated")
                continue
            try:
                bound = self._bind(request.container, addresses, port)
            except kernel_ports.PortError as error:
                failure = error
                if not error.taken:
                    break
            else:
                own[protocol, port].update(addresses)
                return bound
        if request.low != request.high and failure is not None:
            raise EngineError("all ports are allocated") from failure
        raise failure or EngineError("all ports are allocated")

    @staticmethod
    def _bind(port: ContainerPort, addresses: Sequence[Ip], number: int) -> list[_Claim]:
        claims: list[_Claim] = []
        with contextlib.ExitStack() as undo:
            for address in addresses:
                bound = kernel_ports.bind_port(port.protocol, address, number)
                undo.callback(bound.close)
                claims.append(_Claim(PortBinding(container=port, host_ip=address, host_port=number), bound))
            undo.pop_all()
        return claims

    async def follow(self, before: Container, after: Container) -> Container:
        """``after`` with its ports where its gateways are: moved with their numbers, or claimed where there were none.

        What a move from translation to routing or back asks for is claimed anew, the old ports being let go first.
        """
        if any(endpoint.published and endpoint.outside.holds_ports for endpoint in after.endpoints):
            return after
        homes = self._homes(after.endpoints)
        bindings = [binding for endpoint in after.endpoints for binding in endpoint.published]
        if bindings and all(_fits(binding, homes) for binding in bindings):
            return after
        if bindings:
            await self.release(before)
        if not homes:
            return replace(after, endpoints=tuple(replace(e, published=()) for e in after.endpoints))
        try:
            return replace(after, endpoints=await self.claim(after, after.endpoints))
        except EngineError:
            await self.bind_again(before)
            raise

    async def settle(self, container: Container) -> None:
        """After a change of endpoints: fresh claims are handed over, relays lead to where the container is now."""
        if not any(endpoint.published for endpoint in container.endpoints):
            await self.release(container)
            return
        await self.hand_over(container)
        targets = _targets(container)
        await self._engine.resolver.retarget_ports(
            container.id,
            {_key(b): _target(b, targets) for e in container.endpoints for b in e.published if b.host_port},
        )

    def abandon(self, container: Container) -> None:
        """Fresh claims of a change that failed."""
        for claim in self._claimed.pop(container.id, ()):
            claim.socket.close()

    async def hand_over(self, container: Container) -> None:
        """The sockets go to the resolver process, which outlives this one; relays start with them."""
        claims = self._claimed.pop(container.id, [])
        if not claims:
            return
        targets = _targets(container)
        held = [HeldPort(*_key(claim.binding), claim.socket, _target(claim.binding, targets)) for claim in claims]
        self._holding.add(container.id)
        try:
            for claim, port in zip(claims, held, strict=True):
                if port.target is not None:
                    kernel_ports.take_all(claim.socket)
            await self._engine.resolver.hold_ports(container.id, held)
        finally:
            for claim in claims:
                claim.socket.close()

    async def let_go(self, container: Container, bindings: Iterable[PortBinding]) -> None:
        """Of a container's ports only these; relayed connections through them end."""
        keys = [_key(binding) for binding in bindings if _is_claimed(binding)]
        if keys:
            await self._engine.resolver.release_some_ports(container.id, keys)

    async def release(self, container: Container) -> None:
        self.abandon(container)
        if container.id in self._holding or any(e.published for e in container.endpoints):
            self._holding.discard(container.id)
            await self._engine.resolver.release_ports(container.id)

    def adopt(self, owners: Iterable[str]) -> None:
        """A daemon's start: for these containers the resolver process holds ports already."""
        self._holding.update(ContainerId(owner) for owner in owners)

    async def bind_again(self, container: Container, held: Iterable[PortName] = ()) -> None:
        """Recorded ports that nobody holds are claimed anew, as far as nobody took them; others held are let go."""
        known = {name[:3] for name in held}
        wanted = {_key(b): b for endpoint in container.endpoints for b in endpoint.published if _is_claimed(b)}
        claims = []
        for key in wanted.keys() - known:
            with contextlib.suppress(kernel_ports.PortError):
                claims += self._bind(wanted[key].container, (wanted[key].host_ip,), wanted[key].host_port)
        self._claimed[container.id] = claims
        await self.hand_over(container)
        if stale := known - wanted.keys():
            await self._engine.resolver.release_some_ports(container.id, stale)


def _taken(endpoints: Iterable[Endpoint]) -> _Taken:
    """What these endpoints publish already."""
    taken: _Taken = defaultdict(set)
    for binding in (binding for endpoint in endpoints for binding in endpoint.published):
        taken[binding.container.protocol, binding.host_port].add(binding.host_ip)
    return taken


def _host(ip: Ip) -> str:
    return f"[{ip}]" if ip.version == 6 else str(ip)


def _is_claimed(binding: PortBinding) -> bool:
    """Ports of routed networks have no number on the host."""
    return binding.host_port != 0


def _fits(binding: PortBinding, homes: Mapping[int, _Home]) -> bool:
    """Whether the binding is still published the way it was when it was made."""
    home = homes.get(binding.host_ip.version)
    wanted = _Way.TRANSLATED if _is_claimed(binding) else _Way.OPENED
    return home is not None and home.way(binding.host_ip.version) is wanted


def _key(binding: PortBinding) -> tuple[str, str, int]:
    """What the resolver process knows a port by."""
    return str(binding.container.protocol), str(binding.host_ip), binding.host_port


def _targets(container: Container) -> dict[PortBinding, str]:
    return {relay.binding: str(relay.target) for e in container.endpoints for relay in relays(e)}


def _target(binding: PortBinding, targets: Mapping[PortBinding, str]) -> tuple[str, int] | None:
    """Where a relay passes what arrives at the host port; None where the kernel translates all of it."""
    address = targets.get(binding)
    return None if address is None else (address, binding.container.port)
