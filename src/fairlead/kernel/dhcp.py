"""DHCP on one interface of a sandbox, before it has an address: a packet socket that takes nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address

from fairlead.errors import KernelError
from fairlead.kernel import netns
from fairlead.kernel.netns import Namespace
from fairlead.net import dhcp
from fairlead.net.dhcp import BROADCAST, DhcpError, Message

_ETH_P_IP = 0x0800
_EVERYBODY = b"\xff" * 6
_SO_ATTACH_FILTER = 26
_LONGEST = 2048

# Classic BPF over the IP header (linux/filter.h): UDP, no fragment but a first one, to port 68; the whole of it.
_FILTER = (
    (0x30, 0, 0, 9),  # the protocol
    (0x15, 0, 6, socket.IPPROTO_UDP),
    (0x28, 0, 0, 6),  # the fragment's offset
    (0x45, 4, 0, 0x1FFF),
    (0xB1, 0, 0, 0),  # how long the IP header is
    (0x48, 0, 0, 2),  # the port behind it
    (0x15, 0, 1, dhcp.CLIENT_PORT),
    (0x06, 0, 0, 0xFFFF),
    (0x06, 0, 0, 0),
)


class Wire:
    """What DHCP messages come and go by; belongs to a running event loop."""

    def __init__(self, link: socket.socket, ifname: str) -> None:
        self._link = link
        self._ifname = ifname

    def send(self, message: Message, *, source: IPv4Address, server: IPv4Address = BROADCAST, mac: str = "") -> None:
        """To everybody, or to one server whose MAC is known. What cannot be sent is lost, as on any network."""
        packet = dhcp.wrap(dhcp.render(message), source, server)
        to = bytes.fromhex(mac.replace(":", "")) if mac else _EVERYBODY
        with contextlib.suppress(OSError):
            self._link.sendto(packet, (self._ifname, _ETH_P_IP, 0, 0, to))

    async def receive(self) -> tuple[Message, str]:
        """The next message and the MAC it came from; what is no DHCP message is passed over."""
        while True:
            packet, (_, _, _, _, sender) = await self._next()
            with contextlib.suppress(DhcpError):
                return dhcp.parse(dhcp.unwrap(packet)), bytes(sender).hex(":")

    async def _next(self) -> tuple[bytes, tuple[str, int, int, int, bytes]]:
        try:
            return await asyncio.get_running_loop().sock_recvfrom(self._link, _LONGEST)
        except OSError as error:
            # The interface went down, or away: said once by the kernel, and nothing comes until it is back.
            raise KernelError("listen for DHCP on", self._ifname, error.errno or 0) from error


@contextmanager
def opened(ns: Namespace, ifname: str) -> Iterator[Wire]:
    """Raises KernelError where there is no such interface."""
    try:
        link, silencer = netns.run_in(ns, lambda: _open(ifname))
    except OSError as error:
        raise KernelError("listen for DHCP on", ifname, error.errno or 0) from error
    try:
        yield Wire(link, ifname)
    finally:
        link.close()
        if silencer is not None:
            silencer.close()


def _open(ifname: str) -> tuple[socket.socket, socket.socket | None]:
    link = socket.socket(
        socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, socket.htons(_ETH_P_IP)
    )
    try:
        _attach_filter(link)
        link.bind((ifname, _ETH_P_IP))
    except OSError:
        link.close()
        raise
    return link, _silencer(ifname)


def _attach_filter(link: socket.socket) -> None:
    code = b"".join(struct.pack("=HBBI", *step) for step in _FILTER)
    program = ctypes.create_string_buffer(code)
    link.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", len(_FILTER), ctypes.addressof(program)))


def _silencer(ifname: str) -> socket.socket | None:
    """Takes the same messages and is never read: without it the kernel tells a server that nobody listens.

    A program of the container's own may have the port.
    """
    silencer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    try:
        silencer.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, ifname.encode())
        silencer.bind(("0.0.0.0", dhcp.CLIENT_PORT))
    except OSError:
        silencer.close()
        return None
    return silencer
