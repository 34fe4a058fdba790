"""The ports of containers as DNS services: what SRV questions find."""

from __future__ import annotations

import functools
import socket
from collections.abc import Iterator

from fairlead.dns.view import NamedPort
from fairlead.model.container import Container
from fairlead.model.port import ContainerPort
from fairlead.net import ports

# A container that exposes thousands is not asked for each by name.
_MOST = 100


def named_ports(container: Container) -> tuple[NamedPort, ...]:
    """Each exposed port by its number and, where it has one, its service's name: ``_80._tcp``, ``_http._tcp``."""
    exposed = [port for text in container.config.exposed_ports or {} for port in ports.parse_exposed(text)]
    return tuple(named for port in exposed[:_MOST] for named in _named(port))


def _named(port: ContainerPort) -> Iterator[NamedPort]:
    yield NamedPort(str(port.port), str(port.protocol), port.port)
    if name := _service(port.port, str(port.protocol)):
        yield NamedPort(name, str(port.protocol), port.port)


@functools.lru_cache(maxsize=1024)
def _service(number: int, protocol: str) -> str:
    """As /etc/services calls it; "" where it does not."""
    try:
        return socket.getservbyport(number, protocol)
    except OSError:
        return ""
