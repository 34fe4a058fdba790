"""Mounts: overlays of few and of many layers, volumes with mount(8)'s options, mounts for one thread."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fairlead.errors import KernelError
from fairlead.kernel import mounts
from fairlead.kernel.threads import in_thread


def layers(base: Path, count: int, name: str = "layer") -> list[str]:
    paths = [base / f"{name}-{number:03}" for number in range(count)]
    for path in paths:
        path.mkdir(parents=True)
        (path / path.name).touch()
    return [str(path) for path in paths]


def directories(base: Path, *names: str) -> list[str]:
    for name in names:
        (base / name).mkdir()
    return [str(base / name) for name in names]


@pytest.fixture
def place(machine: Path) -> Path:
    """A directory on a tmpfs: the test's own may be on an overlay, which cannot be an upper layer."""
    path = machine / "place"
    path.mkdir()
    mounts.mount("tmpfs", str(path))
    return path


# 40 fit a page as they are, 90 do as relative paths, 250 do not at all.
@pytest.mark.parametrize("count", [1, 2, 40, 90, 250])
def test_an_overlay_of_any_number_of_layers(place: Path, count: int) -> None:
    target, upper, work = directories(place, "target", "upper", "work")
    here = os.getcwd()
    found = layers(place / "with-a-rather-long-name-so-that-they-fill-the-page-soon", count)
    mounts.mount_overlay(target, lowers=found, upper=upper, work=work)
    assert len(os.listdir(target)) == count
    Path(target, "written").touch()
    assert os.listdir(upper) == ["written"]
    assert os.getcwd() == here
    mounts.unmount(target)


def test_the_first_layer_is_the_topmost(place: Path) -> None:
    target, top, bottom = directories(place, "target", "top", "bottom")
    Path(top, "file").write_text("top", encoding="ascii")
    Path(bottom, "file").write_text("bottom", encoding="ascii")
    mounts.mount_overlay(target, lowers=[top, bottom], upper="", work="")
    assert Path(target, "file").read_text(encoding="ascii") == "top"
    with pytest.raises(OSError, match="Read-only"):
        Path(target, "new").touch()


def test_paths_with_separators_are_taken_as_they_are(place: Path) -> None:
    target, lower, upper, work = directories(place, "target", "low:er", "up,per", "wo:r,k")
    Path(lower, "file").touch()
    mounts.mount_overlay(target, lowers=[lower], upper=upper, work=work)
    Path(target, "new").touch()
    assert sorted(os.listdir(target)) == ["file", "new"]
    assert os.listdir(upper) == ["new"]


def test_a_refused_overlay_says_where(place: Path) -> None:
    with pytest.raises(KernelError, match=r"cannot mount overlay on .*/target"):
        mounts.mount_overlay(str(place / "target"), lowers=[str(place / "none")], upper="", work="")


def test_volumes_with_options(place: Path) -> None:
    source, target = directories(place, "source", "target")
    Path(source, "file").touch()
    mounts.mount_with_options(source, target, "none", ("rbind", "ro", "nosuid", "rprivate"))
    entry = next(entry for entry in mounts.entries() if entry.target == target)
    assert not entry.shared
    with pytest.raises(OSError, match="Read-only"):
        Path(target, "new").touch()
    mounts.unmount(target)
    mounts.mount_with_options("tmpfs", target, "tmpfs", ("size=64k", "noexec", "uid=1000"))
    assert os.stat(target).st_uid == 1000
    assert os.statvfs(target).f_flag & os.ST_NOEXEC
    with pytest.raises(OSError, match="No space"):
        Path(target, "big").write_bytes(b"x" * 200_000)


def test_a_self_bind_is_made_once(place: Path) -> None:
    (path,) = directories(place, "root")
    assert mounts.self_bind_private(path)
    assert not mounts.self_bind_private(path)
    assert mounts.is_mount(path)


def test_what_is_mounted_below_is_taken_away_innermost_first(place: Path) -> None:
    outer, _ = directories(place, "outer", "outer2")
    mounts.mount("tmpfs", outer)
    (inner,) = directories(Path(outer), "inner")
    mounts.mount("tmpfs", inner)
    mounts.unmount_below(outer)
    assert mounts.is_mount(outer)
    assert not mounts.is_mount(inner)
    mounts.unmount(outer)
    mounts.unmount(outer)  # gone already


def test_a_threads_own_mounts_are_seen_by_nobody_else(place: Path) -> None:
    (target,) = directories(place, "target")

    def look() -> bool:
        mounts.unshare_mounts()
        mounts.mount("tmpfs", target)
        return mounts.is_mount(target)

    assert in_thread(look)
    assert not mounts.is_mount(target)


def test_names_with_blanks_are_found(place: Path) -> None:
    (path,) = directories(place, "with a\ttab \\ and blanks")
    mounts.mount("tmpfs", path)
    assert mounts.is_mount(path)
    mounts.unmount(path)
    assert not mounts.is_mount(path)
