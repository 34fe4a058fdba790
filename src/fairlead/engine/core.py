"""The engine: what it holds, and its verbs by noun.

``Engine`` is built once by ``daemon`` from the parts handed to it. Each noun's verbs live in a module of their own and
reach the others through this object.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections import defaultdict
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from fairlead.dns.control import Resolver
from fairlead.engine.building.builder import Builds
from fairlead.engine.containers import Containers
from fairlead.engine.edits import Edits
from fairlead.engine.events import Events
from fairlead.engine.execs import Execs
from fairlead.engine.foreign import Foreign
from fairlead.engine.images import Images
from fairlead.engine.index import Index
from fairlead.engine.launching import Launching
from fairlead.engine.lifecycle import Lifecycle
from fairlead.engine.networks import Networks
from fairlead.engine.outside import Parties
from fairlead.engine.outside.debts import Debts
from fairlead.engine.policies import Policies
from fairlead.engine.publishing import Publishing
from fairlead.engine.reconcile import Reconciler
from fairlead.engine.sandboxes import Sandboxes
from fairlead.engine.sharing import Sharing
from fairlead.engine.system import System
from fairlead.engine.volumes import Volumes
from fairlead.images.store import ImageStore
from fairlead.kernel.apply import Kernel
from fairlead.kernel.cgroups import Cgroups
from fairlead.kernel.launchpad import Launchpad
from fairlead.plugins.registry import Plugins
from fairlead.settings import Settings
from fairlead.store import Store

log = logging.getLogger(__name__)
T = TypeVar("T")


class Engine:
    """Everything a verb may use. ``spawn`` starts a task that ends with the engine."""

    def __init__(
        self,
        settings: Settings,
        *,
        store: Store,
        kernel: Kernel,
        launchpad: Launchpad,
        resolver: Resolver,
        image_store: ImageStore,
        tasks: asyncio.TaskGroup,
    ) -> None:
        self.settings, self.store, self.kernel, self.launchpad = settings, store, kernel, launchpad
        self.resolver, self.image_store = resolver, image_store
        self._tasks = tasks
        self._running: set[asyncio.Task[None]] = set()
        self.closing = False
        self.locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self.cgroups = Cgroups()
        self.events = Events()
        self.index = Index(store)
        self.reconciler = Reconciler(self)
        self.plugins = Plugins(settings.plugin_dirs, settings.plugin_timeout)
        self.debts = Debts(self)
        self.outside = Parties(self)
        self.foreign = Foreign(self)
        self.networks = Networks(self)
        self.policies = Policies(self)
        self.edits = Edits(self)
        self.volumes = Volumes(self)
        self.images = Images(self)
        self.builds = Builds(self)
        self.sandboxes = Sandboxes(self)
        self.sharing = Sharing(self)
        self.launching = Launching(self)
        self.lifecycle = Lifecycle(self)
        self.execs = Execs(self)
        self.containers = Containers(self)
        self.publishing = Publishing(self)
        self.system = System(self)

    def spawn(self, coroutine: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run beside everything else. A failure is logged, not let loose: one container's must not end the others."""
        task = self._tasks.create_task(_supervised(coroutine, name), name=name)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    def stop_tasks(self) -> None:
        """The engine ends: what runs beside ends with it."""
        for task in tuple(self._running):
            task.cancel()

    @staticmethod
    async def in_thread(call: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """For what may block more than a few milliseconds."""
        return await asyncio.get_running_loop().run_in_executor(None, functools.partial(call, *args, **kwargs))


async def _supervised(coroutine: Coroutine[Any, Any, None], name: str) -> None:
    try:
        await coroutine
    except Exception:
        log.exception("task %s failed", name)
