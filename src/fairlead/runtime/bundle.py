"""The OCI configuration of one container, from its record and the host's facts, with Docker's defaults."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from fairlead.model.container import Container, MountPoint
from fairlead.model.requests import ExecSpec
from fairlead.runtime import capabilities, security
from fairlead.runtime.devices import DeviceNode, default_rules, everything_rule, parse_rule
from fairlead.runtime.mounts import Cgroups, MountFacts, propagation_of_root, render_mounts
from fairlead.runtime.resources import LimitFacts, render_limits, render_rlimits
from fairlead.runtime.seccomp import Profile
from fairlead.runtime.users import Identity

Json = dict[str, Any]

OCI_VERSION = "1.0.2"
DEFAULT_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
INIT_PATH = "/sbin/docker-init"
# crun takes a compiled filter instead of a profile from here (crun(1), "OCI annotations").
FILTER_ANNOTATION = "run.oci.seccomp_bpf_data"

MASKED_PATHS: tuple[str, ...] = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
)
READONLY_PATHS: tuple[str, ...] = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")

# Docker's own: ping and ports below 1024 need no capability in a container that has its own network stack.
_NETWORK_SYSCTLS: Mapping[str, str] = {
    "net.ipv4.ip_unprivileged_port_start": "0",
    "net.ipv4.ping_group_range": "0 2147483647",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Namespaces:
    """Where the container's namespaces come from: a path joins, None is the host's own, "" makes a new one."""

    network: str | None = ""
    pid: str | None = ""
    ipc: str | None = ""
    uts: str | None = ""
    cgroup: str | None = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Confinement:
    """What holds the container back. ``seccomp`` None is unconfined; ``seccomp_filter`` is it compiled, for crun.

    ``last_capability`` is the highest capability number of this kernel, ``available`` the mask of those the engine may
    give away; ``apparmor`` the profile's name or "".
    """

    seccomp: Profile | None = None
    seccomp_filter: str = ""  # base64
    apparmor: str = ""
    last_capability: int = len(capabilities.ALL) - 1
    available: int = (1 << len(capabilities.ALL)) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleSpec:
    """All that the configuration is made of. ``init`` is the host's init binary, "" for none.

    ``devices`` are those of --device, or all of the host's when privileged. ``extra_masked`` are masked paths that
    only this host has. ``cgroup`` is the path below the cgroup roots.
    """

    container: Container
    rootfs: str
    cgroup: str
    identity: Identity = field(default_factory=Identity)
    namespaces: Namespaces = field(default_factory=Namespaces)
    confinement: Confinement = field(default_factory=Confinement)
    mounts: MountFacts = field(default_factory=MountFacts)
    devices: tuple[DeviceNode, ...] = ()
    limits: LimitFacts = field(default_factory=LimitFacts)
    ulimits: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    init: str = ""
    extra_masked: tuple[str, ...] = ()
    environment: tuple[str, ...] = ()


def render(spec: BundleSpec) -> bytes:
    """config.json."""
    return msgspec.json.encode(render_config(spec))


def render_config(spec: BundleSpec) -> Json:
    """config.json before it is text."""
    config: Json = {
        "ociVersion": OCI_VERSION,
        "process": _process(spec),
        "root": {"path": spec.rootfs, "readonly": spec.container.host.readonly_rootfs},
        "mounts": render_mounts(spec.container, spec.mounts, init=_init(spec)),
        "linux": _linux(spec),
    }
    if spec.namespaces.uts == "" and spec.container.config.hostname:
        config["hostname"] = spec.container.config.hostname
    annotations = dict(spec.container.host.annotations or {})
    if _takes_filter(spec):
        annotations[FILTER_ANNOTATION] = spec.confinement.seccomp_filter
    if annotations:
        config["annotations"] = annotations
    return config


def _process(spec: BundleSpec) -> Json:
    container = spec.container
    process: Json = {
        "terminal": container.config.tty,
        "user": _user(spec.identity),
        "args": [*((INIT_PATH, "--") if _init(spec) else ()), container.path, *container.args],
        "env": environment(spec),
        "cwd": container.config.working_dir or "/",
        "capabilities": _capabilities(_container_capabilities(spec), spec.identity),
        "noNewPrivileges": _security(spec).no_new_privileges,
        "oomScoreAdj": container.host.oom_score_adj,
        "rlimits": render_rlimits(container.host, spec.ulimits),
    }
    _add_console(process, container.host.console_size)
    if spec.confinement.apparmor:
        process["apparmorProfile"] = spec.confinement.apparmor
    return process


def render_exec(spec: ExecSpec, *, bundle: BundleSpec, identity: Identity) -> bytes:
    """process.json of a further process in the container; ``bundle`` is what the container was started with."""
    return msgspec.json.encode(render_exec_process(spec, bundle=bundle, identity=identity))


def render_exec_process(spec: ExecSpec, *, bundle: BundleSpec, identity: Identity) -> Json:
    """process.json before it is text."""
    process = _process(bundle)
    base = [variable for variable in _container_environment(bundle) if spec.tty or not variable.startswith("TERM=")]
    if spec.tty and not any(variable.startswith("TERM=") for variable in base):
        base.append("TERM=xterm")
    process["env"] = _with_home(_replace(base, spec.env), identity)
    process["terminal"] = spec.tty
    process["args"] = list(spec.cmd)
    process["user"] = _user(identity)
    process["cwd"] = spec.working_dir or bundle.container.config.working_dir or "/"
    process.pop("consoleSize", None)
    _add_console(process, spec.console_size)
    granted = _container_capabilities(bundle)
    if spec.privileged:
        held = bundle.confinement
        granted = capabilities.choose(privileged=True, last=held.last_capability, available=held.available)
        process.pop("apparmorProfile", None)
    process["capabilities"] = _capabilities(granted, identity)
    return process


def _add_console(process: Json, size: tuple[int, int] | None) -> None:
    if process["terminal"] and size is not None and size != (0, 0):
        process["consoleSize"] = {"height": size[0], "width": size[1]}


def _init(spec: BundleSpec) -> str:
    """Docker runs its init only where the container's first process is process 1."""
    return spec.init if spec.namespaces.pid == "" else ""


def _user(identity: Identity) -> Json:
    return {"uid": identity.uid, "gid": identity.gid, "additionalGids": list(identity.groups)}


def environment(spec: BundleSpec) -> list[str]:
    """PATH, HOSTNAME and TERM as Docker sets them, then what was asked; NAME without = takes a variable away."""
    return _with_home(_container_environment(spec), spec.identity)


def _container_environment(spec: BundleSpec) -> list[str]:
    config = spec.container.config
    variables = [DEFAULT_PATH, f"HOSTNAME={config.hostname}"]
    if config.tty:
        variables.append("TERM=xterm")
    return _replace([*variables, *spec.environment], config.env or ())


def _with_home(variables: list[str], identity: Identity) -> list[str]:
    if any(variable.startswith("HOME=") for variable in variables):
        return variables
    return [*variables, f"HOME={identity.home}"]


def _replace(variables: Iterable[str], overrides: Iterable[str]) -> list[str]:
    """Later values take the place of earlier ones of the same name."""
    chosen = {variable.partition("=")[0]: variable for variable in variables}
    for override in overrides:
        name, equals, _ = override.partition("=")
        if equals:
            chosen[name] = override
        else:
            chosen.pop(name, None)
    return list(chosen.values())


def _container_capabilities(spec: BundleSpec) -> tuple[str, ...]:
    host = spec.container.host
    return capabilities.choose(
        add=host.cap_add or (),
        drop=host.cap_drop or (),
        privileged=host.privileged,
        last=spec.confinement.last_capability,
        available=spec.confinement.available,
    )


def _capabilities(granted: Sequence[str], identity: Identity) -> Json:
    # Another user than root has none in effect, only the bound of what a setuid program may give it: what execve(2)
    # would leave. Nothing is inheritable (CVE-2022-24769).
    names = list(granted)
    if identity.uid != 0:
        return {"bounding": names}
    return {"bounding": names, "effective": names, "permitted": names}


def _security(spec: BundleSpec) -> security.SecurityOptions:
    return security.parse(spec.container.host.security_opt or ())


def _linux(spec: BundleSpec) -> Json:
    host = spec.container.host
    linux: Json = {
        "cgroupsPath": spec.cgroup,
        "namespaces": list(_namespaces(spec.namespaces)),
        "resources": {**render_limits(host, spec.limits), "devices": _device_rules(spec)},
        "devices": [node.render() for node in spec.devices],
        "sysctl": _sysctls(spec),
        "maskedPaths": _masked(spec),
        "readonlyPaths": _readonly(spec),
    }
    propagation = propagation_of_root(spec.container.mounts)
    if propagation:
        linux["rootfsPropagation"] = propagation
    if spec.confinement.seccomp is not None and not _takes_filter(spec):
        linux["seccomp"] = spec.confinement.seccomp
    return linux


def _takes_filter(spec: BundleSpec) -> bool:
    """Only crun knows the annotation; with it crun looks at no profile."""
    return bool(spec.confinement.seccomp_filter) and spec.container.runtime.rpartition("/")[2] == "crun"


def _namespaces(chosen: Namespaces) -> Iterator[Json]:
    yield {"type": "mount"}
    for kind in ("network", "pid", "ipc", "uts", "cgroup"):
        path: str | None = getattr(chosen, kind)
        if path is not None:
            yield {"type": kind, "path": path} if path else {"type": kind}


def _device_rules(spec: BundleSpec) -> list[Json]:
    host = spec.container.host
    if host.privileged:
        return [everything_rule()]
    asked = [parse_rule(rule) for rule in host.device_cgroup_rules or ()]
    return [*default_rules(), *(node.rule() for node in spec.devices), *asked]


def _sysctls(spec: BundleSpec) -> dict[str, str]:
    sysctls = dict(_NETWORK_SYSCTLS) if spec.namespaces.network is not None else {}
    if spec.namespaces.uts == "" and spec.container.config.domainname:
        sysctls["kernel.domainname"] = spec.container.config.domainname
    return {**sysctls, **(spec.container.host.sysctls or {})}


def _masked(spec: BundleSpec) -> list[str]:
    host = spec.container.host
    if host.masked_paths is not None:
        return list(host.masked_paths)
    return [] if host.privileged else [*MASKED_PATHS, *spec.extra_masked]


def _readonly(spec: BundleSpec) -> list[str]:
    host = spec.container.host
    if host.readonly_paths is not None:
        return list(host.readonly_paths)
    return [] if host.privileged else list(READONLY_PATHS)


__all__ = [
    "BundleSpec",
    "Cgroups",
    "Confinement",
    "LimitFacts",
    "MountFacts",
    "MountPoint",
    "Namespaces",
    "environment",
    "render",
    "render_config",
    "render_exec",
]
