"""The driver of networks that a CNI chain makes: its plugins own the links, the engine the default routes.

Everything else in the kernel is the plugins' business. Default routes are not: with several networks in one sandbox
only the engine knows which of them leads out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fairlead.errors import InvalidArgument
from fairlead.model.endpoint import Endpoint
from fairlead.model.host import HostFacts
from fairlead.model.network import DNS, Network, NetworkSpec
from fairlead.net.drivers import inside
from fairlead.net.drivers.options import IFACE_PREFIX
from fairlead.net.shaping import is_option
from fairlead.net.state import Fact, Link, LinkKind, State
from fairlead.net.world import World

NAME = "cni"

# Options of a network: which configuration it is, and CNI_ARGS (K=V;K=V) for plugins that want some.
CONFLIST = "conflist"
ARGUMENTS = "args"

_KNOWN = frozenset({CONFLIST, ARGUMENTS, IFACE_PREFIX, DNS})


def check(spec: NetworkSpec, host: HostFacts) -> None:  # noqa: ARG001 (the signature of every driver)
    """Raise for what a chain of plugins cannot be told."""
    if not spec.options.get(CONFLIST):
        raise InvalidArgument(
            f"the cni driver needs -o {CONFLIST}=NAME: a network of its configuration directory, or an absolute path"
        )
    if strange := sorted(option for option in spec.options if option not in _KNOWN and not is_option(option)):
        raise InvalidArgument(f"the cni driver has no option {strange[0]}: it has {', '.join(sorted(_KNOWN))}")
    if spec.internal:
        raise InvalidArgument("a CNI network cannot be internal: what leads out of it is in its plugins' configuration")
    if any(config.aux for config in spec.ipam):
        raise InvalidArgument("a CNI network has no auxiliary addresses: reserve them in its plugins' configuration")
    check_arguments(spec.options.get(ARGUMENTS, ""))


def check_arguments(text: str) -> None:
    """Raise for CNI_ARGS that are not K=V;K=V."""
    for part in text.split(";") if text else ():
        key, equals, _ = part.partition("=")
        if not equals or not key or not part.isprintable():
            raise InvalidArgument(f"{ARGUMENTS}: {part!r} is not KEY=VALUE; several are separated by semicolons")


def gatewayless(spec: NetworkSpec) -> frozenset[int]:  # noqa: ARG001
    """The plugins choose."""
    return frozenset()


def bridge_name(network: Network) -> str:  # noqa: ARG001
    """The plugins know."""
    return ""


def network_wants(network: Network, world: World) -> State:  # noqa: ARG001
    return frozenset()


def endpoint_wants(network: Network, endpoint: Endpoint, world: World) -> State:  # noqa: ARG001
    return frozenset()


def wants(network: Network, endpoints: Sequence[Endpoint], world: World) -> State:  # noqa: ARG001
    return frozenset()


def sandbox_wants(network: Network, endpoint: Endpoint, world: World) -> State:  # noqa: ARG001
    """Once the plugins have made the interface: that it is up, and the default routes if they are this endpoint's."""
    if endpoint.outside.gateways is None:
        return frozenset()
    return frozenset(_facts(network, endpoint))


def _facts(network: Network, endpoint: Endpoint) -> Iterator[Fact]:
    yield Link(ns=endpoint.container, name=endpoint.ifname, kind=LinkKind.VETH, adopted=True)
    yield from inside.default_routes(network, endpoint)
    yield from inside.sysctls(endpoint)
