"""``--change`` of commit and import: Dockerfile instructions applied to a configuration. Values in, values out."""

from __future__ import annotations

import json
import posixpath
import re
import shlex
from collections.abc import Callable, Iterable, Mapping

import msgspec

from fairlead.errors import InvalidArgument
from fairlead.model.container import Config, Health

_PORT = re.compile(r"(\d+)(?:-(\d+))?(?:/(tcp|udp|sctp))?\Z", re.IGNORECASE)
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_SHELL = ("/bin/sh", "-c")


def apply(config: Config, changes: Iterable[str]) -> Config:
    """The configuration after the instructions, in order; raises InvalidArgument in Docker's words."""
    for line in changes:
        word, _, rest = line.strip().partition(" ")
        if not word:
            continue
        instruction = _INSTRUCTIONS.get(word.upper())
        if instruction is None:
            raise InvalidArgument(f"{word.upper()} is not a valid change command")
        if not rest.strip():
            raise InvalidArgument(f"{word.upper()} requires at least one argument")
        config = instruction(config, rest.strip())
    return config


def _json_list(text: str) -> tuple[str, ...] | None:
    """The exec form ``["a", "b"]``; None for the shell form."""
    if not text.startswith("["):
        return None
    try:
        value = json.loads(text)
    except ValueError:
        return None
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(value)
    return None


def _command(config: Config, text: str) -> tuple[str, ...]:
    exact = _json_list(text)
    return (*(config.shell or _SHELL), text) if exact is None else exact


def _pairs(text: str, word: str) -> dict[str, str]:
    """``a=b c="d e"``, or the old form ``a the rest``."""
    first = text.split(maxsplit=1)[0]
    if "=" not in first:
        parts = text.split(maxsplit=1)
        if len(parts) != 2:
            raise InvalidArgument(f"{word} must have two arguments")
        return {parts[0]: parts[1]}
    pairs = {}
    for part in _words(text):
        name, equals, value = part.partition("=")
        if not equals:
            raise InvalidArgument(f"Syntax error - can't find = in {part!r}. Must be of the form: name=value")
        if not name:
            raise InvalidArgument(f"{word} names can not be blank")
        pairs[name] = value
    return pairs


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise InvalidArgument(f"Syntax error - {error}: {text}") from error


def _cmd(config: Config, text: str) -> Config:
    return msgspec.structs.replace(config, cmd=_command(config, text))


def _entrypoint(config: Config, text: str) -> Config:
    return msgspec.structs.replace(config, entrypoint=_command(config, text))


def _env(config: Config, text: str) -> Config:
    env = dict(entry.partition("=")[::2] for entry in config.env or ())
    env.update(_pairs(text, "ENV"))
    return msgspec.structs.replace(config, env=tuple(f"{name}={value}" for name, value in env.items()))


def _label(config: Config, text: str) -> Config:
    return msgspec.structs.replace(config, labels={**(config.labels or {}), **_pairs(text, "LABEL")})


def _expose(config: Config, text: str) -> Config:
    ports = dict(config.exposed_ports or {})
    for word in _words(text):
        match = _PORT.match(word)
        low, high = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
        if match is None or not 0 < low <= high <= 65535:
            raise InvalidArgument(f"invalid containerPort: {word}")
        for port in range(low, high + 1):
            ports[f"{port}/{(match[3] or 'tcp').lower()}"] = {}
    return msgspec.structs.replace(config, exposed_ports=ports)


def _volume(config: Config, text: str) -> Config:
    exact = _json_list(text)
    paths = _words(text) if exact is None else exact
    if not all(path.strip() for path in paths):
        raise InvalidArgument("VOLUME specified can not be an empty string")
    return msgspec.structs.replace(config, volumes={**(config.volumes or {}), **{path: {} for path in paths}})


def _workdir(config: Config, text: str) -> Config:
    path = posixpath.normpath(posixpath.join(config.working_dir or "/", _words(text)[0]))
    return msgspec.structs.replace(config, working_dir=path)


def _user(config: Config, text: str) -> Config:
    return msgspec.structs.replace(config, user=text)


def _stop_signal(config: Config, text: str) -> Config:
    return msgspec.structs.replace(config, stop_signal=text)


def _on_build(config: Config, text: str) -> Config:
    word = text.split(maxsplit=1)[0].upper()
    if word == "ONBUILD":
        raise InvalidArgument("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")
    if word in ("MAINTAINER", "FROM"):
        raise InvalidArgument(f"{word} isn't allowed as an ONBUILD trigger")
    return msgspec.structs.replace(config, on_build=(*(config.on_build or ()), text))


def _shell(config: Config, text: str) -> Config:
    exact = _json_list(text)
    if not exact:
        raise InvalidArgument("SHELL requires the arguments to be in JSON form")
    return msgspec.structs.replace(config, shell=exact)


def _nanoseconds(text: str) -> int:
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise InvalidArgument(f'time: invalid duration "{text}"')
    return sum(int(float(number) * _UNITS[unit]) for number, unit in parts)


def _healthcheck(config: Config, text: str) -> Config:
    options: dict[str, int] = {}
    while match := re.match(r"--([a-z-]+)=(\S+)\s*", text):
        name = match[1].replace("-", "_")
        if name not in ("interval", "timeout", "start_period", "start_interval", "retries"):
            raise InvalidArgument(f"Unknown flag: {match[1]}")
        options[name] = _retries(match[2]) if name == "retries" else _nanoseconds(match[2])
        text = text[match.end() :]
    kind, _, rest = text.partition(" ")
    return msgspec.structs.replace(config, healthcheck=Health(test=_test(kind.upper(), rest.strip()), **options))


def _retries(text: str) -> int:
    if not text.isdigit():
        raise InvalidArgument(f"--retries must be a number, not {text!r}")
    return int(text)


def _test(kind: str, rest: str) -> tuple[str, ...]:
    match kind:
        case "NONE" if not rest:
            return ("NONE",)
        case "CMD" if rest:
            exact = _json_list(rest)
            return ("CMD-SHELL", rest) if exact is None else ("CMD", *exact)
        case _:
            raise InvalidArgument(f"Unknown type {kind!r} in HEALTHCHECK (try CMD)")


_INSTRUCTIONS: Mapping[str, Callable[[Config, str], Config]] = {
    "CMD": _cmd,
    "ENTRYPOINT": _entrypoint,
    "ENV": _env,
    "EXPOSE": _expose,
    "HEALTHCHECK": _healthcheck,
    "LABEL": _label,
    "ONBUILD": _on_build,
    "SHELL": _shell,
    "STOPSIGNAL": _stop_signal,
    "USER": _user,
    "VOLUME": _volume,
    "WORKDIR": _workdir,
}
