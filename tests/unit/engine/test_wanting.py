from __future__ import annotations

from dataclasses import replace

from fairlead.engine.wanting import Wants
from fairlead.model.host import HostFacts
from fairlead.net.state import Link
from fairlead.net.world import World
from fairlead.settings import Settings
from unit.net.things import WORLD, endpoint, network


def test_the_same_records_are_asked_about_once() -> None:
    wants, home, one = Wants(), network(), endpoint()
    assert wants.of(home, one, WORLD) is wants.of(home, one, WORLD)


def test_another_record_or_another_host_is_asked_about_anew() -> None:
    wants, home, one = Wants(), network(), endpoint()
    first = wants.of(home, one, WORLD)
    moved = wants.of(home, replace(one, host_ifname="veth0000009"), WORLD)
    assert {fact.name for fact in moved.links if isinstance(fact, Link)} == {"veth0000009", "eth0"}
    small = World(settings=Settings(), host=HostFacts(default_mtu=1400))
    assert {fact.mtu for fact in wants.of(home, one, small).links if isinstance(fact, Link)} == {1400}
    assert wants.of(home, one, WORLD) == first
