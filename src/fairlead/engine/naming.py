"""What a sandbox is told of names: its view of the embedded DNS, --link; the files hostname, hosts, resolv.conf."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from msgspec import structs

from fairlead.dns.view import View
from fairlead.engine import files
from fairlead.engine.modes import joined, network_mode
from fairlead.errors import EngineError
from fairlead.model.container import Container
from fairlead.model.endpoint import Endpoint
from fairlead.net.upstreams import upstreams

if TYPE_CHECKING:
    from fairlead.engine.core import Engine


class Naming:
    """Follows from records alone; told to the resolver process and written where the container reads it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    # -- names ------------------------------------------------------------------------------------------------------

    def view(self, container: Container) -> View:
        """Which networks' names this sandbox sees, in gateway order, and whom it asks about the rest."""
        settings, host = self._engine.settings, container.host
        named = [
            endpoint.network
            for endpoint in _gateways_first(container)
            if (network := self._engine.networks.get(endpoint.network)) is not None and network.name != "bridge"
        ]
        internal = all(
            network.spec.internal
            for endpoint in container.endpoints
            if (network := self._engine.networks.get(endpoint.network)) is not None
        )
        asked = host.dns or self._network_servers(container) or settings.dns
        options = host.dns_options or settings.dns_options
        return View(
            networks=tuple(named),
            aliases=self._link_aliases(container),
            upstreams=tuple(asked),
            from_sandbox=bool(asked),
            forward=not internal or bool(asked),
            ndots_set=any(option.startswith("ndots:") for option in options),
        )

    def _network_servers(self, container: Container) -> tuple[str, ...]:
        """Of the first network, in gateway order, that has servers of its own, or was given some from outside."""
        for endpoint in _gateways_first(container):
            network = self._engine.networks.get(endpoint.network)
            own = upstreams(network.spec) if network is not None else ()
            if servers := own or tuple(map(str, endpoint.outside.nameservers)):
                return servers
        return ()

    def _link_aliases(self, container: Container) -> dict[str, tuple[str, ...]]:
        """``--link other:alias`` on user networks: the alias stands for the other's addresses there."""
        aliases: dict[str, tuple[str, ...]] = {}
        for link in self.links(container):
            other, alias = link
            shared = {endpoint.network for endpoint in container.endpoints}
            addresses = tuple(
                str(interface.ip)
                for endpoint in other.endpoints
                if endpoint.network in shared
                for interface in endpoint.addresses
            )
            if addresses:
                aliases[alias] = addresses
        return aliases

    def links(self, container: Container) -> list[tuple[Container, str]]:
        """(other container, alias) for every --link, network-scoped ones included."""
        asked = [*(container.host.links or ())]
        for spec in container.spec.networks.values():
            asked += spec.links
        found = []
        for link in dict.fromkeys(asked):
            name, _, alias = link.partition(":")
            if (other := self._engine.index.get(name)) is not None:
                found.append((other, (alias or other.name).rsplit("/", 1)[-1]))
        return found

    async def refresh_links(self, started: Container) -> None:
        """Containers that link to this one learn its new addresses."""
        for other in self._engine.store.containers:
            linked = (
                *(other.host.links or ()),
                *(link for spec in other.spec.networks.values() for link in spec.links),
            )
            if not linked or other.id == started.id or not self._engine.sandboxes.is_open(other.id):
                continue
            if any(target.id == started.id for target, _ in self.links(other)):
                await self._engine.resolver.set_view(other.id, self.view(other))
                self.write_files(other)

    async def follow_rename(self, old: str, new: str) -> None:
        """Containers that link to the one that was ``old`` link to ``new`` from now on, under the alias they had."""
        for other in self._engine.store.containers:
            if _relinked(other, old, new) == other:
                continue
            async with self._engine.locks[other.id]:
                current = self._engine.store.containers.get(other.id)
                if current is None:
                    continue
                current = self._engine.index.save(_relinked(current, old, new))
                if self._engine.sandboxes.is_open(current.id):
                    await self._engine.resolver.set_view(current.id, self.view(current))
                    self.write_files(current)

    # -- files ------------------------------------------------------------------------------------------------------

    def write_files(self, container: Container) -> None:
        """hostname, hosts, resolv.conf, in place. A container that joins another's sandbox uses the other's."""
        if joined(container) is not None:
            return
        files.write_in_place(container.hostname_path, f"{container.config.hostname or os.uname().nodename}\n")
        files.write_in_place(container.hosts_path, self._hosts(container))
        files.write_in_place(container.resolv_conf_path, files.render_resolv_conf(self._resolv_conf(container)))

    def _hosts(self, container: Container) -> str:
        extra = [line for entry in container.host.extra_hosts or () for line in self._extra_host(entry)]
        if network_mode(container) == "host":
            with contextlib.suppress(OSError), open("/etc/hosts", encoding="utf-8", errors="replace") as file:
                return file.read() + "".join(f"{address}\t{name}\n" for address, name in extra)
        names = files.host_names(container.config.hostname, container.config.domainname)
        entries = list(extra)
        for other, alias in self.links(container):
            for endpoint in other.endpoints:
                network = self._engine.networks.get(endpoint.network)
                if network is not None and network.name == "bridge":
                    linked = " ".join(dict.fromkeys((alias, other.config.hostname, other.name)))
                    entries += [(str(interface.ip), linked) for interface in endpoint.addresses]
        entries += [(str(interface.ip), names) for endpoint in container.endpoints for interface in endpoint.addresses]
        ipv6 = any(interface.version == 6 for endpoint in container.endpoints for interface in endpoint.addresses)
        return files.render_hosts(entries, ipv6=ipv6)

    def _extra_host(self, entry: str) -> Sequence[tuple[str, str]]:
        name, _, address = entry.partition("=") if "=" in entry else entry.partition(":")
        if address == "host-gateway":
            return [(own, name) for own in self._host_gateways()]
        return [(address.strip("[]"), name)]

    def check_hosts(self, container: Container) -> None:
        """Raises for a ``host-gateway`` that nobody can say the address of."""
        asked = (entry.replace("=", ":", 1).partition(":")[2] for entry in container.host.extra_hosts or ())
        if "host-gateway" in asked and not self._host_gateways():
            raise EngineError(
                "unable to derive the IP value for host-gateway: there is no default bridge, and the daemon has no "
                "--host-gateway-ip"
            )

    def _host_gateways(self) -> Sequence[str]:
        """As the daemon's flags say, else the addresses of the default bridge."""
        if asked := self._engine.settings.host_gateway_ips:
            return [str(address) for address in asked]
        bridge = next((n for n in self._engine.store.networks if n.name == "bridge"), None)
        subnets = bridge.subnets if bridge is not None else ()
        return [str(subnet.gateway) for subnet in subnets if subnet.gateway is not None]

    def _resolv_conf(self, container: Container) -> files.ResolvConf:
        settings, host = self._engine.settings, container.host
        base = files.host_resolv_conf()
        conf = files.ResolvConf(
            servers=tuple(host.dns or self._network_servers(container) or settings.dns or base.servers),
            search=tuple(host.dns_search or _given_search(container) or settings.dns_search or base.search),
            options=tuple(host.dns_options or settings.dns_options or base.options),
        )
        if network_mode(container) == "host":
            return conf
        if self.view(container).networks:
            return files.with_embedded_dns(conf)
        return replace(conf, servers=files.reachable(conf.servers))


def _gateways_first(container: Container) -> list[Endpoint]:
    return sorted(container.endpoints, key=lambda endpoint: not (endpoint.gateway4 or endpoint.gateway6))


def _given_search(container: Container) -> list[str]:
    given = (domain for endpoint in _gateways_first(container) for domain in endpoint.outside.search)
    return list(dict.fromkeys(given))


def _relinked(container: Container, old: str, new: str) -> Container:
    spec = container.spec
    networks = {
        network: replace(endpoint, links=tuple(_relink(link, old, new) for link in endpoint.links))
        for network, endpoint in spec.networks.items()
    }
    links = spec.host.links and tuple(_relink(link, old, new) for link in spec.host.links)
    return replace(container, spec=replace(spec, networks=networks, host=structs.replace(spec.host, links=links)))


def _relink(link: str, old: str, new: str) -> str:
    name, _, alias = link.partition(":")
    return f"{new}:{alias or old}" if name.lstrip("/") == old else link
