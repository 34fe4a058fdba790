"""Host ports: which to try for a published port, and what stands in its way. Binding them is ``kernel.ports``."""

from __future__ import annotations

from collections.abc import Collection, Container, Iterator
from typing import Protocol as Shape

from fairlead.errors import InvalidArgument
from fairlead.model.address import Ip
from fairlead.model.port import ContainerPort, PortRequest, Protocol

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
