"""What containers share with each other and with their image: namespaces, memory, volumes and parts of them."""

from __future__ import annotations

import os

import pytest

from harness.engine import Engine, wait_until


def part(subpath: str) -> list[str]:
    return ["--mount", f"type=volume,source=data,target=/s,volume-subpath={subpath}"]


@pytest.fixture
def donor(engine: Engine) -> Engine:
    """A container whose namespaces others may join, with something in its shared memory."""
    script = "echo from the donor > /dev/shm/mark; exec sleep 777"
    engine.docker("run", "-d", "--name", "donor", "--ipc", "shareable", "busybox", "sh", "-c", script)
    wait_until(lambda: engine.execute("donor", "ls", "/dev/shm") != "", "the mark is there")
    return engine


@pytest.fixture
def data(engine: Engine) -> Engine:
    """A volume with a directory, a file and links that lead in and out."""
    script = "mkdir /d/sub; echo x > /d/sub/file; echo y > /d/plain; ln -s sub /d/link; ln -s /etc /d/out"
    engine.docker("run", "--rm", "-v", "data:/d", "busybox", "sh", "-c", script)
    return engine


# -- namespaces -------------------------------------------------------------------------------------------------------


def test_one_network_stack_for_two(donor: Engine) -> None:
    donor.docker("run", "-d", "--name", "box", "--network", "container:donor", "busybox", "sleep", "100")
    inside = donor.execute("box", "readlink", "/proc/1/ns/net")
    assert inside == donor.execute("donor", "readlink", "/proc/1/ns/net")
    found = donor.inspect("box")
    assert found["HostConfig"]["NetworkMode"] == f"container:{donor.inspect('donor')['Id']}"
    assert found["Config"]["Hostname"] == donor.inspect("donor")["Config"]["Hostname"]
    for path in ("/etc/hosts", "/etc/resolv.conf", "/etc/hostname"):
        assert donor.execute("box", "cat", path) == donor.execute("donor", "cat", path)


def test_shared_memory_is_the_same_memory(donor: Engine) -> None:
    argv = [
        "run",
        "--rm",
        "--ipc",
        "container:donor",
        "busybox",
        "sh",
        "-c",
        "cat /dev/shm/mark; echo x > /dev/shm/back",
    ]
    assert donor.out(*argv) == "from the donor"
    assert donor.execute("donor", "ls", "/dev/shm").split() == ["back", "mark"]


def test_shared_memory_can_be_joined_after_the_daemon_was_killed(donor: Engine) -> None:
    donor.kill()
    donor.start()
    assert donor.out("run", "--rm", "--ipc", "container:donor", "busybox", "cat", "/dev/shm/mark") == "from the donor"


def test_what_shares_with_a_removed_container_goes_on(donor: Engine) -> None:
    modes = ["--ipc", "container:donor", "--network", "container:donor"]
    donor.docker("run", "-d", "--name", "box", *modes, "busybox", "sleep", "100")
    donor.docker("rm", "-f", "donor")
    assert donor.execute("box", "cat", "/dev/shm/mark") == "from the donor\n"
    donor.docker("update", "--cpus", "0.5", "box")
    assert donor.inspect("box")["HostConfig"]["NanoCpus"] == 500_000_000


def test_what_shares_process_ids_ends_with_process_1(donor: Engine) -> None:
    donor.docker("run", "-d", "--name", "box", "--pid", "container:donor", "busybox", "sleep", "100")
    assert "sleep 777" in donor.execute("box", "ps")
    donor.docker("kill", "donor")
    wait_until(lambda: not donor.inspect("box")["State"]["Running"], "the kernel ended it")
    assert donor.inspect("box")["State"]["ExitCode"] == 137


@pytest.mark.parametrize("mode", ["--ipc", "--pid", "--network"])
def test_nobody_to_share_with(engine: Engine, mode: str) -> None:
    done = engine.docker("create", mode, "container:nobody", "busybox", check=False)
    assert done.returncode == 1
    # Told as 404, it would send the client off to pull the image.
    assert done.stderr.strip() == "Error response from daemon: No such container: nobody"


@pytest.mark.parametrize("mode", ["--ipc", "--pid", "--network"])
def test_a_donor_must_run(donor: Engine, mode: str) -> None:
    donor.docker("create", "--name", "box", mode, "container:donor", "busybox")
    donor.docker("stop", "-t", "0", "donor")
    done = donor.docker("start", "box", check=False)
    assert done.returncode == 1
    assert "of a non running container" in done.stderr


def test_no_shared_memory_at_all(engine: Engine) -> None:
    assert " /dev/shm " not in engine.out("run", "--rm", "--ipc", "none", "busybox", "cat", "/proc/mounts")


# -- parts of volumes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["sub", "link", "sub/../sub"])
def test_a_directory_of_a_volume(data: Engine, path: str) -> None:
    assert data.out("run", "--rm", *part(path), "busybox", "cat", "/s/file") == "x"


def test_a_file_of_a_volume(data: Engine) -> None:
    assert data.out("run", "--rm", *part("plain"), "busybox", "cat", "/s") == "y"


@pytest.mark.parametrize("path", ["out", "missing"])
def test_a_part_that_is_not_there(data: Engine, path: str) -> None:
    done = data.docker("run", "--rm", *part(path), "busybox", "ls", "/s", check=False)
    assert done.returncode in (125, 127)
    assert "no such file or directory" in done.stderr
    assert data.out("ps", "-aq") == ""


@pytest.mark.parametrize("path", ["..", "../..", "/etc", "sub/../../x"])
def test_a_part_lies_in_its_volume(data: Engine, path: str) -> None:
    done = data.docker("create", *part(path), "busybox", check=False)
    assert done.returncode == 1
    assert "subpath must be a relative path within the volume" in done.stderr


def test_cp_sees_the_part_of_a_stopped_container(data: Engine) -> None:
    data.docker("create", "--name", "box", *part("sub"), "busybox")
    target = data.base / "copied"
    data.docker("cp", "box:/s/file", str(target))
    assert target.read_text() == "x\n"


# -- volumes and their containers -------------------------------------------------------------------------------------


def test_named_volumes_stay_and_anonymous_ones_go(engine: Engine) -> None:
    engine.docker("run", "--rm", "-v", "data:/a", "-v", "/b", "busybox", "true")
    wait_until(lambda: engine.out("volume", "ls", "-q") == "data", "only the named one is left")
    engine.docker("run", "--name", "box", "-v", "data:/a", "-v", "/b", "busybox", "true")
    engine.docker("rm", "-v", "box")
    assert engine.out("volume", "ls", "-q") == "data"


def test_rm_alone_keeps_anonymous_volumes(engine: Engine) -> None:
    engine.docker("run", "--name", "box", "-v", "/b", "busybox", "true")
    (mount,) = engine.inspect("box")["Mounts"]
    engine.docker("rm", "box")
    assert engine.out("volume", "ls", "-q") == mount["Name"]


def test_an_anonymous_volume_that_another_uses_stays(engine: Engine) -> None:
    engine.docker("create", "--name", "one", "-v", "/b", "busybox")
    engine.docker("create", "--name", "two", "--volumes-from", "one", "busybox")
    engine.docker("rm", "-v", "one")
    assert engine.out("volume", "ls", "-q") != ""
    engine.docker("rm", "-v", "two")
    assert engine.out("volume", "ls", "-q") == ""


def test_read_only_is_read_only_all_the_way_down(engine: Engine) -> None:
    outer = engine.base / "outer"
    inner = outer / "inner"
    inner.mkdir(parents=True)
    engine.host.run("mount", "-t", "tmpfs", "tmpfs", str(inner))
    try:
        done = engine.docker("run", "--rm", "-v", f"{outer}:/o:ro", "busybox", "touch", "/o/inner/x", check=False)
        assert "Read-only file system" in done.stderr
        upper = f"type=bind,source={outer},target=/o,readonly,bind-recursive=writable"
        engine.docker("run", "--rm", "--mount", upper, "busybox", "touch", "/o/inner/x")
        flat = f"type=bind,source={outer},target=/o,bind-recursive=disabled"
        assert engine.out("run", "--rm", "--mount", flat, "busybox", "ls", "/o/inner") == ""
    finally:
        engine.host.run("umount", str(inner))


def test_a_file_over_a_file(engine: Engine) -> None:
    source = engine.base / "motd"
    source.write_text("mine\n")
    os.chmod(source, 0o640)
    shown = engine.out("run", "--rm", "-v", f"{source}:/etc/hostname:ro", "busybox", "cat", "/etc/hostname")
    assert shown == "mine"
