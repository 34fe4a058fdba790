"""The sandbox's nftables table as messages."""

from __future__ import annotations

import struct

from fairlead.kernel.netlink import frames
from fairlead.kernel.netlink.frames import attributes, string
from fairlead.kernel.netlink.nf import DNS_TABLE, dns_redirection


def kinds(port: int, *, replace: bool = False) -> list[int]:
    return [message.kind & 0xFF for raw in dns_redirection(port, replace=replace) for message in frames.messages(raw)]


def test_it_is_one_transaction() -> None:
    # opening mark, table, chain, five rules, closing mark
    assert kinds(61_000) == [16, 0, 3, 6, 6, 6, 6, 6, 17]
    assert kinds(61_000, replace=True) == [16, 0, 2, 0, 3, 6, 6, 6, 6, 6, 17]


def test_only_the_last_rule_asks_for_an_acknowledgement() -> None:
    asked = [message.flags & frames.ACK for raw in dns_redirection(61_000) for message in frames.messages(raw)]
    assert asked == [0] * 7 + [frames.ACK, 0]


def test_the_port_is_in_network_order_in_each_rewriting_rule() -> None:
    rules = [raw for raw in dns_redirection(61_234) if struct.pack(">H", 61_234) in raw]
    assert len(rules) == 4
    for raw in rules:
        (message,) = frames.messages(raw)
        found = attributes(message.body, 4)
        assert (string(found[1]), string(found[2])) == (DNS_TABLE, "output")
        assert bytes([127, 0, 0, 11]) in bytes(found[4])
