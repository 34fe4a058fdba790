"""The plugins this engine has to do with: found and activated at first use, again when they are another program."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from fairlead.errors import EngineError, NotFound, PluginAway
from fairlead.plugins import channel, discovery
from fairlead.plugins.channel import Limits, Message
from fairlead.plugins.discovery import Place
from fairlead.wire import plugins as words

T = TypeVar("T")

NETWORK, IPAM = "NetworkDriver", "IpamDriver"

# For plugins that somebody only wants to see listed.
_GLANCE = Limits(answer=1.0, connection=0.0)

# A plugin that is being restarted is waited for, a dead one not for long: its user waits, too. One that was away a
# moment ago is not waited for again.
_PATIENCE, _MOMENT = 5.0, 10.0


@dataclass(frozen=True, slots=True)
class _Active:
    place: Place
    kinds: frozenset[str]
    generation: int


class Plugins:
    """``directories`` are where they are looked for, ``timeout`` the seconds a call may take."""

    def __init__(self, directories: Sequence[str], timeout: float) -> None:
        self._directories, self._timeout = directories, timeout
        self._active: dict[str, _Active] = {}
        self._away: dict[str, float] = {}
        self._generations = itertools.count(1)

    def check_exists(self, name: str) -> None:
        """Raises NotFound, or PluginError for a file that does not say where it is. The plugin is not asked."""
        discovery.find(name, self._directories)

    async def generation(self, name: str) -> int:
        """Another number whenever another program took up the name: what the former said may not hold any more."""
        try:
            return (await self._activated(name, self._limits(name))).generation
        except PluginAway:
            self._away[name] = time.monotonic()
            raise

    async def call(self, name: str, method: str, message: Message, read: Callable[[bytes], T]) -> T:
        """``method`` is KIND.Call. Raises NotFound when there is no such plugin, or it is not of that kind; else as
        ``channel.call``.
        """
        kind = method.partition(".")[0]
        try:
            return await self._call(name, kind, method, message, read)
        except PluginAway:
            self._away[name] = time.monotonic()
            self._active.pop(name, None)
            raise

    async def _call(self, name: str, kind: str, method: str, message: Message, read: Callable[[bytes], T]) -> T:
        limits = self._limits(name)
        active = await self._activated(name, limits)
        if kind not in active.kinds:
            raise NotFound(f"plugin {name} does not implement {kind}: it implements {_listed(active.kinds)}")
        found = await channel.call(name, active.place, method, message, read, limits=limits)
        self._away.pop(name, None)
        return found

    def _limits(self, name: str) -> Limits:
        patient = time.monotonic() - self._away.get(name, -_MOMENT) >= _MOMENT
        return Limits(self._timeout, min(_PATIENCE, self._timeout / 2) if patient else 0.0)

    async def _activated(self, name: str, limits: Limits) -> _Active:
        place = discovery.find(name, self._directories)
        active = self._active.get(name)
        if active is None or active.place != place:
            kinds = await channel.call(name, place, "Plugin.Activate", {}, words.implements, limits=limits)
            active = self._active[name] = _Active(place, kinds, next(self._generations))
        return active

    async def answering(self) -> Mapping[str, frozenset[str]]:
        """All plugins there are that answer at once, and what they are."""
        names = discovery.scan(self._directories)
        async with asyncio.TaskGroup() as tasks:
            asked = {name: tasks.create_task(self._kinds(name), name=f"look at plugin {name}") for name in names}
        return {name: task.result() for name, task in asked.items()}

    async def _kinds(self, name: str) -> frozenset[str]:
        try:
            return (await self._activated(name, _GLANCE)).kinds
        except EngineError:
            return frozenset()


def _listed(kinds: frozenset[str]) -> str:
    return ", ".join(sorted(kinds)) or "nothing"
