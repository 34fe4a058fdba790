"""Host ports: a claim keeps every other program off, in Docker's words, and holds no memory."""

from __future__ import annotations

import errno
import socket
from ipaddress import ip_address
from pathlib import Path

import pytest

from fairlead.kernel import ports, sysctl
from fairlead.kernel.ports import PortError, bind_port
from fairlead.model.port import Protocol

ANY4, ANY6, LOCAL4, LOCAL6 = (ip_address(text) for text in ("0.0.0.0", "::", "127.0.0.1", "::1"))


@pytest.mark.parametrize("protocol", [Protocol.TCP, Protocol.UDP])
@pytest.mark.parametrize(("first", "second"), [(ANY4, ANY4), (ANY4, LOCAL4), (LOCAL4, ANY4), (ANY6, LOCAL6)])
def test_a_claimed_port_is_refused(machine: Path, protocol: Protocol, first: object, second: object) -> None:
    with bind_port(protocol, first, 8080), pytest.raises(PortError) as refused:  # type: ignore[arg-type]
        bind_port(protocol, second, 8080)  # type: ignore[arg-type]
    assert refused.value.taken
    host = f"[{second}]" if ":" in str(second) else second
    assert str(refused.value) == f"failed to bind host port {host}:8080/{protocol}: address already in use"


def test_both_families_and_protocols_have_their_own(machine: Path) -> None:
    claims = [bind_port(protocol, ip, 8080) for protocol in (Protocol.TCP, Protocol.UDP) for ip in (ANY4, ANY6)]
    assert [claim.getsockname()[1] for claim in claims] == [8080] * 4
    for claim in claims:
        claim.close()
    bind_port(Protocol.TCP, ANY4, 8080).close()  # given back by closing


def test_a_program_that_reuses_addresses_is_kept_off_too(machine: Path) -> None:
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    with bind_port(Protocol.TCP, ANY4, 8080), pytest.raises(OSError, match="in use"):
        server.bind(("127.0.0.1", 8080))
    server.close()


def test_a_claim_queues_nothing(machine: Path) -> None:
    with bind_port(Protocol.UDP, ANY4, 8080) as claim, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.sendto(b"x", ("127.0.0.1", 8080))
        with pytest.raises(BlockingIOError):
            claim.recv(1)
        ports.take_all(claim)
        ports.take_all(claim)
        client.sendto(b"y", ("127.0.0.1", 8080))
        assert claim.recv(1) == b"y"


def test_a_relays_listener_accepts(machine: Path) -> None:
    with bind_port(Protocol.TCP, ANY6, 8080) as claim, socket.create_connection(("::1", 8080), 2) as client:
        accepted, _ = claim.accept()
        client.sendall(b"hello")
        assert accepted.recv(5) == b"hello"
        accepted.close()


@pytest.mark.parametrize(
    ("ip", "code", "words"),
    [("192.0.2.1", errno.EADDRNOTAVAIL, "cannot assign requested address"), ("2001:db8::1", errno.EADDRNOTAVAIL, "")],
)
def test_an_address_the_host_does_not_have(machine: Path, ip: str, code: int, words: str) -> None:
    with pytest.raises(PortError) as refused:
        bind_port(Protocol.TCP, ip_address(ip), 8080)
    assert refused.value.errno == code
    assert words in str(refused.value)


def test_sctp_is_claimed_wherever_the_kernel_speaks_it(machine: Path) -> None:
    bind_port(Protocol.SCTP, ANY4, 8080).close()


def test_a_thousand_claims(machine: Path) -> None:
    claims = [bind_port(Protocol.TCP, ANY4, 20_000 + number) for number in range(1000)]
    assert len({claim.getsockname() for claim in claims}) == 1000
    for claim in claims:
        claim.close()


def test_ranges_of_the_kernel_are_read(machine: Path) -> None:
    sysctl.write("net/ipv4/ip_local_port_range", "40000 41000")
    sysctl.write("net/ipv4/ip_local_reserved_ports", "40010,40020-40022")
    assert ports.ephemeral_range() == range(40_000, 41_001)
    assert ports.reserved_ports() == {40_010, 40_020, 40_021, 40_022}
