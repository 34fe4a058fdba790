"""X-Docker-Container-Path-Stat: a path's stat as Go's os.FileInfo writes it."""

from __future__ import annotations

import base64
import stat

import msgspec

from fairlead.model.views import PathStat
from fairlead.wire.times import rfc3339

# Go's os.FileMode bits (io/fs) for the file types and modifiers of st_mode.
_TYPES = {
    stat.S_IFDIR: 1 << 31,
    stat.S_IFLNK: 1 << 27,
    stat.S_IFBLK: 1 << 26,
    stat.S_IFIFO: 1 << 25,
    stat.S_IFSOCK: 1 << 24,
    stat.S_IFCHR: 1 << 26 | 1 << 21,
}
_MODIFIERS = ((stat.S_ISUID, 1 << 23), (stat.S_ISGID, 1 << 22), (stat.S_ISVTX, 1 << 20))


def go_mode(mode: int) -> int:
    """``st_mode`` as Go's os.FileMode."""
    bits = _TYPES.get(stat.S_IFMT(mode), 0) | (mode & 0o777)
    for ours, theirs in _MODIFIERS:
        bits |= theirs if mode & ours else 0
    return bits


def path_stat_header(found: PathStat) -> str:
    """The header's value: base64 of JSON."""
    shown = {
        "name": found.name,
        "size": found.size,
        "mode": go_mode(found.mode),
        "mtime": rfc3339(found.mtime) if found.mtime else "1970-01-01T00:00:00Z",
        "linkTarget": found.link_target,
    }
    return base64.b64encode(msgspec.json.encode(shown)).decode()
