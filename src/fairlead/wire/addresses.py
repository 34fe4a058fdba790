"""Addresses in requests: text -> ``ipaddress`` values, with errors that name the field."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from fairlead.errors import InvalidArgument
from fairlead.model.address import Ip, Prefix

_MAC = re.compile(r"[0-9a-f]{2}(?:[:-][0-9a-f]{2}){5}\Z")
_DOTTED_MAC = re.compile(r"[0-9a-f]{4}\.[0-9a-f]{4}\.[0-9a-f]{4}\Z")


def parse_ip(text: str, field: str) -> Ip | None:
    """None for ""; raises InvalidArgument ``invalid <field> …``."""
    if not text:
        return None
    try:
        address = ip_address(text)
    except ValueError as error:
        raise InvalidArgument(f"invalid {field} {text}: not an IP address") from error
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        raise InvalidArgument(f"invalid {field} {text}: an address with a zone has no meaning here")
    return address


def parse_ip4(text: str, field: str) -> Ip | None:
    address = parse_ip(text, field)
    if address is not None and not isinstance(address, IPv4Address):
        raise InvalidArgument(f"invalid {field} {text}: not an IPv4 address")
    return address


def parse_ip6(text: str, field: str) -> Ip | None:
    address = parse_ip(text, field)
    if address is not None and not isinstance(address, IPv6Address):
        raise InvalidArgument(f"invalid {field} {text}: not an IPv6 address")
    return address


def parse_prefix(text: str, field: str) -> Prefix | None:
    """A subnet without host bits; Docker's words for one that has them."""
    if not text:
        return None
    try:
        prefix = ip_network(text, strict=False)
    except ValueError as error:
        raise InvalidArgument(f"invalid {field} {text}: invalid CIDR block notation") from error
    if "/" not in text:
        raise InvalidArgument(f"invalid {field} {text}: invalid CIDR block notation")
    if str(ip_address(text.partition("/")[0])) != str(prefix.network_address):
        raise InvalidArgument(f"invalid {field} {text}: it should be {prefix}")
    return prefix


def parse_mac(text: str) -> str:
    """Lower case with colons; "" stays ""."""
    low = text.strip().lower()
    if not low:
        return ""
    if _DOTTED_MAC.match(low):
        digits = low.replace(".", "")
        return ":".join(digits[index : index + 2] for index in range(0, 12, 2))
    if _MAC.match(low) is None:
        raise InvalidArgument(f"invalid MAC address: address {text}: invalid MAC address")
    mac = low.replace("-", ":")
    if int(mac[:2], 16) & 1:
        raise InvalidArgument(f"invalid MAC address: {text} is a multicast address")
    if not int(mac.replace(":", ""), 16):
        raise InvalidArgument(f"invalid MAC address: {text} is no address")
    return mac
