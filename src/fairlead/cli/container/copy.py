"""``fairlead cp``."""

from __future__ import annotations

import base64
import json
import os
import stat
import sys
import tarfile
from collections.abc import Iterator
from typing import IO, Any, NamedTuple, cast

from fairlead.cli.command import TWO, Command, Context
from fairlead.cli.container.archive import CopyError, choose_target, extract, pack
from fairlead.cli.errors import CommandError
from fairlead.cli.flags import Values, switch
from fairlead.cli.output import read_chunks, save
from fairlead.cli.units import human_size
from fairlead.client import ApiError

# Go's bits of a file's mode, as the stat header has them.
_GO_DIRECTORY, _GO_SYMLINK = 1 << 31, 1 << 27


class Place(NamedTuple):
    """One side of a copy; ``container`` is empty for this machine."""

    container: str
    path: str


class Remote(NamedTuple):
    """A path in a container, as its engine sees it."""

    name: str
    mode: int
    target: str

    @property
    def is_directory(self) -> bool:
        return bool(self.mode & _GO_DIRECTORY)

    @property
    def is_symlink(self) -> bool:
        return bool(self.mode & _GO_SYMLINK)


def parse_place(text: str) -> Place:
    """``container:path``, or a local path; a path that begins with / or . is local."""
    if text == "-" or text.startswith(("/", ".")):
        return Place("", text)
    container, colon, path = text.partition(":")
    return Place(container, path) if colon else Place("", text)


def _run(context: Context, values: Values, arguments: list[str]) -> None:
    if not arguments[0]:
        raise CommandError("source can not be empty")
    if not arguments[1]:
        raise CommandError("destination can not be empty")
    source, target = parse_place(arguments[0]), parse_place(arguments[1])
    if source.container and target.container:
        raise CommandError("copying between containers is not supported")
    if not source.container and not target.container:
        raise CommandError("must specify at least one container source")
    try:
        if source.container:
            _from_container(context, values, source, target.path)
        else:
            _to_container(context, values, source.path, target)
    except CopyError as wrong:
        raise CommandError(str(wrong)) from wrong


def _stat(context: Context, place: Place) -> Remote | None:
    try:
        with context.client.stream("HEAD", f"/containers/{place.container}/archive", {"path": place.path}) as response:
            return _decode(response.headers.get("x-docker-container-path-stat", ""))
    except ApiError as wrong:
        if wrong.status != 404:
            raise
        # HEAD has no body: ask for the container itself to know which of the two is missing.
        context.client.get(f"/containers/{place.container}/json")
        return None


def _decode(header: str) -> Remote:
    found: dict[str, Any] = json.loads(base64.b64decode(header))
    return Remote(str(found["name"]), int(found["mode"]), str(found.get("linkTarget") or ""))


def _from_container(context: Context, values: Values, source: Place, target: str) -> None:
    place = _followed(context, source) if values.switch("follow-link") else source
    with context.client.stream("GET", f"/containers/{place.container}/archive", {"path": place.path}) as response:
        if target == "-":
            save("", response.pieces(), command="copy", flag="redirect")
            return
        found = _decode(response.headers.get("x-docker-container-path-stat", ""))
        # What was asked for by a link's name keeps that name.
        top = os.path.basename(source.path.rstrip("/")) if place != source else found.name
        contents_only = os.path.basename(source.path) == "."
        chosen = choose_target(target, top, is_directory=found.is_directory, contents_only=contents_only)
        with tarfile.open(fileobj=cast("IO[bytes]", _Pieces(response.pieces())), mode="r|*") as archive:
            size = extract(archive, chosen, keep_owner=values.switch("archive"))
    _tell(context, values, size, target)


def _followed(context: Context, place: Place) -> Place:
    found = _stat(context, place)
    if found is None or not found.is_symlink:
        return place
    return place._replace(path=os.path.join(os.path.dirname(place.path.rstrip("/")), found.target))


def _to_container(context: Context, values: Values, source: str, target: Place) -> None:
    place = _destination(context, target)
    found = _stat(context, place)
    query = {"path": place.path, "noOverwriteDirNonDir": True, "copyUIDGID": values.switch("archive") or None}
    if source == "-":
        if found is None or not found.is_directory:
            raise CommandError(f'destination "{target.container}:{target.path}" must be a directory')
        _put(context, target.container, query, read_chunks("-"))
        return
    counter = _Counter()
    pieces = counter.count(_packed(values, source, place, found))
    query["path"] = _folder(source, place, found)
    _put(context, target.container, query, pieces)
    _tell(context, values, counter.total, f"{target.container}:{target.path}")


def _destination(context: Context, target: Place) -> Place:
    """A link as the target means what it points to."""
    path = target.path if target.path.startswith("/") else f"/{target.path}"
    place = target._replace(path=path)
    found = _stat(context, place)
    if found is not None and found.is_symlink:
        return place._replace(path=os.path.join(os.path.dirname(path.rstrip("/")) or "/", found.target))
    return place


def _folder(source: str, target: Place, found: Remote | None) -> str:
    """The directory in the container where the archive is unpacked."""
    if found is not None and found.is_directory:
        return target.path
    _refuse_impossible(source, target, found)
    return os.path.dirname(target.path.rstrip("/")) or "/"


def _refuse_impossible(source: str, target: Place, found: Remote | None) -> None:
    source_is_directory = os.path.isdir(source)
    if found is not None and source_is_directory:
        raise CommandError("cannot copy directory")
    if found is None and target.path.endswith("/") and not source_is_directory:
        raise CommandError("no such directory")


def _packed(values: Values, source: str, target: Place, found: Remote | None) -> Iterator[bytes]:
    path = os.path.realpath(source) if values.switch("follow-link") else source
    contents_only = source.endswith("/.")
    try:
        mode = os.stat(path).st_mode if contents_only else os.lstat(path).st_mode
    except OSError as wrong:
        raise CommandError(f"lstat {source}: {os.strerror(wrong.errno or 0).lower()}") from wrong
    if source.endswith("/") and not stat.S_ISDIR(mode):
        raise CommandError(f"lstat {source}: not a directory")
    if found is not None and found.is_directory:
        name = "." if contents_only else os.path.basename(source.rstrip("/")) or "."
    else:
        name = os.path.basename(target.path.rstrip("/"))
    return pack(path.removesuffix("/.") or "/", name)


def _put(context: Context, container: str, query: dict[str, Any], pieces: Iterator[bytes]) -> None:
    with context.client.stream("PUT", f"/containers/{container}/archive", query, pieces) as response:
        response.read()


def _tell(context: Context, values: Values, size: int, where: str) -> None:
    if not values.switch("quiet") and sys.stderr.isatty():
        context.warn(f"Successfully copied {human_size(size)} to {where}")


class _Counter:
    """How many bytes went by."""

    def __init__(self) -> None:
        self.total = 0

    def count(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            self.total += len(piece)
            yield piece


class _Pieces:
    """An iterator of bytes with the one method that tarfile reads by."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._buffer = bytearray()

    def read(self, size: int) -> bytes:
        while len(self._buffer) < size and (piece := next(self._pieces, b"")):
            self._buffer += piece
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data


CP = Command(
    "[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-\n        fairlead cp [OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH",
    _run,
    (
        switch("archive", "Archive mode (copy all uid/gid information)", "a"),
        switch("follow-link", "Always follow symbol link in SRC_PATH", "L"),
        switch("quiet", "Suppress progress output during copy", "q"),
    ),
    TWO,
    "Copy files/folders between a container and the local filesystem\n\n"
    "Use '-' as the source to read a tar archive from stdin\n"
    "and extract it to a directory destination in a container.\n"
    "Use '-' as the destination to stream a tar archive of a\n"
    "container source to stdout.",
    completes="containers,files",
)
