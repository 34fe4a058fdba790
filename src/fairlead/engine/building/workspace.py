"""A layer in the making that no process runs in: an image's root to write into, then the difference as a layer."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, BinaryIO, TypeVar

from fairlead import ids
from fairlead.engine.threads import in_own_thread
from fairlead.errors import EngineError
from fairlead.images import layerdiff
from fairlead.images.rootfs import Overlay, RootFs
from fairlead.kernel import mounts
from fairlead.model.image import Image
from fairlead.runtime.users import Identity, read_accounts, resolve

if TYPE_CHECKING:
    from fairlead.engine.core import Engine

T = TypeVar("T")


class Workspace:
    """Its directory is that of a container without a record: what a daemon leaves of it, the next one sweeps."""

    def __init__(self, engine: Engine, image: Image) -> None:
        self._engine = engine
        self._files = RootFs(engine.settings.data_root, ids.new_id())
        self._files.prepare(image)

    @property
    def overlay(self) -> Overlay:
        return self._files.overlay()

    def remove(self) -> None:
        self._files.remove()
        with contextlib.suppress(OSError):
            os.rmdir(os.path.dirname(os.path.dirname(self._files.upper)))

    async def write(self, work: Callable[[str], T]) -> T:
        """``work`` on the root, mounted for it alone, in a thread."""

        def run() -> T:
            with self._mounted() as root:
                return work(root)

        return await in_own_thread(run)

    async def write_from(self, other: Workspace, work: Callable[[str, str], T]) -> T:
        """``work`` on the other's root and on this one."""

        def run() -> T:
            with other._mounted() as source, self._mounted() as root:
                return work(source, root)

        return await in_own_thread(run)

    @contextlib.contextmanager
    def _mounted(self) -> Iterator[str]:
        place = tempfile.mkdtemp(prefix="build-", dir=self._engine.settings.exec_root)
        overlay = self.overlay
        try:
            mounts.unshare_mounts()
            mounts.mount_overlay(place, lowers=overlay.lowers, upper=overlay.upper, work=overlay.work)
            yield place
        finally:
            with contextlib.suppress(EngineError):
                mounts.unmount(place)
            with contextlib.suppress(OSError):
                os.rmdir(place)

    def identity(self, user: str) -> Identity:
        """Who that is in the image; raises EngineError for names that are not in it."""
        overlay = self.overlay
        return resolve(user, (), read_accounts([overlay.upper, *overlay.lowers]))

    def write_layer(self, out: BinaryIO) -> None:
        overlay = self.overlay
        layerdiff.write(overlay.upper, overlay.lowers, out)


@contextlib.asynccontextmanager
async def workspace(engine: Engine, image: Image) -> AsyncIterator[Workspace]:
    made = Workspace(engine, image)
    try:
        yield made
    finally:
        await engine.in_thread(made.remove)
