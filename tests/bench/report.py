"""Medians, spreads and ratios as a table."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from bench.jobs import ROWS, Row

Results = Mapping[str, Mapping[str, Sequence[float]]]  # engine -> row -> samples


def number(value: float) -> str:
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def spread(samples: Sequence[float]) -> str:
    if len(samples) == 1:
        return number(samples[0])
    return f"{number(statistics.median(samples))} ({number(min(samples))}-{number(max(samples))})"


def reached(row: Row, samples: Sequence[float]) -> bool:
    median = statistics.median(samples)
    return median >= row.target if row.more else median <= row.target


def line(row: Row, engines: Sequence[str], results: Results) -> str:
    """One row; ratios say how many times better fairlead is than the peer."""
    own = results["fairlead"].get(row.title) if "fairlead" in results else None
    cells = [row.title, f"{'≥' if row.more else '≤'} {number(row.target)} {row.unit}"]
    for engine in engines:
        samples = results[engine].get(row.title)
        if not samples:
            cells.append("-")
            continue
        text = spread(samples)
        if engine == "fairlead":
            text += "" if reached(row, samples) else " ✗"
        elif own:
            ours, theirs = statistics.median(own), statistics.median(samples)
            ratio = ours / theirs if row.more else theirs / ours
            text += f", {ratio:.2g}x" if ratio else ""
        cells.append(text)
    return "| " + " | ".join(cells) + " |"


def table(results: Results) -> str:
    engines = list(results)
    head = ["job", "must reach", *engines]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += [line(row, engines, results) for row in ROWS if any(row.title in results[engine] for engine in engines)]
    return "\n".join(lines)
