"""The way back for packets to published ports that the host's own input rules have let in.

Address translation comes before the host's input rules, so those never see a packet to a published port. Where they are
to decide, such a packet is left alone at first and goes through them. What they let in is taken up behind them: a copy
is sent out at one end of a veth pair and comes in again at the other, where it is translated like any other, with the
client's own address. From then on the connection is in the kernel's table and takes the ordinary way.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_interface, ip_network

from fairlead.net.state import HOST, Address, Fact, Link, LinkKind, Neighbour, Route, Rule, State, Sysctl

IN, OUT = "fl-in", "fl-out"

# Link-local and unique local addresses that nothing else answers for; they are never in a packet.
_OWN4, PEER4 = ip_interface("169.254.241.234/31"), IPv4Address("169.254.241.235")
_OWN6, PEER6 = ip_interface("fdf1:ea0f:1ea0::2/127"), IPv6Address("fdf1:ea0f:1ea0::3")
_MAC_OUT, _MAC_IN = "02:f1:ea:00:00:01", "02:f1:ea:00:00:02"

# Carried by a packet from chain "input" to the one behind it; traffic classes of ours do not exist.
PRIORITY = "f1:0ea0"

# A strict rp_filter asks whether the answer to a packet would leave where it came in. With this mark it would.
MARK = "0x000f1ea0"
_TABLE = 0xF1EA0
_IPV6_METRIC = 1024
_AROUND, _ASK, _ON = 31000, 31001, 31002  # priorities: before the tables main and default, behind most others


def facts(*, ipv6: bool) -> State:
    """What the host must have for it; nothing of it belongs to one network."""
    return frozenset((*_links(), *_way(4), *(_way(6) if ipv6 else ())))


def _links() -> Iterator[Fact]:
    said = "fairlead: published ports that the host's input rules let in"
    yield Link(ns=HOST, name=IN, kind=LinkKind.VETH, mac=_MAC_IN, alias=said, peer_ns=HOST, peer=OUT, peer_mac=_MAC_OUT)
    yield Link(ns=HOST, name=OUT, kind=LinkKind.VETH, mac=_MAC_OUT, alias=said, peer_ns=HOST, peer=IN)
    yield Sysctl(ns=HOST, key=f"net/ipv4/conf/{IN}/src_valid_mark", value="1")
    yield Sysctl(ns=HOST, key=f"net/ipv4/conf/{IN}/forwarding", value="1")


def _way(version: int) -> Iterator[Fact]:
    own, peer, everything = (_OWN4, PEER4, "0.0.0.0/0") if version == 4 else (_OWN6, PEER6, "::/0")
    if version == 6:
        for link in (IN, OUT):
            yield Sysctl(ns=HOST, key=f"net/ipv6/conf/{link}/disable_ipv6", value="0")
            yield Sysctl(ns=HOST, key=f"net/ipv6/conf/{link}/accept_dad", value="0")
    yield Address(ns=HOST, link=OUT, address=own)
    yield Neighbour(ns=HOST, link=OUT, address=peer, mac=_MAC_IN)
    metric = 0 if version == 4 else _IPV6_METRIC
    yield Route(ns=HOST, prefix=ip_network(everything), link=IN, table=_TABLE, metric=metric)
    # Only the question for the way of the answer may see that table: the packet's own way is looked up past it.
    yield Rule(ns=HOST, version=version, priority=_AROUND, iif=IN, goto=_ON)
    yield Rule(ns=HOST, version=version, priority=_ASK, mark=int(MARK, 16), table=_TABLE)
    yield Rule(ns=HOST, version=version, priority=_ON)
