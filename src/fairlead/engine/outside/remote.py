"""Network plugins: they make a network's links on the host, the engine moves one into each sandbox."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from ipaddress import ip_network
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from fairlead.engine.outside.ipam import space_of
from fairlead.engine.outside.party import Outside
from fairlead.errors import PluginError, PluginLacks, PluginRefused
from fairlead.kernel.netns import Namespace
from fairlead.model.address import Interface, Ip
from fairlead.model.container import Container
from fairlead.model.endpoint import Endpoint, EndpointSpec
from fairlead.model.network import Network, Subnet
from fairlead.model.plugin import DriverAbilities, InterfaceChoice, IpamData, JoinChoice
from fairlead.net import ports
from fairlead.net.gateway import IFNAME
from fairlead.plugins.channel import Message
from fairlead.wire import plugins as words

if TYPE_CHECKING:
    from fairlead.engine.core import Engine

T = TypeVar("T")

KEY = "driver"

_LONGEST_INFO = 16 << 10

_EVERYWHERE = (ip_network("0.0.0.0/0"), ip_network("::/0"))


class _Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far an endpoint has come with its plugin; kept as text in its record."""

    programmed: bool = False


class NetworkPlugin(Outside):
    """The party for ``--driver NAME``."""

    publishes = True

    def __init__(self, engine: Engine, name: str) -> None:
        self._engine, self._name = engine, name
        self._known: tuple[int, DriverAbilities] | None = None

    async def _ask(self, call: str, message: Message, read: Callable[[bytes], T]) -> T:
        return await self._engine.plugins.call(self._name, f"NetworkDriver.{call}", message, read)

    async def abilities(self) -> DriverAbilities:
        """Asked once of each program that takes up this name."""
        generation = await self._engine.plugins.generation(self._name)
        if self._known is None or self._known[0] != generation:
            found = await self._ask("GetCapabilities", {}, words.driver_abilities)
            self._known = generation, found
        return self._known[1]

    # -- networks ---------------------------------------------------------------------------------------------------

    async def skipped_gateways(self, network: Network) -> frozenset[int]:
        """The IP versions in which this network needs no gateway address."""
        if not (await self.abilities()).checks_gateways:
            return frozenset()
        return await self._ask("GwAllocCheck", {"Options": _options(network)}, words.skipped_gateways)

    async def create_network(self, network: Network) -> Network:
        scope = (await self.abilities()).scope
        skipped = await self.skipped_gateways(network)
        network = replace(
            network,
            spec=replace(network.spec, scope=scope),
            subnets=tuple(_without_gateway(network, subnet, skipped) for subnet in network.subnets),
        )
        request = {"NetworkID": network.id, "Options": _options(network), **words.ipam_request(_data(network))}
        await self._ask("CreateNetwork", request, words.nothing)
        return network

    async def remove_network(self, network: Network) -> None:
        await self._ask("DeleteNetwork", {"NetworkID": network.id}, words.nothing)

    # -- endpoints --------------------------------------------------------------------------------------------------

    async def create_endpoint(
        self, network: Network, endpoint: Endpoint, spec: EndpointSpec, container: Container
    ) -> Endpoint:
        """What is decided already is told; the plugin may decide the rest."""
        mac = spec.mac
        if not mac and await self._engine.outside.need_mac(network.spec):
            mac = endpoint.mac
        request = {
            **_ids(endpoint),
            "Interface": words.interface_request(endpoint.addresses, mac),
            "Options": {**spec.options, **_ports(container)},
        }
        choice = await self._ask("CreateEndpoint", request, words.interface_choice)
        self._check_choice(endpoint, choice, mac)
        versions = {address.version for address in endpoint.addresses}
        added = tuple(address for address in choice.addresses if address.version not in versions)
        return replace(endpoint, addresses=(*endpoint.addresses, *added), mac=mac or choice.mac)

    def _check_choice(self, endpoint: Endpoint, choice: InterfaceChoice, mac: str) -> None:
        given: dict[int, Interface] = {address.version: address for address in endpoint.addresses}
        for address in choice.addresses:
            if given.get(address.version, address) != address:
                raise PluginError(
                    f"plugin {self._name}: NetworkDriver.CreateEndpoint: driver modified interface address: "
                    f"{given[address.version]} was given, {address} came back"
                )
        if mac and choice.mac not in ("", mac):
            raise PluginError(
                f"plugin {self._name}: NetworkDriver.CreateEndpoint: driver modified interface MAC address: "
                f"{mac} was given, {choice.mac} came back"
            )

    async def join(
        self,
        network: Network,
        endpoint: Endpoint,
        container: Container,
        namespace: Namespace,
    ) -> Endpoint:
        request = {**_ids(endpoint), "SandboxKey": container.sandbox_key, "Options": _ports(container)}
        choice = await self._ask("Join", request, words.join_choice)
        routes = tuple(route for route in choice.routes if route.prefix not in _EVERYWHERE)
        gateways = _gateways(choice)
        leads_out = bool(gateways) or len(routes) != len(choice.routes)
        spec = container.spec.networks.get(network.name) or EndpointSpec()
        return replace(
            endpoint,
            ifname=_name_inside(endpoint, choice, container, spec),
            outside=replace(
                endpoint.outside,
                link=choice.link,
                gateways=gateways,
                routes=routes,
                needs_way_out=choice.gateway_service and not leads_out and not network.spec.internal,
            ),
        )

    async def linked(
        self,
        network: Network,
        endpoint: Endpoint,
        container: Container,
        namespace: Namespace,
    ) -> Endpoint:
        """The link has a MAC, whoever chose it."""
        if endpoint.mac or not endpoint.outside.link:
            return endpoint
        found = namespace.netlink.link(endpoint.ifname)
        return endpoint if found is None else replace(endpoint, mac=found.mac)

    async def rerouted(self, network: Network, endpoint: Endpoint, container: Container) -> Endpoint:
        """Who leads the container out also publishes its ports."""
        carries, progress = endpoint.gateway4 or endpoint.gateway6, _progress(endpoint)
        if carries and not progress.programmed:
            await self._ask_if_known("ProgramExternalConnectivity", {**_ids(endpoint), "Options": _ports(container)})
            endpoint = _with(endpoint, _Progress(programmed=True))
        elif progress.programmed and not carries:
            await self._ask_if_known("RevokeExternalConnectivity", _ids(endpoint))
            endpoint = _with(endpoint, _Progress())
        info = await self._info(endpoint)
        published = words.shown_ports(info) if carries else ()
        return replace(endpoint, outside=replace(endpoint.outside, shown=_shown(info), published=published))

    async def _info(self, endpoint: Endpoint) -> dict[str, Any]:
        try:
            return await self._ask("EndpointOperInfo", _ids(endpoint), words.endpoint_info)
        except PluginLacks:
            return {}

    async def _ask_if_known(self, call: str, message: Message) -> None:
        """Of calls that older plugins lack."""
        try:
            await self._ask(call, message, words.nothing)
        except PluginLacks:
            return

    async def leave(self, network: Network, endpoint: Endpoint, namespace: Namespace | None) -> None:
        failure: PluginRefused | None = None
        # Who carries a default route was to publish: how far that came is not known after a crash.
        if _progress(endpoint).programmed or endpoint.gateway4 or endpoint.gateway6:
            try:
                await self._ask_if_known("RevokeExternalConnectivity", _ids(endpoint))
            except PluginRefused as error:
                failure = error
        await self._ask("Leave", _ids(endpoint), words.nothing)
        if failure is not None:
            raise failure

    async def remove_endpoint(self, network: Network, endpoint: Endpoint) -> None:
        await self._ask("DeleteEndpoint", _ids(endpoint), words.nothing)


def _ids(endpoint: Endpoint) -> dict[str, Any]:
    return {"NetworkID": endpoint.network, "EndpointID": endpoint.id}


def _options(network: Network) -> dict[str, Any]:
    spec = network.spec
    return words.network_options(spec.options, ipv4=spec.enable_ipv4, ipv6=spec.enable_ipv6, internal=spec.internal)


def _without_gateway(network: Network, subnet: Subnet, skipped: frozenset[int]) -> Subnet:
    """One that the user asked for stays."""
    asked = any(config.gateway == subnet.gateway for config in network.spec.ipam if config.gateway is not None)
    return subnet if asked or subnet.prefix.version not in skipped else replace(subnet, gateway=None)


def _data(network: Network) -> Sequence[IpamData]:
    if not network.subnets and network.spec.ipam_driver == "null":
        return (IpamData(space="null", pool=_EVERYWHERE[0], gateway=None),)
    space = space_of(network)
    return [
        IpamData(
            space=space,
            pool=subnet.prefix,
            gateway=None if subnet.gateway is None else words.interface(subnet.gateway, subnet.prefix),
            aux=tuple((name, words.interface(address, subnet.prefix)) for name, address in subnet.aux.items()),
        )
        for subnet in network.subnets
    ]


def _ports(container: Container) -> dict[str, Any]:
    exposed = [port for text in container.config.exposed_ports or {} for port in ports.parse_exposed(text)]
    published = [request.container for request in container.spec.ports]
    return words.port_options(list(dict.fromkeys((*exposed, *published))), container.spec.ports)


def _gateways(choice: JoinChoice) -> tuple[Ip, ...]:
    """Those named as gateways, and the next hops of static routes to everywhere."""
    versions = {gateway.version for gateway in choice.gateways}
    hops = [route.via for route in choice.routes if route.prefix in _EVERYWHERE and route.via is not None]
    return (*choice.gateways, *(hop for hop in hops if hop.version not in versions))


def _name_inside(endpoint: Endpoint, choice: JoinChoice, container: Container, spec: EndpointSpec) -> str:
    """As the user asked, as the plugin says, or the plugin's prefix with the first free number."""
    taken = {other.ifname for other in container.endpoints if other.id != endpoint.id}
    if spec.options.get(IFNAME):
        return endpoint.ifname
    if choice.name and choice.name not in taken:
        return choice.name
    if choice.prefix:
        return next(name for number in count() if (name := f"{choice.prefix[:12]}{number}") not in taken)
    return endpoint.ifname


def _shown(info: Mapping[str, Any]) -> dict[str, str]:
    """What plugins say of an endpoint is for people to read: text as it is, all else as JSON; nothing without end."""
    shown = {name: value if isinstance(value, str) else json.dumps(value) for name, value in info.items()}
    return shown if sum(map(len, (*shown, *shown.values()))) <= _LONGEST_INFO else {}


def _progress(endpoint: Endpoint) -> _Progress:
    text = endpoint.outside.data.get(KEY, "")
    return msgspec.json.decode(text, type=_Progress) if text else _Progress()


def _with(endpoint: Endpoint, progress: _Progress) -> Endpoint:
    data = {**endpoint.outside.data, KEY: msgspec.json.encode(progress).decode()}
    return replace(endpoint, outside=replace(endpoint.outside, data=data))
