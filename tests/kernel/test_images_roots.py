"""Layers and roots on the real overlayfs: whiteouts, what containers change, what becomes of it as a layer."""

from __future__ import annotations

import asyncio
import gzip
import io
import os
import stat
import tarfile
from pathlib import Path
from typing import BinaryIO

import pytest

from fairlead.errors import Conflict, NotFound
from fairlead.images import layerdiff
from fairlead.images.removal import User
from fairlead.images.rootfs import RootFs
from fairlead.images.store import ImageStore
from fairlead.kernel import mounts
from fairlead.model.image import Image
from fairlead.model.requests import CommitSpec, ImportSpec
from fairlead.model.views import Change, Deleted
from harness.images import Layer, Recipe, archive
from images_fixture import chunks


@pytest.fixture
def store(machine: Path) -> ImageStore:
    return ImageStore.open(str(machine / "data"))


def load(store: ImageStore, data: bytes) -> list[str]:
    async def run() -> list[str]:
        return [line.stream.strip() async for line in store.load(chunks(data), quiet=True)]

    return asyncio.run(run())


def image_of(store: ImageStore, *layers: bytes, name: str = "test:latest") -> Image:
    load(store, archive([Recipe(names=[name], layers=layers)]))
    return store.find(name)


def mounted(machine: Path, root: RootFs, name: str = "merged") -> Path:
    target = machine / name
    target.mkdir(exist_ok=True)
    overlay = root.overlay()
    mounts.mount_overlay(str(target), lowers=overlay.lowers, upper=overlay.upper, work=overlay.work)
    return target


def prepared(machine: Path, image: Image, container: str = "c1") -> RootFs:
    root = RootFs(str(machine / "data"), container)
    root.prepare(image)
    return root


def tree(root: Path) -> dict[str, str]:
    """Every path with its content, link target or kind; what the scaffold adds is left out."""
    ours = {"dev", "proc", "sys", ".dockerenv", "dev/pts", "dev/shm", "dev/console", "etc/mtab"}
    ours |= {"etc/hosts", "etc/hostname", "etc/resolv.conf"}
    found = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if name in ours or (name == "etc" and set(os.listdir(path)) <= {"mtab", "hosts", "hostname", "resolv.conf"}):
            continue
        if path.is_symlink():
            found[name] = f"-> {os.readlink(path)}"
        else:
            found[name] = "/" if path.is_dir() else path.read_text()
    return found


def test_whiteouts_hide_what_is_below(machine: Path, store: ImageStore) -> None:
    base = Layer().directory("a").file("a/one", "1").file("a/two", "2").directory("b").file("b/three", "3")
    base.directory("c").file("c/four", "4").link("l", "a")
    top = (
        Layer().file("a/.wh.one", "").file("b/.wh..wh..opq", "").file("b/five", "5").file(".wh.c", "").file(".wh.l", "")
    )
    image = image_of(store, base.bytes(), top.bytes())
    assert tree(mounted(machine, prepared(machine, image))) == {"a": "/", "a/two": "2", "b": "/", "b/five": "5"}


@pytest.mark.parametrize("deleted_first", [True, False])
def test_directory_deleted_and_made_anew_in_one_layer(machine: Path, store: ImageStore, deleted_first: bool) -> None:
    base = Layer().directory("d").file("d/old", "old").file("f", "file")
    top = Layer()
    if deleted_first:
        top.file(".wh.d", "").file(".wh.f", "")
    top.directory("d").file("d/new", "new").file("f", "other")
    if not deleted_first:
        top.file(".wh.d", "").file(".wh.f", "")
    image = image_of(store, base.bytes(), top.bytes())
    assert tree(mounted(machine, prepared(machine, image))) == {"d": "/", "d/new": "new", "f": "other"}


def test_thousands_of_whiteouts(machine: Path, store: ImageStore) -> None:
    base, top = Layer().directory("d"), Layer()
    for number in range(3000):
        base.file(f"d/{number}", "x")
        if number:
            top.file(f"d/.wh.{number}", "")
    image = image_of(store, base.bytes(), top.bytes())
    assert os.listdir(mounted(machine, prepared(machine, image)) / "d") == ["0"]


def test_an_image_of_125_layers_mounts(machine: Path, store: ImageStore) -> None:
    layers = [Layer().file(f"f{number}", str(number)).bytes() for number in range(124)]
    image = image_of(store, *layers, Layer().file(".wh.f0", "").bytes())
    merged = mounted(machine, prepared(machine, image))
    assert not (merged / "f0").exists()
    assert (merged / "f123").read_text() == "123"


def test_same_layer_twice_in_one_image(machine: Path, store: ImageStore) -> None:
    layer = Layer().file("f", "x").bytes()
    image = image_of(store, layer, Layer().file(".wh.f", "").bytes(), layer)
    assert tree(mounted(machine, prepared(machine, image))) == {"f": "x"}


def test_directories_a_layer_only_implies_stay_as_they_were_below(machine: Path, store: ImageStore) -> None:
    base = Layer().directory("tmp", 0o1777).directory("home", 0o711, owner=7)
    top = Layer().file("tmp/x", "x").file("home/y", "y").file("new/z", "z")
    merged = mounted(machine, prepared(machine, image_of(store, base.bytes(), top.bytes())))
    assert stat.S_IMODE((merged / "tmp").stat().st_mode) == 0o1777
    home = (merged / "home").stat()
    assert (stat.S_IMODE(home.st_mode), home.st_uid) == (0o711, 7)
    assert stat.S_IMODE((merged / "new").stat().st_mode) == 0o755
    assert stat.S_IMODE(merged.stat().st_mode) == 0o755


def test_attributes_survive(machine: Path, store: ImageStore) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        entry = tarfile.TarInfo("setuid")
        entry.mode, entry.uid, entry.gid, entry.mtime, entry.size = 0o4755, 12, 34, 1_700_000_000.25, 2  # type: ignore[assignment]
        entry.pax_headers = {"SCHILY.xattr.user.note": "kept", "SCHILY.xattr.trusted.overlay.redirect": "/etc"}
        tar.addfile(entry, io.BytesIO(b"hi"))
        link = tarfile.TarInfo("again")
        link.type, link.linkname = tarfile.LNKTYPE, "setuid"
        tar.addfile(link)
        fifo = tarfile.TarInfo("fifo")
        fifo.type, fifo.mode = tarfile.FIFOTYPE, 0o640
        tar.addfile(fifo)
        null = tarfile.TarInfo("null")
        null.type, null.devmajor, null.devminor, null.mode = tarfile.CHRTYPE, 1, 3, 0o666
        tar.addfile(null)
    image = image_of(store, buffer.getvalue())
    merged = mounted(machine, prepared(machine, image))
    found = (merged / "setuid").stat()
    assert (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) == (0o4755, 12, 34)
    assert found.st_mtime == 1_700_000_000.25
    assert found.st_nlink == 2
    assert os.listxattr(merged / "setuid") == ["user.note"]
    assert stat.S_ISFIFO((merged / "fifo").stat().st_mode)
    assert (merged / "null").stat().st_rdev == os.makedev(1, 3)
    assert image.size == 2


def test_scaffold_gives_places_to_mount_on(machine: Path, store: ImageStore) -> None:
    image = image_of(store, Layer().directory("etc", 0o711).file("etc/hosts", "own").bytes())
    root = prepared(machine, image)
    merged = mounted(machine, root)
    assert (merged / "etc/hosts").read_text() == "own"
    assert (merged / "etc/resolv.conf").read_text() == ""
    assert stat.S_IMODE((merged / "etc").stat().st_mode) == 0o711
    assert (merged / "proc").is_dir()
    assert (merged / ".dockerenv").exists()
    assert root.changes() == []


def test_image_without_layers_has_a_root(machine: Path, store: ImageStore) -> None:
    root = prepared(machine, image_of(store))
    assert (mounted(machine, root) / "proc").is_dir()
    assert root.changes() == []


def test_changes_and_sizes(machine: Path, store: ImageStore) -> None:
    base = Layer().directory("keep").file("keep/a", "a").file("keep/b", "b").directory("gone").file("gone/x", "x")
    base.directory("anew").file("anew/was", "w").file("touched", "t")
    root = prepared(machine, image_of(store, base.bytes()))
    merged = mounted(machine, root)
    (merged / "keep/a").write_text("longer")
    (merged / "keep/b").unlink()
    (merged / "gone/x").unlink()
    (merged / "gone").rmdir()
    (merged / "anew/was").unlink()
    (merged / "anew").rmdir()
    (merged / "anew").mkdir()
    (merged / "anew/is").write_text("i")
    (merged / "made").mkdir()
    (merged / "made/deep").mkdir()
    (merged / "made/fleeting").write_text("")
    (merged / "made/fleeting").unlink()
    (merged / "touched").chmod(0o600)
    assert root.changes() == [
        Change(kind=0, path="/anew"),
        Change(kind=1, path="/anew/is"),
        Change(kind=2, path="/anew/was"),
        Change(kind=2, path="/gone"),
        Change(kind=0, path="/keep"),
        Change(kind=0, path="/keep/a"),
        Change(kind=2, path="/keep/b"),
        Change(kind=1, path="/made"),
        Change(kind=1, path="/made/deep"),
        Change(kind=0, path="/touched"),
    ]
    assert root.size() == len("longer") + len("i") + len("t")


def commit(store: ImageStore, root: RootFs, parent: Image | None, spec: CommitSpec) -> Image:
    overlay = root.overlay()

    def write(out: BinaryIO) -> None:
        layerdiff.write(overlay.upper, overlay.lowers, out)

    return asyncio.run(store.commit(parent, write, spec, "sh"))


def test_commit_makes_the_same_tree(machine: Path, store: ImageStore) -> None:
    base = Layer().directory("a").file("a/one", "1").directory("b").file("b/two", "2").link("s", "a/one")
    parent = image_of(store, base.bytes())
    root = prepared(machine, parent)
    merged = mounted(machine, root)
    (merged / "a/one").unlink()
    (merged / "b/two").unlink()
    (merged / "b").rmdir()
    (merged / "b").mkdir(mode=0o700)
    (merged / "b/new").write_text("n" * 100_000)
    os.link(merged / "b/new", merged / "b/same")
    (merged / "s").unlink()
    os.symlink("b/new", merged / "s")
    os.setxattr(merged / "b/new", "user.note", b"\xff\x00")
    expected = tree(merged)
    image = commit(store, root, parent, CommitSpec(ref="made", comment="c", author="me", changes=('CMD ["a"]',)))
    assert image.tags == ("made:latest",)
    assert (image.config.cmd, image.author, image.comment, image.parent) == (("a",), "me", "c", parent.id)
    assert [line.empty_layer for line in image.history] == [False, False]
    again = mounted(machine, prepared(machine, image, "c2"), "again")
    assert tree(again) == expected
    assert (again / "b/new").stat().st_nlink == 2
    assert os.getxattr(again / "b/new", "user.note") == b"\xff\x00"
    assert stat.S_IMODE((again / "b").stat().st_mode) == 0o700


def test_commit_of_no_change_adds_no_layer(machine: Path, store: ImageStore) -> None:
    parent = image_of(store, Layer().file("f", "x").bytes())
    image = commit(store, prepared(machine, parent), parent, CommitSpec(config=parent.config))
    assert image.layers == parent.layers
    assert image.history[-1].empty_layer
    assert image.tags == ()
    # The parent cannot go while a child of it is there, and goes with it.
    with pytest.raises(
        Conflict, match=r"conflict: unable to delete .* \(cannot be forced\) - image has dependent child"
    ):
        asyncio.run(store.remove(parent.id, force=True))
    removed = asyncio.run(store.remove("test:latest"))
    assert len(removed) == 1
    removed = asyncio.run(store.remove(image.id))
    assert [item.id for item in removed if isinstance(item, Deleted)][:2] == [image.id, parent.id]


def test_save_gives_back_what_was_loaded(machine: Path, store: ImageStore) -> None:
    one, two = Layer().file("one", "1").bytes(), Layer().file("two", "2").bytes()
    load(store, archive([Recipe(names=["x:1", "x:2"], layers=[one, two]), Recipe(names=["y:latest"], layers=[one])]))

    async def saved(*refs: str) -> bytes:
        return b"".join([chunk async for chunk in store.save(refs)])

    other = ImageStore.open(str(machine / "other"))
    assert load(other, asyncio.run(saved("x", "y"))) == [f"Loaded image: {name}" for name in ("x:1", "x:2", "y:latest")]
    for name in ("x:1", "y"):
        assert other.find(name).id == store.find(name).id
    third = ImageStore.open(str(machine / "third"))
    identifier = store.find("y").id
    assert load(third, gzip.compress(asyncio.run(saved(identifier)))) == [f"Loaded image ID: {identifier}"]
    with pytest.raises(NotFound, match="No such image: z:latest"):
        asyncio.run(saved("z"))


def test_import_of_a_compressed_root(machine: Path, store: ImageStore) -> None:
    content = gzip.compress(Layer().directory("bin").file("bin/sh", "#!", 0o755).bytes())
    spec = ImportSpec(ref="imported:1", message="from here", changes=("CMD sh -l", "ENV A=b", "EXPOSE 80"))
    image = asyncio.run(store.import_(chunks(content), spec))
    assert image.tags == ("imported:1",)
    assert image.config.cmd == ("/bin/sh", "-c", "sh -l")
    assert image.config.env == ("A=b",)
    assert image.config.exposed_ports == {"80/tcp": {}}
    assert image.comment == "from here"
    assert tree(mounted(machine, prepared(machine, image))) == {"bin": "/", "bin/sh": "#!"}


def test_layers_of_a_removed_image_stay_under_its_container(machine: Path, store: ImageStore) -> None:
    image = image_of(store, Layer().file("f", "x").bytes())
    root = prepared(machine, image)
    users = {image.id: [User(id="c1", running=False)]}
    asyncio.run(store.remove("test", force=True, users=users))
    assert store.list() == []
    merged = mounted(machine, root)
    assert (merged / "f").read_text() == "x"
    mounts.unmount(str(merged))
    root.remove()
    assert not Path(root.upper).exists()
    root.remove()
    ImageStore.open(str(machine / "data"))
    assert os.listdir(machine / "data/images/layers") == []
    with pytest.raises(NotFound):
        RootFs(str(machine / "data"), "c2").prepare(image)


def test_reopening_finds_everything_and_sweeps_the_rest(machine: Path, store: ImageStore) -> None:
    image = image_of(store, Layer().file("f", "x").bytes())
    root = machine / "data/images"
    (root / "blobs/sha256" / ("0" * 64)).write_text("stray")
    (root / "tmp/half").mkdir()
    (root / "layers/0123456789abcdef").mkdir()
    (machine / "data/trash/old").mkdir()
    again = ImageStore.open(str(machine / "data"))
    assert again.find("test") == image
    assert sorted(os.listdir(root / "layers")) == sorted(
        [Path(image.layers[0]).name, Path(image.layers[0]).name + ".json"]
    )
    assert len(os.listdir(root / "blobs/sha256")) == 2
    assert os.listdir(root / "tmp") == []


def test_image_with_a_lost_layer_is_passed_over(machine: Path, store: ImageStore) -> None:
    image = image_of(store, Layer().file("f", "x").bytes())
    os.unlink(image.layers[0] + ".json")
    again = ImageStore.open(str(machine / "data"))
    assert again.list() == []
    with pytest.raises(NotFound):
        again.find("test")
    image_of(again, Layer().file("f", "x").bytes())
    assert again.find("test").id == image.id


def test_prune_counts_what_it_gives_back(machine: Path, store: ImageStore) -> None:
    shared = Layer().file("f", "x" * 1000).bytes()
    image_of(store, shared, name="keep:1")
    image_of(store, shared, Layer().file("g", "y" * 500).bytes(), name="old:1")
    usage = asyncio.run(store.usage())
    assert usage.layers_size == 1500
    assert set(usage.shared.values()) == {1000}
    pruned = asyncio.run(store.prune([store.find("old:1")], {}))
    assert pruned.space == 500
    assert [image.tags for image in store.list()] == [("keep:1",)]
