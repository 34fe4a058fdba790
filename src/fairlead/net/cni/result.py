"""What plugins answer, in the form of every version of the protocol, as one value."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from ipaddress import ip_address, ip_interface, ip_network
from typing import Any

import msgspec

from fairlead.errors import InvalidArgument
from fairlead.model.address import Interface, Ip, Prefix
from fairlead.net.cni.conflist import VERSIONS, since
from fairlead.net.cni.errors import CniError, PluginFailure
from fairlead.wire import body

# Enough of what a broken plugin printed for a person to see what it is.
_EXCERPT = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """An interface that was made or found. ``sandbox`` "" is the host."""

    name: str
    mac: str = ""
    mtu: int = 0
    sandbox: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assigned:
    """An address. ``link`` is a place in the list of interfaces, None where the plugin does not say which."""

    address: Interface
    gateway: Ip | None = None
    link: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    destination: Prefix
    via: Ip | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dns:
    nameservers: tuple[str, ...] = ()
    domain: str = ""
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()

    @property
    def servers(self) -> tuple[Ip, ...]:
        """Those that are addresses; names of servers lead nowhere."""
        return tuple(address for text in self.nameservers if (address := _address(text)) is not None)

    @property
    def domains(self) -> tuple[str, ...]:
        """Where short names are looked for, the container's own domain first."""
        return tuple(dict.fromkeys(name for name in (self.domain, *self.search) if name))


def _address(text: str) -> Ip | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """``text`` is the answer itself in the version spoken: the next plugin, CHECK and DEL get it as it is."""

    links: tuple[Link, ...] = ()
    assigned: tuple[Assigned, ...] = ()
    routes: tuple[Route, ...] = ()
    dns: Dns = field(default_factory=Dns)
    text: str = "{}"

    def inside(self, ifname: str) -> Link:
        """The container's interface of that name; one that says nothing but its name where the plugins keep quiet."""
        found = (link for link in self.links if link.sandbox and link.name == ifname)
        return next(found, Link(name=ifname))

    def of(self, ifname: str) -> tuple[Assigned, ...]:
        """The addresses of that interface, and those that are nobody's by name."""
        return tuple(each for each in self.assigned if each.link is None or self._is(each.link, ifname))

    def _is(self, place: int, ifname: str) -> bool:
        link = self.links[place]
        return bool(link.sandbox) and link.name == ifname


class _DnsBody(msgspec.Struct, frozen=True, kw_only=True):
    nameservers: tuple[str, ...] = ()
    domain: str = ""
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


class _InterfaceBody(msgspec.Struct, frozen=True, kw_only=True):
    name: str = ""
    mac: str = ""
    mtu: int = 0
    sandbox: str = ""


class _IpBody(msgspec.Struct, frozen=True, kw_only=True):
    address: str = ""
    gateway: str = ""
    interface: int | None = None


class _RouteBody(msgspec.Struct, frozen=True, kw_only=True):
    dst: str = ""
    gw: str = ""


class _OldIpBody(msgspec.Struct, frozen=True, kw_only=True):
    ip: str = ""
    gateway: str = ""
    routes: tuple[_RouteBody, ...] = ()


class _ResultBody(msgspec.Struct, frozen=True, kw_only=True):
    cni_version: str = msgspec.field(default="", name="cniVersion")
    interfaces: tuple[_InterfaceBody, ...] = ()
    ips: tuple[_IpBody, ...] = ()
    routes: tuple[_RouteBody, ...] = ()
    dns: _DnsBody = _DnsBody()
    ip4: _OldIpBody | None = None
    ip6: _OldIpBody | None = None


class _VersionsBody(msgspec.Struct, frozen=True, kw_only=True):
    supported: tuple[str, ...] = msgspec.field(default=(), name="supportedVersions")


class _FailureBody(msgspec.Struct, frozen=True, kw_only=True):
    code: int = 0
    msg: str = ""
    details: str = ""


def parse_result(printed: bytes, version: str) -> Result:
    """What ADD printed; ``version`` is the one it was asked to speak."""
    value = _object(printed)
    given = _convert(value, _ResultBody)
    said = given.cni_version or version
    if said not in VERSIONS:
        raise CniError(f"it answered in CNI {said!r}, which nobody asked for ({version} was)")
    olds = [old for old in (given.ip4, given.ip6) if old is not None]
    result = Result(
        links=tuple(_link(each) for each in given.interfaces),
        assigned=(*(_assigned(each, len(given.interfaces)) for each in given.ips), *map(_old, olds)),
        routes=tuple(_route(each) for each in (*given.routes, *(route for old in olds for route in old.routes))),
        dns=Dns(**msgspec.structs.asdict(given.dns)),
    )
    told = value if _form(said) == _form(version) else _rendered(result, version)
    return replace(result, text=msgspec.json.encode(told | {"cniVersion": version}).decode())


def parse_versions(printed: bytes) -> tuple[str, ...]:
    """What VERSION printed. A plugin older than the command itself prints none, and speaks 0.1.0."""
    return _convert(_object(printed), _VersionsBody).supported or VERSIONS[:1]


def parse_failure(plugin: str, printed: bytes, complaint: str) -> PluginFailure:
    """What a plugin printed that ended with an error; of one that printed something else, what it said instead."""
    try:
        given = _convert(_object(printed), _FailureBody)
    except CniError:
        return PluginFailure(plugin, 0, _excerpt(complaint.encode() if complaint.strip() else printed))
    return PluginFailure(plugin, given.code, _excerpt(given.msg.encode()), _excerpt(given.details.encode()))


def _object(printed: bytes) -> dict[str, Any]:
    try:
        value = body.decode(printed)
    except InvalidArgument as error:
        raise CniError(f"it printed no JSON: {_excerpt(printed) or 'nothing at all'}") from error
    if not isinstance(value, dict):
        raise CniError(f"it printed no JSON object: {_excerpt(printed)}")
    return value


def _excerpt(printed: bytes) -> str:
    text = " ".join(printed[: 4 * _EXCERPT].decode(errors="replace").split())
    plain = "".join(letter if letter.isprintable() else "?" for letter in text)
    return plain if len(plain) <= _EXCERPT else f"{plain[:_EXCERPT]}…"


def _convert(value: dict[str, Any], kind: type[body.T]) -> body.T:
    try:
        return body.convert(value, kind)
    except InvalidArgument as error:
        raise CniError(f"its answer cannot be read: {error}") from error


def _link(given: _InterfaceBody) -> Link:
    return Link(name=given.name, mac=given.mac.lower(), mtu=given.mtu, sandbox=given.sandbox)


def _assigned(given: _IpBody, links: int) -> Assigned:
    if given.interface is not None and not 0 <= given.interface < links:
        raise CniError(f"its answer has an address on interface {given.interface} of {links}")
    return Assigned(address=_interface(given.address), gateway=_gateway(given.gateway), link=given.interface)


def _old(given: _OldIpBody) -> Assigned:
    return Assigned(address=_interface(given.ip), gateway=_gateway(given.gateway))


def _route(given: _RouteBody) -> Route:
    try:
        destination = ip_network(given.dst, strict=False)
    except ValueError as error:
        raise CniError(f"its answer has a route to {given.dst!r}, which is no subnet") from error
    return Route(destination=destination, via=_gateway(given.gw))


def _interface(text: str) -> Interface:
    try:
        address = ip_interface(text)
    except ValueError as error:
        raise CniError(f"its answer has the address {text!r}, which is none") from error
    if "/" not in text or "%" in text:
        raise CniError(f"its answer has the address {text!r}, which is not ADDRESS/BITS")
    return address


def _gateway(text: str) -> Ip | None:
    if not text:
        return None
    try:
        return ip_address(text)
    except ValueError as error:
        raise CniError(f"its answer has the gateway {text!r}, which is no address") from error


def _form(version: str) -> int:
    """Versions of one form can be handed on as they are: ip4 and ip6; a list with families; a list without."""
    return since(version, "0.3.0") + since(version, "1.0.0")


def _rendered(result: Result, version: str) -> dict[str, Any]:
    """The result in the form of another version than the plugin's, for those who come after it."""
    dns = {key: value for key, value in asdict(result.dns).items() if value}
    if not since(version, "0.3.0"):
        return {**dict(_old_ips(result)), "dns": dns}
    return {
        "interfaces": [_without_empty(asdict(link)) for link in result.links],
        "ips": [_ip(each, version) for each in result.assigned],
        "routes": [_route_body(route) for route in result.routes],
        "dns": dns,
    }


def _old_ips(result: Result) -> Iterator[tuple[str, dict[str, Any]]]:
    """One address of each family is all that the first versions had."""
    for each in reversed(result.assigned):
        routes = [r for r in result.routes if r.destination.version == each.address.version]
        known = {"ip": str(each.address), "gateway": str(each.gateway or ""), "routes": [*map(_route_body, routes)]}
        yield f"ip{each.address.version}", _without_empty(known)


def _ip(each: Assigned, version: str) -> dict[str, Any]:
    family = "" if since(version, "1.0.0") else str(each.address.version)
    known = {"version": family, "address": str(each.address), "gateway": str(each.gateway or "")}
    return _without_empty(known) | ({} if each.link is None else {"interface": each.link})


def _route_body(route: Route) -> dict[str, Any]:
    return _without_empty({"dst": str(route.destination), "gw": str(route.via or "")})


def _without_empty(value: dict[str, Any]) -> dict[str, Any]:
    return {key: item for key, item in value.items() if item}
