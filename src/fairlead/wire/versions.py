"""API versions: which are served, and what a client hears that speaks another."""

from __future__ import annotations

import re

from fairlead.errors import InvalidArgument

ApiVersion = tuple[int, int]

LOWEST: ApiVersion = (1, 24)
HIGHEST: ApiVersion = (1, 51)

_VERSION = re.compile(r"(\d{1,4})\.(\d{1,4})\Z", re.ASCII)


def render_version(version: ApiVersion) -> str:
    return f"{version[0]}.{version[1]}"


def parse_version(text: str) -> ApiVersion:
    """The version of a path ``/v1.45/…``; raises InvalidArgument for one not served here."""
    found = _VERSION.match(text)
    if found is None:
        raise InvalidArgument(f"invalid API version {text}: it must look like {render_version(HIGHEST)}")
    version = int(found[1]), int(found[2])
    if version < LOWEST:
        raise InvalidArgument(
            f"client version {text} is too old. Minimum supported API version is {render_version(LOWEST)},"
            " please upgrade your client to a newer version",
        )
    if version > HIGHEST:
        raise InvalidArgument(
            f"client version {text} is too new. Maximum supported API version is {render_version(HIGHEST)}",
        )
    return version
