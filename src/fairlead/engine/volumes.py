"""Volumes of the local driver: directories under the data root, mounted when their options ask for a device."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from fairlead import ids
from fairlead.errors import Conflict, EngineError, InvalidArgument, NotFound
from fairlead.kernel import mounts
from fairlead.model.requests import Filters, VolumeSpec
from fairlead.model.views import Pruned
from fairlead.model.volume import Volume

if TYPE_CHECKING:
    from fairlead.engine.core import Engine

_OPTIONS = frozenset({"type", "device", "o", "size"})
_LONGEST_NAME = 255  # it is a directory's name
_ANONYMOUS = "com.docker.volume.anonymous"


class Volumes:
    """Verbs on volumes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._root = os.path.join(engine.settings.data_root, "volumes")
        os.makedirs(self._root, mode=0o711, exist_ok=True)
        self._users: dict[str, set[str]] = {}  # mounted volumes with options: name -> containers

    async def create(self, spec: VolumeSpec, *, anonymous: bool = False) -> Volume:
        """The volume; an existing one of the same name and options is returned as it is, as in Docker."""
        name = _check_name(spec.name) if spec.name else ids.new_id()
        if spec.driver not in ("", "local"):
            raise NotFound(
                f'create {name}: error looking up volume plugin {spec.driver}: plugin "{spec.driver}" not found'
            )
        _check_options(spec)
        if (existing := self._engine.store.volumes.get(name)) is not None:
            if spec.options and dict(spec.options) != dict(existing.options):
                raise Conflict(f"create {name}: conflict: volume already exists with other options")
            return existing
        mountpoint = os.path.join(self._root, name, "_data")
        labels = dict(spec.labels)
        if anonymous or not spec.name:
            labels.setdefault(_ANONYMOUS, "")
        volume = Volume(
            name=name,
            mountpoint=mountpoint,
            created=time.time_ns(),
            options=dict(spec.options),
            labels=labels,
            anonymous=_ANONYMOUS in labels,
        )
        self._engine.store.volumes.save(volume)
        os.makedirs(mountpoint, exist_ok=True)
        os.chmod(os.path.dirname(mountpoint), 0o701)
        self._engine.events.publish("volume", "create", name, {"driver": "local"})
        return volume

    def find(self, name: str) -> Volume:
        if (volume := self._engine.store.volumes.get(name)) is None:
            raise NotFound(f"get {name}: no such volume")
        return volume

    def users(self, name: str) -> Sequence[str]:
        """Ids of containers, running or not, that refer to the volume."""
        return [
            c.id for c in self._engine.store.containers if any(m.name == name and m.type == "volume" for m in c.mounts)
        ]

    async def list(self, filters: Filters) -> Sequence[Volume]:
        filters.check(("dangling", "driver", "label", "name"))
        dangling = filters.flag("dangling", default=False) if "dangling" in filters else None
        found = [
            volume
            for volume in self._engine.store.volumes
            if filters.exact("driver", volume.driver)
            and filters.search("name", volume.name)
            and filters.labels("label", volume.labels)
        ]
        if dangling is None:
            return found
        return [volume for volume in found if dangling != bool(self.users(volume.name))]

    async def remove(self, name: str, force: bool = False) -> None:
        if (volume := self._engine.store.volumes.get(name)) is None:
            if force:
                return
            raise NotFound(f"get {name}: no such volume")
        if users := self.users(name):
            raise Conflict(f"remove {name}: volume is in use - [{', '.join(users)}]")
        self._engine.store.volumes.delete(name)
        await self._engine.in_thread(_discard, volume)
        self._engine.events.publish("volume", "destroy", name, {"driver": "local"})

    async def prune(self, filters: Filters) -> Pruned:
        """Anonymous volumes nobody refers to; with ``all=true`` named ones too (Docker ≥ 23)."""
        filters.check(("all", "label", "label!"))
        everything = filters.flag("all", default=False)
        names, space = [], 0
        for volume in self._engine.store.volumes:
            if not (everything or volume.anonymous) or self.users(volume.name):
                continue
            if not filters.labels("label", volume.labels) or (
                "label!" in filters and filters.labels("label!", volume.labels)
            ):
                continue
            space += await self._engine.in_thread(directory_size, volume.mountpoint)
            await self.remove(volume.name)
            names.append(volume.name)
        self._engine.events.publish("volume", "prune", "", {"reclaimed": str(space)})
        return Pruned(names=tuple(names), space=space)

    async def enter(self, name: str, container: str) -> str:
        """The volume's directory, mounted if its options say so; undone by ``leave``."""
        volume = self.find(name)
        os.makedirs(volume.mountpoint, exist_ok=True)
        if volume.options.get("type") or volume.options.get("device"):
            users = self._users.setdefault(name, set())
            if not users and not os.path.ismount(volume.mountpoint):
                await self._engine.in_thread(_mount, volume)
            users.add(container)
        return volume.mountpoint

    def leave(self, names: Iterable[str], container: str) -> None:
        for name in names:
            users = self._users.get(name)
            if users is None:
                continue
            users.discard(container)
            if not users:
                del self._users[name]
                mounts.unmount(os.path.join(self._root, name, "_data"))


def _check_name(name: str) -> str:
    ids.check_volume_name(name)
    if len(name) > _LONGEST_NAME:
        raise InvalidArgument(
            f"create {name[:32]}…: volume name is too long, names may have {_LONGEST_NAME} characters"
        )
    return name


def _check_options(spec: VolumeSpec) -> None:
    unknown = [key for key in spec.options if key not in _OPTIONS]
    if unknown:
        raise InvalidArgument(f'create {spec.name}: invalid option: "{unknown[0]}"')
    if "device" in spec.options and "type" not in spec.options and "o" not in spec.options:
        raise InvalidArgument(f"create {spec.name}: missing required option: type")


def _mount(volume: Volume) -> None:
    """By mount(8), which knows every file system's options and helpers."""
    options = volume.options
    words = ["mount", "-t", options.get("type") or "auto"]
    words += ["-o", options["o"]] if options.get("o") else []
    done = subprocess.run(
        [*words, options.get("device") or "none", volume.mountpoint], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise EngineError(f"error while mounting volume '{volume.mountpoint}': {done.stderr.strip()}")


def _discard(volume: Volume) -> None:
    if os.path.ismount(volume.mountpoint):
        mounts.unmount(volume.mountpoint)
    shutil.rmtree(os.path.dirname(volume.mountpoint), ignore_errors=True)


def directory_size(path: str) -> int:
    """Bytes in regular files below ``path``, each inode once."""
    seen: set[tuple[int, int]] = set()
    total = 0
    for directory, _, files in os.walk(path):
        for file in files:
            try:
                stat = os.lstat(os.path.join(directory, file))
            except OSError:
                continue
            if (stat.st_dev, stat.st_ino) not in seen:
                seen.add((stat.st_dev, stat.st_ino))
                total += stat.st_size
    return total
