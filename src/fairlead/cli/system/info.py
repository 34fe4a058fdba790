"""``fairlead info``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fairlead import __version__
from fairlead.cli.command import NONE, Command, Context
from fairlead.cli.flags import Values
from fairlead.cli.inspect import render, template_flag
from fairlead.cli.units import binary_size
from fairlead.client import ClientError

Json = Mapping[str, Any]


def _run(context: Context, values: Values, _arguments: list[str]) -> int:
    client = {"Version": __version__, "Debug": False, "Context": "default", "Plugins": [], "Warnings": None}
    server: Json = {}
    problem = ""
    try:
        found = context.client.get("/info")
        assert isinstance(found, dict)
        server = found
    except ClientError as wrong:
        problem = str(wrong)
    template = values.text("format")
    if template:
        errors = {"ServerErrors": [problem]} if problem else {}
        context.write(
            render([{**server, **errors, "ClientInfo": client}], "{{json .}}" if template == "json" else template)
        )
    else:
        context.write(f"Client:\n Version:    {__version__}\n Context:    default\n Debug Mode: false\n\nServer:\n")
        context.write("".join(f"{line}\n" for line in _server(server)) if server else "")
    context.flush()
    for warning in server.get("Warnings") or []:
        context.warn(str(warning))
    if problem:
        context.warn(problem)
    return 1 if problem else 0


_PLAIN = (
    ("Server Version", "ServerVersion"),
    ("Storage Driver", "Driver"),
    ("Logging Driver", "LoggingDriver"),
    ("Cgroup Driver", "CgroupDriver"),
    ("Cgroup Version", "CgroupVersion"),
)
_MACHINE = (
    ("Kernel Version", "KernelVersion"),
    ("Operating System", "OperatingSystem"),
    ("OSType", "OSType"),
    ("Architecture", "Architecture"),
    ("CPUs", "NCPU"),
)


def _server(info: Json) -> Iterator[str]:
    yield f" Containers: {info.get('Containers', 0)}"
    for state in ("Running", "Paused", "Stopped"):
        yield f"  {state}: {info.get(f'Containers{state}', 0)}"
    yield f" Images: {info.get('Images', 0)}"
    for title, field in _PLAIN:
        if info.get(field):
            yield f" {title}: {info[field]}"
        if field == "Driver":
            yield from (f"  {name}: {value}" for name, value in info.get("DriverStatus") or [])
    yield from _plugins(info.get("Plugins") or {})
    swarm = info.get("Swarm") or {}
    yield f" Swarm: {swarm.get('LocalNodeState') or 'inactive'}"
    yield f" Runtimes: {' '.join(sorted(info.get('Runtimes') or {}))}"
    yield f" Default Runtime: {info.get('DefaultRuntime', '')}"
    yield f" Init Binary: {info.get('InitBinary', '')}"
    yield from _security(info.get("SecurityOptions") or [])
    yield from (f" {title}: {info.get(field, '')}" for title, field in _MACHINE)
    yield f" Total Memory: {binary_size(info.get('MemTotal') or 0)}"
    yield from (f" {title}: {info.get(field, '')}" for title, field in (("Name", "Name"), ("ID", "ID")))
    yield f" Docker Root Dir: {info.get('DockerRootDir', '')}"
    yield f" Debug Mode: {str(bool(info.get('Debug'))).lower()}"
    yield from _tail(info)


def _plugins(plugins: Json) -> Iterator[str]:
    yield " Plugins:"
    for kind in ("Volume", "Network", "Authorization", "Log"):
        if plugins.get(kind):
            yield f"  {kind}: {' '.join(plugins[kind])}"


def _security(options: Sequence[str]) -> Iterator[str]:
    if not options:
        return
    yield " Security Options:"
    for option in options:
        fields = dict(part.partition("=")[::2] for part in option.split(","))
        yield f"  {fields.pop('name', option)}"
        yield from (f"   {name.title()}: {value}" for name, value in fields.items())


def _tail(info: Json) -> Iterator[str]:
    if info.get("Labels"):
        yield " Labels:"
        yield from (f"  {label}" for label in info["Labels"])
    yield f" Experimental: {str(bool(info.get('ExperimentalBuild'))).lower()}"
    registries = info.get("RegistryConfig") or {}
    yield " Insecure Registries:"
    insecure = [name for name, index in (registries.get("IndexConfigs") or {}).items() if not index.get("Secure", True)]
    yield from (f"  {name}" for name in [*insecure, *(registries.get("InsecureRegistryCIDRs") or [])])
    if registries.get("Mirrors"):
        yield " Registry Mirrors:"
        yield from (f"  {mirror}" for mirror in registries["Mirrors"])
    yield f" Live Restore Enabled: {str(bool(info.get('LiveRestoreEnabled'))).lower()}"
    firewall = info.get("FirewallBackend") or {}
    if firewall:
        yield f" Firewall Backend: {firewall.get('Driver', '')}"
    pools = info.get("DefaultAddressPools") or []
    if pools:
        yield " Default Address Pools:"
        yield from (f"   Base: {pool['Base']}, Size: {pool['Size']}" for pool in pools)


INFO = Command("[OPTIONS]", _run, (template_flag(),), NONE)
