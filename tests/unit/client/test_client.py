"""Calls against an engine on a socket."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fairlead.client import ApiError, Client, Unreachable
from fairlead.client.address import TcpAddress, UnixAddress
from harness.fakeengine import Call, FakeEngine, Reply, fake_engine


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[FakeEngine]:
    with fake_engine(tmp_path) as running:
        yield running


@pytest.fixture
def client(engine: FakeEngine) -> Client:
    return Client(UnixAddress(engine.path))


def test_a_call(engine: FakeEngine, client: Client) -> None:
    engine.on("POST", "/containers/a%20b/start", Reply({"ok": True}))
    query = {"t": 5, "flag": True, "off": False, "none": None, "names": ["a b", "c/d"], "text": "x&y=z"}
    assert client.post("/containers/a b/start", query, {"k": "v"}) == {"ok": True}
    (call,) = engine.calls
    assert call.query == {"t": "5", "flag": "1", "off": "0", "names": "c/d", "text": "x&y=z"}
    assert call.json() == {"k": "v"}
    assert call.headers["content-type"] == "application/json"


def test_an_empty_answer_is_none(engine: FakeEngine, client: Client) -> None:
    engine.on("DELETE", "/x", Reply(None, 204))
    assert client.delete("/x") is None


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (Reply({"message": "No such container: x"}, 404), "No such container: x"),
        (Reply(b"plain words\n", 500), "plain words"),
        (Reply(b"", 502), "502 Bad Gateway"),
        (Reply(b"[1]", 500), "[1]"),
    ],
)
def test_errors_carry_status_and_sentence(engine: FakeEngine, client: Client, reply: Reply, message: str) -> None:
    engine.on("GET", "/x", reply)
    with pytest.raises(ApiError) as raised:
        client.get("/x")
    assert (raised.value.status, raised.value.message) == (reply.status, message)
    assert str(raised.value) == f"Error response from daemon: {message}"


def test_an_older_engine_is_spoken_to_in_its_version(engine: FakeEngine, client: Client) -> None:
    def old(_call: Call) -> Reply:
        if len(engine.calls) == 1:
            return Reply({"message": "client version 1.51 is too new"}, 400, {"Api-Version": "1.40"})
        return Reply([])

    engine.on("GET", "/containers/json", old)
    assert client.get("/containers/json") == []
    assert client.version == "1.40"


def test_the_same_version_is_not_asked_twice(engine: FakeEngine, client: Client) -> None:
    engine.on("GET", "/x", Reply({"message": "bad"}, 400))
    with pytest.raises(ApiError):
        client.get("/x")
    assert len(engine.calls) == 1


def test_hijack(engine: FakeEngine, client: Client) -> None:
    engine.on("POST", "/attach", Reply(hijack=lambda connection: connection.sendall(connection.recv(10).upper())))
    stream = client.hijack("/attach")
    assert stream.write_some(b"hello") == 5
    assert stream.read_some() == b"HELLO"
    stream.close()


def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match=r"Cannot connect to the fairlead daemon at unix:///.*Is the fairlead daemon"):
        Client(UnixAddress(f"{tmp_path}/none.sock")).get("/x")
    with pytest.raises(Unreachable, match=r"tcp://\[::1\]:1\."):
        Client(TcpAddress("::1", 1)).get("/x")
