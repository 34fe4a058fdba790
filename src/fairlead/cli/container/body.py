"""Flags to the body of ``POST /containers/create``; what cannot be combined raises ValueError in Docker's words."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fairlead.cli.container.attachments import attachments
from fairlead.cli.container.publish import exposed, port_map
from fairlead.cli.container.values import environment_of, pair, read_label_files
from fairlead.cli.flags import Values

Json = dict[str, Any]

_MODE = re.compile(r"[rwm]+\Z")
_CDI = re.compile(r"[a-zA-Z][\w.-]*/[a-zA-Z][\w.-]*=[\w.:-]+\Z")
_NO_NEW_PRIVILEGES = frozenset({"no-new-privileges", "no-new-privileges:true", "no-new-privileges=true"})


def container_body(values: Values, image: str, command: Sequence[str], environment: Mapping[str, str]) -> Json:
    """The whole body; what was not asked is left out and so becomes the engine's default."""
    _check(values)
    config = _config(values, image, command, environment)
    host = _host_config(values)
    mode, endpoints = attachments(values)
    host["NetworkMode"] = mode
    body = {**config, "HostConfig": host}
    if endpoints:
        body["NetworkingConfig"] = {"EndpointsConfig": endpoints}
    return body


def _present(**fields: Any) -> Json:
    """Only what was asked for: nothing that is empty, zero or false."""
    return {name: value for name, value in fields.items() if value or (isinstance(value, int) and value < 0)}


def _check(values: Values) -> None:
    swappiness = values.number("memory-swappiness")
    if swappiness != -1 and not 0 <= swappiness <= 100:
        raise ValueError(f"invalid value: {swappiness}. Valid memory swappiness range is 0-100")
    if values.switch("rm") and _restart(values).get("Name") not in {"no", "", None}:
        raise ValueError("conflicting options: cannot specify both --restart and --rm")
    for flag, problem, valid in _NAMESPACES:
        mode = values.text(flag)
        if mode and not valid(mode):
            raise ValueError(f"--{flag}: invalid {problem} mode")


def _is_container_mode(mode: str) -> bool:
    return mode.startswith("container:") and len(mode) > len("container:")


_NAMESPACES: Sequence[tuple[str, str, Callable[[str], bool]]] = (
    ("pid", "PID", lambda mode: mode == "host" or _is_container_mode(mode)),
    ("uts", "UTS", lambda mode: mode == "host"),
    ("userns", "USER", lambda mode: mode == "host"),
    ("cgroupns", "CGROUP", lambda mode: mode in {"host", "private"}),
)


def _config(values: Values, image: str, command: Sequence[str], environment: Mapping[str, str]) -> Json:
    attached = values.list("attach")
    stdin = values.switch("interactive")
    config = _present(
        Hostname=values.text("hostname"),
        Domainname=values.text("domainname"),
        User=values.text("user"),
        AttachStdin=stdin or "stdin" in attached,
        AttachStdout=not attached or "stdout" in attached,
        AttachStderr=not attached or "stderr" in attached,
        Tty=values.switch("tty"),
        OpenStdin=stdin,
        StdinOnce=stdin,
        Env=environment_of(values.list("env"), values.list("env-file"), environment),
        Cmd=list(command),
        WorkingDir=values.text("workdir"),
        StopSignal=values.text("stop-signal"),
        Labels=dict(pair(label) for label in [*read_label_files(values.list("label-file")), *values.list("label")]),
        ExposedPorts={**exposed(values.list("expose")), **{port: {} for port in port_map(values.list("publish"))}},
        Volumes={path: {} for path in values.list("volume") if not _bind_of(path)},
        Healthcheck=_health(values),
    )
    if values.changed("entrypoint"):
        config["Entrypoint"] = [values.text("entrypoint")]
    if values.changed("stop-timeout"):
        config["StopTimeout"] = values.number("stop-timeout")
    config["Image"] = image
    return config


def _host_config(values: Values) -> Json:
    masked, security = _security(values.list("security-opt"))
    host = _present(
        Binds=[bind for path in values.list("volume") if (bind := _bind_of(path))],
        ContainerIDFile=values.text("cidfile"),
        LogConfig=_log(values),
        PortBindings=port_map(values.list("publish")),
        RestartPolicy=_restart(values),
        AutoRemove=values.switch("rm"),
        VolumeDriver=values.text("volume-driver"),
        VolumesFrom=values.list("volumes-from"),
        Dns=values.list("dns"),
        DnsOptions=values.list("dns-option"),
        DnsSearch=values.list("dns-search"),
        ExtraHosts=values.list("add-host"),
        Links=values.list("link"),
        PublishAllPorts=values.switch("publish-all"),
        ReadonlyRootfs=values.switch("read-only"),
        SecurityOpt=security,
        StorageOpt=_storage(values.list("storage-opt")),
        Tmpfs=_tmpfs(values.list("tmpfs")),
        Mounts=values.get("mount"),
        ShmSize=values.get("shm-size"),
        Isolation=values.text("isolation"),
        Runtime=values.text("runtime"),
        Annotations=dict(values.get("annotation")),
        Sysctls=dict(values.get("sysctl")),
    )
    if values.changed("init"):
        host["Init"] = values.switch("init")
    return {**host, **masked, **_isolation(values), **_limits(values), **update_limits(values)}


def _isolation(values: Values) -> Json:
    return _present(
        CapAdd=_capabilities(values.list("cap-add")),
        CapDrop=_capabilities(values.list("cap-drop")),
        GroupAdd=values.list("group-add"),
        Privileged=values.switch("privileged"),
        IpcMode=values.text("ipc"),
        PidMode=values.text("pid"),
        UTSMode=values.text("uts"),
        UsernsMode=values.text("userns"),
        CgroupnsMode=values.text("cgroupns"),
        CgroupParent=values.text("cgroup-parent"),
    )


def _limits(values: Values) -> Json:
    devices, requests = _devices(values.list("device"))
    return _present(
        OomScoreAdj=values.number("oom-score-adj"),
        OomKillDisable=values.switch("oom-kill-disable"),
        MemorySwappiness=values.number("memory-swappiness"),
        BlkioWeightDevice=values.get("blkio-weight-device"),
        BlkioDeviceReadBps=values.get("device-read-bps"),
        BlkioDeviceWriteBps=values.get("device-write-bps"),
        BlkioDeviceReadIOps=values.get("device-read-iops"),
        BlkioDeviceWriteIOps=values.get("device-write-iops"),
        Devices=devices,
        DeviceCgroupRules=values.list("device-cgroup-rule"),
        DeviceRequests=[*requests, *values.get("gpus")],
        Ulimits=sorted(
            {limit["Name"]: limit for limit in values.get("ulimit")}.values(), key=lambda limit: limit["Name"]
        ),
    )


def update_limits(values: Values) -> Json:
    """The limits that ``update`` can change too."""
    return _present(
        CpuShares=values.number("cpu-shares"),
        Memory=values.get("memory"),
        NanoCpus=values.get("cpus"),
        BlkioWeight=values.number("blkio-weight"),
        CpuPeriod=values.number("cpu-period"),
        CpuQuota=values.number("cpu-quota"),
        CpuRealtimePeriod=values.number("cpu-rt-period"),
        CpuRealtimeRuntime=values.number("cpu-rt-runtime"),
        CpusetCpus=values.text("cpuset-cpus"),
        CpusetMems=values.text("cpuset-mems"),
        MemoryReservation=values.get("memory-reservation"),
        MemorySwap=values.get("memory-swap"),
        PidsLimit=values.number("pids-limit"),
    )


def parse_restart(policy: str) -> Json:
    """``name[:retries]``."""
    name, colon, retries = policy.partition(":")
    if policy and not name:
        raise ValueError("invalid restart policy format: no policy provided before colon")
    if not colon or not retries:
        return {"Name": name}
    if not retries.isdecimal():
        raise ValueError("invalid restart policy format: maximum retry count must be an integer")
    return {"Name": name, "MaximumRetryCount": int(retries)}


def _restart(values: Values) -> Json:
    return parse_restart(values.text("restart"))


def _bind_of(spec: str) -> str:
    """The bind that a ``--volume`` asks for; empty for an anonymous volume."""
    if not spec:
        raise ValueError("invalid empty volume spec")
    source, colon, rest = spec.partition(":")
    if not colon or not rest:
        return ""
    if not source:
        raise ValueError(f"invalid spec: {spec}: empty section between colons")
    if source.startswith("~"):
        source = os.path.expanduser(source)
    elif source.startswith("."):
        source = os.path.abspath(source)
    return f"{source}:{rest}"


def _health(values: Values) -> Json:
    fields = ("health-interval", "health-timeout", "health-start-period", "health-start-interval")
    if values.switch("no-healthcheck"):
        if values.any_changed("health-cmd", "health-retries", *fields):
            raise ValueError("--no-healthcheck conflicts with --health-* options")
        return {"Test": ["NONE"]}
    for name in (*fields, "health-retries"):
        if values.get(name) < 0:
            raise ValueError(f"--{name} cannot be negative")
    command = values.text("health-cmd")
    return _present(
        Test=["CMD-SHELL", command] if command else [],
        Interval=values.get("health-interval"),
        Timeout=values.get("health-timeout"),
        StartPeriod=values.get("health-start-period"),
        StartInterval=values.get("health-start-interval"),
        Retries=values.number("health-retries"),
    )


def _log(values: Values) -> Json:
    options = dict(pair(option) for option in values.list("log-opt"))
    if values.text("log-driver") == "none" and options:
        raise ValueError("invalid logging opts for driver none")
    return _present(Type=values.text("log-driver"), Config=options)


def _storage(options: Sequence[str]) -> Json:
    for option in options:
        if "=" not in option:
            raise ValueError("invalid storage option")
    return dict(pair(option) for option in options)


def _tmpfs(mounts: Sequence[str]) -> Json:
    return {path: options for path, _, options in (mount.partition(":") for mount in mounts)}


def _capabilities(names: Sequence[str]) -> list[str]:
    """Upper case with CAP_, as the engine stores them; ALL stays ALL."""
    upper = (name.strip().upper() for name in names)
    return sorted({name if name == "ALL" or name.startswith("CAP_") else f"CAP_{name}" for name in upper})


def _devices(specs: Sequence[str]) -> tuple[list[Json], list[Json]]:
    """Devices by path, and requests for devices by their CDI name."""
    named = [spec for spec in specs if _CDI.match(spec)]
    requests: list[Json] = [{"Driver": "cdi", "DeviceIDs": named}] if named else []
    return [_device(spec) for spec in specs if spec not in named], requests


def _device(spec: str) -> Json:
    source, *rest = spec.split(":")
    target, mode = source, "rwm"
    match rest:
        case []:
            pass
        case [word] if _MODE.match(word):
            mode = word
        case [target]:
            pass
        case [target, mode] if _MODE.match(mode):
            pass
        case [_, mode]:
            raise ValueError(f"bad mode specified: {mode}")
        case _:
            raise ValueError(f"bad format for path: {spec}")
    return {"PathOnHost": source, "PathInContainer": target or source, "CgroupPermissions": mode}


def _security(options: Sequence[str]) -> tuple[Json, list[str]]:
    """The options as the engine takes them; a seccomp profile's file is read here, on the caller's side."""
    paths: Json = {}
    kept: list[str] = []
    for option in options:
        name, separator, value = _split_option(option)
        if option == "systempaths=unconfined":
            paths = {"MaskedPaths": [], "ReadonlyPaths": []}
        elif not separator and option not in _NO_NEW_PRIVILEGES:
            raise ValueError(f'Invalid --security-opt: "{option}"')
        elif name == "seccomp" and value not in {"unconfined", "builtin"}:
            kept.append(f"seccomp={_profile(value)}")
        else:
            kept.append(option)
    return paths, kept


def _split_option(option: str) -> tuple[str, str, str]:
    return option.partition("=") if "=" in option else option.partition(":")


def _profile(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return json.dumps(json.load(file), separators=(",", ":"))
    except OSError as wrong:
        why = os.strerror(wrong.errno or 0).lower()
        raise ValueError(f"opening seccomp profile ({path}) failed: open {path}: {why}") from wrong
    except ValueError as wrong:
        raise ValueError(f"compacting json for seccomp profile ({path}) failed: {wrong}") from wrong
