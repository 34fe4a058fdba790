"""What publishing promises, cell by cell: who reaches a published port from where, and whose address is seen.

The table is data: `tests/conformance/test_publish_matrix.py` compares it with traffic, docs/compatibility.md shows it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

# From where, and at which address of the host; each over IPv4 and over IPv6.
FROM: Mapping[str, str] = {
    "host": "the host itself, at its own address",
    "loopback": "the host itself, at 127.0.0.1 and [::1]",
    "second": "another host",
    "self": "the container itself",
    "neighbour": "a container on the same network",
    "other": "a container on another network",
}

# How the port is published; the second half of each is what `docker run -p` is told, once per family where it has two.
BINDINGS: Mapping[str, str] = {
    "wildcard": "`-p 8080:80`",
    "address": "`-p 198.51.100.1:8081:80 -p [2001:db8:51::1]:8081:80`",
    "loopback": "`-p 127.0.0.1:8082:80 -p [::1]:8082:80`",
    "range": "`-p 9000-9009:9000-9009`",
}

FAMILIES = ("dual", "IPv4", "IPv6")
"""What the container's network has."""

OWN, HOST, NO = "own", "host", "no"
"""Reached, and the container sees: who asks; an address of the host; not reached."""

# (the network's families, the binding) -> in the order of FROM, over IPv4 / over IPv6.
EXPECTED: Mapping[tuple[str, str], str] = {
    ("dual", "wildcard"): "host/host host/host own/own host/host host/host host/host",
    ("dual", "address"): "host/host no/no own/own host/host host/host host/host",
    ("dual", "loopback"): "no/no host/host no/no no/no no/no no/no",
    ("dual", "range"): "host/host host/host own/own host/host host/host host/host",
    ("IPv4", "wildcard"): "host/host host/host own/host host/no host/no host/host",
    ("IPv4", "address"): "host/host no/no own/host host/no host/no host/host",
    ("IPv4", "loopback"): "no/no host/host no/no no/no no/no no/no",
    ("IPv4", "range"): "host/host host/host own/host host/no host/no host/host",
    ("IPv6", "wildcard"): "host/host host/host host/own no/host no/host host/host",
    ("IPv6", "address"): "host/host no/no host/own no/host no/host host/host",
    ("IPv6", "loopback"): "no/no host/host no/no no/no no/no no/no",
    ("IPv6", "range"): "host/host host/host host/own no/host no/host host/host",
}


class Cell(NamedTuple):
    """One way to ask: ``families`` of the container's network, ``version`` of what is dialled."""

    families: str
    binding: str
    origin: str
    version: int


def cells() -> Iterator[tuple[Cell, str]]:
    """Every cell with what is promised."""
    for (families, binding), row in EXPECTED.items():
        for origin, pair in zip(FROM, row.split(), strict=True):
            for version, promise in zip((4, 6), pair.split("/"), strict=True):
                yield Cell(families, binding, origin, version), promise


def table() -> str:
    """For docs/compatibility.md."""
    head = " | ".join(FROM.values())
    lines = [f"| the container's network | published | {head} |", "|---|---|" + "---|" * len(FROM)]
    for (families, binding), row in EXPECTED.items():
        found = " | ".join(pair.replace("/", " / ") for pair in row.split())
        lines.append(f"| {_words(families)} | {BINDINGS[binding]} | {found} |")
    return "\n".join(lines)


def _words(families: str) -> str:
    return "IPv4 and IPv6" if families == "dual" else f"{families} only"
