"""Image references as people write them; errors are Docker's."""

from __future__ import annotations

import re
from typing import NamedTuple

from fairlead.cli.errors import CommandError

_PATH = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_DOMAIN = r"(?:(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])(?:\.(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9]))*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?"  # noqa: E501
_NAME = rf"(?:{_DOMAIN}/)?{_PATH}(?:/{_PATH})*"
_REFERENCE = re.compile(
    rf"({_NAME})(?::([\w][\w.-]{{0,127}}))?(?:@([A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{{32,}}))?\Z",
    re.ASCII,
)
_ID = re.compile(r"(?:sha256:)?[0-9a-f]{64}\Z")
_LONGEST = 255


class Reference(NamedTuple):
    """``name`` is the short form: ``busybox`` for ``docker.io/library/busybox``."""

    name: str
    tag: str
    digest: str

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.name}{tag}" + (f"@{self.digest}" if self.digest else "")

    def tagged(self) -> Reference:
        """With ``latest`` where neither tag nor digest was given."""
        return self if self.tag or self.digest else self._replace(tag="latest")


def parse(text: str) -> Reference:
    """Raises CommandError for what cannot be the name of an image."""
    if is_id(text):
        raise CommandError(
            f"invalid repository name ({text}), cannot specify 64-byte hexadecimal strings",
        )
    match = _REFERENCE.match(text)
    if match is None:
        raise CommandError(_why_not(text))
    name, tag, digest = match.groups()
    name = name.removeprefix("docker.io/").removeprefix("index.docker.io/").removeprefix("library/")
    if len(name) > _LONGEST:
        raise CommandError("invalid reference format: repository name must not be more than 255 characters")
    return Reference(name, tag or "", digest or "")


def is_id(text: str) -> bool:
    return _ID.match(text) is not None


def is_named(text: str) -> bool:
    """Whether ``text`` can be pulled: a name, not an id."""
    return not is_id(text) and _REFERENCE.match(text) is not None


def _why_not(text: str) -> str:
    if text.lower() != text and _REFERENCE.match(text.lower()):
        name = re.split(r"[:@]", text.rpartition("/")[2], maxsplit=1)[0]
        path = f"{text.rpartition('/')[0]}/{name}" if "/" in text else f"library/{name}"
        return f"invalid reference format: repository name ({path}) must be lowercase"
    return "invalid reference format"
