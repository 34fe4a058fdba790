"""Ports: what a container exposes and where the host publishes it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from fairlead.model.address import Ip


class Protocol(StrEnum):
    TCP = "tcp"
    UDP = "udp"
    SCTP = "sctp"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class ContainerPort:
    """A port inside the container, as in ``80/tcp``."""

    port: int
    protocol: Protocol = Protocol.TCP

    def __str__(self) -> str:
        return f"{self.port}/{self.protocol}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PortRequest:
    """What was asked with -p: ``host_ip`` None means every address, ``low`` 0 means any free port.

    ``low``..``high`` is the range of host ports to choose from (equal for one port).
    """

    container: ContainerPort
    host_ip: Ip | None = None
    low: int = 0
    high: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PortBinding:
    """A published port, concrete: one host address (0.0.0.0 and :: are wildcards) and one host port, claimed."""

    container: ContainerPort
    host_ip: Ip
    host_port: int
