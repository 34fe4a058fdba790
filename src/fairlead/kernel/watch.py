"""Watches what others do to what is ours: netlink and nftables notifications, and the pins in /run/netns.

Our own changes are told by the kernel too. They agree with the ledger, or come from this process, and are passed over;
what contradicts the ledger is a sign that somebody else was at work. A sign is only a hint to look. What the host's
other links and routes do is passed on to ``surroundings``.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import struct
from collections.abc import Callable, Iterator, Mapping

from fairlead.kernel import netns, syscalls
from fairlead.kernel.apply import Kernel
from fairlead.kernel.ledger import Ledger
from fairlead.kernel.netlink import codec, rules, tc
from fairlead.kernel.netlink.codec import LinkInfo
from fairlead.kernel.netlink.connection import NETFILTER, ROUTE
from fairlead.kernel.netlink.frames import Message, NetlinkError, attributes, messages, number, string
from fairlead.kernel.netlink.nf import DNS_TABLE
from fairlead.net import policytables, ruleset
from fairlead.net.state import HOST, ROUTE_PROTOCOL, Link

HOST_LINKS = "host-links"
NFT = "nft"
FOREIGN = "foreign"  # a table of somebody else's

OnChange = Callable[[str], None]

_SOL_NETLINK, _LISTEN_ALL_NSID = 270, 8
_SO_RCVBUFFORCE, _RECEIVE_BUFFER = 33, 4 << 20
# Bits of struct sockaddr_nl: links, IPv4 and IPv6 addresses, IPv4 and IPv6 routes, IPv4 and IPv6 rules,
# traffic control.
_ROUTE_GROUPS = 1 << 0 | 1 << 4 | 1 << 8 | 1 << 6 | 1 << 10 | 1 << 7 | 1 << 18 | 1 << 3
_NFTABLES_GROUP = 1 << 6
# What stands on links, and what leads to them.
_STANDING = frozenset({codec.NEWADDR, codec.DELADDR, codec.NEWROUTE, codec.DELROUTE, rules.DELRULE})
_GONE = frozenset({codec.DELADDR, codec.DELROUTE, rules.DELRULE})
_DATAGRAM = 64 << 10

_NFT_SUBSYSTEM = 10
_NEWGEN = 15
_NFT_REMOVALS = frozenset({2, 5, 8})  # of tables, chains, rules
_TABLE_NAME, _GEN_PROC_PID = 1, 2
_SET_NAME, _ELEMENTS = 2, (12, 14)
_NFGENMSG = 4
_INOTIFY_EVENT = struct.Struct("=iIII")


class Watch:
    """Calls ``on_change`` with ``host-links``, ``nft``, ``foreign`` or a container's id; from ``close`` on no more.

    Made in the host's network namespace, with a running event loop, which does the reading. One socket hears all
    sandboxes: those have a number in the host's namespace as soon as a veth pair connects the two.
    """

    def __init__(self, on_change: OnChange, kernel: Kernel) -> None:
        self._on_change = on_change
        self._kernel = kernel
        self._loop = asyncio.get_running_loop()
        self._links = _listen(ROUTE, _ROUTE_GROUPS)
        self._links.setsockopt(_SOL_NETLINK, _LISTEN_ALL_NSID, 1)
        self._nft = _listen(NETFILTER, _NFTABLES_GROUP)
        self._nft.setsockopt(_SOL_NETLINK, _LISTEN_ALL_NSID, 1)
        self._parents: dict[str, int] = {}  # name and number of links of the host that something of ours stands on
        self._touched: set[str] = set()  # what a transaction under way, its end not told yet, is about
        self._pins = _watch_pins()
        for descriptor, hear in (
            (self._links.fileno(), self._hear_links),
            (self._nft.fileno(), self._hear_nft),
            (self._pins, self._hear_pins),
        ):
            self._loop.add_reader(descriptor, hear)
        kernel.surroundings.follow(self._hear_links)

    def close(self) -> None:
        self._kernel.surroundings.follow(None)
        for descriptor in (self._links.fileno(), self._nft.fileno(), self._pins):
            self._loop.remove_reader(descriptor)
        self._links.close()
        self._nft.close()
        os.close(self._pins)

    def _hear_links(self) -> None:
        """All that is there to hear, then the signs in it: of a link only its last state counts."""
        links: dict[tuple[int, int], Message] = {}
        rest: list[tuple[int, Message]] = []
        try:
            for nsid, message in _heard(self._links):
                if message.kind in (codec.NEWLINK, codec.DELLINK):
                    _keep_link(links, nsid, message)
                elif message.kind in _STANDING or message.kind in tc.KINDS:
                    rest.append((nsid, message))
        except OSError:
            self._tell_all()
            return
        signs = {self._sign_of_link(nsid, message) for (nsid, _), message in links.items()}
        signs |= {self._sign(nsid, message) for nsid, message in rest}
        for scope in signs - {None}:
            self._on_change(HOST_LINKS if scope == HOST else str(scope))

    def _hear_host_link(self, link: LinkInfo, *, gone: bool) -> None:
        self._kernel.surroundings.hear_link(link, gone=gone)
        ledger = self._kernel.ledger
        if gone or link.name not in ledger.parents or self._parents.get(link.name) == link.index:
            return
        # A new link under the name of one that something of ours stood on.
        self._parents[link.name] = link.index
        for scope in ledger.standing_on(link.name):
            self._on_change(HOST_LINKS if scope == HOST else scope)

    def _sign_of_link(self, nsid: int, message: Message) -> str | None:
        """The scope in which a link contradicts the ledger."""
        scope = self._scope_of(nsid)
        if scope is None:
            return None
        try:
            link = codec.read_link(message.body)
        except NetlinkError:
            return None
        gone = message.kind == codec.DELLINK
        if scope == HOST:
            self._hear_host_link(link, gone=gone)
        asked = self._kernel.ledger.links.get((scope, link.name))
        return scope if asked is not None and (gone or _differs(link, asked)) else None

    def _sign(self, nsid: int, message: Message) -> str | None:
        """The scope in which an address, a route or a rule of ours has gone."""
        scope = self._scope_of(nsid)
        if message.kind in tc.KINDS:
            return scope if scope is not None and self._is_shaped_by_another(scope, message) else None
        if scope == HOST and message.kind != rules.DELRULE:
            self._kernel.surroundings.hear(message)
        if scope is None or message.kind not in _GONE:
            return None
        try:
            return scope if _is_ours(self._kernel.ledger, scope, message) else None
        except NetlinkError:
            return None

    def _scope_of(self, nsid: int) -> str | None:
        """None for a namespace that is none of ours."""
        return HOST if nsid == codec.NO_NSID else self._kernel.container_of(nsid) or None

    def _is_shaped_by_another(self, scope: str, message: Message) -> bool:
        """These notifications carry the number of the socket that asked for the change."""
        kernel = self._kernel
        ns = kernel.host if scope == HOST else kernel.sandboxes().get(scope)
        return ns is not None and kernel.ledger.is_shaped(scope) and message.port != ns.netlink.port

    def _hear_nft(self) -> None:
        try:
            for nsid, message in _heard(self._nft):
                if message.kind >> 8 != _NFT_SUBSYSTEM:
                    continue
                if nsid == codec.NO_NSID:
                    self._take_nft(message)
                elif message.kind & 0xFF in _NFT_REMOVALS:
                    self._take_removal(nsid, message)
        except OSError:
            self._tell_all()

    def _take_nft(self, message: Message) -> None:
        """Every transaction ends with a NEWGEN that says whose it was."""
        found = attributes(message.body, _NFGENMSG)
        if message.kind & 0xFF != _NEWGEN:
            self._touched |= _signs_of(message.kind & 0xFF, found)
            return
        touched, self._touched = self._touched, set()
        author = int.from_bytes(found.get(_GEN_PROC_PID, b""), "big")
        if author != os.getpid():
            for scope in touched:
                self._on_change(scope)

    def _take_removal(self, nsid: int, message: Message) -> None:
        """In a sandbox only what somebody takes away of our table counts. We make it, and replace it only at a loss."""
        if string(attributes(message.body, _NFGENMSG).get(_TABLE_NAME)) == DNS_TABLE and (
            container := self._kernel.container_of(nsid)
        ):
            self._on_change(container)

    def _hear_pins(self) -> None:
        """Somebody took a name out of /run/netns; a sandbox that still has that name misses its pin."""
        gone = set(_removed_names(self._pins))
        for container, ns in list(self._kernel.sandboxes().items()):
            if ns.name in gone and not netns.is_pinned(ns.path, ns.inode):
                self._on_change(container)

    def _tell_all(self) -> None:
        """The kernel lost notifications (ENOBUFS): anything may have changed."""
        self._kernel.surroundings.forget()
        for scope in (HOST_LINKS, NFT, FOREIGN, *self._kernel.sandboxes()):
            self._on_change(scope)


def _is_ours(ledger: Ledger, scope: str, message: Message) -> bool:
    if message.kind == codec.DELADDR:
        return ledger.has_address(scope, codec.read_address(message.body).address)
    if message.kind == rules.DELRULE:
        rule = rules.read_rule(message.body)
        return rule is not None and (scope, rule.version, rule.priority) in ledger.rules
    route = codec.read_route(message.body)
    return route is not None and route.protocol == ROUTE_PROTOCOL and ledger.has_route(scope, route.prefix)


def _signs_of(verb: int, found: Mapping[int, memoryview]) -> set[str]:
    """Whose table is touched: ours, or somebody else's; what the resolver process learned is nobody's business."""
    table = string(found.get(_TABLE_NAME))
    if table not in (ruleset.TABLE, policytables.TABLE):
        return {FOREIGN}
    learned = verb in _ELEMENTS and policytables.is_volatile(string(found.get(_SET_NAME)))
    return set() if learned and table == policytables.TABLE else {NFT}


def _differs(found: LinkInfo, asked: Link) -> bool:
    return (
        found.up != asked.up
        or asked.mtu not in (0, found.mtu)
        or asked.mac not in ("", found.mac)
        or asked.alias not in ("", found.alias)
        or bool(asked.master) != bool(found.master)
    )


def _listen(family: int, groups: int) -> socket.socket:
    listener = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, family)
    listener.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER)
    listener.bind((0, groups))
    return listener


def _heard(listener: socket.socket) -> Iterator[tuple[int, Message]]:
    """(number of the namespace, NO_NSID for the listener's own; message) until none is left; OSError: some are lost."""
    while True:
        try:
            datagram, ancillary, _, _ = listener.recvmsg(_DATAGRAM, 64)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno == errno.ENOBUFS:
                # Clear what is queued behind the gap: everything will be looked at anyway.
                _drain(listener)
            raise
        nsid = next(
            (number(memoryview(raw)) for level, kind, raw in ancillary if kind == _LISTEN_ALL_NSID), codec.NO_NSID
        )
        try:
            for message in messages(datagram):
                yield nsid, message
        except NetlinkError:
            continue


def _drain(listener: socket.socket) -> None:
    try:
        while listener.recv(1):
            pass
    except OSError:
        return


def _keep_link(links: dict[tuple[int, int], Message], nsid: int, message: Message) -> None:
    """A bridge tells of its ports a second time in a family of its own: those are passed over."""
    if len(message.body) >= 8 and message.body[0] != codec.AF_BRIDGE:
        links[nsid, struct.unpack_from("=i", message.body, 4)[0]] = message


def _watch_pins() -> int:
    os.makedirs(netns.PINS, mode=0o755, exist_ok=True)
    descriptor = syscalls.inotify_init()
    syscalls.inotify_add_watch(descriptor, netns.PINS, syscalls.IN_DELETE | syscalls.IN_MOVED_FROM)
    return descriptor


def _removed_names(descriptor: int) -> Iterator[str]:
    try:
        while True:
            events = os.read(descriptor, _DATAGRAM)
            offset = 0
            while offset + _INOTIFY_EVENT.size <= len(events):
                *_, length = _INOTIFY_EVENT.unpack_from(events, offset)
                offset += _INOTIFY_EVENT.size
                yield os.fsdecode(events[offset : offset + length].split(b"\0", 1)[0])
                offset += length
    except BlockingIOError:
        return
