"""What the engine answers: values made for one answer, never stored.

Times are nanoseconds since the epoch, sizes are bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from fairlead.ids import ContainerId, ExecId
from fairlead.model.address import Prefix
from fairlead.model.container import Container
from fairlead.model.endpoint import Endpoint
from fairlead.model.image import Image
from fairlead.model.network import Network
from fairlead.model.requests import ExecSpec
from fairlead.model.volume import Volume


class Detached(Exception):
    """The client typed the detach keys: its stream ends, the process goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A container in a list. ``networks`` maps names to the networks it is on; sizes None when not asked for."""

    container: Container
    image_name: str
    networks: Mapping[str, Network] = field(default_factory=dict)
    size_rw: int | None = None
    size_root: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspected:
    """A container with all that inspect shows. ``graph`` are overlayfs' LowerDir, UpperDir, WorkDir and MergedDir."""

    container: Container
    image: Image | None = None
    networks: Mapping[str, Network] = field(default_factory=dict)
    execs: tuple[str, ...] = ()
    graph: Mapping[str, str] = field(default_factory=dict)
    size_rw: int | None = None
    size_root: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkView:
    """A network with its endpoints, each with its container's name.

    ``usage`` is how many addresses of each subnet are in use or kept back, and how many are left to be chosen.
    """

    network: Network
    endpoints: Sequence[tuple[str, Endpoint]] = ()
    usage: Mapping[Prefix, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A container's interface on a network as those who made it find it; ``complaint`` "" where nothing is wrong."""

    name: str
    endpoint: Endpoint
    complaint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkChecked:
    """``complaint`` is about the network itself."""

    network: Network
    complaint: str = ""
    endpoints: Sequence[Checked] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitResult:
    status_code: int
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exec:
    """A further process of a container. ``exit_code`` None until it ended; ``pid`` 0 until it started."""

    id: ExecId
    container: ContainerId
    spec: ExecSpec
    running: bool = False
    started: bool = False
    exit_code: int | None = None
    pid: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Top:
    titles: tuple[str, ...]
    processes: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One path that differs from the image: ``kind`` is 0 modified, 1 added, 2 deleted."""

    kind: int
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PathStat:
    """A path in a container; ``mode`` is st_mode of stat(2), ``link_target`` "" unless a symbolic link."""

    name: str
    size: int
    mode: int
    mtime: int
    link_target: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """What a prune took away (ids of containers, names of volumes) and the space it gave back."""

    names: tuple[str, ...] = ()
    space: int = 0


@dataclass(frozen=True, slots=True)
class Untagged:
    """A name that an image lost."""

    ref: str


@dataclass(frozen=True, slots=True)
class Deleted:
    """An image or layer that went; ``id`` is ``sha256:…``."""

    id: str


Removal = Untagged | Deleted


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagesPruned:
    removals: tuple[Removal, ...] = ()
    space: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class InterfaceCounters:
    rx_bytes: int = 0
    rx_packets: int = 0
    rx_errors: int = 0
    rx_dropped: int = 0
    tx_bytes: int = 0
    tx_packets: int = 0
    tx_errors: int = 0
    tx_dropped: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockCount:
    """One counter of block I/O: ``op`` is read, write, …"""

    major: int
    minor: int
    op: str
    value: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StatsSample:
    """One reading of a container's cgroup and interfaces; CPU times in nanoseconds. All zero when it does not run.

    ``memory`` are the kernel's own counters of memory.stat; ``pids_limit`` 0 means none.
    """

    read: int
    name: str
    id: ContainerId
    running: bool = True
    cpu_total: int = 0
    cpu_kernel: int = 0
    cpu_user: int = 0
    system_cpu: int = 0
    online_cpus: int = 1
    percpu: tuple[int, ...] = ()
    throttling_periods: int = 0
    throttled_periods: int = 0
    throttled_time: int = 0
    memory_usage: int = 0
    memory_max_usage: int = 0
    memory_failcnt: int = 0
    memory_limit: int = 0
    memory: Mapping[str, int] = field(default_factory=dict)
    pids: int = 0
    pids_limit: int = 0
    blkio_bytes: tuple[BlockCount, ...] = ()
    blkio_ops: tuple[BlockCount, ...] = ()
    interfaces: Mapping[str, InterfaceCounters] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageUsage:
    """An image and what it costs: ``shared`` bytes lie in layers other images use too."""

    image: Image
    containers: int = 0
    shared: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeUsage:
    volume: Volume
    size: int = 0
    references: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskUsage:
    layers_size: int = 0
    images: tuple[ImageUsage, ...] = ()
    containers: tuple[Listed, ...] = ()
    volumes: tuple[VolumeUsage, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """A part with a version of its own: the engine, the OCI runtime, conmon."""

    name: str
    version: str
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    version: str
    commit: str = ""
    build_time: str = ""
    language: str = ""
    kernel: str = ""
    os: str = "linux"
    arch: str = "amd64"
    components: tuple[Component, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Info:
    """The engine and its machine, for ``docker info``."""

    id: str
    version: str
    running: int = 0
    paused: int = 0
    stopped: int = 0
    images: int = 0
    driver: str = "overlay2"
    driver_status: tuple[tuple[str, str], ...] = ()
    root: str = "/var/lib/fairlead"
    name: str = ""
    kernel: str = ""
    operating_system: str = ""
    os_version: str = ""
    architecture: str = "x86_64"
    cpus: int = 1
    memory: int = 0
    cgroup_driver: str = "cgroupfs"
    cgroup_version: str = "1"
    log_driver: str = "json-file"
    log_drivers: tuple[str, ...] = ("json-file", "local", "none")
    network_drivers: tuple[str, ...] = ()
    ipam_drivers: tuple[str, ...] = ()
    volume_drivers: tuple[str, ...] = ("local",)
    runtimes: Mapping[str, str] = field(default_factory=dict)
    default_runtime: str = "crun"
    runtime_version: str = ""
    init_binary: str = ""
    security_options: tuple[str, ...] = ()
    address_pools: tuple[tuple[str, int], ...] = ()
    labels: tuple[str, ...] = ()
    insecure_registries: tuple[str, ...] = ()
    registry_mirrors: tuple[str, ...] = ()
    http_proxy: str = ""
    https_proxy: str = ""
    no_proxy: str = ""
    debug: bool = False
    descriptors: int = 0
    tasks: int = 0
    listeners: int = 0
    time: int = 0
    ipv4_forwarding: bool = True
    memory_limit: bool = True
    swap_limit: bool = True
    cpu_cfs: bool = True
    cpu_shares: bool = True
    cpuset: bool = True
    pids_limit: bool = True
    oom_kill_disable: bool = True
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthResult:
    status: str
    identity_token: str = ""
