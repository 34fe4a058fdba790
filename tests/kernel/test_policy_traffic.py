"""Policies without an engine, with traffic: on whatever kernel, whether br_netfilter shows bridged packets or not."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from fairlead.model.policy import Action
from harness import inside
from harness.lab import PATIENCE, SECOND4, SECOND6, Lab, opened

DENY, ALLOW = Action.DENY, Action.ALLOW
SHOWN = "net/bridge/bridge-nf-call-iptables"


@pytest.fixture(params=["0", "1"], ids=["bridged alone", "shown to IP"])
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    if os.geteuid():
        pytest.skip("needs root")
    if request.param == "1" and not Path("/proc/sys", SHOWN).exists():
        pytest.skip("there is no br_netfilter here")
    with opened() as lab:
        lab.network("n", ipv6=True)
        for name in ("web", "db", "other"):
            lab.container(name, "n")
        if Path("/proc/sys", SHOWN).exists():
            for key in (SHOWN, SHOWN.replace("iptables", "ip6tables")):
                lab.set("host", key, request.param)
        yield lab


def reached(lab: Lab, who: str, address: str, port: int, protocol: str = "tcp") -> bool:
    """Asked more than once: on a busy machine an answer takes its time."""
    return any(lab.ask(who, address, port, protocol) for _ in range(5))


def speaks_sctp() -> bool:
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_SCTP).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("protocol", ["tcp", "udp", "sctp"])
def test_who_begins_decides(lab: Lab, protocol: str, version: int) -> None:
    if protocol == "sctp" and not speaks_sctp():
        pytest.skip("this kernel has no SCTP")
    lab.serve("db", f"80/{protocol}", f"81/{protocol}")
    address = lab.address("db", version)
    assert reached(lab, "web", address, 80, protocol)
    lab.policy("n", DENY, f"allow from=name:web to=name:db port=80/{protocol}")
    assert reached(lab, "web", address, 80, protocol)
    assert not lab.ask("web", address, 81, protocol)
    assert not lab.ask("other", address, 80, protocol)
    lab.policy("n", ALLOW, f"deny from=name:web to=name:db port=80/{protocol}")
    assert not lab.ask("web", address, 80, protocol)
    assert reached(lab, "other", address, 80, protocol)


def test_each_packet_is_counted_once(lab: Lab) -> None:
    lab.serve("db", "53/udp")
    lab.serve("second", "53/udp")
    lab.policy("n", DENY, "allow to=name:db", f"allow to=cidr:{SECOND4}")
    assert lab.ask("web", lab.address("db"), 53, "udp")
    assert lab.ask("web", SECOND4, 53, "udp")
    counts = lab.kernel.policies.counts()
    assert sorted(count.packets for count in counts.values()) == [0, 2, 2]


@pytest.mark.parametrize("address", [SECOND4, SECOND6])
def test_what_leaves(lab: Lab, address: str) -> None:
    lab.serve("second", "80/tcp", "81/tcp")
    lab.policy("n", DENY, f"allow from=name:web to=cidr:{address} port=80")
    assert reached(lab, "web", address, 80)
    assert not lab.ask("web", address, 81)
    assert not lab.ask("other", address, 80)
    lab.serve("db", "80/tcp")
    assert reached(lab, "host", lab.address("db"), 80)


def test_an_edit_is_for_what_is_there(lab: Lab) -> None:
    listener = inside.run(lab.space("db").path, lambda: socket.create_server(("0.0.0.0", 80)))
    target = (lab.address("db"), 80)
    link = inside.run(lab.space("web").path, lambda: socket.create_connection(target))
    with listener, link, listener.accept()[0] as other:
        lab.policy("n", DENY, "allow from=name:web to=name:db port=80")
        assert inside.arrives(link, other, 5), "older than the policy"
        lab.policy("n", DENY)
        assert not inside.arrives(link, other, PATIENCE)
        lab.policy("n", ALLOW)
        assert inside.arrives(link, other, 5)
        lab.policy("n", ALLOW, "deny to=name:db port=80")
        assert not inside.arrives(link, other, PATIENCE)


def test_ports_that_tell_nothing(lab: Lab) -> None:
    """A server on an ephemeral port, asked from a low one."""
    lab.serve("db", "40000/tcp")
    lab.policy("n", DENY, "allow to=name:db port=40000")

    def ask() -> bytes:
        with socket.socket() as link:
            link.bind(("", 999))
            link.settimeout(2)
            link.connect((lab.address("db"), 40000))
            return link.recv(64)

    assert inside.run(lab.space("web").path, ask)
