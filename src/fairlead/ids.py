"""Ids and the rules for names.

An id is 64 lower-case hex digits, as in Docker; 12 of them are its short form.
"""

from __future__ import annotations

import re
import secrets
from typing import NewType

from fairlead.errors import InvalidArgument

ContainerId = NewType("ContainerId", str)
NetworkId = NewType("NetworkId", str)
EndpointId = NewType("EndpointId", str)
ExecId = NewType("ExecId", str)

# Docker's rule for container, network and volume names (daemon/names/names.go).
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+\Z")
# It names a file, /run/netns/<name>.<12 hex digits> at the longest.
_LONGEST_CONTAINER_NAME = 242
_ALIAS_LABEL = re.compile(r"[a-zA-Z0-9_]([a-zA-Z0-9_-]{0,61}[a-zA-Z0-9_])?\Z", re.ASCII)
_LONGEST_DNS_NAME = 253
_HEX_ID = re.compile(r"[0-9a-f]{64}\Z")


def new_id() -> str:
    """64 random hex digits, never all decimal in the first 12 (Docker avoids those: they look like numbers)."""
    while True:
        fresh = secrets.token_hex(32)
        if not fresh[:12].isdecimal():
            return fresh


def short(identifier: str) -> str:
    """The first 12 digits."""
    return identifier[:12]


def is_full_id(text: str) -> bool:
    return _HEX_ID.match(text) is not None


def check_container_name(name: str) -> str:
    """The name without a leading slash; raises InvalidArgument in Docker's words."""
    bare = name.removeprefix("/")
    if _NAME.match(bare) is None:
        raise InvalidArgument(
            f"Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed",
        )
    if len(bare) > _LONGEST_CONTAINER_NAME:
        raise InvalidArgument(f"Invalid container name ({bare[:32]}…): at most {_LONGEST_CONTAINER_NAME} characters")
    return bare


def check_volume_name(name: str) -> str:
    if _NAME.match(name) is None:
        raise InvalidArgument(
            f'create {name}: "{name}" includes invalid characters for a local volume name, '
            "only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed. If you intended to pass a host directory, use absolute path",
        )
    return name


def check_network_name(name: str) -> str:
    """Docker refuses only empty names and control characters in practice; we refuse what cannot be a DNS suffix too."""
    if not name.strip():
        raise InvalidArgument("invalid name: name is empty")
    if _NAME.match(name) is None and not (len(name) == 1 and name.isalnum()):
        raise InvalidArgument(
            f"invalid network name {name!r}: only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed",
        )
    return name


def check_alias(name: str) -> str:
    """A further DNS name of a container on one network."""
    if len(name) > _LONGEST_DNS_NAME or any(_ALIAS_LABEL.match(label) is None for label in name.split(".")):
        raise InvalidArgument(
            f"invalid alias {name[:80]!r}: labels of up to 63 of [a-zA-Z0-9_-], joined by dots, are names"
        )
    return name
