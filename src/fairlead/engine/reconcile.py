"""Reconciling: what the records want compared with what the kernel has, now, and the difference made good.

Runs at a daemon's start, when netlink or nftables tell of a change, and at a slow beat over everything. A container in
transition (its lock is held by a verb that is plumbing it) is left to that verb.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from fairlead.errors import EngineError
from fairlead.ids import ContainerId
from fairlead.model.container import Container
from fairlead.net import ruleset
from fairlead.net.plan import plan
from fairlead.net.state import HOST, Add, Change, Element, Fact, Link, Remove, State, Step, slot

if TYPE_CHECKING:
    from fairlead.engine.core import Engine

log = logging.getLogger(__name__)

_SETTLE = 0.1  # seconds between a sign of change and the look at it, so that a burst is looked at once
_SPACING = 0.4  # seconds at least between two looks that signs asked for


class Reconciler:
    """Watches over everything this engine wants of the kernel."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._signs: set[str] = set()
        self._woken = asyncio.Event()
        self.transitions: set[ContainerId] = set()

    @contextlib.contextmanager
    def transition(self, container: ContainerId) -> Iterator[None]:
        """While a verb plumbs this container, record and kernel may differ: hands off."""
        self.transitions.add(container)
        try:
            yield
        finally:
            self.transitions.discard(container)

    # -- signs ------------------------------------------------------------------------------------------------------

    def notice(self, scope: str) -> None:
        """Something may have changed in ``host-links``, ``nft`` or a container's sandbox."""
        self._signs.add(scope)
        self._woken.set()

    async def run(self) -> None:
        """Until cancelled: look when woken, and at everything each beat."""
        next_beat = time.monotonic() + self._engine.settings.repair_beat
        while True:
            try:
                async with asyncio.timeout(max(0.0, next_beat - time.monotonic())):
                    await self._woken.wait()
                await asyncio.sleep(_SETTLE)
            except TimeoutError:
                self._signs.add("everything")
                next_beat = time.monotonic() + self._engine.settings.repair_beat
            signs, self._signs = self._signs, set()
            self._woken.clear()
            try:
                await self.repair(signs)
            except EngineError as error:
                log.warning("repair: %s", error)
            await asyncio.sleep(_SPACING)

    # -- comparing --------------------------------------------------------------------------------------------------

    def _steady(self) -> list[Container]:
        """Containers whose sandboxes are open and that no verb is plumbing at this moment."""
        return [
            container
            for container in self._engine.store.containers
            if container.endpoints
            and self._engine.sandboxes.is_open(container.id)
            and container.id not in self.transitions
        ]

    def _host_wants(self, steady: Iterable[Container]) -> State:
        facts: set[Fact] = set()
        for network in self._engine.store.networks:
            facts |= self._engine.networks.bare_facts(network)
        for container in steady:
            facts |= self._engine.sandboxes.facts(container.endpoints)
        return frozenset(facts)

    def _tolerated(self) -> frozenset[tuple[str, ...]]:
        """Slots of containers in transition: neither missed nor swept."""
        moving = (self._engine.store.containers.get(key) for key in self.transitions)
        facts = self._engine.sandboxes.facts(e for c in moving if c is not None for e in c.endpoints)
        return frozenset(slot(fact) for fact in facts)

    async def repair(self, signs: Iterable[str] = ("everything",)) -> int:
        """Compare and mend; how many steps it took."""
        signs = set(signs)
        everything = "everything" in signs
        done = 0
        if everything or "nft" in signs or "host-links" in signs:
            done += self.mend_table() + self._mend(HOST)
        for container in self._steady():
            if everything or container.id in signs or "host-links" in signs:
                done += self._mend(container.id)
                await asyncio.sleep(0)
        return done

    def mend_table(self) -> int:
        """Our table, whole: loaded anew with all its elements when it is gone, or its chains are not as we made them."""
        nft, store = self._engine.kernel.nft, self._engine.store
        nft.ensure_user_table()
        made = hashlib.sha256(ruleset.static_ruleset().encode()).hexdigest()
        if nft.has_table() and store.get_meta("ruleset") == made and store.get_meta("skeleton") == self._skeleton():
            return 0
        existed = nft.has_table()
        wants = self._host_wants(c for c in self._engine.store.containers if c.endpoints)
        nft.load(ruleset.load(fact for fact in wants if isinstance(fact, Element)))
        store.set_meta("ruleset", made)
        store.set_meta("skeleton", self._skeleton())
        if existed:
            self._say(HOST, "table inet fairlead")
        return 1

    def _skeleton(self) -> str:
        listing = self._engine.kernel.nft.listing(f"table {ruleset.FAMILY} {ruleset.TABLE}")
        return hashlib.sha256(ruleset.skeleton(listing).encode()).hexdigest()

    def _mend(self, scope: str) -> int:
        """One scope, the host or one sandbox. No await: nobody else changes the kernel meanwhile."""
        if scope == HOST:
            wants = frozenset(fact for fact in self._host_wants(self._steady()) if _scope(fact) == HOST)
            have = self._engine.kernel.observe_host()
        else:
            container = self._engine.store.containers.get(scope)
            if container is None or scope in self.transitions or not self._engine.sandboxes.is_open(container.id):
                return 0
            self._engine.sandboxes.ensure_pin(container)
            facts = self._engine.sandboxes.facts(container.endpoints)
            wants = frozenset(fact for fact in facts if _scope(fact) == scope)
            have = self._engine.kernel.observe_sandbox(container.id)
        tolerated = self._tolerated()
        steps = [step for step in plan(have, wants) if slot(step.fact) not in tolerated]
        if not steps:
            return 0
        self._engine.kernel.apply(self._with_pairs(steps))
        self._tell(scope, steps)
        return len(steps)

    def _with_pairs(self, steps: list[Step]) -> list[Step]:
        """A veth that is gone on one side is gone on both: what hung on it inside is put back with it."""
        added = [step.fact for step in steps if isinstance(step, Add)]
        lost = {fact.peer_ns for fact in added if isinstance(fact, Link) and fact.peer_ns}
        for identifier in lost:
            container = self._engine.store.containers.get(identifier)
            if container is not None:
                inside = (
                    fact for fact in self._engine.sandboxes.facts(container.endpoints) if _scope(fact) == identifier
                )
                have = self._engine.kernel.observe_sandbox(container.id)
                steps += [step for step in plan(have, frozenset(inside)) if step not in steps]
        return steps

    def _tell(self, scope: str, steps: Iterable[Step]) -> None:
        self._say(scope, ", ".join(sorted({_words(step) for step in steps})[:12]))

    def _say(self, scope: str, what: str) -> None:
        log.warning("repaired %s: %s", scope[:12] or "host", what)
        self._engine.events.publish("daemon", "repair", scope or "host", {"name": "fairlead", "repaired": what})


def _scope(fact: Fact) -> str:
    return HOST if isinstance(fact, Element) else fact.ns


def _words(step: Step) -> str:
    verb = {Add: "added", Change: "changed", Remove: "removed"}[type(step)]
    return f"{verb} {' '.join(part for part in slot(step.fact) if part)}"
