"""Network namespaces: made, pinned under /run/netns where ``ip netns`` shows them, entered, removed."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import TypeVar

from fairlead.errors import KernelError
from fairlead.ids import ContainerId
from fairlead.kernel import syscalls
from fairlead.kernel.netlink.codec import LinkEdit, set_link
from fairlead.kernel.netlink.connection import Netlink
from fairlead.kernel.threads import in_thread

T = TypeVar("T")

PINS = "/run/netns"
_SELF = "/proc/thread-self/ns/net"
_LOOPBACK_INDEX = 1


class Namespace:
    """A network namespace held by a descriptor; ``path`` is its pin, "" for one that has none (the host's)."""

    def __init__(self, path: str, fd: int, netlink: Netlink | None = None) -> None:
        self.path = path
        self.fd = fd
        self.inode = os.fstat(fd).st_ino
        self._netlink = netlink
        self._opening = threading.Lock()

    @property
    def name(self) -> str:
        return os.path.basename(self.path)

    @property
    def netlink(self) -> Netlink:
        """A rtnetlink socket inside, opened at first use and kept."""
        with self._opening:
            if self._netlink is None:
                self._netlink = run_in(self, Netlink)
            return self._netlink

    def close(self) -> None:
        """Give back the descriptors; the pin, if any, stays."""
        with self._opening:
            if self._netlink is not None:
                self._netlink.close()
                self._netlink = None
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def current() -> Namespace:
    """The namespace of the calling thread: for the daemon, its host."""
    return Namespace("", os.open(_SELF, os.O_RDONLY | os.O_CLOEXEC), Netlink())


def create(name: str) -> Namespace:
    """A new namespace with its loopback up, pinned under that name; raises KernelError (EEXIST: the name is taken)."""
    return in_thread(lambda: create_here(name))


def create_here(name: str, furnish: Callable[[], None] = lambda: None) -> Namespace:
    """Like ``create``, but the calling thread moves into the new namespace for good: for throwaway threads only.

    ``furnish`` runs inside before the namespace gets its name: whoever sees it, sees it finished.
    """
    with ExitStack() as undo:
        path = _reserve(name)
        undo.callback(os.unlink, path)
        try:
            syscalls.unshare(syscalls.CLONE_NEWNET)
            netlink = Netlink()
            undo.callback(netlink.close)
            netlink.batch([set_link(_LOOPBACK_INDEX, LinkEdit(up=True))])
            furnish()
            syscalls.mount(_SELF, path, None, syscalls.MS_BIND)
        except OSError as error:
            raise KernelError("make network namespace", name, error.errno or 0) from error
        undo.pop_all()
    return Namespace(path, os.open(_SELF, os.O_RDONLY | os.O_CLOEXEC), netlink)


def open_existing(path: str) -> Namespace:
    """Take hold of a pinned namespace; raises KernelError where the path is none."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise KernelError("open network namespace", path, error.errno or 0) from error
    if not is_pinned(path):
        os.close(fd)
        raise KernelError("open network namespace", path, 22)
    return Namespace(path, fd)


def rename(ns: Namespace, new_name: str) -> None:
    """Give the pin another name; the namespace and all who are in it notice nothing."""
    old, path = ns.path, _reserve(new_name)
    _pin(ns, path, "rename")
    ns.path = path
    _unpin(old)


def repin(ns: Namespace) -> None:
    """Put back a pin that somebody took away, under the same name."""
    if is_pinned(ns.path, ns.inode):
        return
    _pin(ns, _reserve(ns.name), "pin")


def _pin(ns: Namespace, path: str, verb: str) -> None:
    try:
        syscalls.mount(f"/proc/self/fd/{ns.fd}", path, None, syscalls.MS_BIND)
    except OSError as error:
        os.unlink(path)
        raise KernelError(f"{verb} network namespace", os.path.basename(path), error.errno or 0) from error


def remove(ns: Namespace) -> None:
    """Unpin and let go. What is left inside, the kernel cleans up behind once nothing lives there any more."""
    if ns.path and is_pinned(ns.path, ns.inode):
        _unpin(ns.path)
    ns.close()


def discard(name: str, inode: int) -> None:
    """What is left of a pin of ours: unmounted if it is that namespace, its file deleted if nothing else is on it."""
    path = f"{PINS}/{name}"
    if is_pinned(path, inode):
        _unpin(path)
    elif is_free(name):
        with suppress(FileNotFoundError):
            os.unlink(path)


def run_in(ns: Namespace, work: Callable[[], T]) -> T:
    """Run ``work`` in a throwaway thread inside that namespace."""

    def entered() -> T:
        syscalls.setns(ns.fd, syscalls.CLONE_NEWNET)
        return work()

    return in_thread(entered)


def is_free(name: str) -> bool:
    """Whether a namespace may be pinned under that name: nothing is there, or a file that an unmounted pin left."""
    path = f"{PINS}/{name}"
    if not os.path.lexists(path):
        return True
    return os.path.isfile(path) and not os.path.getsize(path) and not is_pinned(path)


def is_pinned(path: str, inode: int | None = None) -> bool:
    """Whether a namespace (that one, when an inode is given) is mounted at that path."""
    try:
        found, own = os.stat(path), os.stat(_SELF)
    except OSError:
        return False
    return found.st_dev == own.st_dev and inode in (None, found.st_ino)


def pins() -> dict[str, int]:
    """All pinned namespaces, ours and strangers': name to inode."""
    own = os.stat(_SELF).st_dev
    found: dict[str, int] = {}
    with suppress(FileNotFoundError), os.scandir(PINS) as entries:
        for entry in entries:
            with suppress(OSError):
                status = os.stat(entry.path)
                if status.st_dev == own:
                    found[entry.name] = status.st_ino
    return found


def _reserve(name: str) -> str:
    """An empty file to mount on; a leftover that holds no namespace is taken over."""
    _share_pins()
    path = f"{PINS}/{name}"
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444))
    except FileExistsError as error:
        if not is_free(name):
            raise KernelError("make network namespace", name, error.errno or 0) from error
    return path


def _share_pins() -> None:
    """Make /run/netns a shared mount as iproute2 does, so that a pin's removal reaches every mount namespace."""
    os.makedirs(PINS, mode=0o755, exist_ok=True)
    try:
        syscalls.mount(None, PINS, None, syscalls.MS_SHARED | syscalls.MS_REC)
    except OSError:
        syscalls.mount(PINS, PINS, None, syscalls.MS_BIND | syscalls.MS_REC)
        syscalls.mount(None, PINS, None, syscalls.MS_SHARED | syscalls.MS_REC)


def _unpin(path: str) -> None:
    with suppress(OSError):
        syscalls.umount(path, syscalls.MNT_DETACH)
    with suppress(FileNotFoundError):
        os.unlink(path)


@dataclass(frozen=True, slots=True)
class Pin:
    """A note of ours: this name was pinned by us to the namespace with that inode."""

    name: str
    inode: int

    @property
    def path(self) -> str:
        return f"{PINS}/{self.name}"

    def stands(self) -> bool:
        return is_pinned(self.path, self.inode)


def _note_path(exec_root: str, container: ContainerId) -> str:
    return f"{exec_root}/{container}/netns"


def write_pin(exec_root: str, container: ContainerId, ns: Namespace) -> None:
    """Note that this pin is ours, so that another daemon of ours, or this one after a crash, knows."""
    path = _note_path(exec_root, container)
    os.makedirs(os.path.dirname(path), mode=0o711, exist_ok=True)
    with open(path + ".new", "w", encoding="utf-8") as note:
        json.dump({"name": ns.name, "inode": ns.inode}, note)
    os.rename(path + ".new", path)


def read_pin(exec_root: str, container: ContainerId) -> Pin | None:
    """The note of a container's pin; None without one or where it is damaged."""
    try:
        with open(_note_path(exec_root, container), encoding="utf-8") as note:
            content = json.load(note)
        return Pin(str(content["name"]), int(content["inode"]))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def forget_pin(exec_root: str, container: ContainerId) -> None:
    """The container's pin is gone, and so is the note; the directory goes too once nothing else is in it."""
    path = _note_path(exec_root, container)
    with suppress(FileNotFoundError):
        os.unlink(path)
    with suppress(OSError):
        os.rmdir(os.path.dirname(path))
