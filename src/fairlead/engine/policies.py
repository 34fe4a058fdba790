"""Verbs on the policies of networks: show, set, clear; and what follows from them for the resolver process."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from fairlead.dns.view import Lesson
from fairlead.errors import EngineError, NotFound, Unavailable
from fairlead.ids import NetworkId
from fairlead.model.endpoint import Endpoint
from fairlead.model.network import Network
from fairlead.model.policy import Count, Policy, PolicyView
from fairlead.net import policing
from fairlead.net.plan import plan
from fairlead.net.policing import Member
from fairlead.net.state import Fact, Policing, Step

if TYPE_CHECKING:
    from fairlead.engine.core import Engine


class Policies:
    """The record of a network holds its policy; everything here follows from it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def show(self, ref: str) -> PolicyView:
        """With what each rule decided so far; raises NotFound where every packet may pass."""
        network = self._engine.networks.find(ref)
        if network.policy is None:
            raise NotFound(f"network {network.name} has no policy: every packet may pass")
        counts = self._engine.kernel.policies.counts()
        return PolicyView(
            policy=network.policy,
            counts={rule.id: counts.get(policing.counter_of(network, rule), Count()) for rule in network.policy.rules},
            default=counts.get(policing.counter_of(network, None), Count()),
        )

    async def put(self, ref: str, policy: Policy) -> None:
        """In force when this returns, for connections that are there already too."""
        network = self._engine.networks.find(ref)
        policing.check(network)
        await self._change(network, policy)

    async def clear(self, ref: str) -> None:
        """Every packet may pass again; clearing what is clear is success."""
        network = self._engine.networks.find(ref)
        if network.policy is not None:
            await self._change(network, None)

    async def _change(self, network: Network, policy: Policy | None) -> None:
        async with self._engine.locks[network.id]:
            # First, so that no answer given from now on slips through unlearned; again when its sets are there.
            await self._teach(replace(network, policy=policy))
            try:
                self._enforce(self._engine.networks.find(network.id), policy)
            finally:
                await self.teach(network.id)
        self._engine.networks.tell(network, "update", policy="" if policy is None else str(policy.default))

    def _enforce(self, before: Network, policy: Policy | None) -> None:
        """Record, then kernel, with no await between; on failure neither."""
        after = replace(before, policy=policy)
        have, want = policing.edit(before, after, self._members(before.id))
        self._engine.networks.supersede(after)
        try:
            self._engine.reconciler.apply(plan(have, want), want)
        except BaseException:
            self._engine.networks.supersede(before)
            with contextlib.suppress(EngineError):
                self._engine.kernel.apply(plan(want, have))
            raise

    async def teach(self, identifier: NetworkId) -> None:
        """What the resolver process shall learn for the network as it is now."""
        if (network := self._engine.networks.get(identifier)) is not None:
            await self._teach(network)

    async def _teach(self, network: Network) -> None:
        """A process that is away is told when it is back."""
        lessons = [Lesson(*lesson) for lesson in policing.lessons(network)]
        with contextlib.suppress(Unavailable):
            await self._engine.resolver.set_lessons(network.id, lessons)

    def teach_again(self, steps: Iterable[Step]) -> None:
        """Chains and sets of these networks were put back: what was learned is put into them as well."""
        mended = {step.fact.name for step in steps if isinstance(step.fact, Policing)}
        for network in self._engine.store.networks if mended else ():
            if network.policy is not None and policing.name_of(network) in mended:
                self._engine.spawn(self.teach(network.id), f"policy of {network.name}")

    def facts(self, network: Network, endpoint: Endpoint) -> Iterator[Fact]:
        """What a policy wants for one endpoint."""
        container = self._engine.store.containers.get(endpoint.container)
        if network.policy is not None and container is not None:
            member = Member(endpoint, container.name, container.config.labels or {})
            yield from policing.endpoint_facts(network, member)

    def _members(self, network: NetworkId) -> Iterator[Member]:
        containers = self._engine.store.containers
        for identifier, endpoint in self._engine.index.endpoints(network).items():
            if (container := containers.get(identifier)) is not None and self._engine.sandboxes.is_open(container.id):
                yield Member(endpoint, container.name, container.config.labels or {})
