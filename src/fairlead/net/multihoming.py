"""A container on several networks that lead out: answers leave by the interface that the question came in by.

Each such interface has a routing table of its own, and a rule that sends packets from its address there; the main table
goes on to choose for what the container begins itself. With one way out there is nothing to choose, and nothing here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_network
from typing import NamedTuple

from fairlead.ids import EndpointId
from fairlead.model.address import Ip, Prefix
from fairlead.model.endpoint import Endpoint
from fairlead.model.network import Network
from fairlead.net.drivers.inside import route_metric
from fairlead.net.gateway import leads_by_interface, next_hops
from fairlead.net.state import Fact, Route, Rule

# eth0 has table 1000, eth1 table 1001; a rule's priority is its table's number, before that of the main table, 32766.
_FIRST_TABLE = 1000
_NUMBER = re.compile(r"\d{1,3}\Z")
_HOST_LENGTH: Mapping[int, int] = {4: 32, 6: 128}

Home = tuple[Endpoint, Network]


class _Way(NamedTuple):
    """Out of the sandbox by one interface, in one family; ``hop`` None where the interface is all there is to it."""

    endpoint: Endpoint
    network: Network
    hop: Ip | None


def wants(homes: Sequence[Home]) -> Iterator[Fact]:
    """``homes`` are all of one container's endpoints that we give addresses to, with their networks."""
    if len(homes) < 2:
        return
    tables = _tables([endpoint for endpoint, _ in homes])
    for version in (4, 6):
        ways = [way for home in homes for way in _ways(home, version)]
        if len({way.endpoint.id for way in ways}) > 1:
            for way in ways:
                yield from _table(way, version, tables[way.endpoint.id])


def _ways(home: Home, version: int) -> Iterator[_Way]:
    endpoint, network = home
    if not any(address.version == version for address in endpoint.addresses):
        return
    if leads_by_interface(network):
        yield _Way(endpoint, network, None)
        return
    hop = next((hop for hop in next_hops(network, endpoint) if hop.version == version), None)
    if hop is not None:
        yield _Way(endpoint, network, hop)


def _table(way: _Way, version: int, table: int) -> Iterator[Fact]:
    ns, link, metric = way.endpoint.container, way.endpoint.ifname, route_metric(version)
    yield Route(ns=ns, prefix=_default(version), link=link, via=way.hop, metric=metric, table=table)
    for prefix in _on_link(way, version):
        yield Route(ns=ns, prefix=prefix, link=link, metric=metric, table=table)
    own = next(address for address in way.endpoint.addresses if address.version == version)
    source = ip_network(f"{own.ip}/{_HOST_LENGTH[version]}")
    yield Rule(ns=ns, version=version, priority=table, source=source, table=table)


def _default(version: int) -> Prefix:
    return ip_network("0.0.0.0/0" if version == 4 else "::/0")


def _on_link(way: _Way, version: int) -> Iterator[Prefix]:
    """What is beside the container; on a bridge all subnets of the network are."""
    own = [address for address in way.endpoint.addresses if address.version == version]
    for subnet in way.network.subnets:
        inside = any(address in subnet.prefix for address in own)
        if subnet.prefix.version == version and (inside or way.network.bridge) and way.hop is not None:
            yield subnet.prefix


def _tables(endpoints: Sequence[Endpoint]) -> dict[EndpointId, int]:
    """By the number that the interface has in its name, so that a network that is left does not renumber the others."""
    tables: dict[EndpointId, int] = {}
    for endpoint in endpoints:
        found = _NUMBER.search(endpoint.ifname)
        table = _FIRST_TABLE + (int(found[0]) if found else 0)
        while table in tables.values():
            table += _FIRST_TABLE
        tables[endpoint.id] = table
    return tables
