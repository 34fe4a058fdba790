"""Programs that others wrote keep within their bounds, or are ended with all that they started."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from fairlead.kernel import programs
from fairlead.kernel.programs import Ended, ProgramError
from harness.engine import wait_until


def script(directory: Path, body: str) -> str:
    path = directory / "program"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


def run(path: str, given: bytes = b"", *, seconds: float = 5, most: int = 1 << 20) -> Ended:
    return asyncio.run(programs.run(path, given, {"WORD": "hello"}, seconds=seconds, most=most))


def test_what_it_reads_and_what_it_says(tmp_path: Path) -> None:
    path = script(tmp_path, 'cat; echo "$WORD"; echo oh >&2; exit 3')
    assert run(path, b"given ") == Ended(code=3, output=b"given hello\n", complaint="oh\n")


def test_more_than_a_pipe_holds_each_way(tmp_path: Path) -> None:
    big = b"x" * 300_000
    assert run(script(tmp_path, "cat; head -c 300000 /dev/zero >&2"), big).output == big
    assert run(script(tmp_path, "exit 0"), big).code == 0


def test_one_that_does_not_end_is_ended_with_its_children(tmp_path: Path) -> None:
    path = script(tmp_path, f"sleep 600 & echo $! >{tmp_path}/child; wait")
    began = time.monotonic()
    with pytest.raises(ProgramError, match=r"gave no answer within 0.3 seconds"):
        run(path, seconds=0.3)
    assert time.monotonic() - began < 5
    child = (tmp_path / "child").read_text().strip()
    wait_until(lambda: not _runs(child), "the child has ended")


def _runs(pid: str) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


def test_one_that_says_too_much(tmp_path: Path) -> None:
    with pytest.raises(ProgramError, match="printed more than 1000 bytes"):
        run(script(tmp_path, "yes"), most=1000)
    assert run(script(tmp_path, "head -c 1000 /dev/zero"), most=1000).code == 0


def test_complaints_are_kept_in_bounds(tmp_path: Path) -> None:
    assert len(run(script(tmp_path, "head -c 200000 /dev/zero >&2")).complaint) == 64 << 10


def test_somebody_it_leaves_behind_is_not_waited_for(tmp_path: Path) -> None:
    began = time.monotonic()
    path = script(tmp_path, f"sleep 30 & echo $! >{tmp_path}/child; echo done")
    try:
        assert run(path).output == b"done\n"
        assert time.monotonic() - began < 5
    finally:
        os.kill(int((tmp_path / "child").read_text()), 9)


@pytest.mark.parametrize(("body", "complaint"), [(None, "no such file"), ("", "permission denied")])
def test_one_that_cannot_be_run(tmp_path: Path, body: str | None, complaint: str) -> None:
    path = tmp_path / "program"
    if body is not None:
        path.write_text(body)
    with pytest.raises(ProgramError, match=f"cannot be run: {complaint}"):
        run(str(path))


def test_no_descriptor_is_left(tmp_path: Path) -> None:
    path = script(tmp_path, "echo hello")
    run(path)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        run(path)
    assert len(os.listdir("/proc/self/fd")) == before
