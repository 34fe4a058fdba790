"""Local files to a tar stream and back, for ``cp``."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from io import BytesIO
from typing import NamedTuple

_CHUNK = 256 * 1024
_ENCODING, _ERRORS = "utf-8", "surrogateescape"


class CopyError(Exception):
    """A sentence that says why the copy cannot be."""


def pack(path: str, name: str) -> Iterator[bytes]:
    """A tar stream of ``path``, whose top is called ``name`` in it; ``.`` for what is in a directory."""
    # It only describes members (and knows which are hard links): the stream is written here, so that a large file
    # never stands in memory.
    describing = tarfile.TarFile(fileobj=BytesIO(), mode="w", format=tarfile.PAX_FORMAT)
    for full, inner in _walk(path, name):
        member = describing.gettarinfo(full, inner)
        # A socket has no meaning elsewhere.
        if member is not None:
            yield member.tobuf(tarfile.PAX_FORMAT, _ENCODING, _ERRORS)
            if member.isreg():
                yield from _content(full, member.size)
    yield bytes(2 * tarfile.BLOCKSIZE)


def _content(path: str, size: int) -> Iterator[bytes]:
    """Exactly ``size`` bytes, whatever happens to the file meanwhile, and zeros up to the block's end."""
    left = size
    with open(path, "rb") as file:
        while left and (piece := file.read(min(left, _CHUNK))):
            left -= len(piece)
            yield piece
    while left:
        piece = bytes(min(left, _CHUNK))
        left -= len(piece)
        yield piece
    yield bytes(-size % tarfile.BLOCKSIZE)


def _walk(path: str, name: str) -> Iterator[tuple[str, str]]:
    yield path, name
    if os.path.islink(path) or not os.path.isdir(path):
        return
    with os.scandir(path) as entries:
        found = sorted(entry.name for entry in entries)
    for entry in found:
        yield from _walk(os.path.join(path, entry), entry if name == "." else f"{name}/{entry}")


class Target(NamedTuple):
    """Where an archive goes: ``rename`` is put in the place of its top's name, empty for the folder itself."""

    folder: str
    rename: str


def choose_target(target: str, top: str, *, is_directory: bool, contents_only: bool) -> Target:
    """Docker's rules of ``cp``: into a directory that is there, or as the name given; raises CopyError."""
    if os.path.isdir(target):
        return Target(target, "" if contents_only else top)
    if os.path.lexists(target):
        if is_directory:
            raise CopyError("cannot copy directory")
        if target.endswith("/"):
            raise CopyError("not a directory")
    elif target.endswith("/") and not is_directory:
        raise CopyError("no such directory")
    folder = os.path.dirname(target.rstrip("/")) or "."
    if not os.path.isdir(folder):
        raise CopyError(f'invalid output path: directory "{folder}" does not exist')
    return Target(folder, os.path.basename(target.rstrip("/")))


def extract(archive: tarfile.TarFile, target: Target, *, keep_owner: bool) -> int:
    """Unpacks a stream and returns the bytes of its files. Nothing is written outside the target's folder."""
    root = os.path.realpath(target.folder)
    directories: list[tuple[str, tarfile.TarInfo]] = []
    size = 0
    for member in archive:
        _rename(member, target)
        if not keep_owner:
            member.uid, member.gid, member.uname, member.gname = os.getuid(), os.getgid(), "", ""
        path = _confined(root, member.name)
        if member.isdir():
            os.makedirs(path, exist_ok=True)
            directories.append((path, member))
            continue
        _clear_way(path)
        if member.islnk():
            _confined(root, member.linkname)
        archive.extract(member, root, numeric_owner=True, filter="fully_trusted")
        size += member.size
    # Last, because filling a directory changes its time and a read-only one cannot be filled.
    for path, member in reversed(directories):
        _set_attributes(path, member)
    return size


def _rename(member: tarfile.TarInfo, target: Target) -> None:
    member.name = _renamed(member.name, target)
    if member.islnk():
        member.linkname = _renamed(member.linkname, target)


def _renamed(name: str, target: Target) -> str:
    if ".." in name.split("/"):
        raise CopyError(f"the archive wants to write outside of {target.folder}: {name}")
    _top, _slash, rest = os.path.normpath(name).lstrip("/").partition("/")
    return os.path.join(target.rename, rest) or "."


def _confined(root: str, name: str) -> str:
    """The place of a member; links that earlier members left must not lead out of the root."""
    path = os.path.normpath(os.path.join(root, name))
    folder = os.path.realpath(os.path.dirname(path)) if path != root else root
    if os.path.commonpath((root, folder)) != root or (path != root and os.path.commonpath((root, path)) != root):
        raise CopyError(f"the archive wants to write outside of {root}: {name}")
    return path


def _clear_way(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        raise CopyError(f'cannot overwrite directory "{path}" with non-directory')
    # A link there would be written through.
    if os.path.lexists(path):
        os.unlink(path)


def _set_attributes(path: str, member: tarfile.TarInfo) -> None:
    if os.geteuid() == 0:
        os.chown(path, member.uid, member.gid)
    os.chmod(path, member.mode)
    os.utime(path, (member.mtime, member.mtime))
