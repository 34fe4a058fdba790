"""Reading mountinfo."""

from __future__ import annotations

from fairlead.kernel.mounts import MountEntry, parse_mountinfo

LINES = (
    "22 27 0:21 / /proc rw,relatime - proc proc rw\n",
    "31 23 0:28 / /sys/fs/cgroup rw shared:9 master:1 - tmpfs tmpfs rw,mode=755\n",
    "40 27 0:4 net:[4026532958] /run/netns/with\\040blank rw - nsfs nsfs rw\n",
    "41 27 0:9 / /a\\134b rw - overlay - rw\n",
)


def test_lines_with_and_without_propagation_and_with_escapes() -> None:
    assert parse_mountinfo(LINES) == [
        MountEntry("/proc", "proc", "proc", "/", shared=False),
        MountEntry("/sys/fs/cgroup", "tmpfs", "tmpfs", "/", shared=True),
        MountEntry("/run/netns/with blank", "nsfs", "nsfs", "net:[4026532958]", shared=False),
        MountEntry("/a\\b", "overlay", "-", "/", shared=False),
    ]
