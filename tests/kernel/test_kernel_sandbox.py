"""Sandboxes: sysctls, the DNS sockets inside, and the redirection that leads 127.0.0.11:53 to them."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from fairlead.errors import KernelError
from fairlead.kernel import netns, sysctl
from fairlead.kernel.netlink.nf import DNS_TABLE
from fairlead.kernel.sandbox import Sandbox, open_sandbox, reopen_dns
from kernel.plumbing import run

DNS = ("127.0.0.11", 53)


def ask_udp(question: bytes) -> socket.socket:
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.settimeout(2)
    client.connect(DNS)
    client.send(question)
    return client


def test_both_sockets_listen_on_one_high_port(sandbox: Sandbox) -> None:
    assert sandbox.udp.getsockname() == sandbox.tcp.getsockname()
    assert sandbox.udp.getsockname()[0] == "127.0.0.11"
    assert sandbox.udp.getsockname()[1] > 60_999  # above the ephemeral range
    assert not sandbox.udp.getblocking()
    assert sandbox.tcp.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1


def test_a_query_to_port_53_arrives_and_its_answer_comes_from_there(sandbox: Sandbox) -> None:
    client = netns.run_in(sandbox.ns, lambda: ask_udp(b"question"))
    question, asker = sandbox.udp.recvfrom(512)
    assert question == b"question"
    sandbox.udp.sendto(b"answer", asker)
    assert client.recvfrom(512) == (b"answer", DNS)
    client.close()


def test_tcp_carries_long_answers(sandbox: Sandbox) -> None:
    client = netns.run_in(sandbox.ns, lambda: socket.create_connection(DNS, timeout=2))
    server, _ = sandbox.tcp.accept()
    server.sendall(b"x" * 200_000)
    server.close()
    received = b""
    while block := client.recv(65_536):
        received += block
    assert len(received) == 200_000
    assert client.getpeername() == DNS
    client.close()


def test_port_53_stays_free_for_the_containers_own_programs(sandbox: Sandbox) -> None:
    def own_server() -> tuple[bytes, bytes]:
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        server.bind(("0.0.0.0", 53))
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        client.settimeout(2)
        client.sendto(b"to the program", ("127.0.0.1", 53))
        question, asker = server.recvfrom(512)
        server.sendto(b"from the program", asker)
        answer = client.recv(512)
        client.close()
        server.close()
        return question, answer

    assert netns.run_in(sandbox.ns, own_server) == (b"to the program", b"from the program")


def test_no_connection_is_tracked_for_it(sandbox: Sandbox) -> None:
    listing = netns.run_in(sandbox.ns, lambda: run("nft", "list", "ruleset"))
    port = sandbox.udp.getsockname()[1]
    assert f"ip daddr 127.0.0.11 udp dport 53 notrack udp dport set {port}" in listing
    assert f"ip saddr 127.0.0.11 tcp sport {port} notrack tcp sport set 53" in listing
    assert "nat" not in listing


def test_lost_dns_sockets_are_made_anew_and_the_redirection_follows(sandbox: Sandbox) -> None:
    sandbox.udp.close()
    sandbox.tcp.close()
    udp, tcp = reopen_dns(sandbox.ns)
    client = netns.run_in(sandbox.ns, lambda: ask_udp(b"again"))
    assert udp.recvfrom(512)[0] == b"again"
    listing = netns.run_in(sandbox.ns, lambda: run("nft", "list", "ruleset"))
    assert listing.count(f"table ip {DNS_TABLE}") == 1
    assert listing.count("dport 53") == 2
    for held in (client, udp, tcp):
        held.close()


def test_sysctls_hold_inside_only(machine: Path) -> None:
    outside = sysctl.read("net/ipv4/ip_forward")
    flipped = "0" if outside == "1" else "1"
    box = open_sandbox("web", {"net/ipv4/ip_forward": flipped, "net/ipv6/conf/default/disable_ipv6": "1"})
    assert netns.run_in(box.ns, lambda: sysctl.read("net/ipv4/ip_forward")) == flipped
    assert sysctl.read("net/ipv4/ip_forward") == outside
    box.udp.close()
    box.tcp.close()


def test_a_refused_sysctl_leaves_nothing_behind(machine: Path) -> None:
    with pytest.raises(KernelError, match="net/no/such"):
        open_sandbox("web", {"net/no/such": "1"})
    assert netns.pins() == {}


def test_opening_one_is_quick(machine: Path, timing: Callable[[str, list[float]], None]) -> None:
    boxes, opened = [], []
    for number in range(20):
        began = time.perf_counter()
        boxes.append(open_sandbox(f"n{number}", {"net/ipv6/conf/default/disable_ipv6": "1"}))
        opened.append(time.perf_counter() - began)
    timing("sandbox opened, DNS included", opened)
    for box in boxes:
        box.udp.close()
        box.tcp.close()
        netns.remove(box.ns)
    assert sorted(opened)[10] < 0.02


def test_many_queries_need_no_conntrack_entries(sandbox: Sandbox) -> None:
    """A tracking table would hold every one of these clients."""
    for number in range(200):
        netns.run_in(sandbox.ns, lambda number=number: ask_udp(struct.pack("=I", number)).close())
    got = {sandbox.udp.recv(16) for _ in range(200)}
    assert len(got) == 200
    count = netns.run_in(sandbox.ns, lambda: sysctl.read("net/netfilter/nf_conntrack_count"))
    assert count in (None, "0")
