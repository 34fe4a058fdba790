"""Large numbers: ports of one range, names in one resolver, containers at once."""

from __future__ import annotations

import concurrent.futures
from pathlib import Path

import dns.message
import dns.query
import pytest

from harness import inside
from harness.engine import Engine
from harness.machine import HOST4
from harness.sandboxes import Crowd


def many(engine: Engine, count: int, body: dict[str, object]) -> list[str]:
    """Containers c0, c1 … created and started through the API, eight at a time."""

    def one(number: int) -> str:
        status, made = engine.call("POST", f"/containers/create?name=c{number}", body)
        assert status == 201, made
        status, failure = engine.call("POST", f"/containers/{made['Id']}/start")
        assert status == 204, failure
        return str(made["Id"])

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        return list(pool.map(one, range(count)))


def remove(engine: Engine, ids: list[str]) -> None:
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for status, failure in pool.map(lambda one: engine.call("DELETE", f"/containers/{one}?force=1&v=1"), ids):
            assert status == 204, failure


def test_a_thousand_published_ports_are_one_range(engine: Engine) -> None:
    script = "for p in 20000 20500 20999; do (while :; do echo $p | nc -l -p $p; done) & done; wait"
    argv = ["--name", "box", "-p", "20000-20999:20000-20999", "busybox", "sh", "-c", script]
    before = Path(f"/proc/{engine.pid}/statm").read_text().split()[1]
    engine.docker("run", "-d", *argv)
    for port in (20000, 20500, 20999):
        asked = (engine.host.exchange("127.0.0.1", port), engine.machine.peer.exchange(HOST4, port))
        assert asked == (f"{port}\n".encode(),) * 2
    assert engine.out("ps", "--format", "{{.Ports}}").startswith("0.0.0.0:20000-20999->20000-20999/tcp")
    grown = (int(Path(f"/proc/{engine.pid}/statm").read_text().split()[1]) - int(before)) * 4
    assert grown < 20_000, f"the daemon grew by {grown} KiB"
    engine.docker("rm", "-f", "box")
    assert not engine.host.reaches("127.0.0.1", 20500)


@pytest.mark.timeout(300)
def test_two_hundred_running_containers(engine: Engine) -> None:
    engine.docker("network", "create", "--subnet", "10.30.0.0/16", "n")
    body = {"Image": "busybox", "Cmd": ["sleep", "1000"], "HostConfig": {"NetworkMode": "n"}}
    ids = many(engine, 200, body)
    assert len(engine.out("ps", "-q").splitlines()) == 200
    addresses = {entry["IPv4Address"] for entry in engine.network("n")["Containers"].values()}
    assert len(addresses) == 200
    netns = engine.netns("c7")

    def resolve(name: str) -> str:
        reply = inside.run(netns, lambda: dns.query.udp(dns.message.make_query(name, "A"), "127.0.0.11", timeout=3))
        return str(reply.answer[0][0])

    assert {f"{resolve(f'c{number}')}/16" for number in range(200)} == addresses
    engine.execute("c0", "ping", "-c", "1", "-W", "2", "c199")
    remove(engine, ids)
    assert engine.out("ps", "-aq") == ""


@pytest.mark.timeout(300)
def test_a_thousand_namespaces_in_one_resolver(tmp_path: Path) -> None:
    """Sandboxes without containers: what counts here is the resolver process and its sockets in each of them."""
    with Crowd(tmp_path, 1000) as crowd:
        for asker, wanted in ((0, 999), (999, 0), (500, 500), (7, 70), (700, 7)):
            query = dns.message.make_query(f"s{wanted}", "A")
            reply = inside.run(crowd.netns(asker), lambda q=query: dns.query.udp(q, "127.0.0.11", timeout=3))
            assert [item.to_text() for item in reply.answer[0]] == [crowd.address(wanted)]
        resident = int(Path(f"/proc/{crowd.pid}/statm").read_text().split()[1]) * 4 // 1024
        assert resident < 60, f"{resident} MiB"
