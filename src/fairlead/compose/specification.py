"""The Compose Specification's keys as shapes: a table, in the order of the specification's pages."""

from __future__ import annotations

from fairlead.compose.shape import Anything, ListOf, MapOf, Record, Scalar, Shape, Word, either

TEXT = Scalar("text", (str, int, float))
FLAG = Scalar("true or false", (bool, str))
WHOLE = Scalar("a number", (int, str))
NUMBER = Scalar("a number", (int, float, str))
TEXTS = ListOf(TEXT)
ONE_OR_MORE = either(TEXT, TEXTS)
# ``A=b`` in a list, or a mapping.
PAIRS = either(ListOf(TEXT), MapOf(Scalar("text", (str, int, float, bool))))
NAMES = either(MapOf(Anything()), TEXTS)
ANY_MAP = MapOf(Anything())

_SECRET_USE = Record(
    {"source": TEXT, "target": TEXT, "uid": TEXT, "gid": TEXT, "mode": WHOLE}, words="a name or a mapping"
)
_USES = ListOf(either(TEXT, _SECRET_USE))

BUILD = Record(
    {
        "context": TEXT,
        "dockerfile": TEXT,
        "dockerfile_inline": TEXT,
        "entitlements": TEXTS,
        "args": PAIRS,
        "ssh": PAIRS,
        "labels": PAIRS,
        "cache_from": TEXTS,
        "cache_to": TEXTS,
        "no_cache": FLAG,
        "no_cache_filter": ONE_OR_MORE,
        "additional_contexts": PAIRS,
        "network": TEXT,
        "provenance": Anything(),
        "sbom": Anything(),
        "pull": FLAG,
        "target": TEXT,
        "shm_size": WHOLE,
        "extra_hosts": either(TEXTS, MapOf(ONE_OR_MORE)),
        "isolation": TEXT,
        "privileged": FLAG,
        "secrets": _USES,
        "tags": TEXTS,
        "ulimits": MapOf(either(WHOLE, Record({"soft": WHOLE, "hard": WHOLE}))),
        "platforms": TEXTS,
    }
)
HEALTHCHECK = Record(
    {
        "disable": FLAG,
        "interval": TEXT,
        "retries": WHOLE,
        "test": ONE_OR_MORE,
        "timeout": TEXT,
        "start_period": TEXT,
        "start_interval": TEXT,
    }
)
DEPENDS_ON = either(
    TEXTS,
    MapOf(
        Record(
            {
                "condition": Word(("service_started", "service_healthy", "service_completed_successfully")),
                "restart": FLAG,
                "required": FLAG,
            }
        )
    ),
)
_LIMITS = Record(
    {"cpus": NUMBER, "memory": WHOLE, "pids": WHOLE, "devices": Anything(), "generic_resources": Anything()}
)
_UPDATE = Record(
    {
        "parallelism": WHOLE,
        "delay": TEXT,
        "failure_action": TEXT,
        "monitor": TEXT,
        "max_failure_ratio": NUMBER,
        "order": Word(("start-first", "stop-first")),
    }
)
DEPLOY = Record(
    {
        "mode": TEXT,
        "endpoint_mode": TEXT,
        "replicas": WHOLE,
        "labels": PAIRS,
        "rollback_config": _UPDATE,
        "update_config": _UPDATE,
        "resources": Record({"limits": _LIMITS, "reservations": _LIMITS}),
        "restart_policy": Record({"condition": TEXT, "delay": TEXT, "max_attempts": WHOLE, "window": TEXT}),
        "placement": Record({"constraints": TEXTS, "preferences": Anything(), "max_replicas_per_node": WHOLE}),
    }
)
NETWORK_USE = Record(
    {
        "aliases": TEXTS,
        "interface_name": TEXT,
        "ipv4_address": TEXT,
        "ipv6_address": TEXT,
        "link_local_ips": TEXTS,
        "mac_address": TEXT,
        "driver_opts": MapOf(TEXT),
        "gw_priority": NUMBER,
        "priority": NUMBER,
    }
)
PORT = Record(
    {
        "name": TEXT,
        "target": WHOLE,
        "published": TEXT,
        "host_ip": TEXT,
        "protocol": TEXT,
        "app_protocol": TEXT,
        "mode": TEXT,
    },
    required=("target",),
)
VOLUME_USE = Record(
    {
        "type": Word(("bind", "volume", "tmpfs", "image", "npipe", "cluster")),
        "source": TEXT,
        "target": TEXT,
        "read_only": FLAG,
        "consistency": TEXT,
        "bind": Record({"propagation": TEXT, "create_host_path": FLAG, "selinux": TEXT, "recursive": TEXT}),
        "volume": Record({"nocopy": FLAG, "subpath": TEXT, "labels": PAIRS}),
        "tmpfs": Record({"size": WHOLE, "mode": WHOLE}),
        "image": Record({"subpath": TEXT}),
    },
    required=("type", "target"),
)
_HOOK = Record(
    {"command": ONE_OR_MORE, "user": TEXT, "privileged": FLAG, "working_dir": TEXT, "environment": PAIRS},
    required=("command",),
)
_RATES = ListOf(Record({"path": TEXT, "rate": WHOLE}, required=("path", "rate")))

SERVICE_FIELDS: dict[str, Shape] = {
    "annotations": PAIRS,
    "attach": FLAG,
    "blkio_config": Record(
        {
            "weight": WHOLE,
            "weight_device": ListOf(Record({"path": TEXT, "weight": WHOLE}, required=("path", "weight"))),
            "device_read_bps": _RATES,
            "device_read_iops": _RATES,
            "device_write_bps": _RATES,
            "device_write_iops": _RATES,
        }
    ),
    "build": either(TEXT, BUILD),
    "cap_add": TEXTS,
    "cap_drop": TEXTS,
    "cgroup": Word(("host", "private")),
    "cgroup_parent": TEXT,
    "command": ONE_OR_MORE,
    "configs": _USES,
    "container_name": TEXT,
    "cpu_count": WHOLE,
    "cpu_percent": NUMBER,
    "cpu_period": WHOLE,
    "cpu_quota": WHOLE,
    "cpu_rt_period": WHOLE,
    "cpu_rt_runtime": WHOLE,
    "cpu_shares": NUMBER,
    "cpus": NUMBER,
    "cpuset": TEXT,
    "credential_spec": Anything(),
    "depends_on": DEPENDS_ON,
    "deploy": DEPLOY,
    "develop": Record(
        {
            "watch": ListOf(
                Record(
                    {
                        "action": Word(("sync", "rebuild", "restart", "sync+restart", "sync+exec")),
                        "path": TEXT,
                        "target": TEXT,
                        "ignore": ONE_OR_MORE,
                        "include": ONE_OR_MORE,
                        "initial_sync": FLAG,
                        "exec": _HOOK,
                    },
                    required=("action", "path"),
                )
            )
        }
    ),
    "device_cgroup_rules": TEXTS,
    "devices": ListOf(either(TEXT, Record({"source": TEXT, "target": TEXT, "permissions": TEXT}, ("source",)))),
    "dns": ONE_OR_MORE,
    "dns_opt": TEXTS,
    "dns_search": ONE_OR_MORE,
    "domainname": TEXT,
    "entrypoint": ONE_OR_MORE,
    "env_file": either(TEXT, ListOf(either(TEXT, Record({"path": TEXT, "required": FLAG, "format": TEXT}, ("path",))))),
    "environment": PAIRS,
    "expose": TEXTS,
    "extends": either(TEXT, Record({"service": TEXT, "file": TEXT}, ("service",))),
    "external_links": TEXTS,
    "extra_hosts": either(TEXTS, MapOf(ONE_OR_MORE)),
    "gpus": Anything(),
    "group_add": TEXTS,
    "healthcheck": HEALTHCHECK,
    "hostname": TEXT,
    "image": TEXT,
    "init": FLAG,
    "ipc": TEXT,
    "isolation": TEXT,
    "label_file": ONE_OR_MORE,
    "labels": PAIRS,
    "links": TEXTS,
    "logging": Record({"driver": TEXT, "options": MapOf(TEXT)}),
    "mac_address": TEXT,
    "mem_limit": WHOLE,
    "mem_reservation": WHOLE,
    "mem_swappiness": WHOLE,
    "memswap_limit": WHOLE,
    "models": Anything(),
    "network_mode": TEXT,
    "networks": either(TEXTS, MapOf(NETWORK_USE)),
    "oom_kill_disable": FLAG,
    "oom_score_adj": WHOLE,
    "pid": TEXT,
    "pids_limit": WHOLE,
    "platform": TEXT,
    "ports": ListOf(either(TEXT, PORT)),
    "post_start": ListOf(_HOOK),
    "pre_stop": ListOf(_HOOK),
    "privileged": FLAG,
    "profiles": TEXTS,
    "provider": Anything(),
    "pull_policy": TEXT,
    "pull_refresh_after": TEXT,
    "read_only": FLAG,
    "restart": TEXT,
    "runtime": TEXT,
    "scale": WHOLE,
    "secrets": _USES,
    "security_opt": TEXTS,
    "shm_size": WHOLE,
    "stdin_open": FLAG,
    "stop_grace_period": TEXT,
    "stop_signal": TEXT,
    "storage_opt": ANY_MAP,
    "sysctls": PAIRS,
    "tmpfs": ONE_OR_MORE,
    "tty": FLAG,
    "ulimits": MapOf(either(WHOLE, Record({"soft": WHOLE, "hard": WHOLE}))),
    "use_api_socket": FLAG,
    "user": TEXT,
    "userns_mode": TEXT,
    "uts": TEXT,
    "volumes": ListOf(either(TEXT, VOLUME_USE)),
    "volumes_from": TEXTS,
    "working_dir": TEXT,
}

_EXTERNAL = either(FLAG, Record({"name": TEXT}))
NETWORK = Record(
    {
        "name": TEXT,
        "driver": TEXT,
        "driver_opts": MapOf(TEXT),
        "attachable": FLAG,
        "enable_ipv4": FLAG,
        "enable_ipv6": FLAG,
        "external": _EXTERNAL,
        "internal": FLAG,
        "labels": PAIRS,
        "ipam": Record(
            {
                "driver": TEXT,
                "options": MapOf(TEXT),
                "config": ListOf(
                    Record({"subnet": TEXT, "ip_range": TEXT, "gateway": TEXT, "aux_addresses": MapOf(TEXT)})
                ),
            }
        ),
    }
)
VOLUME = Record({"name": TEXT, "driver": TEXT, "driver_opts": MapOf(TEXT), "external": _EXTERNAL, "labels": PAIRS})
_SOURCES: dict[str, Shape] = {
    "name": TEXT,
    "file": TEXT,
    "environment": TEXT,
    "content": TEXT,
    "external": _EXTERNAL,
    "labels": PAIRS,
    "driver": TEXT,
    "driver_opts": MapOf(TEXT),
    "template_driver": TEXT,
}
INCLUDE = either(
    TEXT, Record({"path": ONE_OR_MORE, "project_directory": TEXT, "env_file": ONE_OR_MORE}, required=("path",))
)
PROJECT = Record(
    {
        "version": TEXT,
        "name": TEXT,
        "include": ListOf(INCLUDE),
        "services": MapOf(Record(SERVICE_FIELDS)),
        "networks": MapOf(NETWORK),
        "volumes": MapOf(VOLUME),
        "secrets": MapOf(Record(_SOURCES)),
        "configs": MapOf(Record(_SOURCES)),
        "models": Anything(),
    }
)
