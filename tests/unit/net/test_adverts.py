"""Gratuitous ARP and unsolicited neighbour advertisements, octet by octet."""

from __future__ import annotations

from ipaddress import IPv6Address

from fairlead.net.adverts import frame
from unit.net.things import ip

MAC = bytes.fromhex("020000000005")


def test_a_gratuitous_arp_is_a_request_to_all_for_its_own_address() -> None:
    assert frame(MAC, ip("10.1.0.5")).hex() == (
        "ffffffffffff0200000000050806"  # to all
        "0001080006040001"  # Ethernet, IPv4, a request
        "0200000000050a010005"  # from
        "0000000000000a010005"  # for
    )


def test_an_advertisement_goes_to_all_nodes_and_overrides_what_they_know() -> None:
    found = frame(MAC, ip("fd00:1::5"))
    assert found[:14].hex() == "33330000000102000000000586dd"
    header, message = found[14:54], found[54:]
    assert (header[6], header[7]) == (58, 255)  # ICMPv6; RFC 4861, 7.1.2: hop limit 255
    assert (IPv6Address(header[8:24]), IPv6Address(header[24:40])) == (IPv6Address("fd00:1::5"), IPv6Address("ff02::1"))
    assert (message[0], message[1], message[4:8].hex()) == (136, 0, "20000000")
    assert message[8:].hex() == IPv6Address("fd00:1::5").packed.hex() + "0201" + MAC.hex()


def test_the_checksum_is_right() -> None:
    """Over pseudo header and message the ones' complement sum is all ones (RFC 1071)."""
    found = frame(MAC, ip("2001:db8::1"))
    covered = found[22:54] + (len(found) - 54).to_bytes(4, "big") + (58).to_bytes(4, "big") + found[54:]
    total = sum(int.from_bytes(covered[at : at + 2], "big") for at in range(0, len(covered), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    assert total == 0xFFFF
