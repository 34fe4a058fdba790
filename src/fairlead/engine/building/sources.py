"""What COPY and ADD take: paths of a build's context or of an image, found, digested, and put into a root.

Whatever the context holds, links and races included, nothing outside it is read and nothing outside the root written.
Runs in threads; nothing here awaits.
"""

from __future__ import annotations

import fnmatch
import hashlib
import os
import posixpath
import stat
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from fairlead.errors import InvalidArgument, NotFound
from fairlead.images import archive
from fairlead.images.confine import Confined, by_fd
from fairlead.images.tarwrite import TarWriter, walk

_CHUNK = 1 << 20
_MAGIC = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where things go: ``path`` is absolute; ``owner`` and ``mode`` are what was asked with --chown and --chmod."""

    path: str
    is_directory: bool  # a slash behind it, or several sources
    owner: tuple[int, int] = (0, 0)
    mode: int | None = None
    unpack: bool = False  # ADD: archives are put in unpacked


def find(root: str, patterns: Sequence[str], ignored: Callable[[str], bool] = lambda _: False) -> list[bytes]:
    """Paths relative to ``root`` that the patterns name, in order; raises NotFound in Docker's words."""
    found: list[bytes] = []
    with Confined(root) as inside:
        for pattern in patterns:
            clean = posixpath.normpath("/" + pattern).lstrip("/")
            matches = [path for path in _matching(inside, clean) if not path or not ignored(os.fsdecode(path))]
            if not matches:
                raise NotFound(f"COPY failed: file not found in build context or excluded by .dockerignore: {pattern}")
            found += matches
    return found


def _matching(inside: Confined, pattern: str) -> list[bytes]:
    if not any(char in pattern for char in "*?["):
        path = os.fsencode(pattern)
        return [path] if _exists(inside, path) else []
    here = [b""]
    for part in pattern.split("/"):
        here = [posixpath.join(base, name) for base in here for name in _names(inside, base, part)]
    return here


def _exists(inside: Confined, path: bytes) -> bool:
    try:
        os.close(inside.open(path, os.O_PATH | os.O_NOFOLLOW))
    except OSError:
        return False
    return True


def _names(inside: Confined, directory: bytes, pattern: str) -> list[bytes]:
    try:
        fd = inside.directory(directory)
    except OSError:
        return []
    try:
        names = os.listdir(by_fd(fd))
    finally:
        os.close(fd)
    return sorted(os.fsencode(name) for name in names if fnmatch.fnmatchcase(name, pattern))


def digest(root: str, paths: Sequence[bytes], ignored: Callable[[str], bool]) -> str:
    """Of names, modes and contents; times and owners do not count."""
    total = hashlib.sha256()
    with Confined(root) as inside:
        for top in paths:
            for path, fd in _kept(inside, top, ignored):
                found = os.fstat(fd)
                total.update(b"%s\0%o\0" % (path[len(top) :] or posixpath.basename(path), found.st_mode))
                total.update(_content(fd, found))
    return total.hexdigest()


def _content(fd: int, found: os.stat_result) -> bytes:
    if stat.S_ISLNK(found.st_mode):
        return os.readlink(b"", dir_fd=fd)
    if not stat.S_ISREG(found.st_mode):
        return b""
    with open(by_fd(fd), "rb", buffering=0) as file:
        return hashlib.file_digest(file, "sha256").digest()


def _kept(inside: Confined, top: bytes, ignored: Callable[[str], bool]) -> Iterator[tuple[bytes, int]]:
    """What is at ``top`` and below that is a file, directory or link, and not left out."""
    for path, fd in walk(inside, top):
        kind = stat.S_IFMT(os.fstat(fd).st_mode)
        if kind in (stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK) and not (path and ignored(os.fsdecode(path))):
            yield path, fd


# -- putting --------------------------------------------------------------------------------------------------------


def put(source: str, paths: Sequence[bytes], root: str, target: Target, ignored: Callable[[str], bool]) -> None:
    """Copies ``paths`` of ``source`` into ``root``; raises InvalidArgument where a file stands in the way."""
    into_directory = target.is_directory or _is_directory(root, target.path)
    for path in paths:
        with Confined(source) as inside:
            fd = inside.open(path, os.O_PATH)
            try:
                kind = stat.S_IFMT(os.fstat(fd).st_mode)
            finally:
                os.close(fd)
            if kind == stat.S_IFDIR:
                _put_tree(inside, path, root, target, ignored)
            elif target.unpack and _is_archive(inside, path):
                _unpack(inside, path, root, target)
            else:
                _put_file(inside, path, root, target, into_directory=into_directory)


def _is_directory(root: str, path: str) -> bool:
    return bool(place := archive.resolve(root, path)) and os.path.isdir(place)


def _put_tree(inside: Confined, top: bytes, root: str, target: Target, ignored: Callable[[str], bool]) -> None:
    """What is in the directory, not the directory itself."""
    with tempfile.TemporaryFile() as spool:
        writer = TarWriter(spool, owner=target.owner, mode=target.mode)
        for path, fd in _kept(inside, top, ignored):
            below = path[len(top) :].lstrip(b"/")
            if below:
                writer.member(below, fd, os.fstat(fd))
        _place(writer, spool, root, target.path, target.owner)


def _put_file(inside: Confined, path: bytes, root: str, target: Target, *, into_directory: bool) -> None:
    directory, name = (target.path, posixpath.basename(path)) if into_directory else _split(target.path)
    fd = inside.open(path, os.O_PATH)
    try:
        with tempfile.TemporaryFile() as spool:
            writer = TarWriter(spool, owner=target.owner, mode=target.mode)
            writer.member(name, fd, os.fstat(fd))
            _place(writer, spool, root, directory, target.owner)
    finally:
        os.close(fd)


def put_content(name: str, content: bytes, root: str, target: Target) -> None:
    """A file that stands in the Dockerfile itself."""
    directory, final = (target.path, os.fsencode(name)) if target.is_directory else _split(target.path)
    with tempfile.TemporaryFile() as spool:
        writer = TarWriter(spool, owner=target.owner, mode=target.mode)
        writer.content(final, content)
        _place(writer, spool, root, directory, target.owner)


def _split(path: str) -> tuple[str, bytes]:
    directory, name = posixpath.split(path.rstrip("/"))
    return directory or "/", os.fsencode(name)


def _place(writer: TarWriter, spool: BinaryIO, root: str, directory: str, owner: tuple[int, int]) -> None:
    writer.finish()
    spool.seek(0)
    make_directories(root, directory, owner)
    archive.put_archive(root, directory, spool)


def make_directories(root: str, path: str, owner: tuple[int, int] = (0, 0)) -> None:
    """``path`` and what is missing above it, links inside the root being followed."""
    found = root
    parts = [part for part in path.split("/") if part]
    for number in range(1, len(parts) + 1):
        there = archive.resolve(root, "/".join(parts[:number]))
        if not there:
            there = os.path.join(found, parts[number - 1])
            os.mkdir(there, 0o755)
            os.chown(there, *owner)
        elif not os.path.isdir(there):
            raise InvalidArgument(f"cannot make directory {path}: /{'/'.join(parts[:number])} is no directory")
        found = there


def _is_archive(inside: Confined, path: bytes) -> bool:
    fd = inside.open(path, os.O_RDONLY)
    with open(fd, "rb") as file:
        head = file.read(512)
    return head.startswith(_MAGIC) or head[257:262] == b"ustar"


def _unpack(inside: Confined, path: bytes, root: str, target: Target) -> None:
    make_directories(root, target.path, target.owner)
    with open(inside.open(path, os.O_RDONLY), "rb") as file:
        archive.put_archive(root, target.path, file)
