"""HTTP answers, whole and broken, over a pair of sockets."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from fairlead.client.errors import BrokenAnswer
from fairlead.client.http import Request, Response, send

GET = Request("GET", "/x", {})


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def answer(pair: tuple[socket.socket, socket.socket], data: bytes, request: Request = GET) -> Response:
    ours, theirs = pair
    theirs.sendall(data)
    theirs.shutdown(socket.SHUT_WR)
    return Response(ours, request)


Pair = tuple[socket.socket, socket.socket]


def test_a_body_of_known_length(pair: Pair) -> None:
    response = answer(pair, b'HTTP/1.1 201 Created\r\nContent-Length: 7\r\nX-Y:  z \r\n\r\n{"a":1}rest')
    assert (response.status, response.reason, response.headers["x-y"]) == (201, "Created", "z")
    assert response.json() == {"a": 1}


def test_chunks_with_extensions_and_trailers(pair: Pair) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n"
    response = answer(pair, head + b"3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nT: x\r\n\r\n")
    assert list(response.pieces()) == [b"abc", b"0123456789"]


def test_a_body_until_the_end(pair: Pair) -> None:
    assert answer(pair, b"HTTP/1.0 200 OK\r\n\r\nall of it").read() == b"all of it"


def test_answers_without_a_body(pair: Pair) -> None:
    response = answer(pair, b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n", Request("HEAD", "/", {}))
    assert response.read() == b""


def test_values_line_by_line_in_any_pieces(pair: Pair) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    response = answer(pair, head + b'8\r\n{"a":1}\n\r\n4\r\n{"b"\r\n7\r\n:2}\r\n\n\n\r\n3\r\n{} \r\n0\r\n\r\n')
    assert list(response.objects()) == [{"a": 1}, {"b": 2}, {}]


def test_the_stream_behind_an_upgrade_loses_nothing(pair: Pair) -> None:
    ours, theirs = pair
    theirs.sendall(b"HTTP/1.1 101 UPGRADED\r\nUpgrade: tcp\r\n\r\nalready ")
    upgraded = Response(ours, GET).upgrade()
    theirs.sendall(b"there")
    assert upgraded.read_some() == b"already "
    assert upgraded.read_some() == b"there"
    upgraded.set_blocking(False)
    assert upgraded.read_some() is None
    assert upgraded.write_some(b"back") == 4
    upgraded.close_writing()
    assert (theirs.recv(10), theirs.recv(10)) == (b"back", b"")
    theirs.sendall(b"still heard")
    assert upgraded.read_some() == b"still heard"
    theirs.close()
    assert upgraded.read_some() == b""
    upgraded.close()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"HTTP/1.1 200 OK\r\n" + b"x" * 400_000,
    ],
)
def test_broken_answers_are_said_to_be(pair: Pair, data: bytes) -> None:
    with pytest.raises(BrokenAnswer):
        answer_slowly(pair, data).read()


def answer_slowly(pair: Pair, data: bytes) -> Response:
    """Sends what fits while the reader reads."""
    import threading

    ours, theirs = pair

    def write() -> None:
        try:
            theirs.sendall(data)
            theirs.shutdown(socket.SHUT_WR)
        except OSError:
            return

    thread = threading.Thread(target=write)
    thread.start()
    try:
        return Response(ours, GET)
    finally:
        ours.shutdown(socket.SHUT_RDWR) if len(data) > 100_000 else None
        thread.join()


def test_what_is_sent(pair: Pair) -> None:
    ours, theirs = pair
    send(ours, Request("POST", "/a?b=c", {"Host": "h"}, b"body"))
    assert theirs.recv(1000) == b"POST /a?b=c HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody"
    send(ours, Request("PUT", "/t", {}, iter([b"ab", b"", b"c" * 17])))
    expected = b"PUT /t HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n11\r\n" + b"c" * 17 + b"\r\n0\r\n\r\n"
    assert theirs.recv(1000) == expected


def test_an_answer_during_the_upload_is_read(pair: Pair) -> None:
    ours, theirs = pair
    theirs.sendall(b"HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n")
    theirs.shutdown(socket.SHUT_RD)
    send(ours, Request("PUT", "/t", {}, (b"x" * 65536 for _ in range(100))))
    assert Response(ours, GET).status == 400
