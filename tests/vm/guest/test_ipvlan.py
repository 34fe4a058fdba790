"""ipvlan links with traffic: modes, flags, the host's own link, several networks on a parent."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fairlead.errors import Forbidden, InvalidArgument
from fairlead.net.drivers.shim import AUX
from harness.stations import HOST4, OURS, OURS6, SECOND4, SECOND6, Stations, opened, subnet


@pytest.fixture
def lab() -> Iterator[Stations]:
    with opened() as lab:
        yield lab


@pytest.mark.docker_option("ipvlan_mode", section="ipvlan", shows="l2: a station with the parent's MAC")
def test_l2_containers_have_the_parents_mac_and_talk_to_all_but_the_host(lab: Stations) -> None:
    lab.stations("lan", "ipvlan", OURS, OURS6)
    lab.station("one", "lan")
    lab.station("two", "lan")
    assert lab.pings("one", lab.address("two"))
    assert lab.pings("one", lab.address("two", 6))
    assert lab.pings("one", SECOND4)
    assert lab.pings("one", SECOND6)
    assert f"default via {SECOND4}" in lab.shows("one", "route")
    assert not lab.pings("one", HOST4)
    parent = lab.kernel.host_link("up0")
    assert parent is not None
    assert parent.mac in lab.shows("one", "link", "show", "eth0")


@pytest.mark.docker_option(
    "ipvlan_mode", section="ipvlan", shows="l3, l3s: all that is for elsewhere leaves by the link"
)
@pytest.mark.parametrize("mode", ["l3", "l3s"])
def test_routed_modes_leave_by_the_interface(lab: Stations, mode: str) -> None:
    lab.stations("routed", "ipvlan", subnet("10.7.0.0/24"), subnet("10.8.0.0/24"), ipvlan_mode=mode)
    lab.station("one", "routed")
    lab.station("two", "routed")
    assert lab.shows("one", "route", "show", "default").split()[:3] == ["default", "dev", "eth0"]
    assert lab.pings("one", lab.address("two"))
    # The outside must be told the way: there is no ARP for containers.
    assert not lab.pings("one", SECOND4)
    lab.ip(lab.second, "route", "add", "10.7.0.0/24", "via", HOST4)
    assert lab.pings("one", SECOND4)


@pytest.mark.docker_option("ipvlan_flag", section="ipvlan", shows="private, vepa: containers do not reach each other")
@pytest.mark.parametrize("flag", ["private", "vepa"])
def test_flags_keep_containers_apart(lab: Stations, flag: str) -> None:
    lab.stations("lan", "ipvlan", OURS, ipvlan_flag=flag)
    lab.station("one", "lan")
    lab.station("two", "lan")
    assert lab.pings("one", SECOND4)
    assert not lab.pings("one", lab.address("two"))


@pytest.mark.docker_option("parent", section="ipvlan", note="several networks may share a parent; Docker allows one")
def test_several_networks_share_a_parent(lab: Stations) -> None:
    lab.stations("lan", "ipvlan", OURS)
    lab.stations("more", "ipvlan", subnet("10.7.0.0/24"))
    lab.station("one", "lan")
    lab.station("two", "more")
    lab.station("three", "more")
    assert lab.pings("one", SECOND4)
    assert lab.pings("two", lab.address("three"))
    with pytest.raises(Forbidden, match="already using parent interface up0 in mode l2 with flag bridge, which all"):
        lab.stations("routed", "ipvlan", subnet("10.8.0.0/24"), ipvlan_mode="l3")
    with pytest.raises(Forbidden, match="ipvlan network lan is already using parent interface up0, and one link"):
        lab.stations("mac", "macvlan", subnet("10.8.0.0/24"))


def test_the_same_address_is_free_at_once(lab: Stations) -> None:
    lab.stations("lan", "ipvlan", OURS)
    first = lab.station("one", "lan").addresses
    lab.leave("one")
    assert lab.station("two", "lan").addresses == first
    assert lab.pings("two", SECOND4)


@pytest.mark.docker_option("fairlead.host_shim", section="fairlead", shows="the host and its ipvlan containers talk")
@pytest.mark.parametrize("mode", ["l2", "l3", "l3s"])
def test_with_a_shim_the_host_and_its_containers_talk(lab: Stations, mode: str) -> None:
    before = lab.links()
    made = lab.stations("lan", "ipvlan", OURS, ipvlan_mode=mode, fairlead__host_shim="true")
    shim = str(made.subnets[0].aux[AUX])
    lab.station("one", "lan")
    assert lab.pings("host", lab.address("one"))
    assert lab.pings("one", shim)
    lab.leave("one")
    lab.remove("lan")
    assert lab.links() == before


def test_a_shim_needs_the_bridge_flag(lab: Stations) -> None:
    with pytest.raises(InvalidArgument, match="host_shim needs ipvlan flag bridge: with private"):
        lab.stations("lan", "ipvlan", OURS, ipvlan_flag="private", fairlead__host_shim="true")


def test_a_network_without_a_parent_is_among_itself(lab: Stations) -> None:
    before = lab.links()
    made = lab.stations("alone", "ipvlan", subnet("10.7.0.0/24", gateway="10.7.0.1"), parent="")
    assert lab.links() - before == {f"di-{made.id[:12]}"}
    lab.station("one", "alone")
    lab.station("two", "alone")
    assert lab.pings("one", lab.address("two"))
    assert "default" not in lab.shows("one", "route")
