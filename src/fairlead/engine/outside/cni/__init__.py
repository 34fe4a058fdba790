"""CNI chains as a party to networks: ``docker network create -d cni -o conflist=NAME``.

An endpoint's record says what its plugins were told and what they answered, so that CHECK and DEL say the same again,
whatever became of the configuration meanwhile. It is there before the first plugin runs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from fairlead.engine.outside.cni.files import load
from fairlead.engine.outside.cni.gate import Gate
from fairlead.engine.outside.cni.running import Chains, told_of
from fairlead.engine.outside.party import Outside
from fairlead.errors import EngineError, InvalidArgument
from fairlead.ids import ContainerId
from fairlead.kernel import defaults, netns
from fairlead.kernel.netns import Namespace
from fairlead.model import codec
from fairlead.model.container import Container
from fairlead.model.endpoint import Endpoint, EndpointSpec
from fairlead.model.network import Network, Subnet
from fairlead.model.views import Checked, NetworkChecked
from fairlead.net.cni.call import Attached, arguments, runtime_config
from fairlead.net.cni.conflist import NetworkList
from fairlead.net.cni.result import Result
from fairlead.net.cni.wishes import BANDWIDTH, PORT_MAPPINGS, check, check_served, configured_subnets, wishes_of
from fairlead.net.drivers.cni import ARGUMENTS, CONFLIST, NAME

if TYPE_CHECKING:
    from fairlead.engine.core import Engine


class Cni(Outside):
    """Networks with the driver ``cni``. Addresses are the plugins' choice."""

    addresses = True

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._chains = Chains(engine.settings)
        self._gates: defaultdict[str, Gate] = defaultdict(Gate)

    def _load(self, network: Network) -> NetworkList:
        """The configuration as it is now: whoever keeps it may have changed it since."""
        return load(self._engine.settings.cni_conf_dir, network.spec.options[CONFLIST])

    # -- a network --------------------------------------------------------------------------------------------------

    async def create_network(self, network: Network) -> Network:
        """Its configuration can be read, its plugins are there and speak a version of ours."""
        chain = self._load(network)
        with told_of(chain.name):
            await self._chains.version(chain)
        asked = tuple(Subnet(prefix=c.subnet, gateway=c.gateway) for c in network.spec.ipam if c.subnet is not None)
        check({"ipRanges": asked} if asked else {}, chain)
        return replace(network, subnets=asked or tuple(configured_subnets(chain)))

    async def resume(self, network: Network, endpoints: Sequence[tuple[Endpoint, Namespace]]) -> None:
        """What plugins hold for containers that ended while nobody looked is given back."""
        chain = self._load(network)
        async with self._gates[chain.name].alone():
            with told_of(chain.name):
                await self._chains.collect(chain, await self._chains.version(chain), self._valid(chain.name))

    def _valid(self, chain: str) -> list[tuple[str, str]]:
        """Container and interface of everything recorded on networks of that configuration."""
        endpoints = (endpoint for container in self._engine.store.containers for endpoint in container.endpoints)
        known = (attached for endpoint in endpoints if (attached := _attached(endpoint)) is not None)
        return [(attached.container, attached.ifname) for attached in known if attached.chain == chain]

    # -- an endpoint ------------------------------------------------------------------------------------------------

    async def create_endpoint(
        self, network: Network, endpoint: Endpoint, spec: EndpointSpec, container: Container
    ) -> Endpoint:
        """What the plugins will be told, recorded."""
        chain = self._load(network)
        if self._publishes(network, container):
            endpoint = self._engine.sandboxes.claims.claim_at(container, endpoint)
        wishes = wishes_of(network, endpoint, spec, container)
        asked = runtime_config(wishes)
        check(asked, chain)
        with told_of(chain.name):
            version = await self._chains.version(chain)
        attached = Attached(
            network=network.id,
            container=container.id,
            ifname=endpoint.ifname,
            netns=container.sandbox_key,
            chain=chain.name,
            version=version,
            plugins=tuple(plugin.text for plugin in chain.plugins),
            runtime=msgspec.json.encode(asked).decode(),
            arguments=arguments(network.spec.options.get(ARGUMENTS, ""), wishes, chain.capabilities),
            disable_check=chain.disable_check,
        )
        outside = replace(endpoint.outside, holds_ports=True, holds_rates=BANDWIDTH in chain.capabilities)
        # MAC and links are the plugins' to choose, unless they are told.
        return _with(replace(endpoint, mac=spec.mac, host_ifname="", outside=outside), attached)

    def _publishes(self, network: Network, container: Container) -> bool:
        """Whether the container's ports are this network's: of several, the first that can has them.

        On a bridge network of ours, or where they are published already, the engine publishes them itself.
        """
        if any(endpoint.published for endpoint in container.endpoints):
            return False
        found = [self._engine.networks.get(endpoint.network) for endpoint in container.endpoints]
        known = [other for other in found if other is not None]
        if any(other.driver == "bridge" and not other.spec.internal for other in known):
            return False
        mine = [other for other in known if other.driver == NAME]
        able = [other for other in mine if PORT_MAPPINGS in self._load(other).capabilities]
        return (able or mine)[0].id == network.id

    async def join(self, network: Network, endpoint: Endpoint, container: Container, namespace: Namespace) -> Endpoint:
        """ADD; what the plugins answered, and where default routes led, is the endpoint's."""
        attached = _found(endpoint)
        chain = self._load(network)
        async with self._gates[attached.chain].beside_others():
            with told_of(attached.chain):
                await self._chains.status(chain, attached.version)
                answer = await self._chains.add(attached)
        endpoint = _with(endpoint, replace(attached, result=answer.text, inode=namespace.inode))
        endpoint = _completed(endpoint, answer, attached.chain, namespace)
        spec = container.spec.networks.get(network.name) or EndpointSpec()
        check_served(spec, endpoint, attached.chain)
        return endpoint

    async def leave(self, network: Network, endpoint: Endpoint, namespace: Namespace | None) -> None:
        """DEL, whatever became of ADD."""
        attached = _attached(endpoint)
        if attached is None or self._is_succeeded(endpoint, attached):
            return
        attached = replace(attached, netns=self._namespace_path(attached, namespace))
        async with self._gates[attached.chain].beside_others():
            with told_of(attached.chain):
                await self._chains.delete(attached)

    def _is_succeeded(self, endpoint: Endpoint, attached: Attached) -> bool:
        """Whether its container was let in again, in the same place: plugins know the one by the other's name."""
        container = self._engine.store.containers.get(endpoint.container)
        others = (each for each in container.endpoints if each.id != endpoint.id) if container is not None else ()
        known = (mine for each in others if (mine := _attached(each)) is not None)
        return any((mine.chain, mine.ifname) == (attached.chain, attached.ifname) for mine in known)

    def _namespace_path(self, attached: Attached, namespace: Namespace | None) -> str:
        """Where plugins find the sandbox now; "" when it is gone, and with it all that they would clean up in it.

        What another daemon left is still pinned; what is pinned for the container by now may be another one.
        """
        if namespace is not None:
            return namespace.path
        pin = netns.read_pin(self._engine.settings.exec_root, ContainerId(attached.container))
        if pin is None or not pin.stands() or self._engine.sandboxes.is_open(ContainerId(attached.container)):
            return ""
        return pin.path if attached.inode in (0, pin.inode) else ""

    # -- looking ----------------------------------------------------------------------------------------------------

    async def check(self, ref: str) -> NetworkChecked:
        """STATUS and CHECK: what the plugins of a network find wrong with it, and with each container on it."""
        view = self._engine.networks.view(self._engine.networks.find(ref))
        if view.network.driver != NAME:
            raise InvalidArgument(
                f"network {view.network.name} is not made by CNI plugins: the engine itself watches over it"
            )
        complaint = await _complaint(self._check_network(view.network))
        checked = [Checked(name=name, endpoint=e, complaint=await self._examined(e)) for name, e in view.endpoints]
        return NetworkChecked(network=view.network, complaint=complaint, endpoints=checked)

    async def _check_network(self, network: Network) -> None:
        chain = self._load(network)
        with told_of(chain.name):
            await self._chains.status(chain, await self._chains.version(chain))

    async def _examined(self, endpoint: Endpoint) -> str:
        """No plugin is asked two things about one container at a time."""
        async with self._engine.locks[endpoint.container]:
            current = self._engine.index.endpoints(endpoint.network).get(endpoint.container)
            if current is None or current.id != endpoint.id:
                return ""  # it went meanwhile
            return await _complaint(self._check_endpoint(current))

    async def _check_endpoint(self, endpoint: Endpoint) -> None:
        attached = _found(endpoint)
        async with self._gates[attached.chain].beside_others():
            with told_of(attached.chain):
                await self._chains.check(attached)


async def _complaint(check: Awaitable[None]) -> str:
    try:
        await check
    except EngineError as error:
        return str(error)
    return ""


def _completed(endpoint: Endpoint, answer: Result, chain: str, namespace: Namespace) -> Endpoint:
    """With what is in the sandbox now."""
    link = namespace.netlink.link(endpoint.ifname)
    if link is None:
        raise EngineError(f"CNI network {chain}: its plugins succeeded, and made no interface {endpoint.ifname}")
    found = tuple(defaults.take_over(namespace, link))
    outside = replace(endpoint.outside, gateways=found, nameservers=answer.dns.servers, search=answer.dns.domains)
    addresses = tuple(each.address for each in answer.of(endpoint.ifname))
    return replace(endpoint, mac=link.mac, addresses=addresses, outside=outside)


def _with(endpoint: Endpoint, attached: Attached) -> Endpoint:
    said = {**endpoint.outside.data, NAME: codec.encode(attached).decode()}
    return replace(endpoint, outside=replace(endpoint.outside, data=said))


def _attached(endpoint: Endpoint) -> Attached | None:
    said = endpoint.outside.data.get(NAME)
    return None if said is None else codec.decode(said, Attached)


def _found(endpoint: Endpoint) -> Attached:
    attached = _attached(endpoint)
    if attached is None:
        raise EngineError(f"the record of endpoint {endpoint.id} does not say what its CNI plugins were told")
    return attached
