"""What is measured: one function per group of rows, giving samples per row."""

from __future__ import annotations

import concurrent.futures
import itertools
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.engines import Peer
from harness.engine import wait_until
from harness.machine import HOST4, Host

LOAD = str(Path(__file__).with_name("load.py"))
CROWD = 100
Samples = Iterator[tuple[str, Iterable[float]]]


@dataclass(frozen=True)
class Row:
    """``target`` in ``unit``, or as a multiple ``of`` a peer's figure; for rates more is better."""

    title: str
    unit: str
    target: float | None
    more: bool = False
    of: str = ""


ROWS = (
    Row("CLI run --rm busybox true, default bridge", "ms", 75),
    Row("… user network", "ms", 75),
    Row("… -p 8080:80", "ms", 76),
    Row("… --network none", "ms", 65),
    Row("API rm -f of a running container", "ms", 35),
    Row("API network create", "ms", 1.5),
    Row("API network rm", "ms", 1.5),
    Row("API connect of a running container", "ms", 5),
    Row("API disconnect", "ms", 8),
    Row("API start with 100 published ports", "ms", 50),
    Row("API rm -f of it", "ms", 45),
    Row("memory beside a container, RSS", "MiB", 2.1),
    Row("memory beside a container, PSS at 100", "MiB", 0.4),
    Row("memory per 100 published ports", "MiB", 0.1),
    Row("memory of engine and resolver, idle", "MiB", 110),
    Row("100 containers create+start, one by one", "s", 4.5),
    Row("… the last ten against the first ten", "x", 1.2),
    Row("100 containers create+start, 8 at a time", "s", 2.8),
    Row("100 containers rm -f, one by one", "s", 3),
    Row("100 containers rm -f, 8 at a time", "s", 1.8),
    Row("DNS answers/s for a container name", "/s", 85_000, more=True),
    Row("DNS latency of a container name", "µs", 50),
    Row("DNS answers/s forwarded", "/s", 25_000, more=True),
    Row("DNS latency forwarded", "µs", 120),
    Row("HTTP connections/s host → 127.0.0.1 published", "/s", 7_000, more=True),
    Row("HTTP connections/s second host → published", "/s", 6_000, more=True),
    Row("daemon start, no containers", "ms", 400),
    Row("daemon start, 100 running", "ms", 1_000),
    Row("daemon start, 100 running, after kill -9", "ms", 1_000),
)


def timed(call: Callable[[], object], scale: float = 1000) -> float:
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * scale


def api(peer: Peer, method: str, path: str, body: object = None) -> object:
    """The answer, where it is JSON: podman also says OK in plain text."""
    status, _, text = peer.request(method, path, body)
    if status >= 300:
        raise RuntimeError(f"{method} {path}: {status} {text.decode(errors='replace')}")
    return json.loads(text) if text[:1] in (b"{", b"[") else None


def create(peer: Peer, name: str, **host: object) -> None:
    body = {"Image": "busybox", "Cmd": ["sleep", "100000"], "HostConfig": peer.host_config() | host}
    if ports := host.get("PortBindings"):
        body["ExposedPorts"] = {port: {} for port in ports}
    api(peer, "POST", f"/containers/create?name={name}", body)


def run(peer: Peer, name: str, **host: object) -> None:
    create(peer, name, **host)
    api(peer, "POST", f"/containers/{name}/start")


def remove(peer: Peer, name: str) -> None:
    api(peer, "DELETE", f"/containers/{name}?force=1")


def netns(peer: Peer, name: str) -> str:
    found = json.loads(json.dumps(api(peer, "GET", f"/containers/{name}/json")))
    return f"/proc/{found['State']['Pid']}/ns/net"


def cli_runs(peer: Peer) -> Samples:
    """The whole client, from its start to its end, 15 times each."""
    api(peer, "POST", "/networks/create", {"Name": "bench"})
    flags = ([], ["--network", "bench"], ["-p", "8080:80"], ["--network", "none"])
    for row, extra in zip(ROWS[:4], flags, strict=True):
        argv = [*peer.cli(), "run", "--rm", *extra, "busybox", "true"]

        def once(argv: list[str] = argv) -> None:
            subprocess.run(argv, env=peer.environment, check=True, stdout=subprocess.DEVNULL)

        once()
        yield row.title, [timed(once) for _ in range(15)]
    api(peer, "DELETE", "/networks/bench")


def api_calls(peer: Peer) -> Samples:
    removals = []
    for _ in range(10):
        run(peer, "one")
        removals.append(timed(lambda: remove(peer, "one")))
    yield "API rm -f of a running container", removals
    made, gone = [], []
    for _ in range(20):
        made.append(timed(lambda: api(peer, "POST", "/networks/create", {"Name": "n"})))
        gone.append(timed(lambda: api(peer, "DELETE", "/networks/n")))
    yield "API network create", made
    yield "API network rm", gone
    yield from connections(peer)
    yield from hundred_ports(peer)


def connections(peer: Peer) -> Samples:
    api(peer, "POST", "/networks/create", {"Name": "n"})
    run(peer, "one")
    joined, left = [], []
    for _ in range(10):
        joined.append(timed(lambda: api(peer, "POST", "/networks/n/connect", {"Container": "one"})))
        left.append(timed(lambda: api(peer, "POST", "/networks/n/disconnect", {"Container": "one"})))
    remove(peer, "one")
    api(peer, "DELETE", "/networks/n")
    yield "API connect of a running container", joined
    yield "API disconnect", left


def hundred_ports(peer: Peer) -> Samples:
    bindings = {f"{port}/tcp": [{"HostPort": str(port)}] for port in range(20000, 20100)}
    starts, removals, memory = [], [], []
    for _ in range(5):
        before = peer.memory(peer.own_processes() + peer.monitors(), "Pss")
        create(peer, "ports", PortBindings=bindings)
        starts.append(timed(lambda: api(peer, "POST", "/containers/ports/start")))
        beside = peer.memory(peer.monitors(), "Pss")
        memory.append(max(0.0, peer.memory(peer.own_processes() + peer.monitors(), "Pss") - before - beside))
        removals.append(timed(lambda: remove(peer, "ports")))
    yield "API start with 100 published ports", starts
    yield "API rm -f of it", removals
    yield "memory per 100 published ports", memory[1:]


def idle_memory(peer: Peer) -> Samples:
    time.sleep(1)
    yield "memory of engine and resolver, idle", [peer.memory(peer.own_processes())]
    run(peer, "one")
    yield "memory beside a container, RSS", [peer.memory(peer.monitors())]
    remove(peer, "one")


def crowds(peer: Peer) -> Samples:
    api(peer, "POST", "/networks/create", {"Name": "crowd"})
    everyone = [f"c{number}" for number in range(CROWD)]
    sequence, pooled, gone, gone_pooled, ratio, memory = [], [], [], [], [], []
    for _ in range(3):
        each = [timed(lambda one=name: run(peer, one, NetworkMode="crowd"), 1) for name in everyone]
        sequence.append(sum(each))
        ratio.append(statistics.median(each[-10:]) / statistics.median(each[:10]))
        memory.append(peer.memory(peer.monitors(), "Pss") / CROWD)
        gone.append(timed(lambda: [remove(peer, one) for one in everyone], 1))
        pooled.append(timed(lambda: eight(lambda one: run(peer, one, NetworkMode="crowd"), everyone), 1))
        gone_pooled.append(timed(lambda: eight(lambda one: remove(peer, one), everyone), 1))
    api(peer, "DELETE", "/networks/crowd")
    yield "100 containers create+start, one by one", sequence
    yield "… the last ten against the first ten", ratio
    yield "memory beside a container, PSS at 100", memory
    yield "100 containers create+start, 8 at a time", pooled
    yield "100 containers rm -f, one by one", gone
    yield "100 containers rm -f, 8 at a time", gone_pooled


def eight(call: Callable[[str], object], names: Iterable[str]) -> None:
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for _ in pool.map(call, names):
            pass


def load(where: Iterable[list[str]], *argv: str) -> list[float]:
    """What load generators print, one process for each prefix in ``where``, all at once."""
    running = [subprocess.Popen([*enter, sys.executable, LOAD, *argv], stdout=subprocess.PIPE) for enter in where]
    return [float(process.communicate(timeout=60)[0]) for process in running]


def entered(namespace: str) -> list[str]:
    return ["nsenter", f"--net={namespace}", "--"]


def names(peer: Peer) -> Samples:
    api(peer, "POST", "/networks/create", {"Name": "n"})
    for name in ("web", "asker"):
        run(peer, name, NetworkMode="n")
    inside = entered(netns(peer, "asker"))
    server = peer.docker("exec", "asker", "grep", "-m1", "nameserver", "/etc/resolv.conf").stdout.split()[1]
    yield (
        "DNS answers/s for a container name",
        [sum(load([inside] * 4, "dns", server, "web", "2", "50")) for _ in range(5)],
    )
    yield (
        "DNS latency of a container name",
        itertools.chain(*(load([inside], "latency", server, "web", "1") for _ in range(5))),
    )
    # The upstream gives these names a TTL of 0, so that no cache answers.
    yield (
        "DNS answers/s forwarded",
        [sum(load([inside] * 4, "dns", server, f"f{number}.bench", "2", "50")) for number in range(3)],
    )
    yield (
        "DNS latency forwarded",
        [load([inside], "latency", server, f"l{number}.bench", "1")[0] for number in range(3)],
    )
    for name in ("web", "asker"):
        remove(peer, name)
    api(peer, "DELETE", "/networks/n")


def connections_per_second(peer: Peer) -> Samples:
    run(peer, "web", PortBindings={"80/tcp": [{"HostPort": "8080"}]})
    server = subprocess.Popen(
        [*entered(netns(peer, "web")), sys.executable, LOAD, "serve", "80"], stdout=subprocess.PIPE
    )
    try:
        assert server.stdout is not None
        server.stdout.readline()
        yield "HTTP connections/s host → 127.0.0.1 published", rates(peer.host, "127.0.0.1")
        yield "HTTP connections/s second host → published", rates(peer.machine.peer, HOST4)
    finally:
        server.kill()
        server.communicate()
    remove(peer, "web")


def rates(host: Host, address: str) -> list[float]:
    return [sum(load([host.enter] * 2, "http", address, "8080", "2")) for _ in range(5)]


def starts(peer: Peer) -> Samples:
    def again(stop: Callable[[], None]) -> float:
        stop()
        return peer.start() * 1000

    yield "daemon start, no containers", [again(peer.stop) for _ in range(5)]
    crowd = [f"c{number}" for number in range(CROWD)]
    api(peer, "POST", "/networks/create", {"Name": "crowd"})
    eight(lambda name: run(peer, name, NetworkMode="crowd"), crowd)
    yield "daemon start, 100 running", [again(peer.stop) for _ in range(3)]
    yield "daemon start, 100 running, after kill -9", [again(peer.kill) for _ in range(3)]
    eight(lambda name: remove(peer, name), crowd)
    wait_until(lambda: not peer.monitors(), "all monitors ended", 10)
    api(peer, "DELETE", "/networks/crowd")


GROUPS: tuple[Callable[[Peer], Samples], ...] = (
    idle_memory,
    cli_runs,
    api_calls,
    names,
    connections_per_second,
    crowds,
    starts,
)
