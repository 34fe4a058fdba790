"""Joining a client's connection to a process's streams, until either ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from enum import Enum, auto
from typing import Protocol

from aiohttp import WSMsgType, web

from fairlead.api.connection import Duplex
from fairlead.model.views import Detached
from fairlead.wire.frames import frame


class Session(Protocol):
    """A process's streams, as attach and exec hand them out."""

    def __aiter__(self) -> AsyncIterator[tuple[int, bytes]]: ...
    async def write(self, data: bytes) -> None: ...
    async def close_stdin(self) -> None: ...
    async def close(self) -> None: ...


class _Gone(Exception):
    """The client went away: nothing of its session needs to go on."""


class OnEof(Enum):
    """What the end of a client's input means."""

    NOTHING = auto()  # it gives no input
    CLOSE_STDIN = auto()  # the process reads EOF, output goes on
    LEAVE = auto()  # the client is done with the process, which reads on

    @classmethod
    def of(cls, *, stdin: bool, once: bool, tty: bool) -> OnEof:
        """Docker's rule: only stdin that is open once, and no terminal, is closed by a client's leaving."""
        if not stdin:
            return cls.NOTHING
        return cls.CLOSE_STDIN if once and not tty else cls.LEAVE


async def pump(duplex: Duplex, session: Session, on_eof: OnEof, *, multiplexed: bool) -> None:
    """Both directions of a hijacked connection; returns when the output ends, the client goes or detaches."""
    try:
        async with asyncio.TaskGroup() as group:
            helpers = (
                group.create_task(_feed(duplex, session, on_eof), name="stdin of a hijacked connection"),
                group.create_task(_watch(duplex), name="hang-up of a hijacked connection"),
            )
            async for stream, data in session:
                await duplex.write(frame(stream, data) if multiplexed else data)
            for helper in helpers:
                helper.cancel()
    except* (_Gone, Detached, ConnectionError):
        pass  # all three are ways for a client to leave
    finally:
        await session.close()
        await duplex.close()


async def _feed(duplex: Duplex, session: Session, on_eof: OnEof) -> None:
    with suppress(ConnectionError):  # a process may close its stdin and go on writing
        while data := await duplex.read():
            await session.write(data)
        if on_eof is OnEof.CLOSE_STDIN:
            await session.close_stdin()
    if on_eof is OnEof.LEAVE:
        raise _Gone


async def _watch(duplex: Duplex) -> None:
    await duplex.lost()
    raise _Gone


async def pump_websocket(socket: web.WebSocketResponse, session: Session, on_eof: OnEof, *, binary: bool) -> None:
    """The same over a websocket: output is not multiplexed, as in Docker."""
    try:
        async with asyncio.TaskGroup() as group:
            feeder = group.create_task(_feed_websocket(socket, session, on_eof), name="stdin of a websocket")
            async for _, data in session:
                await (socket.send_bytes(data) if binary else socket.send_str(data.decode(errors="replace")))
            feeder.cancel()
    except* (_Gone, Detached, ConnectionError):
        pass
    finally:
        await session.close()
        await socket.close()


async def _feed_websocket(socket: web.WebSocketResponse, session: Session, on_eof: OnEof) -> None:
    with suppress(ConnectionError):
        async for message in socket:
            if message.type is WSMsgType.BINARY:
                await session.write(message.data)
            elif message.type is WSMsgType.TEXT:
                await session.write(message.data.encode())
        if on_eof is OnEof.CLOSE_STDIN:
            await session.close_stdin()
    raise _Gone
