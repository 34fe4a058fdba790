"""The words of a refused port are Docker's."""

from __future__ import annotations

import errno
from ipaddress import ip_address

from fairlead.kernel.ports import PortError
from fairlead.model.port import Protocol


def test_words() -> None:
    taken = PortError(Protocol.TCP, ip_address("0.0.0.0"), 80, errno.EADDRINUSE)
    foreign = PortError(Protocol.UDP, ip_address("fd00::1"), 53, errno.EADDRNOTAVAIL)
    assert str(taken) == "failed to bind host port 0.0.0.0:80/tcp: address already in use"
    assert str(foreign) == "failed to bind host port [fd00::1]:53/udp: cannot assign requested address"
    assert (taken.taken, foreign.taken, taken.status) == (True, False, 500)
