"""Host ports of containers: chosen, claimed by binding them, handed to the resolver process to hold."""

from __future__ import annotations

import contextlib
import socket
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv6Address
from random import Random
from typing import TYPE_CHECKING

from fairlead.dns.view import HeldPort
from fairlead.errors import EngineError
from fairlead.ids import ContainerId
from fairlead.kernel import ports as kernel_ports
from fairlead.model.address import Ip
from fairlead.model.container import Container
from fairlead.model.endpoint import Endpoint
from fairlead.model.port import ContainerPort, PortBinding, PortRequest, Protocol
from fairlead.net import ports
from fairlead.net.firewall import relays

if TYPE_CHECKING:
    from fairlead.engine.core import Engine

_ANY4, _ANY6 = IPv4Address("0.0.0.0"), IPv6Address("::")


@dataclass(frozen=True, slots=True)
class _Claim:
    binding: PortBinding
    socket: socket.socket


_Taken = defaultdict[tuple[Protocol, int], set[Ip]]


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
        requests = self._requests(container)
        carrier = next((e for e in endpoints if e.gateway4), None) or next((e for e in endpoints if e.gateway6), None)
        if not requests or carrier is None:
            return tuple(endpoints)
        claims: list[_Claim] = []
        own: _Taken = defaultdict(set)
        choice = _Choice.of_this_host() if any(not request.low for request in requests) else _Choice()
        try:
            for request in requests:
                claims += self._claim_one(request, own, choice)
        except BaseException as error:
            for claim in claims:
                claim.socket.close()
            if isinstance(error, EngineError):
                raise EngineError(
                    "failed to set up container networking: driver failed programming external connectivity on endpoint "
                    f"{container.name} ({carrier.id}): {error}"
                ) from error
            raise
        self._claimed[container.id] = claims
        six = next((e for e in endpoints if e.gateway6), carrier)
        homes = {4: next((e for e in endpoints if e.gateway4), six).id, 6: six.id}
        bindings = [claim.binding for claim in claims]
        return tuple(
            replace(e, published=tuple(b for b in bindings if homes[b.host_ip.version] == e.id)) for e in endpoints
        )

    def _requests(self, container: Container) -> list[PortRequest]:
        requests = list(container.spec.ports)
        if container.host.publish_all_ports:
            asked = {request.container for request in requests}
            for text in container.config.exposed_ports or {}:
                for port in ports.parse_exposed(text):
                    if port not in asked:
                        requests.append(PortRequest(container=port))
        return requests

    def _addresses(self, request: PortRequest) -> tuple[Ip, ...]:
        """Where to bind: both families when no address was asked for, if the host has both."""
        asked = request.host_ip if request.host_ip is not None else self._engine.settings.publish_ip
        if asked is not None and asked != _ANY4:
            return (asked,)
        both = self._engine.networks.host_facts().ipv6 and (request.host_ip is None)
        return (_ANY4, _ANY6) if both else (_ANY4,)

    def _claim_one(self, request: PortRequest, own: _Taken, choice: _Choice) -> list[_Claim]:
        """One host port for all addresses of the mapping, added to the container's ``own``."""
        addresses = self._addresses(request)
        protocol = request.container.protocol
        failure: EngineError | None = None
        for port in ports.candidates(
            request, ephemeral=choice.ephemeral, reserved=choice.reserved, random=choice.random
        ):
            taken = self._engine.index.ports_in_use(protocol, port).keys() | own.get((protocol, port), frozenset())
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

    async def hand_over(self, container: Container) -> None:
        """The sockets go to the resolver process, which outlives this one; relays start with them."""
        claims = self._claimed.pop(container.id, [])
        if not claims:
            return
        targets = {relay.binding: str(relay.target) for e in container.endpoints for relay in relays(e)}
        held = [
            HeldPort(
                str(claim.binding.container.protocol),
                str(claim.binding.host_ip),
                claim.binding.host_port,
                claim.socket,
                _target(claim.binding, targets),
            )
            for claim in claims
        ]
        for claim, port in zip(claims, held, strict=True):
            if port.target is not None:
                kernel_ports.take_all(claim.socket)
        self._holding.add(container.id)
        await self._engine.resolver.hold_ports(container.id, held)
        for claim in claims:
            claim.socket.close()

    async def release(self, container: Container) -> None:
        for claim in self._claimed.pop(container.id, ()):
            claim.socket.close()
        if container.id in self._holding or any(e.published for e in container.endpoints):
            self._holding.discard(container.id)
            await self._engine.resolver.release_ports(container.id)

    async def bind_again(self, container: Container) -> None:
        """Both daemon and resolver were gone: the recorded ports are claimed anew, as far as nobody took them."""
        claims = []
        for endpoint in container.endpoints:
            for binding in endpoint.published:
                with contextlib.suppress(kernel_ports.PortError):
                    claims += self._bind(binding.container, (binding.host_ip,), binding.host_port)
        self._claimed[container.id] = claims
        await self.hand_over(container)


def _host(ip: Ip) -> str:
    return f"[{ip}]" if ip.version == 6 else str(ip)


def _target(binding: PortBinding, targets: Mapping[PortBinding, str]) -> tuple[str, int] | None:
    """Where a relay passes what arrives at the host port; None where the kernel translates all of it."""
    address = targets.get(binding)
    return None if address is None else (address, binding.container.port)
