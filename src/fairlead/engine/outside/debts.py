"""Debts: endings that a party could not be told of, because it is away. Kept in records, told when it is back."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from fairlead.errors import EngineError, PluginRefused
from fairlead.model.debt import Debt
from fairlead.model.endpoint import Endpoint
from fairlead.model.network import Network, NetworkSpec

if TYPE_CHECKING:
    from fairlead.engine.core import Engine

log = logging.getLogger(__name__)

_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0


class Debts:
    """Paid as soon as a party is asked something again, else after a while, and at a daemon's start."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._paying: asyncio.Task[None] | None = None
        self._lock = asyncio.Lock()
        self._starting = True

    @property
    def deferring(self) -> bool:
        """Whether endings are only noted: while the daemon starts, until ``settle_all``, and when it ends."""
        return self._starting or self._engine.closing

    def is_owed(self, endpoint: Endpoint) -> bool:
        return endpoint.id in self._engine.store.debts

    def note(self, network: Network, endpoint: Endpoint | None = None) -> None:
        """Something is begun that must be told of its end, should nobody come to it."""
        self._engine.store.debts.save(Debt(network=network, endpoint=endpoint))

    def strike(self, network: Network, endpoint: Endpoint | None = None) -> None:
        self._engine.store.debts.delete(Debt(network=network, endpoint=endpoint).key)

    def owe(self, network: Network, endpoint: Endpoint | None = None) -> None:
        """A party could not be told: somebody goes on trying."""
        self.note(network, endpoint)
        if self._paying is None or self._paying.done():
            self._paying = self._engine.spawn(self._keep_trying(), "word to parties that were away")

    async def settle(self, spec: NetworkSpec) -> None:
        """Whoever is asked about such a network first hears what it missed."""
        for debt in self._engine.store.debts:
            known = debt.network.spec
            same = (known.driver, known.ipam_driver) == (spec.driver, spec.ipam_driver)
            if same and not self._pending(debt) and not await self._pay(debt):
                return  # away still: whoever asks next is told so

    async def tell(self, key: str) -> None:
        """Of something noted that is gone now; whoever is away is told later."""
        debt = self._engine.store.debts.get(key)
        if debt is not None and not self.deferring and not await self._pay(debt):
            self.owe(debt.network, debt.endpoint)

    async def settle_all(self) -> None:
        """A daemon's start: also what the last one was in the middle of."""
        self._starting = False
        for debt in self._engine.store.debts:
            if not await self._pay(debt):
                self.owe(debt.network, debt.endpoint)

    async def _keep_trying(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            await asyncio.sleep(pause)
            due = [debt for debt in self._engine.store.debts if not self._pending(debt)]
            if not due:
                return
            for debt in due:
                await self._pay(debt)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _pending(self, debt: Debt) -> bool:
        """Noted by a verb that is still at it."""
        return debt.endpoint is None and self._engine.networks.is_coming(debt.network)

    async def _pay(self, debt: Debt) -> bool:
        async with self._lock:
            paid = debt.key not in self._engine.store.debts or await self._told(debt)
            if paid:
                self._engine.store.debts.delete(debt.key)
            return paid

    async def _told(self, debt: Debt) -> bool:
        """Whether every party took it in, or knows nothing of it."""
        told = True
        for party in reversed(self._engine.outside.of(debt.network.spec)):
            try:
                if debt.endpoint is None:
                    await party.remove_network(debt.network)
                else:
                    await party.leave(debt.network, debt.endpoint, None)
                    await party.remove_endpoint(debt.network, debt.endpoint)
            except PluginRefused as error:
                log.info("what is left of network %s: %s", debt.network.name, error)
            except (EngineError, OSError) as error:
                log.debug("what is left of network %s: %s", debt.network.name, error)
                told = False
        return told
