"""Which images a list shows, and under which names."""

from __future__ import annotations

import pytest

from fairlead.engine.images import created, matches_reference, named_as
from fairlead.errors import InvalidArgument
from fairlead.model.container import Config
from fairlead.model.image import HistoryEntry, Image, Offer
from fairlead.wire.images import history, offer

DIGEST = "sha256:" + "a" * 64


def image(identifier: str = "sha256:1", **more: object) -> Image:
    values: dict[str, object] = {"created": "", "architecture": "amd64", "os": "linux", "config": Config(), **more}
    return Image(id=identifier, **values)  # type: ignore[arg-type]  # fields by name


@pytest.mark.parametrize(
    ("pattern", "name", "holds"),
    [
        ("busybox", "busybox:latest", True),
        ("busybox:latest", "busybox:latest", True),
        ("busybox:1", "busybox:latest", False),
        ("b?sy*", "busybox:latest", True),
        ("*", "team/app:1", False),
        ("*/*", "team/app:1", True),
        ("*/*:2", "team/app:1", False),
        ("[a-c]usybox", "busybox:1", True),
        ("[!b]usybox", "busybox:1", False),
        ("reg:5000/app", "reg:5000/app:1", True),
        ("reg:5000/app", f"reg:5000/app@{DIGEST}", True),
        ("app", f"app@{DIGEST}", True),
        ("a.b", "axb:1", False),
    ],
)
def test_patterns_of_names(pattern: str, name: str, *, holds: bool) -> None:
    assert matches_reference(pattern, name) is holds


def test_a_pattern_that_is_none() -> None:
    with pytest.raises(InvalidArgument, match="syntax error in pattern"):
        matches_reference("[z-a]", "x:1")


def test_only_the_names_that_match_are_shown() -> None:
    given = image(tags=("a:1", "a:2", "b:1"), digests=(f"a@{DIGEST}",))
    shown = named_as(given, ("a",))
    assert shown is not None
    assert (shown.tags, shown.digests) == (("a:1", "a:2"), (f"a@{DIGEST}",))
    assert named_as(given, ("c", "d")) is None


def test_images_without_a_date_are_the_oldest() -> None:
    assert created(image(created="")) == created(image(created="rubbish")) == 0
    assert created(image(created="2024-01-01T00:00:00.5Z")) > created(image(created="2024-01-01T00:00:00Z"))


def test_history_names_the_ancestors_that_are_here() -> None:
    lines = [HistoryEntry(created_by=word) for word in ("one", "two", "three")]
    shown = history(image("sha256:c", tags=("c:1",)), lines, [image("sha256:b")])
    assert [(line["CreatedBy"], line["Id"], line["Tags"]) for line in shown] == [
        ("three", "sha256:c", ["c:1"]),
        ("two", "sha256:b", None),
        ("one", "<missing>", None),
    ]


def test_what_a_registry_offers() -> None:
    given = Offer(
        digest=DIGEST, media_type="application/x", size=7, platforms=(("linux", "arm64", "v8"), ("linux", "amd64", ""))
    )
    assert offer(given) == {
        "Descriptor": {"mediaType": "application/x", "digest": DIGEST, "size": 7},
        "Platforms": [
            {"architecture": "arm64", "os": "linux", "variant": "v8"},
            {"architecture": "amd64", "os": "linux"},
        ],
    }
