"""The form conmon logs in: ``<RFC 3339 time> <stdout|stderr> <F|P> <text>``, P for a line that goes on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

_STREAMS = {b"stdout": 1, b"stderr": 2}
_SECONDS = 19  # the length of YYYY-MM-DDTHH:MM:SS
# dockerd splits longer lines into entries of this size; so memory stays bounded whatever a container prints.
LONGEST_LINE = 16 << 10
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class LogLine:
    """What was written at once: ``stream`` 1 or 2; ``data`` with its newline, without one where the line goes on."""

    time_ns: int
    stream: int
    data: bytes


@dataclass(slots=True)
class _Open:
    """The beginning of a line whose end is not there yet."""

    time_ns: int
    parts: list[bytes] = field(default_factory=list)
    size: int = 0


class LineParser:
    """Turns pieces of a log file into whole lines; what conmon split is joined again."""

    def __init__(self) -> None:
        self._rest = b""
        self._open: dict[int, _Open] = {}
        self._last_second = (b"", 0)

    def feed(self, data: bytes) -> Iterator[LogLine]:
        """The lines that ``data`` completes. A line that is not of conmon's form is left out."""
        # Not splitlines: that would end a line at a carriage return too.
        *records, self._rest = (self._rest + data).split(b"\n")
        for record in records:
            line = self._record(record)
            if line is not None:
                yield line

    def flush(self) -> Iterator[LogLine]:
        """What was begun and will not be completed: the process ended in the middle of a line."""
        for stream, begun in sorted(self._open.items()):
            yield LogLine(begun.time_ns, stream, b"".join(begun.parts))
        self._open.clear()
        self._rest = b""

    def _record(self, record: bytes) -> LogLine | None:
        parts = record.split(b" ", 3)
        stream = _STREAMS.get(parts[1]) if len(parts) == 4 else None
        if stream is None:
            return None
        text = parts[3]
        begun = self._open.get(stream)
        if parts[2] == b"F":
            if begun is None:
                return LogLine(self._time(parts[0]), stream, text + b"\n")
            del self._open[stream]
            return LogLine(begun.time_ns, stream, b"".join((*begun.parts, text, b"\n")))
        return self._continue(stream, begun or _Open(self._time(parts[0])), text)

    def _continue(self, stream: int, begun: _Open, text: bytes) -> LogLine | None:
        begun.parts.append(text)
        begun.size += len(text)
        if begun.size < LONGEST_LINE:
            self._open[stream] = begun
            return None
        self._open.pop(stream, None)
        return LogLine(begun.time_ns, stream, b"".join(begun.parts))

    def _time(self, stamp: bytes) -> int:
        """Nanoseconds since the epoch; the part up to the second is the same for many lines in a row."""
        key = stamp[:_SECONDS] + stamp[-6:]
        if key != self._last_second[0]:
            self._last_second = key, parse_seconds(stamp)
        fraction = stamp[_SECONDS + 1 : -6]
        return self._last_second[1] * 1_000_000_000 + (int(fraction.ljust(9, b"0")) if fraction.isdigit() else 0)


def parse_seconds(stamp: bytes) -> int:
    """The whole seconds of an RFC 3339 time with a numeric offset; 0 for anything else."""
    try:
        moment = datetime.fromisoformat((stamp[:_SECONDS] + stamp[-6:]).decode("ascii"))
        return int((moment - _EPOCH).total_seconds())
    except (ValueError, TypeError):
        return 0
