"""How the values of container flags are read; each raises ValueError in Docker's words."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping

from fairlead.cli.flags import comma_separated
from fairlead.cli.units import parse_duration, parse_size

Json = dict[str, object]

_DEVICE_RULE = re.compile(r"[acb] ([0-9]+|\*):([0-9]+|\*) [rwm]{1,3}\Z")
_DOMAIN = re.compile(r"(:?[\w-]*|\.)*[\w-]+\.?\Z|\.\Z")
_ULIMITS = frozenset(
    {
        "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss", "rtprio",
        "rttime", "sigpending", "stack",
    }
)  # fmt: skip
_MAC = re.compile(
    r"[0-9a-fA-F]{2}([:-])(?:[0-9a-fA-F]{2}\1){4}[0-9a-fA-F]{2}\Z|(?:[0-9a-fA-F]{4}\.){2}[0-9a-fA-F]{4}\Z",
)


def stream(raw: str) -> str:
    name = raw.lower()
    if name not in {"stdin", "stdout", "stderr"}:
        raise ValueError("valid streams are STDIN, STDOUT and STDERR")
    return name


def is_address(text: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, text)
        except (OSError, ValueError):
            continue
        return True
    return False


def address(raw: str) -> str:
    if not is_address(raw.strip()):
        raise ValueError(f"IP address is not correctly formatted: {raw}")
    return raw.strip()


def domain(raw: str) -> str:
    name = raw.strip()
    if name == ".":
        return name
    if not _DOMAIN.match(name) or len(name) > 255:
        raise ValueError(f"{name} is not a valid domain")
    return name


def extra_host(raw: str) -> str:
    """``name:address`` or ``name=address``; brackets of an IPv6 address are taken off."""
    cut = "=" if "=" in raw else ":"
    name, found, where = raw.partition(cut)
    if not found or not name or not where:
        raise ValueError(f'bad format for add-host: "{raw}"')
    if where.startswith("[") and where.endswith("]"):
        where = where[1:-1]
    if where != "host-gateway" and not is_address(where):
        raise ValueError(f'invalid IP address in add-host: "{where}"')
    return f"{name}:{where}"


def is_mac(raw: str) -> bool:
    return _MAC.match(raw) is not None


def device_rule(raw: str) -> str:
    if not _DEVICE_RULE.match(raw):
        raise ValueError(f"invalid device cgroup format '{raw}'")
    return raw


def sysctl(raw: str) -> tuple[str, str]:
    name, equals, value = raw.partition("=")
    if not equals or not name or "." not in name:
        raise ValueError(f"sysctl '{raw}' is not allowed")
    return name, value


def pair(raw: str) -> tuple[str, str]:
    """``name=value`` of a map flag; a missing value is empty."""
    name, _, value = raw.partition("=")
    return name, value


def link(raw: str) -> str:
    if not raw:
        raise ValueError("empty string specified for links")
    if raw.count(":") > 1:
        raise ValueError(f"bad format for links: {raw}")
    return raw


def ulimit(raw: str) -> Json:
    name, equals, value = raw.partition("=")
    if not equals:
        raise ValueError(f"invalid ulimit argument: {raw}")
    if name not in _ULIMITS:
        raise ValueError(f"invalid ulimit type: {name}")
    soft_text, colon, hard_text = value.partition(":")
    try:
        soft = int(soft_text)
        hard = int(hard_text) if colon else soft
    except ValueError as wrong:
        bad = soft_text if not re.fullmatch(r"[+-]?\d+", soft_text) else hard_text
        raise ValueError(f'strconv.ParseInt: parsing "{bad}": invalid syntax') from wrong
    if hard != -1 and (soft > hard or soft == -1):
        raise ValueError(f"ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}")
    return {"Name": name, "Hard": hard, "Soft": soft}


def cpus(raw: str) -> int:
    """Decimal CPUs as billionths."""
    if not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|\d+/[1-9]\d*", raw):
        raise ValueError(f"failed to parse {raw} as a rational number")
    from fractions import Fraction  # noqa: PLC0415 - only --cpus needs it

    nano = Fraction(raw) * 10**9
    if nano.denominator != 1:
        raise ValueError("value is too precise")
    return int(nano)


def memory(raw: str) -> int:
    return parse_size(raw)


def memory_swap(raw: str) -> int:
    return -1 if raw == "-1" else parse_size(raw)


def duration(raw: str) -> int:
    return parse_duration(raw)


def weight_device(raw: str) -> Json:
    path, value = _device(raw)
    if not value.isdecimal():
        raise ValueError(f"invalid weight for device: {raw}")
    weight = int(value)
    if weight and not 10 <= weight <= 1000:
        raise ValueError(f"invalid weight for device: {raw}")
    return {"Path": path, "Weight": weight}


def rate_device(raw: str) -> Json:
    path, value = _device(raw)
    try:
        return {"Path": path, "Rate": parse_size(value)}
    except ValueError as wrong:
        raise ValueError(
            f"invalid rate for device: {raw}. The correct format is <device-path>:<number>[<unit>]. "
            "Number must be a positive integer. Unit is optional and can be kb, mb, or gb",
        ) from wrong


def count_device(raw: str) -> Json:
    path, value = _device(raw)
    if not value.isdecimal():
        raise ValueError(
            f"invalid rate for device: {raw}. The correct format is <device-path>:<number>. "
            "Number must be a positive integer",
        )
    return {"Path": path, "Rate": int(value)}


def _device(raw: str) -> tuple[str, str]:
    path, colon, value = raw.partition(":")
    if not colon:
        raise ValueError(f"bad format: {raw}")
    if not path.startswith("/dev/"):
        raise ValueError(f"bad format for device path: {raw}")
    return path, value


def gpus(raw: str) -> Json:
    """``all``, a number, or ``count=…,device=…,driver=…,capabilities=…``."""
    request: Json = {"Count": 1, "Capabilities": [["gpu"]]}
    for part in comma_separated(raw):
        key, equals, value = part.partition("=")
        match key if equals else "count":
            case "count":
                request["Count"] = _gpu_count(value if equals else key)
            case "device":
                request["DeviceIDs"] = value.split(",")
                request["Count"] = 0
            case "driver":
                request["Driver"] = value
            case "capabilities":
                request["Capabilities"] = [[*value.split(","), "gpu"]]
            case "options":
                request["Options"] = dict(pair(option) for option in value.split(","))
            case _:
                raise ValueError(f"unexpected key '{key}' in '{part}'")
    return request


def _gpu_count(value: str) -> int:
    if value == "all":
        return -1
    if not value.lstrip("+-").isdecimal():
        raise ValueError(f'invalid count ({value}): value must be either "all" or an integer')
    return int(value)


def read_env_files(paths: list[str], environment: Mapping[str, str]) -> list[str]:
    """Lines of ``NAME=value`` or ``NAME``, the latter with the value that the caller's environment has."""
    found: list[str] = []
    for path in paths:
        for number, line in enumerate(_lines(path), start=1):
            stripped = line.lstrip()
            if not stripped or stripped.startswith("#"):
                continue
            name, equals, _value = stripped.partition("=")
            if not name:
                raise ValueError(f"invalid env file ({path}): no variable name on line '{stripped}'")
            if any(char.isspace() for char in name):
                raise ValueError(f"invalid env file ({path}): variable '{name}' contains whitespaces")
            if "\0" in stripped:
                raise ValueError(f"invalid env file ({path}): line {number} contains a null byte")
            if equals:
                found.append(stripped)
            elif name in environment:
                found.append(f"{name}={environment[name]}")
    return found


def read_label_files(paths: list[str]) -> list[str]:
    """Lines of ``name=value`` or ``name``."""
    lines = (line.lstrip() for path in paths for line in _lines(path))
    return [line for line in lines if line and not line.startswith("#")]


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8-sig") as file:
            return file.read().splitlines()
    except OSError as wrong:
        raise ValueError(f"open {path}: {os.strerror(wrong.errno or 0).lower()}") from wrong
    except UnicodeDecodeError as wrong:
        raise ValueError(f"invalid env file ({path}): invalid utf8 bytes") from wrong


def variable(raw: str) -> str:
    if not raw.partition("=")[0]:
        raise ValueError(f"invalid environment variable: {raw}")
    return raw


def environment_of(given: list[str], files: list[str], environment: Mapping[str, str]) -> list[str]:
    """The variables of ``--env-file`` and ``--env``; a bare name takes the caller's value."""
    variables = read_env_files(files, environment)
    for item in given:
        name, equals, _ = item.partition("=")
        variables.append(f"{name}={environment[name]}" if not equals and name in environment else item)
    return variables
