"""``--mount``: ``type=bind,source=…,target=…`` to Docker's mount object; errors are ValueErrors in Docker's words."""

from __future__ import annotations

import os
from collections.abc import Mapping

from fairlead.cli.flags import comma_separated, parse_bool
from fairlead.cli.units import parse_size

Json = dict[str, object]

_WITHOUT_VALUE = frozenset({"readonly", "ro", "volume-nocopy", "bind-nonrecursive"})
_ALIASES = {"src": "source", "dst": "target", "destination": "target", "ro": "readonly"}
_PROPAGATIONS = frozenset({"private", "rprivate", "shared", "rshared", "slave", "rslave"})
_RECURSIVE: Mapping[str, Mapping[str, object]] = {
    "enabled": {},
    "disabled": {"NonRecursive": True},
    "writable": {"ReadOnlyNonRecursive": True},
    "readonly": {"ReadOnlyForceRecursive": True},
}
_OPTIONS = {"bind": "BindOptions", "volume": "VolumeOptions", "image": "ImageOptions", "tmpfs": "TmpfsOptions"}


def parse_mount(raw: str) -> Json:
    """The mount that one flag describes."""
    mount: Json = {"Type": "volume"}
    options: dict[str, Json] = {}
    for field in comma_separated(raw):
        key, value = _split(field)
        kind, dash, _ = key.partition("-")
        if dash and kind in _OPTIONS:
            _set_option(options.setdefault(kind, {}), key, value, field)
        else:
            _set(mount, key, value, field)
    _check(mount, options)
    mount.update({_OPTIONS[kind]: chosen for kind, chosen in options.items()})
    return mount


def _split(field: str) -> tuple[str, str]:
    key, equals, value = field.partition("=")
    key = key.lower()
    key = _ALIASES.get(key, key)
    if not equals:
        if key not in _WITHOUT_VALUE:
            raise ValueError(f"invalid field '{field}' must be a key=value pair")
        value = "true"
    return key, value


def _set(mount: Json, key: str, value: str, field: str) -> None:
    match key:
        case "type":
            mount["Type"] = value.lower()
        case "source":
            mount["Source"] = os.path.abspath(value) if value == "." or value.startswith("./") else value
        case "target":
            mount["Target"] = value
        case "readonly":
            mount["ReadOnly"] = _boolean(key, value)
        case "consistency":
            mount["Consistency"] = value.lower()
        case _:
            raise ValueError(f"unexpected key '{key}' in '{field}'")


def _set_option(options: Json, key: str, value: str, field: str) -> None:
    match key:
        case "bind-propagation":
            options["Propagation"] = value.lower()
        case "bind-nonrecursive":
            options["NonRecursive"] = _boolean(key, value)
        case "bind-recursive":
            options.update(_recursive(value))
        case "bind-create-src":
            options["CreateMountpoint"] = _boolean(key, value)
        case "volume-nocopy":
            options["NoCopy"] = _boolean(key, value)
        case "volume-subpath" | "image-subpath":
            options["Subpath"] = value
        case "volume-label":
            _put(options, "Labels", value)
        case "volume-driver":
            _driver(options)["Name"] = value
        case "volume-opt":
            _put(_driver(options), "Options", value)
        case "tmpfs-size":
            options["SizeBytes"] = _size(value)
        case "tmpfs-mode":
            options["Mode"] = _mode(value)
        case _:
            raise ValueError(f"unexpected key '{key}' in '{field}'")


def _recursive(value: str) -> Mapping[str, object]:
    if value not in _RECURSIVE:
        raise ValueError(
            f'invalid value for bind-recursive: {value} (must be "enabled", "disabled", "writable", or "readonly")',
        )
    return _RECURSIVE[value]


def _boolean(key: str, value: str) -> bool:
    try:
        return parse_bool(value)
    except ValueError as wrong:
        raise ValueError(f"invalid value for {key}: {value}") from wrong


def _size(value: str) -> int:
    try:
        return parse_size(value)
    except ValueError as wrong:
        raise ValueError(f"invalid value for tmpfs-size: {value}") from wrong


def _mode(value: str) -> int:
    try:
        return int(value, 8)
    except ValueError as wrong:
        raise ValueError(f"invalid value for tmpfs-mode: {value}") from wrong


def _put(options: Json, name: str, value: str) -> None:
    key, _, setting = value.partition("=")
    chosen = options.setdefault(name, {})
    assert isinstance(chosen, dict)
    chosen[key] = setting


def _driver(options: Json) -> Json:
    driver = options.setdefault("DriverConfig", {})
    assert isinstance(driver, dict)
    return driver


def _check(mount: Json, options: Mapping[str, Json]) -> None:
    kind = mount["Type"]
    if not mount.get("Target"):
        raise ValueError("target is required")
    for name in options:
        if name != kind:
            raise ValueError(f"cannot mix '{name}-*' options with mount type '{kind}'")
    bind = options.get("bind", {})
    if not bind.get("ReadOnlyNonRecursive") and not bind.get("ReadOnlyForceRecursive"):
        return
    recursive = "writable" if bind.get("ReadOnlyNonRecursive") else "readonly"
    if not mount.get("ReadOnly"):
        raise ValueError(
            f"option 'bind-recursive={recursive}' requires 'readonly' to be specified in conjunction",
        )
    if recursive == "readonly" and bind.get("Propagation") != "rprivate":
        # A mount that appears below later would be writable: Docker asks for both together.
        raise ValueError(
            "option 'bind-recursive=readonly' requires 'bind-propagation=rprivate' to be specified in conjunction",
        )
