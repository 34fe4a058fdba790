"""``fairlead network connect`` and ``disconnect``."""

from __future__ import annotations

from fairlead.cli.command import TWO, Command, Context
from fairlead.cli.container.attachments import endpoint
from fairlead.cli.container.values import link, pair
from fairlead.cli.errors import CommandError
from fairlead.cli.flags import Values, number, several, switch, text


def _options(given: list[str]) -> dict[str, str]:
    for option in given:
        name, equals, _ = option.partition("=")
        if not equals or not name:
            raise CommandError(f"invalid key/value pair format in driver options: {option}")
    return dict(pair(option) for option in given)


def _connect(context: Context, values: Values, arguments: list[str]) -> None:
    network, container = arguments
    try:
        config = endpoint(
            {
                "ip": values.text("ip"),
                "ip6": values.text("ip6"),
                "link-local-ip": values.list("link-local-ip"),
                "alias": values.list("alias"),
                "link": values.list("link"),
                "driver-opt": _options(values.list("driver-opt")),
                "gw-priority": values.number("gw-priority"),
            },
        )
    except ValueError as wrong:
        raise CommandError(str(wrong)) from wrong
    context.client.post(f"/networks/{network}/connect", None, {"Container": container, "EndpointConfig": config})


def _disconnect(context: Context, values: Values, arguments: list[str]) -> None:
    network, container = arguments
    body = {"Container": container, "Force": values.switch("force")}
    context.client.post(f"/networks/{network}/disconnect", None, body)


CONNECT = Command(
    "[OPTIONS] NETWORK CONTAINER",
    _connect,
    (
        several("alias", "Add network-scoped alias for the container", kind="strings"),
        several("driver-opt", "driver options for the network", kind="strings"),
        number(
            "gw-priority",
            "Highest gw-priority provides the default gateway. Accepts positive and negative values.",
        ),
        text("ip", 'IPv4 address (e.g., "172.30.100.104")'),
        text("ip6", 'IPv6 address (e.g., "2001:db8::33")'),
        several("link", "Add link to another container", parse=link, completes="containers"),
        several("link-local-ip", "Add a link-local address for the container", kind="strings"),
    ),
    TWO,
    completes="networks,containers",
)
DISCONNECT = Command(
    "[OPTIONS] NETWORK CONTAINER",
    _disconnect,
    (switch("force", "Force the container to disconnect from a network", "f"),),
    TWO,
    completes="networks,containers",
)
