"""The names of every network, with their records already encoded; each change touches one endpoint only."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_address
from typing import NamedTuple, TypeVar

from fairlead.dns.message import AAAA, PTR, SRV, A, DnsError, can_be_asked, encode_name, record, reverse_name, srv_rdata
from fairlead.dns.view import EndpointNames

# Short enough that a client with a cache of its own sees a rename at once, yet not 0, which some take for an error.
TTL = 1


class Entry(NamedTuple):
    """One endpoint's answers. ``target`` is its first name with the network's behind it: what PTR and SRV say."""

    target: bytes
    a: tuple[bytes, ...]
    aaaa: tuple[bytes, ...]
    srv: Mapping[bytes, tuple[bytes, ...]]
    beside: tuple[bytes, ...]


_Bearers = dict[bytes, dict[str, Entry]]
_Value = TypeVar("_Value")


def address_record(text: str, owner: bytes | None = None) -> tuple[int, bytes]:
    """(type, record) for an address in text; raises DnsError where it is none."""
    try:
        packed = ip_address(text).packed
    except ValueError as error:
        raise DnsError(f"{text!r} is not an address") from error
    kind = A if len(packed) == 4 else AAAA
    return kind, record(kind, TTL, packed) if owner is None else record(kind, TTL, packed, owner)


class _Names:
    """One network's names: bare (``web``), with the network's behind them (``web.mynet``), and reversed addresses."""

    __slots__ = ("bare", "endpoints", "name", "qualified", "reverse")

    def __init__(self, name: str) -> None:
        self.name = name
        self.endpoints: dict[str, EndpointNames] = {}
        self.bare: _Bearers = {}
        self.qualified: _Bearers = {}
        self.reverse: dict[bytes, dict[str, bytes]] = {}

    def put(self, endpoint: EndpointNames) -> None:
        entry = self._entry(endpoint)
        pointer = record(PTR, TTL, entry.target)
        reverse = [reverse_name(ip_address(address).packed) for address in endpoint.addresses]
        self.drop(endpoint.id)
        self.endpoints[endpoint.id] = endpoint
        for table, key in self._keys(endpoint):
            table.setdefault(key, {})[endpoint.id] = entry
        for name in reverse:
            self.reverse.setdefault(name, {})[endpoint.id] = pointer

    def drop(self, endpoint_id: str) -> None:
        endpoint = self.endpoints.pop(endpoint_id, None)
        if endpoint is None:
            return
        for table, key in self._keys(endpoint):
            _discard(table, key, endpoint_id)
        for address in endpoint.addresses:
            _discard(self.reverse, reverse_name(ip_address(address).packed), endpoint_id)

    def _keys(self, endpoint: EndpointNames) -> Iterator[tuple[_Bearers, bytes]]:
        for name in endpoint.names:
            if can_be_asked(name):
                yield self.bare, encode_name(name)
            if can_be_asked(f"{name}.{self.name}"):
                yield self.qualified, encode_name(f"{name}.{self.name}")

    def _entry(self, endpoint: EndpointNames) -> Entry:
        target = self._target(endpoint)
        found = [address_record(address) for address in endpoint.addresses]
        srv: dict[bytes, tuple[bytes, ...]] = {}
        for port in endpoint.ports:
            key = encode_name(f"_{port.name}._{port.protocol}")[:-1]
            srv[key] = (*srv.get(key, ()), record(SRV, TTL, srv_rdata(port.port, target)))
        return Entry(
            target=target,
            a=tuple(rr for kind, rr in found if kind == A),
            aaaa=tuple(rr for kind, rr in found if kind == AAAA),
            srv=srv,
            beside=tuple(address_record(address, target)[1] for address in endpoint.addresses) if srv else (),
        )

    def _target(self, endpoint: EndpointNames) -> bytes:
        """The first name that fits a message: a container may be called something longer than a label can be."""
        for name in endpoint.names:
            if can_be_asked(f"{name}.{self.name}"):
                return encode_name(f"{name}.{self.name}")
        return encode_name(endpoint.container[:12] or "container")


def _discard(table: dict[bytes, dict[str, _Value]], key: bytes, endpoint_id: str) -> None:
    bearers = table.get(key, {})
    bearers.pop(endpoint_id, None)
    if not bearers:
        table.pop(key, None)


class Zone:
    """All networks' names. What is malformed raises DnsError and changes nothing; removing what is gone is fine."""

    def __init__(self) -> None:
        self._networks: dict[str, _Names] = {}

    def known(self) -> Iterator[tuple[str, str, Iterable[EndpointNames]]]:
        """Each network's id, name and endpoints."""
        for network, names in self._networks.items():
            yield network, names.name, names.endpoints.values()

    def __len__(self) -> int:
        return sum(len(names.endpoints) for names in self._networks.values())

    def set_network(self, network: str, name: str, endpoints: Iterable[EndpointNames]) -> None:
        """The network and all its endpoints, in place of what was known of it."""
        names = _Names(name)
        for endpoint in endpoints:
            names.put(endpoint)
        self._networks[network] = names

    def drop_network(self, network: str) -> None:
        self._networks.pop(network, None)

    def set_endpoint(self, network: str, endpoint: EndpointNames) -> None:
        if network not in self._networks:
            raise DnsError(f"no network {network}")
        self._networks[network].put(endpoint)

    def drop_endpoint(self, network: str, endpoint_id: str) -> None:
        if network in self._networks:
            self._networks[network].drop(endpoint_id)

    def bearers(self, networks: Iterable[str], name: bytes) -> Iterator[Mapping[str, Entry]]:
        """Who bears this name, network by network in the order given: bare names before ``name.network``."""
        seen = [names for network in networks if (names := self._networks.get(network)) is not None]
        for names in seen:
            if (found := names.bare.get(name)) is not None:
                yield found
        for names in seen:
            if (found := names.qualified.get(name)) is not None:
                yield found

    def pointer(self, networks: Iterable[str], name: bytes) -> bytes | None:
        """The PTR record of the first endpoint in these networks with this reversed address."""
        for network in networks:
            if (names := self._networks.get(network)) is not None and name in names.reverse:
                return next(iter(names.reverse[name].values()))
        return None
