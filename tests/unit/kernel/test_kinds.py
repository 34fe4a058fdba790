"""What links that stand on others have of their own, written and read."""

from __future__ import annotations

import pytest

from fairlead.kernel.netlink import codec, frames
from fairlead.kernel.netlink.codec import SubLink
from fairlead.kernel.netlink.frames import attributes, number, string
from fairlead.kernel.netlink.kinds import NO_NATURE, Nature, parse, render

KINDS = [
    *(("macvlan", Nature(mode=mode)) for mode in ("private", "vepa", "bridge", "passthru")),
    *(
        ("ipvlan", Nature(mode=mode, flag=flag))
        for mode in ("l2", "l3", "l3s")
        for flag in ("bridge", "private", "vepa")
    ),
    *(("vlan", Nature(vlan=number)) for number in (1, 4094)),
    ("bridge", NO_NATURE),
]


@pytest.mark.parametrize(("kind", "nature"), KINDS)
def test_what_is_written_is_read(kind: str, nature: Nature) -> None:
    assert parse(kind, memoryview(render(kind, nature))) == nature


def test_a_mode_unknown_here_is_no_word() -> None:
    assert parse("macvlan", memoryview(frames.u32(1, 16))) == NO_NATURE


def test_a_link_on_another_is_one_message_with_its_namespace() -> None:
    link = SubLink(
        name="fln2",
        kind="macvlan",
        parent=2,
        nature=Nature(mode="bridge"),
        mac="02:00:00:00:00:01",
        mtu=1400,
        group=7,
        namespace=9,
    )
    (message,) = frames.messages(codec.new_sublink(link))
    assert message.flags & (frames.CREATE | frames.EXCL) == frames.CREATE | frames.EXCL
    found = attributes(message.body, 16)
    assert [number(found[kind]) for kind in (4, 5, 27, 28)] == [1400, 2, 7, 9]
    about = attributes(found[18])
    assert (string(found[3]), string(about[1]), number(attributes(about[2])[1])) == ("fln2", "macvlan", 4)
    (on_host,) = frames.messages(codec.new_sublink(SubLink(name="v", kind="vlan", parent=2, nature=Nature(vlan=10))))
    assert 28 not in attributes(on_host.body, 16)


def test_a_link_is_read_with_its_nature() -> None:
    about = frames.nested(18, frames.text(1, "vlan"), frames.nested(2, render("vlan", Nature(vlan=10))))
    found = codec.read_link(memoryview(bytes(16) + frames.text(3, "eth0.10") + frames.u32(5, 2) + about))
    assert (found.kind, found.nature, found.peer_index, found.peer_nsid) == ("vlan", Nature(vlan=10), 2, codec.NO_NSID)


def test_a_probe_names_a_kind_and_no_parent() -> None:
    (message,) = frames.messages(codec.probe_kind("ipvlan"))
    found = attributes(message.body, 16)
    assert string(attributes(found[18])[1]) == "ipvlan"
    assert 5 not in found


def test_a_namespace_is_given_any_number() -> None:
    (message,) = frames.messages(codec.new_nsid(7))
    found = attributes(message.body, 4)
    assert (number(found[3]), number(found[1])) == (7, 0xFFFFFFFF)
