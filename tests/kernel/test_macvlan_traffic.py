"""macvlan links with traffic: modes, the host's own link, parents of a network's own. Also run in the VM."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fairlead.errors import EngineError, Forbidden, InvalidArgument
from fairlead.net.drivers.shim import AUX
from harness.engine import wait_until
from harness.stations import HOST4, OURS, OURS6, SECOND4, SECOND6, UPLINK, Stations, opened, subnet


@pytest.fixture
def lab() -> Iterator[Stations]:
    with opened() as lab:
        yield lab


def test_bridge_mode_containers_talk_among_themselves_and_with_the_outside(lab: Stations) -> None:
    lab.stations("lan", "macvlan", OURS)
    lab.station("one", "lan")
    lab.station("two", "lan")
    assert lab.pings("one", lab.address("two"))
    assert lab.pings("one", SECOND4)
    assert f"default via {SECOND4}" in lab.shows("one", "route")
    assert not lab.pings("one", HOST4)
    assert not lab.pings("host", lab.address("one"))


@pytest.mark.docker_option("macvlan_mode", section="macvlan", shows="private: containers reach the outside only")
@pytest.mark.parametrize("mode", ["private", "vepa"])
def test_private_and_vepa_containers_do_not_reach_each_other_by_themselves(lab: Stations, mode: str) -> None:
    lab.stations("lan", "macvlan", OURS, macvlan_mode=mode)
    lab.station("one", "lan")
    lab.station("two", "lan")
    assert lab.pings("one", SECOND4)
    assert lab.pings("two", SECOND4)
    assert not lab.pings("one", lab.address("two"))


@pytest.mark.docker_option("macvlan_mode", section="macvlan", shows="vepa: a switch that reflects joins them")
def test_vepa_containers_reach_each_other_over_a_switch_that_reflects(lab: Stations) -> None:
    lab.stations("lan", "macvlan", OURS, macvlan_mode="vepa")
    lab.station("one", "lan")
    lab.station("two", "lan")
    lab.ip(lab.second, "link", "add", "br0", "type", "bridge")
    lab.ip(lab.second, "link", "set", "eth0", "master", "br0")
    lab.ip(lab.second, "link", "set", "br0", "up")
    assert not lab.pings("one", lab.address("two"))
    lab.ip(lab.second, "link", "set", "eth0", "type", "bridge_slave", "hairpin", "on")
    # The kernel asks again for a neighbour that it did not find a moment ago only after a while.
    wait_until(lambda: lab.pings("one", lab.address("two")), "the switch joins them")


@pytest.mark.docker_option("macvlan_mode", section="macvlan", shows="passthru: one container has the parent")
def test_passthru_hands_the_parent_to_one_container(lab: Stations) -> None:
    lab.stations("lan", "macvlan", OURS, macvlan_mode="passthru")
    one = lab.station("one", "lan")
    assert lab.pings("one", SECOND4)
    assert one.mac in lab.shows("host", "link", "show", UPLINK)
    with pytest.raises(Forbidden, match="in macvlan mode passthru, which hands parent interface up0 to one container"):
        lab.station("two", "lan")
    with pytest.raises(EngineError, match="is already using parent interface up0 in mode passthru"):
        lab.stations("more", "macvlan", subnet("10.7.0.0/24"))
    lab.leave("one")
    lab.station("two", "lan", mac="02:00:00:00:00:42")
    assert lab.pings("two", SECOND4)


def test_passthru_does_not_join_others_on_a_parent(lab: Stations) -> None:
    lab.stations("lan", "macvlan", OURS)
    with pytest.raises(EngineError, match=r"cannot use mode passthru, macvlan network .* is already using parent"):
        lab.stations("more", "macvlan", subnet("10.7.0.0/24"), macvlan_mode="passthru")


def test_several_networks_share_a_parent(lab: Stations) -> None:
    lab.stations("lan", "macvlan", OURS)
    lab.stations("more", "macvlan", subnet("10.7.0.0/24"))
    lab.station("one", "lan")
    lab.station("two", "more")
    lab.station("three", "more")
    lab.ip(lab.second, "address", "add", "10.7.0.254/24", "dev", "eth0")
    assert lab.pings("one", SECOND4)
    assert lab.pings("two", lab.address("three"))
    assert lab.pings("two", "10.7.0.254")
    assert "default" not in lab.shows("two", "route")


def test_several_subnets_of_both_families_on_one_network(lab: Stations) -> None:
    full = subnet("10.7.0.0/30", gateway="10.7.0.1")
    lab.stations("lan", "macvlan", full, subnet("10.8.0.0/24", gateway="10.8.0.1"), OURS6)
    lab.station("one", "lan")
    lab.station("two", "lan")
    assert lab.address("one").startswith("10.7.0.")
    assert lab.address("two").startswith("10.8.0.")
    assert "default via 10.7.0.1" in lab.shows("one", "route")
    assert "default via 10.8.0.1" in lab.shows("two", "route")
    assert lab.pings("one", SECOND6)
    assert lab.pings("one", lab.address("two", 6))


def test_internal_networks_have_no_way_out(lab: Stations) -> None:
    lab.stations("lan", "macvlan", OURS, internal=True)
    lab.station("one", "lan")
    assert "default" not in lab.shows("one", "route")


def test_a_network_without_a_parent_is_among_itself(lab: Stations) -> None:
    before = lab.links()
    made = lab.stations("alone", "macvlan", subnet("10.7.0.0/24", gateway="10.7.0.1"), parent="")
    assert made.spec.internal
    assert lab.links() - before == {f"dm-{made.id[:12]}"}
    lab.station("one", "alone")
    lab.station("two", "alone")
    assert lab.pings("one", lab.address("two"))
    assert "default" not in lab.shows("one", "route")
    lab.ip(lab.host, "address", "add", "10.7.0.200/24", "dev", made.parent)
    assert not lab.pings("one", "10.7.0.200")
    lab.leave("one")
    lab.leave("two")
    lab.remove("alone")
    assert lab.links() == before


@pytest.mark.docker_option(
    "fairlead.host_shim", section="fairlead", shows="the host and its macvlan containers talk, both ways"
)
def test_with_a_shim_the_host_and_its_containers_talk(lab: Stations) -> None:
    before = lab.links()
    made = lab.stations("lan", "macvlan", OURS, OURS6, fairlead__host_shim="true")
    shim4 = str(made.subnets[0].aux[AUX])
    lab.station("one", "lan")
    lab.station("two", "lan")
    for name in ("one", "two"):
        for version in (4, 6):
            assert lab.pings("host", lab.address(name, version))
    lab.serve("host", "80/tcp")
    lab.serve("one", "81/tcp")
    # From the container the host has two addresses: the shim's own, and the one that is on its parent.
    assert lab.ask("one", shim4, 80) == f"host {lab.address('one')}"
    assert lab.ask("one", HOST4, 80) == f"host {lab.address('one')}"
    assert lab.ask("one", str(made.subnets[1].aux[AUX]), 80) == f"host {lab.address('one', 6)}"
    assert lab.ask("host", lab.address("one"), 81) == f"one {shim4}"
    # The rest of the network knows the host by its parent only.
    assert lab.pings("second", HOST4)
    assert _mac_of(lab, HOST4) == _mac(lab, UPLINK)
    gone = lab.address("one")
    lab.leave("one")
    assert gone not in lab.shows("host", "route")
    lab.leave("two")
    lab.remove("lan")
    assert lab.links() == before


def _mac(lab: Stations, link: str) -> str:
    found = lab.kernel.host_link(link)
    assert found is not None
    return found.mac


def _mac_of(lab: Stations, address: str) -> str:
    return lab.shows("second", "neighbour", "show", address).split(" lladdr ")[1].split()[0]


@pytest.mark.parametrize("mode", ["private", "vepa", "passthru"])
def test_a_shim_needs_neighbours_that_reach_each_other(lab: Stations, mode: str) -> None:
    with pytest.raises(InvalidArgument, match=f"host_shim needs macvlan mode bridge: with {mode}"):
        lab.stations("lan", "macvlan", OURS, macvlan_mode=mode, fairlead__host_shim="true")


def test_the_parents_mtu_is_the_limit(lab: Stations) -> None:
    options = {"com__docker__network__driver__mtu": "1400"}
    lab.stations("lan", "macvlan", OURS, **options)
    lab.station("one", "lan")
    assert "mtu 1400" in lab.shows("one", "link", "show", "eth0")
    with pytest.raises(InvalidArgument, match="invalid MTU number: 9000: parent interface up0 has 1500"):
        lab.stations("more", "macvlan", subnet("10.7.0.0/24"), com__docker__network__driver__mtu="9000")


def test_a_port_of_a_bridge_carries_nobody(lab: Stations) -> None:
    lab.ip(lab.host, "link", "add", "br0", "type", "bridge")
    lab.ip(lab.host, "link", "set", UPLINK, "master", "br0")
    with pytest.raises(InvalidArgument, match="parent interface up0 is a port of bridge br0"):
        lab.stations("lan", "macvlan", OURS)
    lab.stations("lan", "macvlan", OURS, parent="br0")
    lab.ip(lab.host, "link", "set", "br0", "up")
    lab.station("one", "lan")
    assert lab.pings("one", SECOND4)


def test_the_hosts_link_may_have_the_containers_name(lab: Stations) -> None:
    lab.ip(lab.host, "link", "set", UPLINK, "down")
    lab.ip(lab.host, "link", "set", UPLINK, "name", "eth0")
    lab.ip(lab.host, "link", "set", "eth0", "up")
    lab.stations("lan", "macvlan", OURS, parent="eth0")
    lab.station("one", "lan")
    assert lab.pings("one", SECOND4)
