"""Who a process in a container runs as: --user and --group-add looked up in the root file system's own accounts."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from fairlead.errors import RuntimeFailure
from fairlead.runtime.openat2 import open_beneath

_MAX_ID = (1 << 31) - 1
# An account file beyond this is not one; the limit keeps a hostile image from filling our memory.
_MAX_FILE = 8 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Numbers the kernel understands; ``home`` is what HOME says when nobody set it."""

    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()
    home: str = "/"
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accounts:
    """The text of /etc/passwd and /etc/group; "" where the root file system has none."""

    passwd: str = ""
    group: str = ""


@dataclass(frozen=True, slots=True)
class _User:
    name: str
    uid: int
    gid: int
    home: str


@dataclass(frozen=True, slots=True)
class _Group:
    name: str
    gid: int
    members: tuple[str, ...]


def resolve(user: str, extra_groups: Iterable[str], accounts: Accounts) -> Identity:
    """The identity for ``user`` (name or number, with an optional ``:group``); raises RuntimeFailure in Docker's words.

    Without a group of its own in ``user`` the supplementary groups come from /etc/group; --group-add adds to them.
    """
    wanted_user, colon, wanted_group = user.partition(":")
    groups = tuple(_groups(accounts.group))
    person = _find_user(wanted_user or "0", accounts.passwd)
    gid = _find_group(wanted_group, groups) if colon and wanted_group else person.gid
    supplementary: tuple[int, ...] = ()
    if not wanted_group and person.name:
        supplementary = tuple(group.gid for group in groups if person.name in group.members)
    added = tuple(_find_group(name, groups) for name in extra_groups)
    # The primary group is listed too, as runc and containerd do (CVE-2023-25173).
    everyone = tuple(dict.fromkeys((gid, *supplementary, *added)))
    return Identity(uid=person.uid, gid=gid, groups=everyone, home=person.home, name=person.name)


def _find_user(wanted: str, passwd: str) -> _User:
    users = tuple(_users(passwd))
    by_name = next((user for user in users if user.name == wanted), None)
    if by_name is not None:
        return by_name
    uid = _number(wanted)
    if uid is None:
        raise RuntimeFailure(f"unable to find user {wanted}: no matching entries in passwd file")
    return next((user for user in users if user.uid == uid), _User("", uid, 0, "/"))


def _find_group(wanted: str, groups: Sequence[_Group]) -> int:
    for group in groups:
        if group.name == wanted:
            return group.gid
    gid = _number(wanted)
    if gid is None:
        raise RuntimeFailure(f"unable to find group {wanted}: no matching entries in group file")
    return gid


def _number(text: str) -> int | None:
    if not (text.isascii() and text.isdigit()):
        return None
    number = int(text)
    if number > _MAX_ID:
        raise RuntimeFailure(f"uids and gids must be in range 0-{_MAX_ID}")
    return number


def _users(passwd: str) -> Iterator[_User]:
    for fields in _entries(passwd):
        if len(fields) >= 4 and fields[2].isdigit() and fields[3].isdigit():
            home = fields[5] if len(fields) > 5 and fields[5] else "/"
            yield _User(fields[0], int(fields[2]), int(fields[3]), home)


def _groups(group: str) -> Iterator[_Group]:
    for fields in _entries(group):
        if len(fields) >= 3 and fields[2].isdigit():
            members = tuple(fields[3].split(",")) if len(fields) > 3 else ()
            yield _Group(fields[0], int(fields[2]), members)


def _entries(text: str) -> Iterator[list[str]]:
    for line in text.splitlines():
        stripped = line.strip()
        if stripped and not stripped.startswith("#"):
            yield stripped.split(":")


def read_accounts(layers: Sequence[str]) -> Accounts:
    """The account files as the union of ``layers`` shows them, the topmost layer first (one entry: a mounted root)."""
    return Accounts(passwd=_read(layers, "passwd"), group=_read(layers, "group"))


def _read(layers: Sequence[str], name: str) -> str:
    for layer in layers:
        found = _read_in(layer, name)
        if found is not None:
            return found
    return ""


def _read_in(layer: str, name: str) -> str | None:
    """The file's text; None where this layer says nothing about it, "" where it hides what is below."""
    try:
        root = os.open(layer, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        file = open_beneath(root, f"etc/{name}")
    except OSError as error:
        # ENXIO is what opening an overlay whiteout (a character device 0:0) gives.
        return "" if error.errno == errno.ENXIO else _opaque(layer)
    finally:
        os.close(root)
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            return ""
        return os.read(file, _MAX_FILE).decode("utf-8", "replace")
    finally:
        os.close(file)


def _opaque(layer: str) -> str | None:
    try:
        hidden = os.getxattr(f"{layer}/etc", "trusted.overlay.opaque", follow_symlinks=False) == b"y"
    except OSError:
        return None
    return "" if hidden else None
