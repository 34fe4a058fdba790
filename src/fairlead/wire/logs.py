"""Lines of ``docker logs``: what stands before the text."""

from __future__ import annotations

from urllib.parse import quote_plus

from fairlead.model.container import Container
from fairlead.wire.times import rfc3339_fixed


def log_line(time_ns: int, data: bytes, details: bytes, *, timestamps: bool) -> bytes:
    """One line with its moment and details before it, where asked for."""
    stamp = f"{rfc3339_fixed(time_ns)} ".encode() if timestamps else b""
    return stamp + details + data


def log_details(container: Container) -> bytes:
    """``--details``: the labels and variables that the log options name, sorted, as ``key=value,key=value``."""
    options = container.host.log_config.config or {}
    labels = container.config.labels or {}
    variables = dict(entry.split("=", 1) for entry in container.config.env or () if "=" in entry)
    shown = {name: labels[name] for name in _names(options.get("labels", "")) if name in labels}
    shown |= {name: variables[name] for name in _names(options.get("env", "")) if name in variables}
    text = ",".join(f"{quote_plus(name)}={quote_plus(value)}" for name, value in sorted(shown.items()))
    return f"{text} ".encode() if text else b""


def _names(listed: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in listed.split(",") if name.strip())
