"""Several files of one project into one, pure: a later file changes and adds to an earlier one.

Mappings are merged key by key, lists are appended, anything else is replaced; lists of things that have a name (ports,
volumes, secrets …) are merged by it. ``!reset`` takes a key away, ``!override`` puts a value in place of the old one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fairlead.compose.tree import Map, Seq, Tagged, Value

# Lists that say one thing together: the later one counts.
_REPLACED = frozenset({"command", "entrypoint", "test"})


def _port_key(port: Value) -> object:
    return tuple(str(port.get(key, "")) for key in ("host_ip", "target", "published", "protocol"))


_KEYS: Mapping[str, Callable[[Value], object]] = {
    "ports": _port_key,
    "volumes": lambda item: item["target"],
    "secrets": lambda item: item.get("target") or item["source"],
    "configs": lambda item: item.get("target") or item["source"],
    "devices": lambda item: str(item.get("target") or item["source"]) if isinstance(item, Map) else str(item),
    "env_file": lambda item: item["path"],
    "expose": str,
    "cap_add": str,
    "cap_drop": str,
    "dns": str,
    "dns_search": str,
    "dns_opt": str,
    "group_add": str,
    "tmpfs": str,
    "profiles": str,
    "external_links": str,
    "links": str,
    "security_opt": str,
    "volumes_from": str,
}


def merged(base: Map, over: Map) -> Map:
    """``base`` changed by ``over``; neither is touched."""
    found = Map()
    for key in base:
        if key not in over and not isinstance(base[key], Tagged):
            found.take(key, base)
    for key, value in over.items():
        if isinstance(value, Tagged) and value.tag == "reset":
            continue
        result = _merged(key, base.get(key), value)
        found.put(key, result, over.places.get(key), over.keys_at.get(key))
    return found


def _merged(key: str, old: Value, new: Value) -> Value:
    if isinstance(new, Tagged):
        return new.value
    if isinstance(old, Map) and isinstance(new, Map):
        return _logging(old, new) if key == "logging" else merged(old, new)
    if isinstance(old, Seq) and isinstance(new, Seq) and key not in _REPLACED:
        return _joined(key, old, new)
    return old if new is None and isinstance(old, Map | Seq) else new


def _logging(old: Map, new: Map) -> Map:
    """Options of one driver mean nothing to another."""
    same = new.get("driver") in (None, old.get("driver"))
    return merged(old, new) if same else new


def _joined(key: str, old: Seq, new: Seq) -> Seq:
    key_of = _KEYS.get(key)
    if key_of is None:
        return Seq([*old, *new], [*old.places, *new.places])
    found: dict[object, tuple[Value, object]] = {}
    for item, place in (*old.placed(), *new.placed()):
        name = key_of(item)
        before = found.get(name)
        both = before is not None and isinstance(before[0], Map) and isinstance(item, Map)
        found[name] = (merged(before[0], item) if both and before is not None else item, place)
    return Seq([item for item, _ in found.values()], [place for _, place in found.values()])


def cleared(value: Value) -> Value:
    """Without the tags that only a merge gives a meaning: the first file may have them as well."""
    match value:
        case Tagged():
            return cleared(value.value)
        case Map():
            found = Map()
            for key, item in value.items():
                if not (isinstance(item, Tagged) and item.tag == "reset"):
                    found.put(key, cleared(item), value.places.get(key), value.keys_at.get(key))
            return found
        case Seq():
            return Seq([cleared(item) for item in value], value.places)
        case _:
            return value
