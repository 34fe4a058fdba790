"""Images by the official CLI: list, inspect, history, tag, remove, save and load, import, pull from a registry."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator

import pytest

from harness import images
from harness.engine import Engine, wait_until
from harness.machine import PEER4


def test_list(engine: Engine) -> None:
    lines = engine.out("images").splitlines()
    assert lines[0].split() == ["REPOSITORY", "TAG", "IMAGE", "ID", "CREATED", "SIZE"]
    shown = {tuple(line.split()[:2]) for line in lines[1:]}
    assert {("busybox", "latest"), ("alpine", "3"), ("jupyter/minimal-notebook", "latest")} <= shown


def test_ids_are_those_of_the_archive(engine: Engine) -> None:
    for recipe in images.recipes():
        assert engine.inspect(recipe.names[0])["Id"] == recipe.id


@pytest.mark.parametrize(
    ("flags", "found"),
    [
        (["alpine"], {"alpine:latest", "alpine:3"}),
        (["alpine:3"], {"alpine:3"}),
        (["--filter", "reference=al*:l*"], {"alpine:latest"}),
        (["--filter", "label=maintainer=tests", "nginx"], {"nginx:latest"}),
        (["--filter", "dangling=true"], set()),
        (["nothing"], set()),
    ],
)
def test_list_filters(engine: Engine, flags: list[str], found: set[str]) -> None:
    assert set(engine.out("images", "--format", "{{.Repository}}:{{.Tag}}", *flags).split()) == found


def test_history(engine: Engine) -> None:
    lines = engine.out("history", "nginx", "--format", "{{.CreatedBy}} {{.Size}}").splitlines()
    assert lines[0].startswith("/bin/sh -c #(nop) ADD layer 1")
    assert len(lines) == 2
    assert re.search(r"\d(\.\d+)?MB$", lines[1])


def test_inspect(engine: Engine) -> None:
    found = engine.inspect("nginx")
    assert set(found["RepoTags"]) == {"nginx:latest", "my_image:latest", "myimg:latest"}
    assert found["Config"]["Cmd"] == ["nginx", "-g", "daemon off;"]
    assert found["Config"]["ExposedPorts"] == {"80/tcp": {}}
    assert len(found["RootFS"]["Layers"]) == 2
    assert (found["Architecture"], found["Os"]) == ("amd64", "linux")
    assert found["Size"] > 1 << 20


def test_tag_and_untag(engine: Engine) -> None:
    engine.docker("tag", "busybox", "example.org:5000/a/b:1.0")
    assert "example.org:5000/a/b:1.0" in engine.inspect("busybox")["RepoTags"]
    assert engine.out("rmi", "example.org:5000/a/b:1.0") == "Untagged: example.org:5000/a/b:1.0"
    assert engine.inspect("busybox")["RepoTags"] == ["busybox:latest"]


@pytest.mark.parametrize("name", ["UPPER", "a//b", "a:b:c", "-x", "a b", "sha256:" + "0" * 64 + "0"])
def test_bad_names(engine: Engine, name: str) -> None:
    done = (
        engine.docker("tag", "busybox", "--", name, check=False)
        if name[0] == "-"
        else engine.docker("tag", "busybox", name, check=False)
    )
    assert done.returncode
    assert engine.inspect("busybox")["RepoTags"] == ["busybox:latest"]


def test_remove_refuses_what_is_used(engine: Engine) -> None:
    container = engine.out("run", "-d", "jupyter/minimal-notebook")
    done = engine.docker("rmi", "jupyter/minimal-notebook", check=False)
    assert done.returncode == 1
    assert f"container {container[:12]} is using its referenced image" in done.stderr
    done = engine.docker("rmi", "nothing", check=False)
    assert "No such image: nothing" in done.stderr


def load(engine: Engine, *recipes: images.Recipe) -> None:
    archive = images.archive(recipes)
    subprocess.run(["docker", "load"], env=engine.environment, input=archive, capture_output=True, check=True)


def imported(engine: Engine, name: str, content: str = "x") -> str:
    """A new image of one small file."""
    layer = images.Layer().file("etc/made", content).bytes()
    done = subprocess.run(
        ["docker", "import", "-c", 'CMD ["/bin/true"]', "-m", "made here", "-", name],
        env=engine.environment, input=layer, capture_output=True, check=True,
    )  # fmt: skip
    return done.stdout.decode().strip()


def test_import_and_remove(engine: Engine) -> None:
    image = imported(engine, "made:1")
    found = engine.inspect("made:1")
    assert found["Id"] == image
    assert (found["Config"]["Cmd"], found["Comment"]) == (["/bin/true"], "made here")
    shown = engine.out("rmi", "made:1").splitlines()
    assert shown[:2] == ["Untagged: made:1", f"Deleted: {image}"]
    assert engine.docker("inspect", image, check=False).returncode == 1


def test_dangling_images_and_prune(engine: Engine) -> None:
    first = imported(engine, "made:1", "one")
    second = imported(engine, "made:1", "two")
    assert first != second
    assert engine.out("images", "-q", "--no-trunc", "--filter", "dangling=true") == first
    assert first in engine.out("image", "prune", "-f")
    assert engine.out("images", "-q", "--filter", "dangling=true") == ""
    engine.docker("rmi", "made:1")


def test_save_and_load(engine: Engine) -> None:
    imported(engine, "made:1")
    engine.docker("tag", "made:1", "made:2")
    before = engine.inspect("made:1")
    path = engine.base / "saved.tar"
    engine.docker("save", "-o", str(path), "made:1", "made:2")
    with tarfile.open(path) as tar:
        stream = tar.extractfile("manifest.json")
        assert stream is not None
        (entry,) = json.load(stream)
    assert set(entry["RepoTags"]) == {"made:1", "made:2"}
    engine.docker("rmi", "made:1", "made:2")
    shown = engine.out("load", "-i", str(path)).splitlines()
    assert {"Loaded image: made:1", "Loaded image: made:2"} == set(shown)
    assert engine.inspect("made:1")["Id"] == before["Id"]
    engine.docker("rmi", "made:1", "made:2")


@pytest.mark.parametrize("tool", ["gzip", "xz", "bzip2"])
def test_load_compressed(engine: Engine, tool: str) -> None:
    path = engine.base / "small.tar"
    image = images.Recipe(names=["small:1"], layers=[images.Layer().file("x", "y").bytes()])
    path.write_bytes(images.archive([image]))
    packed = subprocess.run([tool, "-c", str(path)], capture_output=True, check=True).stdout
    done = subprocess.run(["docker", "load"], env=engine.environment, input=packed, capture_output=True, check=True)
    assert done.stdout == b"Loaded image: small:1\n"
    engine.docker("rmi", "small:1")


@pytest.mark.parametrize("content", [b"no tar at all", images.Layer().file("manifest.json", "{").bytes()])
def test_load_of_rubbish(engine: Engine, content: bytes) -> None:
    before = set(engine.out("images", "-aq").split())
    done = subprocess.run(["docker", "load"], env=engine.environment, input=content, capture_output=True, check=False)
    assert done.returncode == 1
    assert set(engine.out("images", "-aq").split()) == before


def test_a_layer_cannot_write_outside(engine: Engine) -> None:
    target = engine.base / "escaped"
    layer = images.Layer().link("out", str(engine.base)).file("out/escaped", "x").file("../../escaped", "y")
    image = images.Recipe(names=["evil:1"], layers=[layer.bytes()])
    packed = images.archive([image])
    subprocess.run(["docker", "load"], env=engine.environment, input=packed, capture_output=True, check=False)
    assert not target.exists()
    engine.docker("rmi", "-f", "evil:1", check=False)


def test_whiteouts_hide_what_lies_below(engine: Engine) -> None:
    base = images.base_layer()
    lower = images.Layer().directory("d").file("d/gone", "1").file("d/stays", "2").directory("o").file("o/old", "3")
    upper = images.Layer().file("d/.wh.gone", "").directory("o").file("o/.wh..wh..opq", "").file("o/new", "4")
    image = images.Recipe(names=["white:1"], layers=[base, lower.bytes(), upper.bytes()])
    load(engine, image)
    assert engine.out("run", "--rm", "white:1", "sh", "-c", "echo /d/* /o/*") == "/d/stays /o/new"
    engine.docker("rmi", "white:1")


def test_many_layers(engine: Engine) -> None:
    layers = [images.base_layer(), *(images.Layer().directory("l").file(f"l/{n}", str(n)).bytes() for n in range(100))]
    image = images.Recipe(names=["deep:1"], layers=layers)
    load(engine, image)
    assert engine.out("run", "--rm", "deep:1", "sh", "-c", "ls /l | wc -l") == "100"
    engine.docker("rmi", "deep:1")


def test_disk_usage(engine: Engine) -> None:
    lines = engine.out("system", "df").splitlines()
    assert [line.split()[0] for line in lines] == ["TYPE", "Images", "Containers", "Local", "Build"]


# -- a registry

CONFIG = """
version: 0.1
storage: {{filesystem: {{rootdirectory: {base}/registry}}}}
http: {{addr: "{address}:5000"}}
"""


@pytest.fixture(scope="module")
def daemon_flags() -> list[str]:
    """The registry below speaks plain HTTP."""
    return ["--insecure-registry", f"{PEER4}:5000"]


@pytest.fixture(scope="module")
def registry(running: Engine) -> Iterator[str]:
    """A registry on the second host, filled by skopeo."""
    program = shutil.which("docker-registry")
    if program is None:
        pytest.skip("needs docker-registry: ./test installs it")
    config = running.base / "registry.yml"
    config.write_text(CONFIG.format(base=running.base, address=PEER4))
    peer = running.machine.peer
    with open(running.base / "registry.log", "wb") as log:
        server = peer.popen([program, "serve", str(config)], stdout=log, stderr=log)
    try:
        wait_until(lambda: peer.reaches(PEER4, 5000), "the registry answers", 10)
        archive = running.base / "pulled.tar"
        layer = images.Layer().file("etc/pulled", "yes").bytes()
        archive.write_bytes(images.archive([images.Recipe(names=["team/app:1"], layers=[images.base_layer(), layer])]))
        source, target = f"docker-archive:{archive}", f"docker://{PEER4}:5000/team/app:1"
        peer.run("skopeo", "copy", "--dest-tls-verify=false", source, target)
        yield f"{PEER4}:5000"
    finally:
        server.kill()
        server.wait()


def test_pull_and_run(engine: Engine, registry: str) -> None:
    done = engine.docker("pull", f"{registry}/team/app:1")
    assert "Status: Downloaded newer image for" in done.stdout
    digest = re.search(r"Digest: (sha256:[0-9a-f]{64})", done.stdout)
    assert digest is not None
    assert f"{registry}/team/app@{digest[1]}" in engine.inspect(f"{registry}/team/app:1")["RepoDigests"]
    assert "Image is up to date for" in engine.out("pull", f"{registry}/team/app:1")
    assert engine.out("run", "--rm", f"{registry}/team/app@{digest[1]}", "cat", "/etc/pulled") == "yes"
    engine.docker("rmi", "-f", f"{registry}/team/app:1")


def test_run_pulls_what_is_missing(engine: Engine, registry: str) -> None:
    done = engine.docker("run", "--rm", f"{registry}/team/app:1", "cat", "/etc/pulled")
    assert done.stdout == "yes"
    assert "Unable to find image" in done.stderr
    engine.docker("rmi", "-f", f"{registry}/team/app:1")


@pytest.mark.parametrize(
    ("name", "message"), [("team/app:9", "manifest unknown"), ("nobody/none:1", "not found|unknown|denied")]
)
def test_pull_of_what_is_not_there(engine: Engine, registry: str, name: str, message: str) -> None:
    done = engine.docker("pull", f"{registry}/{name}", check=False)
    assert done.returncode == 1
    assert re.search(message, done.stderr)


def test_pull_from_nowhere(engine: Engine) -> None:
    done = engine.docker("pull", "127.0.0.1:1/x", check=False, timeout=40)
    assert done.returncode == 1
    assert done.stderr.startswith("Error response from daemon:")


def test_layers_of_a_tar_with_odd_members(engine: Engine) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, kind, mode in (
            ("fifo", tarfile.FIFOTYPE, 0o600),
            ("null", tarfile.CHRTYPE, 0o666),
            ("d", tarfile.DIRTYPE, 0o2755),
        ):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode, entry.devmajor, entry.devminor = kind, mode, 1, 3
            tar.addfile(entry)
        entry = tarfile.TarInfo("suid")
        entry.mode, entry.size = 0o4755, 1
        tar.addfile(entry, io.BytesIO(b"x"))
        entry = tarfile.TarInfo("hard")
        entry.type, entry.linkname, entry.mode = tarfile.LNKTYPE, "suid", 0o4755
        tar.addfile(entry)
    image = images.Recipe(names=["odd:1"], layers=[images.base_layer(), packed.getvalue()])
    load(engine, image)
    shown = engine.out("run", "--rm", "odd:1", "stat", "-c", "%n %F %a %h", "/fifo", "/null", "/d", "/suid")
    assert shown.splitlines() == [
        "/fifo fifo 600 1",
        "/null character special file 666 1",
        "/d directory 2755 2",
        "/suid regular file 4755 2",
    ]
    engine.docker("rmi", "odd:1")
