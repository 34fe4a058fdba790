"""Sysctl names and values."""

from __future__ import annotations

import pytest

from fairlead.kernel import sysctl


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("net.ipv4.ip_forward", "net/ipv4/ip_forward"),
        ("net.ipv4.conf.eth0/10.rp_filter", "net/ipv4/conf/eth0.10/rp_filter"),
        ("net/ipv4/conf/eth0.10/rp_filter", "net/ipv4/conf/eth0.10/rp_filter"),
    ],
)
def test_names_as_people_write_them(name: str, key: str) -> None:
    assert sysctl.key_of(name) == key


def test_blanks_do_not_matter() -> None:
    assert sysctl.normal("4096\t131072\t6291456\n") == sysctl.normal("4096 131072 6291456")


def test_reading() -> None:
    assert sysctl.read("kernel/ostype") == "Linux"
    assert sysctl.read("kernel/no_such_thing") is None
