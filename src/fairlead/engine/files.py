"""The three files every sandbox is given: hostname, hosts and resolv.conf. Text in, text out; writing keeps the inode.

They are bind-mounted into containers, so a new version must be written into the same inode to be seen there.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

EMBEDDED_DNS = "127.0.0.11"

# What dockerd falls back on when the host names no server a container could reach (libnetwork/internal/resolvconf).
_FALLBACK = ("8.8.8.8", "8.8.4.4")


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvConf:
    """What a resolv.conf says."""

    servers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


def parse_resolv_conf(text: str) -> ResolvConf:
    """resolv.conf(5): later ``search`` and ``domain`` lines win, servers and options add up."""
    servers: list[str] = []
    search: tuple[str, ...] = ()
    options: list[str] = []
    for line in text.splitlines():
        words = line.split("#")[0].split(";")[0].split()
        match words:
            case ["nameserver", server, *_]:
                servers.append(server)
            case ["search" | "domain", *names]:
                search = tuple(names)
            case ["options", *more]:
                options += more
    return ResolvConf(servers=tuple(servers), search=search, options=tuple(options))


def host_resolv_conf(path: str = "/etc/resolv.conf") -> ResolvConf:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return parse_resolv_conf(file.read())
    except OSError:
        return ResolvConf()


def reachable(servers: Iterable[str]) -> tuple[str, ...]:
    """The servers a container can reach by itself: not those on the host's loopback; never empty."""
    usable = []
    for server in servers:
        try:
            address = ip_address(server.split("%")[0])
        except ValueError:
            continue
        if not address.is_loopback:
            usable.append(server)
    return tuple(usable) or _FALLBACK


def render_resolv_conf(conf: ResolvConf) -> str:
    """A ``search .`` asks for no search list at all, as dockerd has it."""
    lines = [f"nameserver {server}" for server in conf.servers]
    if conf.search and conf.search != (".",):
        lines.append("search " + " ".join(conf.search))
    if conf.options:
        lines.append("options " + " ".join(conf.options))
    return "\n".join(lines) + "\n"


def with_embedded_dns(conf: ResolvConf) -> ResolvConf:
    """The container asks us; ``ndots:0`` unless set, so that single-label names are asked as they stand."""
    options = (
        conf.options if any(option.startswith("ndots:") for option in conf.options) else (*conf.options, "ndots:0")
    )
    return ResolvConf(servers=(EMBEDDED_DNS,), search=conf.search, options=options)


_LOCALHOST4 = "127.0.0.1\tlocalhost\n"
_LOCALHOST6 = (
    "::1\tlocalhost ip6-localhost ip6-loopback\n"
    "fe00::\tip6-localnet\n"
    "ff00::\tip6-mcastprefix\n"
    "ff02::1\tip6-allnodes\n"
    "ff02::2\tip6-allrouters\n"
)


def render_hosts(entries: Sequence[tuple[str, str]], *, ipv6: bool = True) -> str:
    """``entries`` are (address, names) in order."""
    lines = "".join(f"{address}\t{names}\n" for address, names in entries)
    return _LOCALHOST4 + (_LOCALHOST6 if ipv6 else "") + lines


def host_names(hostname: str, domainname: str) -> str:
    """The names of a container's own address: ``full short`` where there is a domain."""
    full = f"{hostname}.{domainname}" if domainname else hostname
    first = full.split(".")[0]
    return full if first == full else f"{full} {first}"


def write_in_place(path: str, text: str, mode: int = 0o644) -> None:
    """Same inode, new text. Skipped when it already reads so."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
    with os.fdopen(fd, "r+b") as file:
        content = text.encode()
        if file.read() == content:
            return
        file.seek(0)
        file.write(content)
        file.truncate()
