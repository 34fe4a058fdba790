"""A container's addresses told to its neighbours, which may still take them for those of a container before it.

Once when its port on the bridge lets frames through (the kernel's own ``arp_notify`` speaks when the link comes up:
too early, nobody hears it), and again in the time that the network's options say. Nobody waits for it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from typing import TYPE_CHECKING

from fairlead.kernel import adverts
from fairlead.model.endpoint import Endpoint
from fairlead.net.drivers.options import BridgeOptions, parse_options

if TYPE_CHECKING:
    from fairlead.engine.core import Engine


# Seconds between looks at a port that was plugged in a moment ago; the kernel takes some milliseconds.
_LOOKS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)


def tell(engine: Engine, endpoints: Iterable[Endpoint]) -> None:
    """Of endpoints that have just been joined."""
    for endpoint in endpoints:
        network = engine.networks.get(endpoint.network)
        if network is None or not endpoint.addresses:
            continue
        options = parse_options(network.spec)
        if options.adverts:
            engine.spawn(_tell(engine, endpoint, options), f"adverts of {endpoint.ifname} in {endpoint.container[:12]}")


async def _tell(engine: Engine, endpoint: Endpoint, options: BridgeOptions) -> None:
    await _plugged_in(engine, endpoint)
    for number in range(options.adverts):
        if number:
            await asyncio.sleep(options.advert_interval)
        namespace = engine.sandboxes.namespace(endpoint.container)
        joined = engine.index.endpoints(endpoint.network).get(endpoint.container)
        if namespace is None or joined is None or joined.id != endpoint.id:
            return
        # The link may be down or renamed by whoever is inside: it is theirs.
        with contextlib.suppress(OSError):
            adverts.send(namespace, endpoint.ifname, [interface.ip for interface in joined.addresses])


async def _plugged_in(engine: Engine, endpoint: Endpoint) -> None:
    """Until its port is open, or it is clear that it will not be; what is on no bridge has none to wait for."""
    for pause in _LOOKS:
        if not engine.kernel.is_shut(endpoint.host_ifname):
            return
        await asyncio.sleep(pause)
