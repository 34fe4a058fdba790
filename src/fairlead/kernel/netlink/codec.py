"""The rtnetlink messages we speak, pure: links, addresses, routes, namespace numbers (rtnetlink(7)).

Requests are built with sequence 0. Readers take a message body and raise only NetlinkError, whatever the bytes.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
)

from fairlead.kernel.netlink import kinds
from fairlead.kernel.netlink.frames import (
    ACK,
    CREATE,
    DUMP,
    EXCL,
    REPLACE,
    NetlinkError,
    attribute,
    attributes,
    message,
    nested,
    number,
    string,
    text,
    u8,
    u32,
)
from fairlead.kernel.netlink.kinds import NO_NATURE, Nature
from fairlead.model.address import Interface, Ip, Prefix

NEWLINK, DELLINK, GETLINK = 16, 17, 18
NEWADDR, DELADDR, GETADDR = 20, 21, 22
NEWROUTE, DELROUTE, GETROUTE = 24, 25, 26
NEWNSID, GETNSID = 88, 90

AF_UNSPEC, AF_INET, AF_BRIDGE, AF_INET6 = 0, 2, 7, 10

UP = 0x1
_LINK = struct.Struct("=BxHiII")  # family, type, index, flags, change
_ADDRESS = struct.Struct("=BBBBi")  # family, prefix, flags, scope, index
_ROUTE = struct.Struct("=BBBBBBBBI")  # family, dst, src, tos, table, protocol, scope, type, flags
_NSID = struct.Struct("=Bxxx")

_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MTU, _IFLA_LINK, _IFLA_QDISC, _IFLA_MASTER = 1, 3, 4, 5, 6, 10
_IFLA_LINKINFO, _IFLA_IFALIAS, _IFLA_AF_SPEC, _IFLA_GROUP, _IFLA_NET_NS_FD = 18, 20, 26, 27, 28
_IFLA_EXT_MASK, _IFLA_LINK_NETNSID = 29, 37
_SKIP_STATISTICS = 1 << 3  # RTEXT_FILTER_SKIP_STATS: a dump without counters is half as long
_INFO_KIND, _INFO_DATA, _INFO_SLAVE_KIND, _INFO_SLAVE_DATA = 1, 2, 4, 5
_VETH_PEER = 1
_PORT_STATE, _PORT_HAIRPIN, _PORT_ISOLATED = 1, 4, 33
_FORWARDING = 3  # linux/if_bridge.h, BR_STATE_FORWARDING
_INET6_ADDR_GEN_MODE, _GEN_MODE_NONE = 8, 1

_IFA_ADDRESS, _IFA_LOCAL, _IFA_BROADCAST, _IFA_FLAGS, _IFA_PROTO = 1, 2, 4, 8, 11
_IFA_F_NODAD = 0x02

_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_PRIORITY, _RTA_PREFSRC = 1, 4, 5, 6, 7
_RTA_MULTIPATH, _RTA_TABLE = 9, 15
TABLE_MAIN, _SCOPE_UNIVERSE, _SCOPE_LINK, _UNICAST = 254, 0, 253, 1

_NETNSA_NSID, _NETNSA_FD = 1, 3
NO_NSID = -1


@dataclass(frozen=True, slots=True)
class LinkInfo:
    """A link as the kernel tells it; ``master`` and ``peer_index`` are interface numbers, 0 for none.

    ``peer_index`` is the other end of a veth pair, or what a macvlan, ipvlan or VLAN link stands on; ``peer_nsid`` says
    where that is (NO_NSID: in the same namespace).
    """

    index: int
    name: str
    kind: str
    up: bool
    mtu: int
    mac: str
    master: int
    alias: str
    group: int
    peer_index: int
    peer_nsid: int
    hairpin: bool
    isolated: bool
    nature: Nature = NO_NATURE
    qdisc: str = ""
    shut: bool = False  # a port of a bridge that passes nothing on, or not yet


@dataclass(frozen=True, slots=True)
class AddressInfo:
    index: int
    address: Interface
    protocol: int


@dataclass(frozen=True, slots=True)
class RouteInfo:
    """A route as the kernel tells it; an IPv6 route made without a metric has 1024 (IP6_RT_PRIO_USER)."""

    prefix: Prefix
    index: int
    via: Ip | None
    source: Ip | None
    metric: int
    table: int
    protocol: int
    kind: int

    @property
    def unicast(self) -> bool:
        return self.kind == _UNICAST


def mac_bytes(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))


# Links


def _header(index: int = 0, flags: int = 0, change: int = 0, family: int = AF_UNSPEC) -> bytes:
    return _LINK.pack(family, 0, index, flags, change)


def _common(name: str, mtu: int, mac: str) -> bytes:
    parts = text(_IFLA_IFNAME, name)
    if mtu:
        parts += u32(_IFLA_MTU, mtu)
    return parts + (attribute(_IFLA_ADDRESS, mac_bytes(mac)) if mac else b"")


def new_bridge(name: str, *, mtu: int = 0, mac: str = "", group: int = 0, up: bool = False) -> bytes:
    flags = UP if up else 0
    body = _header(0, flags, flags) + _common(name, mtu, mac) + u32(_IFLA_GROUP, group)
    return message(NEWLINK, ACK | CREATE | EXCL, body + nested(_IFLA_LINKINFO, text(_INFO_KIND, "bridge")))


def new_link(name: str, kind: str, *, group: int = 0) -> bytes:
    """A link of a kind that needs no more than its name."""
    body = _header() + _common(name, 0, "") + u32(_IFLA_GROUP, group)
    return message(NEWLINK, ACK | CREATE | EXCL, body + nested(_IFLA_LINKINFO, text(_INFO_KIND, kind)))


@dataclass(frozen=True, slots=True, kw_only=True)
class VethEnd:
    """One end of a veth pair to be made; ``namespace`` is a descriptor, None for the socket's own."""

    name: str
    mac: str = ""
    mtu: int = 0
    group: int = 0
    master: int = 0
    namespace: int | None = None
    up: bool = False


def new_veth(near: VethEnd, far: VethEnd) -> bytes:
    """Both ends from one message; the far end is born inside its namespace under its final name."""
    flags = UP if far.up else 0
    peer = _header(0, flags, flags) + _common(far.name, far.mtu, far.mac)
    if far.namespace is not None:
        peer += u32(_IFLA_NET_NS_FD, far.namespace)
    flags = UP if near.up else 0
    body = _header(0, flags, flags) + _common(near.name, near.mtu, near.mac) + u32(_IFLA_GROUP, near.group)
    if near.master:
        body += u32(_IFLA_MASTER, near.master)
    pair = nested(_INFO_DATA, nested(_VETH_PEER, peer))
    return message(NEWLINK, ACK | CREATE | EXCL, body + nested(_IFLA_LINKINFO, text(_INFO_KIND, "veth"), pair))


@dataclass(frozen=True, slots=True, kw_only=True)
class SubLink:
    """A link of a kind that stands on another one; ``parent`` is that one's number in the socket's namespace."""

    name: str
    kind: str
    parent: int
    nature: Nature
    mac: str = ""
    mtu: int = 0
    group: int = 0
    namespace: int | None = None


def new_sublink(link: SubLink) -> bytes:
    """Born inside its namespace, where one is given by descriptor.

    Kernels before 6.15 refuse a name that the socket's own namespace has too.
    """
    body = _header() + _common(link.name, link.mtu, link.mac) + u32(_IFLA_LINK, link.parent)
    body += u32(_IFLA_GROUP, link.group)
    if link.namespace is not None:
        body += u32(_IFLA_NET_NS_FD, link.namespace)
    about = nested(_INFO_DATA, kinds.render(link.kind, link.nature))
    return message(NEWLINK, ACK | CREATE | EXCL, body + nested(_IFLA_LINKINFO, text(_INFO_KIND, link.kind), about))


def probe_kind(kind: str) -> bytes:
    """A link that no kernel makes, for want of a parent: EOPNOTSUPP says that it does not know the kind either."""
    return message(NEWLINK, ACK | CREATE | EXCL, _header() + nested(_IFLA_LINKINFO, text(_INFO_KIND, kind)))


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkEdit:
    """What to set on a link; None leaves a thing as it is. ``master`` 0 releases it from its bridge.

    ``namespace`` is the descriptor of where it is to go, which puts it down; a ``name`` is then given to it there.
    """

    up: bool | None = None
    mtu: int | None = None
    mac: str | None = None
    master: int | None = None
    alias: str | None = None
    group: int | None = None
    name: str | None = None
    namespace: int | None = None


def set_link(target: int | str, edit: LinkEdit) -> bytes:
    """Change a link known by number, or by name (then it cannot be renamed)."""
    flags = UP if edit.up else 0
    parts = [_header(target if isinstance(target, int) else 0, flags, 0 if edit.up is None else UP)]
    if isinstance(target, str):
        parts.append(text(_IFLA_IFNAME, target))
    elif edit.name is not None:
        parts.append(text(_IFLA_IFNAME, edit.name))
    if edit.mac:
        parts.append(attribute(_IFLA_ADDRESS, mac_bytes(edit.mac)))
    if edit.alias is not None:
        # An empty IFLA_IFALIAS removes the alias; the kernel counts the bytes, so no NUL.
        parts.append(attribute(_IFLA_IFALIAS, edit.alias.encode()))
    parts += [
        u32(kind, value)
        for kind, value in (
            (_IFLA_MTU, edit.mtu),
            (_IFLA_MASTER, edit.master),
            (_IFLA_GROUP, edit.group),
            (_IFLA_NET_NS_FD, edit.namespace),
        )
        if value is not None
    ]
    return message(NEWLINK, ACK, b"".join(parts))


def no_generated_address(name: str) -> bytes:
    """Let the kernel give a link no IPv6 address when it comes up; refused (EAFNOSUPPORT) where there is no IPv6."""
    mode = nested(AF_INET6, u8(_INET6_ADDR_GEN_MODE, _GEN_MODE_NONE))
    return message(NEWLINK, ACK, _header() + text(_IFLA_IFNAME, name) + nested(_IFLA_AF_SPEC, mode))


def set_port(name: str, *, hairpin: bool, isolated: bool) -> bytes:
    """The bridge's settings for one of its ports, named."""
    port = nested(_INFO_SLAVE_DATA, u8(_PORT_HAIRPIN, hairpin), u8(_PORT_ISOLATED, isolated))
    body = _header() + text(_IFLA_IFNAME, name) + nested(_IFLA_LINKINFO, text(_INFO_SLAVE_KIND, "bridge"), port)
    return message(NEWLINK, ACK, body)


def delete_link(target: int | str) -> bytes:
    if isinstance(target, int):
        return message(DELLINK, ACK, _header(target))
    return message(DELLINK, ACK, _header() + text(_IFLA_IFNAME, target))


def delete_group(group: int) -> bytes:
    """Delete every link of a group at the price of one: the kernel waits for its readers once."""
    return message(DELLINK, ACK, _header() + u32(_IFLA_GROUP, group))


def get_link(target: int | str) -> bytes:
    filtered = u32(_IFLA_EXT_MASK, _SKIP_STATISTICS)
    if isinstance(target, int):
        return message(GETLINK, 0, _header(target) + filtered)
    return message(GETLINK, 0, _header() + text(_IFLA_IFNAME, target) + filtered)


def dump_links() -> bytes:
    return message(GETLINK, DUMP, _header() + u32(_IFLA_EXT_MASK, _SKIP_STATISTICS))


def read_index(body: memoryview) -> int:
    """A link's number, without the rest of what the kernel tells of it."""
    if len(body) < _LINK.size:
        raise NetlinkError("truncated link")
    index: int = _LINK.unpack_from(body)[2]
    return index


def read_link(body: memoryview) -> LinkInfo:
    if len(body) < _LINK.size:
        raise NetlinkError("truncated link")
    _, _, index, flags, _ = _LINK.unpack_from(body)
    found = attributes(body, _LINK.size)
    about = attributes(found[_IFLA_LINKINFO]) if _IFLA_LINKINFO in found else {}
    port: dict[int, memoryview] = {}
    if string(about.get(_INFO_SLAVE_KIND)) == "bridge" and _INFO_SLAVE_DATA in about:
        port = attributes(about[_INFO_SLAVE_DATA])
    kind = string(about.get(_INFO_KIND))
    return LinkInfo(
        index=index,
        name=string(found.get(_IFLA_IFNAME)),
        kind=kind,
        up=bool(flags & UP),
        mtu=number(found.get(_IFLA_MTU)),
        mac=bytes(found.get(_IFLA_ADDRESS, b"")).hex(":"),
        master=number(found.get(_IFLA_MASTER)),
        alias=string(found.get(_IFLA_IFALIAS)),
        group=number(found.get(_IFLA_GROUP)),
        peer_index=number(found.get(_IFLA_LINK)),
        peer_nsid=_signed(found.get(_IFLA_LINK_NETNSID)),
        hairpin=number(port.get(_PORT_HAIRPIN)) != 0,
        isolated=number(port.get(_PORT_ISOLATED)) != 0,
        nature=kinds.parse(kind, about[_INFO_DATA]) if _INFO_DATA in about else NO_NATURE,
        qdisc=string(found.get(_IFLA_QDISC)),
        shut=number(port.get(_PORT_STATE)) != _FORWARDING if port else False,
    )


def _signed(payload: memoryview | None) -> int:
    if payload is None:
        return NO_NSID
    value = number(payload)
    return value - (1 << 32) if value >= 1 << 31 else value


# Addresses


def family_of(address: Ip | Interface | Prefix) -> int:
    return AF_INET if address.version == 4 else AF_INET6


def _address_body(index: int, address: Interface, protocol: int) -> bytes:
    # Duplicate address detection holds an IPv6 address back for a second; addresses here come from one allocator.
    flags = _IFA_F_NODAD if address.version == 6 else 0
    scope = _SCOPE_LINK if address.version == 6 and address.is_link_local else _SCOPE_UNIVERSE
    packed = address.ip.packed
    parts = [_ADDRESS.pack(family_of(address), address.network.prefixlen, flags, scope, index)]
    parts += [attribute(_IFA_LOCAL, packed), attribute(_IFA_ADDRESS, packed)]
    if address.version == 4 and address.network.prefixlen < 31:
        parts.append(attribute(_IFA_BROADCAST, address.network.broadcast_address.packed))
    if protocol:
        parts.append(u8(_IFA_PROTO, protocol))
    return b"".join(parts)


def new_address(index: int, address: Interface, protocol: int = 0) -> bytes:
    return message(NEWADDR, ACK | CREATE | EXCL, _address_body(index, address, protocol))


def delete_address(index: int, address: Interface) -> bytes:
    return message(DELADDR, ACK, _address_body(index, address, 0))


def dump_addresses(family: int = AF_UNSPEC) -> bytes:
    return message(GETADDR, DUMP, _ADDRESS.pack(family, 0, 0, 0, 0))


def read_address(body: memoryview) -> AddressInfo:
    if len(body) < _ADDRESS.size:
        raise NetlinkError("truncated address")
    family, length, _, _, index = _ADDRESS.unpack_from(body)
    found = attributes(body, _ADDRESS.size)
    # On a point-to-point link IFA_ADDRESS is the far side; IFA_LOCAL, where there is one, is always ours.
    packed = found.get(_IFA_LOCAL, found.get(_IFA_ADDRESS))
    return AddressInfo(index, _interface(family, packed, length), number(found.get(_IFA_PROTO)))


def _interface(family: int, packed: memoryview | None, length: int) -> Interface:
    match ip_of(family, packed):
        case IPv4Address() as address if length <= 32:
            return IPv4Interface((address, length))
        case IPv6Address() as address if length <= 128:
            return IPv6Interface((address, length))
    raise NetlinkError("address without a value")


def ip_of(family: int, packed: memoryview | None) -> Ip | None:
    if packed is None:
        return None
    match family, len(packed):
        case 2, 4:
            return IPv4Address(bytes(packed))
        case 10, 16:
            return IPv6Address(bytes(packed))
    raise NetlinkError("address of odd family or length")


# Routes


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteEntry:
    """A route to be made or removed; ``table`` 254 is the main one."""

    prefix: Prefix
    index: int
    via: Ip | None = None
    source: Ip | None = None
    metric: int = 0
    protocol: int = 0
    table: int = TABLE_MAIN


def _route_body(entry: RouteEntry, kind: int) -> bytes:
    scope = _SCOPE_LINK if entry.via is None and entry.prefix.version == 4 else _SCOPE_UNIVERSE
    table = entry.table if entry.table < 256 else 0  # the header has one byte for it, RTA_TABLE four
    header = (family_of(entry.prefix), entry.prefix.prefixlen, 0, 0, table, entry.protocol, scope, kind, 0)
    parts = [_ROUTE.pack(*header)]
    if entry.prefix.prefixlen:
        parts.append(attribute(_RTA_DST, entry.prefix.network_address.packed))
    parts.append(u32(_RTA_OIF, entry.index))
    if not table:
        parts.append(u32(_RTA_TABLE, entry.table))
    if entry.via is not None:
        parts.append(attribute(_RTA_GATEWAY, entry.via.packed))
    if entry.source is not None:
        parts.append(attribute(_RTA_PREFSRC, entry.source.packed))
    if entry.metric:
        parts.append(u32(_RTA_PRIORITY, entry.metric))
    return b"".join(parts)


def new_route(entry: RouteEntry, *, replace: bool = False) -> bytes:
    return message(NEWROUTE, ACK | CREATE | (REPLACE if replace else EXCL), _route_body(entry, _UNICAST))


def delete_route(entry: RouteEntry) -> bytes:
    return message(DELROUTE, ACK, _route_body(entry, 0))


def dump_routes(family: int = AF_UNSPEC) -> bytes:
    return message(GETROUTE, DUMP, _ROUTE.pack(family, 0, 0, 0, 0, 0, 0, 0, 0))


def route_protocol(body: memoryview) -> int:
    """Who made a route, without reading the rest: most of a table is the kernel's own."""
    return body[5] if len(body) >= _ROUTE.size else 0


def is_unicast(body: memoryview) -> bool:
    """Whether a route leads to hosts, without reading the rest."""
    return len(body) >= _ROUTE.size and body[7] == _UNICAST


def read_route(body: memoryview) -> RouteInfo | None:
    """None for the families that are not IP (MPLS, multicast routing)."""
    if len(body) < _ROUTE.size:
        raise NetlinkError("truncated route")
    family, length, _, _, table, protocol, _, kind, _ = _ROUTE.unpack_from(body)
    if family not in (AF_INET, AF_INET6):
        return None
    found = attributes(body, _ROUTE.size)
    return RouteInfo(
        prefix=prefix_of(family, found.get(_RTA_DST), length),
        index=_out_link(found),
        via=ip_of(family, found.get(_RTA_GATEWAY)),
        source=ip_of(family, found.get(_RTA_PREFSRC)),
        metric=number(found.get(_RTA_PRIORITY)),
        table=number(found.get(_RTA_TABLE), table),
        protocol=protocol,
        kind=kind,
    )


def prefix_of(family: int, packed: memoryview | None, length: int) -> Prefix:
    if family == AF_INET and length <= 32:
        return IPv4Network((bytes(packed or b"\0" * 4), length), strict=False) if _sized(packed, 4) else _odd()
    if family == AF_INET6 and length <= 128:
        return IPv6Network((bytes(packed or b"\0" * 16), length), strict=False) if _sized(packed, 16) else _odd()
    return _odd()


def _sized(packed: memoryview | None, size: int) -> bool:
    return packed is None or len(packed) == size


def _odd() -> Prefix:
    raise NetlinkError("prefix of odd length")


def _out_link(found: dict[int, memoryview]) -> int:
    """The link a route leaves by; the first hop's of several."""
    if _RTA_OIF in found:
        return number(found[_RTA_OIF])
    hops = found.get(_RTA_MULTIPATH)
    # struct rtnexthop: u16 length, u8 flags, u8 hops, s32 index
    return struct.unpack_from("=HBBi", hops)[3] if hops is not None and len(hops) >= 8 else 0


# Namespace numbers


def get_nsid(descriptor: int) -> bytes:
    """Which number the socket's namespace has for the one behind the descriptor."""
    return message(GETNSID, 0, _NSID.pack(0) + u32(_NETNSA_FD, descriptor))


def new_nsid(descriptor: int) -> bytes:
    """Give the namespace behind the descriptor a number in the socket's own; EEXIST where it has one."""
    any_number = u32(_NETNSA_NSID, NO_NSID & 0xFFFFFFFF)
    return message(NEWNSID, ACK, _NSID.pack(0) + u32(_NETNSA_FD, descriptor) + any_number)


def read_nsid(body: memoryview) -> int:
    """NO_NSID where no number was given yet."""
    return _signed(attributes(body, _NSID.size).get(_NETNSA_NSID))
