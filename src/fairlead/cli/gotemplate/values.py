"""Go's view of decoded JSON: truth, kinds, field access and how a value prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, TypeGuard, runtime_checkable


class FieldError(Exception):
    """A field that is not there, or a value that has none; the evaluator adds where."""


@runtime_checkable
class Record(Protocol):
    """A row of a list command: its fields are computed when a template asks for them."""

    def field(self, name: str, arguments: Sequence[object]) -> object:
        """The value of a field, or of a method when there are arguments; raises FieldError."""

    def as_mapping(self) -> Mapping[str, object]:
        """All fields, for ``json``."""


# Fields that Docker leaves out of its JSON when they are empty. Its own templates see a Go struct, where such a field
# is there and nil, so `{{if .State.Health}}` must not fail on a container without a health check.
# fmt: off
OMITTED_WHEN_EMPTY = frozenset({
    "Health", "Healthcheck", "Shell", "ArgsEscaped", "NetworkDisabled", "MacAddress", "OnBuild", "StopTimeout",
    "StopSignal", "ExposedPorts", "SizeRw", "SizeRootFs", "GraphDriver", "Annotations", "Init", "Tmpfs", "Sysctls",
    "StorageOpt", "Mounts", "IPAMConfig", "GwPriority", "DNSNames", "DriverOpts", "Warnings", "UsageData",
    "CreatedAt", "Manifests", "ImageManifestDescriptor", "Descriptor", "Comment", "Author", "Variant", "OsVersion",
    "Parent", "DockerVersion", "ContainerConfig", "Entrypoint", "Cmd", "WorkingDir", "Volumes", "Aliases", "Links",
    "Peers", "Services", "DiskQuota", "AuxiliaryAddresses", "IPRange", "Identity", "FirewallBackend",
    "DefaultAddressPools", "CDISpecDirs", "DiscoveredDevices", "Containerd", "HttpProxy", "HttpsProxy", "NoProxy",
    "RemoteManagers", "SecondaryIPAddresses", "SecondaryIPv6Addresses",
})
# fmt: on


def truth(value: object) -> bool:
    """Go's rule of ``if``: the zero value of each kind is false."""
    return bool(value) or isinstance(value, Record)


def is_list(value: object) -> TypeGuard[Sequence[object]]:
    return isinstance(value, list | tuple)


def go_type(value: object) -> str:
    """The type's name in Go's error messages."""
    match value:
        case None:
            return "<nil>"
        case bool():
            return "bool"
        case int():
            return "int"
        case float():
            return "float64"
        case str():
            return "string"
        case list() | tuple():
            return "[]interface {}"
        case dict():
            return "map[string]interface {}"
        case _:
            return f"*formatter.{type(value).__name__}"


def field(value: object, name: str, arguments: Sequence[object]) -> object:
    """``value.name``; raises FieldError."""
    if isinstance(value, Record):
        return value.field(name, arguments)
    if isinstance(value, Mapping):
        if arguments:
            raise FieldError(f"{name} is not a method but has arguments")
        return _key(value, name)
    if value is None:
        raise FieldError(f"nil pointer evaluating interface {{}}.{name}")
    raise FieldError(f"can't evaluate field {name} in type {go_type(value)}")


def _key(mapping: Mapping[str, object], name: str) -> object:
    if name in mapping:
        return mapping[name]
    # Docker's struct fields and their JSON names differ in case only (ID and Id, HostIP and HostIp).
    folded = name.lower()
    for key, value in mapping.items():
        if key.lower() == folded:
            return value
    if name in OMITTED_WHEN_EMPTY:
        return None
    raise FieldError(f'map has no entry for key "{name}"')


def show(value: object) -> str:
    """``%v``: what an action prints, ``<nil>`` for nothing."""
    match value:
        case None:
            return "<nil>"
        case bool():
            return "true" if value else "false"
        case float():
            return show_float(value)
        case list() | tuple():
            return "[" + " ".join(show(item) for item in value) + "]"
        case dict():
            return show_map(value)
        case Record():
            return show_map(dict(value.as_mapping()))
        case _:
            return str(value)


def show_map(mapping: Mapping[str, object]) -> str:
    return "map[" + " ".join(f"{key}:{show(mapping[key])}" for key in sorted(mapping)) + "]"


def show_float(value: float) -> str:
    """Go's ``%v`` of a float64: shortest form, an exponent from 21 digits on."""
    if value != value or value in {float("inf"), float("-inf")}:  # noqa: PLR0124 - only NaN differs from itself
        return {"inf": "+Inf", "-inf": "-Inf"}.get(str(value), "NaN")
    exponent = int(f"{value:e}".rpartition("e")[2])
    if exponent < -4 or exponent >= 21:
        mantissa, _, power = repr(value).partition("e") if "e" in repr(value) else f"{value:.17e}".partition("e")
        mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
        return f"{mantissa}e{int(power):+03d}"
    if value == int(value):
        return str(int(value)) if value or str(value) == "0.0" else "-0"
    text = repr(value)
    return text if "e" not in text else f"{value:.20f}".rstrip("0")
