"""docs/compatibility.md says of the options what the tests' markers say."""

from __future__ import annotations

from pathlib import Path

import pytest

from golden import compatibility

_BRIDGE = "com.docker.network.bridge"

# What Docker documents of a single host's networks, drivers with a lane of their own left out.
REQUIRED = {
    "bridge": (
        f"{_BRIDGE}.name",
        f"{_BRIDGE}.enable_icc",
        f"{_BRIDGE}.enable_ip_masquerade",
        f"{_BRIDGE}.host_binding_ipv4",
        f"{_BRIDGE}.inhibit_ipv4",
        f"{_BRIDGE}.trusted_host_interfaces",
        *(f"{_BRIDGE}.gateway_mode_ipv{v}={m}" for v in "46" for m in ("nat", "nat-unprotected", "routed", "isolated")),
        "com.docker.network.advertise_addr_ms",
        "com.docker.network.advertise_addr_nmsgs",
        "com.docker.network.container_iface_prefix",
        "com.docker.network.driver.mtu",
        "com.docker.network.enable_ipv4",
        "com.docker.network.enable_ipv6",
        "com.docker.network.host_ipv4",
        "com.docker.network.host_ipv6",
    ),
    "daemon": (
        *("--allow-direct-routing", "--bip", "--bip6", "--bridge NAME", "--bridge none", "--bridge-accept-fwmark"),
        *("--default-address-pool", "--default-gateway", "--default-gateway-v6", "--default-network-opt"),
        *("--fixed-cidr", "--fixed-cidr-v6", "--host-gateway-ip", "--icc", "--ip", "--ip-forward", "--ip-masq"),
        *("--ipv6", "--mtu"),
    ),
    "endpoint": (
        *("--alias", "--network-alias", "--ip", "--ip6", "--link-local-ip", "--mac-address", "gw-priority"),
        *(f"driver-opt com.docker.network.endpoint.{name}" for name in ("ifname", "sysctls")),
    ),
    "network": (
        *("--internal", "--ipv4=false", "--ipv6", "--config-only, --config-from", "docker events"),
        *("docker network inspect", "docker network inspect --verbose", "docker network ls --filter"),
        *("docker network prune --filter", "docker network disconnect --force", "docker-py: networks"),
    ),
    "addresses": ("--aux-address", "--gateway", "--ip-range", "--subnet", "--subnet 0.0.0.0/N, ::/N"),
    "publishing": ("-p, --publish", "-p …/sctp", "-P, --publish-all"),
    "modes": ("--link", "--network container:NAME", "--add-host, host-gateway"),
}


def test_every_option_is_shown_by_some_test() -> None:
    found = {(each.section, each.option) for each in compatibility.shown()}
    wanted = {(section, option) for section, options in REQUIRED.items() for option in options}
    assert wanted - found == set()


def test_the_page_is_made_of_the_markers() -> None:
    assert compatibility.PAGE.read_text() == compatibility.page(), "tools/write-compatibility"


def _tests(directory: Path, text: str) -> Path:
    folder = directory / "tests" / "kernel"
    folder.mkdir(parents=True)
    (folder / "test_it.py").write_text(text)
    return directory / "tests"


def test_an_option_shown_by_two_tests_is_one_row(tmp_path: Path) -> None:
    tests = _tests(
        tmp_path,
        '@pytest.mark.docker_option("--internal", section="network")\n'
        "def test_nothing_is_routed(): ...\n"
        '@pytest.mark.parametrize("x", [1])\n'
        '@pytest.mark.docker_option("--internal", section="network", shows="no | DNS", note="clearer")\n'
        "def test_no_dns(x): ...\n",
    )
    (row,) = [line for line in compatibility.options_table(compatibility.shown(tests)).splitlines() if "--int" in line]
    assert row == (
        "| `--internal` | [no \\| DNS](../tests/kernel/test_it.py); "
        "[nothing is routed](../tests/kernel/test_it.py) | clearer |"
    )


def test_sections_come_in_the_pages_order(tmp_path: Path) -> None:
    tests = _tests(
        tmp_path,
        '@pytest.mark.docker_option("a", section="publishing")\n'
        '@pytest.mark.docker_option("b", section="bridge")\n'
        "def test_both(): ...\n",
    )
    headings = [line for line in compatibility.options_table(compatibility.shown(tests)).splitlines() if "###" in line]
    assert headings == ["### Bridge networks: `-o`", "### Published ports"]


@pytest.mark.parametrize(
    "arguments", ['"a"', '"a", section="nosuch"', '"a", section="bridge", says="x"', "NAME, section='bridge'", ""]
)
def test_a_marker_that_cannot_be_read_is_named(tmp_path: Path, arguments: str) -> None:
    tests = _tests(tmp_path, f"@pytest.mark.docker_option({arguments})\ndef test_it(): ...\n")
    with pytest.raises(ValueError, match=r"tests/kernel/test_it.py::test_it"):
        compatibility.shown(tests)


def test_a_page_without_the_comment_lines_is_refused() -> None:
    with pytest.raises(ValueError, match="no comment lines for options"):
        compatibility.filled("# Compatibility\n", "options", "")
