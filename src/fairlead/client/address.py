"""Where the engine is: ``unix://path``, ``tcp://host:port`` or ``ssh://[user@]host[:port]``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from fairlead.client.errors import ClientError

DEFAULT = "unix:///run/fairlead/fairlead.sock"
_PORT, _TLS_PORT = 2375, 2376


class UnixAddress(NamedTuple):
    path: str


class TcpAddress(NamedTuple):
    host: str
    port: int


class SshAddress(NamedTuple):
    """An engine reached through ``ssh``; ``socket`` is empty for the far side's default."""

    destination: str
    port: int | None
    socket: str


Address = UnixAddress | TcpAddress | SshAddress


class Tls(NamedTuple):
    """Files of the certificates; an empty name means that there is none."""

    verify: bool
    ca: str
    cert: str
    key: str


def choose(flag: str, environment: Mapping[str, str]) -> str:
    """The address to use: the flag, FAIRLEAD_HOST, DOCKER_HOST, or our socket."""
    return flag or environment.get("FAIRLEAD_HOST") or environment.get("DOCKER_HOST") or DEFAULT


def parse(text: str, *, tls: bool = False) -> Address:
    """The address that ``text`` names; raises ClientError."""
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = ("unix", text) if text.startswith("/") else ("tcp", text)
    match scheme:
        case "unix":
            return UnixAddress(rest or DEFAULT.removeprefix("unix://"))
        case "tcp" | "http" | "https":
            return _tcp(text, rest, _TLS_PORT if tls else _PORT)
        case "ssh":
            return _ssh(text, rest)
        case _:
            raise ClientError(f"invalid bind address ({text}): unsupported proto '{scheme}'")


def _tcp(text: str, rest: str, default_port: int) -> TcpAddress:
    authority = rest.partition("/")[0]
    host, port = _split_port(authority)
    if port is None and authority.endswith(":"):
        raise ClientError(f"invalid bind address ({text}): invalid port")
    return TcpAddress(host or "localhost", default_port if port is None else _port(text, port))


def _ssh(text: str, rest: str) -> SshAddress:
    authority, slash, path = rest.partition("/")
    user, at, host = authority.rpartition("@")
    name, port = _split_port(host)
    if not name or name.startswith("-") or user.startswith("-"):
        raise ClientError(f"invalid ssh address ({text}): expected ssh://[user@]host[:port]")
    return SshAddress(f"{user}{at}{name}", None if port is None else _port(text, port), f"{slash}{path}".rstrip("/"))


def _split_port(authority: str) -> tuple[str, str | None]:
    """``host:port``, ``[v6]:port``, ``host``: the brackets are taken off."""
    if authority.startswith("["):
        host, _, behind = authority[1:].partition("]")
        return host, behind.removeprefix(":") or None
    host, _, port = authority.partition(":")
    return host, port or None


def _port(text: str, port: str) -> int:
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise ClientError(f"invalid bind address ({text}): invalid port {port!r}")
    return int(port)
