"""Images from a real registry on the loopback of the test's own namespace, through skopeo, into a store and back."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fairlead.errors import EngineError, InvalidArgument, NotFound, Unauthorized
from fairlead.images.store import ImageStore
from fairlead.model.image import Progress, RegistryAuth
from fairlead.settings import Settings
from harness import images
from images_fixture import chunks

pytestmark = [
    pytest.mark.skipif(not shutil.which("docker-registry"), reason="needs docker-registry"),
    pytest.mark.skipif(not shutil.which("skopeo"), reason="needs skopeo"),
]

PORT = 5000
HOST = f"127.0.0.1:{PORT}"
# ann, whose password is "secret".
HTPASSWD = "ann:$2b$05$oO0Nj61dmuBeN66aELOAHODjvJQD5xjKBtWlq7rkXFwMijhpmRx1q\n"


def _serve(directory: Path, auth: str = "") -> subprocess.Popen[bytes]:
    config = directory / "config.yml"
    config.write_text(
        f"version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: {directory}/data\n"
        f"http:\n  addr: {HOST}\n{auth}"
    )
    process = subprocess.Popen(
        ["docker-registry", "serve", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", PORT)) == 0:
                return process
        time.sleep(0.02)
    process.kill()
    raise AssertionError("the registry did not start")


@pytest.fixture
def registry(machine: Path) -> Iterator[str]:
    directory = machine / "registry"
    directory.mkdir()
    process = _serve(directory)
    yield HOST
    process.kill()
    process.wait()


@pytest.fixture
def store(machine: Path) -> ImageStore:
    return ImageStore.open(str(machine / "data"))


def _push(machine: Path, recipe: images.Recipe, name: str, *options: str) -> None:
    path = machine / "push.tar"
    path.write_bytes(images.archive([recipe]))
    subprocess.run(
        [
            "skopeo",
            "copy",
            "-q",
            "--insecure-policy",
            "--dest-tls-verify=false",
            *options,
            f"docker-archive:{path}:{recipe.names[0]}",
            f"docker://{HOST}/{name}",
        ],
        check=True,
    )
    path.unlink()


def _recipe(name: str) -> images.Recipe:
    return next(recipe for recipe in images.recipes() if f"{name}:latest" in recipe.names)


def _pull(store: ImageStore, ref: str, platform: str = "", auth: RegistryAuth | None = None) -> list[Progress]:
    async def collect() -> list[Progress]:
        return [line async for line in store.pull(ref, platform, auth)]

    return asyncio.run(collect())


def _load(store: ImageStore, data: bytes) -> None:
    async def run() -> None:
        async for _ in store.load(chunks(data)):
            pass

    asyncio.run(run())


def test_pulled_image_is_the_one_that_was_pushed(machine: Path, registry: str, store: ImageStore) -> None:
    recipe = _recipe("nginx")
    _push(machine, recipe, "team/web:1", "--format", "v2s2")
    lines = _pull(store, f"{registry}/team/web:1")
    image = store.find(f"{registry}/team/web:1")
    assert image.id == recipe.id, "Docker's config must keep its digest"
    assert image.config.exposed_ports == {"80/tcp": {}}
    assert (Path(image.layers[0]) / "bin/busybox").stat().st_mode & 0o777 == 0o755
    digest = next(line.status for line in lines if line.status.startswith("Digest: ")).removeprefix("Digest: ")
    assert image.digests == (f"{registry}/team/web@{digest}",)
    assert lines[0] == Progress(status="Pulling from team/web", id="1")
    assert lines[-1].status == f"Status: Downloaded newer image for {registry}/team/web:1"
    assert {line.status for line in lines} >= {"Pulling fs layer", "Download complete", "Extracting", "Pull complete"}
    extracting = [line for line in lines if line.status == "Extracting"]
    assert all(line.current is not None and line.total and line.current <= line.total for line in extracting)


def test_second_pull_is_up_to_date_and_fetches_no_layer(machine: Path, registry: str, store: ImageStore) -> None:
    _push(machine, _recipe("alpine"), "alpine:latest")
    _pull(store, f"{registry}/alpine")
    lines = _pull(store, f"{registry}/alpine")
    assert lines[-1].status == f"Status: Image is up to date for {registry}/alpine:latest"
    assert [line.status for line in lines if line.id and line.id != "latest"] == ["Already exists"] * 2


def test_layers_of_a_loaded_image_are_not_fetched_again(machine: Path, registry: str, store: ImageStore) -> None:
    """They are stored uncompressed here and compressed there: what they unpack to is what counts."""
    _load(store, images.archive([_recipe("busybox")]))
    _push(machine, _recipe("alpine"), "alpine:latest")
    lines = _pull(store, f"{registry}/alpine")
    states = [line.status for line in lines if line.status in ("Already exists", "Pulling fs layer")]
    assert states == ["Already exists", "Pulling fs layer"]
    assert store.find("busybox").layers[0] == store.find(f"{registry}/alpine").layers[0]


def test_pull_by_digest_names_no_tag(machine: Path, registry: str, store: ImageStore) -> None:
    _push(machine, _recipe("alpine"), "alpine:latest")
    _pull(store, f"{registry}/alpine")
    by_digest = store.find(f"{registry}/alpine").digests[0]
    other = ImageStore.open(str(machine / "other"))
    _pull(other, by_digest)
    assert other.find(by_digest).tags == ()
    assert other.find(by_digest).id == store.find(f"{registry}/alpine").id


def test_platform_is_chosen_from_an_index(machine: Path, registry: str, store: ImageStore) -> None:
    recipe = _recipe("alpine")
    _push(machine, recipe, "multi:amd64", "--format", "oci")
    raw = subprocess.run(
        ["skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{HOST}/multi:amd64"],
        check=True,
        capture_output=True,
    ).stdout
    digest = hashlib.sha256(raw).hexdigest()
    index = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [
            {
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "digest": f"sha256:{digest}",
                "size": len(raw),
                "platform": {"architecture": "amd64", "os": "linux"},
            }
        ],
    }
    body = json.dumps(index).encode()
    subprocess.run(
        [
            "curl",
            "-fsS",
            "-X",
            "PUT",
            "-H",
            f"Content-Type: {index['mediaType']}",
            "--data-binary",
            "@-",
            f"http://{HOST}/v2/multi/manifests/latest",
        ],
        input=body,
        check=True,
        capture_output=True,
    )
    _pull(store, f"{registry}/multi", "linux/amd64")
    assert store.find(f"{registry}/multi").digests == (f"{registry}/multi@sha256:{hashlib.sha256(body).hexdigest()}",)
    with pytest.raises(NotFound, match="no matching manifest for linux/s390x in the manifest list entries"):
        _pull(store, f"{registry}/multi", "linux/s390x")


def test_what_is_not_there_is_told_in_dockers_words(registry: str, store: ImageStore) -> None:
    with pytest.raises(NotFound, match=f"manifest for {registry}/nothing:latest not found: manifest unknown"):
        _pull(store, f"{registry}/nothing")
    with pytest.raises(EngineError, match="connection refused"):
        _pull(store, "127.0.0.1:1/nobody/there")
    with pytest.raises(InvalidArgument, match="invalid reference format"):
        _pull(store, "UPPER/case::")
    with pytest.raises(InvalidArgument, match="invalid platform"):
        _pull(store, f"{registry}/nothing", "a/b/c/d")
    assert store.list() == []


def test_damaged_layer_is_refused_and_nothing_stays(machine: Path, registry: str, store: ImageStore) -> None:
    _push(machine, _recipe("alpine"), "alpine:latest")
    blobs = sorted((machine / "registry/data").rglob("blobs/sha256/*/*/data"), key=lambda path: path.stat().st_size)
    content = bytearray(blobs[-1].read_bytes())
    content[len(content) // 2] ^= 0xFF
    blobs[-1].write_bytes(content)
    with pytest.raises(EngineError):
        _pull(store, f"{registry}/alpine")
    assert store.list() == []
    assert not list((machine / "data/images/tmp").iterdir())
    assert not list((machine / "data/images/blobs/sha256").iterdir())


def test_abandoned_pull_ends_its_processes(machine: Path, registry: str, store: ImageStore) -> None:
    _push(machine, _recipe("debian"), "debian:latest")

    async def begin() -> None:
        lines = store.pull(f"{registry}/debian")
        await anext(lines)
        await lines.aclose()  # type: ignore[attr-defined]

    asyncio.run(begin())
    for _ in range(100):
        names = subprocess.run(
            ["ps", "-o", "args=", "--ppid", str(os.getpid())], capture_output=True, text=True, check=False
        ).stdout
        if "skopeo" not in names:
            break
        time.sleep(0.05)
    assert "skopeo" not in names


def test_credentials_open_what_is_closed(machine: Path) -> None:
    directory = machine / "closed"
    directory.mkdir()
    (directory / "htpasswd").write_text(HTPASSWD)
    process = _serve(directory, f"auth:\n  htpasswd:\n    realm: test\n    path: {directory}/htpasswd\n")
    try:
        store = ImageStore.open(str(machine / "data"), Settings(data_root=str(machine / "data")))
        _push(machine, _recipe("alpine"), "alpine:latest", "--dest-creds", "ann:secret")
        with pytest.raises(NotFound, match=f"pull access denied for {HOST}/alpine, repository does not exist or may"):
            _pull(store, f"{HOST}/alpine")
        _pull(store, f"{HOST}/alpine", auth=RegistryAuth(username="ann", password="secret"))
        assert store.find(f"{HOST}/alpine").tags == (f"{HOST}/alpine:latest",)
        asyncio.run(store.login(RegistryAuth(username="ann", password="secret", server=HOST)))
        with pytest.raises(Unauthorized):
            asyncio.run(store.login(RegistryAuth(username="ann", password="wrong", server=HOST)))
    finally:
        process.kill()
        process.wait()


def test_mirror_stands_in_for_docker_hub(machine: Path, registry: str) -> None:
    _push(machine, _recipe("alpine"), "library/alpine:latest")
    settings = Settings(data_root=str(machine / "data"), registry_mirrors=(f"http://{registry}",))
    store = ImageStore.open(settings.data_root, settings)
    _pull(store, "alpine")
    assert store.find("alpine").tags == ("alpine:latest",)
