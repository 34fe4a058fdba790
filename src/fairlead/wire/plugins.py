"""The words of network and IPAM plugins: answers -> values, values -> requests.

Readers take whatever a plugin sent and raise only InvalidArgument. Docker's documents for both sides are
libnetwork/docs/remote.md and libnetwork/docs/ipam.md in its source.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from ipaddress import ip_address, ip_interface, ip_network
from typing import Any, TypeVar

import msgspec

from fairlead.errors import InvalidArgument
from fairlead.model.address import Interface, Ip, Prefix
from fairlead.model.container import Strings, StrMap
from fairlead.model.outside import StaticRoute
from fairlead.model.plugin import (
    DriverAbilities,
    InterfaceChoice,
    IpamAbilities,
    IpamData,
    JoinChoice,
    PoolChoice,
)
from fairlead.model.port import ContainerPort, PortBinding, PortRequest, Protocol
from fairlead.wire import body
from fairlead.wire.addresses import parse_mac

GENERIC = "com.docker.network.generic"
ENABLE_IPV4, ENABLE_IPV6 = "com.docker.network.enable_ipv4", "com.docker.network.enable_ipv6"
INTERNAL = "com.docker.network.internal"
EXPOSED = "com.docker.network.endpoint.exposedports"
PORT_MAP = "com.docker.network.portmap"
MAC = "com.docker.network.endpoint.macaddress"
GATEWAY = "com.docker.network.gateway"
ADDRESS_TYPE = "RequestAddressType"

# The numbers of RFC 5237's registry, which Docker uses here.
_PROTOCOLS: Mapping[Protocol, int] = {Protocol.TCP: 6, Protocol.UDP: 17, Protocol.SCTP: 132}
_BY_NUMBER: Mapping[int, Protocol] = {number: protocol for protocol, number in _PROTOCOLS.items()}

_IFNAME = re.compile(r"[^\s/:\0]{1,15}\Z")
_SCOPES = ("local", "global")
_CONNECTED = 1  # a static route without a next hop

A = TypeVar("A", bound=msgspec.Struct)


class _Complaint(msgspec.Struct, frozen=True, kw_only=True):
    """Network plugins say Err, IPAM plugins Error."""

    err: str = msgspec.field(default="", name="Err")
    error: str = msgspec.field(default="", name="Error")


class _Manifest(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    implements: Strings = ()


class _DriverCapabilities(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    scope: str = ""
    connectivity_scope: str = ""
    gw_alloc_checker: bool = False


class _GatewayCheck(msgspec.Struct, frozen=True, kw_only=True):
    skip4: bool = msgspec.field(default=False, name="SkipIPv4")
    skip6: bool = msgspec.field(default=False, name="SkipIPv6")


class _Interface(msgspec.Struct, frozen=True, kw_only=True):
    ipv4: str = msgspec.field(default="", name="Address")
    ipv6: str = msgspec.field(default="", name="AddressIPv6")
    mac: str = msgspec.field(default="", name="MacAddress")


class _Created(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    interface: _Interface = _Interface()


class _InterfaceName(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    src_name: str = ""
    dst_prefix: str = ""
    dst_name: str = ""


class _Route(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    destination: str = ""
    route_type: int = 0
    next_hop: str = ""


class _Joined(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    interface_name: _InterfaceName = _InterfaceName()
    gateway: str = ""
    gateway6: str = msgspec.field(default="", name="GatewayIPv6")
    static_routes: tuple[_Route, ...] = ()
    disable_gateway_service: bool = False


class _IpamCapabilities(msgspec.Struct, frozen=True, kw_only=True):
    mac: bool = msgspec.field(default=False, name="RequiresMACAddress")
    replay: bool = msgspec.field(default=False, name="RequiresRequestReplay")


class _Spaces(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    local_default_address_space: str = ""
    global_default_address_space: str = ""


class _Pool(msgspec.Struct, frozen=True, kw_only=True):
    id: str = msgspec.field(default="", name="PoolID")
    pool: str = msgspec.field(default="", name="Pool")
    data: StrMap = msgspec.field(default={}, name="Data")


class _Address(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    address: str = ""


# -- any answer --------------------------------------------------------------------------------------------------------


def complaint(text: bytes) -> str:
    """What a plugin says went wrong; "" when nothing did, or when this is not its way to say it."""
    try:
        found = body.parse(text, _Complaint)
    except InvalidArgument:
        return ""
    return found.err or found.error


def nothing(text: bytes) -> None:
    """An answer that says only that it is done. Some plugins then send no body at all."""
    if text.strip():
        body.parse(text, _Complaint)


def implements(text: bytes) -> frozenset[str]:
    """Of Plugin.Activate: the kinds of plugin it is."""
    return frozenset(body.parse(text, _Manifest).implements)


# -- network drivers ---------------------------------------------------------------------------------------------------


def driver_abilities(text: bytes) -> DriverAbilities:
    found = body.parse(text, _DriverCapabilities)
    if found.scope not in _SCOPES or found.connectivity_scope not in ("", *_SCOPES):
        wrong = found.scope if found.scope not in _SCOPES else found.connectivity_scope
        raise InvalidArgument(f"invalid capability: expecting 'local' or 'global', got {wrong!r}")
    return DriverAbilities(
        scope=found.scope,
        connectivity=found.connectivity_scope or found.scope,
        checks_gateways=found.gw_alloc_checker,
    )


def skipped_gateways(text: bytes) -> frozenset[int]:
    """The IP versions in which a network of that driver needs no gateway address."""
    found = body.parse(text, _GatewayCheck)
    return frozenset(version for version, skipped in ((4, found.skip4), (6, found.skip6)) if skipped)


def interface_choice(text: bytes) -> InterfaceChoice:
    found = body.parse(text, _Created).interface
    return InterfaceChoice(
        ipv4=_cidr(found.ipv4, "Address", 4) if found.ipv4 else None,
        ipv6=_cidr(found.ipv6, "AddressIPv6", 6) if found.ipv6 else None,
        mac=parse_mac(found.mac),
    )


def join_choice(text: bytes) -> JoinChoice:
    found = body.parse(text, _Joined)
    names = found.interface_name
    gateways = [_gateway(text, version) for text, version in ((found.gateway, 4), (found.gateway6, 6)) if text]
    return JoinChoice(
        link=_ifname(names.src_name, "SrcName"),
        prefix=_ifname(names.dst_prefix, "DstPrefix"),
        name=_ifname(names.dst_name, "DstName"),
        gateways=tuple(gateways),
        routes=tuple(_route(route) for route in found.static_routes),
        gateway_service=not found.disable_gateway_service,
    )


def endpoint_info(text: bytes) -> dict[str, Any]:
    """Of EndpointOperInfo: whatever it is, an object."""
    value = body.member(_object(body.decode(text)), "Value")
    return {} if value is None else _object(value)


def shown_ports(info: Mapping[str, Any]) -> tuple[PortBinding, ...]:
    """The ports that an endpoint's information says are published; what is not understood there is passed over."""
    listed = info.get(PORT_MAP)
    found = [_shown_port(entry) for entry in listed] if isinstance(listed, list) else []
    return tuple(binding for binding in found if binding is not None)


def _shown_port(entry: Any) -> PortBinding | None:
    match entry:
        case {"Proto": int(proto), "Port": int(port), "HostPort": int(outer)} if proto in _BY_NUMBER:
            address = entry.get("HostIP") or "0.0.0.0"
            if 0 < port < 1 << 16 and 0 < outer < 1 << 16 and isinstance(address, str):
                try:
                    ip = ip_address(address)
                except ValueError:
                    return None
                inner = ContainerPort(port=port, protocol=_BY_NUMBER[proto])
                return PortBinding(container=inner, host_ip=ip, host_port=outer)
    return None


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidArgument("an object is wanted")
    return value


def _ifname(text: str, field: str) -> str:
    if text and (_IFNAME.match(text) is None or text in (".", "..", "lo") or not text.isprintable()):
        raise InvalidArgument(f"{field} {text[:40]!r} is not a name for an interface")
    return text


def _gateway(text: str, version: int) -> Ip:
    try:
        address = ip_address(text)
    except ValueError as error:
        raise InvalidArgument(f"unable to parse Gateway {text[:60]!r}") from error
    if address.version != version or "%" in text:
        raise InvalidArgument(f"Gateway {text} is not an IPv{version} address")
    return address


def _route(found: _Route) -> StaticRoute:
    try:
        prefix = ip_network(found.destination, strict=False)
    except ValueError as error:
        raise InvalidArgument(f"Destination {found.destination[:60]!r} of a static route is no subnet") from error
    via = _gateway(found.next_hop, prefix.version) if found.next_hop and found.route_type != _CONNECTED else None
    if via is None and found.route_type != _CONNECTED:
        raise InvalidArgument(f"the static route to {prefix} has no NextHop")
    return StaticRoute(prefix=prefix, via=via)


def _cidr(text: str, field: str, version: int = 0) -> Interface:
    try:
        address = ip_interface(text)
    except ValueError as error:
        raise InvalidArgument(f"{field} {text[:60]!r} is no address with a prefix length") from error
    if "/" not in text or "%" in text or version not in (0, address.version):
        raise InvalidArgument(
            f"{field} {text[:60]!r} is no IPv{version or address.version} address with a prefix length"
        )
    return address


def network_options(options: Mapping[str, str], *, ipv4: bool, ipv6: bool, internal: bool) -> dict[str, Any]:
    """The Options of CreateNetwork; ``options`` are those of ``-o``."""
    flags = {ENABLE_IPV4: ipv4, ENABLE_IPV6: ipv6} | ({INTERNAL: True} if internal else {})
    return {GENERIC: dict(options), **flags}


def ipam_request(data: Sequence[IpamData]) -> dict[str, Any]:
    """What CreateNetwork says of addresses."""
    return {
        "IPv4Data": [_ipam_data(entry) for entry in data if entry.pool.version == 4],
        "IPv6Data": [_ipam_data(entry) for entry in data if entry.pool.version == 6],
    }


def interface(address: Ip, prefix: Prefix) -> Interface:
    """An address of a subnet, with that subnet's length."""
    return ip_interface(f"{address}/{prefix.prefixlen}")


def _ipam_data(entry: IpamData) -> dict[str, Any]:
    shown: dict[str, Any] = {"AddressSpace": entry.space, "Pool": str(entry.pool)}
    if entry.gateway is not None:
        shown["Gateway"] = str(entry.gateway)
    if entry.aux:
        shown["AuxAddresses"] = {name: str(address) for name, address in entry.aux}
    return shown


def interface_request(addresses: Sequence[Interface], mac: str) -> dict[str, str]:
    """The Interface of CreateEndpoint: what is decided already."""
    by_version = {address.version: str(address) for address in reversed(addresses)}
    return {"Address": by_version.get(4, ""), "AddressIPv6": by_version.get(6, ""), "MacAddress": mac}


def port_options(exposed: Sequence[ContainerPort], requests: Sequence[PortRequest]) -> dict[str, Any]:
    """What a container exposes and what it asked to be published, among the options of an endpoint."""
    return {
        EXPOSED: [{"Proto": _PROTOCOLS[port.protocol], "Port": port.port} for port in exposed],
        PORT_MAP: [
            {
                "Proto": _PROTOCOLS[request.container.protocol],
                "IP": "",
                "Port": request.container.port,
                "HostIP": "" if request.host_ip is None else str(request.host_ip),
                "HostPort": request.low,
                "HostPortEnd": request.high,
            }
            for request in requests
        ],
    }


# -- IPAM --------------------------------------------------------------------------------------------------------------


def ipam_abilities(text: bytes) -> IpamAbilities:
    found = body.parse(text, _IpamCapabilities)
    return IpamAbilities(needs_mac=found.mac, needs_replay=found.replay)


def address_spaces(text: bytes) -> tuple[str, str]:
    """The default address spaces of local and of global networks."""
    found = body.parse(text, _Spaces)
    return found.local_default_address_space, found.global_default_address_space


def pool_choice(text: bytes) -> PoolChoice:
    found = body.parse(text, _Pool)
    if not found.id:
        raise InvalidArgument("PoolID is empty")
    gateway = found.data.get(GATEWAY, "")
    prefix = _prefix(found.pool)
    return PoolChoice(id=found.id, prefix=prefix, gateway=_cidr(gateway, GATEWAY, prefix.version) if gateway else None)


def _prefix(text: str) -> Prefix:
    return _cidr(text, "Pool").network


def address_choice(text: bytes) -> Interface:
    found = body.parse(text, _Address)
    if not found.address:
        raise InvalidArgument("no address was returned")
    return _cidr(found.address, "Address")


def pool_request(
    space: str, pool: Prefix | None, sub_pool: Prefix | None, options: Mapping[str, str], *, v6: bool
) -> dict[str, Any]:
    return {
        "AddressSpace": space,
        "Pool": "" if pool is None else str(pool),
        "SubPool": "" if sub_pool is None else str(sub_pool),
        "Options": dict(options),
        "V6": v6,
    }


def address_request(pool: str, address: Ip | None, options: Mapping[str, str]) -> dict[str, Any]:
    return {"PoolID": pool, "Address": "" if address is None else str(address), "Options": dict(options)}


def address_release(pool: str, address: Ip) -> dict[str, Any]:
    return {"PoolID": pool, "Address": str(address)}
