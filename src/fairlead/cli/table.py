"""Columns of text, aligned as Go's tabwriter does it for Docker."""

from __future__ import annotations

from collections.abc import Sequence

_PADDING = 3
_LEAST = 10


def aligned(lines: Sequence[str], *, least: int = _LEAST, padding: int = _PADDING) -> str:
    """The lines with their tab-ended cells widened; text behind the last tab of a line is left as it is.

    A column is a run of neighbouring lines that have a cell there, and is as wide as its widest cell.
    """
    cells = [line.split("\t") for line in lines]
    widths: list[list[int]] = [[] for _ in lines]
    _measure(cells, widths, 0, len(lines), least=least, padding=padding)
    return "".join(_join(row, width) + "\n" for row, width in zip(cells, widths, strict=True))


def _measure(
    cells: Sequence[Sequence[str]],
    widths: Sequence[list[int]],
    start: int,
    stop: int,
    *,
    least: int,
    padding: int,
) -> None:
    """Fills in the widths of the columns of the lines [start, stop), from the column they have no width for yet."""
    line = start
    while line < stop:
        column = len(widths[line])
        end = line
        while end < stop and column < len(cells[end]) - 1:
            end += 1
        if end == line:
            line += 1
            continue
        width = max(least, *(len(cells[row][column]) + padding for row in range(line, end)), 0)
        for row in range(line, end):
            widths[row].append(width)
        _measure(cells, widths, line, end, least=least, padding=padding)
        line = end


def _join(row: Sequence[str], widths: Sequence[int]) -> str:
    *ended, last = row
    return "".join(cell.ljust(width) for cell, width in zip(ended, widths, strict=True)) + last
