"""What is thrown away is gone at once, and off the disk soon after."""

from __future__ import annotations

import os
import time
from pathlib import Path

from fairlead.images.trash import Trash


def _empty(place: Path) -> bool:
    for _ in range(300):
        if not os.listdir(place):
            return True
        time.sleep(0.02)
    return False


def test_gone_at_once_and_deleted_behind(machine: Path) -> None:
    trash = Trash(str(machine / "trash"))
    for number in range(50):
        (machine / f"d{number}/deep").mkdir(parents=True)
        (machine / f"d{number}/deep/file").write_text("x")
        trash.discard(str(machine / f"d{number}"))
        assert not (machine / f"d{number}").exists()
    (machine / "file").write_text("x")
    trash.discard(str(machine / "file"))
    trash.discard(str(machine / "was never there"))
    assert _empty(machine / "trash")


def test_links_are_thrown_away_not_what_they_lead_to(machine: Path) -> None:
    (machine / "kept").mkdir()
    (machine / "kept/file").write_text("x")
    (machine / "gone").mkdir()
    os.symlink(machine / "kept", machine / "gone/link")
    os.symlink(machine / "kept", machine / "link")
    trash = Trash(str(machine / "trash"))
    trash.discard(str(machine / "gone"))
    trash.discard(str(machine / "link"))
    assert _empty(machine / "trash")
    assert (machine / "kept/file").exists()


def test_sweep_is_done_when_it_returns(machine: Path) -> None:
    (machine / "trash/old/deep").mkdir(parents=True)
    Trash(str(machine / "trash")).sweep()
    assert os.listdir(machine / "trash") == []
