"""Host ports, claimed by binding them: a bound socket is the claim, closing it gives it back.

The kernel's own DNAT takes the packets before they reach these sockets; they only keep other programs off the port.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct
from contextlib import suppress

from fairlead.errors import EngineError
from fairlead.model.address import Ip
from fairlead.model.port import Protocol

_SO_ATTACH_FILTER = 26
_SO_DETACH_FILTER = 27
_IPPROTO_SCTP = 132
_BACKLOG = 128
_RETURN_NOTHING = struct.pack("=HBBI", 0x06, 0, 0, 0)  # one BPF instruction: RET 0, drop
_FALLBACK_EPHEMERAL = range(49_153, 65_536)

_KINDS = {
    Protocol.TCP: (socket.SOCK_STREAM, 0),
    Protocol.UDP: (socket.SOCK_DGRAM, 0),
    Protocol.SCTP: (socket.SOCK_STREAM, _IPPROTO_SCTP),
}


class PortError(EngineError):
    """A host port that cannot be bound; ``errno`` says why (EADDRINUSE, EADDRNOTAVAIL, EACCES)."""

    def __init__(self, protocol: Protocol, ip: Ip, port: int, code: int) -> None:
        host = f"[{ip}]" if ip.version == 6 else str(ip)
        super().__init__(f"failed to bind host port {host}:{port}/{protocol}: {_words(code)}")
        self.errno = code

    @property
    def taken(self) -> bool:
        return self.errno == errno.EADDRINUSE


def _words(code: int) -> str:
    """Go's words for the errno, as in Docker's message."""
    return {errno.EADDRNOTAVAIL: "cannot assign requested address"}.get(code, os.strerror(code).lower())


def bind_port(protocol: Protocol, ip: Ip, port: int) -> socket.socket:
    """The claim on a host port; raises PortError.

    TCP sockets listen: the kernel lets two bound sockets share a port with SO_REUSEADDR until one listens. IPv4 TCP
    and all UDP sockets drop whatever arrives; an IPv6 TCP socket does not, since a relay may accept from it.
    """
    kind, number = _KINDS[protocol]
    family = socket.AF_INET6 if ip.version == 6 else socket.AF_INET
    try:
        claim = socket.socket(family, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, number)
    except OSError as error:
        if protocol is Protocol.SCTP and error.errno == errno.EPROTONOSUPPORT:
            return _token()
        raise PortError(protocol, ip, port, error.errno or 0) from error
    try:
        _claim(claim, protocol, ip, port)
    except OSError as error:
        claim.close()
        raise PortError(protocol, ip, port, error.errno or 0) from error
    return claim


def _token() -> socket.socket:
    """Stands for a port of a protocol the kernel does not speak: no program can take it, so nothing need be bound."""
    return socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)


def _claim(claim: socket.socket, protocol: Protocol, ip: Ip, port: int) -> None:
    if ip.version == 6:
        claim.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    if protocol is not Protocol.UDP:
        # Without it a restarted container's port is refused while former connections are in TIME_WAIT.
        claim.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if protocol is Protocol.UDP or ip.version == 4:
        drop_all(claim)
    claim.bind((str(ip), port))
    if protocol is not Protocol.UDP:
        claim.listen(_BACKLOG)


def drop_all(claim: socket.socket) -> None:
    """Let nothing that arrives be queued: a claim is never read, and must not hold memory."""
    program = _Program(_RETURN_NOTHING)
    claim.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program.descriptor)


def take_all(claim: socket.socket) -> None:
    """Undo ``drop_all``: the claim becomes a socket that is read."""
    with suppress(FileNotFoundError):
        claim.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)


class _Program:
    """struct sock_fprog for a classic BPF program; the instructions live as long as this does."""

    def __init__(self, instructions: bytes) -> None:
        self._buffer = ctypes.create_string_buffer(instructions, len(instructions))
        self.descriptor = struct.pack("HL", len(instructions) // 8, ctypes.addressof(self._buffer))


def ephemeral_range() -> range:
    """The ports the kernel gives out by itself, from which ``-P`` and ``-p 80`` choose as well."""
    try:
        with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as file:
            low, high = map(int, file.read().split())
    except (OSError, ValueError):
        return _FALLBACK_EPHEMERAL
    return range(low, high + 1) if 0 < low <= high <= 65_535 else _FALLBACK_EPHEMERAL


def reserved_ports() -> frozenset[int]:
    """Ports the administrator keeps from automatic choice (ip_local_reserved_ports)."""
    try:
        with open("/proc/sys/net/ipv4/ip_local_reserved_ports", encoding="ascii") as file:
            listed = file.read().strip()
    except OSError:
        return frozenset()
    ranges = (part.partition("-") for part in listed.split(",") if part)
    return frozenset(port for low, _, high in ranges for port in range(int(low), int(high or low) + 1))
