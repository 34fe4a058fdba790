"""Image references: ``busybox``, ``host:5000/team/app:1.2``, ``name@sha256:…``, and their short, familiar forms.

The grammar and the sentences are those of the distribution reference package, which Docker's clients know.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from fairlead.errors import InvalidArgument

DEFAULT_DOMAIN = "docker.io"
DEFAULT_TAG = "latest"

_COMPONENT = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = re.compile(rf"(?:{_COMPONENT}(?:\.{_COMPONENT})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?\Z")
_PATH_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"{_PATH_COMPONENT}(?:/{_PATH_COMPONENT})*\Z")
_TAG = re.compile(r"\w[\w.-]{0,127}\Z", re.ASCII)
_DIGEST = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}\Z")
_SHA256 = re.compile(r"sha256:[0-9a-f]{64}\Z")
_HEX_ID = re.compile(r"[0-9a-f]{64}\Z")
_MAX_NAME = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A repository (``domain``/``path``) and at most a tag and a digest; both may be ""."""

    domain: str
    path: str
    tag: str = ""
    digest: str = ""

    @property
    def name(self) -> str:
        """The repository in full: ``docker.io/library/busybox``."""
        return f"{self.domain}/{self.path}"

    @property
    def familiar_name(self) -> str:
        """The repository as people write it: ``busybox``."""
        if self.domain != DEFAULT_DOMAIN:
            return self.name
        return self.path.removeprefix("library/") if self.path.count("/") == 1 else self.path

    @property
    def full(self) -> str:
        return self.name + self._suffix

    @property
    def familiar(self) -> str:
        return self.familiar_name + self._suffix

    @property
    def _suffix(self) -> str:
        return (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")

    def with_default_tag(self) -> Reference:
        """``latest`` where neither tag nor digest was given."""
        return self if self.tag or self.digest else replace(self, tag=DEFAULT_TAG)

    def key(self) -> str:
        """What the store files it under: a digest wins over a tag."""
        if self.digest:
            return f"{self.name}@{self.digest}"
        return f"{self.name}:{self.tag or DEFAULT_TAG}"


def is_digest(text: str) -> bool:
    """Whether it is ``sha256:`` and 64 lower-case hex digits."""
    return _SHA256.match(text) is not None


def is_hex_id(text: str) -> bool:
    return _HEX_ID.match(text) is not None


def check_domain(text: str) -> str:
    """A registry's host, with a port or without; raises InvalidArgument."""
    if _DOMAIN.match(text) is None:
        raise InvalidArgument(f"invalid registry address {text!r}: it must be a host name with or without a port")
    return text


def parse(text: str) -> Reference:
    """A reference from what a person wrote; raises InvalidArgument in Docker's words."""
    if is_hex_id(text):
        raise InvalidArgument(
            f"invalid reference format: invalid repository name ({text}), cannot specify 64-byte hexadecimal strings",
        )
    rest, _, digest = text.partition("@")
    if "@" in text and _DIGEST.match(digest) is None:
        raise InvalidArgument("invalid reference format")
    if digest.startswith("sha256:") and not is_digest(digest):
        raise InvalidArgument("invalid checksum digest length")
    domain, remote = _split_domain(rest)
    path, tag = _split_tag(remote)
    _check(domain, path, tag)
    return Reference(domain=domain, path=path, tag=tag, digest=digest)


def parse_tag(repository: str, tag: str) -> Reference:
    """The target of ``docker tag`` and of commits and imports: a repository that carries no digest."""
    reference = parse(repository)
    if reference.digest:
        raise InvalidArgument("refusing to create a tag with a digest reference")
    if tag and _TAG.match(tag) is None:
        raise InvalidArgument("invalid tag format")
    return checked_name(replace(reference, tag=tag or reference.tag).with_default_tag())


def checked_name(reference: Reference) -> Reference:
    """A name that an image may be given; raises InvalidArgument for one that reads as an id."""
    if reference.familiar_name == "sha256":
        raise InvalidArgument("refusing to create an ambiguous tag using digest algorithm as name")
    return reference


def _split_domain(text: str) -> tuple[str, str]:
    """The first part is a domain only if it looks like one: a dot, a colon, ``localhost``, a capital letter."""
    first, slash, rest = text.partition("/")
    if not slash or not (set(".:") & set(first) or first == "localhost" or first.lower() != first):
        domain, rest = DEFAULT_DOMAIN, text
    else:
        domain = DEFAULT_DOMAIN if first == "index.docker.io" else first
    if domain == DEFAULT_DOMAIN and "/" not in rest:
        rest = f"library/{rest}"
    return domain, rest


def _split_tag(remote: str) -> tuple[str, str]:
    path, colon, tag = remote.rpartition(":")
    if not colon or "/" in tag:
        return remote, ""
    if _TAG.match(tag) is None:
        raise InvalidArgument("invalid reference format")
    return path, tag


def _check(domain: str, path: str, tag: str) -> None:
    if path.lower() != path:
        raise InvalidArgument(f"invalid reference format: repository name ({path}) must be lowercase")
    if _PATH.match(path) is None or _DOMAIN.match(domain) is None:
        raise InvalidArgument("invalid reference format")
    if len(f"{domain}/{path}") > _MAX_NAME:
        raise InvalidArgument(f"repository name must not be more than {_MAX_NAME} characters")
    if tag and _TAG.match(tag) is None:
        raise InvalidArgument("invalid reference format")
