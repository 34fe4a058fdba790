"""What callers ask the engine for: parsed requests, one frozen value per verb that takes more than a name.

Times are nanoseconds since the epoch, 0 meaning "not given".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from fairlead.errors import InvalidArgument
from fairlead.model.address import Prefix
from fairlead.model.container import Config, HostConfig, RestartPolicy
from fairlead.model.network import IpamConfig

WaitCondition = Literal["not-running", "next-exit", "removed"]

_TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_FALSE = frozenset({"0", "f", "F", "false", "FALSE", "False"})


@dataclass(frozen=True, slots=True)
class Filters:
    """Docker's ``filters``: for each key the values asked for. A key that is absent lets everything pass."""

    terms: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __contains__(self, key: str) -> bool:
        return key in self.terms

    def get(self, key: str) -> tuple[str, ...]:
        """The values asked for under ``key``; empty when it was not given."""
        return self.terms.get(key, ())

    def check(self, accepted: Iterable[str]) -> None:
        """Raise InvalidArgument for a key that the call does not know."""
        known = frozenset(accepted)
        for key in self.terms:
            if key not in known:
                raise InvalidArgument(f"invalid filter '{key}'")

    def exact(self, key: str, *values: str) -> bool:
        """Whether one of ``values`` is among those asked for."""
        return self._any(key, lambda term: term in values)

    def prefix(self, key: str, *values: str) -> bool:
        """Whether one of ``values`` begins with one asked for (events match ids so)."""
        return self._any(key, lambda term: any(value.startswith(term) for value in values))

    def search(self, key: str, *values: str) -> bool:
        """Whether one of ``values`` contains one asked for, which may be a regular expression (names, ids)."""
        return self._any(key, lambda term: any(_found(term, value) for value in values))

    def labels(self, key: str, labels: Mapping[str, str]) -> bool:
        """Whether *every* ``name`` or ``name=value`` asked for is among ``labels``."""
        return all(_has_label(term, labels) for term in self.get(key))

    def flag(self, key: str, default: bool) -> bool:
        """The one boolean given under ``key``; raises InvalidArgument for anything else."""
        values = self.get(key)
        if not values:
            return default
        if len(values) == 1 and values[0] in _TRUE:
            return True
        if len(values) == 1 and values[0] in _FALSE:
            return False
        raise InvalidArgument(f"invalid filter '{key}={list(values)}'".replace("['", "[").replace("']", "]"))

    def _any(self, key: str, matches: Callable[[str], bool]) -> bool:
        terms = self.terms.get(key)
        return terms is None or any(matches(term) for term in terms)


def _found(term: str, value: str) -> bool:
    if term in value:
        return True
    try:
        return re.search(term, value) is not None
    except re.error:
        return False


def _has_label(term: str, labels: Mapping[str, str]) -> bool:
    name, equals, value = term.partition("=")
    return name in labels and (not equals or labels[name] == value)


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkUpdate:
    """What shall be different about a network. ``name`` "" keeps it; what is to go need not be there."""

    name: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    remove_labels: tuple[str, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)
    remove_options: tuple[str, ...] = ()
    add_subnets: tuple[IpamConfig, ...] = ()
    remove_subnets: tuple[Prefix, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointUpdate:
    """What shall be different about a container on a network; None keeps what there is."""

    aliases: tuple[str, ...] | None = None
    add_aliases: tuple[str, ...] = ()
    remove_aliases: tuple[str, ...] = ()
    gw_priority: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachSpec:
    """Which streams of a container to join: ``logs`` replays what was written, ``stream`` follows what comes.

    ``detach_keys`` "" means the default, ctrl-p,ctrl-q.
    """

    stream: bool = False
    logs: bool = False
    stdin: bool = False
    stdout: bool = False
    stderr: bool = False
    detach_keys: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSpec:
    """Which log lines; ``tail`` None means all of them."""

    stdout: bool = False
    stderr: bool = False
    follow: bool = False
    since: int = 0
    until: int = 0
    tail: int | None = None
    timestamps: bool = False
    details: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecSpec:
    """A further process in a running container; ``console_size`` is (height, width), (0, 0) when not given."""

    cmd: tuple[str, ...]
    user: str = ""
    privileged: bool = False
    tty: bool = False
    stdin: bool = False
    stdout: bool = False
    stderr: bool = False
    detach_keys: str = ""
    env: tuple[str, ...] = ()
    working_dir: str = ""
    console_size: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecStartSpec:
    """How an attached exec is started. ``tty`` is what the client believes; the exec's own spec decides."""

    tty: bool = False
    console_size: tuple[int, int] = (0, 0)


class UpdateSpec(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """``docker update``: 0, "" and None leave a limit as it is."""

    cpu_shares: int = 0
    memory: int = 0
    nano_cpus: int = 0
    blkio_weight: int = 0
    cpu_period: int = 0
    cpu_quota: int = 0
    cpu_realtime_period: int = 0
    cpu_realtime_runtime: int = 0
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    memory_reservation: int = 0
    memory_swap: int = 0
    pids_limit: int | None = None
    restart_policy: RestartPolicy | None = None

    def applied(self, host: HostConfig) -> HostConfig:
        """``host`` with what was given here put in; an empty restart policy leaves the old one."""
        given = {name: value for name in self.__struct_fields__ if (value := getattr(self, name))}
        if self.pids_limit is not None:
            given["pids_limit"] = self.pids_limit
        if self.restart_policy is not None and not self.restart_policy.name:
            del given["restart_policy"]
        return msgspec.structs.replace(host, **given)


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeSpec:
    """A volume as asked for; ``name`` "" lets the engine choose 64 hex digits."""

    name: str = ""
    driver: str = "local"
    options: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitSpec:
    """A container's root made an image: ``ref`` "" leaves it untagged, ``changes`` are Dockerfile instructions.

    ``config`` None takes the container's own.
    """

    ref: str = ""
    comment: str = ""
    author: str = ""
    pause: bool = True
    changes: tuple[str, ...] = ()
    config: Config | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportSpec:
    """A tar of a root file system made an image."""

    ref: str = ""
    message: str = ""
    changes: tuple[str, ...] = ()
    platform: str = ""
