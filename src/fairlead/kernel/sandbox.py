"""Sandboxes: a container's network stack with the sockets of its embedded DNS inside.

All is done by one thread that enters, works and ends: namespace, loopback, sysctls, DNS sockets, redirection.
"""

from __future__ import annotations

import errno
import random
import socket
from collections.abc import Mapping
from dataclasses import dataclass

from fairlead.errors import KernelError
from fairlead.kernel import netns, sysctl
from fairlead.kernel.netlink import codec
from fairlead.kernel.netlink.connection import NETFILTER, Netlink
from fairlead.kernel.netlink.frames import NetlinkError
from fairlead.kernel.netlink.nf import DNS_ADDRESS, RULES, dns_redirection, dump_redirection, get_redirection
from fairlead.kernel.netns import Namespace
from fairlead.kernel.threads import in_thread
from fairlead.kernel.wiring import OUR_GROUP

# Above the kernel's ephemeral ports, so that no program in the container gets it by chance.
_DNS_PORTS = range(61_000, 65_536)
_TRIES = 20
_BACKLOG = 128


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A namespace and the two DNS sockets inside, both on 127.0.0.11 and the same port, non-blocking, listening."""

    ns: Namespace
    udp: socket.socket
    tcp: socket.socket


def open_sandbox(name: str, sysctls: Mapping[str, str]) -> Sandbox:
    """A new sandbox pinned under that name. ``sysctls`` have paths below /proc/sys as keys; raises KernelError."""
    return in_thread(lambda: _open_here(name, sysctls))


def reopen_dns(ns: Namespace) -> tuple[socket.socket, socket.socket]:
    """New DNS sockets (UDP, TCP) in a sandbox whose former ones are lost; the redirection leads to them."""
    return netns.run_in(ns, lambda: _open_dns(replace=True))


def mend_redirection(sandbox: Sandbox) -> bool:
    """The way from 127.0.0.11:53 to the DNS sockets once more, if somebody took it away or cut it; True if so."""
    return netns.run_in(sandbox.ns, lambda: _mend_redirection(sandbox.udp.getsockname()[1]))


def _mend_redirection(port: int) -> bool:
    connection = Netlink(NETFILTER)
    try:
        if len(connection.dump(dump_redirection())) == RULES:
            return False
        connection.transact(dns_redirection(port, replace=True))
    except NetlinkError as error:
        raise KernelError("redirect DNS", "to the embedded resolver", error.errno) from error
    finally:
        connection.close()
    return True


def discard_unnoted(name: str) -> None:
    """A pin whose maker went before it noted it: given back if there is a sandbox of ours behind it, or nothing."""
    try:
        ns = netns.open_existing(f"{netns.PINS}/{name}")
    except KernelError:
        netns.discard(name, 0)
        return
    try:
        if netns.run_in(ns, _is_ours):
            netns.discard(name, ns.inode)
    finally:
        ns.close()


def discard_sublinks(ns: Namespace) -> None:
    """All at once delete our links in there that stand on links of the host; where there is none, that is fine."""
    ns.netlink.exchange([codec.delete_group(OUR_GROUP)])


def _is_ours() -> bool:
    connection = Netlink(NETFILTER)
    try:
        return connection.ask(get_redirection()) is not None
    finally:
        connection.close()


def _open_here(name: str, sysctls: Mapping[str, str]) -> Sandbox:
    sockets: list[socket.socket] = []

    def furnish() -> None:
        sysctl.write_all(sysctls)
        sockets.extend(_open_dns())

    try:
        ns = netns.create_here(name, furnish)
    except BaseException:
        for opened in sockets:
            opened.close()
        raise
    udp, tcp = sockets
    return Sandbox(ns, udp, tcp)


def _open_dns(*, replace: bool = False) -> tuple[socket.socket, socket.socket]:
    udp, tcp = _bind_both()
    try:
        _redirect(udp.getsockname()[1], replace=replace)
    except NetlinkError as error:
        udp.close()
        tcp.close()
        raise KernelError("redirect DNS", "to the embedded resolver", error.errno) from error
    return udp, tcp


def _redirect(port: int, *, replace: bool) -> None:
    connection = Netlink(NETFILTER)
    try:
        connection.transact(dns_redirection(port, replace=replace))
    finally:
        connection.close()


def _bind_both() -> tuple[socket.socket, socket.socket]:
    for port in random.sample(_DNS_PORTS, _TRIES):
        udp = _bound(socket.SOCK_DGRAM, port)
        if udp is None:
            continue
        tcp = _bound(socket.SOCK_STREAM, port)
        if tcp is not None:
            tcp.listen(_BACKLOG)
            return udp, tcp
        udp.close()
    raise KernelError("bind", f"{DNS_ADDRESS} in the sandbox", errno.EADDRINUSE)


def _bound(kind: socket.SocketKind, port: int) -> socket.socket | None:
    """A socket at the DNS address, None where that port is taken."""
    fresh = socket.socket(socket.AF_INET, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        fresh.bind((str(DNS_ADDRESS), port))
    except OSError as error:
        fresh.close()
        if error.errno == errno.EADDRINUSE:
            return None
        raise KernelError("bind", f"{DNS_ADDRESS}:{port} in the sandbox", error.errno or 0) from error
    return fresh
