"""A network's configuration: the chain of plugins in the order they are run, and the versions it may be run with."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from fairlead.errors import InvalidArgument
from fairlead.net.cni.errors import CniError
from fairlead.wire import body

# Oldest first. A configuration that names no version is one of the first.
VERSIONS = ("0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0")

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugin:
    """One link of the chain. ``text`` is its JSON object with everything its administrator wrote there."""

    type: str
    capabilities: frozenset[str]
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkList:
    """A chain. ``versions`` are those it offers and we know, oldest first."""

    name: str
    versions: tuple[str, ...]
    plugins: tuple[Plugin, ...] = ()
    disable_check: bool = False
    disable_gc: bool = False
    only_inlined: bool = False

    @property
    def capabilities(self) -> frozenset[str]:
        """What some plugin of the chain declares to make use of."""
        return frozenset().union(*(plugin.capabilities for plugin in self.plugins))


class _PluginBody(msgspec.Struct, frozen=True, kw_only=True):
    type: str = ""
    capabilities: Mapping[str, bool] = {}


class _ListBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    cni_version: str = ""
    cni_versions: tuple[str, ...] = ()
    name: str = ""
    # Older tools wrote these as text.
    disable_check: bool | str = False
    disable_gc: bool | str = msgspec.field(default=False, name="disableGC")
    load_only_inlined_plugins: bool | str = False
    plugins: tuple[dict[str, Any], ...] | None = None


def parse_list(text: bytes) -> NetworkList:
    """A ``.conflist``. Without plugins of its own it expects them in files beside it: see ``with_plugins``."""
    given = _convert(_decode(text), _ListBody)
    only_inlined = _flag(given.load_only_inlined_plugins, "loadOnlyInlinedPlugins")
    if given.plugins is None and only_inlined:
        raise CniError("loadOnlyInlinedPlugins is true and there is no list of plugins")
    if given.plugins is not None and not given.plugins:
        raise CniError("its list of plugins is empty")
    return NetworkList(
        name=_name(given.name),
        versions=_offered(given),
        plugins=tuple(_plugin(each, f"plugins[{place}]") for place, each in enumerate(given.plugins or ())),
        disable_check=_flag(given.disable_check, "disableCheck"),
        disable_gc=_flag(given.disable_gc, "disableGC"),
        only_inlined=only_inlined,
    )


def parse_single(text: bytes) -> NetworkList:
    """A ``.conf`` of old: one plugin with name and version inside, as a chain of one."""
    value = _decode(text)
    given = _convert(value, _ListBody)
    return NetworkList(name=_name(given.name), versions=_offered(given), plugins=(_plugin(value, ""),))


def parse_plugin(text: bytes) -> Plugin:
    """One plugin in a file of its own, in the directory named after its network (since 1.1.0)."""
    return _plugin(_decode(text), "")


def choose_version(chain: NetworkList, spoken: Mapping[str, Collection[str]]) -> str:
    """The newest version that the configuration offers and all its plugins speak (by plugin type)."""
    usable = [version for version in chain.versions if all(version in known for known in spoken.values())]
    if usable:
        return usable[-1]
    known = "; ".join(f"{plugin}: {', '.join(versions) or 'none'}" for plugin, versions in spoken.items())
    raise CniError(f"its configuration asks for CNI {' or '.join(chain.versions)}, its plugins speak others ({known})")


def since(version: str, first: str) -> bool:
    """Whether ``version`` is ``first`` or a later one."""
    return VERSIONS.index(version) >= VERSIONS.index(first)


def _decode(text: bytes) -> dict[str, Any]:
    try:
        value = body.decode(text)
    except InvalidArgument as error:
        raise CniError(str(error)) from error
    if not isinstance(value, dict):
        raise CniError("it is not a JSON object")
    return value


def _convert(value: dict[str, Any], kind: type[body.T], where: str = "") -> body.T:
    try:
        return body.convert(value, kind, where)
    except InvalidArgument as error:
        raise CniError(str(error)) from error


def _plugin(value: dict[str, Any], where: str) -> Plugin:
    given = _convert(value, _PluginBody, where)
    if not given.type or "/" in given.type or given.type in (".", "..") or not given.type.isprintable():
        raise CniError(f"{where or 'it'}: {given.type!r} is no type: it is the file name of a plugin's program")
    return Plugin(
        type=given.type,
        capabilities=frozenset(name for name, wanted in given.capabilities.items() if wanted),
        text=msgspec.json.encode(value).decode(),
    )


def _name(name: str) -> str:
    if _NAME.match(name) is None:
        raise CniError(f"{name!r} is no name for a network: only [a-zA-Z0-9][a-zA-Z0-9_.-]* are allowed")
    return name


def _flag(value: bool | str, field: str) -> bool:
    if isinstance(value, bool):
        return value
    if value.lower() not in ("true", "false"):
        raise CniError(f"{field} is neither true nor false: {value!r}")
    return value.lower() == "true"


def _offered(given: _ListBody) -> tuple[str, ...]:
    asked = {*given.cni_versions, *((given.cni_version,) if given.cni_version else ())} or {VERSIONS[0]}
    # "0.1" and the like are in old examples.
    known = {version if version.count(".") > 1 else f"{version}.0" for version in asked}
    offered = tuple(version for version in VERSIONS if version in known)
    if not offered:
        raise CniError(f"CNI {', '.join(sorted(asked))} is not spoken here: {VERSIONS[0]} to {VERSIONS[-1]} are")
    return offered
