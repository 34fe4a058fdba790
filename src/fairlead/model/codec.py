"""JSON for model values: msgspec with the types it does not know (addresses, interfaces, networks)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_address,
    ip_interface,
    ip_network,
)
from typing import Any, TypeVar

import msgspec

from fairlead.model.address import Interface, Ip, Prefix

T = TypeVar("T")

_PARSE: Mapping[Any, Callable[[str], Any]] = {
    Ip: ip_address,
    Interface: ip_interface,
    Prefix: ip_network,
    IPv4Address: IPv4Address,
    IPv6Address: IPv6Address,
    IPv4Interface: IPv4Interface,
    IPv6Interface: IPv6Interface,
    IPv4Network: IPv4Network,
    IPv6Network: IPv6Network,
}


def _enc_hook(value: Any) -> Any:
    if type(value) in _PARSE:
        return str(value)
    raise NotImplementedError(f"no JSON for {type(value).__name__}")


def _dec_hook(kind: type, value: Any) -> Any:
    if (parse := _PARSE.get(kind)) is not None:
        return parse(value)
    raise NotImplementedError(f"no parser for {kind}")


_encoder = msgspec.json.Encoder(enc_hook=_enc_hook)


def encode(value: Any) -> bytes:
    """The value as JSON."""
    return _encoder.encode(value)


def decode(data: bytes | str, kind: type[T]) -> T:
    """A value of ``kind`` from JSON that ``encode`` made; raises msgspec.ValidationError."""
    return msgspec.json.decode(data, type=kind, dec_hook=_dec_hook)
