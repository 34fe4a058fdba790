"""Volumes, bind mounts, tmpfs, copy-up; and `docker cp`."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile

import pytest

from harness.engine import Engine


def test_a_named_volume_outlives_its_containers(engine: Engine) -> None:
    engine.docker("run", "--rm", "-v", "data:/d", "busybox", "sh", "-c", "echo kept > /d/file")
    assert engine.out("run", "--rm", "-v", "data:/d:ro", "busybox", "cat", "/d/file") == "kept"
    done = engine.docker("run", "--rm", "-v", "data:/d:ro", "busybox", "touch", "/d/x", check=False)
    assert "Read-only file system" in done.stderr


def test_volume_commands(engine: Engine) -> None:
    assert engine.out("volume", "create", "--label", "a=b", "one") == "one"
    found = engine.call("GET", "/volumes/one")[1]
    assert (found["Driver"], found["Scope"], found["Labels"]) == ("local", "local", {"a": "b"})
    assert os.path.isdir(found["Mountpoint"])
    assert engine.out("volume", "ls", "-q", "--filter", "label=a=b") == "one"
    assert engine.out("volume", "ls", "-q", "--filter", "dangling=false") == ""
    assert len(engine.out("volume", "create")) == 64
    assert engine.out("volume", "rm", "one") == "one"
    assert not os.path.exists(found["Mountpoint"])
    assert "no such volume" in engine.docker("volume", "rm", "one", check=False).stderr


def test_a_volume_in_use_stays(engine: Engine) -> None:
    container = engine.out("create", "-v", "data:/d", "busybox")
    done = engine.docker("volume", "rm", "data", check=False)
    assert done.returncode == 1
    assert "volume is in use" in done.stderr
    assert container in done.stderr


def test_copy_up_fills_a_new_volume_only(engine: Engine) -> None:
    assert engine.out("run", "--rm", "-v", "vol-v:/data", "seeded", "cat", "/data/seed") == "from the image"
    owner = engine.out("run", "--rm", "-v", "vol-v:/data", "busybox", "stat", "-c", "%u", "/data")
    assert owner == "1000"
    engine.docker("run", "--rm", "-v", "vol-v:/data", "seeded", "sh", "-c", "echo new > /data/seed")
    assert engine.out("run", "--rm", "-v", "vol-v:/data", "seeded", "cat", "/data/seed") == "new"
    done = engine.docker("run", "--rm", "-v", "vol-w:/data:nocopy", "seeded", "ls", "/data")
    assert done.stdout == ""


def test_the_volumes_of_an_image_are_anonymous(engine: Engine) -> None:
    engine.docker("run", "--name", "box", "seeded", "sh", "-c", "echo mine > /data/file")
    (mount,) = engine.inspect("box")["Mounts"]
    assert (mount["Type"], mount["Destination"], mount["RW"]) == ("volume", "/data", True)
    assert len(mount["Name"]) == 64
    assert engine.out("run", "--rm", "--volumes-from", "box", "busybox", "cat", "/data/file") == "mine"
    engine.docker("rm", "-v", "box")
    assert engine.out("volume", "ls", "-q") == ""


def test_prune_takes_anonymous_ones_and_all_on_demand(engine: Engine) -> None:
    engine.docker("volume", "create", "named")
    anonymous = engine.out("volume", "create")
    assert anonymous in engine.out("volume", "prune", "-f")
    assert engine.out("volume", "ls", "-q") == "named"
    assert "named" in engine.out("volume", "prune", "-af")


def test_bind_mounts(engine: Engine) -> None:
    directory = engine.base / "bind"
    directory.mkdir()
    (directory / "file").write_text("from the host\n")
    assert engine.out("run", "--rm", "-v", f"{directory}:/b:ro", "busybox", "cat", "/b/file") == "from the host"
    engine.docker("run", "--rm", "-v", f"{directory}:/b", "busybox", "sh", "-c", "echo back > /b/other")
    assert (directory / "other").read_text() == "back\n"
    engine.docker("run", "--rm", "-v", f"{directory}/file:/one:ro", "busybox", "cat", "/one")
    made = engine.base / "made-by-v"
    engine.docker("run", "--rm", "-v", f"{made}:/b", "busybox", "true")
    assert made.is_dir()


def test_mount_wants_an_existing_source(engine: Engine) -> None:
    argv = ["run", "--rm", "--mount", "type=bind,source=/nowhere/at/all,target=/b", "busybox"]
    done = engine.docker(*argv, check=False)
    assert done.returncode == 125
    assert "bind source path does not exist: /nowhere/at/all" in done.stderr


def test_propagation_of_a_bind(engine: Engine) -> None:
    directory = engine.base / "shared"
    directory.mkdir()
    engine.host.run("mount", "--bind", str(directory), str(directory))
    engine.host.run("mount", "--make-shared", str(directory))
    try:
        (directory / "sub").mkdir()
        engine.docker(
            "run", "-d", "--name", "box", "--mount", f"type=bind,source={directory},target=/s,bind-propagation=rslave",
            "busybox", "sleep", "100",
        )  # fmt: skip
        engine.host.run("mount", "-t", "tmpfs", "tmpfs", str(directory / "sub"))
        engine.host.run("touch", str(directory / "sub" / "late"))
        assert engine.execute("box", "ls", "/s/sub").split() == ["late"]
    finally:
        engine.docker("rm", "-f", "box", check=False)
        engine.host.run("umount", "-l", str(directory / "sub"), check=False)
        engine.host.run("umount", "-l", str(directory))


def test_tmpfs(engine: Engine) -> None:
    argv = ["--tmpfs", "/t:size=1m,mode=1700,noexec", "--mount", "type=tmpfs,target=/u,tmpfs-size=2m"]
    shown = engine.out("run", "--rm", *argv, "busybox", "cat", "/proc/mounts").splitlines()
    lines = {line.split()[1]: line for line in shown}
    assert "size=1024k,mode=1700" in lines["/t"]
    assert "noexec" in lines["/t"]
    assert "size=2048k" in lines["/u"]


def test_a_subdirectory_of_a_volume(engine: Engine) -> None:
    engine.docker("run", "--rm", "-v", "data:/d", "busybox", "sh", "-c", "mkdir /d/sub; echo x > /d/sub/file")
    argv = ["--mount", "type=volume,source=data,target=/s,volume-subpath=sub"]
    assert engine.out("run", "--rm", *argv, "busybox", "cat", "/s/file") == "x"


def test_a_volume_with_mount_options(engine: Engine) -> None:
    options = ["--opt", "type=tmpfs", "--opt", "device=tmpfs", "--opt", "o=size=3m,uid=1000"]
    engine.docker("volume", "create", *options, "vol-t")
    shown = engine.out(
        "run", "--rm", "-v", "vol-t:/t", "busybox", "sh", "-c", "grep ' /t ' /proc/mounts; stat -c %u /t"
    )
    assert "size=3072k" in shown
    assert shown.endswith("1000")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["-v", "relative/path:/x"], "includes invalid characters for a local volume name"),
        (["-v", "data:relative"], "mount path must be absolute"),
        (["-v", "aa:/x", "-v", "bb:/x"], "Duplicate mount point: /x"),
        (["-v", "/:/x:sideways"], "invalid mode: sideways"),
        (["--mount", "type=bind,target=/x,source=rel"], "mount path must be absolute"),
        (["--volumes-from", "nobody"], "No such container: nobody"),
    ],
)
def test_bad_mounts(engine: Engine, flags: list[str], message: str) -> None:
    done = engine.docker("create", *flags, "busybox", check=False)
    assert done.returncode in (1, 125)
    assert message.lower() in done.stderr.lower()


# -- cp


@pytest.mark.parametrize("state", ["created", "running", "exited"])
def test_cp_both_ways(engine: Engine, state: str) -> None:
    engine.docker("create", "--name", "box", "busybox", *(["sleep", "100"] if state == "running" else ["true"]))
    if state == "running":
        engine.docker("start", "box")
    if state == "exited":
        engine.docker("start", "-a", "box")
    source = engine.base / f"source-{state}"
    source.mkdir()
    (source / "file").write_text("content\n")
    (source / "link").symlink_to("file")
    engine.docker("cp", str(source), "box:/root/")
    target = engine.base / f"target-{state}"
    engine.docker("cp", f"box:/root/source-{state}/.", str(target))
    assert (target / "file").read_text() == "content\n"
    assert os.readlink(target / "link") == "file"


def test_cp_follows_links_inside_the_container_only(engine: Engine) -> None:
    engine.docker("run", "--name", "box", "busybox", "ln", "-s", "/etc/hostname", "/name")
    engine.docker("cp", "-L", "box:/name", str(engine.base / "name"))
    assert (engine.base / "name").read_text() != ""
    engine.docker("start", "-a", "box", check=False)
    engine.docker("run", "--name", "dee", "busybox", "ln", "-s", f"{engine.base}", "/out")
    done = engine.docker("cp", "dee:/out/e.sock", str(engine.base / "stolen"), check=False)
    assert done.returncode == 1
    assert not (engine.base / "stolen").exists()


def test_cp_through_tar_streams(engine: Engine) -> None:
    engine.docker("create", "--name", "box", "busybox")
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        entry = tarfile.TarInfo("sub/file")
        entry.size, entry.uid, entry.mode = 5, 1234, 0o640
        tar.addfile(entry, io.BytesIO(b"hello"))
    argv = ["docker", "cp", "-a", "-", "box:/root"]
    subprocess.run(argv, env=engine.environment, input=packed.getvalue(), check=True, capture_output=True)
    got = subprocess.run(
        ["docker", "cp", "box:/root/sub/file", "-"], env=engine.environment, capture_output=True, check=True
    )
    with tarfile.open(fileobj=io.BytesIO(got.stdout)) as tar:
        (member,) = tar.getmembers()
    assert (member.name, member.size, member.uid, member.mode & 0o777) == ("file", 5, 1234, 0o640)


def test_cp_into_volumes_and_read_only_places(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "box", "-v", "data:/d", "-v", "data:/ro:ro", "busybox", "sleep", "100")
    source = engine.base / "for-volume"
    source.write_text("x\n")
    engine.docker("cp", str(source), "box:/d/file")
    assert engine.execute("box", "cat", "/d/file") == "x\n"
    done = engine.docker("cp", str(source), "box:/ro/other", check=False)
    assert done.returncode == 1
    assert "read-only" in done.stderr


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["box:/missing", "."], "Could not find the file /missing in container box"),
        (["nobody:/etc/passwd", "."], "No such container: nobody"),
        (["/etc/hostname", "box:/missing/dir/file"], "missing"),
    ],
)
def test_cp_refusals(engine: Engine, argv: list[str], message: str) -> None:
    engine.docker("create", "--name", "box", "busybox")
    done = engine.docker("cp", *argv, check=False)
    assert done.returncode == 1
    assert message in done.stderr
