"""Publishing and withdrawing ports of a container that is there already, running or not."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from fairlead.engine.modes import joined, network_mode
from fairlead.errors import Conflict, EngineError, InvalidArgument, NotFound, Unavailable
from fairlead.model.container import Container
from fairlead.model.port import PortBinding, PortRequest
from fairlead.net import ports
from fairlead.net.plan import plan
from fairlead.wire.ports import render_bindings

if TYPE_CHECKING:
    from fairlead.engine.core import Engine


class Publishing:
    """Hot ports: the record asks for them as if ``-p`` had, so that restarts keep them."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def add(self, ref: str, requests: Sequence[PortRequest]) -> Container:
        """All of them or none; raises Docker's error for a port that is taken."""
        container = self._engine.index.find(ref)
        async with self._engine.locks[container.id]:
            container = self._engine.index.find(container.id)
            _check_mode(container)
            asked = _asking(container, (*container.spec.ports, *requests), all_exposed=container.host.publish_all_ports)
            claims = self._engine.sandboxes.claims
            if self._engine.sandboxes.is_open(container.id):
                _check_not_held(container)
                if not claims.leads_out(container.endpoints):
                    raise Conflict(
                        f"container {container.name} is on no network that leads out: connect it to one first"
                    )
                asked = replace(asked, endpoints=claims.claim_more(asked, container.endpoints, requests))
            elif known := [request for request in requests if request in container.spec.ports]:
                raise Conflict(f"container {container.name} publishes {_words(known[0])} already")
            changed = await self._publish(container, asked)
            self._engine.lifecycle.tell(changed, "update")
            return changed

    async def remove(self, ref: str, patterns: Sequence[PortRequest]) -> Container:
        """All that the patterns name; raises NotFound, with nothing done, when one of them names nothing."""
        container = self._engine.index.find(ref)
        async with self._engine.locks[container.id]:
            container = self._engine.index.find(container.id)
            _check_not_held(container)
            bindings = [binding for endpoint in container.endpoints for binding in endpoint.published]
            # With -P, what it chose is asked for port by port from here on: else the next start would choose it again.
            found = ports.withdraw(self._engine.sandboxes.claims.requests(container), bindings, patterns)
            if found.unknown:
                raise NotFound(f"container {container.name} does not publish {_words(found.unknown[0])}")
            gone = frozenset(found.gone)
            endpoints = tuple(
                replace(e, published=tuple(b for b in e.published if b not in gone)) for e in container.endpoints
            )
            asked = replace(_asking(container, found.left, all_exposed=False), endpoints=endpoints)
            changed = await self._unpublish(container, asked)
            self._engine.lifecycle.tell(changed, "update")
            return changed

    async def _publish(self, before: Container, after: Container) -> Container:
        """To more published ports, claimed already; on failure as before."""
        sandboxes = self._engine.sandboxes
        if not sandboxes.is_open(before.id):
            return self._engine.index.save(after)
        with self._engine.reconciler.transition(before.id):
            try:
                self._engine.index.save(after)
                await sandboxes.claims.hand_over(after)
                sandboxes.reapply(before, after)
            except BaseException:
                self._change_back(before, after)
                with contextlib.suppress(Unavailable):
                    await sandboxes.claims.let_go(after, _published(after) - _published(before))
                raise
        return after

    async def _unpublish(self, before: Container, after: Container) -> Container:
        """To fewer published ports: what went through the others ends."""
        sandboxes = self._engine.sandboxes
        if not sandboxes.is_open(before.id):
            return self._engine.index.save(after)
        gone = _published(before) - _published(after)
        with self._engine.reconciler.transition(before.id):
            try:
                self._engine.index.save(after)
                sandboxes.reapply(before, after)
            except BaseException:
                self._change_back(before, after)
                raise
            addresses = [address.ip for endpoint in before.endpoints for address in endpoint.addresses]
            async with asyncio.TaskGroup() as side_by_side:
                side_by_side.create_task(self._engine.kernel.cut(gone, addresses), name="cut flows")
                side_by_side.create_task(sandboxes.claims.let_go(after, gone), name="let ports go")
        return after

    def _change_back(self, before: Container, after: Container) -> None:
        sandboxes = self._engine.sandboxes
        sandboxes.claims.abandon(after)
        self._engine.index.save(before)
        with contextlib.suppress(EngineError):
            self._engine.kernel.apply(plan(sandboxes.facts(after.endpoints), sandboxes.facts(before.endpoints)))


def _published(container: Container) -> frozenset[PortBinding]:
    return frozenset(binding for endpoint in container.endpoints for binding in endpoint.published)


def _check_mode(container: Container) -> None:
    if joined(container) is not None:
        raise InvalidArgument("conflicting options: port publishing and the container type network mode")
    if network_mode(container) == "host":
        raise InvalidArgument(f"container {container.name} uses the host's network: its ports are the host's already")
    if network_mode(container) == "none":
        raise InvalidArgument(f"container {container.name} has no network to publish ports of: its mode is none")


def _check_not_held(container: Container) -> None:
    """Plugins are told of ports when they let the container in, and never again."""
    held = [endpoint for endpoint in container.endpoints if endpoint.outside.holds_ports]
    if any(endpoint.published for endpoint in held) or (held and len(held) == len(container.endpoints)):
        raise Conflict(
            f"the ports of container {container.name} are published by its network's plugins, when it starts: stop it, "
            "change them, and start it again"
        )


def _asking(container: Container, requests: Sequence[PortRequest], *, all_exposed: bool) -> Container:
    """The record as if just these had been asked for, by -p and, with ``all_exposed``, by -P."""
    host = msgspec.structs.replace(
        container.host, port_bindings=render_bindings(requests), publish_all_ports=all_exposed
    )
    return replace(container, spec=replace(container.spec, host=host, ports=tuple(requests)))


def _words(request: PortRequest) -> str:
    """As ``-p`` writes it."""
    host = str(request.low or "") if request.low == request.high else f"{request.low}-{request.high}"
    address = "" if request.host_ip is None else str(request.host_ip)
    address = f"[{address}]" if ":" in address else address
    where = f"{address}:{host}" if address else host
    return f"{where}:{request.container}" if where else str(request.container)
