"""An image's configuration under a container's: what was not asked for comes from the image."""

from __future__ import annotations

import msgspec

from fairlead.errors import InvalidArgument
from fairlead.model.container import Config, Health


def _env(image: tuple[str, ...] | None, asked: tuple[str, ...] | None) -> tuple[str, ...]:
    names = {entry.split("=", 1)[0] for entry in asked or ()}
    return (*(asked or ()), *(entry for entry in image or () if entry.split("=", 1)[0] not in names))


def _health(image: Health | None, asked: Health | None) -> Health | None:
    if asked is None or image is None:
        return asked or image
    if not asked.test:
        return msgspec.structs.replace(
            asked,
            test=image.test,
            interval=asked.interval or image.interval,
            timeout=asked.timeout or image.timeout,
            start_period=asked.start_period or image.start_period,
            start_interval=asked.start_interval or image.start_interval,
            retries=asked.retries or image.retries,
        )
    return asked


def merge(asked: Config, image: Config) -> Config:
    """Docker's rules (runconfig merge): an entrypoint of one's own drops the image's command."""
    entrypoint, cmd = asked.entrypoint, asked.cmd
    if not entrypoint:
        cmd = cmd or image.cmd
        # ``--entrypoint ""`` arrives as [""]: it clears the image's.
        entrypoint = image.entrypoint if entrypoint is None else entrypoint
    if entrypoint and tuple(entrypoint) == ("",):
        entrypoint = None
    return msgspec.structs.replace(
        asked,
        env=_env(image.env, asked.env),
        cmd=cmd,
        entrypoint=entrypoint,
        labels={**(image.labels or {}), **(asked.labels or {})},
        exposed_ports={**(image.exposed_ports or {}), **(asked.exposed_ports or {})} or None,
        volumes={**(image.volumes or {}), **(asked.volumes or {})} or None,
        working_dir=asked.working_dir or image.working_dir,
        user=asked.user or image.user,
        stop_signal=asked.stop_signal or image.stop_signal,
        shell=asked.shell or image.shell,
        healthcheck=_health(image.healthcheck, asked.healthcheck),
    )


def command_line(config: Config) -> tuple[str, tuple[str, ...]]:
    """The program and its arguments; raises InvalidArgument when there is nothing to run."""
    words = (*(config.entrypoint or ()), *(config.cmd or ()))
    if not words:
        raise InvalidArgument("no command specified")
    return words[0], words[1:]
