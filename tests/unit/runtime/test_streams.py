from __future__ import annotations

from fairlead.runtime.streams import frame


def test_frames_are_docker_s() -> None:
    assert frame(1, b"hello") == b"\x01\x00\x00\x00\x00\x00\x00\x05hello"
    assert frame(2, b"") == b"\x02\x00\x00\x00\x00\x00\x00\x00"
    assert frame(0, b"x" * 70000)[:8] == b"\x00\x00\x00\x00\x00\x01\x11\x70"
