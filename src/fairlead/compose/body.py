"""Services, networks and volumes as bodies of the engine's create calls, pure."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from fairlead.compose.errors import ComposeError
from fairlead.compose.project import Project, Resource, Service
from fairlead.compose.tree import Map, Seq
from fairlead.compose.units import flag, nanoseconds, number, octets, seconds, whole

Json = dict[str, Any]
ContainerOf = Callable[[str], str]

PREFIX = "com.docker.compose."
_SECRETS = "/run/secrets"


def container(service: Service, project: Project, container_of: ContainerOf) -> Json:
    """The body for one container of a service, without the labels that tell Compose's containers apart.

    ``container_of`` gives the id of a container of another service, for namespaces and volumes that are shared.
    """
    fields = service.fields
    primary, endpoints = networking(service, project)
    mode = _joined(str(fields["network_mode"]), container_of) if fields.get("network_mode") else primary
    config = _present(
        Image=service.image,
        Cmd=_command(fields.get("command")),
        Entrypoint=_command(fields.get("entrypoint")),
        Env=[f"{name}={value}" for name, value in sorted(service.environment.items())],
        User=_text(fields, "user"),
        WorkingDir=_text(fields, "working_dir"),
        Hostname=_text(fields, "hostname"),
        Domainname=_text(fields, "domainname"),
        Tty=_flag(fields, "tty"),
        OpenStdin=_flag(fields, "stdin_open"),
        StopSignal=_text(fields, "stop_signal"),
        ExposedPorts=_exposed(fields),
        Healthcheck=_health(service.name, fields.get("healthcheck")),
    )
    # An empty command is one: it takes away the image's own.
    config.update(
        {key: [] for key, field in (("Cmd", "command"), ("Entrypoint", "entrypoint")) if fields.get(field) == []}
    )
    if "stop_grace_period" in fields:
        config["StopTimeout"] = round(seconds(str(fields["stop_grace_period"]), "stop_grace_period"))
    config["Labels"] = dict(service.labels)
    config["HostConfig"] = {**host(service, project, container_of), "NetworkMode": mode}
    if endpoints:
        config["NetworkingConfig"] = {"EndpointsConfig": endpoints}
    return config


def digest(body: Mapping[str, Any]) -> str:
    """What tells whether a thing was made from the same description."""
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _present(**values: Any) -> Json:
    return {name: value for name, value in values.items() if value not in (None, "", [], {}, False)}


def _text(fields: Map, key: str) -> str:
    value = fields.get(key)
    return "" if value is None else str(value)


def _flag(fields: Map, key: str) -> bool:
    return key in fields and flag(fields[key], key)


def _texts(fields: Map, key: str) -> list[str]:
    return [str(item) for item in fields.get(key) or ()]


def _command(value: Any) -> list[str] | None:
    if value is None:
        return None
    return [str(word) for word in value] if isinstance(value, Seq) else shlex.split(str(value))


def _exposed(fields: Map) -> Json:
    ports = [f"{port['target']}/{port.get('protocol', 'tcp')}" for port in fields.get("ports") or ()]
    for text in _texts(fields, "expose"):
        span, _, protocol = text.partition("/")
        low, _, high = span.partition("-")
        ports += [
            f"{port}/{protocol or 'tcp'}" for port in range(whole(low, "expose"), whole(high or low, "expose") + 1)
        ]
    return {port: {} for port in sorted(ports)}


def _health(name: str, check: Map | None) -> Json:
    if check is None:
        return {}
    if "disable" in check and flag(check["disable"], "healthcheck.disable"):
        return {"Test": ["NONE"]}
    times = {
        field: nanoseconds(str(check[key]), f"services.{name}.healthcheck.{key}")
        for key, field in _HEALTH_TIMES.items()
        if key in check
    }
    retries = whole(check["retries"], "healthcheck.retries") if "retries" in check else 0
    return _present(Test=_health_test(name, check), Retries=retries, **times)


_HEALTH_TIMES = {
    "interval": "Interval",
    "timeout": "Timeout",
    "start_period": "StartPeriod",
    "start_interval": "StartInterval",
}


def _health_test(name: str, check: Map) -> list[str]:
    test = check.get("test")
    if test is None:
        return []
    if not isinstance(test, Seq):
        return ["CMD-SHELL", str(test)]
    words = [str(word) for word in test]
    if words and words[0] not in ("CMD", "CMD-SHELL", "NONE"):
        sentence = f"services.{name}.healthcheck.test must begin with CMD, CMD-SHELL or NONE"
        raise ComposeError(sentence, check.places.get("test"))
    return words


# -- the host's side --------------------------------------------------------------------------------------------------


def host(service: Service, project: Project, container_of: ContainerOf) -> Json:
    fields = service.fields
    settings = _present(
        PortBindings=_port_bindings(fields),
        Mounts=list(_mounts(service, project)),
        RestartPolicy=_restart(fields),
        Privileged=_flag(fields, "privileged"),
        ReadonlyRootfs=_flag(fields, "read_only"),
        CapAdd=_texts(fields, "cap_add"),
        CapDrop=_texts(fields, "cap_drop"),
        Dns=_texts(fields, "dns"),
        DnsOptions=_texts(fields, "dns_opt"),
        DnsSearch=_texts(fields, "dns_search"),
        ExtraHosts=[f"{name}:{ip}" for name, ips in (fields.get("extra_hosts") or {}).items() for ip in ips],
        GroupAdd=_texts(fields, "group_add"),
        IpcMode=_joined(_text(fields, "ipc"), container_of),
        PidMode=_joined(_text(fields, "pid"), container_of),
        UTSMode=_text(fields, "uts"),
        UsernsMode=_text(fields, "userns_mode"),
        CgroupnsMode=_text(fields, "cgroup"),
        CgroupParent=_text(fields, "cgroup_parent"),
        Runtime=_text(fields, "runtime"),
        SecurityOpt=_texts(fields, "security_opt"),
        Sysctls={key: value or "" for key, value in (fields.get("sysctls") or {}).items()},
        Tmpfs={path: options for path, _, options in (text.partition(":") for text in _texts(fields, "tmpfs"))},
        StorageOpt={key: str(value) for key, value in (fields.get("storage_opt") or {}).items()},
        Annotations={key: value or "" for key, value in (fields.get("annotations") or {}).items()},
        LogConfig=_logging(fields.get("logging")),
        Ulimits=_ulimits(fields),
        Devices=[_device(item) for item in fields.get("devices") or ()],
        DeviceCgroupRules=_texts(fields, "device_cgroup_rules"),
        VolumesFrom=[_volumes_from(text, container_of) for text in _texts(fields, "volumes_from")],
        Links=_texts(fields, "external_links"),
    )
    if "init" in fields:
        settings["Init"] = _flag(fields, "init")
    return {**settings, **_resources(service.name, fields)}


def _joined(mode: str, container_of: ContainerOf) -> str:
    """``service:x`` as the container it means."""
    kind, _, name = mode.partition(":")
    return f"container:{container_of(name)}" if kind == "service" else mode


def _volumes_from(text: str, container_of: ContainerOf) -> str:
    kind, _, rest = text.partition(":")
    if kind == "container":
        return rest
    return container_of(kind) + (f":{rest}" if rest else "")


def _port_bindings(fields: Map) -> Json:
    found: dict[str, list[Json]] = {}
    for port in fields.get("ports") or ():
        key = f"{port['target']}/{port.get('protocol', 'tcp')}"
        binding = {"HostPort": str(port.get("published") or ""), "HostIp": str(port.get("host_ip") or "")}
        found.setdefault(key, []).append(
            {name: value for name, value in binding.items() if value or name == "HostPort"}
        )
    return found


def _restart(fields: Map) -> Json:
    policy = (fields.get("deploy") or {}).get("restart_policy") or {}
    if "restart" not in fields and policy:
        name = {"none": "no", "on-failure": "on-failure", "any": "always"}.get(
            str(policy.get("condition", "any")), "no"
        )
        return _present(Name=name, MaximumRetryCount=whole(policy.get("max_attempts") or 0, "max_attempts"))
    name, _, retries = _text(fields, "restart").partition(":")
    return _present(Name=name, MaximumRetryCount=whole(retries or 0, "restart"))


def _logging(logging: Map | None) -> Json:
    if not logging:
        return {}
    options = {key: str(value) for key, value in (logging.get("options") or {}).items()}
    return _present(Type=str(logging.get("driver") or ""), Config=options)


def _ulimits(fields: Map) -> list[Json]:
    limits = fields.get("ulimits") or {}
    return [
        {
            "Name": name,
            "Soft": whole(limit.get("soft", limit.get("hard")), f"ulimits.{name}"),
            "Hard": whole(limit.get("hard", limit.get("soft")), f"ulimits.{name}"),
        }
        for name, limit in sorted(limits.items())
    ]


def _device(item: Any) -> Json:
    if isinstance(item, Map):
        source = str(item["source"])
        target, permissions = str(item.get("target") or source), str(item.get("permissions") or "rwm")
    else:
        source, _, rest = str(item).partition(":")
        target, _, permissions = rest.partition(":")
    return {"PathOnHost": source, "PathInContainer": target or source, "CgroupPermissions": permissions or "rwm"}


def _resources(name: str, fields: Map) -> Json:
    deploy = (fields.get("deploy") or {}).get("resources") or {}
    limits, reserved = deploy.get("limits") or {}, deploy.get("reservations") or {}
    cpus = fields.get("cpus", limits.get("cpus"))
    sizes = {
        "Memory": fields.get("mem_limit", limits.get("memory")),
        "MemoryReservation": fields.get("mem_reservation", reserved.get("memory")),
        "MemorySwap": fields.get("memswap_limit"),
        "ShmSize": fields.get("shm_size"),
    }
    counts = {
        "CpuShares": fields.get("cpu_shares"),
        "CpuQuota": fields.get("cpu_quota"),
        "CpuPeriod": fields.get("cpu_period"),
        "CpuRealtimePeriod": fields.get("cpu_rt_period"),
        "CpuRealtimeRuntime": fields.get("cpu_rt_runtime"),
        "MemorySwappiness": fields.get("mem_swappiness"),
        "OomScoreAdj": fields.get("oom_score_adj"),
        "PidsLimit": fields.get("pids_limit", limits.get("pids")),
    }
    found = {key: octets(value, f"services.{name}: {key}") for key, value in sizes.items() if value is not None}
    found |= {key: whole(value, f"services.{name}: {key}") for key, value in counts.items() if value is not None}
    return {
        **found,
        **_present(
            NanoCpus=round(number(cpus, "cpus") * 1e9) if cpus is not None else 0,
            CpusetCpus=_text(fields, "cpuset"),
            OomKillDisable=_flag(fields, "oom_kill_disable"),
        ),
        **_block_io(fields.get("blkio_config") or Map()),
    }


def _block_io(block: Map) -> Json:
    rates = {
        "BlkioDeviceReadBps": "device_read_bps",
        "BlkioDeviceWriteBps": "device_write_bps",
        "BlkioDeviceReadIOps": "device_read_iops",
        "BlkioDeviceWriteIOps": "device_write_iops",
    }
    found: Json = {
        field: [{"Path": str(one["path"]), "Rate": octets(one["rate"], key)} for one in block[key]]
        for field, key in rates.items()
        if block.get(key)
    }
    if "weight" in block:
        found["BlkioWeight"] = whole(block["weight"], "blkio_config.weight")
    if block.get("weight_device"):
        found["BlkioWeightDevice"] = [
            {"Path": str(one["path"]), "Weight": whole(one["weight"], "weight")} for one in block["weight_device"]
        ]
    return found


# -- mounts -----------------------------------------------------------------------------------------------------------


def _mounts(service: Service, project: Project) -> Iterator[Json]:
    for mount in service.fields.get("volumes") or ():
        yield _mount(mount, project)
    for kind, known, home in (("secrets", project.secrets, _SECRETS), ("configs", project.configs, "")):
        for use in service.fields.get(kind) or ():
            resource = known[use["source"]]
            if resource.fields.get("file"):
                yield {
                    "Type": "bind",
                    "Source": str(resource.fields["file"]),
                    "Target": use_target(use, home),
                    "ReadOnly": True,
                }


def use_target(use: Map, home: str) -> str:
    """Where a secret or config is seen inside."""
    target = str(use.get("target") or "")
    if target.startswith("/"):
        return target
    return f"{home}/{target or use['source']}"


def _mount(mount: Map, project: Project) -> Json:
    kind, source = mount["type"], str(mount.get("source") or "")
    body = _present(Type=kind, Target=str(mount["target"]), ReadOnly=_flag(mount, "read_only"))
    if kind == "volume":
        body["Source"] = project.volumes[source].name if source else ""
        options = mount.get("volume") or Map()
        found = _present(NoCopy=_flag(options, "nocopy"), Subpath=_text(options, "subpath"))
        return {**body, **_present(VolumeOptions=found)}
    if kind == "bind":
        options = mount.get("bind") or Map()
        found = _present(
            Propagation=_text(options, "propagation"),
            CreateMountpoint=flag(options.get("create_host_path", True), "create_host_path"),
        )
        return {**body, "Source": source, "BindOptions": found}
    if kind == "tmpfs":
        options = mount.get("tmpfs") or Map()
        size = octets(options["size"], "tmpfs.size") if "size" in options else 0
        mode = whole(options["mode"], "tmpfs.mode") if "mode" in options else 0
        return {**body, **_present(TmpfsOptions=_present(SizeBytes=size, Mode=mode))}
    raise ComposeError(f"volumes: mounts of type {kind} are not known to this engine", mount.places.get("type"))


# -- networks ---------------------------------------------------------------------------------------------------------


def networking(service: Service, project: Project) -> tuple[str, Json]:
    """The name of the first network (by priority, then by name, as Compose sorts them) and the endpoints on all."""
    ordered = sorted(
        service.networks, key=lambda key: (-number(service.networks[key].get("priority") or 0, "priority"), key)
    )
    if not ordered:
        return "none", {}
    endpoints = {project.networks[key].name: _endpoint(service, service.networks[key], project) for key in ordered}
    return project.networks[ordered[0]].name, endpoints


def _endpoint(service: Service, use: Map, project: Project) -> Json:
    address = _present(
        IPv4Address=_text(use, "ipv4_address"),
        IPv6Address=_text(use, "ipv6_address"),
        LinkLocalIPs=_texts(use, "link_local_ips"),
    )
    options = {key: str(value) for key, value in (use.get("driver_opts") or {}).items()}
    if use.get("interface_name"):
        options["com.docker.network.endpoint.ifname"] = str(use["interface_name"])
    return _present(
        IPAMConfig=address,
        Aliases=list(dict.fromkeys((service.name, *_texts(use, "aliases")))),
        Links=[_link(text, project) for text in _texts(service.fields, "links")],
        MacAddress=_text(use, "mac_address") or _text(service.fields, "mac_address"),
        DriverOpts=options,
        GwPriority=whole(use.get("gw_priority") or 0, "gw_priority"),
    )


def _link(text: str, project: Project) -> str:
    name, _, alias = text.partition(":")
    target = project.find(name)
    return f"{target.container_name or f'{project.name}-{name}-1'}:{alias or name}"


def network(resource: Resource) -> Json:
    fields = resource.fields
    ipam = fields.get("ipam") or Map()
    body: Json = {
        "Name": resource.name,
        "Driver": str(fields.get("driver") or ""),
        "Options": {key: str(value) for key, value in (fields.get("driver_opts") or {}).items()},
        "Internal": _flag(fields, "internal"),
        "Attachable": _flag(fields, "attachable"),
        "Labels": {key: value or "" for key, value in (fields.get("labels") or {}).items()},
    }
    for key, field in (("enable_ipv4", "EnableIPv4"), ("enable_ipv6", "EnableIPv6")):
        if key in fields:
            body[field] = _flag(fields, key)
    if ipam:
        body["IPAM"] = _present(
            Driver=_text(ipam, "driver") or "default",
            Options={key: str(value) for key, value in (ipam.get("options") or {}).items()},
            Config=[
                _present(
                    Subnet=_text(part, "subnet"),
                    IPRange=_text(part, "ip_range"),
                    Gateway=_text(part, "gateway"),
                    AuxiliaryAddresses={key: str(value) for key, value in (part.get("aux_addresses") or {}).items()},
                )
                for part in ipam.get("config") or ()
            ],
        )
    return body


def volume(resource: Resource) -> Json:
    fields = resource.fields
    return {
        "Name": resource.name,
        "Driver": str(fields.get("driver") or "local"),
        "DriverOpts": {key: str(value) for key, value in (fields.get("driver_opts") or {}).items()},
        "Labels": {key: value or "" for key, value in (fields.get("labels") or {}).items()},
    }
