"""The resolver: every sandbox's sockets, what each may see, and who is asked about the rest."""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Iterable, Iterator, Sequence
from functools import partial

from fairlead.dns import message, resolver
from fairlead.dns.hostconf import Upstream, parse_servers
from fairlead.dns.learning import Learner
from fairlead.dns.listeners import Memo, StreamListener, datagram_reader
from fairlead.dns.loop import Loop
from fairlead.dns.message import DnsError
from fairlead.dns.netns import enlarge, open_here, opener
from fairlead.dns.resolver import Elsewhere
from fairlead.dns.upstream import Asker, Forwarder, Peer, Send
from fairlead.dns.view import EndpointNames, Lesson, View
from fairlead.dns.zone import Zone

# Questions remembered for each view, and how long they and their answers may be: a container that makes questions up
# shall not fill our memory.
_REMEMBERED = 1024
_LONGEST_REMEMBERED = 320
_LARGEST_REMEMBERED = 8192
# Source ports at a time, and answers kept: for all sandboxes together, and for one with servers of its own.
_SHARED_WIDTH, _SHARED_KEPT = 8, 4096
_OWN_WIDTH, _OWN_KEPT = 2, 256

_ViewKey = tuple[object, ...]


class _Scope:
    """One view, and what was answered through it: sandboxes that see the same names share it."""

    __slots__ = ("aliases", "key", "memo", "users", "view")

    def __init__(self, key: _ViewKey, view: View) -> None:
        self.key, self.view = key, view
        self.aliases = resolver.compile_aliases(view)
        self.memo: Memo = {}
        self.users = 0


class _Sandbox(Asker):
    """One container's end: its sockets, which belong to us, and the scope it asks in."""

    __slots__ = ("forwarder", "netns_fd", "scope", "streams", "tcp", "udp")

    def __init__(self, udp: socket.socket, tcp: socket.socket, netns_fd: int, scope: _Scope) -> None:
        super().__init__()
        self.udp, self.tcp, self.netns_fd, self.scope = udp, tcp, netns_fd, scope
        self.streams: StreamListener | None = None
        self.forwarder: Forwarder | None = None


class Server:
    """Answers the questions of every sandbox."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._zone = Zone()
        self._sandboxes: dict[str, _Sandbox] = {}
        self._scopes: dict[_ViewKey, _Scope] = {}
        self._learner = Learner()
        self._host = Forwarder(loop, (), open_here, width=_SHARED_WIDTH, keep=_SHARED_KEPT)

    @property
    def sandboxes(self) -> tuple[str, ...]:
        return tuple(self._sandboxes)

    def view(self, sandbox_id: str) -> View:
        return self._find(sandbox_id).scope.view

    def known_networks(self) -> Iterator[tuple[str, str, Iterable[EndpointNames]]]:
        """Each network's id, name and endpoints."""
        return self._zone.known()

    @property
    def busy(self) -> bool:
        """Whether somebody still waits for an answer, or may ask on over a connection."""
        return self._host.busy or any(
            box.streams or (box.forwarder and box.forwarder.busy) for box in self._sandboxes.values()
        )

    def counts(self) -> dict[str, int]:
        return {
            "sandboxes": len(self._sandboxes),
            "networks": sum(1 for _ in self._zone.known()),
            "endpoints": len(self._zone),
            "views": len(self._scopes),
            "learned": len(self._learner),
            "remembered": sum(len(scope.memo) for scope in self._scopes.values()),
            **self._host.counts(),
        }

    def set_host_servers(self, servers: Sequence[Upstream]) -> None:
        """Who is asked from the host's namespace by every view without upstreams of its own."""
        self._host.set_servers(servers)

    # -- sandboxes --------------------------------------------------------------------------------------------------

    def add_sandbox(self, sandbox_id: str, udp: socket.socket, tcp: socket.socket, netns_fd: int, view: View) -> None:
        """Serves these sockets from now on; they become ours. Others that the sandbox had are closed."""
        scope = self._enter(view)
        self.drop_sandbox(sandbox_id)
        udp.setblocking(False)
        tcp.setblocking(False)
        enlarge(udp)
        sandbox = self._sandboxes[sandbox_id] = _Sandbox(udp, tcp, netns_fd, scope)
        sandbox.streams = StreamListener(self._loop, tcp, partial(self._ask, sandbox))
        self._listen(sandbox)

    def set_view(self, sandbox_id: str, view: View) -> None:
        sandbox = self._find(sandbox_id)
        before, sandbox.scope = sandbox.scope, self._enter(view)
        self._leave(before)
        if (before.view.upstreams, before.view.from_sandbox) != (view.upstreams, view.from_sandbox):
            self._close_forwarder(sandbox)
        self._listen(sandbox)

    def drop_sandbox(self, sandbox_id: str) -> None:
        """Closes its sockets, and with them our hold on its namespace."""
        sandbox = self._sandboxes.pop(sandbox_id, None)
        if sandbox is None:
            return
        self._loop.forget(sandbox.udp.fileno())
        if sandbox.streams is not None:
            sandbox.streams.close()
        self._close_forwarder(sandbox)
        self._leave(sandbox.scope)
        sandbox.udp.close()
        sandbox.tcp.close()
        os.close(sandbox.netns_fd)

    def sandbox_fds(self, sandbox_id: str) -> tuple[int, int, int]:
        """Its UDP socket, its TCP socket, its namespace."""
        sandbox = self._find(sandbox_id)
        return sandbox.udp.fileno(), sandbox.tcp.fileno(), sandbox.netns_fd

    def deafen(self) -> None:
        """Takes no more questions: whoever holds the same sockets answers them. Those taken are still answered."""
        for sandbox in self._sandboxes.values():
            self._loop.forget(sandbox.udp.fileno())
            if sandbox.streams is not None:
                sandbox.streams.deafen()

    def _find(self, sandbox_id: str) -> _Sandbox:
        sandbox = self._sandboxes.get(sandbox_id)
        if sandbox is None:
            raise DnsError(f"no sandbox {sandbox_id}")
        return sandbox

    def _listen(self, sandbox: _Sandbox) -> None:
        reader = datagram_reader(sandbox.udp, sandbox.scope.memo, partial(self._ask, sandbox))
        self._loop.watch(sandbox.udp.fileno(), reader)

    # -- names ------------------------------------------------------------------------------------------------------

    def set_network(self, network: str, name: str, endpoints: Sequence[EndpointNames]) -> None:
        self._zone.set_network(network, name, endpoints)
        self._forget(network)

    def drop_network(self, network: str) -> None:
        self._zone.drop_network(network)
        self._learner.set_lessons(network, ())
        self._forget(network)

    def set_lessons(self, network: str, lessons: Sequence[Lesson]) -> None:
        """The names that its policy speaks of; what was learned of them goes into the firewall's sets again."""
        self._learner.set_lessons(network, lessons)

    def set_endpoint(self, network: str, endpoint: EndpointNames) -> None:
        self._zone.set_endpoint(network, endpoint)
        self._forget(network)

    def drop_endpoint(self, network: str, endpoint_id: str) -> None:
        self._zone.drop_endpoint(network, endpoint_id)
        self._forget(network)

    def _forget(self, network: str) -> None:
        for scope in self._scopes.values():
            if network in scope.view.networks:
                scope.memo.clear()

    # -- views ------------------------------------------------------------------------------------------------------

    def _enter(self, view: View) -> _Scope:
        key = (*view._replace(aliases={})[2:], view.networks, tuple(sorted(view.aliases.items())))
        scope = self._scopes.get(key)
        if scope is None:
            scope = self._scopes[key] = _Scope(key, view)
        scope.users += 1
        return scope

    def _leave(self, scope: _Scope) -> None:
        scope.users -= 1
        if not scope.users:
            del self._scopes[scope.key]

    def _forwarder(self, sandbox: _Sandbox) -> Forwarder | None:
        """Who passes this sandbox's questions on; made at the first one that needs it."""
        view = sandbox.scope.view
        if not view.forward:
            return None
        if not view.upstreams:
            return self._host
        if sandbox.forwarder is None:
            sandbox.forwarder = Forwarder(
                self._loop,
                parse_servers(view.upstreams),
                opener(sandbox.netns_fd) if view.from_sandbox else open_here,
                width=_OWN_WIDTH,
                keep=_OWN_KEPT,
            )
        return sandbox.forwarder

    def _close_forwarder(self, sandbox: _Sandbox) -> None:
        if sandbox.forwarder is not None:
            sandbox.forwarder.close()
            sandbox.forwarder = None

    # -- questions --------------------------------------------------------------------------------------------------

    def _ask(self, sandbox: _Sandbox, data: bytes, send: Send, peer: Peer, *, stream: bool = False) -> None:
        """A question that was not asked in these very bytes before."""
        if len(data) < message.HEADER or data[2] & 0x80:
            return
        # No byte but the last of a well-formed name's structure is 0, so a name found this way that we know is right;
        # what we do not know goes on as it came.
        end = data.find(0, message.HEADER) + 1
        if data[2] & 0x78 or data[4:6] != b"\0\1" or not end or len(data) < end + 4:
            send(message.refusal(data, message.NOTIMP if data[2] & 0x78 else message.FORMERR), peer)
            return
        kind, scope = data[end] << 8 | data[end + 1], sandbox.scope
        verdict: resolver.Verdict = resolver.ELSEWHERE
        if data[end + 2 : end + 4] == b"\0\1":
            verdict = resolver.decide(self._zone, scope.view, scope.aliases, data[message.HEADER : end].lower(), kind)
        if not isinstance(verdict, Elsewhere):
            self._answer(scope, data, verdict, send, peer, stream=stream)
        elif (forwarder := self._forwarder(sandbox)) is None:
            send(message.failure(data, end + 4, message.SERVFAIL), peer)
        else:
            if stems := self._learner.stems(scope.view.networks, data[message.HEADER : end].lower()):
                send = self._learner.before(send, stems)
            (forwarder.ask_stream if stream else forwarder.ask)(data, end, send, peer, sandbox)

    def _answer(
        self,
        scope: _Scope,
        data: bytes,
        verdict: resolver.Answer | resolver.NoData | resolver.NxDomain,
        send: Send,
        peer: Peer,
        *,
        stream: bool,
    ) -> None:
        try:
            query = message.parse(data)
        except DnsError:
            send(message.refusal(data, message.FORMERR), peer)
            return
        limit = message.MAXIMUM if stream else query.edns or message.PLAIN_LIMIT
        orders = resolver.respond(query, verdict, limit, random.shuffle)
        if not stream and len(data) <= _LONGEST_REMEMBERED and sum(map(len, orders)) <= _LARGEST_REMEMBERED:
            if len(scope.memo) >= _REMEMBERED:
                scope.memo.clear()
            scope.memo[data[2:]] = [order[2:] for order in orders] if len(orders) > 1 else orders[0][2:]
        send(orders[0], peer)
