"""``--publish`` and ``--expose``: specifications to Docker's port maps; errors are ValueErrors in Docker's words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fairlead.cli.container.values import is_address

PortMap = dict[str, list[dict[str, str]]]
_PROTOCOLS = frozenset({"tcp", "udp", "sctp"})


def port_map(specs: Sequence[str]) -> PortMap:
    """``[ip:][host[-host]]:container[-container][/protocol]`` or ``published=…,target=…`` each."""
    ports: PortMap = {}
    for spec in specs:
        for port, binding in _bindings(_short_form(spec)):
            ports.setdefault(port, []).append(binding)
    return ports


def exposed(specs: Sequence[str]) -> dict[str, object]:
    """``port[-port][/protocol]`` each."""
    ports: dict[str, object] = {}
    for spec in specs:
        if ":" in spec:
            raise ValueError(f"invalid port format for --expose: {spec}")
        text, protocol = _split_protocol(spec)
        try:
            first, last = _range(text)
        except ValueError as wrong:
            raise ValueError(f"invalid range format for --expose: {spec}, error: {wrong}") from wrong
        ports.update({f"{port}/{protocol}": {} for port in range(first, last + 1)})
    return ports


def _bindings(spec: str) -> Iterator[tuple[str, dict[str, str]]]:
    text, protocol = _split_protocol(spec)
    address, host, container = _split(text)
    if address and not is_address(address):
        raise ValueError(f"invalid IP address: {address}")
    if not container:
        raise ValueError(f"no port specified: {spec.partition('/')[0]}<empty>")
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


def _split_protocol(spec: str) -> tuple[str, str]:
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
        return _range(text)
    except ValueError as wrong:
        raise ValueError(f"invalid {what}: {text}") from wrong


def _range(text: str) -> tuple[int, int]:
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
