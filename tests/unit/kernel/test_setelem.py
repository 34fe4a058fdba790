"""Elements of the table as messages."""

from __future__ import annotations

import pytest

from fairlead.kernel.netlink import frames, setelem
from fairlead.kernel.netlink.frames import ACK, attributes, string
from fairlead.kernel.netlink.setelem import NoFormError
from fairlead.net.state import Add, Change, Element, Remove, Step

NEW, DELETE = 10 << 8 | 12, 10 << 8 | 14


def element(container: str, key: str, value: str = "") -> Element:
    return Element(container=container, key=key, value=value)


def taken_apart(*steps: Step) -> list[tuple[int, str, list[dict[int, bytes]]]]:
    """(kind, set, items as attribute -> its bytes) of each message between the marks."""
    found = []
    for raw in setelem.transaction(steps)[1:-1]:
        (message,) = frames.messages(raw)
        parts = attributes(message.body, 4)
        assert string(parts[1]) == "fairlead"
        items, offset, listed = [], 0, parts[3]
        while offset < len(listed):
            size = int.from_bytes(listed[offset : offset + 2], "little")
            items.append({kind: bytes(value) for kind, value in attributes(listed[offset : offset + size], 4).items()})
            offset += size
        found.append((message.kind, string(parts[2]), items))
    return found


def items(container: str, key: str, value: str = "") -> list[dict[int, bytes]]:
    ((_, _, found),) = taken_apart(Add(element(container, key, value)))
    return found


def bare(raw: bytes) -> bytes:
    return bytes(attributes(memoryview(raw))[1])


def test_an_interface_fills_its_field() -> None:
    (found,) = items("bridges", '"br-0123456789ab"')
    assert bare(found[1]) == b"br-0123456789ab\0"


def test_parts_of_a_concatenation_fill_registers() -> None:
    (found,) = items("published4", "tcp . 8080", "172.17.0.2 . 80")
    assert bare(found[1]) == b"\x06\0\0\0" + b"\x1f\x90\0\0"
    assert bare(found[2]) == b"\xac\x11\0\2" + b"\0\x50\0\0"


def test_a_single_interval_is_where_it_begins_and_where_it_is_over() -> None:
    first, behind = items("masquerade4", "172.19.0.0/24")
    assert (bare(first[1]), bare(behind[1])) == (b"\xac\x13\0\0", b"\xac\x13\1\0")
    assert (3 in first, behind[3]) == (False, b"\0\0\0\1")


def test_an_interval_up_to_the_last_value_has_no_end() -> None:
    assert len(items("masquerade4", "255.255.255.0/24")) == 1


def test_only_the_beginning_of_an_interval_carries_the_value() -> None:
    first, behind = items("snat4", "10.1.0.0/24", "192.0.2.7")
    assert bare(first[2]) == b"\xc0\0\2\7"
    assert 2 not in behind


def test_an_interval_within_a_concatenation_has_two_keys() -> None:
    (found,) = items("ranges4", "udp . 20000-20999", "172.17.0.4")
    assert (bare(found[1])[4:6], bare(found[10])[4:6]) == (b"\x4e\x20", b"\x52\x07")
    (alone,) = items("ports6", "fd00::2 . sctp . 80")
    assert alone[1] == alone[10]


def test_what_changes_goes_before_it_comes_and_takes_no_value_along() -> None:
    before, after = element("published4", "tcp . 1", "10.0.0.1 . 1"), element("published4", "tcp . 1", "10.0.0.2 . 1")
    gone, come = taken_apart(Change(before, after), Remove(element("bridges", '"b"')))[1:]
    assert (gone[0], come[0]) == (DELETE, NEW)
    assert 2 not in gone[2][0]


def test_only_the_last_request_is_acknowledged() -> None:
    raw = setelem.transaction([Add(element("bridges", '"a"')), Remove(element("no_icc", '"a"'))])
    flags = [message.flags & ACK for each in raw for message in frames.messages(each)]
    assert flags == [0, 0, ACK, 0]


def test_many_elements_take_several_messages_each_of_a_legal_size() -> None:
    steps = [Add(element("published4", f"tcp . {port}", "10.0.0.1 . 80")) for port in range(1000, 1500)]
    found = taken_apart(*steps)
    assert [len(listed) for _, _, listed in found] == [200, 200, 100]


@pytest.mark.parametrize(
    ("container", "key", "value"),
    [
        ("nowhere", "1", ""),
        ("bridges", "br-0", ""),
        ("bridges", '"veth*"', ""),
        ("bridges", '"a" . "b"', ""),
        ("masquerade4", "fd00::/64", ""),
        ("masquerade4", "10.0.0.1/24", ""),
        ("published4", "dccp . 80", "10.0.0.1 . 80"),
        ("published4", "tcp . 70000", "10.0.0.1 . 80"),
        ("published4", "tcp . 80", "10.0.0.1"),
    ],
)
def test_what_has_no_form_is_left_to_nft(container: str, key: str, value: str) -> None:
    with pytest.raises(NoFormError):
        setelem.transaction([Add(element(container, key, value))])


def test_so_are_nothing_and_very_much() -> None:
    with pytest.raises(NoFormError):
        setelem.transaction([])
    with pytest.raises(NoFormError):
        setelem.transaction(Add(element("published4", f"tcp . {port}", "10.0.0.1 . 80")) for port in range(1, 9999))
