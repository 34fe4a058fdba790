"""References, by the table of the distribution reference package."""

from __future__ import annotations

import pytest

from fairlead.errors import InvalidArgument
from fairlead.images.reference import parse, parse_tag

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "full", "familiar"),
    [
        ("busybox", "docker.io/library/busybox", "busybox"),
        ("busybox:1.2", "docker.io/library/busybox:1.2", "busybox:1.2"),
        ("team/app", "docker.io/team/app", "team/app"),
        ("docker.io/busybox", "docker.io/library/busybox", "busybox"),
        ("index.docker.io/library/busybox", "docker.io/library/busybox", "busybox"),
        ("docker.io/library/a/b", "docker.io/library/a/b", "library/a/b"),
        ("localhost/app", "localhost/app", "localhost/app"),
        ("localhost:5000/app:x", "localhost:5000/app:x", "localhost:5000/app:x"),
        ("[::1]:5000/app", "[::1]:5000/app", "[::1]:5000/app"),
        ("Upper/app", "Upper/app", "Upper/app"),
        (f"app@{DIGEST}", f"docker.io/library/app@{DIGEST}", f"app@{DIGEST}"),
        (f"app:t@{DIGEST}", f"docker.io/library/app:t@{DIGEST}", f"app:t@{DIGEST}"),
        ("a.b/c-d__e.f", "a.b/c-d__e.f", "a.b/c-d__e.f"),
    ],
)
def test_names(text: str, full: str, familiar: str) -> None:
    assert (parse(text).full, parse(text).familiar) == (full, familiar)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "invalid reference format"),
        ("a b", "invalid reference format"),
        ("Busybox", r"invalid reference format: repository name \(library/Busybox\) must be lowercase"),
        ("a:" + "t" * 129, "invalid reference format"),
        ("a@sha256:abc", "invalid reference format"),
        ("a@sha256:" + "a" * 63, "invalid checksum digest length"),
        ("a//b", "invalid reference format"),
        ("-a/b", "invalid reference format"),
        ("a\n", "invalid reference format"),
        ("../a", "invalid reference format"),
        ("a" * 300, "repository name must not be more than 255 characters"),
        ("0" * 64, r"cannot specify 64-byte hexadecimal strings"),
    ],
)
def test_refused(text: str, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        parse(text)


def test_keys() -> None:
    assert parse("a").key() == "docker.io/library/a:latest"
    assert parse(f"a:t@{DIGEST}").key() == f"docker.io/library/a@{DIGEST}"


def test_targets_of_tag() -> None:
    assert parse_tag("a", "").familiar == "a:latest"
    assert parse_tag("a:1", "2").familiar == "a:2"
    with pytest.raises(InvalidArgument, match="refusing to create a tag with a digest reference"):
        parse_tag(f"a@{DIGEST}", "")
    with pytest.raises(InvalidArgument, match="refusing to create an ambiguous tag using digest algorithm as name"):
        parse_tag("sha256", "a" * 65)
    with pytest.raises(InvalidArgument, match="invalid tag format"):
        parse_tag("a", "-")
