"""What can be wrong with a container's configuration by itself, in Docker's words.

Nothing here needs the host: the engine checks what does (CPUs there are, devices, networks).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from fairlead.errors import InvalidArgument
from fairlead.model.container import Config, Health, HostConfig, RestartPolicy
from fairlead.model.requests import UpdateSpec
from fairlead.wire.addresses import parse_ip
from fairlead.wire.ports import check_exposed
from fairlead.wire.signals import parse_signal

_MILLISECOND = 1_000_000
_LEAST_MEMORY = 6 << 20
_LOG_DRIVERS = ("", "json-file", "local", "none")
_CPUS = re.compile(r"\d+(-\d+)?(,\d+(-\d+)?)*\Z", re.ASCII)
_POLICIES = ("", "no", "always", "on-failure", "unless-stopped")
_HOST_NAME_MAX = 64
_CONFLICT = "conflicting options: "


def check_config(config: Config) -> None:
    """Raises InvalidArgument."""
    if config.working_dir and not config.working_dir.startswith("/"):
        raise InvalidArgument(
            f"the working directory '{config.working_dir}' is invalid, it needs to be an absolute path",
        )
    if config.stop_signal:
        parse_signal(config.stop_signal)
    for variable in config.env or ():
        if not variable.partition("=")[0]:
            raise InvalidArgument(f"invalid environment variable: {variable}")
    for text in (*(config.cmd or ()), *(config.entrypoint or ()), *(config.env or ())):
        if "\x00" in text:
            raise InvalidArgument("invalid command or environment: it contains a NUL character")
    if "\x00" in config.hostname or "/" in config.hostname or len(config.hostname) > _HOST_NAME_MAX:
        raise InvalidArgument(f"invalid hostname: {config.hostname!r}")
    if not config.image:
        raise InvalidArgument("no image specified: Image is empty")
    check_exposed(config.exposed_ports)
    if config.healthcheck is not None:
        _check_health(config.healthcheck)


def _check_health(health: Health) -> None:
    named = (
        ("Interval", health.interval),
        ("Timeout", health.timeout),
        ("StartPeriod", health.start_period),
        ("StartInterval", health.start_interval),
    )
    for name, value in named:
        if value and value < _MILLISECOND:
            raise InvalidArgument(f"{name} in Healthcheck cannot be less than 1ms")
    if health.retries < 0:
        raise InvalidArgument("Retries in Healthcheck cannot be negative")
    if health.test and health.test[0] not in ("", "NONE", "CMD", "CMD-SHELL"):
        raise InvalidArgument(f"unknown type {health.test[0]!r} in Healthcheck.Test: use NONE, CMD or CMD-SHELL")


def check_host(host: HostConfig) -> None:
    """Raises InvalidArgument."""
    policy = host.restart_policy or RestartPolicy()
    check_restart(policy)
    if host.auto_remove and policy.name not in ("", "no"):
        raise InvalidArgument("can't create 'AutoRemove' container with restart policy")
    if host.log_config.type not in _LOG_DRIVERS:
        raise InvalidArgument(
            f"logger: no log driver named '{host.log_config.type}' is registered: use json-file, local or none",
        )
    if host.shm_size < 0:
        raise InvalidArgument("SHM size can not be less than 0")
    if not -1000 <= host.oom_score_adj <= 1000:
        raise InvalidArgument(f"Invalid value {host.oom_score_adj}, range for oom score adj is [-1000, 1000]")
    if host.memory_swappiness is not None and not 0 <= host.memory_swappiness <= 100:
        raise InvalidArgument(f"invalid value: {host.memory_swappiness}, valid memory swappiness range is 0-100")
    if host.isolation not in ("", "default"):
        raise InvalidArgument(f"invalid isolation '{host.isolation}': linux containers only support 'default'")
    if host.storage_opt:
        # dockerd's words where the file system has no project quotas; ours are never used.
        raise InvalidArgument("--storage-opt is supported only for overlay over xfs with 'pquota' mount option")
    for entry in host.extra_hosts or ():
        _check_extra_host(entry)
    for server in host.dns or ():
        if parse_ip(server, "DNS server address") is None:
            raise InvalidArgument("invalid DNS server address: it is empty")
    check_limits(host)


def check_restart(policy: RestartPolicy) -> None:
    """Raises InvalidArgument."""
    count = policy.maximum_retry_count
    if policy.name not in _POLICIES:
        raise InvalidArgument(
            f"invalid restart policy: unknown policy '{policy.name}'; use one of 'no', 'always', 'on-failure',"
            " or 'unless-stopped'",
        )
    if policy.name == "on-failure":
        if count < 0:
            raise InvalidArgument("invalid restart policy: maximum retry count cannot be negative")
        return
    if count:
        raise InvalidArgument(
            "invalid restart policy: maximum retry count can only be used with 'on-failure'"
            + (" and cannot be negative" if count < 0 else ""),
        )


def _check_extra_host(entry: str) -> None:
    name, colon, address = entry.partition(":")
    if not colon or not name:
        raise InvalidArgument(f'bad format for add-host: "{entry}"')
    if address == "host-gateway":
        return
    try:
        parsed = parse_ip(address.strip("[]"), "IP address in add-host:")
    except InvalidArgument as error:
        raise InvalidArgument(f'invalid IP address in add-host: "{address}"') from error
    if parsed is None:
        raise InvalidArgument(f'invalid IP address in add-host: "{address}"')


def check_limits(limits: HostConfig | UpdateSpec) -> None:
    """Memory, CPU and block I/O limits against each other; raises InvalidArgument."""
    _check_memory(limits)
    _check_cpu(limits)
    if limits.blkio_weight and not 10 <= limits.blkio_weight <= 1000:
        raise InvalidArgument("Range of blkio weight is from 10 to 1000")
    for name, cpus in (("cpuset cpus", limits.cpuset_cpus), ("cpuset mems", limits.cpuset_mems)):
        if cpus and _CPUS.match(cpus.replace(" ", "")) is None:
            raise InvalidArgument(f"Invalid value {cpus} for {name}")


def _check_memory(limits: HostConfig | UpdateSpec) -> None:
    memory, swap = limits.memory, limits.memory_swap
    if memory < 0 or 0 < memory < _LEAST_MEMORY:
        raise InvalidArgument("Minimum memory limit allowed is 6MB")
    if swap > 0 and swap < memory:
        raise InvalidArgument("Minimum memoryswap limit should be larger than memory limit, see usage")
    if memory == 0 and swap > 0 and isinstance(limits, HostConfig):
        raise InvalidArgument("You should always set the Memory limit when using Memoryswap limit, see usage")
    if limits.memory_reservation < 0 or 0 < limits.memory_reservation < _LEAST_MEMORY:
        raise InvalidArgument("Minimum memory reservation allowed is 6MB")
    if 0 < memory < limits.memory_reservation:
        raise InvalidArgument("Minimum memory limit can not be less than memory reservation limit, see usage")


def _check_cpu(limits: HostConfig | UpdateSpec) -> None:
    if limits.nano_cpus < 0:
        raise InvalidArgument("Range of CPUs is from 0.01 upwards: NanoCpus is negative")
    if limits.nano_cpus and limits.cpu_period:
        raise InvalidArgument("Conflicting options: Nano CPUs and CPU Period cannot both be set")
    if limits.nano_cpus and limits.cpu_quota:
        raise InvalidArgument("Conflicting options: Nano CPUs and CPU Quota cannot both be set")
    if limits.cpu_period and not 1000 <= limits.cpu_period <= 1_000_000:
        raise InvalidArgument("CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)")
    if 0 < limits.cpu_quota < 1000:
        raise InvalidArgument("CPU cfs quota can not be less than 1ms (i.e. 1000)")
    if limits.cpu_shares < 0:
        raise InvalidArgument("CPU shares can not be negative")


def check_modes(config: Config, host: HostConfig) -> None:
    """Namespace modes by themselves and against the options they exclude; raises InvalidArgument."""
    _check_words(host)
    mode = host.network_mode
    if host.uts_mode == "host" and config.hostname:
        raise InvalidArgument("conflicting options: hostname and the UTS mode")
    if mode == "host" and host.links:
        raise InvalidArgument(
            f"{_CONFLICT}host type networking can't be used with links. This would result in undefined behavior",
        )
    if mode == "host":
        _check_sysctls(host)
    if mode.startswith("container:"):
        _check_shared_network(config, host)


def _check_sysctls(host: HostConfig) -> None:
    """They would be the host's own; crun would set them."""
    for key in host.sysctls or {}:
        if key.replace("/", ".").startswith("net."):
            raise InvalidArgument(f'sysctl "{key}" not allowed in host network namespace')


# Which words each namespace mode knows; "container:" may be followed by a name.
_MODES: Mapping[str, tuple[str, frozenset[str], bool]] = {
    "ipc_mode": ("IPC", frozenset({"", "none", "private", "shareable", "host"}), True),
    "pid_mode": ("PID", frozenset({"", "host", "private"}), True),
    "uts_mode": ("UTS", frozenset({"", "host"}), False),
    "userns_mode": ("user namespace", frozenset({"", "host"}), False),
    "cgroupns_mode": ("cgroup namespace", frozenset({"", "private", "host"}), False),
}


def _check_words(host: HostConfig) -> None:
    for field, (name, words, joins) in _MODES.items():
        mode: str = getattr(host, field)
        joined = joins and mode.startswith("container:") and mode != "container:"
        if mode not in words and not joined:
            raise InvalidArgument(f"invalid {name} mode: {mode}")
    if host.network_mode == "container:":
        raise InvalidArgument("invalid container format container:<name|id>")


def _check_shared_network(config: Config, host: HostConfig) -> None:
    conflicts = (
        (config.hostname, "conflicting options: hostname and the network mode"),
        (
            host.links,
            f"{_CONFLICT}container type network can't be used with links. This would result in undefined behavior",
        ),
        (host.dns, "conflicting options: dns and the network mode"),
        (host.extra_hosts, "conflicting options: custom host-to-IP mapping and the network mode"),
        (
            host.port_bindings or host.publish_all_ports,
            "conflicting options: port publishing and the container type network mode",
        ),
        (config.exposed_ports, "conflicting options: port exposing and the container type network mode"),
    )
    for given, sentence in conflicts:
        if given:
            raise InvalidArgument(sentence)
