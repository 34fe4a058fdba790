"""What is sent for a step, and what comes of a refusal; the real kernel is in tests/kernel."""

from __future__ import annotations

import errno
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from fairlead.errors import KernelError
from fairlead.kernel.netlink import codec
from fairlead.kernel.netlink.connection import Reply
from fairlead.kernel.netlink.frames import attributes, messages, string
from fairlead.kernel.wiring import Wiring
from fairlead.net.state import HOST, Link, LinkKind

BRIDGE = Link(ns=HOST, name="br-1", kind=LinkKind.BRIDGE)
INDEX = 7


@dataclass
class OldKernel:
    """One bridge that is up, and which a kernel before 6.2 does not rename meanwhile."""

    up: bool = True
    name: str = "br-1"
    wrong: int = errno.EBUSY
    exchanges: list[int] = field(default_factory=list)

    def exchange(self, requests: Sequence[bytes]) -> list[Reply]:
        self.exchanges.append(len(requests))
        return [self._take(request) for request in requests]

    def _take(self, request: bytes) -> Reply:
        (message,) = messages(request)
        if message.kind == codec.GETLINK:
            found = string(attributes(message.body, 16).get(3)) == self.name
            return (
                Reply(0, "", memoryview(request[16:20] + struct.pack("=i", INDEX) + bytes(8)))
                if found
                else Reply(errno.ENODEV, "")
            )
        _, _, index, flags, change = struct.unpack_from("=BxHiII", message.body)
        assert index == INDEX
        name = string(attributes(message.body, 16).get(3))
        if name and self.up:
            return Reply(self.wrong, "")
        self.up = bool(flags & 1) if change else self.up
        self.name = name or self.name
        return Reply(0, "")


def wiring(kernel: OldKernel) -> Wiring:
    namespace = cast("Any", type("Namespace", (), {"netlink": kernel})())
    return Wiring(HOST, namespace, namespace, {})


def test_a_bridge_that_may_not_be_renamed_goes_down_first() -> None:
    kernel = OldKernel()
    hand = wiring(kernel)
    hand.remove_link(BRIDGE)
    hand.flush()
    assert (kernel.up, kernel.name, hand.condemned) == (False, "flx7", True)


def test_another_refusal_is_an_error() -> None:
    hand = wiring(OldKernel(wrong=errno.EPERM))
    hand.remove_link(BRIDGE)
    with pytest.raises(KernelError, match="cannot remove link br-1"):
        hand.flush()


def test_a_link_that_is_gone_is_removed() -> None:
    kernel = OldKernel(name="other")
    hand = wiring(kernel)
    hand.remove_link(BRIDGE)
    hand.flush()
    assert (kernel.name, hand.condemned, kernel.exchanges) == ("other", False, [1])
