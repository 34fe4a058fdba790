"""Which servers a resolv.conf names."""

from __future__ import annotations

import socket

import pytest

from fairlead.dns.hostconf import Upstream, nameservers, parse_server, parse_servers

CONF = """\
# nameserver 192.0.2.9
search example.test
nameserver 192.0.2.1
  nameserver\t2001:db8::1   # the second
nameserver
nameserver nonsense
options ndots:2
nameserver 192.0.2.1
nameserver 192.0.2.3
nameserver 192.0.2.4
"""


def test_nameservers() -> None:
    servers = parse_servers(nameservers(CONF))
    assert [server.address[0] for server in servers] == ["192.0.2.1", "2001:db8::1", "192.0.2.3"]
    assert {server.address[1] for server in servers} == {53}


def test_port_and_zone() -> None:
    assert parse_server("192.0.2.1#5353") == Upstream(socket.AF_INET, ("192.0.2.1", 5353))
    assert parse_server("fe80::1%lo") == Upstream(socket.AF_INET6, ("fe80::1", 53, 0, socket.if_nametoindex("lo")))


@pytest.mark.parametrize(
    "text", ["", "192.0.2", "192.0.2.1#x", "192.0.2.1#0", "1.1.1.1#65536", "fe80::1%nolink", "::g", "#"]
)
def test_what_is_no_server(text: str) -> None:
    assert parse_server(text) is None
