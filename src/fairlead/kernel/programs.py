"""Programs that others wrote, run once for an answer: bounded in time and in what they may print."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping
from dataclasses import dataclass

_COMPLAINTS_MOST = 64 << 10
_CHUNK = 64 << 10
# When it has ended, its pipes are read to their end, unless somebody it left behind keeps them open.
_PARTING = 0.5


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
    try:
        process = await asyncio.create_subprocess_exec(
            path, stdin=PIPE, stdout=PIPE, stderr=PIPE, env=dict(environment), start_new_session=True
        )
    except OSError as error:
        raise ProgramError(f"cannot be run: {(error.strerror or str(error)).lower()}") from error
    try:
        async with asyncio.timeout(seconds):
            ended = await _conversation(process, given, most)
    except TimeoutError:
        raise ProgramError(f"gave no answer within {seconds:g} seconds") from None
    finally:
        if process.returncode is None:
            await _end(process)
    if len(ended.output) > most:
        raise ProgramError(f"printed more than {most} bytes")
    return ended


async def _conversation(process: Process, given: bytes, most: int) -> Ended:
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    output, complaint = bytearray(), bytearray()
    async with asyncio.TaskGroup() as talk:
        telling = talk.create_task(_tell(process.stdin, given), name="tell a program")
        hearing = {
            talk.create_task(_hear(process.stdout, output, most, process), name="hear a program"),
            talk.create_task(_hear(process.stderr, complaint, _COMPLAINTS_MOST, None), name="hear its complaints"),
        }
        code = await process.wait()
        await asyncio.wait(hearing, timeout=_PARTING)
        for task in (telling, *hearing):
            task.cancel()
    return Ended(code=code, output=bytes(output), complaint=complaint.decode(errors="replace"))


async def _tell(stream: asyncio.StreamWriter, given: bytes) -> None:
    """One that does not care to read what it is told may end without."""
    with contextlib.suppress(ConnectionError):
        stream.write(given)
        await stream.drain()
    stream.close()


async def _hear(stream: asyncio.StreamReader, kept: bytearray, most: int, bounded: Process | None) -> None:
    """What it prints, to the end; what is beyond ``most`` is passed over, or ends the process that is ``bounded``."""
    while part := await stream.read(_CHUNK):
        kept += part
        if len(kept) > most and bounded is not None:
            _kill(bounded)
            return
        del kept[most:]


async def _end(process: Process) -> None:
    _kill(process)
    await process.wait()


def _kill(process: Process) -> None:
    """It and its descendants: it is the first of a session of its own."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
