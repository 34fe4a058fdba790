"""Questions passed on to upstream servers of the test's own."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from pathlib import Path

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from fairlead.dns.control import Resolver, View
from fairlead.kernel import netns
from fairlead.kernel.netns import Namespace
from fairlead.kernel.sandbox import Sandbox
from kernel.dns_lab import Processes, Upstream, ask, found, furnish, name_servers, until, upstreams, with_resolver


def test_forwards_keeps_and_counts_down(machine: Path, sandbox: Sandbox) -> None:
    async def body(resolver: Resolver, _processes: Processes) -> None:
        await furnish(resolver, sandbox)
        assert found(await ask(sandbox.ns, "far.test")) == ["192.0.2.1"]
        again = await ask(sandbox.ns, "FAR.test")
        assert again.question[0].name.to_text() == "FAR.test."
        assert found(again) == ["192.0.2.1"]
        assert (await ask(sandbox.ns, "nobody.test")).rcode() == dns.rcode.NXDOMAIN
        assert above.count("far.test") == 1
        await asyncio.sleep(1.1)
        assert (await ask(sandbox.ns, "far.test")).answer[0].ttl == above.ttl - 1
        # Neither our names nor the other family of them ever leave.
        await ask(sandbox.ns, "web", "MX")
        await ask(sandbox.ns, "db", "AAAA")
        assert {name for _how, name, _peer in above.asked} == {"far.test", "nobody.test"}

    with upstreams("127.0.0.1") as (above,):
        above.replies = {"far.test": "192.0.2.1"}
        name_servers(machine, above)
        with_resolver(machine, body)


def test_ttl_zero_is_asked_each_time(machine: Path, sandbox: Sandbox) -> None:
    async def body(resolver: Resolver, _processes: Processes) -> None:
        await furnish(resolver, sandbox)
        for _ in range(3):
            await ask(sandbox.ns, "far.test")
        assert above.count("far.test") == 3

    with upstreams("127.0.0.1") as (above,):
        above.replies, above.ttl = {"far.test": "192.0.2.1"}, 0
        name_servers(machine, above)
        with_resolver(machine, body)


@pytest.mark.parametrize("failure", [dns.rcode.SERVFAIL, dns.rcode.REFUSED])
def test_refusing_server_is_passed_over_at_once(machine: Path, sandbox: Sandbox, failure: dns.rcode.Rcode) -> None:
    async def body(resolver: Resolver, _processes: Processes) -> None:
        await furnish(resolver, sandbox)
        began = time.monotonic()
        assert found(await ask(sandbox.ns, "far.test")) == ["192.0.2.1"]
        assert time.monotonic() - began < 0.5
        assert (await ask(sandbox.ns, "bad.test")).rcode() == failure
        assert first.count("bad.test") == second.count("bad.test") == 1

    with upstreams("127.0.0.1", "127.0.0.2") as (first, second):
        first.replies = {"far.test": failure, "bad.test": failure}
        second.replies = {"far.test": "192.0.2.1", "bad.test": failure}
        name_servers(machine, first, second)
        with_resolver(machine, body)


def test_silent_server_is_overtaken_and_asked_second_afterwards(machine: Path, sandbox: Sandbox) -> None:
    async def body(resolver: Resolver, _processes: Processes) -> None:
        await furnish(resolver, sandbox)
        began = time.monotonic()
        assert found(await ask(sandbox.ns, "far.test")) == ["192.0.2.1"]
        assert 0.6 < time.monotonic() - began < 1.6
        began = time.monotonic()
        assert found(await ask(sandbox.ns, "farther.test")) == ["192.0.2.2"]
        assert time.monotonic() - began < 0.5

    with upstreams("127.0.0.1", "127.0.0.2") as (first, second):
        first.replies = {"far.test": None, "farther.test": None}
        second.replies = {"far.test": "192.0.2.1", "farther.test": "192.0.2.2"}
        name_servers(machine, first, second)
        with_resolver(machine, body)


def test_lost_question_is_asked_again(machine: Path, sandbox: Sandbox) -> None:
    def reply(question: dns.message.Message, _protocol: str) -> bytes | None:
        if above.count("far.test") < 2:
            return None
        answer = dns.message.make_response(question)
        answer.answer.append(dns.rrset.from_text("far.test.", 5, "IN", "A", "192.0.2.1"))
        return answer.to_wire()

    async def body(resolver: Resolver, _processes: Processes) -> None:
        await furnish(resolver, sandbox)
        assert found(await ask(sandbox.ns, "far.test")) == ["192.0.2.1"]

    with upstreams("127.0.0.1") as (above,):
        above.replies = {"far.test": reply}
        name_servers(machine, above)
        with_resolver(machine, body)


def test_nobody_answers(machine: Path, sandbox: Sandbox) -> None:
    async def body(resolver: Resolver, _processes: Processes) -> None:
        await furnish(resolver, sandbox)
        began = time.monotonic()
        assert (await ask(sandbox.ns, "far.test")).rcode() == dns.rcode.SERVFAIL
        assert 3.5 < time.monotonic() - began < 5.0

    with upstreams("127.0.0.1") as (above,):
        above.replies = {"far.test": None}
        name_servers(machine, above)
        with_resolver(machine, body)


def test_nobody_there(machine: Path, sandbox: Sandbox) -> None:
    """A port that nobody listens on, an address without a route, and no server at all are told at once."""
    with upstreams("127.0.0.1") as (gone,):
        pass

    async def body(resolver: Resolver, _processes: Processes) -> None:
        await furnish(resolver, sandbox)
        for conf in (f"nameserver {gone.address}\n", "nameserver 203.0.113.1\n", ""):
            (machine / "resolv.conf").write_text(conf)
            await asyncio.sleep(0.1)
            for tcp in (False, True):
                began = time.monotonic()
                assert (await ask(sandbox.ns, "far.test", tcp=tcp)).rcode() == dns.rcode.SERVFAIL
                assert time.monotonic() - began < 0.5

    with_resolver(machine, body)


def test_large_answers_come_by_tcp(machine: Path, sandbox: Sandbox) -> None:
    def reply(question: dns.message.Message, protocol: str) -> bytes:
        answer = dns.message.make_response(question)
        for number in range(2000):
            answer.find_rrset(answer.answer, "big.test.", 1, 1, create=True)
            answer.answer[0].add(dns.rdata.from_text("IN", "A", f"192.0.{number // 250}.{number % 250 + 1}"), ttl=5)
        if protocol == "udp":
            answer.answer.clear()
            answer.flags |= dns.flags.TC
        return answer.to_wire()

    async def body(resolver: Resolver, _processes: Processes) -> None:
        await furnish(resolver, sandbox)
        assert (await ask(sandbox.ns, "big.test")).flags & dns.flags.TC
        assert len(found(await ask(sandbox.ns, "big.test", tcp=True))) == 2000
        assert above.count("big.test", "tcp") == 1

    with upstreams("127.0.0.1") as (above,):
        above.replies = {"big.test": reply}
        name_servers(machine, above)
        with_resolver(machine, body)


def test_tcp_question_to_a_server_without_tcp(machine: Path, sandbox: Sandbox) -> None:
    async def body(resolver: Resolver, _processes: Processes) -> None:
        await furnish(resolver, sandbox)
        assert found(await ask(sandbox.ns, "far.test", tcp=True)) == ["192.0.2.1"]

    with upstreams("127.0.0.1") as (above,):
        above.replies = {"far.test": "192.0.2.1"}
        above.has_tcp = False
        name_servers(machine, above)
        with_resolver(machine, body)


def test_edns_passes_through(machine: Path, sandbox: Sandbox) -> None:
    seen: list[tuple[int, int]] = []

    def reply(question: dns.message.Message, _protocol: str) -> bytes:
        seen.append((question.payload, question.ednsflags))
        return dns.message.make_response(question).to_wire()

    async def body(resolver: Resolver, _processes: Processes) -> None:
        await furnish(resolver, sandbox)
        answer = await ask(sandbox.ns, "far.test", use_edns=0, payload=1400, want_dnssec=True)
        assert seen == [(1400, dns.flags.DO)]
        assert answer.edns == 0

    with upstreams("127.0.0.1") as (above,):
        above.replies = {"far.test": reply}
        name_servers(machine, above)
        with_resolver(machine, body)


def test_answers_to_other_questions_are_not_believed(machine: Path, sandbox: Sandbox) -> None:
    """An answer with another name, another id, or from another port is somebody else's."""

    def reply(question: dns.message.Message, _protocol: str) -> bytes:
        honest = dns.message.make_response(question)
        honest.answer.append(dns.rrset.from_text("far.test.", 5, "IN", "A", "192.0.2.1"))
        forged = dns.message.from_wire(honest.to_wire().replace(b"\3far", b"\3bad"))
        peer = above.asked[-1][2]
        above._udp.sendto(forged.to_wire(), peer)
        forged = dns.message.from_wire(honest.to_wire().replace(bytes([192, 0, 2, 1]), bytes([6, 6, 6, 6])))
        forged.id ^= 1
        above._udp.sendto(forged.to_wire(), peer)
        forged.id ^= 1
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.sendto(forged.to_wire(), peer)
        above._udp.sendto(b"\0" * 5, peer)
        return honest.to_wire()

    async def body(resolver: Resolver, _processes: Processes) -> None:
        await furnish(resolver, sandbox)
        assert found(await ask(sandbox.ns, "far.test")) == ["192.0.2.1"]
        assert found(await ask(sandbox.ns, "FAR.test")) == ["192.0.2.1"]

    with upstreams("127.0.0.1") as (above,):
        above.replies = {"far.test": reply}
        name_servers(machine, above)
        with_resolver(machine, body)


def test_ids_and_ports_are_not_predictable(machine: Path, sandbox: Sandbox) -> None:
    async def body(resolver: Resolver, _processes: Processes) -> None:
        await furnish(resolver, sandbox)
        for number in range(40):
            await ask(sandbox.ns, f"n{number}.test")
        ports = {peer[1] for _how, _name, peer in above.asked}
        assert 4 <= len(ports) <= 8
        assert len(set(ids)) > 35
        assert max(ids) - min(ids) > 10_000

    ids: list[int] = []

    def note(question: dns.message.Message, _protocol: str) -> bytes:
        ids.append(question.id)
        return dns.message.make_response(question).to_wire()

    with upstreams("127.0.0.1") as (above,):
        above.replies = {f"n{number}.test": note for number in range(40)}
        name_servers(machine, above)
        with_resolver(machine, body)


def test_resolv_conf_is_followed(machine: Path, sandbox: Sandbox) -> None:
    async def body(resolver: Resolver, _processes: Processes) -> None:
        async def says(address: str) -> bool:
            return found(await ask(sandbox.ns, "far.test")) == [address]

        await furnish(resolver, sandbox)
        assert await says("192.0.2.1")
        name_servers(machine, second)  # replaced by rename
        assert await until(lambda: says("192.0.2.2")) < 0.5
        conf.write_text(f"nameserver {first.address}\n")  # written in place
        assert await until(lambda: says("192.0.2.1")) < 0.5
        there = machine / "run"
        there.mkdir()
        (there / "stub").write_text(f"nameserver {second.address}\n")
        conf.unlink()
        conf.symlink_to(there / "stub")  # a link into another folder
        assert await until(lambda: says("192.0.2.2")) < 0.5
        (there / "new").write_text(f"nameserver {first.address}\n")
        (there / "new").rename(there / "stub")  # whose target is replaced
        assert await until(lambda: says("192.0.2.1")) < 0.5

    conf = machine / "resolv.conf"
    with upstreams("127.0.0.1", "127.0.0.2") as (first, second):
        first.replies, second.replies = {"far.test": "192.0.2.1"}, {"far.test": "192.0.2.2"}
        name_servers(machine, first)
        with_resolver(machine, body)


def test_servers_of_the_containers_own_are_asked_from_inside(machine: Path, sandbox: Sandbox) -> None:
    inside: list[Upstream] = []

    async def body(resolver: Resolver, processes: Processes) -> None:
        view = View(networks=("n1",), upstreams=(inside[0].address,), from_sandbox=True)
        await furnish(resolver, sandbox, view)
        assert found(await ask(sandbox.ns, "far.test")) == ["192.0.2.7"]
        assert found(await ask(sandbox.ns, "far.test", tcp=True)) == ["192.0.2.7"]
        assert found(await ask(sandbox.ns, "web")) == ["10.0.0.2"]
        # The same address from the host's side is another server.
        await resolver.set_view("box", view._replace(from_sandbox=False))
        assert (await ask(sandbox.ns, "far.test")).rcode() == dns.rcode.SERVFAIL
        await resolver.remove_sandbox("box")
        assert not any(
            Path(f"/proc/{processes.current.pid}/fd/{fd.name}").is_symlink() and "net:" in str(fd.readlink())
            for fd in Path(f"/proc/{processes.current.pid}/fd").iterdir()
        )

    with upstreams("127.0.0.1") as (above,):
        above.replies = {"far.test": "192.0.2.1"}
        name_servers(machine, above)
        netns.run_in(sandbox.ns, lambda: inside.append(Upstream("127.0.0.1", replies={"far.test": "192.0.2.7"})))
        try:
            with_resolver(machine, body)
            assert not above.asked
        finally:
            inside[0].close()


def test_nothing_leaves_where_it_must_not(machine: Path, sandbox: Sandbox) -> None:
    async def body(resolver: Resolver, _processes: Processes) -> None:
        await furnish(resolver, sandbox, View(networks=("n1",), forward=False))
        assert (await ask(sandbox.ns, "far.test")).rcode() == dns.rcode.SERVFAIL
        await resolver.set_view("box", View(networks=("n1",), ndots_set=True))
        assert (await ask(sandbox.ns, "nobody")).rcode() == dns.rcode.NXDOMAIN
        assert not above.asked

    with upstreams("127.0.0.1") as (above,):
        name_servers(machine, above)
        with_resolver(machine, body)


def flood(ns: Namespace, count: int, same: bool) -> list[int]:
    """Rcodes that come back for ``count`` questions in flight at once."""

    def send() -> list[int]:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
            link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
            link.settimeout(0.4)
            link.connect(("127.0.0.11", 53))
            for number in range(count):
                name = b"slow" if same else b"s%03x" % number
                link.send(struct.pack(">HHHHHH", number, 0x100, 1, 0, 0, 0) + b"\4" + name + b"\4test\0\0\1\0\1")
                if number % 50 == 0:
                    time.sleep(0.002)
            codes = []
            while True:
                try:
                    codes.append(link.recv(600)[3] & 15)
                except TimeoutError:
                    return codes

    return netns.run_in(ns, send)


def test_one_question_of_many_askers_leaves_once(machine: Path, sandbox: Sandbox) -> None:
    async def body(resolver: Resolver, _processes: Processes) -> None:
        await furnish(resolver, sandbox)
        assert await asyncio.to_thread(flood, sandbox.ns, 300, True) == [0] * 300
        assert above.count("slow.test") == 1

    def slowly(question: dns.message.Message, _protocol: str) -> bytes:
        time.sleep(0.3)
        return dns.message.make_response(question).to_wire()

    with upstreams("127.0.0.1") as (above,):
        above.replies = {"slow.test": slowly}
        name_servers(machine, above)
        with_resolver(machine, body)


def test_too_many_questions_in_flight_are_refused(machine: Path, sandbox: Sandbox) -> None:
    async def body(resolver: Resolver, _processes: Processes) -> None:
        await furnish(resolver, sandbox)
        codes = await asyncio.to_thread(flood, sandbox.ns, 1500, False)
        assert codes == [dns.rcode.REFUSED] * (1500 - 1024)
        assert found(await ask(sandbox.ns, "web")) == ["10.0.0.2"]
        assert (await resolver.stats())["flights"] == 1024

    with upstreams("127.0.0.1") as (above,):
        above.replies = {f"s{number:03x}.test": None for number in range(1500)}
        name_servers(machine, above)
        with_resolver(machine, body)
