"""Network modes: whose network stack a container uses."""

from __future__ import annotations

from fairlead.model.container import Container


def network_mode(container: Container) -> str:
    """The word bridge for Docker's "default" and "", else as asked."""
    mode = container.host.network_mode
    return "bridge" if mode in ("", "default") else mode


def joined(container: Container) -> str | None:
    """For ``container:X`` the X."""
    kind, _, other = network_mode(container).partition(":")
    return other if kind == "container" else None


def has_own_sandbox(container: Container) -> bool:
    return network_mode(container) != "host" and joined(container) is None
