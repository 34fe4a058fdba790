"""A build's context: a directory as the tar that the engine takes, without what ``.dockerignore`` names."""

from __future__ import annotations

import io
import os
import posixpath
import tarfile
from collections.abc import Iterator
from typing import BinaryIO

from fairlead.cli.errors import CommandError
from fairlead.wire import ignore

_CHUNK = 1 << 18


def stream(directory: str, dockerfile: str, inline: bytes | None = None) -> Iterator[bytes]:
    """The tar, piece by piece. ``dockerfile`` is its path in the context; ``inline`` its content when it is elsewhere.

    Links are sent as links: what they lead to outside is none of the context's.
    """
    text = _ignore_file(directory, dockerfile)
    ignored, deep = ignore.parse(text), ignore.may_keep_below(text)
    out = _Pieces()
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        for path in _walk(directory, "", ignored, deep, {dockerfile, ".dockerignore"}):
            _add(archive, directory, path)
            yield from out.taken()
        if inline is not None:
            entry = tarfile.TarInfo(dockerfile)
            entry.size = len(inline)
            archive.addfile(entry, io.BytesIO(inline))
    yield from out.taken()


class _Pieces(io.RawIOBase):
    """What was written since the last look."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: object, /) -> int:
        piece = bytes(data)  # type: ignore[call-overload]  # tarfile writes bytes
        self._pieces.append(piece)
        return len(piece)

    def taken(self) -> Iterator[bytes]:
        pieces, self._pieces = self._pieces, []
        yield from (piece for piece in pieces if piece)


def _ignore_file(directory: str, dockerfile: str) -> str:
    for name in (f"{dockerfile}.dockerignore", ".dockerignore"):
        try:
            with open(os.path.join(directory, name), encoding="utf-8", errors="replace") as file:
                return file.read()
        except (FileNotFoundError, NotADirectoryError):
            continue
    return ""


def _walk(directory: str, below: str, ignored: ignore.Ignored, deep: bool, always: set[str]) -> Iterator[str]:
    with os.scandir(os.path.join(directory, below)) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            path = posixpath.join(below, entry.name)
            left_out = ignored(path) and path not in always
            if not left_out:
                yield path
            is_directory = entry.is_dir(follow_symlinks=False)
            if is_directory and (not left_out or deep or any(name.startswith(f"{path}/") for name in always)):
                yield from _walk(directory, path, ignored, deep, always)


def _add(archive: tarfile.TarFile, directory: str, path: str) -> None:
    place = os.path.join(directory, path)
    try:
        entry = archive.gettarinfo(place, path)
        if entry is None or not (entry.isreg() or entry.isdir() or entry.issym() or entry.islnk()):
            return
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = ""
        if entry.isreg():
            with open(place, "rb") as file:
                archive.addfile(entry, file)
        else:
            archive.addfile(entry)
    except OSError as wrong:
        raise CommandError(f"error checking context: can't stat '{place}': {(wrong.strerror or '').lower()}") from wrong


def copied(head: bytes, source: BinaryIO) -> Iterator[bytes]:
    """A context that is a tar already, its first bytes having been read."""
    yield head
    while block := source.read(_CHUNK):
        yield block
