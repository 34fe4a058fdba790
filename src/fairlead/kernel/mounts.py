"""Mounts: bind, overlay with any number of layers, private self-binds, what is mounted where."""

from __future__ import annotations

import errno
import functools
import operator
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from fairlead.errors import KernelError
from fairlead.kernel import syscalls
from fairlead.kernel.syscalls import MNT_DETACH, MS_BIND, MS_PRIVATE, MS_REC
from fairlead.kernel.threads import in_thread

# mount(2) takes one page of options, its terminating NUL included.
_PAGE = 4096
_OCTAL = {"\\040": " ", "\\011": "\t", "\\012": "\n", "\\134": "\\"}

_FLAGS = {
    "ro": syscalls.MS_RDONLY,
    "nosuid": syscalls.MS_NOSUID,
    "nodev": syscalls.MS_NODEV,
    "noexec": syscalls.MS_NOEXEC,
    "sync": 1 << 4,
    "remount": syscalls.MS_REMOUNT,
    "mand": 1 << 6,
    "dirsync": 1 << 7,
    "noatime": 1 << 10,
    "nodiratime": 1 << 11,
    "bind": MS_BIND,
    "rbind": MS_BIND | MS_REC,
    "silent": 1 << 15,
    "relatime": 1 << 21,
    "strictatime": 1 << 24,
    "lazytime": 1 << 25,
    # What is so without saying.
    **dict.fromkeys(("defaults", "rw", "suid", "dev", "exec", "async", "atime", "diratime", "nomand", "loud"), 0),
}
_PROPAGATION = {
    prefix + name: flag | recursive
    for name, flag in (
        ("private", MS_PRIVATE),
        ("shared", syscalls.MS_SHARED),
        ("slave", syscalls.MS_SLAVE),
        ("unbindable", syscalls.MS_UNBINDABLE),
    )
    for prefix, recursive in (("", 0), ("r", MS_REC))
}


@dataclass(frozen=True, slots=True)
class MountEntry:
    """A line of mountinfo: where it is, what it is; ``shared`` is whether it propagates."""

    target: str
    kind: str
    source: str
    root: str
    shared: bool


def bind(source: str, target: str, *, recursive: bool = True) -> None:
    _mount("bind", source, target, None, MS_BIND | (MS_REC if recursive else 0))


def mount(kind: str, target: str, *, source: str = "", flags: int = 0, options: str = "") -> None:
    """A new filesystem (tmpfs, proc …) at ``target``; raises KernelError."""
    _mount("mount", source or kind, target, kind, flags, options=options or None)


def mount_with_options(device: str, target: str, kind: str, options: Sequence[str]) -> None:
    """Mount as mount(8) would with ``-t kind -o options``: flags are flags, the rest goes to the filesystem."""
    flags = functools.reduce(operator.or_, (_FLAGS.get(option, 0) for option in options), 0)
    rest = ",".join(option for option in options if option not in _FLAGS and option not in _PROPAGATION)
    _mount("mount", device or kind, target, kind, flags, options=rest or None)
    if flags & MS_BIND and flags & ~(MS_BIND | MS_REC):
        # A bind mount takes its options only when it is mounted again.
        _mount("mount", None, target, None, flags & ~MS_REC | syscalls.MS_REMOUNT)
    for option in options:
        if option in _PROPAGATION:
            _mount("mount", None, target, None, _PROPAGATION[option])


def unshare_mounts() -> None:
    """Give the calling thread, which must be a throwaway, mounts of its own: it sees the host's, nobody sees its."""
    try:
        syscalls.unshare(syscalls.CLONE_NEWNS)
    except OSError as error:
        raise KernelError("unshare", "mounts", error.errno or 0) from error
    _mount("unshare", None, "/", None, syscalls.MS_SLAVE | MS_REC)


def make_private(target: str, *, recursive: bool = True) -> None:
    _mount("make private", None, target, None, MS_PRIVATE | (MS_REC if recursive else 0))


def self_bind_private(path: str) -> bool:
    """Make a directory a mount of its own that propagates nowhere; False where it was one already.

    What is mounted below is then seen by this mount namespace only, even where / is shared (systemd).
    """
    fresh = not is_mount(path)
    if fresh:
        bind(path, path, recursive=False)
    make_private(path, recursive=False)
    return fresh


def borrow(namespace: str, path: str, target: str) -> None:
    """Mount at ``target`` what another mount namespace has at ``path``; raises KernelError.

    A bind mount cannot reach across namespaces, a tree cloned inside the other one can be carried over. The calling
    thread must be a throwaway with a file system context of its own.
    """
    try:
        with open("/proc/thread-self/ns/mnt", "rb") as own, open(namespace, "rb") as other:
            syscalls.setns(other.fileno(), syscalls.CLONE_NEWNS)
            try:
                tree = syscalls.clone_tree(path)
            finally:
                syscalls.setns(own.fileno(), syscalls.CLONE_NEWNS)
        try:
            syscalls.move_mount(tree, target)
        finally:
            os.close(tree)
    except OSError as error:
        raise KernelError("share", path, error.errno or 0) from error


def unmount(target: str) -> None:
    """Take the topmost mount at ``target`` away, as soon as nobody uses it; nothing there is success."""
    try:
        syscalls.umount(target, MNT_DETACH | syscalls.UMOUNT_NOFOLLOW)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOENT):
            raise KernelError("unmount", target, error.errno or 0) from error


def unmount_below(root: str) -> None:
    """Take away every mount below a directory (not the directory's own), innermost first."""
    below = [entry.target for entry in entries() if entry.target.startswith(root.rstrip("/") + "/")]
    for target in reversed(below):
        with suppress(KernelError):
            unmount(target)


def is_mount(path: str) -> bool:
    """Whether something is mounted exactly there; tells bind mounts of the same filesystem too."""
    real = os.path.realpath(path)
    return any(entry.target == real for entry in entries())


def entries() -> list[MountEntry]:
    """All mounts of this thread's mount namespace, in the order they were made."""
    with open("/proc/thread-self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        return parse_mountinfo(file)


def parse_mountinfo(lines: Iterable[str]) -> list[MountEntry]:
    return [_entry(line.split(" ")) for line in lines]


def _entry(fields: list[str]) -> MountEntry:
    # id parent major:minor root target options [optional fields …] - type source superoptions
    dash = fields.index("-", 6)
    shared = any(field.startswith("shared:") for field in fields[6:dash])
    kind, source = fields[dash + 1].rstrip("\n"), fields[dash + 2]
    return MountEntry(_plain(fields[4]), kind, _plain(source), _plain(fields[3]), shared)


def _plain(escaped: str) -> str:
    if "\\" not in escaped:
        return escaped
    for code, character in _OCTAL.items():
        escaped = escaped.replace(code, character)
    return escaped


def mount_overlay(
    target: str, *, lowers: Sequence[str], upper: str, work: str, options: Sequence[str] = (), flags: int = 0
) -> None:
    """Overlay with ``lowers`` (topmost first) under ``upper``; read-only when ``upper`` is "". Raises KernelError.

    When the options exceed mount(2)'s page, layers are given one by one through the new mount interface (Linux 6.8)
    or by paths relative to their common directory.
    """
    writable = [("upperdir", upper), ("workdir", work)] if upper else []
    rest = [f"{key}={_escaped(path)}" for key, path in writable] + list(options)
    whole = ",".join([f"lowerdir={':'.join(map(_escaped, lowers))}", *rest])
    try:
        if len(os.fsencode(whole)) < _PAGE:
            syscalls.mount("overlay", target, "overlay", flags, whole)
        elif not _mount_relative(target, lowers, rest, flags):
            _mount_one_by_one(target, [*(("lowerdir+", lower) for lower in lowers), *writable], options)
    except OSError as error:
        raise KernelError("mount overlay on", target, error.errno or 0) from error


def _mount_relative(target: str, lowers: Sequence[str], rest: Sequence[str], flags: int) -> bool:
    """Mount by paths relative to the layers' common directory; False where even these fill more than a page."""
    common = os.path.commonpath(lowers)
    relative = ":".join(_escaped(os.path.relpath(lower, common)) for lower in lowers)
    text = ",".join([f"lowerdir={relative}", *rest])
    if len(os.fsencode(text)) >= _PAGE:
        return False

    def from_common() -> None:
        syscalls.unshare(syscalls.CLONE_FS)
        os.chdir(common)
        syscalls.mount("overlay", target, "overlay", flags, text)

    # The working directory belongs to all threads of a process, except in one that unshared it; a new thread starts
    # in the mount namespace of the one that made it.
    in_thread(from_common)
    return True


def _mount_one_by_one(target: str, paths: Sequence[tuple[str, str]], options: Sequence[str]) -> None:
    """Through the new mount interface, where every value is taken as it is, up to 256 bytes long."""
    pairs = [option.partition("=")[::2] for option in options]
    context = syscalls.fsopen("overlay")
    try:
        for key, value in [*paths, *pairs]:
            syscalls.fsconfig_string(context, key, value)
        syscalls.fsconfig_create(context)
        tree = syscalls.fsmount(context)
    finally:
        os.close(context)
    try:
        syscalls.move_mount(tree, target)
    finally:
        os.close(tree)


def _escaped(path: str) -> str:
    """To overlayfs ``:`` begins the next layer and ``,`` the next option."""
    return path.replace("\\", "\\\\").replace(":", "\\:").replace(",", "\\,")


def _mount(
    verb: str, source: str | None, target: str, kind: str | None, flags: int, *, options: str | None = None
) -> None:
    try:
        syscalls.mount(source, target, kind, flags, options)
    except OSError as error:
        raise KernelError(verb, target, error.errno or 0) from error
