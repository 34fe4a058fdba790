"""Where a plugin is: sockets ``NAME.sock`` first, then the files ``NAME.spec`` and ``NAME.json`` that hold an address.

Each is looked for in a directory and in a folder of the plugin's name there, as dockerd does.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import msgspec

from fairlead.errors import NotFound, PluginError

_LONGEST_SPEC = 64 << 10


class TlsFiles(msgspec.Struct, frozen=True, kw_only=True):
    """``TLSConfig`` of a ``.json`` file."""

    insecure: bool = msgspec.field(default=False, name="InsecureSkipVerify")
    ca: str = msgspec.field(default="", name="CAFile")
    cert: str = msgspec.field(default="", name="CertFile")
    key: str = msgspec.field(default="", name="KeyFile")


class _JsonSpec(msgspec.Struct, frozen=True, kw_only=True):
    addr: str = msgspec.field(name="Addr")
    tls: TlsFiles | None = msgspec.field(default=None, name="TLSConfig")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a plugin is reached: a unix socket, or a TCP address. ``born`` tells sockets of one path apart."""

    socket: str = ""
    address: str = ""
    tls: TlsFiles | None = None
    born: int = 0


def find(name: str, directories: Sequence[str]) -> Place:
    """Raises NotFound, or PluginError for a file that does not say where the plugin is."""
    for path in _candidates(name, directories, (".sock",)):
        if (born := _socket_birth(path)) is not None:
            return Place(socket=path, born=born)
    for path in _candidates(name, directories, (".spec", ".json")):
        if os.path.isfile(path):
            return _read(name, path)
    raise NotFound(f"could not find plugin {name} in v1 plugin registry: plugin not found")


def scan(directories: Sequence[str]) -> Sequence[str]:
    """The names of all that could be plugins, each once."""
    names = (
        os.path.splitext(entry)[0]
        for directory in directories
        for inner in ("", *_entries(directory))
        for entry in _entries(os.path.join(directory, inner))
        if os.path.splitext(entry)[1] in (".sock", ".spec", ".json") and inner in ("", os.path.splitext(entry)[0])
    )
    return sorted(set(names))


def _entries(directory: str) -> Sequence[str]:
    try:
        return os.listdir(directory)
    except OSError:
        return ()


def _candidates(name: str, directories: Sequence[str], endings: Sequence[str]) -> Iterator[str]:
    if not name or name.startswith(".") or "/" in name or "\0" in name:
        return
    for directory in directories:
        for ending in endings:
            yield os.path.join(directory, name + ending)
            yield os.path.join(directory, name, name + ending)


def _socket_birth(path: str) -> int | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_ctime_ns if stat.S_ISSOCK(found.st_mode) else None


def _read(name: str, path: str) -> Place:
    try:
        with open(path, "rb") as file:
            text = file.read(_LONGEST_SPEC)
        if not path.endswith(".json"):
            return _place(text.decode().strip(), None)
        spec = msgspec.json.decode(text, type=_JsonSpec)
        return _place(spec.addr, spec.tls)
    except (OSError, ValueError) as error:
        raise PluginError(f"plugin {name}: {path} does not say where it is: {error}") from error


def _place(url: str, tls: TlsFiles | None) -> Place:
    """``unix:///path``, ``tcp://host:port``, ``http://…`` or ``https://…``; raises ValueError."""
    parts = urlsplit(url)
    if parts.scheme == "unix" and parts.path.startswith("/") and not parts.netloc:
        return Place(socket=parts.path, born=_socket_birth(parts.path) or 0)
    if parts.scheme in ("tcp", "http", "https") and parts.hostname and parts.port:
        secure = tls or (TlsFiles() if parts.scheme == "https" else None)
        return Place(address=f"{_bracketed(parts.hostname)}:{parts.port}", tls=secure)
    raise ValueError(f"unix:///PATH or tcp://HOST:PORT is wanted, not {url[:200]!r}")


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
