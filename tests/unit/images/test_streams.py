"""Threads that feed and are fed by the loop: order, back-pressure, errors, and readers who leave."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import BinaryIO

import pytest

from fairlead.images.streams import Abandoned, Feed, Report, in_thread, narrated, produced
from fairlead.model.image import Progress


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        await asyncio.sleep(0)
        yield part


def test_feed_gives_everything_in_order() -> None:
    async def run() -> list[bytes]:
        feed = Feed(pieces(b"abc", b"", b"defgh"), asyncio.get_running_loop())
        return await in_thread(lambda: [feed.read(2) for _ in range(6)], "reader")

    assert asyncio.run(run()) == [b"ab", b"c", b"de", b"fg", b"h", b""]


def test_feed_raises_what_the_stream_raised() -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"a"
        raise ConnectionResetError("gone")

    async def run() -> None:
        feed = Feed(broken(), asyncio.get_running_loop())
        await in_thread(lambda: (feed.read(1), feed.read(1)), "reader")

    with pytest.raises(ConnectionResetError):
        asyncio.run(run())


def test_produced_is_complete_and_raises() -> None:
    def write(out: BinaryIO) -> None:
        out.writelines(bytes([number % 256]) * 10_000 for number in range(300))

    def fail(out: BinaryIO) -> None:
        out.write(b"some")
        raise ValueError("in the middle")

    async def run() -> bytes:
        return b"".join([part async for part in produced(write, "writer")])

    async def broken() -> None:
        async for _ in produced(fail, "writer"):
            pass

    data = asyncio.run(run())
    assert len(data) == 3_000_000
    assert data[-1] == 299 % 256
    with pytest.raises(ValueError, match="in the middle"):
        asyncio.run(broken())


def test_writer_ends_when_its_reader_leaves() -> None:
    ended = threading.Event()

    def write(out: BinaryIO) -> None:
        try:
            while True:
                out.write(bytes(1 << 16))
        finally:
            ended.set()

    async def run() -> None:
        parts = produced(write, "writer")
        await anext(parts)
        await parts.aclose()  # type: ignore[attr-defined]

    asyncio.run(run())
    assert ended.wait(5)


def test_narrator_ends_when_nobody_listens() -> None:
    ended, cancelled = threading.Event(), threading.Event()

    def tell(report: Report) -> None:
        try:
            while True:
                report(Progress(status="on"))
        except Abandoned:
            ended.set()

    async def run() -> None:
        lines = narrated(tell, "narrator", cancelled.set)
        assert await anext(lines) == Progress(status="on")
        await lines.aclose()  # type: ignore[attr-defined]

    asyncio.run(run())
    assert ended.wait(5)
    assert cancelled.is_set()


def test_narrated_says_everything_before_it_fails() -> None:
    def tell(report: Report) -> None:
        report(Progress(status="1"))
        report(Progress(status="2"))
        raise ValueError("3")

    async def run() -> list[str]:
        lines = narrated(tell, "narrator")
        seen = [(await anext(lines)).status, (await anext(lines)).status]
        with pytest.raises(ValueError, match="3"):
            await anext(lines)
        return seen

    assert asyncio.run(run()) == ["1", "2"]
