"""Detach keys: the sequence a client types to leave a terminal without ending what runs in it."""

from __future__ import annotations

from fairlead.errors import InvalidArgument

DEFAULT = b"\x10\x11"  # ctrl-p,ctrl-q

_CONTROLS = {name: code for code, name in enumerate(("@", *"abcdefghijklmnopqrstuvwxyz", *"[\\]^_"))}


def parse_detach_keys(keys: str) -> bytes:
    """``ctrl-p,ctrl-q`` or single characters, comma-separated; "" is the default. Raises InvalidArgument."""
    if not keys:
        return DEFAULT
    return bytes(_code(key, keys) for key in keys.split(","))


def _code(key: str, keys: str) -> int:
    if len(key) == 1 and key.isascii():
        return ord(key)
    if key == "DEL":
        return 127
    code = _CONTROLS.get(key.removeprefix("ctrl-")) if key.startswith("ctrl-") else None
    if code is None:
        raise InvalidArgument(f"Invalid detach keys ({keys}) provided: Unknown character: '{key}'")
    return code


class DetachMatcher:
    """Watches what a client types. Keys that might begin the sequence are held until it is decided."""

    def __init__(self, keys: bytes = DEFAULT) -> None:
        self._keys = keys
        self._held = b""

    def feed(self, data: bytes) -> tuple[bytes, bool]:
        """What of the input goes on to the process, and whether the client detached."""
        if not self._keys:
            return data, False
        text = self._held + data
        at = text.find(self._keys)
        if at >= 0:
            self._held = b""
            return text[:at], True
        keep = self._partial(text)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep], False

    def flush(self) -> bytes:
        """What was held back, when the input ends."""
        held, self._held = self._held, b""
        return held

    def _partial(self, text: bytes) -> int:
        """How many bytes at the end of ``text`` may be the beginning of the sequence."""
        longest = min(len(self._keys) - 1, len(text))
        return next((size for size in range(longest, 0, -1) if text.endswith(self._keys[:size])), 0)
