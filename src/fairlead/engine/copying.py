"""Files in and out of containers: archive, export. A running container is seen through its own mounts."""

from __future__ import annotations

import asyncio
import contextlib
import os
import posixpath
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fairlead.engine import mountspecs
from fairlead.engine.threads import in_own_thread
from fairlead.errors import EngineError, InvalidArgument
from fairlead.images import archive
from fairlead.kernel import mounts
from fairlead.model.container import Container, MountPoint
from fairlead.model.views import PathStat

if TYPE_CHECKING:
    from fairlead.engine.core import Engine

_BLOCK = 1 << 20


@contextlib.contextmanager
def root_of(engine: Engine, container: Container) -> Iterator[str]:
    """A directory that is the container's root for as long as the block runs; call it in a thread of its own.

    For a running container that is its first process's root, volumes and all. For a stopped one the layers are mounted
    in a mount namespace that only this thread sees.
    """
    if container.state.status in ("running", "paused"):
        yield f"/proc/{container.state.pid}/root"
        return
    place = tempfile.mkdtemp(prefix="root-", dir=engine.settings.exec_root)
    try:
        mounts.unshare_mounts()
        engine.launching.mount_root(container, place)
        for point in container.mounts:
            if point.type in ("bind", "volume"):
                _bind(point, place)
        yield place
    finally:
        with contextlib.suppress(EngineError):
            mounts.unmount(place)
        with contextlib.suppress(OSError):
            os.rmdir(place)


def _bind(point: MountPoint, root: str) -> None:
    """As it will be when the container runs, the place for it made if need be."""
    source = point.source
    if part := mountspecs.subpath(point):
        source = archive.resolve(point.source, part)
    with contextlib.suppress(OSError):  # what cannot be mounted, or not there, a start will tell
        if source and os.path.exists(source):
            mounts.bind(source, _mountpoint(root, point.target, directory=os.path.isdir(source)))


def _mountpoint(root: str, target: str, *, directory: bool) -> str:
    """Where ``target`` really is, links followed inside the root; raises OSError where nothing can be made."""
    names = target.strip("/").split("/")
    found = root
    for number, name in enumerate(names, 1):
        there = archive.resolve(root, "/".join(names[:number]))
        if not there:
            there = os.path.join(found, name)
            if directory or number < len(names):
                os.mkdir(there, 0o755)
            else:
                os.close(os.open(there, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644))
        found = there
    return found


async def stat(engine: Engine, container: Container, path: str, ref: str) -> PathStat:
    """``ref`` is how the user called the container, for the sentence that says what was not found."""

    def look() -> PathStat:
        with root_of(engine, container) as root:
            return archive.stat_path(root, path, ref)

    return await in_own_thread(look)


async def get(engine: Engine, container: Container, path: str, ref: str) -> tuple[PathStat, AsyncIterator[bytes]]:
    """The path's facts and a tar of it."""
    found = await stat(engine, container, path, ref)

    def write(fd: int) -> None:
        with root_of(engine, container) as root:
            archive.get_archive(root, path, fd, container.name)

    return found, _piped(write)


async def export(engine: Engine, container: Container) -> AsyncIterator[bytes]:
    """The whole root file system as a tar, without what is mounted into it."""

    def write(fd: int) -> None:
        mounts.unshare_mounts()
        place = tempfile.mkdtemp(prefix="export-", dir=engine.settings.exec_root)
        try:
            engine.launching.mount_root(container, place, read_only=True)
            archive.export_tree(place, fd)
        finally:
            mounts.unmount(place)
            os.rmdir(place)

    async for block in _piped(write):
        yield block


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpacking:
    """How a tar is put into a container. ``ref`` is how the user called it."""

    path: str
    ref: str
    no_overwrite: bool = False
    copy_uid_gid: bool = False


async def put(engine: Engine, container: Container, stream: AsyncIterator[bytes], how: Unpacking) -> None:
    """Unpack a tar at a directory of the container; nothing outside its root can be reached."""
    _check_writable(container, how.path)
    with tempfile.TemporaryFile(dir=engine.settings.data_root) as spool:
        async for block in stream:
            spool.write(block)
        spool.seek(0)
        owner = _owner(engine, container) if how.copy_uid_gid else None

        def unpack() -> None:
            with root_of(engine, container) as root:
                archive.put_archive(
                    root,
                    how.path,
                    spool,
                    no_overwrite=how.no_overwrite,
                    copy_uid_gid=how.copy_uid_gid,
                    owner=owner,
                    container=how.ref,
                )

        try:
            await in_own_thread(unpack)
        except OSError as error:
            raise EngineError(f"cannot copy to {how.path} in {how.ref}: {(error.strerror or '').lower()}") from error


def _owner(engine: Engine, container: Container) -> tuple[int, int] | None:
    """Who gets what ``cp -a`` brings: a container's own user; without one the archive decides, as with dockerd."""
    if not container.config.user:
        return None
    identity = engine.launching.identity(container)
    return identity.uid, identity.gid


def _check_writable(container: Container, path: str) -> None:
    """Also what a stopped container would have mounted read-only; links inside are the kernel's to refuse."""
    clean = posixpath.normpath("/" + path.lstrip("/"))
    holding = [point for point in container.mounts if clean == point.target or clean.startswith(f"{point.target}/")]
    innermost = max(holding, key=lambda point: len(point.target), default=None)
    if innermost is not None and not innermost.rw:
        raise InvalidArgument("mounted volume is marked read-only")
    if innermost is None and container.host.readonly_rootfs:
        raise InvalidArgument("container rootfs is marked read-only")


async def _piped(write: Callable[[int], None]) -> AsyncIterator[bytes]:
    """What ``write(fd)`` writes in a thread of its own, in blocks; an error there is raised here."""
    loop = asyncio.get_running_loop()
    reading, writing = os.pipe2(os.O_CLOEXEC)
    os.set_blocking(reading, False)

    def run() -> None:
        try:
            write(writing)
        finally:
            os.close(writing)

    task = asyncio.ensure_future(in_own_thread(run))
    reader = asyncio.StreamReader(limit=_BLOCK)
    with os.fdopen(reading, "rb", buffering=0) as file:
        transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), file)
        try:
            while block := await reader.read(_BLOCK):
                yield block
            await task
        finally:
            transport.close()
            task.cancel()
