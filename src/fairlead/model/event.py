"""Events: what happened to which thing, as Docker's /events tells it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """``time`` is nanoseconds since the epoch; ``kind`` is container, network, image, volume, daemon."""

    time: int
    kind: str
    action: str
    actor: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    scope: str = "local"
