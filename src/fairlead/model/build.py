"""What a build is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildSpec:
    """One build. ``arguments`` with the value None are those that the client has no value for.

    ``secrets`` are contents by id, for ``RUN --mount=type=secret``: they are in no layer, label or log.
    """

    dockerfile: str = "Dockerfile"
    tags: tuple[str, ...] = ()
    arguments: Mapping[str, str | None] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    target: str = ""
    network: str = "default"
    extra_hosts: tuple[str, ...] = ()
    platform: str = ""
    no_cache: bool = False
    pull: bool = False
    remove: bool = True
    force_remove: bool = False
    quiet: bool = False
    memory: int = 0
    memory_swap: int = 0
    cpu_shares: int = 0
    cpu_quota: int = 0
    cpu_period: int = 0
    cpuset: str = ""
    shm_size: int = 0
    secrets: Mapping[str, bytes] = field(default_factory=dict)
