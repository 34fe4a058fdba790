"""Whatever bytes come, readers answer with their own error or with what the standard library reads too."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import json
import lzma
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.errors import EngineError, InvalidArgument
from fairlead.images import document, manifest, reference
from fairlead.images.compression import plain
from fairlead.images.instructions import apply
from fairlead.images.tarread import Kind, TarError, TarReader
from fairlead.model.container import Config

_NAME = st.text(st.characters(exclude_characters="\0/", exclude_categories=("Cs",)), min_size=1, max_size=120)
_PATH = st.lists(_NAME, min_size=1, max_size=3).map("/".join)
_FORMAT = st.sampled_from((tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT))
_KINDS = {
    Kind.FILE: tarfile.REGTYPE,
    Kind.DIRECTORY: tarfile.DIRTYPE,
    Kind.SYMLINK: tarfile.SYMTYPE,
    Kind.HARDLINK: tarfile.LNKTYPE,
    Kind.FIFO: tarfile.FIFOTYPE,
    Kind.CHAR: tarfile.CHRTYPE,
}


@st.composite
def _member(draw: st.DrawFn) -> tuple[tarfile.TarInfo, bytes]:
    entry = tarfile.TarInfo(draw(_PATH))
    entry.type = draw(st.sampled_from(sorted(_KINDS.values())))
    entry.mode = draw(st.integers(0, 0o7777))
    entry.uid, entry.gid = draw(st.integers(0, 2**31)), draw(st.integers(0, 2**31))
    entry.mtime = draw(st.integers(0, 2**33))
    if entry.type in (tarfile.SYMTYPE, tarfile.LNKTYPE):
        entry.linkname = draw(_PATH)
    content = draw(st.binary(max_size=1500)) if entry.type == tarfile.REGTYPE else b""
    entry.size = len(content)
    return entry, content


def _archive(members: list[tuple[tarfile.TarInfo, bytes]], form: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as tar:
        for entry, content in members:
            try:
                tar.addfile(entry, io.BytesIO(content))
            except ValueError:  # ustar cannot say everything
                continue
    return buffer.getvalue()


class Dribble:
    """A stream that gives what it likes, as sockets do."""

    def __init__(self, data: bytes, sizes: list[int]) -> None:
        self._file, self._sizes = io.BytesIO(data), sizes

    def read(self, size: int, /) -> bytes:
        some = self._sizes.pop() if self._sizes else size
        return self._file.read(min(size, some))


@settings(max_examples=60)
@given(st.lists(_member(), max_size=5), _FORMAT, st.lists(st.integers(1, 700), max_size=20))
def test_reads_what_the_standard_library_writes(
    members: list[tuple[tarfile.TarInfo, bytes]], form: int, sizes: list[int]
) -> None:
    data = _archive(members, form)
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        expected = [
            (entry.name, entry.type, entry.mode, entry.uid, entry.gid, int(entry.mtime), entry.linkname, entry.size)
            for entry in tar
        ]
    reader = TarReader(Dribble(data, sizes))
    found = []
    for entry in reader:
        name = entry.name.decode().rstrip("/")
        found.append(
            (
                name,
                _KINDS[entry.kind],
                entry.mode,
                entry.uid,
                entry.gid,
                entry.mtime_ns // 10**9,
                entry.link.decode(),
                len(b"".join(iter(reader.read, b""))),
            )
        )
    assert [(name.rstrip("/"), *rest) for name, *rest in expected] == found


@settings(max_examples=150)
@given(st.lists(_member(), min_size=1, max_size=3), _FORMAT, st.data())
def test_damaged_archives_are_only_tar_errors(
    members: list[tuple[tarfile.TarInfo, bytes]], form: int, data: st.DataObject
) -> None:
    broken = bytearray(_archive(members, form))
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(0, min(len(broken), 2048) - 1))
        broken[position] = data.draw(st.integers(0, 255))
        if data.draw(st.booleans()):
            _repair_checksum(broken, position // 512 * 512)
    with contextlib.suppress(TarError):
        reader = TarReader(io.BytesIO(bytes(broken)))
        for _ in reader:
            while reader.read():
                pass


def _repair_checksum(data: bytearray, start: int) -> None:
    """So that the change gets past the first look."""
    header = data[start : start + 512]
    header[148:156] = b" " * 8
    data[start + 148 : start + 156] = f"{sum(header):06o}\0 ".encode()


@given(st.binary(max_size=2000))
def test_any_bytes_are_only_tar_errors(data: bytes) -> None:
    with contextlib.suppress(TarError):
        list(TarReader(io.BytesIO(data)))


@given(st.binary(max_size=5000), st.sampled_from((gzip.compress, bz2.compress, lzma.compress)), st.integers(1, 4))
def test_compressed_members_one_after_another(data: bytes, compress: object, times: int) -> None:
    packed = compress(data) * times  # type: ignore[operator]
    with plain(io.BytesIO(packed)) as stream:
        assert b"".join(iter(lambda: stream.read(777), b"")) == data * times


@given(st.binary(max_size=300), st.sampled_from((b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0")))
def test_damaged_compression_is_an_invalid_argument(data: bytes, magic: bytes) -> None:
    with contextlib.suppress(InvalidArgument), plain(io.BytesIO(magic + data)) as stream:
        while stream.read(1000):
            pass


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ("config", "rootfs", "diff_ids", "history", "os", "Env", "Cmd", "layers", "manifests", "digest")
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(_JSON)
def test_any_json_is_a_config_or_an_invalid_argument(value: object) -> None:
    with contextlib.suppress(InvalidArgument):
        document.parse(json.dumps(value).encode())


@given(_JSON)
def test_any_json_is_a_manifest_or_an_invalid_argument(value: object) -> None:
    with contextlib.suppress(InvalidArgument):
        manifest.parse_manifest(value)


@pytest.mark.parametrize("text", ["[" * 100_000, "{" * 100_000, '{"a":' * 100_000])
def test_deep_nesting_is_an_invalid_argument(text: str) -> None:
    with pytest.raises(InvalidArgument):
        document.parse(text.encode())


@given(st.text(max_size=60))
def test_any_text_is_a_reference_or_an_invalid_argument(text: str) -> None:
    try:
        parsed = reference.parse(text)
    except InvalidArgument:
        return
    assert reference.parse(parsed.full) == parsed
    assert reference.parse(parsed.familiar) == parsed


@given(
    st.sampled_from(("ENV", "CMD", "EXPOSE", "LABEL", "HEALTHCHECK", "VOLUME", "ONBUILD", "x")), st.text(max_size=40)
)
def test_any_instruction_is_applied_or_refused(word: str, rest: str) -> None:
    with contextlib.suppress(EngineError):
        apply(Config(), [f"{word} {rest}"])
