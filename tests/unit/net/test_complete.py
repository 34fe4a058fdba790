"""Default options, families switched by options, and configuration networks."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest

from fairlead.errors import Forbidden, InvalidArgument
from fairlead.model.network import IpamConfig, NetworkSpec
from fairlead.net import complete

V4, V6 = complete.ENABLE[4], complete.ENABLE[6]


def test_what_was_asked_wins_over_the_defaults() -> None:
    spec = complete.with_defaults(NetworkSpec(name="n", options={"a": "mine"}), {"a": "theirs", "b": "theirs"})
    assert spec.options == {"a": "mine", "b": "theirs"}


def test_options_switch_the_families_that_were_left_open() -> None:
    spec = complete.with_defaults(NetworkSpec(name="n", open_families=(4, 6)), {V4: "false", V6: "1"})
    assert (spec.enable_ipv4, spec.enable_ipv6) == (False, True)
    assert spec.options == {V4: "false", V6: "1"}


def test_a_family_that_was_named_is_as_it_was_named() -> None:
    asked = NetworkSpec(name="n", enable_ipv6=True, open_families=(4,), options={V6: "false"})
    spec = complete.with_defaults(asked, {V4: "true"})
    assert (spec.enable_ipv4, spec.enable_ipv6) == (True, True)
    assert spec.options == {V4: "true"}


def test_a_switch_is_a_bool() -> None:
    with pytest.raises(InvalidArgument, match=r'driver-opt "com.docker.network.enable_ipv6" is not a valid bool: yes'):
        complete.with_defaults(NetworkSpec(name="n", open_families=(6,)), {V6: "yes"})


@pytest.mark.parametrize("field", [{"internal": True}, {"attachable": True}, {"ingress": True}, {"scope": "swarm"}])
def test_a_configuration_network_is_no_network(field: dict[str, Any]) -> None:
    complete.check_lender(NetworkSpec(name="n", **field))
    with pytest.raises(Forbidden, match="can only contain network specific fields"):
        complete.check_lender(NetworkSpec(name="n", config_only=True, **field))


def test_a_configuration_network_borrows_of_none() -> None:
    with pytest.raises(Forbidden, match="cannot depend on another configuration network"):
        complete.check_lender(NetworkSpec(name="n", config_only=True, config_from="other"))


def test_what_is_lent() -> None:
    lent = NetworkSpec(
        name="c",
        config_only=True,
        enable_ipv6=True,
        ipam=(IpamConfig(subnet=ip_network("10.1.0.0/24")),),
        options={"a": "b"},
        labels={"x": "y"},
    )
    spec = complete.borrowed(NetworkSpec(name="n", config_from="c", internal=True), lent)
    assert (spec.name, spec.config_only, spec.internal, spec.enable_ipv6) == ("n", False, True, True)
    assert (spec.ipam, spec.options, spec.labels) == (lent.ipam, lent.options, lent.labels)


@pytest.mark.parametrize(
    "own",
    [
        {"ipam": (IpamConfig(),)},
        {"options": {"a": "b"}},
        {"labels": {"a": "b"}},
        {"ipam_options": {"a": "b"}},
        {"ipam_driver": "dhcp"},
        {"enable_ipv4": False},
        {"enable_ipv6": True},
    ],
)
def test_whoever_borrows_says_nothing_of_it_itself(own: dict[str, Any]) -> None:
    with pytest.raises(Forbidden, match="user-specified configurations are not supported"):
        complete.borrowed(NetworkSpec(name="n", config_from="c", **own), NetworkSpec(name="c", config_only=True))
