"""``--network container:X``: what the others keep when X stops, restarts, is killed, renamed, removed, made anew."""

from __future__ import annotations

import os
import shutil
import signal
from contextlib import suppress

import pytest

from conformance.test_hot_ports import connection
from conformance.test_live_networks import free, repairs, resolves, sleeper, unchanged
from harness import inside
from harness.engine import Engine, wait_until


def family(engine: Engine, *flags: str, guest: tuple[str, ...] = ()) -> None:
    """Owner on network n, publishing 8080:80; guest in its sandbox; neighbour beside."""
    engine.docker("network", "create", "n")
    sleeper(engine, "owner", "--network", "n", "--network-alias", "nick", "-p", "8080:80", *flags)
    sleeper(engine, "guest", "--network", "container:owner", *guest)
    sleeper(engine, "neighbour", "--network", "n")


def namespace(engine: Engine, name: str) -> int:
    """0 while it does not run."""
    pid = engine.inspect(name)["State"]["Pid"]
    return os.stat(f"/proc/{pid}/ns/net").st_ino if pid else 0


def running(engine: Engine, name: str) -> bool:
    """With a process: one that waits for its next start counts as running for Docker, too."""
    state = engine.inspect(name)["State"]
    return bool(state["Running"] and state["Pid"])


@pytest.mark.parametrize("how", [["restart", "-t", "0"], ["stop", "-t", "0"], ["kill"]])
def test_a_guest_does_not_notice(engine: Engine, how: list[str]) -> None:
    family(engine)
    before, address = namespace(engine, "guest"), engine.address("owner", "n")
    with inside.tcp_echo(engine.netns("guest"), 80), connection(engine, 8080) as link:
        link.send(b"one")
        assert link.recv(9) == b"one"
        engine.docker(*how, "owner")
        if how[0] != "restart":
            wait_until(lambda: not running(engine, "owner"), "the owner has ended")
            assert resolves(engine, "guest", "neighbour") == {engine.address("neighbour", "n")}
            assert resolves(engine, "neighbour", "nick") == {address}
            with connection(engine, 8080) as fresh:
                fresh.send(b"meanwhile")
                assert fresh.recv(9) == b"meanwhile"
            link.send(b"two")
            assert link.recv(9) == b"two"
            assert "has active endpoints" in engine.docker("network", "rm", "n", check=False).stderr
            engine.docker("start", "owner")
        assert namespace(engine, "owner") == namespace(engine, "guest") == before
        assert engine.address("owner", "n") == address
        link.send(b"three")
        assert link.recv(9) == b"three"
    assert engine.inspect("owner")["NetworkSettings"]["SandboxKey"] == "/run/netns/owner"
    assert "repair" not in repairs(engine)


def test_the_last_one_out_closes_it(engine: Engine) -> None:
    family(engine)
    engine.docker("stop", "-t", "0", "owner")
    assert not free(engine, 8080)
    assert "owner" in engine.host.run("ls", "/run/netns")
    engine.docker("stop", "-t", "0", "guest")
    wait_until(lambda: free(engine, 8080), "the port is given back")
    wait_until(lambda: "owner" not in engine.host.run("ls", "/run/netns"), "the namespace is gone")
    assert engine.inspect("owner")["NetworkSettings"]["SandboxKey"] == ""
    done = engine.docker("start", "guest", check=False)
    assert "cannot join network namespace of a non running container: container owner is exited" in done.stderr
    engine.docker("start", "owner")
    engine.docker("start", "guest")
    assert namespace(engine, "owner") == namespace(engine, "guest")


def test_a_guest_may_come_while_the_owner_is_away(engine: Engine) -> None:
    family(engine)
    engine.docker("stop", "-t", "0", "owner")
    sleeper(engine, "second", "--network", "container:owner")
    assert namespace(engine, "second") == namespace(engine, "guest")
    engine.docker("restart", "-t", "0", "guest")
    assert namespace(engine, "second") == namespace(engine, "guest")
    engine.docker("rm", "-f", "guest")
    engine.docker("start", "owner")
    assert namespace(engine, "second") == namespace(engine, "owner")


def test_what_changes_while_the_owner_is_away(engine: Engine) -> None:
    family(engine)
    engine.docker("network", "create", "late")
    engine.docker("stop", "-t", "0", "owner")
    with inside.tcp_echo(engine.netns("guest"), 81):
        engine.docker("network", "connect", "late", "owner")
        engine.fairlead("port", "add", "owner", "8081:81")
        engine.docker("rename", "owner", "chief")
        with connection(engine, 8081) as link:
            link.send(b"x")
            assert link.recv(9) == b"x"
    assert "eth1" in engine.execute("guest", "ip", "link")
    assert "chief" in engine.host.run("ls", "/run/netns")
    assert resolves(engine, "neighbour", "chief") == {engine.address("chief", "n")}
    engine.docker("start", "chief")
    assert namespace(engine, "chief") == namespace(engine, "guest")
    assert len(engine.inspect("chief")["NetworkSettings"]["Networks"]) == 2


def test_a_policy_brings_the_owner_back_into_its_sandbox(engine: Engine) -> None:
    family(engine, "--restart", "always")
    before, pid = namespace(engine, "guest"), engine.inspect("owner")["State"]["Pid"]
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: engine.inspect("owner")["State"]["Pid"] not in (0, pid), "the owner is back", 15)
    assert namespace(engine, "owner") == namespace(engine, "guest") == before


@pytest.mark.parametrize("owner_is_away", [True, False])
def test_the_daemon_is_killed_meanwhile(engine: Engine, owner_is_away: bool) -> None:
    family(engine)
    before, address = namespace(engine, "guest"), engine.address("owner", "n")
    if owner_is_away:
        engine.docker("stop", "-t", "0", "owner")
    pid = engine.inspect("owner")["State"]["Pid"]
    with inside.tcp_echo(engine.netns("guest"), 80), connection(engine, 8080) as link:
        engine.kill()
        if not owner_is_away:
            os.kill(pid, signal.SIGKILL)
        engine.start()
        link.send(b"x")
        assert link.recv(9) == b"x"
        assert not running(engine, "owner")
        assert resolves(engine, "guest", "neighbour") == {engine.address("neighbour", "n")}
        engine.docker("start", "owner")
        assert namespace(engine, "owner") == before
        assert engine.address("owner", "n") == address
        link.send(b"y")
        assert link.recv(9) == b"y"
    assert "repair" not in repairs(engine)


def test_nobody_is_left_when_the_daemon_comes_back(engine: Engine) -> None:
    family(engine)
    engine.docker("stop", "-t", "0", "owner")
    pid = engine.inspect("guest")["State"]["Pid"]
    engine.kill()
    os.kill(pid, signal.SIGKILL)
    engine.start()
    assert free(engine, 8080)
    assert "owner" not in engine.host.run("ls", "/run/netns")


def test_a_start_that_fails_keeps_the_guest_connected(engine: Engine) -> None:
    family(engine)
    before = namespace(engine, "guest")
    engine.docker("stop", "-t", "0", "owner")
    engine.docker("run", "-d", "--name", "broken", "--network", "container:owner", "busybox", "/nosuch", check=False)
    with inside.tcp_echo(engine.netns("guest"), 80), connection(engine, 8080) as link:
        link.send(b"x")
        assert link.recv(9) == b"x"
    engine.docker("start", "owner")
    assert namespace(engine, "owner") == before


def test_the_owners_removal_ends_it_and_its_successor_takes_the_guests_in(engine: Engine) -> None:
    family(engine, guest=("--restart", "unless-stopped", "--stop-timeout", "0"))
    sleeper(engine, "mortal", "--network", "container:owner")
    engine.docker("rm", "-f", "owner")
    assert free(engine, 8080)
    assert running(engine, "guest")
    assert engine.inspect("guest")["NetworkSettings"]["SandboxKey"] == ""
    engine.docker("network", "disconnect", "n", "neighbour")
    sleeper(engine, "owner", "--network", "n", "-p", "8080:80")
    wait_until(lambda: namespace(engine, "guest") == namespace(engine, "owner"), "the guest is in the new sandbox")
    assert engine.inspect("guest")["HostConfig"]["NetworkMode"] == f"container:{engine.inspect('owner')['Id']}"
    # Without a policy it is left to whoever started it.
    assert namespace(engine, "mortal") != namespace(engine, "owner")
    engine.docker("restart", "-t", "0", "mortal")
    assert namespace(engine, "mortal") == namespace(engine, "owner")
    with inside.tcp_echo(engine.netns("guest"), 80), connection(engine, 8080) as link:
        link.send(b"x")
        assert link.recv(9) == b"x"


def test_a_successor_by_a_rename(engine: Engine) -> None:
    """As Compose makes a container anew: made under another name, renamed when the former one is gone."""
    family(engine)
    engine.docker("stop", "-t", "0", "guest")
    engine.docker("create", "--name", "tmp_owner", "--network", "n", "busybox", "sleep", "1000")
    engine.docker("rm", "-f", "owner")
    assert "No such container" in engine.docker("start", "guest", check=False).stderr
    engine.docker("rename", "tmp_owner", "owner")
    engine.docker("start", "owner")
    engine.docker("start", "guest")
    assert namespace(engine, "guest") == namespace(engine, "owner")


def test_who_cannot_join(engine: Engine) -> None:
    sleeper(engine, "one")
    engine.docker("create", "--name", "two", "--network", "container:one", "busybox", "sleep", "9")
    engine.docker("stop", "-t", "0", "one")
    with unchanged(engine):
        said = engine.docker("start", "two", check=False).stderr
    assert "cannot join network namespace of a non running container: container one is exited" in said


def test_a_guest_of_a_guest(engine: Engine) -> None:
    family(engine)
    sleeper(engine, "third", "--network", "container:guest")
    assert namespace(engine, "third") == namespace(engine, "owner")
    engine.docker("stop", "-t", "0", "owner")
    engine.docker("stop", "-t", "0", "guest")
    assert not free(engine, 8080)
    engine.docker("start", "owner")
    assert namespace(engine, "third") == namespace(engine, "owner")


def test_after_a_reboot_the_owner_starts_first(engine: Engine) -> None:
    engine.docker("network", "create", "n")
    for number in range(3):
        sleeper(engine, f"owner{number}", "--network", "n", "--restart", "always")
        sleeper(engine, f"guest{number}", "--network", f"container:owner{number}", "--restart", "always")
    names = [f"{kind}{number}" for kind in ("guest", "owner") for number in range(3)]
    pids = [engine.inspect(name)["State"]["Pid"] for name in names]
    engine.kill()
    for pid in [*engine.processes("conmon"), engine.resolver, *pids]:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    engine.host.run("sh", "-c", "nft flush ruleset; ip -all netns delete")
    engine.host.run("umount", "-l", str(engine.exec_root), check=False)
    shutil.rmtree(engine.exec_root)
    engine.start()
    wait_until(lambda: all(running(engine, name) for name in names), "all are up again")
    for number in range(3):
        assert namespace(engine, f"guest{number}") == namespace(engine, f"owner{number}")
