"""The plugins this engine has to do with: found and activated at first use, again when they are another program."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from fairlead.errors import EngineError, NotFound, PluginAway
from fairlead.plugins import channel, discovery
from fairlead.plugins.channel import Message
from fairlead.plugins.discovery import Place
from fairlead.wire import plugins as words

T = TypeVar("T")

NETWORK, IPAM = "NetworkDriver", "IpamDriver"

_GLANCE = 1.0  # seconds for plugins that somebody only wants to see listed


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
        self._generations = itertools.count(1)

    def check_exists(self, name: str) -> None:
        """Raises NotFound, or PluginError for a file that does not say where it is. The plugin is not asked."""
        discovery.find(name, self._directories)

    def generation(self, name: str) -> int:
        """Another number whenever the plugin was activated anew: what it said before may not hold any more."""
        active = self._active.get(name)
        return 0 if active is None else active.generation

    async def call(self, name: str, method: str, message: Message, read: Callable[[bytes], T]) -> T:
        """``method`` is KIND.Call. Raises NotFound when there is no such plugin, or it is not of that kind; else as
        ``channel.call``.
        """
        kind = method.partition(".")[0]
        active = await self._activated(name, self._timeout)
        if kind not in active.kinds:
            raise NotFound(f"plugin {name} does not implement {kind}: it implements {_listed(active.kinds)}")
        try:
            return await channel.call(name, active.place, method, message, read, timeout=self._timeout)
        except PluginAway:
            self._active.pop(name, None)
            raise

    async def _activated(self, name: str, timeout: float) -> _Active:  # noqa: ASYNC109 (the user's)
        place = discovery.find(name, self._directories)
        active = self._active.get(name)
        if active is None or active.place != place:
            kinds = await channel.call(name, place, "Plugin.Activate", {}, words.implements, timeout=timeout)
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
