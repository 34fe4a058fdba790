"""Whatever a configuration or a plugin says, only CniError comes out, and what is understood can be handed on."""

from __future__ import annotations

import contextlib
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fairlead.net.cni.conflist import VERSIONS, parse_list, parse_plugin, parse_single
from fairlead.net.cni.errors import CniError
from fairlead.net.cni.result import parse_failure, parse_result, parse_versions
from fairlead.net.cni.wishes import configured_subnets

KEYS = [
    *("cniVersion", "cniVersions", "name", "type", "plugins", "capabilities", "ipam", "subnet", "ranges", "gateway"),
    *("disableCheck", "disableGC", "loadOnlyInlinedPlugins", "interfaces", "ips", "ip4", "ip6", "ip", "address"),
    *("interface", "routes", "dst", "gw", "dns", "nameservers", "mac", "mtu", "sandbox", "code", "msg", "details"),
    "supportedVersions",
]
WORDS = st.sampled_from([*VERSIONS, "10.0.0.2/24", "10.0.0.1", "fd00::2/64", "0.0.0.0/0", "bridge", "true", "eth0", ""])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | WORDS | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=4), inner),
    max_leaves=24,
)
TEXTS = st.binary(max_size=64) | JSON.map(lambda value: json.dumps(value).encode())
SPOKEN = st.sampled_from(VERSIONS)

addresses = st.ip_addresses(v=4).map(lambda ip: f"{ip}/24") | st.ip_addresses(v=6).map(lambda ip: f"{ip}/64")
results = st.fixed_dictionaries(
    {
        "interfaces": st.just([{"name": "veth0"}, {"name": "eth0", "mac": "02:00:00:00:00:01", "sandbox": "/ns"}]),
        "ips": st.lists(
            st.fixed_dictionaries({"address": addresses}, optional={"interface": st.integers(0, 1)}), max_size=3
        ),
        "routes": st.lists(st.fixed_dictionaries({"dst": addresses}), max_size=2),
        "dns": st.fixed_dictionaries({}, optional={"nameservers": st.lists(st.text(max_size=5), max_size=2)}),
    }
)


@given(TEXTS)
def test_configurations_raise_only_their_own_error(text: bytes) -> None:
    with contextlib.suppress(CniError):
        list(configured_subnets(parse_list(text)))
    with contextlib.suppress(CniError):
        list(configured_subnets(parse_single(text)))
    with contextlib.suppress(CniError):
        parse_plugin(text)


@given(TEXTS, SPOKEN)
def test_answers_raise_only_their_own_error(text: bytes, version: str) -> None:
    with contextlib.suppress(CniError):
        parse_result(text, version)
    with contextlib.suppress(CniError):
        parse_versions(text)
    assert str(parse_failure("bridge", text, "")).startswith("CNI plugin bridge: ")


@given(results, SPOKEN, SPOKEN)
def test_what_is_handed_on_reads_as_what_was_answered(value: dict[str, Any], said: str, asked: str) -> None:
    """But for what the first two versions had no word for: interfaces, and more than one address of a family."""
    answered = parse_result(json.dumps({"cniVersion": said} | value).encode(), asked)
    told = parse_result(answered.text.encode(), asked)
    assert json.loads(told.text)["cniVersion"] == asked
    if asked not in ("0.1.0", "0.2.0"):
        assert (told.links, told.assigned, told.routes, told.dns) == (
            answered.links,
            answered.assigned,
            answered.routes,
            answered.dns,
        )
