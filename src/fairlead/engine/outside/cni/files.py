"""Configurations and plugins where administrators put them: found by name, read, with sentences that say where."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace

from fairlead.errors import InvalidArgument, NotFound
from fairlead.net.cni.conflist import NetworkList, Plugin, parse_list, parse_plugin, parse_single
from fairlead.net.cni.errors import CniError, PluginMissing

_MOST = 1 << 20
_LIST, _SINGLES = ".conflist", (".conf", ".json")


def load(directory: str, name: str) -> NetworkList:
    """The configuration of that name in the directory, or at that absolute path.

    Lists go before single plugins, each in the order of their file names. Files that cannot be read stand in nobody's
    way but that of who asks for them.
    """
    if name.startswith("/"):
        return _read(name)
    broken: list[InvalidArgument] = []
    for path in _candidates(directory):
        try:
            chain = _read(path)
        except InvalidArgument as error:
            broken.append(error)
            continue
        if chain.name == name:
            return chain
    reason = f" ({broken[0]})" if broken else ""
    raise NotFound(f"no CNI network {name!r} in {directory}{reason}")


def find_plugin(directories: Sequence[str], plugin: str) -> str:
    """The path of a plugin's program; raises PluginMissing."""
    for directory in directories:
        path = os.path.join(directory, plugin)
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    raise PluginMissing(f"CNI plugin {plugin} is not in {' or '.join(directories)}: install it, or see --cni-bin-dir")


def _candidates(directory: str) -> Iterator[str]:
    names = _listing(directory)
    yield from (os.path.join(directory, name) for name in names if name.endswith(_LIST))
    yield from (os.path.join(directory, name) for name in names if name.endswith(_SINGLES))


def _listing(directory: str) -> list[str]:
    try:
        return sorted(entry.name for entry in os.scandir(directory) if entry.is_file())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise InvalidArgument(f"cannot read {directory}: {_reason(error)}") from error


def _read(path: str) -> NetworkList:
    try:
        if not path.endswith(_LIST):
            return parse_single(_content(path))
        chain = parse_list(_content(path))
        if not chain.only_inlined:
            chain = replace(chain, plugins=(*chain.plugins, *_beside(os.path.dirname(path), chain.name)))
    except CniError as error:
        raise InvalidArgument(f"CNI configuration {path}: {error}") from error
    if not chain.plugins:
        own = os.path.join(os.path.dirname(path), chain.name)
        raise InvalidArgument(f"CNI configuration {path}: no plugins, neither in it nor in {own}")
    return chain


def _beside(directory: str, name: str) -> Iterator[Plugin]:
    """Plugins in files of their own, in the directory named after the network."""
    own = os.path.join(directory, name)
    for file in _listing(own):
        if file.endswith(_SINGLES[0]):
            try:
                yield parse_plugin(_content(os.path.join(own, file)))
            except CniError as error:
                raise InvalidArgument(f"CNI configuration {os.path.join(own, file)}: {error}") from error


def _content(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            content = file.read(_MOST + 1)
    except OSError as error:
        raise InvalidArgument(f"CNI configuration {path}: {_reason(error)}") from error
    if len(content) > _MOST:
        raise InvalidArgument(f"CNI configuration {path}: longer than {_MOST} bytes")
    return content


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
