"""Reconciling: what the records want compared with what the kernel has, now, and the difference made good.

Runs at a daemon's start, when netlink or nftables tell of a change, and at a slow beat over everything. A container in
transition (a verb is plumbing it) is left to that verb.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from fairlead.errors import EngineError, KernelError
from fairlead.ids import ContainerId
from fairlead.kernel.netlink.frames import NetlinkError
from fairlead.kernel.nft import NftError
from fairlead.kernel.watch import FOREIGN, HOST_LINKS, NFT
from fairlead.model.container import Container
from fairlead.net import ruleset
from fairlead.net.plan import foreign_parents, out_of_reach, plan
from fairlead.net.state import (
    HOST,
    Add,
    Change,
    Element,
    Fact,
    Link,
    LinkKind,
    Policing,
    Remove,
    Slot,
    State,
    Step,
    is_policy,
    needs,
    slot,
)

if TYPE_CHECKING:
    from fairlead.engine.core import Engine

log = logging.getLogger(__name__)

_EVERYTHING = "everything"
_SETTLE = 0.1  # seconds between a sign of change and the look at it, so that a burst is looked at once
_SPACING = 0.4  # seconds at least between two looks that signs asked for
_PARTING = 30.0  # seconds until a closed sandbox's host links, which go with its namespace, must be gone

# What observing or applying may raise; nothing of it may end the watch over everything else.
_FAILURES = (EngineError, NftError, NetlinkError, OSError)


class Reconciler:
    """Watches over everything this engine wants of the kernel."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._signs: set[str] = set()
        self._woken = asyncio.Event()
        self._quiet = True  # until the daemon's start is over, what is mended is logged, not told
        self._parting: dict[str, float] = {}
        self._passed_over: set[ContainerId] = set()
        self.transitions: set[ContainerId] = set()

    @contextlib.contextmanager
    def transition(self, container: ContainerId) -> Iterator[None]:
        """While a verb plumbs this container, record and kernel may differ: hands off."""
        self.transitions.add(container)
        try:
            yield
        finally:
            self.transitions.discard(container)
            if container in self._passed_over:
                self._passed_over.discard(container)
                self.notice(HOST_LINKS)
                self.notice(container)

    def part_with(self, links: Iterable[str]) -> None:
        """Host links of a sandbox that is being closed: the kernel takes them away in its own time."""
        now = time.monotonic()
        self._parting = {name: since for name, since in self._parting.items() if since > now - _PARTING}
        self._parting.update(dict.fromkeys(links, now))

    # -- signs ------------------------------------------------------------------------------------------------------

    def notice(self, scope: str) -> None:
        """Something may have changed in ``host-links``, ``nft``, a ``foreign`` table or a container's sandbox."""
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
                self._signs.add(_EVERYTHING)
                next_beat = time.monotonic() + self._engine.settings.repair_beat
            signs, self._signs = self._signs, set()
            self._woken.clear()
            await self.repair(signs)
            await asyncio.sleep(_SPACING)

    # -- comparing --------------------------------------------------------------------------------------------------

    async def take_over(self) -> None:
        """A daemon's start: what the last one left, brought to what the records want. Nobody is told of repairs."""
        # What the last daemon set is known again, or sysctls (which bear no mark) would all be written anew.
        self._engine.kernel.ledger.learn(self._wants(self._steady()))
        await self.repair()
        self._quiet = False

    async def repair(self, signs: Iterable[str] = (_EVERYTHING,)) -> None:
        """Compare and mend what the signs are about. Never raises: what cannot be mended is tried at the next beat."""
        signs = set(signs)
        everything = _EVERYTHING in signs
        if not everything:
            self._passed_over |= self.transitions
        if everything or NFT in signs or HOST_LINKS in signs:
            self._try(HOST)
        if everything or FOREIGN in signs:
            self._look_at_others()
        for container in self._steady():
            if everything or container.id in signs:
                self._try(container.id)
                await asyncio.sleep(0)

    def apply(self, steps: Sequence[Step], wants: State) -> None:
        """For verbs: ``steps`` lead to ``wants`` from what ought to be there.

        Where somebody changed that a moment ago, it is repaired first, and the way taken from what really is there.
        """
        try:
            self._engine.kernel.apply(steps)
        except KernelError:
            mended, way = self._mend_now(), self._way(steps, wants)
            if not mended and way == steps:
                raise
            self._engine.kernel.apply(way)

    def _way(self, steps: Sequence[Step], wants: State) -> Sequence[Step]:
        """From what there is now of these things to ``wants``."""
        kernel = self._engine.kernel
        about = {slot(step.fact) for step in steps} | {slot(fact) for fact in wants}
        scopes = {_scope(fact) for fact in (*wants, *(step.fact for step in steps))} - {HOST}
        have = kernel.observe_host().union(*(kernel.observe_sandbox(ContainerId(scope)) for scope in scopes))
        return plan(frozenset(fact for fact in have if slot(fact) in about), wants)

    def _mend_now(self) -> bool:
        try:
            return any((self.mend_table(), self._mend_host()))
        except _FAILURES as error:
            log.warning("cannot repair host: %s", error)
            return False

    def _try(self, scope: str) -> None:
        """One scope, the host or one sandbox. No await: nobody else changes the kernel meanwhile."""
        try:
            if scope == HOST:
                self.mend_table()
                self._mend_host()
            else:
                self._mend_sandbox(ContainerId(scope))
        except _FAILURES as error:
            log.warning("cannot repair %s: %s", scope[:12] or "host", error)

    def _look_at_others(self) -> None:
        try:
            self._engine.foreign.look()
        except _FAILURES as error:
            log.warning("cannot look at the tables of others: %s", error)

    def _steady(self) -> list[Container]:
        """Containers whose sandboxes are open and that no verb is plumbing at this moment."""
        return [
            container
            for container in self._engine.store.containers
            if self._engine.sandboxes.is_open(container.id) and container.id not in self.transitions
        ]

    def _wants(self, containers: Iterable[Container]) -> State:
        """Of all scopes: networks, and these containers' endpoints."""
        facts: set[Fact] = set(self._engine.networks.shared_facts())
        for network in self._engine.store.networks:
            facts |= self._engine.networks.bare_facts(network)
        for container in containers:
            facts |= self._engine.sandboxes.facts(container.endpoints)
        return frozenset(facts)

    # -- the table --------------------------------------------------------------------------------------------------

    def mend_table(self) -> bool:
        """Our table, whole: loaded anew with all its elements when it is gone, or its chains are not ours."""
        nft, store = self._engine.kernel.nft, self._engine.store
        nft.ensure_user_table()
        mark = self._engine.settings.accept_fwmark
        made = hashlib.sha256(ruleset.static_ruleset(mark).encode()).hexdigest()
        if nft.has_tables() and store.get_meta("ruleset") == made and store.get_meta("skeleton") == self._skeleton():
            return False
        # Containers in transition too: whoever is on the way out takes its elements along, or the next look does.
        self._passed_over |= self.transitions
        wants = self._wants(container for container in store.containers if container.endpoints)
        ours = (fact for fact in wants if isinstance(fact, Element) and not is_policy(fact))
        nft.load(ruleset.load(ours, mark))
        store.set_meta("ruleset", made)
        store.set_meta("skeleton", self._skeleton())
        self._say(HOST, "loaded table inet fairlead")
        return True

    def _skeleton(self) -> str:
        return hashlib.sha256(ruleset.skeleton(self._engine.kernel.nft.our_listing()).encode()).hexdigest()

    # -- mending ----------------------------------------------------------------------------------------------------

    def _mend_host(self) -> bool:
        wants = frozenset(fact for fact in self._wants(self._steady()) if _scope(fact) == HOST)
        have = frozenset(fact for fact in self._engine.kernel.observe_host() if not self._is_parting(fact))
        tolerated = self._tolerated() | self._out_of_reach(wants)
        steps = [step for step in plan(have, wants) if slot(step.fact) not in tolerated]
        if steps:
            self._engine.kernel.apply(self._with_pairs(steps))
            self._engine.policies.teach_again(steps)
            self._tell(HOST, steps)
        return bool(steps)

    def _out_of_reach(self, wants: State) -> frozenset[Slot]:
        """What stands on links of the host that are somebody else's and gone for now: left alone until they return."""
        kernel = self._engine.kernel
        missing = [name for name in foreign_parents(wants) if kernel.link_kind(name) is None]
        return out_of_reach(wants, missing) if missing else frozenset()

    def _lost_guests(self, steps: Iterable[Step], wants: State) -> frozenset[Slot]:
        """Links that somebody else made for us and took away again, with what is to be on them: not ours to make."""
        kernel = self._engine.kernel
        asked = [step.fact for step in steps if isinstance(step, Add) and isinstance(step.fact, Link)]
        lost = {slot(link) for link in asked if link.kind is LinkKind.GUEST and kernel.link_kind(link.peer) is None}
        return frozenset(lost | {slot(fact) for fact in wants if not lost.isdisjoint(needs(fact))})

    def _tolerated(self) -> frozenset[tuple[str, ...]]:
        """Slots of containers in transition: neither missed nor swept."""
        moving = (self._engine.store.containers.get(key) for key in self.transitions)
        facts = self._engine.sandboxes.facts(e for c in moving if c is not None for e in c.endpoints)
        return frozenset(slot(fact) for fact in facts)

    def _is_parting(self, fact: Fact) -> bool:
        return isinstance(fact, Link) and self._parting.get(fact.name, 0.0) > time.monotonic() - _PARTING

    def _mend_sandbox(self, identifier: ContainerId) -> None:
        container = self._engine.store.containers.get(identifier)
        if container is None or identifier in self.transitions or not self._engine.sandboxes.is_open(identifier):
            return
        if self._engine.sandboxes.ensure_pin(container):
            self._say(identifier, f"pinned {container.sandbox_key}")
        if self._engine.sandboxes.ensure_dns(container):
            self._say(identifier, "redirected 127.0.0.11:53 to the resolver")
        steps = self._missing_inside(container)
        if steps:
            self._engine.kernel.apply(self._with_hosts_side(container, steps))
            self._tell(identifier, steps)

    def _missing_inside(self, container: Container) -> Sequence[Step]:
        facts = self._engine.sandboxes.facts(container.endpoints)
        wants = frozenset(fact for fact in facts if _scope(fact) == container.id)
        steps = plan(self._engine.kernel.observe_sandbox(container.id), wants)
        beyond = self._out_of_reach(wants) | self._lost_guests(steps, wants) if steps else frozenset()
        return [step for step in steps if slot(step.fact) not in beyond]

    def _with_pairs(self, steps: Sequence[Step]) -> list[Step]:
        """A veth that is gone on one side is gone on both: what hung on it inside is put back with it."""
        mended = list(steps)
        made = [step.fact for step in steps if not isinstance(step, Remove)]
        for identifier in {fact.peer_ns for fact in made if isinstance(fact, Link) and fact.peer_ns}:
            container = self._engine.store.containers.get(identifier)
            if container is not None:
                mended += [step for step in self._missing_inside(container) if step not in mended]
        return mended

    def _with_hosts_side(self, container: Container, steps: Sequence[Step]) -> list[Step]:
        """An end that is missing inside is made from the host's side, before anything is put on it."""
        lost = {step.fact.peer for step in steps if isinstance(step, Add) and isinstance(step.fact, Link)}
        facts = self._engine.sandboxes.facts(container.endpoints)
        pairs = [fact for fact in facts if isinstance(fact, Link) and fact.ns == HOST and fact.name in lost]
        return [*(Add(fact) for fact in pairs), *steps]

    def _tell(self, scope: str, steps: Iterable[Step]) -> None:
        self._say(scope, ", ".join(sorted({_words(step, scope) for step in steps})[:12]))

    def resolver_is_back(self) -> None:
        """Another resolver process took the place of one that died or did not answer."""
        self._say("resolver", "started the resolver process anew")

    def _say(self, scope: str, what: str) -> None:
        if self._quiet:
            log.info("at start, %s: %s", scope[:12] or "host", what)
            return
        log.warning("repaired %s: %s", scope[:12] or "host", what)
        self._engine.events.publish("daemon", "repair", scope or "host", {"name": "fairlead", "repaired": what})


def _scope(fact: Fact) -> str:
    return HOST if isinstance(fact, Element | Policing) else fact.ns


def _words(step: Step, scope: str) -> str:
    verb = {Add: "added", Change: "changed", Remove: "removed"}[type(step)]
    return f"{verb} {' '.join(part for part in slot(step.fact) if part not in ('', scope))}"
