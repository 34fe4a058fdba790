"""Upstream answers kept for as long as they hold."""

from __future__ import annotations

import dns.message
import pytest

from fairlead.dns.cache import LONGEST, Cache

HEAD = "id 1\nflags QR RD RA\nrcode {rcode}\n;QUESTION\na. IN A\n"


def answer(ttl: int, rcode: str = "NOERROR", content: str = "192.0.2.1") -> bytes:
    return dns.message.from_text(HEAD.format(rcode=rcode) + f";ANSWER\na. {ttl} IN A {content}\n").to_wire()


def ttl(packet: bytes | None) -> int:
    assert packet is not None
    return dns.message.from_wire(packet).answer[0].ttl


def test_counts_down_and_ends() -> None:
    cache = Cache(10)
    cache.put(b"k", answer(5), now=100.0)
    assert ttl(cache.get(b"k", 100.9)) == 5
    assert ttl(cache.get(b"k", 103.2)) == 2
    assert cache.get(b"k", 105.0) is None
    assert len(cache) == 0


def test_never_longer_than_a_minute() -> None:
    cache = Cache(10)
    cache.put(b"k", answer(86400), now=0.0)
    assert ttl(cache.get(b"k", LONGEST - 1)) == 86400 - LONGEST + 1
    assert cache.get(b"k", LONGEST) is None


def test_ttl_zero_is_not_kept() -> None:
    cache = Cache(10)
    cache.put(b"k", answer(0), now=0.0)
    assert cache.get(b"k", 0.0) is None


def test_nxdomain_with_soa_is_kept() -> None:
    text = HEAD.format(rcode="NXDOMAIN") + ";AUTHORITY\n. 9 IN SOA m. r. 1 2 3 4 5\n"
    cache = Cache(10)
    cache.put(b"k", dns.message.from_text(text).to_wire(), now=0.0)
    assert cache.get(b"k", 4.9) is not None
    assert cache.get(b"k", 5.0) is None


@pytest.mark.parametrize("rcode", ["SERVFAIL", "REFUSED", "FORMERR"])
def test_failures_are_not_kept(rcode: str) -> None:
    cache = Cache(10)
    cache.put(b"k", answer(60, rcode), now=0.0)
    assert len(cache) == 0


def test_truncated_and_huge_are_not_kept() -> None:
    truncated = bytearray(answer(60))
    truncated[2] |= 2
    cache = Cache(10)
    cache.put(b"k", bytes(truncated), now=0.0)
    cache.put(b"l", answer(60) + bytes(4000), now=0.0)
    assert len(cache) == 0


def test_what_cannot_be_read_is_not_kept() -> None:
    cache = Cache(10)
    cache.put(b"k", answer(60)[:-2], now=0.0)
    assert cache.get(b"k", 0.0) is None


def test_bounded_and_the_oldest_goes() -> None:
    cache = Cache(3)
    for number in range(5):
        cache.put(bytes([number]), answer(60), now=0.0)
    assert len(cache) == 3
    assert cache.get(bytes([1]), 0.0) is None
    assert cache.get(bytes([4]), 0.0) is not None


def test_put_again_replaces() -> None:
    cache = Cache(1)
    cache.put(b"k", answer(60), now=0.0)
    cache.put(b"k", answer(60, content="192.0.2.9"), now=1.0)
    kept = cache.get(b"k", 1.0)
    assert kept is not None
    assert dns.message.from_wire(kept).answer[0][0].to_text() == "192.0.2.9"
