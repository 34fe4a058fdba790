"""What a driver may look at besides the records: handed in, never fetched."""

from __future__ import annotations

from dataclasses import dataclass

from fairlead.model.host import HostFacts
from fairlead.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    settings: Settings
    host: HostFacts
