"""Many sandboxes without containers: namespaces that only have what the resolver needs, and one resolver process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from fairlead.dns.birth import spawner
from fairlead.dns.control import EndpointNames, Resolver, View
from fairlead.ids import ContainerId
from fairlead.kernel import netns
from fairlead.kernel.sandbox import Sandbox, open_sandbox

NETWORK = "net1"


class Crowd:
    """``count`` sandboxes s0, s1 … on one network, every one with a name and an address of its own.

    The daemon's side runs in a thread with a loop of its own, so that a test may ask from the outside.
    """

    def __init__(self, directory: Path, count: int) -> None:
        self._path = str(directory / "resolver.sock")
        self._count = count
        self._sandboxes: list[Sandbox] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="resolver client")
        self._over = asyncio.Event()

    def address(self, number: int) -> str:
        return f"10.77.{number // 250}.{number % 250 + 2}"

    def netns(self, number: int) -> str:
        return self._sandboxes[number].ns.path

    def __enter__(self) -> Self:
        self._thread.start()
        for number in range(self._count):
            self._sandboxes.append(open_sandbox(f"crowd{os.getpid()}-{number}", {}))
        ready = threading.Event()
        self._client = asyncio.run_coroutine_threadsafe(self._serve(ready), self._loop)
        while not ready.wait(0.1):
            if self._client.done():
                self._client.result()
        return self

    async def _serve(self, ready: threading.Event) -> None:
        async with asyncio.TaskGroup() as tasks:
            resolver = await Resolver.connect(self._path, spawner(self._path), tasks)
            await resolver.set_network(NETWORK, "crowd", [self._endpoint(number) for number in range(self._count)])
            for number, sandbox in enumerate(self._sandboxes):
                name, view = ContainerId(f"s{number}"), View(networks=(NETWORK,))
                await resolver.add_sandbox(name, sandbox.udp, sandbox.tcp, sandbox.ns.fd, view)
            ready.set()
            await self._over.wait()
            await resolver.shut_down()
            await resolver.close()

    def _endpoint(self, number: int) -> EndpointNames:
        return EndpointNames(f"e{number}", f"s{number}", (f"s{number}",), (self.address(number),))

    @property
    def pid(self) -> int:
        """The resolver process."""
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                with contextlib.suppress(OSError):
                    line = Path(f"/proc/{entry}/cmdline").read_bytes().decode("utf-8", "replace")
                    if self._path in line and "fairlead.dns" in line:
                        return int(entry)
        raise AssertionError("no resolver process")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        with contextlib.suppress(Exception):
            self._client.result(timeout=10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        for sandbox in self._sandboxes:
            for link in (sandbox.udp, sandbox.tcp):
                link.close()
            netns.remove(sandbox.ns)
        with contextlib.suppress(AssertionError):
            os.kill(self.pid, signal.SIGKILL)
