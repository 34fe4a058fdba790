"""Streams that may be compressed: recognised by their first bytes, read as what they hold."""

from __future__ import annotations

import bz2
import lzma
import shutil
import subprocess
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from fairlead.errors import InvalidArgument, Unsupported
from fairlead.images.tarread import Readable

_CHUNK = 1 << 18
_MAGIC = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\0": "xz", b"\x28\xb5\x2f\xfd": "zstd"}


class _Decoder(Protocol):
    """What the bz2 and lzma decompressors offer."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class _Gzip:
    """zlib in the same form."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(31)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        plain = self._zlib.decompress(self._zlib.unconsumed_tail + data, max_length)
        self.needs_input = len(plain) < max_length and not self._zlib.unconsumed_tail
        return plain


_DECODERS: dict[str, Callable[[], _Decoder]] = {
    "gzip": _Gzip,
    "bzip2": bz2.BZ2Decompressor,
    "xz": lzma.LZMADecompressor,
}


def kind_of(start: bytes) -> str:
    """gzip, bzip2, xz, zstd, or "" for anything else."""
    return next((kind for magic, kind in _MAGIC.items() if start.startswith(magic)), "")


@contextmanager
def plain(stream: Readable) -> Iterator[Readable]:
    """The stream's content, uncompressed; raises InvalidArgument while reading when it is damaged."""
    peeked = Peeked(stream)
    kind = kind_of(peeked.start)
    if kind == "zstd":
        with _zstd(peeked) as decoded:
            yield decoded
    elif kind:
        yield _Decompressed(peeked, kind)
    else:
        yield peeked


class Peeked:
    """A stream whose first bytes have been looked at."""

    def __init__(self, stream: Readable, length: int = 512) -> None:
        self._stream = stream
        start = b""
        while len(start) < length and (data := stream.read(length - len(start))):
            start += data
        self.start = self._held = start

    def read(self, size: int, /) -> bytes:
        if not self._held:
            return self._stream.read(size)
        data, self._held = self._held[:size], self._held[size:]
        return data


class _Decompressed:
    """One or more compressed members, one after another, as gzip and xz define it."""

    def __init__(self, stream: Readable, kind: str) -> None:
        self._stream, self._kind = stream, kind
        self._decoder = _DECODERS[kind]()
        self._ready = b""
        self._position = 0

    def read(self, size: int, /) -> bytes:
        while self._position >= len(self._ready):
            if not self._fill():
                return b""
        data = self._ready[self._position : self._position + size]
        self._position += len(data)
        return data

    def _fill(self) -> bool:
        """Decode some more, never more than a chunk at once: a few bytes may stand for gigabytes."""
        compressed = b""
        if self._decoder.eof or self._decoder.needs_input:
            compressed = self._next_input()
            if not compressed and self._ended():
                return False
        try:
            self._ready, self._position = self._decoder.decompress(compressed, _CHUNK), 0
        except (zlib.error, OSError, lzma.LZMAError, EOFError) as error:
            raise InvalidArgument(f"invalid {self._kind} data: {error}") from error
        return True

    def _ended(self) -> bool:
        if not self._decoder.eof:
            raise InvalidArgument(f"unexpected EOF in {self._kind} data")
        return True

    def _next_input(self) -> bytes:
        if not self._decoder.eof:
            return self._stream.read(_CHUNK)
        rest = self._decoder.unused_data or self._stream.read(_CHUNK)
        if kind_of(rest) == self._kind:
            self._decoder = _DECODERS[self._kind]()
            return rest
        while self._stream.read(_CHUNK):
            pass  # padding behind the last member
        return b""


@contextmanager
def _zstd(stream: Readable) -> Iterator[Readable]:
    """Through zstd(1): the standard library learns it only in 3.14."""
    program = shutil.which("zstd")
    if program is None:
        raise Unsupported("zstd-compressed layers need the zstd program: apt-get install zstd")
    with subprocess.Popen(
        [program, "-d", "-c", "-q"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        feeder = threading.Thread(target=_feed, args=(stream, process), name="zstd-input", daemon=True)
        feeder.start()
        try:
            yield _Piped(process)
        finally:
            process.kill()
            feeder.join()


def _feed(stream: Readable, process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    try:
        with process.stdin as pipe:
            while data := stream.read(_CHUNK):
                pipe.write(data)
    except OSError:
        return  # it has ended: its exit code says why


class _Piped:
    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def read(self, size: int, /) -> bytes:
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        data = self._process.stdout.read(size)
        if not data and self._process.wait() != 0:
            raise InvalidArgument(f"invalid zstd data: {self._process.stderr.read().decode(errors='replace').strip()}")
        return data
