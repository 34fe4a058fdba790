"""One frozen value with everything the daemon was told at start."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network


class PublishPolicy(StrEnum):
    """Who decides whether a packet from outside reaches a published port."""

    OPEN = "open"  # publishing is the decision, as in Docker
    HOST_FIREWALL = "host-firewall"  # the host's own input rules for that port


class ForeignForward(StrEnum):
    """What is done about other people's forward chains that drop by default."""

    REPORT = "report"  # they are named, and left alone
    ACCEPT = "accept"  # rules of ours in them let our bridges through


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressPool:
    """A range networks are cut from: ``base`` in pieces of ``size`` prefix bits."""

    base: IPv4Network | IPv6Network
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """dockerd's flags where they mean the same; paths are absolute."""

    data_root: str = "/var/lib/fairlead"
    exec_root: str = "/run/fairlead"
    pidfile: str = "/run/fairlead/fairlead.pid"
    hosts: tuple[str, ...] = ("unix:///run/fairlead/fairlead.sock",)
    group: str = "fairlead"
    debug: bool = False
    log_level: str = "info"
    labels: tuple[str, ...] = ()
    bip: IPv4Interface | None = None
    fixed_cidr: IPv4Network | None = None
    bip6: IPv6Interface | None = None
    fixed_cidr_v6: IPv6Network | None = None
    default_gateway: IPv4Address | None = None
    default_gateway_v6: IPv6Address | None = None
    ipv6: bool = False
    bridge: str = ""  # a bridge of the administrator's for the default network; "none" for no default network
    allow_direct_routing: bool = False
    accept_fwmark: str = ""  # "mark/mask": packets that bear it are let through to any network
    host_gateway_ips: tuple[IPv4Address | IPv6Address, ...] = ()
    address_pools: tuple[AddressPool, ...] = ()
    network_options: dict[str, dict[str, str]] = field(default_factory=dict)
    mtu: int | None = None
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    icc: bool = True
    publish_ip: IPv4Address | IPv6Address | None = None
    publish_policy: PublishPolicy = PublishPolicy.OPEN
    foreign_forward: ForeignForward = ForeignForward.REPORT
    ip_masq: bool = True
    ip_forward: bool = True
    insecure_registries: tuple[str, ...] = ()
    registry_mirrors: tuple[str, ...] = ()
    tls: bool = False
    tls_verify: bool = False
    tls_ca_cert: str = ""
    tls_cert: str = ""
    tls_key: str = ""
    seccomp_profile: str = ""
    default_runtime: str = "crun"
    default_ulimits: dict[str, tuple[int, int]] = field(default_factory=dict)
    log_driver: str = "json-file"
    log_options: dict[str, str] = field(default_factory=dict)
    default_shm_size: int = 64 << 20
    repair_beat: float = 8.0
    cni_conf_dir: str = "/etc/cni/net.d"
    cni_bin_dirs: tuple[str, ...] = ("/opt/cni/bin", "/usr/lib/cni")
    cni_timeout: float = 60.0  # seconds for one run of one plugin
    plugin_dirs: tuple[str, ...] = ("/run/docker/plugins", "/etc/docker/plugins", "/usr/lib/docker/plugins")
    plugin_timeout: float = 30.0
