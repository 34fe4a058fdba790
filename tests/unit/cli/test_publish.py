"""Published and exposed ports in all their forms."""

from __future__ import annotations

import pytest

from fairlead.cli.container.publish import exposed, port_map


@pytest.mark.parametrize(
    ("spec", "ports"),
    [
        ("80", {"80/tcp": [("", "")]}),
        ("8080:80", {"80/tcp": [("", "8080")]}),
        (":80", {"80/tcp": [("", "")]}),
        ("127.0.0.1:8080:80/udp", {"80/udp": [("127.0.0.1", "8080")]}),
        ("127.0.0.1::53/UDP", {"53/udp": [("127.0.0.1", "")]}),
        ("[::1]:80:80/sctp", {"80/sctp": [("::1", "80")]}),
        ("[::]::80", {"80/tcp": [("::", "")]}),
        ("80-81:90-91", {"90/tcp": [("", "80")], "91/tcp": [("", "81")]}),
        ("8000-8010:80", {"80/tcp": [("", "8000-8010")]}),
        ("90-91", {"90/tcp": [("", "")], "91/tcp": [("", "")]}),
        ("published=8080,target=80,protocol=udp", {"80/udp": [("", "8080")]}),
        ("target=80", {"80/tcp": [("", "")]}),
    ],
)
def test_forms(spec: str, ports: dict[str, list[tuple[str, str]]]) -> None:
    found = {port: [(b["HostIp"], b["HostPort"]) for b in bindings] for port, bindings in port_map([spec]).items()}
    assert found == ports


def test_one_port_published_twice() -> None:
    assert [binding["HostPort"] for binding in port_map(["80:80", "81:80"])["80/tcp"]] == ["80", "81"]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("", "no port specified: <empty>"),
        ("foo", "invalid containerPort: foo"),
        ("99999:80", "invalid hostPort: 99999"),
        ("1.2.3:80:80", "invalid IP address: 1.2.3"),
        ("80:80/foo", "invalid proto: foo"),
        ("80-82:90-91", "invalid ranges specified for container and host Ports: 90-91 and 80-82"),
        ("82-80", "invalid containerPort: 82-80"),
        ("published=8080", "no port specified: published=8080"),
        ("target=80,foo=1", "invalid field key foo"),
    ],
)
def test_mistakes(spec: str, message: str) -> None:
    with pytest.raises(ValueError) as raised:
        port_map([spec])
    assert str(raised.value) == message


def test_exposed_ranges() -> None:
    assert sorted(exposed(["80-82", "53/udp"])) == ["53/udp", "80/tcp", "81/tcp", "82/tcp"]
    with pytest.raises(ValueError, match="invalid port format for --expose: 80:80"):
        exposed(["80:80"])
    with pytest.raises(ValueError, match="invalid range format for --expose: x"):
        exposed(["x"])
