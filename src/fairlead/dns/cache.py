"""What upstream servers answered, for as long as they said it holds, and not longer than a minute."""

from __future__ import annotations

from fairlead.dns import message
from fairlead.dns.message import DnsError

# Nobody tells us when an upstream changes its mind (a VPN going up): a minute is what users are ready to wait.
LONGEST = 60
# Larger answers are rare, and would let a container fill our memory.
_LARGEST = 2048


class _Entry:
    """An answer as it came. Its TTLs are looked up at the first hit only: most answers are never asked for again."""

    __slots__ = ("at", "body", "places", "until")

    def __init__(self, body: bytes, at: float) -> None:
        self.body, self.at = body, at
        self.until = -1.0
        self.places: tuple[int, ...] = ()

    def examine(self) -> None:
        try:
            seconds, self.places = message.lifetime(self.body)
        except DnsError:
            seconds = 0
        self.until = self.at + min(seconds, LONGEST)


class Cache:
    """At most ``size`` answers; the oldest goes first."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._entries: dict[bytes, _Entry] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, key: bytes, answer: bytes, now: float) -> None:
        """Keeps a whole answer (NOERROR or NXDOMAIN, not truncated); others are none of its business."""
        if len(answer) > _LARGEST or answer[2] & 0x02 or answer[3] & 0xF not in (message.NOERROR, message.NXDOMAIN):
            return
        entries = self._entries
        entries.pop(key, None)
        if len(entries) >= self._size:
            del entries[next(iter(entries))]
        entries[key] = _Entry(answer, now)

    def get(self, key: bytes, now: float) -> bytes | None:
        """The answer with its TTLs counted down; its id and the case of its question are the first asker's."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry.until < 0:
            entry.examine()
        if now >= entry.until:
            del self._entries[key]
            return None
        return _aged(entry, int(now - entry.at))


def _aged(entry: _Entry, seconds: int) -> bytes:
    if not seconds:
        return entry.body
    body = bytearray(entry.body)
    for at in entry.places:
        left = max(int.from_bytes(body[at : at + 4], "big") - seconds, 0)
        body[at : at + 4] = left.to_bytes(4, "big")
    return bytes(body)
