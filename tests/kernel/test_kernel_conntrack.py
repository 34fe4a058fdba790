"""A UDP client that never pauses follows the publishing of its port."""

from __future__ import annotations

import socket

import pytest

from fairlead.ids import ContainerId
from fairlead.kernel import conntrack, netns, sysctl
from fairlead.kernel.apply import Kernel
from fairlead.kernel.sandbox import Sandbox, open_sandbox
from fairlead.net.state import HOST, Add, Element, Remove, Sysctl
from kernel.plumbing import BRIDGE, CONTAINER, endpoint, network

PORT = 5353
FORWARD = [
    Add(Sysctl(ns=HOST, key=f"net/ipv4/conf/{BRIDGE}/route_localnet", value="1")),
    Add(Element(container="bridges", key=f'"{BRIDGE}"')),
    Add(Element(container="same_bridge", key=f'"{BRIDGE}" . "{BRIDGE}"')),
]


def published(number: int) -> Element:
    return Element(container="published4", key=f"udp . {PORT}", value=f"10.9.0.{number} . 53")


def server() -> socket.socket:
    found = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    found.settimeout(2)
    found.bind(("0.0.0.0", 53))
    return found


@pytest.fixture(autouse=True)
def joined(kernel: Kernel, sandbox: Sandbox) -> Sandbox:
    kernel.add_sandbox(ContainerId(CONTAINER), sandbox.ns)
    kernel.apply([*network(), *endpoint(), *FORWARD])
    return sandbox


def test_a_flow_that_began_before_publishing_reaches_the_container(kernel: Kernel, sandbox: Sandbox) -> None:
    inside = netns.run_in(sandbox.ns, server)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client, inside:
        client.bind(("127.0.0.1", 4000))
        client.sendto(b"nobody is there", ("127.0.0.1", PORT))
        kernel.apply([Add(published(2))])
        client.sendto(b"now", ("127.0.0.1", PORT))
        assert inside.recv(64) == b"now"


def test_a_flow_moves_to_the_container_that_has_the_port_now(kernel: Kernel, sandbox: Sandbox) -> None:
    second = open_sandbox("second", {})
    kernel.add_sandbox(ContainerId("d" * 64), second.ns)
    kernel.apply([*endpoint(3, "d" * 64), Add(published(2))])
    one, two = (netns.run_in(box.ns, server) for box in (sandbox, second))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client, one, two:
        client.bind(("127.0.0.1", 4000))
        client.sendto(b"to the first", ("127.0.0.1", PORT))
        assert one.recv(64) == b"to the first"
        kernel.apply([Remove(published(2))])
        kernel.apply([Add(published(3))])
        client.sendto(b"to the second", ("127.0.0.1", PORT))
        assert two.recv(64) == b"to the second"
    second.udp.close()
    second.tcp.close()


def test_other_flows_are_left_alone(kernel: Kernel, sandbox: Sandbox) -> None:
    assert sysctl.read("net/netfilter/nf_conntrack_count") is not None
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        for port in (PORT, PORT + 1):
            client.sendto(b"x", ("127.0.0.1", port))
        assert conntrack.forget_udp({PORT}, lambda _: False) == 0
        assert conntrack.forget_udp({PORT}, lambda ip: ip.is_loopback) == 1
        assert conntrack.forget_udp({PORT}, lambda ip: ip.is_loopback) == 0
