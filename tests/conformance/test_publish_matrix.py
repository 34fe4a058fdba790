"""Publishing as promised: every cell of the table in `golden/publishing.py` by traffic (TCP, UDP) or elements (SCTP).

The container's side is served by the test inside the container's namespace, on all addresses; it answers with the
address it saw. All cells are asked at once and judged one by one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address
from typing import NamedTuple

import pytest

from golden import publishing
from golden.publishing import HOST, NO, OWN, Cell
from harness import lab
from harness.engine import Engine
from harness.lab import Servers
from harness.machine import HOST4, HOST6

PROTOCOLS = ("tcp", "udp")
SEVERAL = 24
NETWORKS = {"dual": ["--ipv6"], "IPv4": [], "IPv6": ["--ipv4=false", "--ipv6"]}
# Each network's container has host ports of its own.
FIRST = {"dual": 8000, "IPv4": 8100, "IPv6": 8200}
PORTS = {"wildcard": 80, "address": 81, "loopback": 82, "range": 5}


class Space(NamedTuple):
    """What `Servers` wants of a namespace."""

    path: str


def host_port(families: str, binding: str) -> int:
    return FIRST[families] + PORTS[binding]


def container_port(families: str, binding: str) -> int:
    """Ranges keep their numbers."""
    return host_port(families, binding) if binding == "range" else 80


def published(families: str, protocol: str) -> list[str]:
    low = FIRST[families]
    asked = [f"{low + 80}:80", f"{low}-{low + 9}:{low}-{low + 9}"]
    asked += [f"{address}:{low + 81}:80" for address in (HOST4, f"[{HOST6}]")]
    asked += [f"{address}:{low + 82}:80" for address in ("127.0.0.1", "[::1]")]
    return [word for each in asked for word in ("-p", f"{each}/{protocol}")]


@pytest.fixture(scope="module", params=["0", "1"], ids=["bridged traffic unseen", "bridged traffic seen"])
def seen(request: pytest.FixtureRequest, running: Engine) -> str:
    """Whether br_netfilter shows the IP rules what crosses a bridge: either is found on real hosts."""
    for family in ("", "6"):
        running.host.run("sysctl", "-qw", f"net.bridge.bridge-nf-call-ip{family}tables={request.param}")
    return str(request.param)


@pytest.fixture(scope="module")
def furnished(running: Engine) -> Iterator[Engine]:
    """A container for each kind of network with all its ports, its neighbour, and one on another network."""
    engine, servers = running, Servers()
    engine.docker("network", "create", "--ipv6", "elsewhere")
    engine.docker("run", "-d", "--name", "other", "--network", "elsewhere", "busybox", "sleep", "1000")
    for families, flags in NETWORKS.items():
        engine.docker("network", "create", *flags, f"net-{families}")
        ports = [word for protocol in PROTOCOLS for word in published(families, protocol)]
        argv = ["run", "-d", "--network", f"net-{families}"]
        engine.docker(*argv, "--name", f"web-{families}", *ports, "busybox", "sleep", "1000")
        engine.docker(*argv, "--name", f"neighbour-{families}", "busybox", "sleep", "1000")
        for protocol in PROTOCOLS:
            for port in (80, container_port(families, "range")):
                servers.serve(Space(engine.netns(f"web-{families}")), families, protocol, port)
    yield engine
    servers.close()
    engine.clear()


def _origin(engine: Engine, cell: Cell) -> str:
    """The namespace that asks."""
    match cell.origin:
        case "host" | "loopback":
            return engine.host.netns
        case "second":
            return engine.machine.peer.netns
        case "other":
            return engine.netns("other")
        case "self":
            return engine.netns(f"web-{cell.families}")
        case _:
            return engine.netns(f"neighbour-{cell.families}")


def _address(cell: Cell) -> str:
    if cell.origin == "loopback":
        return "127.0.0.1" if cell.version == 4 else "::1"
    return HOST4 if cell.version == 4 else HOST6


@pytest.fixture(scope="module")
def outcomes(furnished: Engine, seen: str) -> dict[tuple[str, Cell], str]:
    """What every cell's server answered to, in the table's words."""
    asked = [(protocol, cell) for protocol in PROTOCOLS for cell, _ in publishing.cells()]
    spaces = {cell: _origin(furnished, cell) for _, cell in asked}
    own = _addresses_of_the_host(furnished)

    def ask(question: tuple[str, Cell]) -> str:
        protocol, cell = question
        port = host_port(cell.families, cell.binding)
        answer = lab.ask(spaces[cell], _address(cell), port, protocol, patience=1.5)
        return _judged(answer, cell, own)

    with ThreadPoolExecutor(SEVERAL) as pool:
        return dict(zip(asked, pool.map(ask, asked), strict=True))


def _addresses_of_the_host(engine: Engine) -> set[str]:
    shown = engine.host.run("ip", "-o", "address")
    return {str(ip_address(text)) for text in re.findall(r"inet6? ([0-9a-f.:]+)/", shown)}


def _judged(answer: str, cell: Cell, own: set[str]) -> str:
    if not answer:
        return NO
    who, _, seen = answer.partition(" ")
    assert who == cell.families, f"{cell} was answered by {who}"
    return HOST if str(ip_address(seen)) in own else OWN


def _named(value: Cell | str) -> str:
    return value if isinstance(value, str) else "-".join(map(str, value))


@pytest.mark.docker_option(
    "-p, --publish", section="publishing", shows="tcp and udp, every form, from everywhere: see the table below"
)
@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(("cell", "promise"), list(publishing.cells()), ids=_named)
def test_published(outcomes: dict[tuple[str, Cell], str], seen: str, protocol: str, cell: Cell, promise: str) -> None:
    if seen == "1" and cell.origin == "neighbour" and promise == HOST:
        promise = OWN  # translated inside the bridge: the answer comes back by the same way
    assert outcomes[protocol, cell] == promise


@pytest.mark.docker_option("-p …/sctp", section="publishing", shows="the same elements as for tcp", note="not relayed")
def test_sctp_is_translated_by_the_same_elements(furnished: Engine) -> None:
    """Traffic needs a kernel with SCTP sockets; the translation is the same map, keyed by the protocol."""
    engine = furnished
    ports = ("7000:80/sctp", "7100-7109:7100-7109/sctp", f"{HOST4}:7200:80/sctp")
    argv = [word for port in ports for word in ("-p", port)]
    engine.docker("run", "-d", "--name", "sctp", "--network", "net-dual", *argv, "busybox", "sleep", "1000")
    four, six = engine.address("sctp", "net-dual"), engine.address6("sctp", "net-dual")
    listing = engine.host.run("nft", "list", "table", "inet", "fairlead")
    for element in (
        f"sctp . 7000 : {four} . 80",
        f"sctp . 7000 : {six} . 80",
        f"sctp . 7100-7109 : {four}",
        f"{HOST4} . sctp . 7200 : {four} . 80",
    ):
        assert element in listing
    assert engine.inspect("sctp")["NetworkSettings"]["Ports"]["80/sctp"] is not None
    engine.docker("rm", "-f", "sctp")
    assert "sctp . 7000" not in engine.host.run("nft", "list", "table", "inet", "fairlead")
