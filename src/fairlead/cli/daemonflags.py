"""dockerd's flags and its configuration file, as one Settings."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Any, NamedTuple

from fairlead.cli.errors import CommandError
from fairlead.cli.flags import Flag, Values, number, several, switch, text
from fairlead.cli.units import parse_duration, parse_size
from fairlead.settings import AddressPool, ForeignForward, PublishPolicy, Settings

CONFIG_FILE = "/etc/fairlead/daemon.json"
_LONGEST_IFNAME = 15
_ALL_ONES = 0xFFFFFFFF
_LINK_LOCAL = IPv6Network("fe80::/64")
_FOR_IPV6 = ("bip6", "fixed-cidr-v6", "default-gateway-v6")
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
    text("bip6", "IPv6 address for the default bridge"),
    text("bridge", "Attach containers to a network bridge of yours, or none", "b"),
    text("bridge-accept-fwmark", "Packets with this firewall mark (mark, mark/mask) are let through to containers"),
    switch("allow-direct-routing", "Allow direct routing to published ports at containers' addresses"),
    text("default-gateway", "Default gateway IPv4 address for the default bridge network", kind="ip"),
    text("default-gateway-v6", "Default gateway IPv6 address for the default bridge network", kind="ip"),
    text("fixed-cidr", "IPv4 subnet for the default bridge network"),
    text("fixed-cidr-v6", "IPv6 subnet for the default bridge network"),
    several("host-gateway-ip", "IP addresses that the word 'host-gateway' in --add-host stands for", kind="ip"),
    switch("ipv6", "Enable IPv6 networking for the default bridge network"),
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
    several("plugin-dir", "Directory to look for plugins in, instead of Docker's"),
    text("plugin-timeout", "How long a plugin may take to answer", default="30s", kind="duration"),
    text("seccomp-profile", "Path to seccomp profile"),
    text("default-runtime", "Default OCI runtime to be used", default=Settings().default_runtime),
    several("default-ulimit", "Default ulimits for containers", kind="ulimit"),
    text("default-shm-size", "Default shm size for containers", default="64M", kind="bytes"),
    text("log-driver", "Default driver for container logs", default=Settings().log_driver),
    several("log-opt", "Default log driver options for containers"),
    text("cni-conf-dir", "Directory of CNI network configurations", default=Settings().cni_conf_dir),
    several("cni-bin-dir", "Directory of CNI plugins (default /opt/cni/bin, /usr/lib/cni)"),
    number("cni-timeout", "Seconds a CNI plugin may take for one call", default=int(Settings().cni_timeout)),
    switch("validate", "Validate daemon configuration and exit"),
)

# dockerd's flags for parts that are built differently here, or not at all: scripts that pass them go on working.
_MEANINGLESS_SWITCHES = (
    "experimental init ip-forward-no-drop ip6tables iptables live-restore no-new-privileges "
    "raw-logs rootless selinux-enabled userland-proxy"
)
_MEANINGLESS_VALUES = (
    "add-runtime allow-nondistributable-artifacts api-cors-header authorization-plugin "
    "cdi-spec-dir cgroup-parent containerd containerd-namespace containerd-plugins-namespace "
    "cpu-rt-period cpu-rt-runtime default-cgroupns-mode default-ipc-mode "
    "exec-opt feature firewall-backend graph http-proxy https-proxy init-path "
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
    "host-gateway-ips": "host-gateway-ip",
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
    settings = _settings(merged)
    if not settings.ipv6:
        ignored += [f"--{name} (without --ipv6)" for name in _FOR_IPV6 if name in merged]
    return Configuration(settings, ignored)


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
    settings = Settings(**fields)
    _check_together(settings)
    return settings


def _check_together(settings: Settings) -> None:
    """Raises CommandError for flags of the default bridge that contradict each other."""
    wrong = next(_contradictions(settings), "")
    if wrong:
        raise CommandError(f"unable to configure the daemon: {wrong}")


def _contradictions(settings: Settings) -> Iterator[str]:
    if settings.bridge and (settings.bip or settings.bip6):
        yield "--bridge and --bip exclude each other: the addresses of a bridge of your own are yours to set"
    for name, bip, fixed in (
        ("fixed-cidr", settings.bip, settings.fixed_cidr),
        ("fixed-cidr-v6", settings.bip6, settings.fixed_cidr_v6),
    ):
        if bip and fixed and not (fixed.network_address in bip.network and fixed.prefixlen >= bip.network.prefixlen):
            yield f"--{name} {fixed} is not within {bip.network}, the subnet of the default bridge"


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


def _bridge(name: str) -> str:
    if len(name) > _LONGEST_IFNAME or not name.isprintable() or set(name) & set(' /:"'):
        raise ValueError(f"{name!r} is not a valid interface name")
    return name


def _fwmark(text_form: str) -> str:
    """``mark`` or ``mark/mask``, in any base that C has; as one spelling."""
    parts = text_form.split("/")
    numbers = [int(part, 0) for part in parts]
    if len(parts) > 2 or not all(0 <= number <= _ALL_ONES for number in numbers):
        raise ValueError(f"a mark is MARK or MARK/MASK, each of 32 bits, not {text_form!r}")
    mark, mask = numbers if len(numbers) == 2 else (numbers[0], _ALL_ONES)
    if mark & ~mask:
        raise ValueError(f"mark {mark:#x} has bits that its mask {mask:#x} has not: no packet could bear it")
    return f"{mark:#x}/{mask:#x}"


def _network6(text_form: str) -> IPv6Network:
    network = IPv6Network(text_form)
    if network.is_multicast:
        raise ValueError(f"multicast subnet '{network}' is not allowed")
    if network != _LINK_LOCAL and network.overlaps(_LINK_LOCAL):
        raise ValueError(f"'{network}' clashes with the Link-Local prefix 'fe80::/64'")
    return network


def _host_gateways(given: object) -> tuple[IPv4Address | IPv6Address, ...]:
    listed = [given] if isinstance(given, str) else given
    if not isinstance(listed, list) or not all(isinstance(one, str) for one in listed):
        raise ValueError(f"addresses are wanted, not {given!r}")
    addresses = tuple(ip_address(one) for one in listed)
    if len({address.version for address in addresses}) < len(addresses):
        raise ValueError("only one address of each family is possible")
    return addresses


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


def _patience(text: str) -> float:
    seconds = parse_duration(text) / 1e9  # nanoseconds
    if seconds <= 0:
        raise ValueError("a plugin needs some time to answer")
    return seconds


def _shm(size: str | int) -> int:
    return size if isinstance(size, int) else parse_size(size)


def _seconds(value: int) -> float:
    if value < 1:
        raise ValueError(f"{value} is less than one second")
    return float(value)


_STRUCTURED = frozenset(
    {"default-address-pool", "default-network-opt", "default-ulimit", "host-gateway-ip", "log-opt", "default-shm-size"}
)
_FIELDS = {
    "host": "hosts",
    "label": "labels",
    "plugin-dir": "plugin_dirs",
    "default-address-pool": "address_pools",
    "default-network-opt": "network_options",
    "dns-opt": "dns_options",
    "ip": "publish_ip",
    "bridge-accept-fwmark": "accept_fwmark",
    "host-gateway-ip": "host_gateway_ips",
    "insecure-registry": "insecure_registries",
    "registry-mirror": "registry_mirrors",
    "tlsverify": "tls_verify",
    "tlscacert": "tls_ca_cert",
    "tlscert": "tls_cert",
    "tlskey": "tls_key",
    "default-ulimit": "default_ulimits",
    "log-opt": "log_options",
    "cni-bin-dir": "cni_bin_dirs",
}
_PARSERS: Mapping[str, Callable[[Any], Any]] = {
    "data-root": _absolute,
    "exec-root": _absolute,
    "pidfile": _absolute,
    "log-level": _level,
    "bip": IPv4Interface,
    "bip6": IPv6Interface,
    "bridge": _bridge,
    "bridge-accept-fwmark": _fwmark,
    "default-gateway": IPv4Address,
    "default-gateway-v6": IPv6Address,
    "fixed-cidr": IPv4Network,
    "fixed-cidr-v6": _network6,
    "host-gateway-ip": _host_gateways,
    "default-address-pool": _pools,
    "default-network-opt": _network_options,
    "mtu": lambda value: value or None,
    "ip": ip_address,
    "publish-policy": PublishPolicy,
    "foreign-forward": ForeignForward,
    "plugin-dir": lambda given: tuple(_absolute(path) for path in given),
    "plugin-timeout": _patience,
    "default-ulimit": _ulimits,
    "log-opt": _log_options,
    "default-shm-size": _shm,
    "cni-conf-dir": _absolute,
    "cni-bin-dir": lambda given: tuple(map(_absolute, given)) or Settings().cni_bin_dirs,
    "cni-timeout": _seconds,
}
