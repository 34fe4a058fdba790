"""Medians, spreads and ratios as a table."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from bench import changes, jobs, traffic
from bench.jobs import Row

ROWS = (*jobs.ROWS, *changes.ROWS, *traffic.ROWS)

Results = Mapping[str, Mapping[str, Sequence[float]]]  # engine -> row -> samples


def number(value: float) -> str:
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def spread(samples: Sequence[float]) -> str:
    if len(samples) == 1:
        return number(samples[0])
    return f"{number(statistics.median(samples))} ({number(min(samples))}-{number(max(samples))})"


def goal(row: Row) -> str:
    if row.target is None:
        return "-"
    what = f"{number(row.target)} of {row.of}'s" if row.of else f"{number(row.target)} {row.unit}"
    return f"{'≥' if row.more else '≤'} {what}"


def reached(row: Row, samples: Sequence[float], peers: Sequence[float] | None) -> bool:
    """Also where there is nothing to compare with."""
    if row.target is None or (row.of and not peers):
        return True
    target = row.target * statistics.median(peers or (1.0,)) if row.of else row.target
    median = statistics.median(samples)
    return median >= target if row.more else median <= target


def line(row: Row, engines: Sequence[str], results: Results) -> str:
    """One row; ratios say how many times better fairlead is than the peer."""
    own = results["fairlead"].get(row.title) if "fairlead" in results else None
    cells = [row.title, goal(row)]
    for engine in engines:
        samples = results[engine].get(row.title)
        if not samples:
            cells.append("-")
            continue
        text = spread(samples)
        if engine == "fairlead":
            text += "" if reached(row, samples, results.get(row.of, {}).get(row.title)) else " ✗"
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
