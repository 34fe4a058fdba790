"""max-size and max-file: keeping the log files that conmon replaces.

conmon bounds the live file itself, daemon or not: when it is full it renames a new file over it, and the old one would
be gone. A second name for the live file (``.live``) keeps it; when the live file is another one than that, the old
ones move up: ``.live`` becomes ``.1``, ``.1`` becomes ``.2`` and so on. Where conmon was faster than we are, a file is
lost between two that are kept: then those before the gap go too, for a log ends somewhere but has no holes.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise

from fairlead.errors import InvalidArgument
from fairlead.runtime import inotify

_KEPT_NAME = ".live"
_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([kKmMgGtTpP])?([iI]?[bB])?\Z")
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}

_FILE_OPTIONS = frozenset(
    {"max-size", "max-file", "compress", "labels", "labels-regex", "env", "env-regex", "tag", "mode", "max-buffer-size"}
)
_DRIVERS: Mapping[str, frozenset[str] | None] = {"json-file": _FILE_OPTIONS, "local": _FILE_OPTIONS, "none": None}


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPolicy:
    """``keep``: whether there is a log at all; ``max_size`` 0 is unlimited; ``max_file`` counts the live one too."""

    keep: bool = True
    max_size: int = 0
    max_file: int = 1


def parse_policy(driver: str, options: Mapping[str, str]) -> LogPolicy:
    """--log-driver and --log-opt; raises InvalidArgument in Docker's words."""
    if driver not in _DRIVERS:
        raise InvalidArgument(f'error looking up logging plugin {driver}: plugin "{driver}" not found')
    known = _DRIVERS[driver]
    if known is None:
        return LogPolicy(keep=False)
    for name in options:
        if name not in known:
            raise InvalidArgument(f"unknown log opt '{name}' for {driver} log driver")
    defaults = LogPolicy(max_size=20_000_000, max_file=5) if driver == "local" else LogPolicy()
    policy = LogPolicy(
        max_size=_max_size(options["max-size"]) if "max-size" in options else defaults.max_size,
        max_file=_max_file(options["max-file"]) if "max-file" in options else defaults.max_file,
    )
    compress = options.get("compress", "") in ("1", "t", "true", "True", "TRUE")
    if compress and driver == "json-file" and (policy.max_file < 2 or not policy.max_size):
        raise InvalidArgument("compress cannot be true when max-file is less than 2 or max-size is not set")
    return policy


def _max_size(text: str) -> int:
    size = parse_size(text)
    if size <= 0:
        raise InvalidArgument("max-size must be a positive number")
    return size


def _max_file(text: str) -> int:
    if not text.lstrip("+-").isdigit():
        raise InvalidArgument(f'strconv.Atoi: parsing "{text}": invalid syntax')
    if int(text) < 1:
        raise InvalidArgument("max-file cannot be less than 1")
    return int(text)


def parse_size(text: str) -> int:
    """A human size in powers of 1000 (``10m``), as Docker reads max-size; -1 is unlimited. Raises InvalidArgument."""
    match = _SIZE.match(text)
    if match is None:
        raise InvalidArgument(f"invalid size: '{text}'")
    number, unit, _ = match.groups()
    return int(float(number) * 1000 ** _POWERS[(unit or "").lower()])


def rotated_files(path: str) -> tuple[str, ...]:
    """The older files of a log, oldest first, without the live one."""
    folder, name = os.path.split(path)
    pattern = re.compile(re.escape(name) + r"\.(\d+)\Z")
    try:
        found = {int(match.group(1)): entry for entry in os.listdir(folder) if (match := pattern.match(entry))}
    except FileNotFoundError:
        return ()
    older = tuple(os.path.join(folder, found[number]) for number in sorted(found, reverse=True))
    kept = path + _KEPT_NAME
    return (*older, kept) if not _same_file(kept, path) and os.path.exists(kept) else older


def remove_logs(path: str) -> None:
    """All files of a log."""
    for name in (*rotated_files(path), path + _KEPT_NAME, path):
        with suppress(FileNotFoundError):
            os.unlink(name)


def keep(path: str, max_file: int) -> bool:
    """Move up what conmon replaced, and hold on to the live file; whether it was replaced."""
    kept = path + _KEPT_NAME
    if _same_file(kept, path):
        return False
    replaced = os.path.exists(kept)
    if replaced:
        _shift(path, max_file)
    with suppress(FileNotFoundError):
        os.link(path, kept)
    return replaced


def _forget_older(path: str) -> None:
    """All files but the live one."""
    for name in rotated_files(path):
        with suppress(FileNotFoundError):
            os.unlink(name)


def _shift(path: str, max_file: int) -> None:
    names = [path + _KEPT_NAME, *(f"{path}.{number}" for number in range(1, max_file))]
    # The live file counts as one of max_file: with two of them only .1 is kept besides it.
    for source, target in reversed(tuple(pairwise(names))):
        with suppress(FileNotFoundError):
            os.rename(source, target)


def _same_file(one: str, other: str) -> bool:
    try:
        return os.path.samefile(one, other)
    except FileNotFoundError:
        return False


class LogRotation:
    """Watches the logs of running containers that are to keep more than one file."""

    def __init__(self) -> None:
        self._inotify: inotify.Inotify | None = None
        self._paths: dict[str, int] = {}
        self._unseen: dict[str, int] = {}  # rotations that were told of and that no file was kept for
        self._folders: dict[int, str] = {}

    def add(self, path: str, max_file: int) -> None:
        """Keep up to ``max_file`` files of this log from now on, and what was replaced while nobody looked.

        To be called before conmon starts, so that the first file is not missed.
        """
        if max_file < 2:
            return
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640))
        # CREATE of the new file comes between two renames, which the kernel would otherwise tell as one.
        watch = self._opened().watch(os.path.dirname(path), inotify.MOVED_TO | inotify.CREATE)
        self._folders[watch] = os.path.dirname(path)
        self._paths[path] = max_file
        keep(path, max_file)

    def discard(self, path: str) -> None:
        """The container ended: its log changes no more. The watch goes when its directory does."""
        if path in self._paths:
            self._read()
            keep(path, self._paths.pop(path))
            self._unseen.pop(path, None)

    def close(self) -> None:
        if self._inotify is not None:
            asyncio.get_running_loop().remove_reader(self._inotify.fileno())
            self._inotify.close()
            self._inotify = None

    def _opened(self) -> inotify.Inotify:
        if self._inotify is None:
            self._inotify = inotify.Inotify()
            asyncio.get_running_loop().add_reader(self._inotify.fileno(), self._read)
        return self._inotify

    def _read(self) -> None:
        assert self._inotify is not None
        replaced: dict[str, int] = defaultdict(int)
        for event in self._inotify.events():
            if event.mask & inotify.CREATE:
                continue
            replaced[os.path.join(self._folders.get(event.watch, ""), event.name)] += 1
        for path, times in replaced.items():
            if path in self._paths:
                self._keep(path, times)

    def _keep(self, path: str, times: int) -> None:
        """A file may be kept before its event is read, so the count may be one ahead of the events."""
        kept = keep(path, self._paths[path])
        unseen = self._unseen.get(path, 0) + times - kept
        if unseen > 0:
            _forget_older(path)
        self._unseen[path] = min(unseen, 0)
