"""The resolver's parts that strangers' bytes reach: questions, and the control socket."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections.abc import Iterator

import dns.message
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fairlead.dns import protocol
from fairlead.dns.door import Operations
from fairlead.dns.loop import Loop
from fairlead.dns.ports import Ports
from fairlead.dns.protocol import Decoder, ProtocolError
from fairlead.dns.server import Server
from fairlead.dns.view import EndpointNames, View

RELAXED = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Answers:
    """Where one sandbox's questions go: straight into the reader of its socket, without a network."""

    def __init__(self, server: Server) -> None:
        self.udp, self.client = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        tcp = socket.create_server(("127.0.0.1", 0))
        server.add_sandbox(
            "box", self.udp, tcp, os.open("/dev/null", os.O_RDONLY), View(networks=("n",), forward=False)
        )
        self._sandbox = server._sandboxes["box"]
        self._server = server

    def to(self, packet: bytes, *, stream: bool) -> list[bytes]:
        found: list[bytes] = []
        self._server._ask(self._sandbox, packet, lambda answer, _peer: found.append(answer), ("", 0), stream=stream)
        return found


@pytest.fixture
def answers() -> Iterator[Answers]:
    server = Server(Loop())
    server.set_network("n", "net", [EndpointNames("e", "c", ("web",), ("10.0.0.2", "fd00::2"))])
    found = Answers(server)
    yield found
    server.drop_sandbox("box")
    found.client.close()


HEADER = struct.pack(">HHHHHH", 7, 0x0100, 1, 0, 0, 0)


@RELAXED
@given(st.binary(max_size=300) | st.binary(max_size=60).map(lambda tail: HEADER + tail), st.booleans())
@example(HEADER + b"\3web\0\0\1\0\1", False)
@example(HEADER + b"\0\0\1\0\1", False)
@example(HEADER + b"\3we\0\0\0\1\0\1", True)
@example(HEADER[:10] + b"\xff\xff\3web\0\0\1\0\1", True)
def test_any_question(answers: Answers, packet: bytes, stream: bool) -> None:
    """At most one answer, with the question's id and the answer bit, that any client can read."""
    found = answers.to(packet, stream=stream)
    assert len(found) <= 1
    for answer in found:
        assert answer[:2] == packet[:2]
        assert answer[2] & 0x80
        assert len(answer) <= max(512, len(packet))
        with contextlib.suppress(dns.exception.DNSException):
            dns.message.from_wire(packet, ignore_trailing=True)
            dns.message.from_wire(answer, ignore_trailing=True)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ("id", "view", "network", "name", "endpoints", "endpoint", "owner", "ports", "start")
NAMES = ("hello", "sandbox", "view", "drop_sandbox", "network", "drop_network", "endpoint", "drop_endpoint",
         "hold", "release", "dump", "adopt_sandbox", "adopt_ports", "stats", "retire", "nonsense")  # fmt: skip
OPERATIONS = st.builds(
    lambda op, fields: {"op": op, **fields},
    st.sampled_from(NAMES) | VALUES,
    st.dictionaries(st.sampled_from(FIELDS), VALUES | st.just({}) | st.just([{}]), max_size=5),
)


@RELAXED
@given(
    st.dictionaries(st.sampled_from(("id", "ops")), VALUES) | st.builds(lambda ops: {"ops": ops}, st.lists(OPERATIONS))
)
def test_any_operation(answers: Answers, frame: protocol.Json) -> None:
    """Answered, refused in words, and never a descriptor lost."""
    operations = Operations(answers._server, Ports(Loop()), lambda: None)
    before = len(os.listdir("/proc/self/fd"))
    fd = os.open("/dev/null", os.O_RDONLY)
    answer, _rights = operations.run(frame, [fd])
    assert ("error" in answer) != ("results" in answer)
    assert len(os.listdir("/proc/self/fd")) <= before


@given(st.lists(st.binary(max_size=50), max_size=5))
def test_decoder_takes_any_bytes(parts: list[bytes]) -> None:
    decoder = Decoder()
    with contextlib.suppress(ProtocolError):
        for part in parts:
            assert all(isinstance(frame, dict) for frame in decoder.feed(part))


@given(st.lists(st.dictionaries(st.text(max_size=9), VALUES, max_size=4), max_size=5), st.integers(1, 40))
def test_frames_survive_any_cut(frames: list[protocol.Json], size: int) -> None:
    stream = b"".join(protocol.encode(frame) for frame in frames)
    decoder = Decoder()
    parts = [stream[at : at + size] for at in range(0, len(stream), size)]
    assert [frame for part in parts for frame in decoder.feed(part)] == frames
