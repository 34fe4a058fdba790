"""An engine in memory with the verbs' signatures: containers are coroutines, images are names.

A container's command decides what it does: ``cat`` copies stdin, ``echo``, ``fail`` prints to stderr and exits 3,
``sleep`` runs until killed, ``bytes N`` writes N bytes, ``flood`` writes for ever.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from ipaddress import ip_address, ip_interface, ip_network
from typing import Any

from fairlead import ids
from fairlead.errors import Conflict, Forbidden, InvalidArgument, NotFound, NotModified, RuntimeFailure
from fairlead.model.container import Config, Container, ContainerSpec, State
from fairlead.model.endpoint import Endpoint, EndpointSpec
from fairlead.model.event import Event
from fairlead.model.image import HistoryEntry, Image, Progress
from fairlead.model.network import Network, NetworkSpec, Subnet
from fairlead.model.port import PortBinding
from fairlead.model.requests import ExecSpec, Filters, VolumeSpec
from fairlead.model.views import (
    AuthResult,
    Change,
    Deleted,
    Detached,
    DiskUsage,
    Exec,
    ImagesPruned,
    ImageUsage,
    Info,
    Inspected,
    InterfaceCounters,
    Listed,
    NetworkView,
    PathStat,
    Pruned,
    StatsSample,
    Top,
    Untagged,
    Version,
    VolumeUsage,
    WaitResult,
)
from fairlead.model.volume import Volume

DETACH = b"\x10\x11"


@dataclass
class LogLine:
    time_ns: int
    stream: int
    data: bytes


@dataclass
class Session:
    """A client's attachment to a fake process."""

    stdin: bool
    streams: tuple[int, ...]
    process: asyncio.Queue[bytes]
    output: asyncio.Queue[tuple[int, bytes] | None] = field(default_factory=asyncio.Queue)
    closed: bool = False

    async def __aiter__(self) -> AsyncIterator[tuple[int, bytes]]:
        while (item := await self.output.get()) is not None:
            if item[0] in self.streams:
                yield item

    async def write(self, data: bytes) -> None:
        if DETACH in data:
            raise Detached
        if self.stdin:
            await self.process.put(data)

    async def close_stdin(self) -> None:
        if self.stdin:
            await self.process.put(b"")

    async def close(self) -> None:
        self.closed = True


@dataclass
class Running:
    """The moving part of a container or exec."""

    stdin: asyncio.Queue[bytes] = field(default_factory=asyncio.Queue)
    sessions: list[Session] = field(default_factory=list)
    log: list[LogLine] = field(default_factory=list)
    logged: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[int] | None = None

    def join(self, *, stdin: bool, stdout: bool, stderr: bool) -> Session:
        streams = tuple(number for number, wanted in ((1, stdout), (2, stderr)) if wanted)
        session = Session(stdin, streams, self.stdin)
        self.sessions.append(session)
        return session

    def emit(self, stream: int, data: bytes) -> None:
        for session in self.sessions:
            session.output.put_nowait((stream, data))
        self.log += [LogLine(time.time_ns(), stream, line) for line in data.splitlines(keepends=True)]
        self.logged.set()

    def end(self) -> None:
        for session in self.sessions:
            session.output.put_nowait(None)
        self.logged.set()


async def run(running: Running, command: tuple[str, ...]) -> int:
    """What the command does; its exit code. As with real processes, some time passes before the first byte."""
    await asyncio.sleep(0.01)
    match command:
        case ("cat", *_):
            while data := await running.stdin.get():
                running.emit(1, data)
        case ("echo", *words):
            running.emit(1, " ".join(words).encode() + b"\n")
        case ("fail", *words):
            running.emit(1, b"out\n")
            running.emit(2, " ".join(words).encode() + b"\n")
            return 3
        case ("sleep", *_):
            await asyncio.Event().wait()
        case ("bytes", count, *_):
            running.emit(1, bytes(index % 251 for index in range(int(count))))
        case ("flood", *_):
            while True:
                running.emit(1, b"x" * 4096)
                await asyncio.sleep(0)
    return 0


class Events:
    def __init__(self) -> None:
        self.kept: list[Event] = []
        self.queues: set[asyncio.Queue[Event]] = set()

    def publish(self, kind: str, action: str, actor: str, **attributes: str) -> None:
        happened = Event(time=time.time_ns(), kind=kind, action=action, actor=actor, attributes=attributes)
        self.kept.append(happened)
        for queue in self.queues:
            queue.put_nowait(happened)

    async def subscribe(
        self, since: int | None, until: int | None, matches: Callable[[Event], bool]
    ) -> AsyncIterator[Event]:
        queue: asyncio.Queue[Event] = asyncio.Queue()
        self.queues.add(queue)
        try:
            for happened in self.kept if since is not None else ():
                if since <= happened.time <= (until or happened.time) and matches(happened):
                    yield happened
            while until is None or time.time_ns() < until:
                timeout = None if until is None else max(0.0, (until - time.time_ns()) / 1e9)
                try:
                    happened = await asyncio.wait_for(queue.get(), timeout)
                except TimeoutError:
                    return
                if matches(happened):
                    yield happened
        finally:
            self.queues.discard(queue)


class Waiter:
    def __init__(self, future: asyncio.Future[WaitResult]) -> None:
        self.future = future

    async def result(self) -> WaitResult:
        return await self.future


class Containers:
    def __init__(self, engine: FakeEngine) -> None:
        self.engine = engine
        self.known: dict[str, Container] = {}
        self.running: dict[str, Running] = {}
        self.waits: list[tuple[str, str, asyncio.Future[WaitResult]]] = []
        self.archives: dict[str, bytes] = {}
        self.samples = 0

    def find(self, ref: str) -> Container:
        for container in self.known.values():
            if ref in (container.id, container.name) or (len(ref) >= 3 and container.id.startswith(ref)):
                return container
        raise NotFound(f"No such container: {ref}")

    def _save(self, container: Container) -> Container:
        self.known[container.id] = container
        return container

    async def create(self, spec: ContainerSpec, name: str | None, platform: str) -> tuple[Container, list[str]]:
        image = self.engine.images.find(spec.config.image)
        name = ids.check_container_name(name) if name else f"fake_{len(self.known)}"
        if any(container.name == name for container in self.known.values()):
            raise Conflict(f'Conflict. The container name "/{name}" is already in use')
        for network in spec.networks:
            if spec.host.network_mode not in ("host", "none"):
                self.engine.networks.find(network)
        command = (*(spec.config.entrypoint or ()), *(spec.config.cmd or image.config.cmd or ()))
        container = Container(
            id=ids.ContainerId(ids.new_id()),
            name=name,
            created=time.time_ns(),
            image=image.id,
            spec=spec,
            path=command[0] if command else "",
            args=command[1:],
        )
        self.running[container.id] = Running()
        self.engine.events.publish("container", "create", container.id, name=name, image=spec.config.image)
        return self._save(container), []

    async def start(self, ref: str, detach_keys: str = "") -> None:
        container = self.find(ref)
        if container.state.running:
            raise NotModified("already running")
        if container.path == "missing":
            self.running[container.id].end()
            if container.host.auto_remove:
                self._gone(container.id)
            raise RuntimeFailure('exec: "missing": executable file not found in $PATH', 127)
        endpoints = tuple(self._endpoint(container, network) for network in container.spec.networks)
        state = State(status="running", pid=4242, started=time.time_ns())
        self._save(replace(container, state=state, endpoints=endpoints, sandbox_key=f"/run/netns/{container.name}"))
        running = self.running[container.id]
        running.task = asyncio.get_running_loop().create_task(self._run(container.id, running))
        self.engine.events.publish("container", "start", container.id, name=container.name)

    def _endpoint(self, container: Container, name: str) -> Endpoint:
        network = self.engine.networks.find(name)
        return Endpoint(
            id=ids.EndpointId(ids.new_id()),
            network=network.id,
            container=container.id,
            mac="02:42:ac:11:00:02",
            addresses=(ip_interface("172.17.0.2/16"),) if network.subnets else (),
            names=(container.name, ids.short(container.id)) if name != "bridge" else (),
            published=tuple(
                PortBinding(container=p.container, host_ip=ip_address(ip), host_port=p.low or 32768)
                for p in container.spec.ports
                for ip in ("0.0.0.0", "::")
            ),
        )

    async def _run(self, identifier: str, running: Running) -> int:
        container = self.known[identifier]
        code = 137
        try:
            code = await run(running, (container.path, *container.args))
        except asyncio.CancelledError:
            pass
        finally:
            self._ended(identifier, code)
        return code

    def _ended(self, identifier: str, code: int) -> None:
        container = self.known[identifier]
        state = replace(container.state, status="exited", pid=0, exit_code=code, finished=time.time_ns())
        container = self._save(replace(container, state=state, endpoints=()))
        self.running[identifier].end()
        self._tell(identifier, code, "not-running", "next-exit")
        self.engine.events.publish("container", "die", identifier, name=container.name, exitCode=str(code))
        if container.host.auto_remove:
            self._gone(identifier)

    def _tell(self, identifier: str, code: int, *conditions: str) -> None:
        for known, condition, future in self.waits:
            if known == identifier and condition in conditions and not future.done():
                future.set_result(WaitResult(status_code=code))

    def _gone(self, identifier: str) -> None:
        container = self.known.pop(identifier)
        self._tell(identifier, container.state.exit_code, "removed", "next-exit", "not-running")
        self.engine.events.publish("container", "destroy", identifier, name=container.name)

    async def _kill(self, container: Container) -> None:
        task = self.running[container.id].task
        if task is not None and not task.done():
            task.cancel()
            await asyncio.wait([task])

    async def stop(self, ref: str, timeout: int | None, signal: str | None) -> None:  # noqa: ASYNC109
        container = self.find(ref)
        if not container.state.running:
            raise NotModified("not running")
        await self._kill(container)

    async def restart(self, ref: str, timeout: int | None, signal: str | None) -> None:  # noqa: ASYNC109
        await self._kill(self.find(ref))
        self.running[self.find(ref).id] = Running()
        await self.start(ref)

    async def kill(self, ref: str, signal: str) -> None:
        container = self.find(ref)
        if not container.state.running:
            raise Conflict(f"cannot kill container: {ref}: container {container.id} is not running")
        await self._kill(container)

    async def pause(self, ref: str) -> None:
        container = self.find(ref)
        self._save(replace(container, state=replace(container.state, status="paused")))

    async def unpause(self, ref: str) -> None:
        container = self.find(ref)
        self._save(replace(container, state=replace(container.state, status="running")))

    async def rename(self, ref: str, new_name: str) -> None:
        self._save(replace(self.find(ref), name=ids.check_container_name(new_name)))

    async def update(self, ref: str, spec: Any) -> list[str]:
        container = self.find(ref)
        self._save(replace(container, spec=replace(container.spec, host=spec.applied(container.host))))
        return []

    async def remove(self, ref: str, volumes: bool, force: bool, link: bool) -> None:
        container = self.find(ref)
        if container.state.running and not force:
            raise Conflict(f'cannot remove container "{container.name}": container is running')
        await self._kill(container)
        if container.id in self.known:
            self._gone(container.id)

    async def list(self, all: bool, limit: int, size: bool, filters: Filters) -> list[Listed]:  # noqa: A002
        filters.check(("name", "label", "status", "id", "since", "before", "network"))
        shown = [
            Listed(
                container=c,
                image_name=c.config.image,
                networks=self.engine.networks.by_name,
                size_rw=1 if size else None,
                size_root=2 if size else None,
            )
            for c in self.known.values()
            if (all or c.state.running) and filters.search("name", c.name)
        ]
        return shown[:limit] if limit else shown

    async def inspect(self, ref: str, size: bool) -> Inspected:
        container = self.find(ref)
        return Inspected(
            container=container,
            image=self.engine.images.find(container.image),
            networks=self.engine.networks.by_name,
            graph={"UpperDir": "/u"},
            size_rw=1 if size else None,
            size_root=2 if size else None,
        )

    def arm_wait(self, ref: str, condition: str) -> Waiter:
        container = self.find(ref)
        future: asyncio.Future[WaitResult] = asyncio.get_running_loop().create_future()
        if condition == "not-running" and not container.state.running:
            future.set_result(WaitResult(status_code=container.state.exit_code))
        else:
            self.waits.append((container.id, condition, future))
        return Waiter(future)

    async def attach(self, ref: str, spec: Any) -> Session:
        container = self.find(ref)
        if container.state.status == "paused":
            raise Conflict(f"container {container.name} is paused, unpause the container before attach")
        running = self.running[container.id]
        session = running.join(stdin=spec.stdin, stdout=spec.stdout, stderr=spec.stderr)
        if container.state.status == "exited":
            session.output.put_nowait(None)
        return session

    async def logs(self, ref: str, spec: Any) -> AsyncIterator[list[LogLine]]:
        container = self.find(ref)
        running = self.running[container.id]
        sent = 0 if spec.tail is None else max(0, len(running.log) - spec.tail)
        while True:
            running.logged.clear()
            for line in running.log[sent:]:
                sent += 1
                if (spec.stdout and line.stream == 1) or (spec.stderr and line.stream == 2):
                    yield [line]
            if not spec.follow or not self.find(ref).state.running:
                return
            await running.logged.wait()

    async def top(self, ref: str, ps_args: str) -> Top:
        self.find(ref)
        return Top(titles=("PID", "CMD"), processes=(("1", ps_args),))

    async def changes(self, ref: str) -> list[Change]:
        self.find(ref)
        return [Change(kind=1, path="/caf\udce9")]

    async def export(self, ref: str) -> AsyncIterator[bytes]:
        self.find(ref)
        for _ in range(64):
            yield b"t" * 65536

    async def stats(self, ref: str) -> StatsSample:
        container = self.find(ref)
        self.samples += 1
        return StatsSample(
            read=time.time_ns(),
            name=container.name,
            id=container.id,
            running=container.state.running,
            cpu_total=self.samples * 1000,
            memory_usage=1 << 20,
            memory_limit=1 << 30,
            interfaces={"eth0": InterfaceCounters(rx_bytes=7)},
        )

    async def resize(self, ref: str, height: int, width: int) -> None:
        self.find(ref)
        self.engine.resized = (height, width)

    async def stat_archive(self, ref: str, path: str) -> PathStat:
        self.find(ref)
        if path == "/none":
            raise NotFound(f"Could not find the file {path} in container {ref}")
        return PathStat(name=path.rsplit("/", 1)[-1], size=3, mode=0o100644, mtime=1_700_000_000_000_000_000)

    async def get_archive(self, ref: str, path: str) -> tuple[PathStat, AsyncIterator[bytes]]:
        async def blocks() -> AsyncIterator[bytes]:
            yield self.archives.get(path, b"")

        return await self.stat_archive(ref, path), blocks()

    async def put_archive(
        self, ref: str, path: str, stream: AsyncIterator[bytes], no_overwrite: bool, copy_uid_gid: bool
    ) -> None:
        self.find(ref)
        self.archives[path] = b"".join([block async for block in stream])

    async def prune(self, filters: Filters) -> Pruned:
        filters.check(("label", "label!", "until"))
        gone = [c.id for c in self.known.values() if not c.state.running]
        for identifier in gone:
            self._gone(identifier)
        return Pruned(names=tuple(gone), space=5)


class Execs:
    def __init__(self, engine: FakeEngine) -> None:
        self.engine = engine
        self.known: dict[str, Exec] = {}
        self.running: dict[str, Running] = {}

    async def create(self, ref: str, spec: ExecSpec) -> ids.ExecId:
        container = self.engine.containers.find(ref)
        if not container.state.running:
            raise Conflict(f"container {container.id} is not running")
        identifier = ids.ExecId(ids.new_id())
        self.known[identifier] = Exec(id=identifier, container=container.id, spec=spec)
        return identifier

    def find(self, ref: str) -> Exec:
        if ref not in self.known:
            raise NotFound(f"No such exec instance: {ref}")
        return self.known[ref]

    async def start_attached(self, ref: str, spec: Any) -> Session:
        found = self.find(ref)
        if found.spec.cmd[0] == "missing":
            self.known[ref] = replace(found, started=True, exit_code=127)
            raise RuntimeFailure("OCI runtime exec failed: executable file not found in $PATH", 127)
        running = self.running[ref] = Running()
        session = running.join(stdin=found.spec.stdin, stdout=found.spec.stdout, stderr=found.spec.stderr)
        self.known[ref] = replace(found, running=True, started=True, pid=77)
        running.task = asyncio.get_running_loop().create_task(self._run(ref, running))
        return session

    async def start_detached(self, ref: str, spec: Any) -> None:
        await self.start_attached(ref, spec)

    async def _run(self, ref: str, running: Running) -> int:
        code = await run(running, self.find(ref).spec.cmd)
        self.known[ref] = replace(self.known[ref], running=False, exit_code=code)
        running.end()
        return code

    async def resize(self, ref: str, height: int, width: int) -> None:
        self.find(ref)


class Networks:
    def __init__(self, engine: FakeEngine) -> None:
        self.engine = engine
        self.by_name: dict[str, Network] = {}
        for name, driver in (("bridge", "bridge"), ("host", "host"), ("none", "null")):
            self._add(NetworkSpec(name=name, driver=driver), "172.17.0.0/16" if name == "bridge" else "")

    def _add(self, spec: NetworkSpec, subnet: str) -> Network:
        prefix = ip_network(subnet) if subnet else None
        subnets = (Subnet(prefix=prefix, gateway=prefix[1]),) if prefix else ()
        network = Network(id=ids.NetworkId(ids.new_id()), spec=spec, created=time.time_ns(), subnets=subnets)
        self.by_name[spec.name] = network
        return network

    def find(self, ref: str) -> Network:
        for network in self.by_name.values():
            if ref in (network.name, network.id) or (len(ref) >= 3 and network.id.startswith(ref)):
                return network
        raise NotFound(f"network {ref} not found")

    async def create(self, spec: NetworkSpec) -> tuple[Network, list[str]]:
        ids.check_network_name(spec.name)
        if spec.name in self.by_name:
            raise Conflict(f"network with name {spec.name} already exists")
        if spec.driver not in ("bridge", "host", "null"):
            raise NotFound(f"could not find plugin {spec.driver} in v1 plugin registry: plugin not found")
        network = self._add(spec, str(spec.ipam[0].subnet) if spec.ipam else f"10.{len(self.by_name)}.0.0/24")
        self.engine.events.publish("network", "create", network.id, name=spec.name, type=spec.driver)
        return network, []

    async def list(self, filters: Filters) -> list[Network]:
        filters.check(("dangling", "driver", "id", "label", "name", "scope", "type"))
        return [
            n for n in self.by_name.values() if filters.search("name", n.name) and filters.exact("driver", n.driver)
        ]

    async def inspect(self, ref: str) -> NetworkView:
        network = self.find(ref)
        endpoints = [
            (container.name, endpoint)
            for container in self.engine.containers.known.values()
            for endpoint in container.endpoints
            if endpoint.network == network.id
        ]
        return NetworkView(network=network, endpoints=endpoints)

    async def remove(self, ref: str) -> None:
        network = self.find(ref)
        if network.predefined:
            raise Forbidden(f"{network.name} is a pre-defined network and cannot be removed")
        del self.by_name[network.name]

    async def connect(self, ref: str, container_ref: str, spec: EndpointSpec) -> None:
        network, container = self.find(ref), self.engine.containers.find(container_ref)
        networks = dict(container.spec.networks) | {network.name: spec}
        self.engine.containers.known[container.id] = replace(container, spec=replace(container.spec, networks=networks))

    async def disconnect(self, ref: str, container_ref: str, force: bool) -> None:
        network, container = self.find(ref), self.engine.containers.find(container_ref)
        networks = dict(container.spec.networks)
        if networks.pop(network.name, None) is None:
            raise InvalidArgument(f"container {container.id} is not connected to network {network.name}")
        self.engine.containers.known[container.id] = replace(container, spec=replace(container.spec, networks=networks))

    async def prune(self, filters: Filters) -> list[str]:
        gone = [name for name, network in self.by_name.items() if not network.predefined]
        for name in gone:
            del self.by_name[name]
        return gone


class Images:
    def __init__(self, engine: FakeEngine) -> None:
        self.engine = engine
        self.known: dict[str, Image] = {}
        self.loaded = 0
        self.auth: Any = None
        self.add("busybox:latest")

    def ancestors(self, _: Image) -> list[Image]:
        return []

    async def shared(self) -> dict[str, int]:
        return dict.fromkeys((image.id for image in self.known.values()), 7)

    def add(self, tag: str) -> Image:
        tag = tag.removeprefix("docker.io/library/")
        image = Image(
            id=f"sha256:{ids.new_id()}",
            created="2024-05-06T07:08:09.5Z",
            architecture="amd64",
            os="linux",
            config=Config(cmd=("sh",), env=("PATH=/bin",)),
            size=123,
            tags=(tag,),
            diff_ids=("sha256:" + "1" * 64,),
            history=(HistoryEntry(created=1, created_by="ADD"), HistoryEntry(created=2, created_by="CMD")),
        )
        self.known[image.id] = image
        return image

    def find(self, ref: str) -> Image:
        tagged = ref if ":" in ref.rpartition("/")[2] else f"{ref}:latest"
        for image in self.known.values():
            if ref == image.id or tagged in image.tags or (len(ref) >= 6 and image.id[7:].startswith(ref)):
                return image
        raise NotFound(f"No such image: {tagged}")

    async def list(self, filters: Filters, all: bool) -> list[Image]:  # noqa: A002
        filters.check(("reference", "dangling", "label", "before", "since", "until"))
        return list(self.known.values())

    async def tag(self, ref: str, repo: str, tag: str) -> None:
        image = self.find(ref)
        if not repo:
            raise InvalidArgument("invalid reference format")
        name = f"{repo}:{tag or 'latest'}".removeprefix("docker.io/library/")
        self.known[image.id] = replace(image, tags=(*image.tags, name))

    async def remove(self, ref: str, force: bool, noprune: bool) -> list[Untagged | Deleted]:
        image = self.find(ref)
        del self.known[image.id]
        return [Untagged(ref), Deleted(image.id)]

    async def load(self, stream: AsyncIterator[bytes], quiet: bool) -> AsyncIterator[Progress]:
        async for block in stream:
            self.loaded += len(block)
            if block.startswith(b"broken"):
                raise InvalidArgument("archive/tar: invalid tar header")
        yield Progress(stream="Loaded image: busybox:latest\n")

    async def save(self, names: tuple[str, ...]) -> AsyncIterator[bytes]:
        for name in names:
            self.find(name)
        yield b"tar of " + ",".join(names).encode()

    async def import_(self, stream: AsyncIterator[bytes], spec: Any) -> AsyncIterator[Progress]:
        self.loaded = sum([len(block) async for block in stream])
        yield Progress(status=self.add(spec.ref or "none:none").id)

    async def commit(self, container_ref: str, spec: Any) -> Image:
        self.engine.containers.find(container_ref)
        return self.add(spec.ref or "none:none")

    async def prune(self, filters: Filters) -> ImagesPruned:
        return ImagesPruned(removals=(Deleted("sha256:1"),), space=9)

    async def pull(self, ref: str, platform: str, auth: Any) -> AsyncIterator[Progress]:
        self.auth = auth
        ref = ref.removeprefix("docker.io/library/").removeprefix("docker.io/")
        if ref.startswith("nowhere"):
            raise NotFound(f"pull access denied for {ref}, repository does not exist")
        yield Progress(status=f"Pulling from {ref}", id="latest")
        yield Progress(status="Downloading", id="abc", current=512, total=1024)
        if ref.startswith("half"):
            raise NotFound("manifest unknown")
        self.add(ref)
        yield Progress(status=f"Status: Downloaded newer image for {ref}")


class Volumes:
    def __init__(self) -> None:
        self.known: dict[str, Volume] = {}

    async def create(self, spec: VolumeSpec) -> Volume:
        name = ids.check_volume_name(spec.name or ids.new_id())
        made = Volume(name=name, mountpoint=f"/v/{name}", created=time.time_ns(), labels=spec.labels)
        return self.known.setdefault(name, made)

    def find(self, name: str) -> Volume:
        if name not in self.known:
            raise NotFound(f"get {name}: no such volume")
        return self.known[name]

    async def list(self, filters: Filters) -> list[Volume]:
        filters.check(("dangling", "driver", "label", "name"))
        return list(self.known.values())

    async def remove(self, name: str, force: bool) -> None:
        if not force:
            self.find(name)
        self.known.pop(name, None)

    async def prune(self, filters: Filters) -> Pruned:
        if not filters.flag("all", default=False):
            return Pruned()
        gone = tuple(self.known)
        self.known.clear()
        return Pruned(names=gone, space=3)


class System:
    def __init__(self, engine: FakeEngine) -> None:
        self.engine = engine

    async def version(self) -> Version:
        return Version(version="0.1.0", kernel="6.1")

    async def info(self) -> Info:
        return Info(id="x", version="0.1.0", runtimes={"crun": "crun"}, running=len(self.engine.containers.known))

    async def disk_usage(self) -> DiskUsage:
        engine = self.engine
        return DiskUsage(
            layers_size=10,
            images=tuple(ImageUsage(image=image) for image in engine.images.known.values()),
            containers=tuple(await engine.containers.list(True, 0, True, Filters())),
            volumes=tuple(VolumeUsage(volume=volume) for volume in engine.volumes.known.values()),
        )

    async def auth(self, auth: Any) -> AuthResult:
        return AuthResult(status=f"Login Succeeded {auth.username}")


class FakeEngine:
    """Everything the API asks of an engine."""

    def __init__(self) -> None:
        self.resized = (0, 0)
        self.events = Events()
        self.networks = Networks(self)
        self.images = Images(self)
        self.volumes = Volumes()
        self.execs = Execs(self)
        self.containers = Containers(self)
        self.system = System(self)
