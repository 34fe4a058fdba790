"""How fast bytes go from container to container, and from a second host through a published port."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bench.engines import Fairlead, Peer
from bench.jobs import LOAD, Row, Samples, api, entered, load, netns, remove, run
from harness.machine import HOST4

# Two descriptors hold each port; where the machine allows only 20,000, that is for fewer.
MANY = 10_000 if resource.getrlimit(resource.RLIMIT_NOFILE)[1] > 1 << 15 else 9_000
SECONDS, ROUNDS = "1", 7

RAW = "Gbit/s between two hosts, no container"
DIRECT, PUBLISHED = "Gbit/s container → container", "Gbit/s second host → published"
CROWDED = f"… with {MANY:,} ports published"
ROWS = (
    Row(RAW, "Gbit/s", None, more=True),
    Row(DIRECT, "Gbit/s", 0.97, more=True, of="dockerd"),
    Row(PUBLISHED, "Gbit/s", 0.97, more=True, of="dockerd"),
    Row(f"container → container {CROWDED}", "Gbit/s", 0.97, more=True, of="dockerd"),
    Row(f"second host → published {CROWDED}", "Gbit/s", 0.97, more=True, of="dockerd"),
)


def traffic(peer: Peer) -> Samples:
    api(peer, "POST", "/networks/create", {"Name": "n"})
    run(peer, "web", NetworkMode="n", PortBindings={"80/tcp": [{"HostPort": "8080"}]})
    run(peer, "asker", NetworkMode="n")
    with sink(entered(netns(peer, "web")), "80"), sink(peer.host.enter, "9999"):
        yield from measured(peer, DIRECT, PUBLISHED)
        yield RAW, [gigabits(peer.machine.peer.enter, HOST4, "9999") for _ in range(ROUNDS)]
        if isinstance(peer, Fairlead):
            # Elsewhere each port is a process or some rules, and these are minutes.
            ports = {
                f"{number}/tcp": [{"HostIp": "0.0.0.0", "HostPort": str(number + 10_000)}]
                for number in range(20_000, 20_000 + MANY)
            }
            run(peer, "many", NetworkMode="n", PortBindings=ports)
            yield from measured(peer, f"container → container {CROWDED}", f"second host → published {CROWDED}")
            remove(peer, "many")
    for name in ("web", "asker"):
        remove(peer, name)
    api(peer, "DELETE", "/networks/n")


def measured(peer: Peer, direct: str, published: str) -> Samples:
    """Both by turns, so that what else the machine does meets both."""
    inside = entered(netns(peer, "asker"))
    found: dict[str, list[float]] = {direct: [], published: []}
    for _ in range(ROUNDS):
        found[direct].append(gigabits(inside, address(peer, "web"), "80"))
        found[published].append(gigabits(peer.machine.peer.enter, HOST4, "8080"))
    yield from found.items()


def gigabits(where: list[str], server: str, port: str) -> float:
    return load([where], "send", server, port, SECONDS)[0]


def address(peer: Peer, name: str) -> str:
    found = api(peer, "GET", f"/containers/{name}/json")
    return str(found["NetworkSettings"]["Networks"]["n"]["IPAddress"])  # type: ignore[index]


@contextmanager
def sink(enter: list[str], port: str) -> Iterator[None]:
    """A server there that takes all it is given."""
    server = subprocess.Popen([*enter, sys.executable, LOAD, "sink", port], stdout=subprocess.PIPE)
    try:
        assert server.stdout is not None
        server.stdout.readline()
        yield
    finally:
        server.kill()
        server.communicate()


GROUPS: tuple[Callable[[Peer], Samples], ...] = (traffic,)
