"""VLAN sub-interfaces as parents: made where they are missing, shared, removed with the last network on them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fairlead.errors import EngineError
from fairlead.net.plan import plan
from harness.stations import UPLINK, Stations, opened, subnet

TAGGED = subnet("10.7.0.0/24", gateway="10.7.0.254")
PARENT = f"{UPLINK}.10"


@pytest.fixture
def lab() -> Iterator[Stations]:
    """The second host has VLAN 10, too."""
    with opened() as lab:
        lab.ip(lab.second, "link", "add", "link", "eth0", "name", "eth0.10", "type", "vlan", "id", "10")
        lab.ip(lab.second, "address", "add", "10.7.0.254/24", "dev", "eth0.10")
        lab.ip(lab.second, "link", "set", "eth0.10", "up")
        yield lab


@pytest.mark.docker_option("parent", section="macvlan", shows="eth0.10: a VLAN link is made, shared and removed")
@pytest.mark.parametrize("driver", ["macvlan", "ipvlan"])
def test_a_vlan_link_is_there_as_long_as_a_network_wants_it(lab: Stations, driver: str) -> None:
    lab.stations("tagged", driver, TAGGED, parent=PARENT)
    assert "vlan protocol 802.1Q id 10" in lab.shows("host", "-d", "link", "show", PARENT)
    lab.stations("more", driver, subnet("10.8.0.0/24"), parent=PARENT)
    lab.station("one", "tagged")
    lab.station("two", "tagged")
    assert lab.pings("one", "10.7.0.254")
    assert lab.pings("one", lab.address("two"))
    lab.leave("one")
    lab.leave("two")
    lab.remove("tagged")
    assert PARENT in lab.links()
    lab.remove("more")
    assert PARENT not in lab.links()


def test_one_that_was_there_before_stays(lab: Stations) -> None:
    lab.ip(lab.host, "link", "add", "link", UPLINK, "name", PARENT, "type", "vlan", "id", "10")
    lab.ip(lab.host, "link", "set", PARENT, "up")
    lab.stations("tagged", "macvlan", TAGGED, parent=PARENT)
    lab.stations("more", "macvlan", subnet("10.8.0.0/24"), parent=PARENT)
    lab.station("one", "tagged")
    assert lab.pings("one", "10.7.0.254")
    lab.leave("one")
    lab.remove("tagged")
    lab.remove("more")
    assert PARENT in lab.links()


def test_tagged_containers_do_not_hear_untagged_ones(lab: Stations) -> None:
    lab.stations("tagged", "macvlan", subnet("10.7.0.0/25"), parent=PARENT)
    lab.stations("plain", "macvlan", subnet("10.7.0.128/25"))
    lab.station("one", "tagged")
    lab.station("two", "plain")
    lab.ip(lab.space("one"), "address", "add", "10.7.0.100/24", "dev", "eth0")
    assert not lab.pings("one", lab.address("two"))


def test_what_a_stranger_deleted_is_put_back_with_what_stood_on_it(lab: Stations) -> None:
    lab.stations("tagged", "macvlan", TAGGED, parent=PARENT, fairlead__host_shim="true")
    one = lab.station("one", "tagged")
    lab.ip(lab.host, "link", "delete", PARENT)
    assert lab.observed(one.container) != lab.wanted()
    lab.inside(lambda: lab.kernel.apply(plan(lab.observed(one.container), lab.wanted())))
    assert lab.pings("one", "10.7.0.254")
    assert lab.pings("host", lab.address("one"))
    assert not plan(lab.observed(one.container), lab.wanted())


@pytest.mark.parametrize(
    ("parent", "complaint"),
    [
        (f"{UPLINK}.0", "vlan id must be between 1-4094, received: 0"),
        (f"{UPLINK}.4095", "vlan id must be between 1-4094, received: 4095"),
        (f"{UPLINK}.10.20", r"required interface name format is: name.vlan_id, .* instead received up0.10.20"),
        (f"{UPLINK}.ten", "unable to parse a valid vlan id from: ten"),
        ("eth9.10", "-o parent interface was not found on the host: eth9"),
        ("eth9", "invalid subinterface vlan name eth9, example formatting is eth0.10"),
        ("lo.10", "loopback interface is not a valid macvlan parent link"),
    ],
)
def test_parents_that_cannot_be(lab: Stations, parent: str, complaint: str) -> None:
    before = lab.links()
    with pytest.raises(EngineError, match=complaint):
        lab.stations("tagged", "macvlan", TAGGED, parent=parent)
    assert lab.links() == before


@pytest.mark.parametrize("number", ["1", "4094"])
def test_the_first_and_the_last_vlan(lab: Stations, number: str) -> None:
    lab.stations("tagged", "macvlan", TAGGED, parent=f"{UPLINK}.{number}")
    assert f"{UPLINK}.{number}" in lab.links()
