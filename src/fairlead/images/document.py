"""Image configs: the JSON document whose digest is the image's id, read and written. Bytes in, values out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from fairlead.errors import InvalidArgument
from fairlead.images import reference
from fairlead.model.container import Config
from fairlead.model.image import HistoryEntry

# In Go a map to empty structs may be written with nulls; both mean "it is in the set".
_SETS = ("ExposedPorts", "Volumes")
# Old images have these as one string.
_LISTS = ("Cmd", "Entrypoint", "Shell", "OnBuild", "Env")
MAX_LAYERS = 125


class History(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    created: str = ""
    created_by: str = ""
    author: str = ""
    comment: str = ""
    empty_layer: bool = False


class RootFsDigests(msgspec.Struct, frozen=True, kw_only=True):
    type: str = "layers"
    diff_ids: tuple[str, ...] = ()


class Document(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The image config of the OCI specification with Docker's additions."""

    architecture: str
    os: str
    variant: str = ""
    created: str = ""
    author: str = ""
    comment: str = ""
    docker_version: str = ""
    config: Config = Config()
    history: tuple[History, ...] = ()
    rootfs: RootFsDigests = RootFsDigests()


def parse(data: bytes) -> Document:
    """Raises InvalidArgument when it is not an image config that can run here."""
    try:
        raw = json.loads(data)
        if not isinstance(raw, dict):
            raise InvalidArgument("invalid image config: not an object")
        document = msgspec.convert(_without_nulls(raw), Document)
    except (ValueError, RecursionError, msgspec.ValidationError) as error:
        raise InvalidArgument(f"invalid image config: {error}") from error
    if document.os != "linux":
        raise InvalidArgument(f"cannot load {document.os or 'unknown'} image on linux")
    for digest in document.rootfs.diff_ids:
        if not reference.is_digest(digest):
            raise InvalidArgument(f"invalid image config: {digest!r} is not a sha256 digest")
    if len(document.rootfs.diff_ids) > MAX_LAYERS:
        raise InvalidArgument("max depth exceeded")
    return document


def render(document: Document) -> bytes:
    """Compact JSON, the same bytes for the same document."""
    raw = msgspec.to_builtins(document)
    raw["config"] = config_object(document.config)
    raw["rootfs"] = msgspec.to_builtins(document.rootfs)
    return json.dumps(raw, separators=(",", ":")).encode()


def config_object(config: Config) -> dict[str, Any]:
    """The config as images have it: only what is set."""
    given = msgspec.to_builtins(config)
    return {key: value for key, value in given.items() if value not in (None, "", False)}


def _without_nulls(raw: Mapping[str, Any]) -> dict[str, Any]:
    """In JSON null is "not given" for every field of Go's encoders."""
    kept = {key: value for key, value in raw.items() if value is not None}
    kept.setdefault("os", "linux")
    kept.setdefault("architecture", "")
    if isinstance(config := kept.get("config"), dict):
        kept["config"] = _config(config)
    if isinstance(history := kept.get("history"), list):
        kept["history"] = [_drop_nulls(line) for line in history]
    if isinstance(rootfs := kept.get("rootfs"), dict):
        kept["rootfs"] = _drop_nulls(rootfs)
    return kept


def _drop_nulls(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {key: item for key, item in value.items() if item is not None}


def _config(raw: Mapping[str, Any]) -> dict[str, Any]:
    config: dict[str, Any] = _drop_nulls(raw)
    for key in _SETS:
        if isinstance(config.get(key), dict):
            config[key] = {name: value or {} for name, value in config[key].items()}
    for key in _LISTS:
        if isinstance(config.get(key), str):
            config[key] = [config[key]]
    if isinstance(config.get("Healthcheck"), dict):
        config["Healthcheck"] = _drop_nulls(config["Healthcheck"])
    return config


def seconds(created: str) -> int:
    """Seconds since the epoch of an RFC 3339 time with up to nine decimals; 0 for anything else."""
    try:
        whole, dot, rest = created.partition(".")
        zone = rest.lstrip("0123456789") if dot else ""
        moment = datetime.fromisoformat(whole + zone)
    except ValueError:
        return 0
    return int(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp())


def rfc3339(nanoseconds: int) -> str:
    """As Go prints a time in UTC: nine decimals, without the zeros at their end."""
    whole, part = divmod(nanoseconds, 10**9)
    text = datetime.fromtimestamp(whole, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    decimals = f".{part:09d}".rstrip("0") if part else ""
    return f"{text}{decimals}Z"


def history_entries(document: Document, sizes: Sequence[int]) -> tuple[HistoryEntry, ...]:
    """Oldest first; layers are dealt out to the lines that made one."""
    remaining = list(sizes)
    entries = []
    for line in document.history:
        size = remaining.pop(0) if remaining and not line.empty_layer else 0
        entries.append(
            HistoryEntry(
                created=seconds(line.created),
                created_by=line.created_by,
                author=line.author,
                comment=line.comment,
                empty_layer=line.empty_layer,
                size=size,
            ),
        )
    return tuple(entries)
