"""Host ports: which to try for a published port, and what stands in its way. Binding them is ``kernel.ports``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Container, Iterable, Iterator, Sequence
from typing import NamedTuple
from typing import Protocol as Shape

from fairlead.errors import InvalidArgument
from fairlead.model.address import Ip
from fairlead.model.port import ContainerPort, PortBinding, PortRequest, Protocol

_HIGHEST = 65535


class Random(Shape):
    """Where randomness comes from: ``random.Random`` has this shape."""

    def randrange(self, stop: int, /) -> int: ...


def candidates(
    request: PortRequest,
    *,
    ephemeral: range,
    reserved: Container[int] = frozenset(),
    random: Random,
) -> Iterator[int]:
    """Host ports to try, in order. Asked ones ascending; else every ephemeral one, from a random place on.

    The same port twice in a row for two containers would send a client's late packets to the wrong one.
    """
    if request.low:
        yield from range(request.low, request.high + 1)
        return
    start = random.randrange(len(ephemeral))
    for offset in range(len(ephemeral)):
        port = ephemeral[(start + offset) % len(ephemeral)]
        if port not in reserved:
            yield port


def conflict(addresses: Collection[Ip], taken: Collection[Ip]) -> Ip | None:
    """The first of ``addresses`` that cannot be had where ``taken`` hold the same port.

    A wildcard takes all addresses of its family.
    """
    for address in addresses:
        for other in taken:
            if address.version == other.version and (
                address == other or address.is_unspecified or other.is_unspecified
            ):
                return address
    return None


class Withdrawal(NamedTuple):
    """What stays asked for, the bindings that go, and the patterns that named nothing."""

    left: tuple[PortRequest, ...]
    gone: tuple[PortBinding, ...]
    unknown: tuple[PortRequest, ...]


def withdraw(
    requests: Sequence[PortRequest], bindings: Collection[PortBinding], patterns: Sequence[PortRequest]
) -> Withdrawal:
    """``requests``, which led to ``bindings`` (none while nothing is published), without what the patterns name.

    What a pattern leaves out may be anything. A request of whose addresses some stay is narrowed to these.
    """
    by_port = _grouped(patterns)
    left: list[PortRequest] = []
    gone: list[PortBinding] = []
    used: set[PortRequest] = set()
    for request, led_to in _granted(requests, bindings):
        named = {binding: hits for binding in led_to if (hits := _hits(by_port[request.container], request, binding))}
        if led_to:
            asked = [pattern for hits in named.values() for pattern in hits]
            left += [_narrowed(b) for b in led_to if b not in named] if named else [request]
        else:
            asked = [pattern for pattern in by_port[request.container] if _covers(pattern, request)]
            left += [] if asked else [request]
        used.update(asked)
        gone += named
    unknown = tuple(pattern for pattern in patterns if pattern not in used)
    return Withdrawal(tuple(left), tuple(gone), unknown)


def _granted(
    requests: Sequence[PortRequest], bindings: Collection[PortBinding]
) -> Iterator[tuple[PortRequest, list[PortBinding]]]:
    """Which bindings each request led to, in the order of the requests.

    Requests for one port choose before those for any of a range, and these before those for any port at all.
    """
    pool: defaultdict[ContainerPort, list[PortBinding]] = defaultdict(list)
    for binding in bindings:
        pool[binding.container].append(binding)
    found: dict[int, list[PortBinding]] = {}
    for index in sorted(range(len(requests)), key=lambda index: _latitude(requests[index])):
        request = requests[index]
        fitting = [binding for binding in pool[request.container] if _may_lead_to(request, binding)]
        found[index] = [binding for binding in fitting if binding.host_port == fitting[0].host_port]
        pool[request.container] = [binding for binding in pool[request.container] if binding not in found[index]]
    return ((request, found[index]) for index, request in enumerate(requests))


def _grouped(patterns: Iterable[PortRequest]) -> defaultdict[ContainerPort, list[PortRequest]]:
    groups: defaultdict[ContainerPort, list[PortRequest]] = defaultdict(list)
    for pattern in patterns:
        groups[pattern.container].append(pattern)
    return groups


def _latitude(request: PortRequest) -> int:
    return request.high - request.low if request.low else _HIGHEST


def _may_lead_to(request: PortRequest, binding: PortBinding) -> bool:
    if not binding.host_port:  # routed: reachable at its own address, whatever host port was asked for
        return request.host_ip is None or request.host_ip.version == binding.host_ip.version
    return _names(request, binding)


def _hits(patterns: Sequence[PortRequest], request: PortRequest, binding: PortBinding) -> list[PortRequest]:
    if not binding.host_port:
        return [pattern for pattern in patterns if _covers(pattern, request)]
    return [pattern for pattern in patterns if _names(pattern, binding)]


def _names(pattern: PortRequest, binding: PortBinding) -> bool:
    anywhere = pattern.host_ip in (None, binding.host_ip)
    return anywhere and (not pattern.low or pattern.low <= binding.host_port <= pattern.high)


def _covers(pattern: PortRequest, request: PortRequest) -> bool:
    anywhere = pattern.host_ip in (None, request.host_ip)
    return anywhere and (not pattern.low or (pattern.low, pattern.high) == (request.low, request.high))


def _narrowed(binding: PortBinding) -> PortRequest:
    port = binding.host_port
    return PortRequest(container=binding.container, host_ip=binding.host_ip, low=port, high=port)


def parse_exposed(text: str) -> Iterator[ContainerPort]:
    """``80``, ``80/tcp``, ``8000-8010/udp`` as EXPOSE and --expose write them; raises InvalidArgument."""
    numbers, _, protocol = text.partition("/")
    low, dash, high = numbers.partition("-")
    try:
        kind = Protocol(protocol.lower() or "tcp")
        first, last = _port(low), _port(high if dash else low)
    except ValueError as error:
        raise InvalidArgument(f'invalid port specification: "{text}"') from error
    if first > last:
        raise InvalidArgument(f'invalid port specification: "{text}"')
    return (ContainerPort(port=port, protocol=kind) for port in range(first, last + 1))


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= _HIGHEST):
        raise ValueError(text)
    return int(text)
