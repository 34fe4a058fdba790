"""Short forms to long ones, pure: after this every key of a service has one form, and files can be merged.

``A=b`` lists become mappings, ``8080:80`` and ``./data:/data:ro`` their long syntax, one name a list of one.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator, Mapping

from fairlead.compose.errors import ComposeError, Place
from fairlead.compose.tree import Map, Seq, Tagged, Value

_PORT = re.compile(
    r"(?:(?P<ip>\[[0-9a-fA-F:.]+\]|[0-9]+(?:\.[0-9]+){3}):)?(?:(?P<published>[0-9]*(?:-[0-9]+)?):)?"
    r"(?P<target>[0-9]+(?:-[0-9]+)?)(?:/(?P<protocol>[a-z]+))?\Z"
)
_PROPAGATION = frozenset({"private", "rprivate", "shared", "rshared", "slave", "rslave"})

Change = Callable[[Value, Place | None], Value]


def service(raw: Map) -> Map:
    """A service with every key in its long form; raises ComposeError for short forms that say nothing."""
    return _changed(raw, _SERVICE)


def network(raw: Map) -> Map:
    return _changed(raw, _RESOURCE)


volume = secret = config = network


def _changed(raw: Map, changes: Mapping[str, Change]) -> Map:
    found = Map()
    for key, value in raw.items():
        place = raw.places.get(key)
        change = changes.get(key)
        if isinstance(value, Tagged):
            inner = value.value if change is None or value.value is None else change(value.value, place)
            value = Tagged(value.tag, inner)  # noqa: PLW2901 - the same value in its long form
        elif change is not None and value is not None:
            value = change(value, place)  # noqa: PLW2901
        found.put(key, value, place, raw.keys_at.get(key))
    return found


# -- mappings and lists ----------------------------------------------------------------------------------------


def pairs(value: Value, place: Place | None) -> Value:
    """``A=b`` or a mapping; a name without a value has None: it is taken from the environment."""
    if isinstance(value, Map):
        found = Map()
        for key, item in value.items():
            text = item if isinstance(item, Tagged) else _as_text(item)
            found.put(key, text, value.places.get(key, place), value.keys_at.get(key))
        return found
    found = Map()
    for item, at in value.placed():
        name, equals, text = str(item).partition("=")
        found.put(name, text if equals else None, at)
    return found


def _as_text(value: Value) -> str | None:
    if value is None:
        return None
    return str(value).lower() if isinstance(value, bool) else str(value)


def listed(value: Value, place: Place | None) -> Value:
    """One or a list of them."""
    return value if isinstance(value, Seq) else Seq([value], [place])


def texts(value: Value, place: Place | None) -> Value:
    several = listed(value, place)
    return Seq([_as_text(item) for item in several], several.places)


def named(empty: Callable[[], Value]) -> Change:
    """A list of names becomes a mapping of them."""

    def change(value: Value, place: Place | None) -> Value:
        if isinstance(value, Map):
            return value
        found = Map()
        for item, at in value.placed():
            found.put(str(item), empty(), at or place)
        return found

    return change


def _depends_on(value: Value, place: Place | None) -> Value:
    found = named(Map)(value, place)
    for key, item in list(found.items()):
        full = Map(condition="service_started", required=True)
        for name in item or ():
            full.take(name, item)
        found[key] = full
    return found


def _hosts(value: Value, place: Place | None) -> Value:
    """``host=ip`` or ``host:ip`` to a mapping of lists."""
    found = Map()
    if isinstance(value, Map):
        for key, item in value.items():
            found.put(key, texts(item, value.places.get(key)), value.places.get(key, place))
        return found
    for item, at in value.placed():
        text = str(item)
        name, sign, address = text.partition("=") if "=" in text else text.partition(":")
        if not sign or not address:
            raise ComposeError(f'"{text}" is not a host and an address: write host=address', at)
        found.setdefault(name, Seq()).put(address.strip("[]"), at)
        found.places[name] = at or place or Place("")
    return found


def _ulimits(value: Value, _place: Place | None) -> Value:
    found = Map()
    for key, item in value.items():
        limit = item if isinstance(item, Map) else Map(soft=item, hard=item)
        found.put(key, limit, value.places.get(key))
    return found


def _long(key: str) -> Change:
    """A word becomes a mapping with it under ``key``."""

    def change(value: Value, place: Place | None) -> Value:
        if isinstance(value, Map):
            return value
        found = Map()
        found.put(key, _as_text(value), place)
        return found

    return change


def each(change: Change) -> Change:
    """A list (or one) of which every item is brought into its long form."""

    def all_of(value: Value, place: Place | None) -> Value:
        several = listed(value, place)
        return Seq([change(item, at) for item, at in several.placed()], several.places)

    return all_of


def _env_file(value: Value, place: Place | None) -> Value:
    found = _long("path")(value, place)
    found.setdefault("required", True)
    return found


def _build(value: Value, place: Place | None) -> Value:
    return _changed(_long("context")(value, place), _BUILD)


# -- ports ----------------------------------------------------------------------------------------------------


def _ports(value: Value, _place: Place | None) -> Value:
    found = Seq()
    for item, at in value.placed():
        for port in _port(item, at):
            found.put(port, at)
    return found


def _port(value: Value, place: Place | None) -> Iterator[Map]:
    """One long entry for each container port: a range is as many."""
    if isinstance(value, Map):
        full = Map(protocol="tcp", mode="ingress")
        for key in value:
            full.take(key, value)
        yield full
        return
    parsed = _PORT.match(str(value))
    if parsed is None:
        raise ComposeError(f'"{value}" is not a port: write [[address:]host:]container[/protocol]', place)
    targets, published = _span(parsed["target"]), _span(parsed["published"] or "")
    if len(published) not in (0, 1, len(targets)) and len(targets) != 1:
        raise ComposeError(f'"{value}": the two ranges are of different length', place)
    for number, target in enumerate(targets):
        full = Map(target=target, protocol=parsed["protocol"] or "tcp", mode="ingress")
        if published:
            one = len(published) == len(targets)
            full["published"] = str(published[number]) if one else f"{published[0]}-{published[-1]}"
        if parsed["ip"]:
            full["host_ip"] = parsed["ip"].strip("[]")
        yield full


def _span(text: str) -> range:
    low, _, high = text.partition("-")
    return range(int(low), int(high or low) + 1) if low else range(0)


# -- volumes ----------------------------------------------------------------------------------------------------


def _volume(value: Value, place: Place | None) -> Value:
    if isinstance(value, Map):
        found = Map()
        for key in value:
            found.take(key, value)
        return found
    source, target, modes = _split_volume(str(value), place)
    found = Map(type=_kind(source), target=target)
    if source:
        found["source"] = source
    if found["type"] == "bind":
        found["bind"] = Map(create_host_path=True)
    for mode in modes:
        _apply_mode(found, mode, str(value), place)
    return found


def _split_volume(text: str, place: Place | None) -> tuple[str, str, list[str]]:
    match text.split(":"):
        case [target] if target:
            return "", posixpath.normpath(target), []
        case [source, target] if source and target:
            return source, posixpath.normpath(target), []
        case [source, target, modes] if source and target and modes:
            return source, posixpath.normpath(target), modes.split(",")
    raise ComposeError(f'"{text}" is not a volume: write [source:]target[:mode]', place)


def _kind(source: str) -> str:
    return "bind" if source.startswith((".", "/", "~")) else "volume"


def _apply_mode(found: Map, mode: str, text: str, place: Place | None) -> None:
    if mode in ("ro", "rw"):
        if mode == "ro":
            found["read_only"] = True
    elif mode == "nocopy":
        found["volume"] = Map(nocopy=True)
    elif mode in ("z", "Z"):
        found.setdefault("bind", Map())["selinux"] = mode
    elif mode in _PROPAGATION:
        found.setdefault("bind", Map())["propagation"] = mode
    elif mode not in ("cached", "delegated", "consistent"):
        raise ComposeError(f'"{text}": no volume has the mode {mode}', place)


# -- resources ----------------------------------------------------------------------------------------------------


def _external(value: Value, _place: Place | None) -> Value:
    """``external: {name: x}`` of old files is ``external: true`` with that name."""
    return True if isinstance(value, Map) else value


_RESOURCE: dict[str, Change] = {"labels": pairs}
_BUILD: dict[str, Change] = {
    "args": pairs,
    "labels": pairs,
    "ssh": pairs,
    "additional_contexts": pairs,
    "extra_hosts": _hosts,
    "ulimits": _ulimits,
    "secrets": each(_long("source")),
    "cache_from": texts,
    "tags": texts,
}
_DEPLOY: dict[str, Change] = {"labels": pairs}
_SERVICE: dict[str, Change] = {
    "annotations": pairs,
    "build": _build,
    "cap_add": texts,
    "cap_drop": texts,
    "configs": each(_long("source")),
    "depends_on": _depends_on,
    "deploy": lambda value, _: _changed(value, _DEPLOY),
    "dns": texts,
    "dns_search": texts,
    "env_file": each(_env_file),
    "environment": pairs,
    "expose": texts,
    "extends": _long("service"),
    "extra_hosts": _hosts,
    "group_add": texts,
    "label_file": texts,
    "labels": pairs,
    "networks": named(lambda: None),
    "ports": _ports,
    "secrets": each(_long("source")),
    "sysctls": pairs,
    "tmpfs": texts,
    "ulimits": _ulimits,
    "volumes": each(_volume),
}


def external_name(raw: Map) -> str:
    """The name in the old form ``external: {name: x}``; "" where there is none."""
    external = raw.get("external")
    return str(external.get("name", "")) if isinstance(external, Map) else ""
