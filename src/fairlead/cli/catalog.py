"""Which command lives where. Nothing is imported before it is called: a start must stay cheap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import NamedTuple

from fairlead.cli.command import Command
from fairlead.cli.flags import Flag


class Entry(NamedTuple):
    """``module`` below this package and the name of the Command in it."""

    module: str
    attribute: str
    short: str

    def load(self) -> Command:
        command = getattr(import_module(f"fairlead.cli.{self.module}"), self.attribute)
        assert isinstance(command, Command)
        return command


class Group(NamedTuple):
    """A noun with its commands; ``top`` names those that are also called without the noun, and how.

    ``flags`` is the module that has FLAGS, for a noun that takes flags before the verb.
    """

    short: str
    entries: Mapping[str, Entry]
    top: Mapping[str, str]
    aliases: Mapping[str, str]
    flags: str = ""


def _same(*names: str) -> dict[str, str]:
    return {name: name for name in names}


_CONTAINER = {
    "attach": Entry(
        "container.attach",
        "ATTACH",
        "Attach local standard input, output, and error streams to a running container",
    ),
    "commit": Entry("container.files", "COMMIT", "Create a new image from a container's changes"),
    "cp": Entry("container.copy", "CP", "Copy files/folders between a container and the local filesystem"),
    "create": Entry("container.run", "CREATE", "Create a new container"),
    "diff": Entry("container.files", "DIFF", "Inspect changes to files or directories on a container's filesystem"),
    "exec": Entry("container.exec", "EXEC", "Execute a command in a running container"),
    "export": Entry("container.files", "EXPORT", "Export a container's filesystem as a tar archive"),
    "inspect": Entry("inspect", "CONTAINER", "Display detailed information on one or more containers"),
    "kill": Entry("container.lifecycle", "KILL", "Kill one or more running containers"),
    "logs": Entry("container.logs", "LOGS", "Fetch the logs of a container"),
    "ls": Entry("container.ps", "PS", "List containers"),
    "pause": Entry("container.lifecycle", "PAUSE", "Pause all processes within one or more containers"),
    "port": Entry("container.port", "PORT", "List port mappings or a specific mapping for the container"),
    "prune": Entry("prune", "CONTAINER", "Remove all stopped containers"),
    "rename": Entry("container.lifecycle", "RENAME", "Rename a container"),
    "restart": Entry("container.lifecycle", "RESTART", "Restart one or more containers"),
    "rm": Entry("container.lifecycle", "RM", "Remove one or more containers"),
    "run": Entry("container.run", "RUN", "Create and run a new container from an image"),
    "start": Entry("container.start", "START", "Start one or more stopped containers"),
    "stats": Entry("container.stats", "STATS", "Display a live stream of container(s) resource usage statistics"),
    "stop": Entry("container.lifecycle", "STOP", "Stop one or more running containers"),
    "top": Entry("container.top", "TOP", "Display the running processes of a container"),
    "unpause": Entry("container.lifecycle", "UNPAUSE", "Unpause all processes within one or more containers"),
    "update": Entry("container.update", "UPDATE", "Update configuration of one or more containers"),
    "wait": Entry(
        "container.lifecycle", "WAIT", "Block until one or more containers stop, then print their exit codes"
    ),
}
_IMAGE = {
    "build": Entry("image.build", "BUILD", "Build an image from a Dockerfile"),
    "history": Entry("image.history", "HISTORY", "Show the history of an image"),
    "import": Entry("image.archives", "IMPORT", "Import the contents from a tarball to create a filesystem image"),
    "inspect": Entry("inspect", "IMAGE", "Display detailed information on one or more images"),
    "load": Entry("image.archives", "LOAD", "Load an image from a tar archive or STDIN"),
    "ls": Entry("image.ls", "LS", "List images"),
    "prune": Entry("prune", "IMAGE", "Remove unused images"),
    "pull": Entry("image.pull", "PULL", "Download an image from a registry"),
    "rm": Entry("image.rm", "RM", "Remove one or more images"),
    "save": Entry(
        "image.archives",
        "SAVE",
        "Save one or more images to a tar archive (streamed to STDOUT by default)",
    ),
    "tag": Entry("image.rm", "TAG", "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE"),
}
_NETWORK = {
    "alias": Entry("network.update", "ALIAS", "List or change the aliases of a container on a network"),
    "check": Entry("network.check", "CHECK", "Ask the CNI plugins of a network whether all is as they made it"),
    "connect": Entry("network.connect", "CONNECT", "Connect a container to a network"),
    "create": Entry("network.create", "CREATE", "Create a network"),
    "disconnect": Entry("network.connect", "DISCONNECT", "Disconnect a container from a network"),
    "inspect": Entry("inspect", "NETWORK", "Display detailed information on one or more networks"),
    "ls": Entry("network.ls", "LS", "List networks"),
    "policy": Entry("network.policy", "POLICY", "Manage which packets may cross a network"),
    "prune": Entry("prune", "NETWORK", "Remove all unused networks"),
    "rm": Entry("network.rm", "RM", "Remove one or more networks"),
    "update": Entry("network.update", "UPDATE", "Change a network while it is in use"),
}
_VOLUME = {
    "create": Entry("volume.create", "CREATE", "Create a volume"),
    "inspect": Entry("inspect", "VOLUME", "Display detailed information on one or more volumes"),
    "ls": Entry("volume.ls", "LS", "List volumes"),
    "prune": Entry("prune", "VOLUME", "Remove unused local volumes"),
    "rm": Entry("volume.create", "RM", "Remove one or more volumes"),
}
_SYSTEM = {
    "df": Entry("system.df", "DF", "Show disk usage"),
    "dial-stdio": Entry("system.dial", "DIAL", "Proxy the stdio stream to the daemon connection"),
    "events": Entry("system.events", "EVENTS", "Get real time events from the server"),
    "info": Entry("system.info", "INFO", "Display system-wide information"),
    "prune": Entry("prune", "SYSTEM", "Remove unused data"),
}

_COMPOSE = {
    "build": Entry("compose.build", "BUILD", "Build or rebuild services"),
    "config": Entry("compose.look", "CONFIG", "Parse, resolve and render compose file in canonical format"),
    "cp": Entry("compose.inside", "CP", "Copy files/folders between a service container and the local filesystem"),
    "create": Entry("compose.up", "CREATE", "Creates containers for a service"),
    "down": Entry("compose.down", "DOWN", "Stop and remove containers, networks"),
    "events": Entry("compose.look", "EVENTS", "Receive real time events from containers"),
    "exec": Entry("compose.inside", "EXEC", "Execute a command in a running container"),
    "images": Entry("compose.look", "IMAGES", "List images used by the created containers"),
    "kill": Entry("compose.down", "KILL", "Force stop service containers"),
    "logs": Entry("compose.logs", "LOGS", "View output from containers"),
    "ls": Entry("compose.look", "LS", "List running compose projects"),
    "pause": Entry("compose.down", "PAUSE", "Pause services"),
    "port": Entry("compose.look", "PORT", "Print the public port for a port binding"),
    "ps": Entry("compose.look", "PS", "List containers"),
    "pull": Entry("compose.up", "PULL", "Pull service images"),
    "restart": Entry("compose.down", "RESTART", "Restart service containers"),
    "rm": Entry("compose.down", "RM", "Removes stopped service containers"),
    "run": Entry("compose.inside", "RUN", "Run a one-off command on a service"),
    "scale": Entry("compose.up", "SCALE", "Scale services"),
    "start": Entry("compose.down", "START", "Start services"),
    "stop": Entry("compose.down", "STOP", "Stop services"),
    "top": Entry("compose.look", "TOP", "Display the running processes"),
    "unpause": Entry("compose.down", "UNPAUSE", "Unpause services"),
    "up": Entry("compose.up", "UP", "Create and start containers"),
    "version": Entry("compose.look", "VERSION", "Show the Compose version information"),
    "wait": Entry("compose.inside", "WAIT", "Block until containers of all (or specified) services stop"),
}

GROUPS: Mapping[str, Group] = {
    "compose": Group("Define and run multi-container applications", _COMPOSE, {}, {}, "compose.common"),
    "container": Group(
        "Manage containers",
        _CONTAINER,
        {**_same(*(name for name in _CONTAINER if name not in {"inspect", "prune", "ls"})), "ps": "ls"},
        {"list": "ls", "ps": "ls", "remove": "rm"},
    ),
    "image": Group(
        "Manage images",
        _IMAGE,
        {**_same("build", "history", "import", "load", "pull", "save", "tag"), "images": "ls", "rmi": "rm"},
        {"list": "ls", "remove": "rm"},
    ),
    "network": Group("Manage networks", _NETWORK, {}, {"list": "ls", "remove": "rm"}),
    "system": Group("Manage fairlead", _SYSTEM, _same("events", "info"), {}),
    "volume": Group("Manage volumes", _VOLUME, {}, {"list": "ls", "remove": "rm"}),
}
_TOP = {
    "completion": Entry("completion", "COMPLETION", "Generate the completion script for the specified shell"),
    "daemon": Entry("daemon", "DAEMON", "Run the engine"),
    "inspect": Entry("inspect", "ANY", "Return low-level information on objects"),
    "version": Entry("system.version", "VERSION", "Show the version information"),
}
HIDDEN = {"__complete": Entry("completion", "COMPLETE", "")}
COMMON = ("run", "exec", "ps", "pull", "images", "version", "info")


def groups() -> dict[str, Entry]:
    """Every command that is called without a noun."""
    named = {top: group.entries[name] for group in GROUPS.values() for top, name in group.top.items()}
    return {**named, **_TOP}


def find(name: str) -> Entry | None:
    """The command called ``name`` at the top."""
    if name in _TOP:
        return _TOP[name]
    for group in GROUPS.values():
        if name in group.top:
            return group.entries[group.top[name]]
    return HIDDEN.get(name)


def find_in(group: Group, name: str) -> Entry | None:
    return group.entries.get(group.aliases.get(name, name))


def aliases_of(entry: Entry) -> list[str]:
    """All ways to call a command, the one with its noun first."""
    found: list[str] = []
    for noun, group in GROUPS.items():
        names = [name for name, other in group.entries.items() if other is entry]
        found += [f"{noun} {name}" for name in names]
        found += [f"{noun} {alias}" for alias, name in group.aliases.items() if name in names]
        found += [top for top, name in group.top.items() if name in names]
    return found


def load_flags(group: Group) -> Sequence[Flag]:
    """The flags between the noun and its verb."""
    flags: Sequence[Flag] = import_module(f"fairlead.cli.{group.flags}").FLAGS
    return flags
