"""The control socket's language: frames, and the values in them as JSON.

A frame is four bytes of length and a JSON object. ``fds`` in it says how many descriptors came along (SCM_RIGHTS) with
its bytes. The daemon sends ``{"id", "fds", "ops": [{"op": …}, …]}``; the ops of one frame take effect together, and are
answered in order: ``{"id", "fds", "results": […]}`` or ``{"id", "error"}``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_address

from fairlead.dns.message import DnsError, encode_name
from fairlead.dns.view import EndpointNames, Lesson, NamedPort, PortName, View

# Raised when an older process must be replaced by a newer one before it is spoken to further.
VERSION = 2
# The kernel takes 253 descriptors a message (SCM_MAX_FD); frames keep well below.
MOST_FDS = 240

_LONGEST = 1 << 24

Json = dict[str, object]


class ProtocolError(DnsError):
    """The other side does not speak this language."""


def encode(message: Mapping[str, object]) -> bytes:
    body = json.dumps(message, separators=(",", ":"), check_circular=False).encode()
    return len(body).to_bytes(4, "big") + body


class Decoder:
    """Bytes in, frames out; raises ProtocolError once what comes is no frame."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, part: bytes) -> Iterator[Json]:
        self._buffer += part
        while len(self._buffer) >= 4:
            size = int.from_bytes(self._buffer[:4], "big")
            if size > _LONGEST:
                raise ProtocolError(f"a frame of {size} bytes")
            if len(self._buffer) < size + 4:
                return
            body = bytes(self._buffer[4 : size + 4])
            del self._buffer[: size + 4]
            yield _decode(body)


def _decode(body: bytes) -> Json:
    try:
        message = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ProtocolError("a frame that is not JSON") from error
    if not isinstance(message, dict):
        raise ProtocolError("a frame that is not an object")
    return message


# -- fields -------------------------------------------------------------------------------------------------------


def text(message: Mapping[str, object], key: str) -> str:
    value = message.get(key)
    if not isinstance(value, str):
        raise ProtocolError(f"{key} is not text")
    return value


def number(message: Mapping[str, object], key: str) -> int:
    value = message.get(key)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ProtocolError(f"{key} is not a number")
    return value


def flag(message: Mapping[str, object], key: str) -> bool:
    value = message.get(key)
    if not isinstance(value, bool):
        raise ProtocolError(f"{key} is not true or false")
    return value


def table(message: Mapping[str, object], key: str) -> Json:
    value = message.get(key)
    if not isinstance(value, dict):
        raise ProtocolError(f"{key} is not an object")
    return value


def tables(message: Mapping[str, object], key: str) -> list[Json]:
    value = message.get(key)
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise ProtocolError(f"{key} is not a list of objects")
    return value


def texts(message: Mapping[str, object], key: str) -> tuple[str, ...]:
    value = message.get(key)
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ProtocolError(f"{key} is not a list of texts")
    return tuple(value)


def addresses(message: Mapping[str, object], key: str) -> tuple[str, ...]:
    found = texts(message, key)
    for address in found:
        try:
            ip_address(address)
        except ValueError as error:
            raise ProtocolError(f"{key}: {address!r} is not an address") from error
    return found


# -- values -------------------------------------------------------------------------------------------------------


def view_to_json(view: View) -> Json:
    return {
        **view._asdict(),
        "aliases": {alias: list(found) for alias, found in view.aliases.items()},
    }


def view_from_json(message: Json) -> View:
    aliases = table(message, "aliases")
    return View(
        networks=texts(message, "networks"),
        aliases={alias: addresses(aliases, alias) for alias in aliases},
        upstreams=texts(message, "upstreams"),
        from_sandbox=flag(message, "from_sandbox"),
        forward=flag(message, "forward"),
        ndots_set=flag(message, "ndots_set"),
    )


def endpoint_to_json(endpoint: EndpointNames) -> Json:
    return {**endpoint._asdict(), "ports": [port._asdict() for port in endpoint.ports]}


def endpoint_from_json(message: Json) -> EndpointNames:
    return EndpointNames(
        id=text(message, "id"),
        container=text(message, "container"),
        names=texts(message, "names"),
        addresses=addresses(message, "addresses"),
        ports=tuple(_named_port(port) for port in tables(message, "ports")),
    )


def network_to_json(network: str, name: str, endpoints: Iterable[EndpointNames]) -> Json:
    """The operation that tells a whole network."""
    told = [endpoint_to_json(endpoint) for endpoint in endpoints]
    return {"op": "network", "network": network, "name": name, "endpoints": told}


def endpoints_from_json(message: Json) -> list[EndpointNames]:
    return [endpoint_from_json(endpoint) for endpoint in tables(message, "endpoints")]


def lessons_to_json(network: str, lessons: Iterable[Lesson]) -> Json:
    """The operation that tells which names are of interest on a network."""
    return {"op": "lessons", "network": network, "lessons": [lesson._asdict() for lesson in lessons]}


def lesson_from_json(message: Json) -> Lesson:
    """Raises DnsError for what can be no name."""
    pattern = text(message, "pattern")
    encode_name(pattern.removeprefix("*."))
    return Lesson(pattern, text(message, "stem"))


def _named_port(message: Json) -> NamedPort:
    port = number(message, "port")
    if not 0 <= port < 1 << 16:
        raise ProtocolError(f"port {port}")
    name, protocol = text(message, "name"), text(message, "protocol")
    if not (0 < len(name.encode()) < 63 and 0 < len(protocol.encode()) < 63) or "." in name + protocol:
        raise ProtocolError(f"port name {name!r}/{protocol!r}")
    return NamedPort(name, protocol, port)


def ports_to_json(ports: Iterable[PortName]) -> list[Json]:
    return [{**port._asdict(), "target": list(port.target) if port.target else []} for port in ports]


def port_from_json(message: Json) -> PortName:
    return PortName(text(message, "protocol"), text(message, "ip"), number(message, "port"), _target(message))


def _target(message: Json) -> tuple[str, int] | None:
    match message.get("target"):
        case []:
            return None
        case [str() as ip, int() as port]:
            addresses({"target": [ip]}, "target")
            return ip, port
    raise ProtocolError("target is neither empty nor an address and a port")
