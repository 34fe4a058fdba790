"""The flags that describe a container, shared by ``run`` and ``create``."""

from __future__ import annotations

from collections.abc import Sequence

from fairlead.cli.container import values as read
from fairlead.cli.container.attachments import parse_network
from fairlead.cli.container.mounts import parse_mount
from fairlead.cli.flags import Flag, number, several, switch, text

_CGROUPNS = (
    "Cgroup namespace to use (host|private)\n"
    "'host':    Run the container in the host's cgroup namespace\n"
    "'private': Run the container in its own private cgroup namespace\n"
    "'':        Use the cgroup namespace as configured by the daemon (default)"
)


def _size(name: str, told: str, short: str = "") -> Flag:
    return Flag(name, "bytes", told, short, 0, parse=read.memory)


def _swap() -> Flag:
    told = "Swap limit equal to memory plus swap: '-1' to enable unlimited swap"
    return Flag("memory-swap", "bytes", told, "", 0, parse=read.memory_swap)


def _duration(name: str, told: str) -> Flag:
    return Flag(name, "duration", told, "", 0, parse=read.duration, shown_default="0s")


def resources(*, update: bool = False) -> Sequence[Flag]:
    """The limits that can also be changed later; the texts are Docker's."""
    realtime = "Limit the CPU real-time" if update else "Limit CPU real-time"
    return (
        number("blkio-weight", "Block IO (relative weight), between 10 and 1000, or 0 to disable", kind="uint16"),
        number("cpu-period", "Limit CPU CFS (Completely Fair Scheduler) period"),
        number("cpu-quota", "Limit CPU CFS (Completely Fair Scheduler) quota"),
        number("cpu-rt-period", f"{realtime} period in microseconds"),
        number("cpu-rt-runtime", f"{realtime} runtime in microseconds"),
        number("cpu-shares", "CPU shares (relative weight)", "c"),
        Flag("cpus", "decimal", "Number of CPUs", "", 0, parse=read.cpus),
        text("cpuset-cpus", "CPUs in which to allow execution (0-3, 0,1)"),
        text("cpuset-mems", "MEMs in which to allow execution (0-3, 0,1)"),
        _size("memory", "Memory limit", "m"),
        _size("memory-reservation", "Memory soft limit"),
        _swap(),
        number("pids-limit", "Tune container pids limit (set -1 for unlimited)"),
    )


_NETWORKING: Sequence[Flag] = (
    several("add-host", "Add a custom host-to-IP mapping (host:ip)", parse=read.extra_host),
    several("dns", "Set custom DNS servers", parse=read.address),
    several("dns-option", "Set DNS options", also="dns-opt"),
    several("dns-search", "Set custom DNS search domains", parse=read.domain),
    text("domainname", "Container NIS domain name"),
    several("expose", "Expose a port or a range of ports"),
    text("hostname", "Container host name", "h"),
    text("ip", "IPv4 address (e.g., 172.30.100.104)"),
    text("ip6", "IPv6 address (e.g., 2001:db8::33)"),
    several("link", "Add link to another container", parse=read.link, completes="containers"),
    several("link-local-ip", "Container IPv4/IPv6 link-local addresses"),
    text("mac-address", "Container MAC address (e.g., 92:d0:c6:0a:29:33)"),
    several(
        "network",
        "Connect a container to a network",
        kind="network",
        parse=parse_network,
        completes="networks",
        also="net",
    ),
    several("network-alias", "Add network-scoped alias for the container", also="net-alias"),
    several("publish", "Publish a container's port(s) to the host", "p"),
    switch("publish-all", "Publish all exposed ports to random ports", "P"),
)
_STORAGE: Sequence[Flag] = (
    several("device", "Add a host device to the container"),
    several("device-cgroup-rule", "Add a rule to the cgroup allowed devices list", parse=read.device_rule),
    several("mount", "Attach a filesystem mount to the container", kind="mount", parse=parse_mount),
    switch("read-only", "Mount the container's root filesystem as read only"),
    _size("shm-size", "Size of /dev/shm"),
    several("storage-opt", "Storage driver options for the container"),
    several("tmpfs", "Mount a tmpfs directory"),
    several("volume", "Bind mount a volume", "v", completes="volumes"),
    text("volume-driver", "Optional volume driver for the container"),
    several("volumes-from", "Mount volumes from the specified container(s)", completes="containers"),
)
_PROCESS: Sequence[Flag] = (
    several("attach", "Attach to STDIN, STDOUT or STDERR", "a", parse=read.stream),
    text("entrypoint", "Overwrite the default ENTRYPOINT of the image"),
    several("env", "Set environment variables", "e", parse=read.variable),
    several("env-file", "Read in a file of environment variables", completes="files"),
    several("group-add", "Add additional groups to join"),
    switch("init", "Run an init inside the container that forwards signals and reaps processes"),
    switch("interactive", "Keep STDIN open even if not attached", "i"),
    text("stop-signal", "Signal to stop the container"),
    number("stop-timeout", "Timeout (in seconds) to stop a container"),
    switch("tty", "Allocate a pseudo-TTY", "t"),
    text("user", "Username or UID (format: <name|uid>[:<group|gid>])", "u"),
    text("workdir", "Working directory inside the container", "w"),
)
_HEALTH: Sequence[Flag] = (
    text("health-cmd", "Command to run to check health"),
    _duration("health-interval", "Time between running the check (ms|s|m|h)"),
    number("health-retries", "Consecutive failures needed to report unhealthy"),
    _duration("health-start-interval", "Time between running the check during the start period (ms|s|m|h)"),
    _duration(
        "health-start-period",
        "Start period for the container to initialize before starting health-retries countdown (ms|s|m|h)",
    ),
    _duration("health-timeout", "Maximum time to allow one check to run (ms|s|m|h)"),
    switch("no-healthcheck", "Disable any container-specified HEALTHCHECK"),
)
_ISOLATION: Sequence[Flag] = (
    several("cap-add", "Add Linux capabilities"),
    several("cap-drop", "Drop Linux capabilities"),
    text("cgroup-parent", "Optional parent cgroup for the container"),
    text("cgroupns", _CGROUPNS),
    text("ipc", "IPC mode to use"),
    text("isolation", "Container isolation technology"),
    text("pid", "PID namespace to use"),
    switch("privileged", "Give extended privileges to this container"),
    text("runtime", "Runtime to use for this container"),
    several("security-opt", "Security Options"),
    several("sysctl", "Sysctl options", kind="map", parse=read.sysctl, shown_default="map[]"),
    several("ulimit", "Ulimit options", kind="ulimit", parse=read.ulimit, shown_default="[]"),
    text("userns", "User namespace to use"),
    text("uts", "UTS namespace to use"),
)
_LIMITS: Sequence[Flag] = (
    several("blkio-weight-device", "Block IO weight (relative device weight)", parse=read.weight_device),
    several("device-read-bps", "Limit read rate (bytes per second) from a device", parse=read.rate_device),
    several("device-read-iops", "Limit read rate (IO per second) from a device", parse=read.count_device),
    several("device-write-bps", "Limit write rate (bytes per second) to a device", parse=read.rate_device),
    several("device-write-iops", "Limit write rate (IO per second) to a device", parse=read.count_device),
    several(
        "gpus", "GPU devices to add to the container ('all' to pass all GPUs)", kind="gpu-request", parse=read.gpus
    ),
    _size("kernel-memory", "Kernel memory limit"),
    number("memory-swappiness", "Tune container memory swappiness (0 to 100)", default=-1),
    switch("oom-kill-disable", "Disable OOM Killer"),
    number("oom-score-adj", "Tune host's OOM preferences (-1000 to 1000)"),
    number("cpu-count", "CPU count (Windows only)", hidden=True),
    number("cpu-percent", "CPU percent (Windows only)", hidden=True),
)
_RECORD: Sequence[Flag] = (
    several("annotation", "Add an annotation to the container (passed through to the OCI runtime)", kind="map",
            parse=read.pair, shown_default="map[]"),
    text("cidfile", "Write the container ID to the file", completes="files"),
    switch("disable-content-trust", "Skip image verification", default=True),
    several("label", "Set meta data on a container", "l"),
    several("label-file", "Read in a line delimited file of labels", completes="files"),
    text("log-driver", "Logging driver for the container"),
    several("log-opt", "Log driver options"),
    text("name", "Assign a name to the container"),
    text("platform", "Set platform if server is multi-platform capable"),
    text("pull", 'Pull image before running ("always", "missing", "never")', default="missing"),
    switch("quiet", "Suppress the pull output", "q"),
    text("restart", "Restart policy to apply when a container exits", default="no"),
    switch("rm", "Automatically remove the container and its associated anonymous volumes when it exits"),
)  # fmt: skip

CONTAINER_FLAGS: Sequence[Flag] = (
    *_NETWORKING,
    *_STORAGE,
    *_PROCESS,
    *_HEALTH,
    *_ISOLATION,
    *_LIMITS,
    *resources(),
    *_RECORD,
)
