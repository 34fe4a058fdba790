"""What is wrong with a project's files, and where."""

from __future__ import annotations

from typing import NamedTuple


class Place(NamedTuple):
    """Where something stands in a file; line and column count from 1, 0 is unknown."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


class ComposeError(Exception):
    """One sentence for the user, with the place in the file in front where there is one."""

    def __init__(self, sentence: str, place: Place | None = None) -> None:
        super().__init__(f"{place}: {sentence}" if place is not None else sentence)
        self.sentence, self.place = sentence, place
