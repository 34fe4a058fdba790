"""RUN: a container of the image so far, on the network that was asked for, and what it changed."""

from __future__ import annotations

import contextlib
import json
import os
import posixpath
import shutil
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

from fairlead.errors import EngineError, InvalidArgument
from fairlead.images import layerdiff
from fairlead.images.dockerfile import Instruction
from fairlead.model.build import BuildSpec
from fairlead.model.container import Config, Container
from fairlead.model.image import Image, Progress
from fairlead.model.requests import AttachSpec
from fairlead.wire.container_create import parse_create
from fairlead.wire.versions import HIGHEST

if TYPE_CHECKING:
    from fairlead.engine.core import Engine

_SECRETS = "/run/secrets"


class Run:
    """One RUN step."""

    def __init__(
        self,
        engine: Engine,
        spec: BuildSpec,
        instruction: Instruction,
        command: Sequence[str],
        arguments: Mapping[str, str],
    ) -> None:
        self._engine, self._spec, self._instruction = engine, spec, instruction
        self.command = tuple(command)
        self._arguments = arguments
        self._container: Container | None = None
        self._made: list[str] = []  # mount points that are no part of the layer
        self._given = ""  # the directory of what is mounted for this step alone

    async def carry_out(self, image: Image, config: Config) -> AsyncGenerator[Progress]:
        """Its output as it comes; raises EngineError in Docker's words when it fails. Nothing is left behind then."""
        try:
            spec, _ = parse_create(json.dumps(self._body(image, config)).encode(), HIGHEST)
            self._container, _ = await self._engine.containers.create(spec, None, "")
            yield Progress(stream=f" ---> Running in {self._container.id[:12]}\n")
            async for text in self._output(self._container):
                yield Progress(stream=text)
        except BaseException:
            await self._discard()
            raise

    async def _output(self, container: Container) -> AsyncIterator[str]:
        session = await self._engine.containers.attach(container.id, AttachSpec(stream=True, stdout=True, stderr=True))
        waiter = self._engine.containers.arm_wait(container.id, "next-exit")
        try:
            await self._engine.containers.start(container.id)
            async for _, data in session:
                yield data.decode("utf-8", "replace")
        finally:
            await session.close()
        code = (await waiter.result()).status_code
        if code:
            shown = " ".join(self.command)
            raise EngineError(f"The command '{shown}' returned a non-zero code: {code}")

    @contextlib.asynccontextmanager
    async def ended(self) -> AsyncIterator[Callable[[BinaryIO], None]]:
        """What it changed, to be written as a layer; the container goes afterwards."""
        assert self._container is not None
        overlay = self._engine.containers.rootfs(self._container).overlay()

        def write(out: BinaryIO) -> None:
            for path in self._made:
                _forget_mount_point(overlay.upper, overlay.lowers, path)
            layerdiff.write(overlay.upper, overlay.lowers, out)

        try:
            yield write
        finally:
            await self._discard()

    async def _discard(self) -> None:
        if self._container is not None:
            with contextlib.suppress(EngineError):
                await self._engine.containers.remove(self._container.id, volumes=True, force=True)
        if self._given:
            await self._engine.in_thread(shutil.rmtree, self._given, True)
            self._given = ""

    # -- the container -----------------------------------------------------------------------------------------------

    def _body(self, image: Image, config: Config) -> dict[str, Any]:
        known = {entry.partition("=")[0] for entry in config.env or ()}
        arguments = [f"{name}={value}" for name, value in self._arguments.items() if name not in known]
        network = self._instruction.flag("network") or self._spec.network or "default"
        host = {
            "NetworkMode": network,
            "ExtraHosts": list(self._spec.extra_hosts),
            "Memory": self._spec.memory,
            "MemorySwap": self._spec.memory_swap,
            "CpuShares": self._spec.cpu_shares,
            "CpuQuota": self._spec.cpu_quota,
            "CpuPeriod": self._spec.cpu_period,
            "CpusetCpus": self._spec.cpuset,
            "ShmSize": self._spec.shm_size,
            "Mounts": list(self._mounts()),
        }
        body = {
            "Image": image.id,
            "Entrypoint": list(self.command[:1]),
            "Cmd": list(self.command[1:]),
            "Env": [*(config.env or ()), *arguments],
            "User": config.user,
            "WorkingDir": config.working_dir,
            "Healthcheck": {"Test": ["NONE"]},
            "HostConfig": {key: value for key, value in host.items() if value},
        }
        if network not in ("default", "bridge", "host", "none") and not network.startswith("container:"):
            body["NetworkingConfig"] = {"EndpointsConfig": {network: {}}}
        return body

    def _mounts(self) -> list[dict[str, Any]]:
        return [self._mount(dict(_pairs(text))) for text in self._instruction.flags.get("mount", ())]

    def _mount(self, asked: Mapping[str, str]) -> dict[str, Any]:
        match asked.get("type", "bind"):
            case "tmpfs":
                return self._passing({"Type": "tmpfs", "Target": _target(asked)})
            case "cache":
                name = asked.get("id") or _target(asked)
                place = os.path.join(self._engine.settings.data_root, "build-cache", name.strip("/").replace("/", "_"))
                os.makedirs(place, mode=0o755, exist_ok=True)
                return self._passing({"Type": "bind", "Source": place, "Target": _target(asked)})
            case "secret":
                return self._secret(asked)
            case kind:
                raise InvalidArgument(f"RUN --mount=type={kind} is not supported: use secret, cache or tmpfs")

    def _secret(self, asked: Mapping[str, str]) -> dict[str, Any]:
        name = asked.get("id") or posixpath.basename(asked.get("target", ""))
        content = self._spec.secrets.get(name)
        if content is None:
            if asked.get("required", "false") in ("true", "1"):
                raise InvalidArgument(f"secret {name} is required: give it with --secret id={name},src=FILE")
            content = b""
        if not self._given:
            # The exec root is a tmpfs on every usual system: what is secret is on no disk.
            self._given = tempfile.mkdtemp(prefix="secrets-", dir=self._engine.settings.exec_root)
        place = os.path.join(self._given, str(len(os.listdir(self._given))))
        descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, int(asked.get("mode", "0400"), 8))
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        os.chown(place, int(asked.get("uid", "0")), int(asked.get("gid", "0")))
        target = asked.get("target") or asked.get("dst") or f"{_SECRETS}/{name}"
        return self._passing({"Type": "bind", "Source": place, "Target": target, "ReadOnly": True})

    def _passing(self, mount: dict[str, Any]) -> dict[str, Any]:
        """A mount that is there for this step: its place in the root is not to stay."""
        self._made.append(mount["Target"])
        return mount


def _pairs(text: str) -> list[tuple[str, str]]:
    return [(name, value or "true") for name, _, value in (part.partition("=") for part in text.split(","))]


def _target(asked: Mapping[str, str]) -> str:
    target = asked.get("target") or asked.get("dst") or asked.get("destination")
    if not target:
        raise InvalidArgument("RUN --mount needs target=PATH")
    return target


def _forget_mount_point(upper: str, lowers: Sequence[str], path: str) -> None:
    """The empty file or directories that the runtime made for a mount, where the image has none."""
    here = path.strip("/")
    while here:
        place = os.path.join(upper, here)
        if any(os.path.lexists(os.path.join(lower, here)) for lower in lowers) or os.path.islink(place):
            return
        try:
            if os.path.isdir(place):
                os.rmdir(place)
            elif os.path.getsize(place) == 0:
                os.unlink(place)
        except OSError:
            return
        here = posixpath.dirname(here)
