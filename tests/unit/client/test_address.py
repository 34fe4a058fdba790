"""Where the engine is."""

from __future__ import annotations

import pytest

from fairlead.client.address import DEFAULT, SshAddress, TcpAddress, UnixAddress, choose, parse
from fairlead.client.errors import ClientError


def test_order_of_choice() -> None:
    both = {"FAIRLEAD_HOST": "unix:///f", "DOCKER_HOST": "unix:///d"}
    assert choose("unix:///flag", both) == "unix:///flag"
    assert choose("", both) == "unix:///f"
    assert choose("", {"DOCKER_HOST": "unix:///d"}) == "unix:///d"
    assert choose("", {"DOCKER_HOST": ""}) == DEFAULT


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("unix:///run/x.sock", UnixAddress("/run/x.sock")),
        ("/run/x.sock", UnixAddress("/run/x.sock")),
        ("unix://", UnixAddress("/run/fairlead/fairlead.sock")),
        ("tcp://10.0.0.1:2400", TcpAddress("10.0.0.1", 2400)),
        ("tcp://host", TcpAddress("host", 2375)),
        ("tcp://[fd00::1]:80", TcpAddress("fd00::1", 80)),
        ("tcp://[fd00::1]", TcpAddress("fd00::1", 2375)),
        ("host:1234", TcpAddress("host", 1234)),
        ("http://host:1/path", TcpAddress("host", 1)),
        ("ssh://me@box:2222/run/d.sock", SshAddress("me@box", 2222, "/run/d.sock")),
        ("ssh://box", SshAddress("box", None, "")),
    ],
)
def test_forms(text: str, address: object) -> None:
    assert parse(text) == address


def test_another_port_with_tls() -> None:
    assert parse("tcp://host", tls=True) == TcpAddress("host", 2376)


@pytest.mark.parametrize(
    "text", ["ftp://x", "tcp://x:y", "tcp://x:0", "tcp://x:99999", "ssh://", "ssh://-oProxyCommand=x"]
)
def test_no_address(text: str) -> None:
    with pytest.raises(ClientError):
        parse(text)
