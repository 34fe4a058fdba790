"""Verbs on containers. What changes a running process is in ``lifecycle``; what moves files is in ``copying``."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

import msgspec

from fairlead import ids
from fairlead.engine import copying, inspection, listing, mountspecs, options
from fairlead.engine.attaching import Attaching, Session
from fairlead.engine.merge import command_line, merge
from fairlead.engine.names import choose_name
from fairlead.engine.waiting import Waiter
from fairlead.errors import Conflict, InvalidArgument, NotFound, NotModified
from fairlead.images.rootfs import RootFs
from fairlead.model.container import Container, ContainerSpec
from fairlead.model.requests import AttachSpec, Filters, LogSpec, UpdateSpec, WaitCondition
from fairlead.model.views import Change, Inspected, Listed, PathStat, Pruned, StatsSample, Top
from fairlead.model.volume import Volume
from fairlead.net import shaping
from fairlead.runtime.loglines import LogLine
from fairlead.runtime.logs import read_log_blocks

if TYPE_CHECKING:
    from fairlead.engine.core import Engine


class Containers:
    """Verbs on containers, by id, name or unique prefix."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._random = Random()
        self._attaching = Attaching(engine)

    # -- what is ----------------------------------------------------------------------------------------------------

    def find(self, ref: str) -> Container:
        return self._engine.index.find(ref)

    async def list(self, all: bool, limit: int, size: bool, filters: Filters) -> Sequence[Listed]:  # noqa: A002 (Docker's word)
        return await listing.list_containers(self._engine, all, limit, size, filters)

    async def inspect(self, ref: str, size: bool = False) -> Inspected:
        return await inspection.inspect(self._engine, self.find(ref), size)

    async def changes(self, ref: str) -> Sequence[Change]:
        container = self.find(ref)
        return await self._engine.in_thread(self.rootfs(container).changes)

    async def top(self, ref: str, ps_args: str) -> Top:
        return await inspection.top(self._engine, self.find(ref), ps_args)

    async def stats(self, ref: str) -> StatsSample:
        return await inspection.stats(self._engine, self.find(ref))

    async def logs(self, ref: str, spec: LogSpec) -> AsyncGenerator[Sequence[LogLine]]:
        """The lines asked for, those read together in one; ends when the container does, if following."""
        container = self.find(ref)
        if not (spec.stdout or spec.stderr):
            raise InvalidArgument("Bad parameters: you must choose at least one stream")
        if container.log_driver == "none":
            raise InvalidArgument("configured logging driver does not support reading")
        blocks = read_log_blocks(
            container.log_path,
            follow=spec.follow,
            tail=spec.tail,
            since=spec.since,
            until=spec.until,
            stdout=spec.stdout,
            stderr=spec.stderr,
            running=lambda: self._is_running(container.id),
        )
        async with aclosing(blocks):
            async for lines in blocks:
                yield lines

    def _is_running(self, identifier: str) -> bool:
        container = self._engine.store.containers.get(identifier)
        return container is not None and container.state.running

    # -- making and taking away -------------------------------------------------------------------------------------

    async def create(self, spec: ContainerSpec, name: str | None, platform: str) -> tuple[Container, Sequence[str]]:
        """The record, its root file system and its volumes; nothing runs yet."""
        image = self._engine.images.find(spec.config.image)
        options.check_platform(image, platform)
        chosen = ids.check_container_name(name) if name else choose_name(self._taken, self._random)
        self._engine.index.check_name_free(chosen)
        spec = replace(spec, config=merge(spec.config, image.config))
        path, args = command_line(spec.config)
        spec, warnings = options.normalise(self._engine, spec)
        spec = replace(spec, networks=self._engine.networks.by_name(spec.networks))
        for asked in spec.networks.values():
            shaping.check_endpoint(asked.options)
        self._engine.networks.check_asked(spec.networks)
        mounts = await mountspecs.resolve(self._engine, spec)
        self._engine.index.check_name_free(chosen)  # the name may have gone while volumes were made
        container = Container(
            id=ids.ContainerId(ids.new_id()),
            name=chosen,
            created=time.time_ns(),
            image=image.id,
            spec=spec,
            path=path,
            args=args,
            mounts=mounts,
            runtime=spec.host.runtime or self._engine.settings.default_runtime,
            log_driver=spec.host.log_config.type,
            shares=self._shared(spec),
        )
        container = self._with_places(container)
        self._engine.index.save(container)
        try:
            self.rootfs(container).prepare(image)
        except BaseException:
            self._engine.index.delete(container)
            await self._engine.in_thread(self.rootfs(container).remove)
            raise
        self._engine.lifecycle.tell(container, "create")
        return container, warnings

    def _shared(self, spec: ContainerSpec) -> str:
        kind, _, other = spec.host.network_mode.partition(":")
        return self.find(other).name if kind == "container" else ""

    def _taken(self, name: str) -> bool:
        return self._engine.index.by_name(name) is not None

    def _with_places(self, container: Container) -> Container:
        """Where the container's files will be; hostname defaults to the short id, as in Docker."""
        directory = self._directory(container.id)
        os.makedirs(directory, mode=0o710)
        config = container.config
        if not config.hostname and not options.shares_hostname(container.host):
            config = msgspec.structs.replace(config, hostname=ids.short(container.id))
        return replace(
            container,
            spec=replace(container.spec, config=config),
            log_path=os.path.join(directory, f"{container.id}.log") if container.log_driver != "none" else "",
            hostname_path=os.path.join(directory, "hostname"),
            hosts_path=os.path.join(directory, "hosts"),
            resolv_conf_path=os.path.join(directory, "resolv.conf"),
        )

    def _directory(self, identifier: ids.ContainerId) -> str:
        return os.path.join(self._engine.settings.data_root, "containers", identifier)

    def rootfs(self, container: Container) -> RootFs:
        return RootFs(self._engine.settings.data_root, container.id)

    async def remove(self, ref: str, volumes: bool = False, force: bool = False, link: bool = False) -> None:
        container = self.find(ref)
        if link:
            raise InvalidArgument("removing a link is not supported: links live with their container")
        async with self._engine.locks[container.id]:
            container = self.find(container.id)
            if container.state.running and not force:
                raise Conflict(
                    f'cannot remove container "{container.name}": container is {container.state.status}: '
                    "stop the container before removing or force remove",
                )
            if container.state.running:
                container = await self._engine.lifecycle.destroy(container)
            await self.forget(container, volumes)

    async def forget(self, container: Container, volumes: bool) -> None:
        """Record, files and, if asked, anonymous volumes of what does not run; its lock is held."""
        directory = self._directory(container.id)
        await self._engine.sharing.dissolve(container)
        self._engine.index.delete(container)
        self.rootfs(container).remove()
        await self._engine.in_thread(_discard_logs, directory)
        self._engine.execs.forget(container.id)
        if volumes:
            await self._remove_anonymous(container)
        self._engine.lifecycle.removed(container)
        self._engine.locks.pop(container.id, None)

    async def sweep(self) -> None:
        """For a daemon's start: directories whose record the last one had yet to save, or had deleted already."""
        for name in os.listdir(os.path.join(self._engine.settings.data_root, "containers")):
            if ids.is_full_id(name) and name not in self._engine.store.containers:
                identifier = ids.ContainerId(name)
                RootFs(self._engine.settings.data_root, identifier).remove()
                with contextlib.suppress(NotFound):  # something of a stranger's is in there
                    await self._engine.in_thread(_discard_logs, self._directory(identifier))

    async def _remove_anonymous(self, container: Container) -> None:
        for point in container.mounts:
            if point.type == "volume" and (volume := self._engine.store.volumes.get(point.name)):
                await self._remove_unused(volume)

    async def _remove_unused(self, volume: Volume) -> None:
        if volume.anonymous and not self._engine.volumes.users(volume.name):
            await self._engine.volumes.remove(volume.name)

    async def prune(self, filters: Filters) -> Pruned:
        filters.check(("label", "label!", "until"))
        until = min(map(self._engine.system.moment, filters.get("until")), default=None)
        names, space = [], 0
        for container in self._engine.store.containers:
            if container.state.running or not listing.prunable(container, filters, until):
                continue
            space += await self._engine.in_thread(self.rootfs(container).size)
            await self.remove(container.id)
            names.append(container.id)
        self._engine.events.publish("container", "prune", "", {"reclaimed": str(space)})
        return Pruned(names=tuple(names), space=space)

    async def rename(self, ref: str, new_name: str) -> None:
        if not new_name:
            raise InvalidArgument("Neither old nor new names may be empty")
        container = self.find(ref)
        async with self._engine.locks[container.id]:
            container = self.find(container.id)
            bare = ids.check_container_name(new_name)
            if bare == container.name:
                raise InvalidArgument("Renaming a container with the same name as its current name")
            self._engine.index.check_name_free(bare)
            await self._engine.sandboxes.rename(container, bare)
            self._engine.sharing.renamed(self.find(container.id), bare)
            self._engine.lifecycle.tell(self.find(container.id), "rename", oldName=f"/{container.name}")
        await self._engine.sandboxes.follow_rename(container.name, bare)

    async def update(self, ref: str, spec: UpdateSpec) -> Sequence[str]:
        """New limits, in the record and in the running container's cgroup."""
        container = self.find(ref)
        async with self._engine.locks[container.id]:
            container = self.find(container.id)
            options.check_update(container, spec)
            host = spec.applied(container.host)
            warnings = options.check_host(host)
            if container.host.auto_remove and spec.restart_policy and spec.restart_policy.name not in ("", "no"):
                raise Conflict("Restart policy cannot be updated because AutoRemove is enabled for the container")
            updated = replace(container, spec=replace(container.spec, host=host))
            if container.state.running:
                await self._engine.lifecycle.update_limits(updated)
            self._engine.index.save(updated)
            self._engine.lifecycle.tell(updated, "update")
            return warnings

    # -- running ----------------------------------------------------------------------------------------------------

    async def start(self, ref: str, detach_keys: str = "") -> None:  # noqa: ARG002 (of an attach that is its own call)
        """Raises NotModified when it runs already."""
        container = self.find(ref)
        async with self._engine.locks[container.id]:
            container = self.find(container.id)
            if container.state.status == "paused":
                raise Conflict("cannot start a paused container, try unpause instead")
            if container.state.status == "running":
                raise NotModified(f"container {container.name} is already running")
            await self._engine.lifecycle.start_afresh(container)

    async def stop(self, ref: str, timeout: int | None = None, signal: str | None = None) -> None:  # noqa: ASYNC109 (Docker's option)
        """Raises NotModified when it does not run."""
        container = self.find(ref)
        if not container.state.running:
            raise NotModified(f"container {container.name} is not running")
        await self._engine.lifecycle.stop(container, timeout, signal)

    async def restart(self, ref: str, timeout: int | None = None, signal: str | None = None) -> None:  # noqa: ASYNC109 (Docker's option)
        container = self.find(ref)
        if container.state.running:
            await self._engine.lifecycle.stop(container, timeout, signal)
        async with self._engine.locks[container.id]:
            fresh = self.find(container.id)
            if not fresh.state.running:
                await self._engine.lifecycle.start_afresh(fresh)
        self._engine.lifecycle.tell(self.find(container.id), "restart")

    async def kill(self, ref: str, signal: str) -> None:
        container = self.find(ref)
        if not container.state.running:
            raise Conflict(f"cannot kill container: {ref}: container {container.id} is not running")
        await self._engine.lifecycle.kill(container, signal)

    async def pause(self, ref: str) -> None:
        container = self.find(ref)
        async with self._engine.locks[container.id]:
            await self._engine.lifecycle.pause(self.find(container.id))

    async def unpause(self, ref: str) -> None:
        container = self.find(ref)
        async with self._engine.locks[container.id]:
            await self._engine.lifecycle.unpause(self.find(container.id))

    def arm_wait(self, ref: str, condition: WaitCondition) -> Waiter:
        """A waiter that sees everything from now on; raises at once when there is no such container."""
        return self._engine.lifecycle.arm_wait(self.find(ref), condition)

    async def attach(self, ref: str, spec: AttachSpec) -> Session:
        return await self._attaching.attach(self.find(ref), spec)

    async def attach_waiting(self, container: Container) -> None:
        """For ``lifecycle``: the container is made and not yet started."""
        await self._attaching.connect_waiting(container)

    def end_attachments(self, identifier: ids.ContainerId) -> None:
        """For ``lifecycle``: it ended, or will not start."""
        self._attaching.end(identifier)

    async def resize(self, ref: str, height: int, width: int) -> None:
        container = self.find(ref)
        if container.state.status not in ("running", "paused"):
            raise Conflict(f"container {container.id} is not running")
        await self._attaching.resize(container, height, width)

    # -- files ------------------------------------------------------------------------------------------------------

    async def export(self, ref: str) -> AsyncIterator[bytes]:
        async for block in copying.export(self._engine, self.find(ref)):
            yield block

    async def stat_archive(self, ref: str, path: str) -> PathStat:
        return await copying.stat(self._engine, self.find(ref), path, ref)

    async def get_archive(self, ref: str, path: str) -> tuple[PathStat, AsyncIterator[bytes]]:
        return await copying.get(self._engine, self.find(ref), path, ref)

    async def put_archive(
        self, ref: str, path: str, stream: AsyncIterator[bytes], no_overwrite: bool = False, copy_uid_gid: bool = False
    ) -> None:
        how = copying.Unpacking(path=path, ref=ref, no_overwrite=no_overwrite, copy_uid_gid=copy_uid_gid)
        await copying.put(self._engine, self.find(ref), stream, how)


def _discard_logs(directory: str) -> None:
    try:
        for entry in os.scandir(directory):
            if entry.is_file(follow_symlinks=False):
                os.unlink(entry.path)
        os.rmdir(directory)
    except FileNotFoundError:
        return
    except OSError as error:
        raise NotFound(f"cannot remove {directory}: {error.strerror}") from error
