"""HTTP/1.1 on a connected socket: one request, one answer, read as it comes.

The standard library's client costs 20 ms of imports (the email package), which is as long as most of our commands
take, and hides the bytes that it read past the header, which a hijacked stream needs.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import NamedTuple, Self, TypeVar

from fairlead.client.errors import BrokenAnswer

_T = TypeVar("_T")

_CHUNK = 64 * 1024
_MAX_HEAD = 256 * 1024
_MAX_LINE = 64 * 1024


class Request(NamedTuple):
    """``body`` given as an iterable is sent chunk by chunk."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes | Iterable[bytes] = b""


class Reader:
    """Buffered reading from a socket; ``leftover`` is what was read too much."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._buffer = bytearray()

    def some(self, limit: int = _CHUNK) -> bytes:
        """What is there, at least one byte; empty at the end of the stream."""
        if self._buffer:
            data = bytes(self._buffer[:limit])
            del self._buffer[:limit]
            return data
        return self._connection.recv(limit)

    def exactly(self, count: int) -> bytes:
        """``count`` bytes; raises BrokenAnswer when the stream ends before."""
        while len(self._buffer) < count:
            self._fill()
        data = bytes(self._buffer[:count])
        del self._buffer[:count]
        return data

    def until(self, mark: bytes, limit: int) -> bytes:
        """Everything before ``mark``, which is consumed too."""
        start = 0
        while (end := self._buffer.find(mark, start)) < 0:
            if len(self._buffer) > limit:
                raise BrokenAnswer("the daemon's answer has no end of header")
            start = max(0, len(self._buffer) - len(mark) + 1)
            self._fill()
        data = bytes(self._buffer[:end])
        del self._buffer[: end + len(mark)]
        return data

    def leftover(self) -> bytes:
        """What was read from the socket and not yet asked for; it is handed out once."""
        data = bytes(self._buffer)
        self._buffer.clear()
        return data

    def _fill(self) -> None:
        data = self._connection.recv(_CHUNK)
        if not data:
            raise BrokenAnswer("the daemon closed the connection in the middle of its answer")
        self._buffer += data


class Response:
    """The answer's head; its body is read once, by one of the methods. Closing it closes the connection."""

    def __init__(self, connection: socket.socket, request: Request) -> None:
        """Reads the head; raises BrokenAnswer."""
        self._connection = connection
        self._reader = Reader(connection)
        self.status, self.reason, self.headers = _head(self._reader)
        self._has_body = request.method != "HEAD" and self.status not in {101, 204, 304} and self.status >= 200

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()

    def pieces(self) -> Iterator[bytes]:
        """The body as it arrives, transfer coding removed."""
        if not self._has_body:
            return iter(())
        if self.headers.get("transfer-encoding", "").lower() == "chunked":
            return _chunks(self._reader)
        if "content-length" in self.headers:
            return _sized(self._reader, _length(self.headers["content-length"]))
        return iter(self._reader.some, b"")

    def read(self) -> bytes:
        """The whole body."""
        return b"".join(self.pieces())

    def json(self) -> object:
        """The whole body, decoded; raises BrokenAnswer."""
        return decode(self.read())

    def lines(self) -> Iterator[bytes]:
        """The body cut at newlines, each line as soon as it is whole."""
        rest = b""
        for piece in self.pieces():
            *whole, rest = (rest + piece).split(b"\n")
            yield from (line for line in whole if line.strip())
        if rest.strip():
            yield rest

    def objects(self) -> Iterator[object]:
        """A stream of JSON values, one per line."""
        return (decode(line) for line in self.lines())

    def upgrade(self) -> Upgraded:
        """The raw stream behind a 101; the response must not be used any more."""
        return Upgraded(self._connection, self._reader.leftover())


class Upgraded:
    """A hijacked connection: bytes both ways, each direction closed on its own."""

    def __init__(self, connection: socket.socket, leftover: bytes) -> None:
        self._connection = connection
        self._leftover = leftover

    def fileno(self) -> int:
        return self._connection.fileno()

    def set_blocking(self, blocking: bool) -> None:
        self._connection.setblocking(blocking)

    def read_some(self, limit: int = _CHUNK) -> bytes | None:
        """What is there; empty at the end; None when nothing is there yet and blocking is off."""
        if self._leftover:
            data, self._leftover = self._leftover, b""
            return data
        try:
            return self._connection.recv(limit)
        except ConnectionResetError:
            return b""
        except OSError as wrong:
            return _unless_not_ready(wrong, None)

    def write_some(self, data: bytes) -> int:
        """How much of ``data`` was taken."""
        try:
            return self._connection.send(data)
        except OSError as wrong:
            return _unless_not_ready(wrong, 0)

    def close_writing(self) -> None:
        """The other side reads the end of the stream; what it sends is still received."""
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._connection.close()


def _unless_not_ready(wrong: OSError, otherwise: _T) -> _T:
    """``otherwise`` when a socket, plain or with TLS, only says "not now"."""
    if isinstance(wrong, BlockingIOError) or type(wrong).__name__ in {"SSLWantReadError", "SSLWantWriteError"}:
        return otherwise
    raise wrong


def decode(data: bytes) -> object:
    try:
        return json.loads(data) if data.strip() else None
    except ValueError as wrong:
        raise BrokenAnswer(f"the daemon's answer is not JSON: {wrong}") from wrong


def send(connection: socket.socket, request: Request) -> None:
    """Writes the request; that nobody reads it any more is left for the answer to explain."""
    with suppress(BrokenPipeError, ConnectionResetError):
        _send(connection, request)


def _send(connection: socket.socket, request: Request) -> None:
    body = request.body
    head = [f"{request.method} {request.target} HTTP/1.1"]
    head += [f"{name}: {value}" for name, value in request.headers.items()]
    if isinstance(body, bytes):
        head += [f"Content-Length: {len(body)}"] if body or request.method != "GET" else []
        connection.sendall("\r\n".join([*head, "", ""]).encode() + body)
        return
    connection.sendall("\r\n".join([*head, "Transfer-Encoding: chunked", "", ""]).encode())
    for piece in body:
        if piece:
            connection.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
    connection.sendall(b"0\r\n\r\n")


def _head(reader: Reader) -> tuple[int, str, dict[str, str]]:
    try:
        return _parse_head(reader.until(b"\r\n\r\n", _MAX_HEAD))
    except ConnectionResetError as wrong:
        raise BrokenAnswer("the daemon closed the connection without an answer") from wrong


def _parse_head(head: bytes) -> tuple[int, str, dict[str, str]]:
    first, *lines = head.decode("latin-1").split("\r\n")
    version, _, rest = first.partition(" ")
    code, _, reason = rest.partition(" ")
    if not version.startswith("HTTP/1.") or not code.isdecimal():
        raise BrokenAnswer(f"the daemon's answer is not HTTP: {first[:80]!r}")
    headers: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    return int(code), reason, headers


def _length(text: str) -> int:
    if not text.isdecimal():
        raise BrokenAnswer(f"the daemon's answer has no valid length: {text[:40]!r}")
    return int(text)


def _sized(reader: Reader, length: int) -> Iterator[bytes]:
    while length:
        piece = reader.some(min(length, _CHUNK))
        if not piece:
            raise BrokenAnswer("the daemon closed the connection in the middle of its answer")
        length -= len(piece)
        yield piece


def _chunks(reader: Reader) -> Iterator[bytes]:
    while True:
        text = reader.until(b"\r\n", _MAX_LINE).partition(b";")[0].strip()
        try:
            size = int(text, 16)
        except ValueError as wrong:
            raise BrokenAnswer(f"the daemon's answer has a malformed chunk: {text[:40]!r}") from wrong
        if size == 0:
            while reader.until(b"\r\n", _MAX_LINE):
                pass
            return
        yield from _sized(reader, size)
        reader.exactly(2)
