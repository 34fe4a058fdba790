"""``--filter name=value``, as the API takes it."""

from __future__ import annotations

import json
from collections.abc import Sequence

from fairlead.cli.flags import Flag, several


def filter_flag(help: str = "Filter output based on conditions provided", short: str = "f") -> Flag:  # noqa: A002
    return several("filter", help, short, kind="filter", parse=_parse)


def _parse(raw: str) -> tuple[str, str]:
    name, equals, value = raw.partition("=")
    if not equals:
        raise ValueError("bad format of filter (expected name=value)")
    return name.strip().lower(), value.strip()


def encode(pairs: Sequence[tuple[str, str]]) -> str | None:
    """The query parameter; None when nothing is filtered."""
    if not pairs:
        return None
    grouped: dict[str, dict[str, bool]] = {}
    for name, value in pairs:
        grouped.setdefault(name, {})[value] = True
    return json.dumps(grouped, separators=(",", ":"))
