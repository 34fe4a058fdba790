"""Network namespaces: made, pinned, entered, renamed, removed, and found again by another daemon."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from fairlead.errors import KernelError
from fairlead.ids import ContainerId
from fairlead.kernel import mounts, netns
from kernel.plumbing import ip_inside, run

OWNER = ContainerId("a" * 64)


def test_a_new_namespace_has_its_loopback_up_and_is_shown_by_ip_netns(machine: Path) -> None:
    ns = netns.create("web")
    assert ns.path == "/run/netns/web"
    assert run("ip", "netns", "list").split()[0] == "web"
    assert "UP" in ip_inside(ns, "link", "show", "lo")[0]["flags"]
    assert ns.inode == os.stat(ns.path).st_ino != netns.current().inode
    netns.remove(ns)
    assert run("ip", "netns", "list") == ""
    assert not os.path.exists("/run/netns/web")


def test_pins_are_shared_as_iproute2_shares_them(machine: Path) -> None:
    netns.create("web")
    assert [entry.shared for entry in mounts.entries() if entry.target == netns.PINS][-1]


def test_a_taken_name_is_refused_and_a_leftover_file_is_not(machine: Path) -> None:
    netns.create("web")
    with pytest.raises(KernelError) as refused:
        netns.create("web")
    assert refused.value.errno == errno.EEXIST
    Path("/run/netns/stale").touch()
    assert netns.is_pinned(netns.create("stale").path)


def test_a_file_with_content_is_somebody_elses(machine: Path) -> None:
    Path("/run/netns/theirs").write_text("x", encoding="ascii")
    with pytest.raises(KernelError):
        netns.create("theirs")
    assert Path("/run/netns/theirs").read_text(encoding="ascii") == "x"


def test_a_renamed_pin_holds_the_same_namespace(machine: Path) -> None:
    ns = netns.create("old")
    netns.rename(ns, "new")
    assert netns.pins() == {"new": ns.inode}
    assert ns.name == "new"
    netns.create("taken")
    with pytest.raises(KernelError):
        netns.rename(ns, "taken")
    assert ns.name == "new"


def test_a_pin_that_was_taken_away_is_put_back(machine: Path) -> None:
    ns = netns.create("web")
    run("ip", "netns", "delete", "web")
    assert netns.pins() == {}
    netns.repin(ns)
    netns.repin(ns)
    assert netns.pins() == {"web": ns.inode}


def test_another_daemon_finds_the_namespace_by_its_pin(machine: Path) -> None:
    first = netns.create("web")
    second = netns.open_existing("/run/netns/web")
    assert second.inode == first.inode
    assert [link.name for link in second.netlink.links()] == ["lo"]
    for path in ("/run/netns/none", "/etc/hostname"):
        with pytest.raises(KernelError):
            netns.open_existing(path)


def test_work_inside_leaves_the_caller_where_it_was(machine: Path) -> None:
    ns, here = netns.create("web"), netns.current().inode
    assert netns.run_in(ns, lambda: os.stat("/proc/thread-self/ns/net").st_ino) == ns.inode
    assert netns.current().inode == here
    with pytest.raises(ZeroDivisionError):
        netns.run_in(ns, lambda: 1 // 0)


def test_a_note_says_whose_pin_it_is(machine: Path) -> None:
    root, ns = str(machine / "exec"), netns.create("web")
    assert netns.read_pin(root, OWNER) is None
    netns.write_pin(root, OWNER, ns)
    pin = netns.read_pin(root, OWNER)
    assert pin == netns.Pin("web", ns.inode)
    assert pin.stands()
    netns.remove(ns)
    netns.create("web")  # a stranger's, under the same name
    assert pin.path == "/run/netns/web"
    Path(root, OWNER, "netns").write_text("{", encoding="ascii")
    assert netns.read_pin(root, OWNER) is None
    netns.forget_pin(root, OWNER)
    assert not Path(root, OWNER).exists()


def test_making_one_is_quick(machine: Path, timing: Callable[[str, list[float]], None]) -> None:
    made, removed = [], []
    for number in range(20):
        began = time.perf_counter()
        ns = netns.create(f"n{number}")
        made.append(time.perf_counter() - began)
        began = time.perf_counter()
        netns.remove(ns)
        removed.append(time.perf_counter() - began)
    timing("namespace made and pinned", made)
    timing("namespace removed", removed)
    assert sorted(made)[10] < 0.01
