"""cp: Docker's rules of where a copy goes, both ways, and archives that want too much."""

from __future__ import annotations

import base64
import io
import json
import os
import tarfile
from pathlib import Path

import pytest

from fairlead.cli.container.archive import CopyError, choose_target, extract, pack
from fairlead.cli.container.copy import Place, parse_place
from harness.fakeengine import Call, FakeEngine, Reply
from unit.cli.conftest import Run

DIRECTORY, LINK = 1 << 31, 1 << 27


def stat_header(name: str, mode: int = 0o644, target: str = "") -> dict[str, str]:
    found = {"name": name, "mode": mode, "size": 1, "mtime": "2026-01-01T00:00:00Z", "linkTarget": target}
    return {"X-Docker-Container-Path-Stat": base64.b64encode(json.dumps(found).encode()).decode()}


def archive(*members: tuple[str, bytes | str | None]) -> bytes:
    """(name, content) each; None is a directory, text the target of a link."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as writer:
        for name, content in members:
            member = tarfile.TarInfo(name)
            if content is None:
                member.type, member.mode = tarfile.DIRTYPE, 0o755
            elif isinstance(content, str):
                member.type, member.linkname = tarfile.SYMTYPE, content
            else:
                member.size = len(content)
            writer.addfile(member, io.BytesIO(content) if isinstance(content, bytes) else None)
    return buffer.getvalue()


def names_of(data: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(data)) as reader:
        return reader.getnames()


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("web:/a", Place("web", "/a")),
        ("web:", Place("web", "")),
        ("/a:b", Place("", "/a:b")),
        ("./a:b", Place("", "./a:b")),
        ("a", Place("", "a")),
        ("-", Place("", "-")),
    ],
)
def test_sides(text: str, place: Place) -> None:
    assert parse_place(text) == place


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a:/x", "b:/y"], "copying between containers is not supported"),
        (["/x", "/y"], "must specify at least one container source"),
        (["", "b:/y"], "source can not be empty"),
    ],
)
def test_sides_that_cannot_be(run: Run, words: list[str], message: str) -> None:
    assert run("cp", *words).err == f"{message}\n"


def test_where_a_copy_goes(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    folder = str(tmp_path)
    assert choose_target(folder, "src", is_directory=False, contents_only=False) == (folder, "src")
    assert choose_target(folder, "src", is_directory=True, contents_only=True) == (folder, "")
    assert choose_target(f"{folder}/new", "src", is_directory=True, contents_only=False) == (folder, "new")
    assert choose_target(f"{folder}/file", "src", is_directory=False, contents_only=False) == (folder, "file")
    for target, is_directory, message in (
        (f"{folder}/file", True, "cannot copy directory"),
        (f"{folder}/new/", False, "no such directory"),
        (f"{folder}/nonexistent/file", False, "does not exist"),
    ):
        with pytest.raises(CopyError, match=message):
            choose_target(target, "src", is_directory=is_directory, contents_only=False)


def from_container(engine: FakeEngine, name: str, data: bytes, mode: int = 0o644) -> None:
    engine.on("GET", "/containers/web/archive", Reply(data, 200, stat_header(name, mode)))


def test_a_file_out(engine: FakeEngine, run: Run, tmp_path: Path) -> None:
    from_container(engine, "file", archive(("file", b"content")))
    assert run("cp", "web:/etc/file", str(tmp_path)).code == 0
    assert run("cp", "web:/etc/file", f"{tmp_path}/other").code == 0
    assert (tmp_path / "file").read_bytes() == (tmp_path / "other").read_bytes() == b"content"
    assert engine.calls[0].query == {"path": "/etc/file"}


def test_a_directory_out(engine: FakeEngine, run: Run, tmp_path: Path) -> None:
    data = archive(("d", None), ("d/a", b"1"), ("d/sub", None), ("d/sub/b", b"2"), ("d/link", "a"))
    from_container(engine, "d", data, DIRECTORY | 0o755)
    run("cp", "web:/d", str(tmp_path))
    run("cp", "web:/d", f"{tmp_path}/renamed")
    run("cp", "web:/d/.", f"{tmp_path}")
    for folder in (tmp_path / "d", tmp_path / "renamed", tmp_path):
        assert (folder / "sub/b").read_text() == "2"
        assert os.readlink(folder / "link") == "a"


def test_out_as_an_archive(engine: FakeEngine, run: Run) -> None:
    from_container(engine, "x", b"raw tar")
    assert run("cp", "web:/x", "-").out == "raw tar"


def test_a_link_is_followed_when_asked(engine: FakeEngine, run: Run, tmp_path: Path) -> None:
    engine.on("HEAD", "/containers/web/archive", Reply(b"", 200, stat_header("link", LINK | 0o777, "/real/file")))
    from_container(engine, "file", archive(("file", b"content")))
    assert run("cp", "-L", "web:/link", str(tmp_path)).code == 0
    assert (tmp_path / "link").read_bytes() == b"content"
    assert engine.calls[-1].query == {"path": "/real/file"}


def into_container(engine: FakeEngine, found: dict[str, str] | None) -> None:
    missing = Reply({"message": "Could not find the file"}, 404)
    engine.on("HEAD", "/containers/web/archive", Reply(b"", 200, found) if found else missing)
    engine.on("PUT", "/containers/web/archive", Reply(None))
    engine.on("GET", "/containers/web/json", Reply({"Id": "web"}))


def last_put(engine: FakeEngine) -> Call:
    return engine.called("PUT", ".*")[-1]


def test_a_file_in(engine: FakeEngine, run: Run, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("content")
    into_container(engine, stat_header("etc", DIRECTORY | 0o755))
    assert run("cp", f"{tmp_path}/f", "web:/etc").code == 0
    assert last_put(engine).query == {"path": "/etc", "noOverwriteDirNonDir": "1"}
    assert names_of(last_put(engine).body) == ["f"]
    into_container(engine, None)
    run("cp", "-a", f"{tmp_path}/f", "web:/etc/new")
    assert last_put(engine).query == {"path": "/etc", "noOverwriteDirNonDir": "1", "copyUIDGID": "1"}
    assert names_of(last_put(engine).body) == ["new"]


def test_a_directory_in(engine: FakeEngine, run: Run, tmp_path: Path) -> None:
    (tmp_path / "d/sub").mkdir(parents=True)
    (tmp_path / "d/a").write_text("1")
    into_container(engine, stat_header("etc", DIRECTORY | 0o755))
    run("cp", f"{tmp_path}/d", "web:/etc")
    assert names_of(last_put(engine).body) == ["d", "d/a", "d/sub"]
    run("cp", f"{tmp_path}/d/.", "web:/etc")
    assert names_of(last_put(engine).body) == [".", "a", "sub"]
    into_container(engine, stat_header("file"))
    assert run("cp", f"{tmp_path}/d", "web:/etc/file").err == "cannot copy directory\n"


def test_in_fails_with_a_sentence(engine: FakeEngine, run: Run, tmp_path: Path) -> None:
    into_container(engine, None)
    assert run("cp", "/nonexistent/file", "web:/x").err == "lstat /nonexistent/file: no such file or directory\n"
    (tmp_path / "f").write_text("")
    assert run("cp", f"{tmp_path}/f", "web:/new/").err == "no such directory\n"
    engine.on("GET", "/containers/web/json", Reply({"message": "No such container: web"}, 404))
    assert run("cp", f"{tmp_path}/f", "web:/x").err == "Error response from daemon: No such container: web\n"


def test_packing_keeps_what_files_are(tmp_path: Path) -> None:
    source = tmp_path / "s"
    source.mkdir()
    (source / "file").write_bytes(os.urandom(70_000))
    (source / "file").chmod(0o751)
    (source / "link").symlink_to("file")
    os.link(source / "file", source / "hard")
    os.mkfifo(source / "pipe")
    target = tmp_path / "t"
    target.mkdir()
    data = b"".join(pack(str(source), "s"))
    assert len(data) % 512 == 0
    with tarfile.open(fileobj=io.BytesIO(data), mode="r|") as reader:
        extract(reader, choose_target(str(target), "s", is_directory=True, contents_only=False), keep_owner=False)
    copy = target / "s"
    assert (copy / "file").read_bytes() == (source / "file").read_bytes()
    assert (copy / "file").stat().st_mode == (source / "file").stat().st_mode
    assert (copy / "hard").stat().st_ino == (copy / "file").stat().st_ino
    assert os.readlink(copy / "link") == "file"
    assert (copy / "pipe").is_fifo()
    assert (copy / "file").stat().st_mtime == pytest.approx((source / "file").stat().st_mtime, abs=1)


@pytest.mark.parametrize(
    "members",
    [
        [("d", None), ("d/../../evil", b"x")],
        [("d", None), ("d/out", "/"), ("d/out/tmp/evil-of-cp", b"x")],
        [("d", None), ("d/up", ".."), ("d/up/../../evil", b"x")],
    ],
)
def test_an_archive_cannot_leave_its_folder(tmp_path: Path, members: list[tuple[str, bytes | str | None]]) -> None:
    folder = tmp_path / "a/b"
    folder.mkdir(parents=True)
    with tarfile.open(fileobj=io.BytesIO(archive(*members)), mode="r|") as reader:
        target = choose_target(str(folder), "d", is_directory=True, contents_only=False)
        with pytest.raises(CopyError, match="outside"):
            extract(reader, target, keep_owner=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a"]
    assert not Path("/tmp/evil-of-cp").exists()


def test_a_link_in_the_way_is_replaced_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("kept")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "f").symlink_to(tmp_path / "precious")
    with tarfile.open(fileobj=io.BytesIO(archive(("f", b"new"))), mode="r|") as reader:
        extract(reader, choose_target(str(folder), "f", is_directory=False, contents_only=False), keep_owner=False)
    assert (tmp_path / "precious").read_text() == "kept"
    assert (folder / "f").read_text() == "new"


def test_a_directory_is_not_replaced_by_a_file(tmp_path: Path) -> None:
    (tmp_path / "d/x").mkdir(parents=True)
    with tarfile.open(fileobj=io.BytesIO(archive(("d", None), ("d/x", b"file"))), mode="r|") as reader:
        target = choose_target(str(tmp_path), "d", is_directory=True, contents_only=False)
        with pytest.raises(CopyError, match="cannot overwrite directory"):
            extract(reader, target, keep_owner=False)
