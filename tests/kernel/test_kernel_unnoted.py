"""Pins that nobody noted: those of sandboxes are given back, strangers' stay."""

from __future__ import annotations

import os

import pytest

from fairlead.errors import KernelError
from fairlead.kernel import netns
from fairlead.kernel.sandbox import discard_unnoted, open_sandbox

pytestmark = pytest.mark.usefixtures("machine")


def test_a_sandbox_is_given_back() -> None:
    sandbox = open_sandbox("web", {})
    discard_unnoted("web")
    assert not os.path.exists(sandbox.ns.path)
    sandbox.udp.close()
    sandbox.tcp.close()
    sandbox.ns.close()


def test_a_strangers_namespace_stays() -> None:
    ns = netns.create("theirs")
    discard_unnoted("theirs")
    assert netns.is_pinned(ns.path, ns.inode)
    netns.remove(ns)


def test_what_nothing_was_mounted_on_is_deleted() -> None:
    ns = netns.create("web")
    path = ns.path
    netns.remove(ns)
    with open(path, "w", encoding="ascii"):
        pass
    discard_unnoted("web")
    assert not os.path.exists(path)
    discard_unnoted("web")


def test_a_file_with_content_stays() -> None:
    netns.remove(netns.create("any"))
    with open(f"{netns.PINS}/notes", "w", encoding="ascii") as file:
        file.write("mine")
    discard_unnoted("notes")
    assert os.path.exists(f"{netns.PINS}/notes")


def test_a_namespace_that_cannot_be_furnished_leaves_no_name() -> None:
    with pytest.raises(KernelError):
        open_sandbox("web", {"net/ipv4/no/such/key": "1"})
    assert netns.is_free("web")
    assert not os.path.exists(f"{netns.PINS}/web")
