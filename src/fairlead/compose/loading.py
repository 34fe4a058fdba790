"""A project's files to one tree: read, variables put in, checked, includes and extensions resolved, merged.

Files are read by a function that is handed in; nothing else here touches the machine.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from fairlead.compose import canonical, dotenv, tree
from fairlead.compose.errors import ComposeError, Place
from fairlead.compose.interpolation import Interpolator
from fairlead.compose.merging import cleared, merged
from fairlead.compose.specification import PROJECT
from fairlead.compose.tree import Map, Seq, Tagged, Value

Read = Callable[[str], str]

_RESOURCES = ("networks", "volumes", "secrets", "configs")
_REMOTE = re.compile(r"(?:[a-z][a-z0-9+.-]*://|git@|github\.com/)", re.IGNORECASE)
_DEEPEST = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What a file is read with: relative paths begin at ``directory``; ``variables`` are those of the environment."""

    directory: str
    variables: Mapping[str, str]
    read: Read
    warn: Callable[[str], None]
    home: str = "/root"
    depth: int = 0
    chain: tuple[str, ...] = ()  # services being extended, and files being included


def load(files: Sequence[str], origin: Origin) -> Map:
    """The files, each changing those before it, as one tree of long forms. Raises ComposeError."""
    whole = Map()
    for file in files:
        whole = merged(whole, _load_file(file, origin)) if whole else _load_file(file, origin)
    result = cleared(whole)
    assert isinstance(result, Map)
    return result


def _load_file(file: str, origin: Origin) -> Map:
    raw = _checked(file, origin)
    found = Map()
    if "include" in raw:
        found = _included(raw, file, origin)
        del raw["include"]
    own = _long_forms(raw, file, origin)
    _refuse_double(found, own)
    return merged(found, own) if found else own


def _checked(file: str, origin: Origin) -> Map:
    """The file's tree with its variables put in, every key and kind of value being known."""
    unset: set[str] = set()
    raw = tree.parse(_text(file, origin), _shown(file, origin))
    filled = Interpolator(origin.variables, unset.add).everywhere(raw)
    for name in sorted(unset):
        origin.warn(f'The "{name}" variable is not set. Defaulting to a blank string.')
    PROJECT.check(filled, "", Place(_shown(file, origin)))
    assert isinstance(filled, Map)
    return filled


def _text(file: str, origin: Origin) -> str:
    try:
        return origin.read(file)
    except OSError as wrong:
        raise ComposeError(f"{file}: {(wrong.strerror or 'cannot be read').lower()}") from wrong
    except UnicodeDecodeError as wrong:
        raise ComposeError(f"{file} is not text in UTF-8") from wrong


def _shown(file: str, origin: Origin) -> str:
    """As short as it can be named: relative to the project where it lies below it."""
    inside = posixpath.relpath(file, origin.directory) if file != "-" else file
    return file if inside.startswith("../") else inside


# -- include ------------------------------------------------------------------------------------------------------


def _included(raw: Map, file: str, origin: Origin) -> Map:
    found = Map()
    for item, place in raw["include"].placed():
        entry = item if isinstance(item, Map) else Map(path=item)
        part = _include_one(entry, file, origin, place)
        _refuse_double(found, part)
        found = merged(found, part) if found else part
    return found


def _include_one(entry: Map, file: str, origin: Origin, place: Place | None) -> Map:
    paths = [_absolute(str(path), origin) for path in _several(entry["path"])]
    if origin.depth >= _DEEPEST or file in paths or any(path in origin.chain for path in paths):
        raise ComposeError(f"{paths[0]} includes itself", place)
    directory = _absolute(str(entry.get("project_directory") or posixpath.dirname(paths[0])), origin)
    variables = dict(origin.variables)
    named = _several(entry.get("env_file"))
    for path in [_absolute(str(path), origin) for path in named] or [posixpath.join(directory, ".env")]:
        variables = {**_variables(path, origin, optional=not named), **variables}
    chain = (*origin.chain, file)
    part = load(paths, replace(origin, directory=directory, variables=variables, depth=origin.depth + 1, chain=chain))
    part.pop("name", None)
    return part


def _variables(path: str, origin: Origin, *, optional: bool) -> dict[str, str]:
    try:
        return dotenv.parse(_text(path, origin), path, origin.variables)
    except ComposeError:
        if optional:
            return {}
        raise


def _refuse_double(found: Map, part: Map) -> None:
    """What two included parts both define would be a mixture that nobody wrote."""
    for kind in ("services", *_RESOURCES):
        both = [name for name in part.get(kind) or () if name in (found.get(kind) or ())]
        for name in both:
            if part[kind][name] != found[kind][name]:
                place = part[kind].keys_at.get(name)
                raise ComposeError(f"{kind}.{name} conflicts with what is included under that name", place)


# -- long forms and extends ------------------------------------------------------------------------------------------


def _long_forms(raw: Map, file: str, origin: Origin) -> Map:
    found = Map()
    for key, value in raw.items():
        place, key_at = raw.places.get(key), raw.keys_at.get(key)
        if key == "services":
            services = _each(value, lambda service: _resolved(canonical.service(service), origin))
            extended = _each(services, lambda service: service)
            for name in services:
                extended[name] = _extended(name, services, file, origin)
            found.put(key, extended, place, key_at)
        elif key in _RESOURCES:
            found.put(key, _each(value, lambda item: _resource(item, origin)), place, key_at)
        elif not key.startswith("x-") and key != "version":
            found.put(key, value, place, key_at)
    return found


def _each(value: Value, change: Callable[[Map], Value]) -> Map:
    found = Map()
    for name, item in (value or Map()).items():
        place, key_at = value.places.get(name), value.keys_at.get(name)
        if isinstance(item, Tagged):
            found.put(name, Tagged(item.tag, change(item.value or Map())), place, key_at)
        elif not name.startswith("x-"):
            found.put(name, change(item or Map()), place, key_at)
    return found


def _extended(name: str, services: Map, file: str, origin: Origin) -> Value:
    service = services[name]
    if not isinstance(service, Map) or not service.get("extends"):
        return service
    place = service.places.get("extends")
    wanted, where = str(service["extends"]["service"]), service["extends"].get("file")
    source = _absolute(str(where), origin) if where else file
    link = f"{source}\0{wanted}"
    if link in origin.chain or len(origin.chain) > _DEEPEST:
        raise ComposeError(f"service {name} extends itself", place)
    inner = replace(origin, chain=(*origin.chain, f"{file}\0{name}", link))
    if where:
        inner = replace(inner, directory=posixpath.dirname(source))
        raw = _checked(source, inner)
        services = _each(raw.get("services"), lambda one: _resolved(canonical.service(one), inner))
    if wanted not in services:
        raise ComposeError(f"service {wanted}, which {name} extends, is not in {_shown(source, origin)}", place)
    result = merged(_extended(wanted, services, source, inner), service)
    del result["extends"]
    return result


# -- paths ----------------------------------------------------------------------------------------------------------


def _resolved(service: Map, origin: Origin) -> Map:
    """With absolute paths wherever the service names a place on this machine."""
    build = service.get("build")
    if isinstance(build, Map):
        if "context" in build and not _REMOTE.match(str(build["context"])):
            build["context"] = _absolute(str(build["context"]), origin)
        for name, text in (build.get("additional_contexts") or {}).items():
            if "://" not in text:
                build["additional_contexts"][name] = _absolute(text, origin)
    for entry in _maps(service.get("env_file")):
        entry["path"] = _absolute(str(entry["path"]), origin)
    if isinstance(service.get("label_file"), Seq):
        service["label_file"][:] = [_absolute(path, origin) for path in service["label_file"]]
    for mount in _maps(service.get("volumes")):
        if mount["type"] == "bind" and mount.get("source"):
            mount["source"] = _absolute(str(mount["source"]), origin)
    develop = service.get("develop")
    for rule in _maps(develop.get("watch") if isinstance(develop, Map) else None):
        rule["path"] = _absolute(str(rule["path"]), origin)
    return service


def _resource(raw: Map, origin: Origin) -> Map:
    found = canonical.network(raw)
    if name := canonical.external_name(raw):
        found["name"] = name
    if isinstance(found.get("external"), Map):
        found["external"] = True
    if found.get("file"):
        found["file"] = _absolute(str(found["file"]), origin)
    return found


def _maps(value: Value) -> list[Map]:
    items = value.value if isinstance(value, Tagged) else value
    return [item for item in items if isinstance(item, Map)] if isinstance(items, Seq) else []


def _several(value: Value) -> list[Value]:
    if value is None:
        return []
    return list(value) if isinstance(value, Seq) else [value]


def _absolute(path: str, origin: Origin) -> str:
    if path == "~" or path.startswith("~/"):
        path = origin.home + path[1:]
    return posixpath.normpath(posixpath.join(origin.directory, path))
