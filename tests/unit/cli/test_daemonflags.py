"""dockerd's flags and configuration file as Settings."""

from __future__ import annotations

import json
from ipaddress import IPv4Interface, IPv4Network, IPv6Address
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
