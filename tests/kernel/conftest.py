"""Every kernel test runs in network and mount namespaces of its own, made and left by the test's thread."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fairlead.kernel import netns, syscalls
from fairlead.kernel.apply import Kernel
from fairlead.kernel.sandbox import Sandbox, open_sandbox
from fairlead.net import ruleset
from fairlead.settings import Settings
from kernel.plumbing import run

IN_USE = (syscalls.CLONE_NEWNET, syscalls.CLONE_NEWNS)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Path]:
    """A fresh "host": its own network, /sys, /run/netns; the test's thread is in it."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    syscalls.unshare(syscalls.CLONE_FS)
    names = ("net", "mnt")
    before = [os.open(f"/proc/thread-self/ns/{name}", os.O_RDONLY) for name in names]
    here = os.getcwd()
    syscalls.unshare(syscalls.CLONE_NEWNET | syscalls.CLONE_NEWNS)
    syscalls.mount(None, "/", None, syscalls.MS_REC | syscalls.MS_PRIVATE)
    os.makedirs("/run/netns", exist_ok=True)
    with contextlib.suppress(OSError):
        while True:  # somebody else's pins, below those of the test
            syscalls.umount("/run/netns", syscalls.MNT_DETACH)
    syscalls.mount("tmpfs", "/run/netns", "tmpfs")
    run("ip", "link", "set", "lo", "up")
    try:
        yield tmp_path
    finally:
        syscalls.unshare(syscalls.CLONE_FS)
        for fd, kind in zip(before, IN_USE, strict=True):
            syscalls.setns(fd, kind)
            os.close(fd)
        os.chdir(here)


@pytest.fixture
def settings(machine: Path) -> Settings:
    return Settings(exec_root=str(machine / "exec"), data_root=str(machine / "data"))


@pytest.fixture
def kernel(settings: Settings) -> Iterator[Kernel]:
    kernel = Kernel(settings)
    asyncio.run(kernel.open())
    kernel.nft.load(ruleset.load(()))
    yield kernel
    asyncio.run(kernel.close())


@pytest.fixture
def sandbox(machine: Path) -> Iterator[Sandbox]:
    box = open_sandbox("web", {"net/ipv6/conf/all/disable_ipv6": "0"})
    yield box
    box.udp.close()
    box.tcp.close()
    if box.ns.fd >= 0:
        netns.remove(box.ns)


@pytest.fixture
def timing() -> Callable[[str, list[float]], None]:
    """Says medians in the captured output; ``-rP`` or ``-s`` shows them."""

    def tell(what: str, seconds: list[float]) -> None:
        ordered = sorted(value * 1000 for value in seconds)
        print(f"{what}: median {ordered[len(ordered) // 2]:.2f} ms, {ordered[0]:.2f} to {ordered[-1]:.2f}")

    return tell
