"""Programs that others wrote, run once for an answer: bounded in time and in what they may print."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from asyncio import StreamReader, StreamReaderProtocol
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from io import FileIO
from typing import NamedTuple

_COMPLAINTS_MOST = 64 << 10
_CHUNK = 64 << 10
# When it has ended, what it printed is read to the end, unless somebody it left behind keeps that open.
_PARTING = 0.3


class ProgramError(Exception):
    """It could not be run, or did not keep within its bounds; ``str()`` goes on after the program's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """``complaint`` is standard error, as text."""

    code: int
    output: bytes
    complaint: str


async def run(path: str, given: bytes, environment: Mapping[str, str], *, seconds: float, most: int) -> Ended:
    """The program's answer to ``given``, of ``most`` bytes; raises ProgramError.

    One that breaks its bounds is ended together with all that it started.
    """
    async with _pipe() as output, _pipe() as complaint:
        process = await _start(path, given, environment, output, complaint)
        try:
            async with asyncio.timeout(seconds):
                ended = await _listen(process, output.end, complaint.end, most)
        except TimeoutError:
            raise ProgramError(f"gave no answer within {seconds:g} seconds") from None
        finally:
            if process.returncode is None:
                _kill(process)
                await process.wait()
    if len(ended.output) > most:
        raise ProgramError(f"printed more than {most} bytes")
    return ended


class _Pipe(NamedTuple):
    end: StreamReader
    mouth: FileIO


@asynccontextmanager
async def _pipe() -> AsyncIterator[_Pipe]:
    """Not asyncio's own: with those a process has not ended until all who inherited them have."""
    ends = os.pipe()
    reader = StreamReader()
    with FileIO(ends[0], "r") as hearing, FileIO(ends[1], "w") as mouth:
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: StreamReaderProtocol(reader), hearing)
        try:
            yield _Pipe(reader, mouth)
        finally:
            transport.close()


async def _start(path: str, given: bytes, environment: Mapping[str, str], output: _Pipe, complaint: _Pipe) -> Process:
    with os.fdopen(os.memfd_create("given"), "r+b", buffering=0) as source:
        source.write(given)
        source.seek(0)
        try:
            return await asyncio.create_subprocess_exec(
                path,
                stdin=source,
                stdout=output.mouth,
                stderr=complaint.mouth,
                env=dict(environment),
                start_new_session=True,
            )
        except OSError as error:
            raise ProgramError(f"cannot be run: {(error.strerror or str(error)).lower()}") from error
        finally:
            output.mouth.close()
            complaint.mouth.close()


async def _listen(process: Process, output: StreamReader, complaint: StreamReader, most: int) -> Ended:
    printed, complained = bytearray(), bytearray()
    async with asyncio.TaskGroup() as listening:
        hearing = {
            listening.create_task(_hear(output, printed, most, process), name="hear a program"),
            listening.create_task(_hear(complaint, complained, _COMPLAINTS_MOST, None), name="hear its complaints"),
        }
        code = await process.wait()
        await asyncio.wait(hearing, timeout=_PARTING)
        for task in hearing:
            task.cancel()
    return Ended(code=code, output=bytes(printed), complaint=complained.decode(errors="replace"))


async def _hear(stream: StreamReader, kept: bytearray, most: int, bounded: Process | None) -> None:
    """What it prints, to the end; what is beyond ``most`` is passed over, or ends the process that is ``bounded``."""
    while part := await stream.read(_CHUNK):
        kept += part
        if len(kept) > most and bounded is not None:
            _kill(bounded)
            return
        del kept[most:]


def _kill(process: Process) -> None:
    """It and its descendants: it is the first of a session of its own."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
