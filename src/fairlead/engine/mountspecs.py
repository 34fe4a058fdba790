"""From -v, --mount, --tmpfs, --volumes-from and an image's VOLUMEs to the mount points of a container."""

from __future__ import annotations

import functools
import os
import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fairlead import ids
from fairlead.errors import InvalidArgument
from fairlead.model.container import BindOptions, Container, ContainerSpec, Mount, MountPoint, VolumeOptions
from fairlead.model.requests import VolumeSpec

if TYPE_CHECKING:
    from fairlead.engine.core import Engine

_PROPAGATION = frozenset({"private", "rprivate", "shared", "rshared", "slave", "rslave"})
_MODES = frozenset({"ro", "rw", "z", "Z", "nocopy", "cached", "delegated", "consistent"}) | _PROPAGATION


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bind:
    source: str
    target: str
    modes: tuple[str, ...]


def parse_bind(text: str) -> _Bind:
    """``[source:]target[:mode,mode]`` as -v has it; raises InvalidArgument in Docker's words."""
    parts = text.split(":")
    match parts:
        case [target]:
            source, modes = "", ""
        case [target, modes] if target.startswith("/") and set(modes.split(",")) <= _MODES:
            source = ""
        case [source, target]:
            modes = ""
        case [source, target, modes]:
            pass
        case _:
            raise InvalidArgument(f"invalid volume specification: '{text}'")
    if not target.startswith("/"):
        raise InvalidArgument(
            f"invalid volume specification: '{text}': invalid mount path: '{target}' mount path must be absolute"
        )
    if (clean := posixpath.normpath(target)) == "/":
        raise InvalidArgument(
            f"invalid volume specification: '{text}': invalid specification: destination can't be '/'"
        )
    words = tuple(filter(None, modes.split(",")))
    if (unknown := [word for word in words if word not in _MODES]) or (len(parts) == 3 and not words):
        raise InvalidArgument(f"invalid mode: {','.join(unknown) or modes}")
    if not source.startswith("/") and source:
        ids.check_volume_name(source)
    return _Bind(source=source, target=clean, modes=words)


def _from_bind(text: str) -> MountPoint:
    bind = parse_bind(text)
    propagation = next((mode for mode in bind.modes if mode in _PROPAGATION), "")
    if bind.source.startswith("/"):
        return MountPoint(
            type="bind",
            source=posixpath.normpath(bind.source),
            target=bind.target,
            mode=",".join(bind.modes),
            rw="ro" not in bind.modes,
            propagation=propagation or "rprivate",
            options=_sealed(bind.source) if "ro" in bind.modes else (),
        )
    return MountPoint(
        type="volume",
        name=bind.source,
        driver="local",
        target=bind.target,
        mode=",".join(bind.modes) or "z",
        rw="ro" not in bind.modes,
        propagation=propagation,
        copy_up="nocopy" not in bind.modes,
        anonymous=not bind.source,
    )


def _from_mount(mount: Mount) -> MountPoint:
    if not mount.target.startswith("/"):
        problem = (
            "field Target must not be empty"
            if not mount.target
            else f"invalid mount path: '{mount.target}' mount path must be absolute"
        )
        raise InvalidArgument(f"invalid mount config for type {mount.type!r}: {problem}".replace("'", '"', 2))
    target = posixpath.normpath(mount.target)
    if target == "/":
        raise InvalidArgument(
            f"invalid mount config for type \"{mount.type}\": invalid specification: destination can't be '/'"
        )
    match mount.type:
        case "bind":
            return _bind_mount(mount, target)
        case "volume":
            volume = mount.volume_options or VolumeOptions()
            _check_subpath(volume.subpath)
            return MountPoint(
                type="volume",
                name=mount.source and ids.check_volume_name(mount.source),
                driver="local",
                target=target,
                mode="z",
                rw=not mount.read_only,
                copy_up=not volume.no_copy,
                anonymous=not mount.source,
                options=(f"subpath={volume.subpath}",) if volume.subpath else (),
            )
        case "tmpfs":
            if mount.source:
                raise InvalidArgument('invalid mount config for type "tmpfs": field Source must not be specified')
            return MountPoint(type="tmpfs", target=target, rw=not mount.read_only, options=tuple(_tmpfs_options(mount)))
        case other:
            raise InvalidArgument(f'invalid mount config for type "{other}": mount type unknown')


def _check_subpath(path: str) -> None:
    clean = posixpath.normpath(path)
    if path and (clean.startswith("/") or clean.split("/")[0] == ".."):
        raise InvalidArgument(
            'invalid mount config for type "volume": subpath must be a relative path within the volume'
        )


def _bind_mount(mount: Mount, target: str) -> MountPoint:
    if not mount.source.startswith("/"):
        problem = (
            "field Source must not be empty"
            if not mount.source
            else f"invalid mount path: '{mount.source}' mount path must be absolute"
        )
        raise InvalidArgument(f'invalid mount config for type "bind": {problem}')
    options = mount.bind_options or BindOptions()
    if not options.create_mountpoint and not os.path.exists(mount.source):
        raise InvalidArgument(f'invalid mount config for type "bind": bind source path does not exist: {mount.source}')
    return MountPoint(
        type="bind",
        source=posixpath.normpath(mount.source),
        target=target,
        rw=not mount.read_only,
        propagation=options.propagation or "rprivate",
        non_recursive=options.non_recursive,
        options=_sealed(mount.source) if mount.read_only and not options.read_only_non_recursive else (),
    )


def _sealed(source: str) -> tuple[str, ...]:
    """What makes mounts below a read-only directory read-only too, as dockerd has it since 25."""
    is_file = os.path.exists(source) and not os.path.isdir(source)  # crun 1.8 takes none for a file
    return () if is_file else _all_the_way_down()


@functools.cache
def _all_the_way_down() -> tuple[str, ...]:
    """Linux can do it since 5.12."""
    numbers = re.findall(r"\d+", os.uname().release)[:2]
    return ("rro",) if [int(number) for number in numbers] >= [5, 12] else ()


def _tmpfs_options(mount: Mount) -> Iterator[str]:
    options = mount.tmpfs_options
    if options is None:
        return
    if options.size_bytes:
        yield f"size={options.size_bytes}"
    if options.mode:
        yield f"mode={options.mode:o}"
    for option in options.options or ():
        yield "=".join(option)


def _inherited(engine: Engine, references: Sequence[str]) -> Iterator[MountPoint]:
    for reference in references:
        name, _, mode = reference.partition(":")
        if mode not in ("", "ro", "rw", "z", "Z"):
            raise InvalidArgument(f"invalid mode for volumes-from: {mode}")
        for point in engine.index.find(name).mounts:
            if point.type in ("bind", "volume"):
                read_only = mode == "ro" and point.type == "bind"
                yield replace(
                    point,
                    rw=point.rw and mode != "ro",
                    options=_sealed(point.source) if read_only else point.options,
                )


def subpath(point: MountPoint) -> str:
    """The part of a volume that is mounted; "" for all of it."""
    asked = (option.partition("=") for option in point.options if point.type == "volume")
    return next((value for name, _, value in asked if name == "subpath"), "")


def mount_points(engine: Engine, spec: ContainerSpec) -> dict[str, MountPoint]:
    """By target, in Docker's order of precedence: volumes-from, image volumes, -v, --mount; --tmpfs for the rest."""
    points: dict[str, MountPoint] = {point.target: point for point in _inherited(engine, spec.host.volumes_from or ())}
    asked: dict[str, MountPoint] = {}
    for point in (*map(_from_bind, spec.host.binds or ()), *map(_from_mount, spec.host.mounts or ())):
        if point.target in asked:
            raise InvalidArgument(f"Duplicate mount point: {point.target}")
        asked[point.target] = point
    points |= asked
    for target, options in (spec.host.tmpfs or {}).items():
        if not target.startswith("/"):
            raise InvalidArgument(f"invalid mount path: '{target}' mount path must be absolute")
        words = tuple(filter(None, options.split(",")))
        points[target] = MountPoint(
            type="tmpfs", target=posixpath.normpath(target), rw="ro" not in words, options=words
        )
    for target in spec.config.volumes or {}:
        bind = parse_bind(target)
        points.setdefault(bind.target, MountPoint(type="volume", driver="local", target=bind.target, anonymous=True))
    return points


async def resolve(engine: Engine, spec: ContainerSpec) -> tuple[MountPoint, ...]:
    """Mount points with their volumes made; a volume made for a create that fails later is anonymous and pruned."""
    resolved = []
    labelled = {mount.target: mount for mount in spec.host.mounts or ()}
    for target, point in mount_points(engine, spec).items():
        if point.type != "volume" or point.source:
            resolved.append(point)
            continue
        options = mount.volume_options if (mount := labelled.get(target)) else None
        driver = options.driver_config if options else None
        volume = await engine.volumes.create(
            VolumeSpec(
                name=point.name,
                driver=(driver.name if driver else "") or spec.host.volume_driver or "local",
                options=(driver.options if driver else None) or {},
                labels=(options.labels if options else None) or {},
            ),
            anonymous=not point.name,
        )
        resolved.append(replace(point, name=volume.name, source=volume.mountpoint))
    return tuple(sorted(resolved, key=lambda point: point.target.count("/")))


def bind_sources(container: Container) -> Iterator[str]:
    """Host directories that -v creates when they are missing (``--mount`` refuses instead)."""
    for text in container.host.binds or ():
        bind = parse_bind(text)
        if bind.source.startswith("/"):
            yield bind.source
