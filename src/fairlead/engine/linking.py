"""--link on the default bridge with ICC off: the linked container's exposed ports are let through, and nothing else.

The ports of such a bridge are isolated from each other. The host answers their ARP requests for each other and routes
what they send (``proxy_arp_pvlan``, as in RFC 3069), so that the firewall sees it and drops it unless there is a link.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fairlead.model.container import Container
from fairlead.model.endpoint import Endpoint
from fairlead.model.network import Network
from fairlead.net import firewall, ports
from fairlead.net.drivers.options import parse_options
from fairlead.net.state import Element

if TYPE_CHECKING:
    from fairlead.engine.core import Engine


def facts(engine: Engine, network: Network, endpoint: Endpoint) -> Iterator[Element]:
    """What links from and to this endpoint's container want; either side says it, so it goes with the first of them."""
    if network.name != "bridge" or parse_options(network.spec).icc:
        return
    own = engine.store.containers.get(endpoint.container)
    for identifier, other in engine.index.endpoints(network.id).items():
        container = engine.store.containers.get(identifier)
        if own is None or container is None or identifier == own.id or not engine.sandboxes.is_open(identifier):
            continue
        if _links(own, container):
            yield from _let_through(endpoint, other, container)
        if _links(container, own):
            yield from _let_through(other, endpoint, own)


def _links(parent: Container, child: Container) -> bool:
    asked = {link.partition(":")[0].lstrip("/") for link in parent.host.links or ()}
    return child.name in asked or any(child.id.startswith(each) for each in asked if len(each) >= _SHORT)


_SHORT = 12


def _let_through(parent: Endpoint, child: Endpoint, owner: Container) -> Iterator[Element]:
    exposed = [port for text in owner.config.exposed_ports or {} for port in ports.parse_exposed(text)]
    return firewall.link_elements(parent, child, exposed)
