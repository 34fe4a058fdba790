"""Frames and values on the control socket."""

from __future__ import annotations

import json

import pytest

from fairlead.dns import protocol
from fairlead.dns.protocol import Decoder, ProtocolError
from fairlead.dns.view import EndpointNames, NamedPort, PortName, View

VIEW = View(("n1", "n2"), {"db": ("10.0.0.2",)}, ("192.0.2.1",), from_sandbox=True, forward=False, ndots_set=True)
ENDPOINT = EndpointNames("e", "c", ("web", "w"), ("10.0.0.2", "fd00::2"), (NamedPort("http", "tcp", 80),))


def through_json(value: object) -> protocol.Json:
    read = json.loads(json.dumps(value))
    assert isinstance(read, dict)
    return read


def test_values_survive() -> None:
    for view in (VIEW, View()):
        assert protocol.view_from_json(through_json(protocol.view_to_json(view))) == view
    assert protocol.endpoint_from_json(through_json(protocol.endpoint_to_json(ENDPOINT))) == ENDPOINT
    for port in (PortName("tcp", "::", 80, ("10.0.0.2", 8080)), PortName("udp", "0.0.0.0", 53)):
        (told,) = protocol.ports_to_json([port])
        assert protocol.port_from_json(through_json(told)) == port


def test_frames_in_pieces() -> None:
    stream = protocol.encode({"id": 1, "x": "ä"}) + protocol.encode({"id": 2})
    decoder = Decoder()
    found = [frame for at in range(len(stream)) for frame in decoder.feed(stream[at : at + 1])]
    assert found == [{"id": 1, "x": "ä"}, {"id": 2}]


@pytest.mark.parametrize(
    "stream",
    [b"\xff\xff\xff\xff", b"\0\0\0\1{", b"\0\0\0\2[]", b"\0\0\0\4\xff\xfe\xfd\xfc", b"\0\x01\0\0" + b"[" * 65536],
    ids=["too long", "cut", "a list", "not text", "nested"],
)
def test_decoder_refuses(stream: bytes) -> None:
    with pytest.raises(ProtocolError):
        list(Decoder().feed(stream))


@pytest.mark.parametrize(
    "change",
    [
        {"networks": "n1"},
        {"networks": [1]},
        {"aliases": {"db": ["nonsense"]}},
        {"aliases": []},
        {"forward": 1},
        {"upstreams": None},
    ],
)
def test_malformed_views(change: dict[str, object]) -> None:
    with pytest.raises(ProtocolError):
        protocol.view_from_json({**protocol.view_to_json(VIEW), **change})


@pytest.mark.parametrize(
    "change",
    [
        {"addresses": ["10.0.0.256"]},
        {"id": 7},
        {"ports": [{"name": "http", "protocol": "tcp", "port": 65536}]},
        {"ports": [{"name": "", "protocol": "tcp", "port": 1}]},
        {"ports": [{"name": "a.b", "protocol": "tcp", "port": 1}]},
        {"ports": [{"name": "x" * 63, "protocol": "tcp", "port": 1}]},
        {"ports": [{"name": "a", "protocol": "tcp", "port": True}]},
        {"ports": [[]]},
    ],
)
def test_malformed_endpoints(change: dict[str, object]) -> None:
    with pytest.raises(ProtocolError):
        protocol.endpoint_from_json({**protocol.endpoint_to_json(ENDPOINT), **change})


@pytest.mark.parametrize("target", [None, ["10.0.0.2"], ["x", 80], [80, "10.0.0.2"], "no"])
def test_malformed_targets(target: object) -> None:
    with pytest.raises(ProtocolError):
        protocol.port_from_json({"protocol": "tcp", "ip": "::", "port": 1, "target": target})
