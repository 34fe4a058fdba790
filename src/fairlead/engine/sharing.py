"""Containers in another's sandbox (``--network container:X``): whose it is, who lives in it, and what it outlives.

A sandbox stays as long as somebody lives in it, whether X runs or not: X comes back into the same one, with the same
addresses, names and ports, and the others notice nothing. Only X's removal ends it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from fairlead.engine.modes import joined, network_mode
from fairlead.errors import Conflict, EngineError, NotFound
from fairlead.ids import ContainerId
from fairlead.model.container import Container

if TYPE_CHECKING:
    from fairlead.engine.core import Engine

log = logging.getLogger(__name__)

_LIVE = frozenset({"running", "paused"})


class Sharing:
    """Everything about sandboxes with more than one container in them."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    # -- who --------------------------------------------------------------------------------------------------------

    def owner(self, container: Container) -> Container:
        """Whose sandbox it is, or will be, in: its own or that of the one it joined, or of that one's successor."""
        seen = {container.id}
        while (other := joined(container)) is not None:
            container = self._joined(container, other)
            if container.id in seen:
                raise EngineError("cannot join own network namespace")
            seen.add(container.id)
        return container

    def _joined(self, container: Container, other: str) -> Container:
        """By its id; where it was removed, whoever has its name now."""
        found = self._engine.index.get(other)
        if found is None and container.shares:
            found = self._engine.index.by_name(container.shares)
        if found is None:
            raise NotFound(f"No such container: {other}")
        return found

    def members(self, owner: Container) -> Sequence[Container]:
        """The others that live in its sandbox now, or are on their way in or out."""
        return [c for c in self._guests(owner) if c.sandbox_key and self._lives(c)]

    def _lives(self, container: Container) -> bool:
        return container.state.status in _LIVE or container.id in self._engine.reconciler.transitions

    def _guests(self, owner: Container) -> Sequence[Container]:
        return [c for c in self._engine.store.containers if joined(c) is not None and self._is_guest(c, owner)]

    def _is_guest(self, container: Container, owner: Container) -> bool:
        try:
            return self.owner(container).id == owner.id
        except EngineError:
            return False

    # -- in ---------------------------------------------------------------------------------------------------------

    def check(self, container: Container) -> None:
        """Raises Docker's error where there is no sandbox to join."""
        owner = self.owner(container)
        if owner.id == container.id or self._engine.sandboxes.is_open(owner.id):
            return
        if network_mode(owner) != "host" or owner.state.status not in _LIVE:
            raise Conflict(
                f"cannot join network namespace of a non running container: container {owner.name} is "
                f"{owner.state.status}"
            )

    def joining(self, container: Container) -> Container:
        """With what belongs to the sandbox it shares: the owner's files and hostname, too."""
        owner = self.owner(container)
        config = msgspec.structs.replace(
            container.config, hostname=owner.config.hostname, domainname=owner.config.domainname
        )
        host = container.host
        if self._engine.index.get(joined(container) or "") is None:
            host = msgspec.structs.replace(host, network_mode=f"container:{owner.id}")
        return replace(
            container,
            spec=replace(container.spec, config=config, host=host),
            sandbox_key=owner.sandbox_key,
            hostname_path=owner.hostname_path,
            hosts_path=owner.hosts_path,
            resolv_conf_path=owner.resolv_conf_path,
        )

    def renamed(self, owner: Container, name: str) -> None:
        """Those who join it find its successor by its new name."""
        for guest in self._guests(owner):
            self._engine.index.save(replace(guest, shares=name))

    # -- out --------------------------------------------------------------------------------------------------------

    async def vacate(self, container: Container) -> Container:
        """Its process has ended: so does its sandbox, unless others live in it. The lock is held."""
        sandboxes = self._engine.sandboxes
        if sandboxes.is_open(container.id) and self.members(container):
            sandboxes.note_pin(container)
            return container
        await sandboxes.close(container)
        return replace(container, endpoints=(), sandbox_key="")

    def left(self, container: Container) -> None:
        """A container has ended: if it was the last one in a sandbox whose owner does not run, that goes too."""
        if joined(container) is None:
            return
        try:
            owner = self.owner(container)
        except EngineError:
            return
        if owner.state.status not in _LIVE and self._engine.sandboxes.is_open(owner.id):
            self._engine.spawn(self._close_if_empty(owner.id), f"empty sandbox of {owner.name}")

    async def _close_if_empty(self, identifier: ContainerId) -> None:
        async with self._engine.locks[identifier]:
            owner = self._engine.store.containers.get(identifier)
            if owner is None or owner.state.status in _LIVE or self.members(owner):
                return
            with self._engine.reconciler.transition(identifier):
                self._engine.index.save(await self.vacate(owner))

    async def dissolve(self, container: Container) -> None:
        """It is being removed, and its sandbox with it, whoever lives there. The lock is held."""
        if not self._engine.sandboxes.is_open(container.id):
            return
        members = self.members(container)
        with self._engine.reconciler.transition(container.id):
            await self._engine.sandboxes.close(container)
        for member in members:
            log.warning("%s has no network any more: %s, whose it shared, was removed", member.name, container.name)
            self._engine.index.save(replace(member, sandbox_key=""))

    # -- back -------------------------------------------------------------------------------------------------------

    def call_back(self, owner: Container) -> None:
        """It has a new sandbox: who lost the one of its predecessor is started anew in this one, if its policy is to
        be started again at all.
        """
        if network_mode(owner) == "host":
            return
        for guest in self._guests(owner):
            if guest.state.status not in _LIVE or guest.sandbox_key:
                continue
            policy = guest.host.restart_policy
            if policy is None or policy.name in ("", "no"):
                log.warning("%s must be restarted to share the network of the new %s", guest.name, owner.name)
            else:
                self._engine.spawn(self._restart(guest), f"restart of {guest.name} beside {owner.name}")

    async def _restart(self, container: Container) -> None:
        await self._engine.containers.restart(container.id)
