"""A network's own DNS servers, asked by its containers in place of the host's (``-o fairlead.dns=…``)."""

from __future__ import annotations

from ipaddress import ip_address

from fairlead.errors import InvalidArgument
from fairlead.model.network import DNS, NetworkSpec

_HIGHEST = 65535


def upstreams(spec: NetworkSpec) -> tuple[str, ...]:
    """``10.0.0.1,fd00::1,10.0.0.2#5353`` in order; () where the network has none. Raises InvalidArgument."""
    found = tuple(part.strip() for part in spec.options.get(DNS, "").split(",") if part.strip())
    for server in found:
        _check(server)
    return found


def _check(server: str) -> None:
    address, mark, port = server.partition("#")
    try:
        parsed = ip_address(address)
    except ValueError as error:
        raise InvalidArgument(f"failed to parse {DNS} value: {server} (not an IP address)") from error
    if parsed.is_unspecified or parsed.is_multicast:
        raise InvalidArgument(f"failed to parse {DNS} value: {server} (nobody answers there)")
    if mark and not (port.isascii() and port.isdigit() and 0 < int(port) <= _HIGHEST):
        raise InvalidArgument(f"failed to parse {DNS} value: {server} (a port is a number from 1 to {_HIGHEST})")
