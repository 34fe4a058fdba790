"""Chains of plugins, run: ADD in order, DEL in reverse, each command for those who understand it."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from fairlead.engine.outside.cni.files import find_plugin
from fairlead.errors import EngineError, NotFound, Unavailable
from fairlead.kernel import programs
from fairlead.net.cni import call, result
from fairlead.net.cni.call import Attached, Command
from fairlead.net.cni.conflist import VERSIONS, NetworkList, choose_version, parse_plugin
from fairlead.net.cni.errors import (
    NOT_READY,
    TRY_AGAIN_LATER,
    UNKNOWN_CONTAINER,
    CniError,
    PluginFailure,
    PluginMissing,
)
from fairlead.net.cni.result import Result
from fairlead.settings import Settings

log = logging.getLogger(__name__)
T = TypeVar("T")

_PRINTED_MOST = 1 << 20
# Seconds until a plugin that asks to be tried again later is.
_PAUSES = (0.2, 1.0, 3.0)


@dataclass(frozen=True, slots=True)
class _Known:
    """The versions that a program speaks, while it is the one that was asked."""

    changed: int
    versions: tuple[str, ...]


@contextmanager
def told_of(network: str) -> Iterator[None]:
    """What a chain complains of, as an error of the engine that names the network."""
    try:
        yield
    except CniError as error:
        raise _kind(error)(f"CNI network {network}: {error}") from error


def _kind(error: CniError) -> type[EngineError]:
    match error:
        case PluginMissing():
            return NotFound
        case PluginFailure(code=code) if code in (TRY_AGAIN_LATER, *NOT_READY):
            return Unavailable
        case _:
            return EngineError


class Chains:
    """Runs plugins; raises CniError. That no container has two runs at a time is for the caller to see to."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._spoken: dict[str, _Known] = {}

    async def version(self, chain: NetworkList) -> str:
        """The newest version of the protocol that the configuration, its plugins and we have in common."""
        return choose_version(chain, {plugin.type: await self._versions(plugin.type) for plugin in chain.plugins})

    async def _versions(self, plugin: str) -> tuple[str, ...]:
        path = find_plugin(self._settings.cni_bin_dirs, plugin)
        changed = os.stat(path).st_mtime_ns
        known = self._spoken.get(path)
        if known is None or known.changed != changed:
            printed = await self._run(plugin, Command.VERSION, None, call.version_input(VERSIONS[-1]))
            known = self._spoken[path] = _Known(changed, _read(plugin, result.parse_versions, printed))
        return known.versions

    # -- one container ----------------------------------------------------------------------------------------------

    async def add(self, attached: Attached) -> Result:
        """What the last plugin answered. After a failure whatever was made is still there: ``delete`` is to follow."""
        return await _patiently(lambda: self._add(attached), lambda: self.delete(attached))

    async def _add(self, attached: Attached) -> Result:
        answer = Result(text="")
        for text in attached.plugins:
            plugin = parse_plugin(text.encode())
            given = call.attachment_input(Command.ADD, attached, plugin, answer.text)
            printed = await self._run(plugin.type, Command.ADD, attached, given)
            answer = _read(plugin.type, lambda answer: result.parse_result(answer, attached.version), printed)
        return answer

    async def delete(self, attached: Attached) -> None:
        """What is gone, or never was, is success. One plugin's failure keeps none of the others from its part."""
        failures: list[CniError] = []
        for text in reversed(attached.plugins):
            try:
                await _patiently(partial(self._delete, text, attached))
            except CniError as error:
                failures.append(error)
        if failures:
            raise failures[0]

    async def _delete(self, text: str, attached: Attached) -> None:
        plugin = parse_plugin(text.encode())
        given = call.attachment_input(Command.DEL, attached, plugin, attached.result)
        try:
            await self._run(plugin.type, Command.DEL, attached, given)
        except PluginFailure as failure:
            if failure.code != UNKNOWN_CONTAINER:
                raise

    async def check(self, attached: Attached) -> None:
        """That all is as ADD left it, as far as the plugins can tell, and may be asked."""
        if attached.disable_check or not call.knows(attached.version, Command.CHECK):
            return
        for text in attached.plugins:
            plugin = parse_plugin(text.encode())
            given = call.attachment_input(Command.CHECK, attached, plugin, attached.result)
            await self._run(plugin.type, Command.CHECK, attached, given)

    # -- a network --------------------------------------------------------------------------------------------------

    async def status(self, chain: NetworkList, version: str) -> None:
        """That the plugins are ready for ADD, if they can tell."""
        if call.knows(version, Command.STATUS):
            for plugin in chain.plugins:
                given = call.network_input(plugin, chain.name, version)
                await self._run(plugin.type, Command.STATUS, None, given)

    async def collect(self, chain: NetworkList, version: str, valid: Iterable[tuple[str, str]]) -> None:
        """GC: whatever the plugins hold for others than these (container, ifname) is given back."""
        if chain.disable_gc or not call.knows(version, Command.GC):
            return
        known = tuple(valid)
        for plugin in chain.plugins:
            given = call.network_input(plugin, chain.name, version, known)
            await self._run(plugin.type, Command.GC, None, given)

    # -- one run ----------------------------------------------------------------------------------------------------

    async def _run(self, plugin: str, command: Command, attached: Attached | None, given: bytes) -> bytes:
        """What the plugin printed."""
        path = find_plugin(self._settings.cni_bin_dirs, plugin)
        environment = os.environ | call.environment(command, attached, self._settings.cni_bin_dirs)
        log.debug("CNI plugin %s: %s %s", plugin, command, given.decode())
        try:
            ended = await programs.run(path, given, environment, seconds=self._settings.cni_timeout, most=_PRINTED_MOST)
        except programs.ProgramError as error:
            raise CniError(f"CNI plugin {plugin} {error}") from error
        if ended.code:
            raise result.parse_failure(plugin, ended.output, ended.complaint)
        return ended.output


async def _patiently(attempt: Callable[[], Awaitable[T]], undo: Callable[[], Awaitable[None]] | None = None) -> T:
    """What ``attempt`` gives, which is repeated while a plugin asks for that."""
    for pause in _PAUSES:
        try:
            return await attempt()
        except PluginFailure as failure:
            if failure.code != TRY_AGAIN_LATER:
                raise
        if undo is not None:
            await undo()
        await asyncio.sleep(pause)
    return await attempt()


def _read(plugin: str, parse: Callable[[bytes], T], printed: bytes) -> T:
    try:
        return parse(printed)
    except CniError as error:
        raise CniError(f"CNI plugin {plugin}: {error}") from error
