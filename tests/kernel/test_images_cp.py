"""``docker cp``: nothing in a container's root, and nothing in an archive, leads out of that root."""

from __future__ import annotations

import contextlib
import io
import os
import stat
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from fairlead.errors import InvalidArgument, NotFound
from fairlead.images import archive


@pytest.fixture
def root(machine: Path) -> Path:
    """A container's root with traps in it; ``machine`` around it is the host."""
    root = machine / "root"
    (root / "etc").mkdir(parents=True)
    (root / "data/sub").mkdir(parents=True)
    (root / "etc/passwd").write_text("inside")
    (machine / "passwd").write_text("outside")
    (root / "data/file").write_text("content")
    os.symlink("/etc", root / "data/absolute")
    os.symlink("../../../../../../etc/passwd", root / "data/climbing")
    os.symlink(f"{machine}/passwd", root / "data/host")
    os.symlink("loop", root / "data/loop")
    return root


def names(data: bytes) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {entry.name: entry for entry in tar}


def fetched(root: Path, path: str, machine: Path) -> bytes:
    with open(machine / "out.tar", "w+b") as file:
        archive.get_archive(str(root), path, file.fileno(), "c1")
        file.seek(0)
        return file.read()


def tar(*entries: tuple[str, bytes | str | None], kind: bytes = tarfile.REGTYPE) -> io.BytesIO:
    """Members: name and content, a link's target (str) or None for a directory."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as out:
        for name, content in entries:
            entry = tarfile.TarInfo(name)
            entry.mode = 0o755
            if content is None:
                entry.type = tarfile.DIRTYPE
                out.addfile(entry)
            elif isinstance(content, str):
                entry.type, entry.linkname = kind if kind != tarfile.REGTYPE else tarfile.SYMTYPE, content
                out.addfile(entry)
            else:
                entry.size = len(content)
                out.addfile(entry, io.BytesIO(content))
    buffer.seek(0)
    return buffer


def test_facts_of_a_path(root: Path) -> None:
    found = archive.stat_path(str(root), "data/file")
    assert (found.name, found.size, found.link_target) == ("file", 7, "")
    assert stat.S_ISREG(found.mode)
    link = archive.stat_path(str(root), "/data/climbing")
    assert (link.name, link.link_target) == ("climbing", "/etc/passwd")
    assert stat.S_ISLNK(link.mode)
    followed = archive.stat_path(str(root), "/data/absolute/")
    assert (followed.name, stat.S_ISDIR(followed.mode)) == ("absolute", True)
    assert archive.stat_path(str(root), "/").name == "/"
    assert archive.stat_path(str(root), "/data/host").link_target == f"{root.parent}/passwd"


@pytest.mark.parametrize("path", ["/nothing", "/data/file/below", "/data/host/", "/data/loop/", "/data/" + "x" * 300])
def test_what_is_not_there(root: Path, path: str) -> None:
    for call in (archive.stat_path, archive.get_archive, archive.put_archive):
        arguments = {archive.stat_path: (), archive.get_archive: (1,), archive.put_archive: (io.BytesIO(),)}[call]
        with pytest.raises(NotFound, match=r"^Could not find the file .* in container c1$"):
            call(str(root), path, *arguments, container="c1")  # type: ignore[operator]


def test_paths_cannot_climb_out(root: Path) -> None:
    assert archive.stat_path(str(root), "../../../etc/passwd").size == len("inside")
    assert archive.resolve(str(root), "/data/climbing") == f"{root}/etc/passwd"
    assert archive.resolve(str(root), "/data/absolute/passwd") == f"{root}/etc/passwd"
    assert archive.resolve(str(root), "/data/host") == ""


def test_archive_of_a_directory_and_of_its_content(root: Path, machine: Path) -> None:
    whole = names(fetched(root, "/data", machine))
    assert set(whole) == {f"data{path}" for path in ("", "/sub", "/file", "/absolute", "/climbing", "/host", "/loop")}
    assert whole["data/absolute"].linkname == "/etc"
    assert set(names(fetched(root, "/data/sub/.", machine))) == {"."}
    assert set(names(fetched(root, "/data/absolute/", machine))) == {"absolute", "absolute/passwd"}
    assert names(fetched(root, "/data/absolute", machine))["absolute"].issym()
    assert names(fetched(root, "/data/file", machine))["file"].size == 7


def test_odd_files_travel(root: Path, machine: Path) -> None:
    os.mkfifo(root / "data/sub/fifo")
    os.mknod(root / "data/sub/zero", stat.S_IFCHR | 0o600, os.makedev(1, 5))
    (root / os.fsdecode(b"data/sub/\xff\xfe")).write_text("name of bytes")
    (root / "data/sub" / ("n" * 250)).write_text("long")
    os.link(root / "data/file", root / "data/sub/link")
    os.utime(root / "data/file", ns=(1, 1_700_000_000_123_456_789))
    data = fetched(root, "/data", machine)
    target = machine / "copy"
    target.mkdir()
    archive.put_archive(str(target), "/", io.BytesIO(data))
    assert (target / os.fsdecode(b"data/sub/\xff\xfe")).read_text() == "name of bytes"
    assert (target / "data/sub" / ("n" * 250)).exists()
    assert stat.S_ISFIFO((target / "data/sub/fifo").stat().st_mode)
    assert (target / "data/sub/zero").stat().st_rdev == os.makedev(1, 5)
    assert (target / "data/file").stat().st_ino == (target / "data/sub/link").stat().st_ino
    assert (target / "data/file").stat().st_mtime_ns == 1_700_000_000_123_456_789


@pytest.mark.parametrize("name", ["../escape", "/../escape", "a/../../escape", "absolute/../../../escape"])
def test_member_names_cannot_climb_out(root: Path, machine: Path, name: str) -> None:
    with contextlib.suppress(InvalidArgument):
        archive.put_archive(str(root), "/data", tar((name, b"bad")))
    assert not (machine / "escape").exists()
    assert (machine / "passwd").read_text() == "outside"


def test_members_through_links_stay_inside(root: Path, machine: Path) -> None:
    archive.put_archive(str(root), "/data", tar(("absolute/shadow", b"written")))
    assert (root / "etc/shadow").read_text() == "written"
    archive.put_archive(str(root), "/", tar(("way", str(machine)), ("way2", "../../../../.."), ("way2/in", b"x")))
    assert (root / "in").read_text() == "x"
    with pytest.raises(InvalidArgument):
        archive.put_archive(str(root), "/", tar(("way/passwd", b"bad")))
    assert (machine / "passwd").read_text() == "outside"


def test_hard_links_reach_only_what_is_inside(root: Path, machine: Path) -> None:
    for target in (f"{machine}/passwd", "../../passwd", "data/host", "way/passwd"):
        with pytest.raises(InvalidArgument):
            archive.put_archive(str(root), "/", tar(("way", str(machine)), ("stolen", target), kind=tarfile.LNKTYPE))
    archive.put_archive(str(root), "/", tar(("good", "etc/passwd"), kind=tarfile.LNKTYPE))
    assert (root / "good").read_text() == "inside"


def test_a_link_is_replaced_not_written_through(root: Path) -> None:
    archive.put_archive(str(root), "/data", tar(("climbing", b"mine")))
    assert (root / "data/climbing").read_text() == "mine"
    assert not (root / "data/climbing").is_symlink()
    assert (root / "etc/passwd").read_text() == "inside"


def test_kinds_are_kept_when_asked(root: Path) -> None:
    with pytest.raises(InvalidArgument, match='cannot overwrite directory "/data/sub" with non-directory'):
        archive.put_archive(str(root), "/data", tar(("sub", b"x")), no_overwrite=True)
    with pytest.raises(InvalidArgument, match='cannot overwrite non-directory "/data/file" with directory'):
        archive.put_archive(str(root), "/data", tar(("file", None)), no_overwrite=True)
    archive.put_archive(str(root), "/data", tar(("sub", b"x"), ("file", None)))
    assert (root / "data/sub").read_text() == "x"
    assert (root / "data/file").is_dir()


def test_owner_and_marks_of_layers(root: Path) -> None:
    """Names that are whiteouts in a layer are plain files here."""
    archive.put_archive(str(root), "/data", tar((".wh.file", b""), ("n", b"")), copy_uid_gid=True, owner=(7, 8))
    assert (root / "data/.wh.file").exists()
    assert (root / "data/file").exists()
    assert ((root / "data/n").stat().st_uid, (root / "data/n").stat().st_gid) == (7, 8)


def test_directories_are_merged(root: Path) -> None:
    before = (root / "data").stat()
    archive.put_archive(str(root), "/data", tar((".", None), ("sub", None), ("sub/new", b"1")))
    assert (root / "data/file").read_text() == "content"
    assert (root / "data/sub/new").read_text() == "1"
    assert (root / "data").stat().st_mode == before.st_mode


@pytest.mark.parametrize("data", [b"not a tar" * 100, tar(("a", b"x" * 1000)).getvalue()[:900], b"\x1f\x8bgzip?"])
def test_broken_archives_are_told(root: Path, data: bytes) -> None:
    with pytest.raises(InvalidArgument):
        archive.put_archive(str(root), "/data", io.BytesIO(data))


def test_target_must_be_a_directory(root: Path) -> None:
    with pytest.raises(InvalidArgument, match="extraction point is not a directory"):
        archive.put_archive(str(root), "/data/file", io.BytesIO())


@pytest.fixture
def racer(root: Path, machine: Path) -> Iterator[None]:
    """A process in the container that swaps a directory for a link to the host's, as fast as it can."""
    (root / "race").mkdir()
    (machine / "secret").mkdir()
    ending = threading.Event()

    def swap() -> None:
        while not ending.is_set():
            for step in (
                lambda: os.rename(root / "race", root / "aside"),
                lambda: os.symlink(machine / "secret", root / "race"),
                lambda: os.unlink(root / "race"),
                lambda: os.rename(root / "aside", root / "race"),
            ):
                with contextlib.suppress(OSError):  # an archive may have been quicker
                    step()

    thread = threading.Thread(target=swap)
    thread.start()
    yield
    ending.set()
    thread.join()


@pytest.mark.usefixtures("racer")
def test_a_racing_container_gains_nothing(root: Path, machine: Path) -> None:
    data = tar(("race/file", b"x"), ("race/dir", None)).getvalue()
    for _ in range(300):
        try:
            archive.put_archive(str(root), "/", io.BytesIO(data))
        except InvalidArgument:
            continue
        except OSError as error:
            pytest.fail(f"not the archive's fault: {error}")
    assert list((machine / "secret").iterdir()) == []


def test_root_of_a_running_process(root: Path, machine: Path) -> None:
    """A running container is seen through /proc, in its own mounts."""
    subprocess.run(["cp", "/bin/busybox", root / "data/busybox"], check=True)
    process = subprocess.Popen(["unshare", "-m", "chroot", root, "/data/busybox", "sleep", "60"])
    try:
        for _ in range(200):
            if os.readlink(f"/proc/{process.pid}/root") != "/":
                break
            threading.Event().wait(0.01)
        inside = f"/proc/{process.pid}/root"
        assert archive.stat_path(inside, "/data/climbing").link_target == "/etc/passwd"
        archive.put_archive(inside, "/data/absolute", tar(("group", b"g")))
        assert (root / "etc/group").read_text() == "g"
        assert "./passwd" in names(fetched(Path(inside), "/data/absolute/.", machine))
    finally:
        process.kill()
        process.wait()


def test_export_is_everything(root: Path, machine: Path) -> None:
    with open(machine / "out.tar", "w+b") as file:
        archive.export_tree(str(root), file.fileno())
        file.seek(0)
        found = names(file.read())
    assert {"etc", "etc/passwd", "data/file", "data/sub"} <= set(found)
    assert not any(name.startswith(("/", ".")) for name in found)
