"""``fairlead network update`` and ``alias``: networks changed while they are in use."""

from __future__ import annotations

from typing import Any

from fairlead.cli.command import ONE, TWO_OR_MORE, Command, Context
from fairlead.cli.container.values import pair
from fairlead.cli.errors import BadArguments
from fairlead.cli.flags import Values, several, text
from fairlead.cli.network.create import subnets_of

Json = dict[str, Any]


def _update(context: Context, values: Values, arguments: list[str]) -> None:
    body: Json = {
        "Name": values.text("name"),
        "Labels": dict(values.get("label-add")),
        "RemoveLabels": values.list("label-rm"),
        "Options": dict(values.get("opt")),
        "RemoveOptions": values.list("opt-rm"),
        "AddSubnets": subnets_of(values, "subnet-add"),
        "RemoveSubnets": values.list("subnet-rm"),
    }
    asked = {field: value for field, value in body.items() if value}
    if values.changed("dns"):
        asked["DNS"] = [server for server in values.list("dns") if server]
    made = context.client.post(f"/fairlead/networks/{arguments[0]}/update", None, asked)
    assert isinstance(made, dict)
    if made.get("Warning"):
        context.warn(f"WARNING: {made['Warning']}")
    context.print(arguments[0])


def _alias(context: Context, _values: Values, arguments: list[str]) -> None:
    verb, *rest = arguments
    if verb in {"add", "rm"} and len(rest) > 2:
        network, container, *names = rest
        body: Json = {"AddAliases" if verb == "add" else "RemoveAliases": names}
        context.client.post(f"/fairlead/networks/{network}/endpoints/{container}", None, body)
    elif len(arguments) == 2:
        for name in _aliases(context, *arguments):
            context.print(name)
    else:
        raise BadArguments(f"'{context.path}' requires NETWORK CONTAINER, or add|rm NETWORK CONTAINER ALIAS...")


def _aliases(context: Context, network: str, container: str) -> list[str]:
    found = context.client.get(f"/networks/{network}")
    inspected = context.client.get(f"/containers/{container}/json")
    assert isinstance(found, dict)
    assert isinstance(inspected, dict)
    settings: Json = inspected["NetworkSettings"]["Networks"].get(found["Name"]) or {}
    return settings.get("Aliases") or []


UPDATE = Command(
    "[OPTIONS] NETWORK",
    _update,
    (
        several("aux-address", "Auxiliary IPv4 or IPv6 addresses in a new subnet", kind="map", parse=pair,
                shown_default="map[]"),
        several("dns", "DNS servers of the network's containers in place of the host's (\"\" for the host's)",
                kind="strings"),
        several("gateway", "IPv4 or IPv6 Gateway of a new subnet", kind="strings"),
        several("ip-range", "Allocate container ip from a sub-range of a new subnet", kind="strings"),
        several("label-add", "Add or change metadata", parse=pair),
        several("label-rm", "Remove metadata by its key"),
        text("name", "New name of the network"),
        several("opt", "Change driver specific options", "o", kind="map", parse=pair, shown_default="map[]"),
        several("opt-rm", "Set a driver specific option back to its default"),
        several("subnet-add", "Add a subnet in CIDR format", kind="strings"),
        several("subnet-rm", "Remove a subnet that no container is in", kind="strings"),
    ),
    ONE,
    "Change a network while it is in use: nothing is made anew, connections go on",
    completes="networks",
)  # fmt: skip
ALIAS = Command(
    "NETWORK CONTAINER | add|rm NETWORK CONTAINER ALIAS...",
    _alias,
    (),
    TWO_OR_MORE,
    "List, add or remove the further names of a container on a network, whether it runs or not",
    completes="networks,containers",
)
