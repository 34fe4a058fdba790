"""Which links are ours, and what resolv.conf says."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest

from fairlead.kernel.netlink.codec import NO_NSID, LinkInfo
from fairlead.kernel.observe import is_ours, nameservers
from fairlead.kernel.reaper import CONDEMNED
from fairlead.kernel.wiring import OUR_GROUP

VETH = LinkInfo(
    index=5,
    name="veth0a1b2c3",
    kind="veth",
    up=True,
    mtu=1500,
    mac="",
    master=0,
    alias="web/net",
    group=OUR_GROUP,
    peer_index=2,
    peer_nsid=NO_NSID,
    hairpin=False,
    isolated=False,
)


@pytest.mark.parametrize(
    ("change", "ours"),
    [
        ({}, True),
        ({"group": 0}, True),  # a stranger changed the group: name and alias still say it
        ({"group": 0, "alias": ""}, False),
        ({"group": 0, "name": "veth12"}, False),
        ({"group": CONDEMNED}, False),
        ({"name": "mybr", "kind": "bridge"}, True),
        ({"name": "br-0123456789ab", "kind": "bridge", "group": 0}, True),
        ({"kind": "dummy"}, False),
        ({"name": "eth0", "kind": "macvlan"}, True),
        ({"name": "eth0", "kind": "macvlan", "group": 0}, False),  # somebody's own, whatever its alias
        ({"name": "eth0.10", "kind": "vlan"}, True),
    ],
)
def test_our_mark(change: dict[str, object], ours: bool) -> None:
    assert is_ours(replace(VETH, **change)) is ours  # type: ignore[arg-type]


def test_nameservers() -> None:
    text = "# a comment\nnameserver 192.0.2.1\nsearch lan\nnameserver fe80::1%eth0\nnameserver nonsense\nnameserver\n"
    assert list(nameservers(text)) == [ip_address("192.0.2.1"), ip_address("fe80::1")]
