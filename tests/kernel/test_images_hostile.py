"""Archives made to break out, to lie, to exhaust: each is refused in one sentence and leaves nothing behind."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import io
import json
import os
import tarfile
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fairlead.errors import EngineError, InvalidArgument
from fairlead.images.store import ImageStore
from fairlead.images.unpack import BadLayer, unpack
from harness.images import Layer, Recipe, archive
from images_fixture import chunks


@pytest.fixture
def store(machine: Path) -> ImageStore:
    return ImageStore.open(str(machine / "data"))


def load(store: ImageStore, data: bytes) -> list[str]:
    async def run() -> list[str]:
        return [line.stream.strip() async for line in store.load(chunks(data), quiet=True)]

    return asyncio.run(run())


def tar(files: Mapping[str, bytes]) -> bytes:
    layer = Layer()
    for name, content in files.items():
        layer.file(name, content)
    return layer.bytes()


def left(machine: Path) -> list[str]:
    root = machine / "data/images"
    return [str(path) for place in ("tmp", "layers", "blobs/sha256") for path in (root / place).iterdir()]


def entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", size: int = 0) -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size, info.mode = kind, link, size, 0o755
    return info.tobuf(tarfile.PAX_FORMAT)


END = bytes(1024)


@pytest.mark.parametrize(
    "layer",
    [
        entry("../escape") + END,
        entry("a/../../escape") + END,
        entry("x", tarfile.LNKTYPE, "../../../etc/passwd") + END,
        entry("x", tarfile.LNKTYPE, "/etc/passwd") + END,
        entry("x", tarfile.LNKTYPE, "x") + END,
        entry("out", tarfile.SYMTYPE, "/etc") + entry("out/fairlead-escape") + END,
        entry("f") + entry("f/below") + END,
        entry("n" * 300) + END,
        entry("/".join(["d" * 200] * 30)) + END,
        entry(".wh..") + END,
        entry(".wh.") + END,
        entry(".wh...") + END,
        entry("short", size=1000) + b"x" * 10,
        entry("f")[:300],
        b"\x1f\x8b\x08\x00broken",
        b"not a tar at all" * 100,
    ],
)
def test_hostile_layers_are_refused(machine: Path, store: ImageStore, layer: bytes) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        load(store, archive([Recipe(names=["bad:1"], layers=[layer])]))
    assert "\n" not in str(refusal.value)
    assert store.list() == []
    assert left(machine) == []
    assert not os.path.exists("/etc/fairlead-escape")


def test_links_in_a_layer_are_followed_inside_only(machine: Path) -> None:
    """As in the chroot where dockerd unpacks: /lib -> usr/lib, then /lib/x is /usr/lib/x."""
    target = machine / "target"
    target.mkdir()
    stream = entry("usr/lib/", tarfile.DIRTYPE) + entry("lib", tarfile.SYMTYPE, "/usr/lib") + entry("lib/x") + END
    unpack(io.BytesIO(stream), str(target))
    assert (target / "usr/lib/x").exists()
    assert os.readlink(target / "lib") == "/usr/lib"


def test_later_members_replace_earlier_ones(machine: Path) -> None:
    target = machine / "target"
    target.mkdir()
    members = [
        entry("a/", tarfile.DIRTYPE),
        entry("a/b"),
        entry("a", tarfile.SYMTYPE, "c"),
        entry("c/", tarfile.DIRTYPE),
        entry("a/d"),
        entry("c/e/", tarfile.DIRTYPE),
        entry("c/e"),
    ]
    unpack(io.BytesIO(b"".join(members) + END), str(target))
    assert os.readlink(target / "a") == "c"
    assert sorted(os.listdir(target / "c")) == ["d", "e"]
    assert (target / "c/e").is_file()


CONFIG = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}}).encode()


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "does not contain a manifest.json"),
        ({"manifest.json": b"{"}, "manifest.json"),
        ({"manifest.json": b"{}"}, "manifest.json is not a list"),
        ({"manifest.json": b"[1]"}, "no image"),
        ({"manifest.json": b'[{"Config": 1}]'}, "without config"),
        ({"manifest.json": b'[{"Config": "../../etc/passwd"}]'}, "no file '../../etc/passwd'"),
        ({"manifest.json": b'[{"Config": "c", "Layers": ["x"]}]', "c": CONFIG}, "no file 'x'"),
        ({"manifest.json": b'[{"Config": "c", "Layers": ["c"]}]', "c": CONFIG}, "layers length mismatch"),
        ({"manifest.json": b'[{"Config": "c", "RepoTags": ["NO:1"]}]', "c": CONFIG}, "must be lowercase"),
        ({"manifest.json": b'[{"Config": "c", "RepoTags": ["untagged"]}]', "c": CONFIG}, "invalid tag"),
        ({"index.json": b'{"manifests": [{"digest": "sha256:../../x"}]}'}, "is not a sha256 digest"),
        ({"index.json": b'{"manifests": [{"digest": "sha256:' + b"a" * 64 + b'"}]}'}, "no blob"),
        ({"index.json": b'{"schemaVersion": 1}'}, "schema version 1"),
    ],
)
def test_broken_archives_are_refused(machine: Path, store: ImageStore, files: dict[str, bytes], message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        load(store, tar(files))
    assert left(machine) == []


def test_layer_that_is_not_what_its_config_says(machine: Path, store: ImageStore) -> None:
    good = tar({"f": b"1"})
    config = json.loads(CONFIG)
    config["rootfs"]["diff_ids"] = ["sha256:" + "a" * 64]
    manifest = json.dumps([{"Config": "c", "Layers": ["l"], "RepoTags": ["x:1"]}]).encode()
    with pytest.raises(InvalidArgument, match="wrong diff id calculated on extraction"):
        load(store, tar({"manifest.json": manifest, "c": json.dumps(config).encode(), "l": good}))
    assert left(machine) == []


def test_links_between_members_of_old_archives(store: ImageStore) -> None:
    layer = tar({"f": b"1"})
    config = json.loads(CONFIG)
    config["rootfs"]["diff_ids"] = ["sha256:" + hashlib.sha256(layer).hexdigest()] * 2
    outer = Layer()
    outer.file("one/layer.tar", layer).link("two/layer.tar", "../one/layer.tar").link("loop", "loop")
    outer.file("c.json", json.dumps(config))
    outer.file("manifest.json", json.dumps([{"Config": "c.json", "Layers": ["one/layer.tar", "two/layer.tar"]}]))
    assert load(store, outer.bytes())[0].startswith("Loaded image ID: sha256:")


def test_oci_layout_with_compressed_layers(store: ImageStore) -> None:
    layer = tar({"f": b"1"})
    config = json.loads(CONFIG)
    config["rootfs"]["diff_ids"] = ["sha256:" + hashlib.sha256(layer).hexdigest()]
    blobs = {"config": json.dumps(config).encode(), "layer": gzip.compress(layer)}
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in blobs.items()}
    manifest = {
        "schemaVersion": 2,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": f"sha256:{digests['config']}"},
        "layers": [{"digest": f"sha256:{digests['layer']}"}],
    }
    raw = json.dumps(manifest).encode()
    digest = hashlib.sha256(raw).hexdigest()
    index = {
        "schemaVersion": 2,
        "manifests": [
            {"digest": f"sha256:{digest}", "annotations": {"org.opencontainers.image.ref.name": "oci.example/x:1"}}
        ],
    }
    files = {f"blobs/sha256/{digests[name]}": data for name, data in blobs.items()}
    data = tar({"oci-layout": b"{}", "index.json": json.dumps(index).encode(), f"blobs/sha256/{digest}": raw, **files})
    assert load(store, data) == ["Loaded image: oci.example/x:1"]
    assert (Path(store.find("oci.example/x:1").layers[0]) / "f").read_text() == "1"


def test_bomb_in_a_header_takes_no_memory(machine: Path, store: ImageStore) -> None:
    """A pax header that claims gigabytes, in a few kilobytes of gzip."""
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, 8 << 30
    bomb = gzip.compress(info.tobuf(tarfile.GNU_FORMAT) + bytes(1 << 20))
    with pytest.raises(InvalidArgument, match="an extension of 8589934592 bytes"):
        load(store, bomb)


def test_two_loads_of_one_image_at_once(store: ImageStore) -> None:
    data = archive([Recipe(names=["x:1"], layers=[tar({str(n): b"x" * 1000}) for n in range(20)])])
    results: list[list[str]] = []
    threads = [threading.Thread(target=lambda: results.append(load(store, data))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [["Loaded image: x:1"]] * 4
    assert len(store.find("x:1").layers) == 20


def test_removal_while_loading_takes_nothing_that_is_needed(machine: Path, store: ImageStore) -> None:
    first = archive([Recipe(names=["a:1"], layers=[tar({"a": b"1"}), tar({"b": b"2"})])])
    second = archive([Recipe(names=["b:1"], layers=[tar({"a": b"1"}), tar({"c": b"3"})])])

    async def race() -> None:
        for _ in range(10):
            async for _ in store.load(chunks(first), quiet=True):
                pass
            lines = store.load(chunks(second, 512), quiet=True)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(_drain(lines))
                tasks.create_task(store.remove("a:1"))
            image = store.find("b:1")
            assert all(os.path.isdir(layer) for layer in image.layers)
            await store.remove("b:1")

    asyncio.run(race())
    assert left(machine) == []


async def _drain(lines: object) -> None:
    async for _ in lines:  # type: ignore[attr-defined]
        pass


def test_client_that_hangs_up(machine: Path, store: ImageStore) -> None:
    async def broken() -> object:
        yield archive([Recipe(names=["x:1"], layers=[tar({"f": b"1"})])])[:2000]
        raise ConnectionResetError

    async def run() -> None:
        async for _ in store.load(broken()):  # type: ignore[arg-type]
            pass

    with pytest.raises(ConnectionResetError):
        asyncio.run(run())
    assert left(machine) == []


_POOL = ("a", "a/b", "a/b/c", "d", "d/../a", "..", "/etc", "./d", ".wh.a", "a/.wh.b", "a/.wh..wh..opq", ".wh..", "d/e")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(_POOL),
            st.sampled_from((tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE)),
            st.sampled_from((*_POOL, "../..", "/", "../../../outside")),
        ),
        max_size=12,
    )
)
def test_no_sequence_of_members_leaves_the_target(machine: Path, members: list[tuple[str, bytes, str]]) -> None:
    target = machine / "box" / hashlib.sha256(repr(members).encode()).hexdigest()[:16]
    target.mkdir(parents=True, exist_ok=True)
    around = {path: path.lstat().st_mtime_ns for path in (machine, *machine.iterdir()) if path.name != "box"}
    stream = b"".join(entry(name, kind, link) for name, kind, link in members) + END
    try:
        unpack(io.BytesIO(stream), str(target))
    except BadLayer:
        pass
    except EngineError as error:
        pytest.fail(f"unexpected {error!r}")
    assert {path: path.lstat().st_mtime_ns for path in (machine, *machine.iterdir()) if path.name != "box"} == around
    assert {path.name for path in (machine / "box").iterdir()} >= {target.name}
