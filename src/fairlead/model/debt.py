"""What is still to be told to parties outside the engine."""

from __future__ import annotations

from dataclasses import dataclass

from fairlead.model.endpoint import Endpoint
from fairlead.model.network import Network


@dataclass(frozen=True, slots=True, kw_only=True)
class Debt:
    """A network, or one endpoint of it, is gone, or was never finished: its parties must hear of it."""

    network: Network
    endpoint: Endpoint | None = None

    @property
    def key(self) -> str:
        return self.network.id if self.endpoint is None else self.endpoint.id
