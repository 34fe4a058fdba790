"""A container's options against this host: defaults filled in, what cannot work here refused, what is ignored said."""

from __future__ import annotations

import glob
import os
import platform as machine
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from fairlead.errors import Conflict, InvalidArgument, NotFound
from fairlead.kernel.cgroups import Layout
from fairlead.model.container import Container, ContainerSpec, HostConfig, LogConfig
from fairlead.model.image import Image
from fairlead.model.requests import UpdateSpec
from fairlead.runtime import security
from fairlead.runtime.bundle import MASKED_PATHS, READONLY_PATHS
from fairlead.runtime.capabilities import normalize
from fairlead.runtime.logrotation import parse_policy

if TYPE_CHECKING:
    from fairlead.engine.core import Engine

RUNTIMES = ("crun", "runc")
_DEFAULT_NOFILE = (1024 * 1024, 1024 * 1024)
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def architecture() -> str:
    """This machine's, in the words of OCI image configurations."""
    return _ARCHITECTURES.get(machine.machine(), machine.machine())


def check_platform(image: Image, platform: str) -> None:
    """``--platform os/arch[/variant]`` must be what the image is."""
    if not platform:
        return
    wanted = platform.lower().split("/")
    have = [image.os, image.architecture, image.variant]
    if any(w and h and w != h for w, h in zip(wanted, have, strict=False)):
        raise NotFound(
            f"image with reference {(image.tags or (image.id,))[0]} was found but does not match the specified "
            f"platform: wanted {platform}, actual: {image.os}/{image.architecture}"
        )


def shares_hostname(host: HostConfig) -> bool:
    """The hostname is another's: the host's, or that of the container whose network it joins."""
    return host.uts_mode == "host" or host.network_mode == "host" or host.network_mode.startswith("container:")


def normalise(engine: Engine, spec: ContainerSpec) -> tuple[ContainerSpec, list[str]]:
    """With the daemon's defaults and references to other containers resolved; raises what Docker raises at create."""
    settings = engine.settings
    host = spec.host
    log = host.log_config
    if not log.type:
        log = LogConfig(type=settings.log_driver, config=log.config or settings.log_options or None)
    parse_policy(log.type, log.config or {})
    host = msgspec.structs.replace(
        host,
        log_config=msgspec.structs.replace(log, config=dict(log.config or {})),
        shm_size=host.shm_size or settings.default_shm_size,
        runtime=host.runtime or settings.default_runtime,
        ipc_mode=_resolve_mode(engine, host.ipc_mode or "private"),
        pid_mode=_resolve_mode(engine, host.pid_mode),
        network_mode=_resolve_mode(engine, host.network_mode or "bridge"),
        cgroupns_mode=host.cgroupns_mode or ("private" if engine.cgroups.layout is Layout.V2 else "host"),
        memory_swap=host.memory_swap or host.memory * 2,
        masked_paths=_hidden(host, host.masked_paths, masked_paths()),
        readonly_paths=_hidden(host, host.readonly_paths, READONLY_PATHS),
    )
    check_confinement(host)
    if host.network_mode == "host" and not spec.config.hostname:
        spec = replace(spec, config=msgspec.structs.replace(spec.config, hostname=os.uname().nodename))
    check_names(engine, spec)
    warnings = check_host(host)
    if host.blkio_weight and not _has_blkio_weight(engine):
        warnings.append("Your kernel does not support Block I/O weight. Weight discarded.")
        host = msgspec.structs.replace(host, blkio_weight=0, blkio_weight_device=None)
    return replace(spec, host=host), warnings


def _hidden(host: HostConfig, asked: tuple[str, ...] | None, default: tuple[str, ...]) -> tuple[str, ...] | None:
    """None stays where nothing is hidden: in privileged containers."""
    return default if asked is None and not host.privileged else asked


def masked_paths() -> tuple[str, ...]:
    """Docker's, with the CPUs' thermal counters (a side channel) where this machine has them."""
    return (*MASKED_PATHS, *sorted(glob.glob("/sys/devices/system/cpu/cpu*/thermal_throttle")))


def check_confinement(host: HostConfig) -> None:
    """Capabilities and security options by name; raises InvalidArgument."""
    security.parse(host.security_opt or ())
    for field, names in (("CapAdd", host.cap_add), ("CapDrop", host.cap_drop)):
        try:
            normalize(names or ())
        except InvalidArgument as error:
            raise InvalidArgument(f"invalid {field}: {error}") from error


def _resolve_mode(engine: Engine, mode: str) -> str:
    """``container:name`` becomes ``container:id``, so that a rename does not break it."""
    kind, colon, other = mode.partition(":")
    return f"container:{_other(engine, other).id}" if kind == "container" and colon else mode


def _other(engine: Engine, reference: str) -> Container:
    """A container that an option names. 404 at create would send Docker's client off to pull the image."""
    try:
        return engine.index.find(reference)
    except NotFound as error:
        raise InvalidArgument(str(error)) from error


def check_names(engine: Engine, spec: ContainerSpec) -> None:
    for reference in (*(spec.host.volumes_from or ()), *(spec.host.links or ())):
        _other(engine, reference.partition(":")[0])
    if spec.host.runtime not in ("", *RUNTIMES):
        raise InvalidArgument(f"unknown or invalid runtime name: {spec.host.runtime}")


def check_host(host: HostConfig) -> list[str]:
    """Warnings; raises InvalidArgument for what this host cannot give."""
    cpus = os.cpu_count() or 1
    warnings = []
    if host.nano_cpus > cpus * 10**9:
        raise InvalidArgument(f"range of CPUs is from 0.01 to {cpus}.00, as there are only {cpus} CPUs available")
    _check_cpuset(host.cpuset_cpus, cpus)
    if host.oom_kill_disable and not host.memory:
        warnings.append(
            "OOM killer is disabled for the container, but no memory limit is set, "
            "this can result in the system running out of resources."
        )
    if any((host.port_bindings or {}).values()) and host.network_mode == "host":
        warnings.append("Published ports are discarded when using host network mode")
    if host.device_requests:
        raise Conflict('could not select device driver "" with capabilities: [[gpu]]')
    return warnings


def check_update(container: Container, spec: UpdateSpec) -> None:
    """New limits against those that stay; raises Conflict."""
    swap = container.host.memory_swap
    if not spec.memory_swap and 0 < swap < spec.memory:
        reason = (
            "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time"
        )
        raise Conflict(f"Cannot update container {container.id}: {reason}")


def _check_cpuset(text: str, cpus: int) -> None:
    for part in filter(None, text.replace(" ", "").split(",")):
        last = int(part.split("-")[-1])
        if last >= cpus:
            raise InvalidArgument(f"Requested CPUs are not available - requested {text}, available: 0-{cpus - 1}")


def _has_blkio_weight(engine: Engine) -> bool:
    """Weights need the BFQ scheduler or the io.weight controller."""
    if engine.cgroups.layout is Layout.V2:
        return os.path.exists("/sys/fs/cgroup/io.cost.qos") or os.path.exists("/sys/fs/cgroup/system.slice/io.weight")
    return os.path.exists("/sys/fs/cgroup/blkio/blkio.weight") or os.path.exists(
        "/sys/fs/cgroup/blkio/blkio.bfq.weight"
    )
