"""dockerd's flags and configuration file as Settings."""

from __future__ import annotations

import json
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path

import pytest

from fairlead.cli.daemonflags import FLAGS, MEANINGLESS, Configuration, configure
from fairlead.cli.errors import CommandError
from fairlead.cli.flags import parse
from fairlead.settings import AddressPool, Settings


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "daemon.json"


def read(*words: str) -> Configuration:
    return configure(parse((*FLAGS, *MEANINGLESS), words)[0])


def test_nothing_given(file: Path) -> None:
    file.write_text("{}")
    assert read("--config-file", str(file)) == Configuration(Settings(), [])


def test_flags(file: Path) -> None:
    file.write_text("{}")
    settings = read(
        "--config-file", str(file), "-H", "unix:///a", "-H", "tcp://127.0.0.1:1", "--data-root", "/d",
        "--pidfile", "/p",
        "-D", "-l", "warn", "--label", "a=b", "--bip", "10.1.0.1/24", "--fixed-cidr", "10.1.0.128/25",
        "--default-address-pool", "base=10.0.0.0/8,size=24", "--default-network-opt", "bridge=com.x=y", "--mtu", "1400",
        "--dns", "1.1.1.1", "--dns-opt", "ndots:1", "--dns-search", "x", "--icc=false", "--ip", "::1",
        "--ip-masq=false",
        "--ip-forward=false", "--insecure-registry", "r:5000", "--registry-mirror", "https://m", "--tlsverify",
        "--default-ulimit", "nofile=1:2", "--log-opt", "max-size=1m", "--default-shm-size", "1m",
    ).settings  # fmt: skip
    assert settings == Settings(
        hosts=("unix:///a", "tcp://127.0.0.1:1"),
        data_root="/d",
        pidfile="/p",
        debug=True,
        log_level="warn",
        labels=("a=b",),
        bip=IPv4Interface("10.1.0.1/24"),
        fixed_cidr=IPv4Network("10.1.0.128/25"),
        address_pools=(AddressPool(base=IPv4Network("10.0.0.0/8"), size=24),),
        network_options={"bridge": {"com.x": "y"}},
        mtu=1400,
        dns=("1.1.1.1",),
        dns_options=("ndots:1",),
        dns_search=("x",),
        icc=False,
        publish_ip=IPv6Address("::1"),
        ip_masq=False,
        ip_forward=False,
        insecure_registries=("r:5000",),
        registry_mirrors=("https://m",),
        tls_verify=True,
        default_ulimits={"nofile": (1, 2)},
        log_options={"max-size": "1m"},
        default_shm_size=1 << 20,
    )


def test_flags_for_plugins(file: Path) -> None:
    file.write_text('{"plugin-dir": ["/run/p"], "plugin-timeout": "1m30s"}')
    settings = read("--config-file", str(file)).settings
    assert (settings.plugin_dirs, settings.plugin_timeout) == (("/run/p",), 90.0)
    file.write_text("{}")
    settings = read("--config-file", str(file), "--plugin-dir", "/a", "--plugin-dir", "/b").settings
    assert (settings.plugin_dirs, settings.plugin_timeout) == (("/a", "/b"), 30.0)
    for wrong in ("0s", "soon", "-1s"):
        with pytest.raises(CommandError, match="invalid --plugin-timeout"):
            read("--config-file", str(file), "--plugin-timeout", wrong)


def test_flags_of_the_default_bridge(file: Path) -> None:
    file.write_text('{"host-gateway-ip": "10.1.0.9"}')
    settings, ignored = read(
        "--config-file", str(file), "--ipv6", "--fixed-cidr-v6", "fd00:1::/80", "--default-gateway", "10.1.0.254",
        "--default-gateway-v6", "fd00:1::fe", "-b", "br7", "--allow-direct-routing",
        "--bridge-accept-fwmark", "1/0x3",
    )  # fmt: skip
    assert settings == Settings(
        ipv6=True,
        fixed_cidr_v6=IPv6Network("fd00:1::/80"),
        default_gateway=IPv4Address("10.1.0.254"),
        default_gateway_v6=IPv6Address("fd00:1::fe"),
        bridge="br7",
        allow_direct_routing=True,
        accept_fwmark="0x1/0x3",
        host_gateway_ips=(IPv4Address("10.1.0.9"),),
    )
    assert ignored == []


def test_flags_for_ipv6_say_nothing_without_it(file: Path) -> None:
    file.write_text('{"fixed-cidr-v6": "fd00::/64"}')
    assert list(read("--config-file", str(file)).ignored) == ["--fixed-cidr-v6 (without --ipv6)"]


def test_a_mark_without_mask_is_the_whole_mark(file: Path) -> None:
    file.write_text('{"host-gateway-ips": ["10.1.0.9", "fd00::9"]}')
    settings = read("--config-file", str(file), "--bridge-accept-fwmark", "0x10").settings
    assert settings.accept_fwmark == "0x10/0xffffffff"
    assert [str(address) for address in settings.host_gateway_ips] == ["10.1.0.9", "fd00::9"]


def test_the_file_says_the_same_in_docker_s_form(file: Path) -> None:
    file.write_text(
        json.dumps(
            {
                "hosts": ["unix:///a"],
                "debug": True,
                "labels": ["a=b"],
                "default-address-pools": [{"base": "10.0.0.0/8", "size": 24}],
                "default-network-opts": {"bridge": {"com.x": "y"}},
                "mtu": 1400,
                "default-ulimits": {"nofile": {"Name": "nofile", "Soft": 1, "Hard": 2}},
                "log-opts": {"max-size": "1m"},
                "default-shm-size": "1m",
                "icc": False,
                "live-restore": True,
                "features": {"buildkit": True},
            },
        ),
    )
    settings, ignored = read("--config-file", str(file))
    assert settings == Settings(
        hosts=("unix:///a",),
        debug=True,
        labels=("a=b",),
        address_pools=(AddressPool(base=IPv4Network("10.0.0.0/8"), size=24),),
        network_options={"bridge": {"com.x": "y"}},
        mtu=1400,
        default_ulimits={"nofile": (1, 2)},
        log_options={"max-size": "1m"},
        default_shm_size=1 << 20,
        icc=False,
    )
    assert list(ignored) == ["live-restore", "features"]


def test_what_has_no_meaning_is_named_once(file: Path) -> None:
    file.write_text("{}")
    ignored = read("--config-file", str(file), "--userland-proxy=false", "--storage-driver", "overlay2").ignored
    assert list(ignored) == ["--userland-proxy", "--storage-driver"]


def test_names_follow_another_exec_root(file: Path) -> None:
    file.write_text("{}")
    settings = read("--config-file", str(file), "--exec-root", "/run/second").settings
    assert (settings.pidfile, settings.hosts) == ("/run/second/fairlead.pid", ("unix:///run/second/fairlead.sock",))


@pytest.mark.parametrize(
    ("content", "words", "message"),
    [
        ("{", [], "cannot read"),
        ("[]", [], "does not hold a JSON object"),
        ('{"foo": 1}', [], "the following directives don't match any configuration option: foo"),
        ('{"mtu": 5}', ["--mtu", "6"], "the following directives are specified both as a flag and in the"),
        ('{"mtu": "5"}', [], "mtu: a int is wanted, not '5'"),
        ('{"dns": "1.1.1.1"}', [], "dns: a list is wanted, not '1.1.1.1'"),
        ("{}", ["--bip", "foo"], "invalid --bip: "),
        ("{}", ["--log-level", "loud"], "invalid --log-level: 'loud' is none of debug, info, warn, error, fatal"),
        ("{}", ["--default-address-pool", "base=10.0.0.0/8,size=4"], "size 4 does not fit into 10.0.0.0/8"),
        ("{}", ["--default-address-pool", "10.0.0.0/8"], "a pool is base=SUBNET,size=BITS"),
        ("{}", ["--default-network-opt", "bridge"], "a network option is DRIVER=NAME=VALUE"),
        ("{}", ["--default-ulimit", "nofile"], "a ulimit is NAME=SOFT[:HARD]"),
        ("{}", ["--bip6", "10.1.0.1/24"], "invalid --bip6: "),
        ("{}", ["--bip", "10.1.0.1/24", "--bridge", "br7"], "--bridge and --bip exclude each other"),
        ("{}", ["--bip", "10.1.0.1/24", "--fixed-cidr", "10.2.0.0/25"], "is not within 10.1.0.0/24"),
        ("{}", ["--bip", "10.1.0.1/24", "--fixed-cidr", "10.1.0.0/16"], "is not within 10.1.0.0/24"),
        ("{}", ["--fixed-cidr-v6", "ff02::/64"], "multicast subnet"),
        ("{}", ["--fixed-cidr-v6", "fe80::/80"], "clashes with the Link-Local prefix"),
        ("{}", ["--default-gateway", "fd00::1"], "invalid --default-gateway: "),
        ("{}", ["--bridge", "x" * 16], "is not a valid interface name"),
        ("{}", ["--bridge-accept-fwmark", "x"], "invalid --bridge-accept-fwmark: "),
        ("{}", ["--bridge-accept-fwmark", "1/2/3"], "a mark is MARK or MARK/MASK"),
        ("{}", ["--bridge-accept-fwmark", "0x100000000"], "a mark is MARK or MARK/MASK"),
        ("{}", ["--bridge-accept-fwmark", "3/1"], "no packet could bear it"),
        ("{}", ["--host-gateway-ip", "x"], "invalid --host-gateway-ip: "),
        ("{}", ["--host-gateway-ip", "10.0.0.1", "--host-gateway-ip", "10.0.0.2"], "one address of each family"),
        ('{"host-gateway-ip": 5}', [], "addresses are wanted, not 5"),
    ],
)
def test_what_cannot_be(file: Path, content: str, words: list[str], message: str) -> None:
    file.write_text(content)
    with pytest.raises(CommandError) as raised:
        read("--config-file", str(file), *words)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_file_that_was_named_must_be_there(file: Path) -> None:
    with pytest.raises(CommandError, match="does not exist"):
        read("--config-file", str(file))
