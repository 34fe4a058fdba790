"""dockerd's flags and its configuration file, as one Settings."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from ipaddress import IPv4Interface, IPv4Network, ip_address, ip_network
from typing import Any, NamedTuple

from fairlead.cli.errors import CommandError
from fairlead.cli.flags import Flag, Values, number, several, switch, text
from fairlead.cli.units import parse_size
from fairlead.settings import AddressPool, ForeignForward, PublishPolicy, Settings

CONFIG_FILE = "/etc/fairlead/daemon.json"
_LEVELS = ("debug", "info", "warn", "error", "fatal")

FLAGS: Sequence[Flag] = (
    several("host", "Daemon socket(s) to connect to", "H"),
    text("config-file", "Daemon configuration file", default=CONFIG_FILE),
    text("data-root", "Root directory of persistent state", default=Settings().data_root),
    text("exec-root", "Root directory for execution state files", default=Settings().exec_root),
    text("pidfile", "Path to use for daemon PID file", "p"),
    text("group", "Group for the unix socket", "G", Settings().group),
    switch("debug", "Enable debug mode", "D"),
    text("log-level", 'Set the logging level ("debug"|"info"|"warn"|"error"|"fatal")', "l", "info"),
    several("label", "Set key=value labels to the daemon"),
    text("bip", "IPv4 address for the default bridge"),
    text("fixed-cidr", "IPv4 subnet for the default bridge network"),
    several("default-address-pool", "Default address pools for node specific local networks", kind="pool-options"),
    several("default-network-opt", "Default network options", kind="mapmap"),
    number("mtu", "Set the MTU of the default bridge network"),
    several("dns", "DNS server to use"),
    several("dns-opt", "DNS options to use"),
    several("dns-search", "DNS search domains to use"),
    switch("icc", "Enable inter-container communication for the default bridge network", default=True),
    text("ip", "Host IP for port publishing from the default bridge network", kind="ip"),
    text("publish-policy", 'Who decides about published ports: "open" or the "host-firewall"', default="open"),
    text(
        "foreign-forward", 'About other forward chains that drop: "report" them, or "accept" in them', default="report"
    ),
    switch("ip-masq", "Enable IP masquerading for the default bridge network", default=True),
    switch("ip-forward", "Enable IP forwarding in system configuration", default=True),
    several("insecure-registry", "Enable insecure registry communication"),
    several("registry-mirror", "Preferred registry mirror"),
    switch("tls", "Use TLS; implied by --tlsverify"),
    switch("tlsverify", "Use TLS and verify the remote"),
    text("tlscacert", "Trust certs signed only by this CA"),
    text("tlscert", "Path to TLS certificate file"),
    text("tlskey", "Path to TLS key file"),
    text("seccomp-profile", "Path to seccomp profile"),
    text("default-runtime", "Default OCI runtime to be used", default=Settings().default_runtime),
    several("default-ulimit", "Default ulimits for containers", kind="ulimit"),
    text("default-shm-size", "Default shm size for containers", default="64M", kind="bytes"),
    text("log-driver", "Default driver for container logs", default=Settings().log_driver),
    several("log-opt", "Default log driver options for containers"),
    switch("validate", "Validate daemon configuration and exit"),
)

# dockerd's flags for parts that are built differently here, or not at all: scripts that pass them go on working.
_MEANINGLESS_SWITCHES = (
    "allow-direct-routing experimental init ip-forward-no-drop ip6tables iptables ipv6 live-restore no-new-privileges "
    "raw-logs rootless selinux-enabled userland-proxy"
)
_MEANINGLESS_VALUES = (
    "add-runtime allow-nondistributable-artifacts api-cors-header authorization-plugin bip6 bridge "
    "bridge-accept-fwmark cdi-spec-dir cgroup-parent containerd containerd-namespace containerd-plugins-namespace "
    "cpu-rt-period cpu-rt-runtime default-cgroupns-mode default-gateway default-gateway-v6 default-ipc-mode "
    "exec-opt feature firewall-backend fixed-cidr-v6 graph host-gateway-ip http-proxy https-proxy init-path "
    "log-format max-concurrent-downloads max-concurrent-uploads max-download-attempts metrics-addr min-api-version "
    "network-control-plane-mtu network-diagnostic-port no-proxy node-generic-resource oom-score-adjust "
    "shutdown-timeout storage-driver storage-opt swarm-default-advertise-addr userland-proxy-path userns-remap"
)
MEANINGLESS: Sequence[Flag] = (
    *(switch(name, "Accepted, without meaning here", hidden=True) for name in _MEANINGLESS_SWITCHES.split()),
    *(several(name, "Accepted, without meaning here", hidden=True) for name in _MEANINGLESS_VALUES.split()),
)


class Configuration(NamedTuple):
    """``ignored`` are the flags and directives that have no meaning here, as the user wrote them."""

    settings: Settings
    ignored: Sequence[str]


# The directives of the configuration file whose name is not the flag's.
_PLURALS = {
    "hosts": "host",
    "labels": "label",
    "dns-opts": "dns-opt",
    "default-address-pools": "default-address-pool",
    "default-network-opts": "default-network-opt",
    "insecure-registries": "insecure-registry",
    "registry-mirrors": "registry-mirror",
    "default-ulimits": "default-ulimit",
    "log-opts": "log-opt",
    "runtimes": "add-runtime",
    "storage-opts": "storage-opt",
    "exec-opts": "exec-opt",
    "features": "feature",
    "proxies": "http-proxy",
    "builder": "feature",
    "authorization-plugins": "authorization-plugin",
    "cdi-spec-dirs": "cdi-spec-dir",
    "node-generic-resources": "node-generic-resource",
}


def configure(values: Values) -> Configuration:
    """Flags and file together; raises CommandError for a value that cannot be right."""
    directives = _read_file(values)
    ignored = [f"--{flag.name}" for flag in MEANINGLESS if values.changed(flag.name)]
    known = {flag.name: flag for flag in FLAGS}
    merged: dict[str, Any] = {name: values.get(name) for name in known if values.changed(name)}
    for directive, value in directives.items():
        name = _PLURALS.get(directive, directive)
        if name not in known:
            ignored.append(directive)
        elif values.changed(name):
            raise CommandError(
                "unable to configure the daemon: the following directives are specified both as a flag and in the "
                f"configuration file: {directive}",
            )
        else:
            merged[name] = _from_file(known[name], directive, value)
    return Configuration(_settings(merged), ignored)


def _read_file(values: Values) -> Mapping[str, Any]:
    path = values.text("config-file")
    try:
        with open(path, encoding="utf-8-sig") as file:
            content = json.load(file)
    except FileNotFoundError as wrong:
        if not values.changed("config-file"):
            return {}
        raise CommandError(f"unable to configure the daemon: {path} does not exist") from wrong
    except (OSError, ValueError) as wrong:
        raise CommandError(f"unable to configure the daemon: cannot read {path}: {wrong}") from wrong
    if not isinstance(content, dict):
        raise CommandError(f"unable to configure the daemon: {path} does not hold a JSON object")
    known = {flag.name for flag in (*FLAGS, *MEANINGLESS)} - {"config-file", "validate"}
    strange = [name for name in content if _PLURALS.get(name, name) not in known]
    if strange:
        raise CommandError(
            "unable to configure the daemon: the following directives don't match any configuration option: "
            + ", ".join(strange),
        )
    return content


def _from_file(flag: Flag, directive: str, value: object) -> object:
    """The directive's value in the form that the flag gives; raises CommandError for another JSON type."""
    if flag.name in _STRUCTURED:
        return value
    wanted = {"bool": bool, "int": int}.get(flag.kind, list if flag.repeats else str)
    if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
        raise CommandError(f"unable to configure the daemon: {directive}: a {wanted.__name__} is wanted, not {value!r}")
    return value


def _settings(given: Mapping[str, Any]) -> Settings:
    fields = {_FIELDS.get(name, name.replace("-", "_")): _parsed(name, value) for name, value in given.items()}
    exec_root = fields.get("exec_root", Settings().exec_root)
    # Side by side daemons differ in their roots: what is not named follows the root.
    fields.setdefault("pidfile", f"{exec_root}/fairlead.pid")
    fields.setdefault("hosts", (f"unix://{exec_root}/fairlead.sock",))
    fields.pop("config_file", None)
    fields.pop("validate", None)
    return Settings(**fields)


def _parsed(name: str, value: Any) -> Any:
    parse = _PARSERS.get(name)
    if parse is None:
        return tuple(value) if isinstance(value, list) else value
    try:
        return parse(value)
    except ValueError as wrong:
        raise CommandError(f"unable to configure the daemon: invalid --{name}: {wrong}") from wrong


def _absolute(path: str) -> str:
    return os.path.abspath(path)


def _level(level: str) -> str:
    if level not in _LEVELS:
        raise ValueError(f"{level!r} is none of {', '.join(_LEVELS)}")
    return level


def _pools(given: Sequence[Any]) -> tuple[AddressPool, ...]:
    """``base=10.0.0.0/8,size=24`` each, or the file's ``{"base": …, "size": …}``."""
    pools = []
    for pool in given:
        fields = pool if isinstance(pool, dict) else dict(part.partition("=")[::2] for part in pool.split(","))
        if set(fields) != {"base", "size"}:
            raise ValueError(f"a pool is base=SUBNET,size=BITS, not {pool!r}")
        base, size = ip_network(fields["base"]), int(fields["size"])
        if not base.prefixlen <= size <= base.max_prefixlen:
            raise ValueError(f"size {size} does not fit into {base}")
        pools.append(AddressPool(base=base, size=size))
    return tuple(pools)


def _network_options(given: Any) -> dict[str, dict[str, str]]:
    """``bridge=name=value`` each, or the file's ``{"bridge": {"name": "value"}}``."""
    if isinstance(given, dict):
        return {driver: {name: str(value) for name, value in options.items()} for driver, options in given.items()}
    options: dict[str, dict[str, str]] = {}
    for item in given:
        driver, _, rest = item.partition("=")
        name, equals, value = rest.partition("=")
        if not driver or not equals:
            raise ValueError(f"a network option is DRIVER=NAME=VALUE, not {item!r}")
        options.setdefault(driver, {})[name] = value
    return options


def _ulimits(given: Any) -> dict[str, tuple[int, int]]:
    """``nofile=64:128`` each, or the file's ``{"nofile": {"Soft": 64, "Hard": 128}}``."""
    if isinstance(given, dict):
        return {name: (int(limit["Soft"]), int(limit["Hard"])) for name, limit in given.items()}
    limits = {}
    for item in given:
        name, equals, value = item.partition("=")
        soft, colon, hard = value.partition(":")
        if not equals:
            raise ValueError(f"a ulimit is NAME=SOFT[:HARD], not {item!r}")
        limits[name] = (int(soft), int(hard if colon else soft))
    return limits


def _log_options(given: Any) -> dict[str, str]:
    if isinstance(given, dict):
        return {name: str(value) for name, value in given.items()}
    return dict(item.partition("=")[::2] for item in given)


def _shm(size: str | int) -> int:
    return size if isinstance(size, int) else parse_size(size)


_STRUCTURED = frozenset(
    {"default-address-pool", "default-network-opt", "default-ulimit", "log-opt", "default-shm-size"}
)
_FIELDS = {
    "host": "hosts",
    "label": "labels",
    "default-address-pool": "address_pools",
    "default-network-opt": "network_options",
    "dns-opt": "dns_options",
    "ip": "publish_ip",
    "insecure-registry": "insecure_registries",
    "registry-mirror": "registry_mirrors",
    "tlsverify": "tls_verify",
    "tlscacert": "tls_ca_cert",
    "tlscert": "tls_cert",
    "tlskey": "tls_key",
    "default-ulimit": "default_ulimits",
    "log-opt": "log_options",
}
_PARSERS: Mapping[str, Callable[[Any], Any]] = {
    "data-root": _absolute,
    "exec-root": _absolute,
    "pidfile": _absolute,
    "log-level": _level,
    "bip": IPv4Interface,
    "fixed-cidr": IPv4Network,
    "default-address-pool": _pools,
    "default-network-opt": _network_options,
    "mtu": lambda value: value or None,
    "ip": ip_address,
    "publish-policy": PublishPolicy,
    "foreign-forward": ForeignForward,
    "default-ulimit": _ulimits,
    "log-opt": _log_options,
    "default-shm-size": _shm,
}
