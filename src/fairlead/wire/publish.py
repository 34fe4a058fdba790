"""``[ip:][host[-host]]:container[-container][/protocol]``, as -p has it; errors are ValueErrors in Docker's words."""

from __future__ import annotations

from collections.abc import Callable, Iterator

_PROTOCOLS = frozenset({"tcp", "udp", "sctp"})


def bindings(spec: str, is_address: Callable[[str], bool]) -> Iterator[tuple[str, dict[str, str]]]:
    """``80/tcp`` and its HostIp and HostPort, once for each port of a range; either form of the specification."""
    text, protocol = split_protocol(_short_form(spec))
    address, host, container = _split(text)
    if address and not is_address(address):
        raise ValueError(f"invalid IP address: {address}")
    if not container:
        raise ValueError(f"no port specified: {text}<empty>")
    first, last = _checked(container, "containerPort")
    host_first, host_last = _checked(host, "hostPort") if host else (0, 0)
    if protocol not in _PROTOCOLS:
        raise ValueError(f"invalid proto: {protocol}")
    # One container port may be published on whichever host port of a range is free.
    if host and last - first != host_last - host_first and last != first:
        raise ValueError(f"invalid ranges specified for container and host Ports: {container} and {host}")
    for offset in range(last - first + 1):
        wanted = _host_port(host, host_first, host_last, offset, single=first == last)
        yield f"{first + offset}/{protocol}", {"HostIp": address, "HostPort": wanted}


def _host_port(host: str, first: int, last: int, offset: int, *, single: bool) -> str:
    if not host:
        return ""
    if single and first != last:
        return f"{first}-{last}"
    return str(first + offset)


def split_protocol(spec: str) -> tuple[str, str]:
    """What stands before the slash, and the protocol: tcp when none is named."""
    text, slash, protocol = spec.partition("/")
    return text, protocol.lower() if slash and protocol else "tcp"


def _split(text: str) -> tuple[str, str, str]:
    """(address, host port, container port), empty where left out."""
    rest, _, container = text.rpartition(":")
    address, _, host = rest.rpartition(":")
    if address.startswith("[") and address.endswith("]"):
        address = address[1:-1]
    return address, host, container


def _checked(text: str, what: str) -> tuple[int, int]:
    try:
        return port_range(text)
    except ValueError as wrong:
        raise ValueError(f"invalid {what}: {text}") from wrong


def port_range(text: str) -> tuple[int, int]:
    """``80`` or ``80-90`` as first and last."""
    if not text:
        raise ValueError("empty string specified for ports")
    start, dash, end = text.partition("-")
    first = _number(start)
    last = _number(end) if dash else first
    if last < first:
        raise ValueError(f"invalid range specified for port: {text}")
    return first, last


def _number(text: str) -> int:
    if not text.isdecimal() or not text.isascii() or int(text) > 65535:
        raise ValueError(f'strconv.ParseUint: parsing "{text}": invalid syntax')
    return int(text)


def _short_form(spec: str) -> str:
    """The long form as a short one."""
    if "=" not in spec:
        return spec
    fields: dict[str, str] = {}
    for part in spec.split(","):
        key, equals, value = part.partition("=")
        if not equals or not value:
            raise ValueError(f"invalid field {part}")
        if key.lower() not in {"published", "target", "protocol", "mode"}:
            raise ValueError(f"invalid field key {key}")
        fields[key.lower()] = value.lower()
    if "target" not in fields:
        raise ValueError(f"no port specified: {spec}")
    return f"{fields.get('published', '')}:{fields['target']}/{fields.get('protocol', 'tcp')}"
