"""Containers: what was asked (Config, HostConfig, endpoint specs) and what is (Container, its state).

Config and HostConfig carry Docker's own field names on the wire, because inspect must echo every one of them; inside
they are read by their snake_case names. A field that Docker's clients may send as null is ``None`` by default.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from fairlead.ids import ContainerId
from fairlead.model.endpoint import Endpoint, EndpointSpec
from fairlead.model.port import PortRequest

Strings = tuple[str, ...]
StrMap = Mapping[str, str]


class Health(msgspec.Struct, frozen=True, kw_only=True, rename="pascal", omit_defaults=True):
    """HEALTHCHECK; durations in nanoseconds, 0 means the default."""

    test: Strings | None = None
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


class Config(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """The portable half of a container's configuration, shared with images."""

    hostname: str = ""
    domainname: str = ""
    user: str = ""
    attach_stdin: bool = False
    attach_stdout: bool = False
    attach_stderr: bool = False
    exposed_ports: Mapping[str, dict[str, Any]] | None = None
    tty: bool = False
    open_stdin: bool = False
    stdin_once: bool = False
    env: Strings | None = None
    cmd: Strings | None = None
    healthcheck: Health | None = None
    args_escaped: bool | None = None
    image: str = ""
    volumes: Mapping[str, dict[str, Any]] | None = None
    working_dir: str = ""
    entrypoint: Strings | None = None
    network_disabled: bool | None = None
    mac_address: str | None = None
    on_build: Strings | None = None
    labels: StrMap | None = None
    stop_signal: str | None = None
    stop_timeout: int | None = None
    shell: Strings | None = None


class LogConfig(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    type: str = ""
    config: StrMap | None = None


class RestartPolicy(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """``name`` is "", no, always, unless-stopped or on-failure."""

    name: str = ""
    maximum_retry_count: int = 0


class Device(msgspec.Struct, frozen=True, kw_only=True):
    path_on_host: str = msgspec.field(default="", name="PathOnHost")
    path_in_container: str = msgspec.field(default="", name="PathInContainer")
    cgroup_permissions: str = msgspec.field(default="rwm", name="CgroupPermissions")


class DeviceRequest(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    driver: str = ""
    count: int = 0
    device_ids: Strings | None = msgspec.field(default=None, name="DeviceIDs")
    capabilities: tuple[Strings, ...] | None = None
    options: StrMap | None = None


class Ulimit(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    name: str = ""
    soft: int = 0
    hard: int = 0


class WeightDevice(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    path: str = ""
    weight: int = 0


class ThrottleDevice(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    path: str = ""
    rate: int = 0


class BindOptions(msgspec.Struct, frozen=True, kw_only=True, rename="pascal", omit_defaults=True):
    propagation: str = ""
    non_recursive: bool = False
    create_mountpoint: bool = False
    read_only_non_recursive: bool = False
    read_only_force_recursive: bool = False


class DriverConfig(msgspec.Struct, frozen=True, kw_only=True, rename="pascal", omit_defaults=True):
    name: str = ""
    options: StrMap | None = None


class VolumeOptions(msgspec.Struct, frozen=True, kw_only=True, rename="pascal", omit_defaults=True):
    no_copy: bool = False
    labels: StrMap | None = None
    driver_config: DriverConfig | None = None
    subpath: str = ""


class TmpfsOptions(msgspec.Struct, frozen=True, kw_only=True, rename="pascal", omit_defaults=True):
    size_bytes: int = 0
    mode: int = 0
    options: tuple[Strings, ...] | None = None


class Mount(msgspec.Struct, frozen=True, kw_only=True, rename="pascal", omit_defaults=True):
    """--mount; ``type`` is bind, volume, tmpfs or image."""

    type: str = "volume"
    source: str = ""
    target: str = ""
    read_only: bool = False
    consistency: str = ""
    bind_options: BindOptions | None = None
    volume_options: VolumeOptions | None = None
    tmpfs_options: TmpfsOptions | None = None


class PortMap(msgspec.Struct, frozen=True, kw_only=True):
    """One host binding of a container port, as on the wire: both text, either may be empty."""

    host_ip: str = msgspec.field(default="", name="HostIp")
    host_port: str = msgspec.field(default="", name="HostPort")


class HostConfig(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """The host-bound half of a container's configuration. Sizes in bytes, CPU time in microseconds, -1 unlimited."""

    binds: Strings | None = None
    container_id_file: str = msgspec.field(default="", name="ContainerIDFile")
    log_config: LogConfig = LogConfig()
    network_mode: str = ""
    port_bindings: Mapping[str, tuple[PortMap, ...] | None] | None = None
    restart_policy: RestartPolicy | None = RestartPolicy()
    auto_remove: bool = False
    volume_driver: str = ""
    volumes_from: Strings | None = None
    mounts: tuple[Mount, ...] | None = None
    console_size: tuple[int, int] | None = (0, 0)
    annotations: StrMap | None = None
    cap_add: Strings | None = None
    cap_drop: Strings | None = None
    cgroupns_mode: str = ""
    dns: Strings | None = None
    dns_options: Strings | None = None
    dns_search: Strings | None = None
    extra_hosts: Strings | None = None
    group_add: Strings | None = None
    ipc_mode: str = ""
    cgroup: str = ""
    links: Strings | None = None
    oom_score_adj: int = 0
    pid_mode: str = ""
    privileged: bool = False
    publish_all_ports: bool = False
    readonly_rootfs: bool = False
    security_opt: Strings | None = None
    storage_opt: StrMap | None = None
    tmpfs: StrMap | None = None
    uts_mode: str = msgspec.field(default="", name="UTSMode")
    userns_mode: str = ""
    shm_size: int = 0
    sysctls: StrMap | None = None
    runtime: str = ""
    isolation: str = ""
    cpu_shares: int = 0
    memory: int = 0
    nano_cpus: int = 0
    cgroup_parent: str = ""
    blkio_weight: int = 0
    blkio_weight_device: tuple[WeightDevice, ...] | None = None
    blkio_device_read_bps: tuple[ThrottleDevice, ...] | None = None
    blkio_device_write_bps: tuple[ThrottleDevice, ...] | None = None
    blkio_device_read_iops: tuple[ThrottleDevice, ...] | None = msgspec.field(default=None, name="BlkioDeviceReadIOps")
    blkio_device_write_iops: tuple[ThrottleDevice, ...] | None = msgspec.field(
        default=None, name="BlkioDeviceWriteIOps"
    )
    cpu_period: int = 0
    cpu_quota: int = 0
    cpu_realtime_period: int = 0
    cpu_realtime_runtime: int = 0
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    devices: tuple[Device, ...] | None = None
    device_cgroup_rules: Strings | None = None
    device_requests: tuple[DeviceRequest, ...] | None = None
    memory_reservation: int = 0
    memory_swap: int = 0
    memory_swappiness: int | None = None
    oom_kill_disable: bool | None = None
    pids_limit: int | None = None
    ulimits: tuple[Ulimit, ...] | None = None
    cpu_count: int = 0
    cpu_percent: int = 0
    io_maximum_iops: int = msgspec.field(default=0, name="IOMaximumIOps")
    io_maximum_bandwidth: int = msgspec.field(default=0, name="IOMaximumBandwidth")
    masked_paths: Strings | None = None
    readonly_paths: Strings | None = None
    init: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerSpec:
    """A container as asked for, normalised by ``wire``: the create request without its envelope.

    ``networks`` keeps the order of the request: the first is eth0. For modes host, none and container:X it holds at
    most that mode's own entry. ``ports`` are the parsed PortBindings (``-p``), not yet chosen.
    """

    config: Config
    host: HostConfig = field(default_factory=HostConfig)
    networks: Mapping[str, EndpointSpec] = field(default_factory=dict)
    ports: tuple[PortRequest, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MountPoint:
    """A mount of a container, resolved: what inspect's Mounts shows and the bundle mounts."""

    type: str  # bind, volume, tmpfs, image
    target: str
    source: str = ""  # host path; "" for tmpfs
    name: str = ""  # volume name
    driver: str = ""
    mode: str = ""
    rw: bool = True
    propagation: str = ""
    options: tuple[str, ...] = ()  # mount(8) options, for tmpfs and special binds
    non_recursive: bool = False
    copy_up: bool = True
    anonymous: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthLog:
    start: int
    end: int
    exit_code: int
    output: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthState:
    """``status`` is starting, healthy or unhealthy."""

    status: str = "starting"
    failing: int = 0
    log: tuple[HealthLog, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """``status`` is created, running, paused, restarting, removing, exited or dead; times in nanoseconds, 0 = never.

    ``pid`` is the container's first process, 0 unless running; ``conmon`` its monitor.
    """

    status: str = "created"
    pid: int = 0
    conmon: int = 0
    exit_code: int = 0
    error: str = ""
    oom_killed: bool = False
    started: int = 0
    finished: int = 0
    health: HealthState | None = None

    @property
    def running(self) -> bool:
        """Docker's Running: true while paused and while waiting to restart."""
        return self.status in ("running", "paused", "restarting")


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """The record of a container. ``created`` is in nanoseconds; ``image`` is the id, ``spec.config.image`` as asked.

    ``endpoints`` are present while it runs, or others in its sandbox do. ``stopped_by_user`` holds restart policies
    back. ``shares`` is the name of the container whose sandbox it joins, by which it finds that one's successor.
    """

    id: ContainerId
    name: str
    created: int
    image: str
    spec: ContainerSpec
    path: str = ""
    args: tuple[str, ...] = ()
    mounts: tuple[MountPoint, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    state: State = State()
    restart_count: int = 0
    stopped_by_user: bool = False
    shares: str = ""
    runtime: str = "crun"
    log_driver: str = "json-file"
    log_path: str = ""
    sandbox_key: str = ""
    cgroup: str = ""
    hostname_path: str = ""
    hosts_path: str = ""
    resolv_conf_path: str = ""

    @property
    def config(self) -> Config:
        return self.spec.config

    @property
    def host(self) -> HostConfig:
        return self.spec.host
