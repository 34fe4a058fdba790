"""Links, addresses and routes of one network namespace: steps in, few batched messages out.

Steps are taken in a legal order and sent when something must be known (a link's number) or at ``flush``. What is asked
for and there already, or asked away and gone already, is success.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from fairlead.errors import KernelError
from fairlead.kernel import netns, shaping, sysctl
from fairlead.kernel.netlink import codec, neighbours, rules, tc
from fairlead.kernel.netlink.codec import LinkEdit, LinkInfo, RouteEntry, SubLink, VethEnd
from fairlead.kernel.netlink.connection import Reply
from fairlead.kernel.netlink.kinds import Nature
from fairlead.kernel.netlink.rules import RuleEntry
from fairlead.kernel.netns import Namespace
from fairlead.kernel.reaper import condemn, condemn_slowly
from fairlead.net.state import (
    HOST,
    ON_PARENT,
    ROUTE_PROTOCOL,
    Address,
    Link,
    LinkKind,
    Neighbour,
    Qdisc,
    Redirect,
    Route,
    Rule,
    Sysctl,
    makes_pair,
)

# Our mark on host links beside the alias, and on what stands on host links inside sandboxes; a link's group has no
# other use there.
OUR_GROUP = 0x0F1EA0

# What a link is called between its birth in a sandbox and its final name.
_NEWBORN = "fln"

_GONE = frozenset({errno.ENODEV, errno.ENOENT, errno.ESRCH, errno.EADDRNOTAVAIL, errno.ENETUNREACH})
_THERE = frozenset({errno.EEXIST})
_NO_IPV6 = frozenset({errno.EAFNOSUPPORT, errno.EOPNOTSUPP})
_NOTHING: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class _Pending:
    """A message to send; ``verb`` and ``thing`` are for the error, ``fine`` are refusals that mean success."""

    request: bytes
    verb: str
    thing: str
    fine: frozenset[int] = _NOTHING
    without: str = ""  # what the kernel lacks when it knows of no such kind
    clash: Callable[[], None] | None = None  # what to do on ``clash_on``, once the batch is through
    clash_on: int = errno.EEXIST
    answer: Callable[[memoryview], None] | None = None  # takes what a question brought
    first: bool = True  # whether sysctls that are asked for later wait for it


class Wiring:
    """The hand for one namespace during one application of steps; ``host`` is the host's, where parents are."""

    def __init__(self, ns_id: str, ns: Namespace, host: Namespace, sandboxes: Mapping[str, Namespace]) -> None:
        self.condemned = False
        self._id = ns_id
        self._ns = ns
        self._host = host
        self._sandboxes = sandboxes
        self._pending: list[_Pending] = []
        self._sysctls: dict[str, str] = {}
        self._indexes: dict[str, int] = {}
        self._rising: dict[str, int] = {}  # links that go up once their addresses are there

    def flush(self) -> None:
        """Do all that was asked so far; raises KernelError of the first refusal."""
        self._write_sysctls()
        self._rise()
        self._send()

    # Adding

    def add_link(self, link: Link) -> None:
        match link:
            case Link(adopted=True):
                self._raise_later(link.name)
            case Link(kind=LinkKind.BRIDGE):
                self._new_bridge(link)
            case Link(kind=LinkKind.IFB):
                self._new_ifb(link)
            case Link(kind=LinkKind.VETH) if makes_pair(link):
                self._new_veth(link)
            case Link() if link.kind in ON_PARENT:
                self._new_sublink(link)
            case Link(kind=LinkKind.GUEST):
                self._take_in(link)
            case _:
                self._adjust(link)

    def _new_bridge(self, link: Link) -> None:
        """Made alone, since a stranger's link of that name must not be touched; its number is asked in the same go."""
        request = codec.new_bridge(link.name, mtu=link.mtu, mac=link.mac, group=OUR_GROUP)
        self._queue(request, "add link", link.name, clash=lambda: self._check_bridge(link))
        self._ask_index(link.name)
        self._send()
        index = self._index(link.name)
        self._queue(codec.set_link(index, LinkEdit(alias=link.alias)), "set up link", link.name, first=False)
        if link.up:
            self._rising[link.name] = index

    def _check_bridge(self, link: Link) -> None:
        """A bridge of that name is there: take it if it is ours, bearing our group or our alias."""
        found = self._ns.netlink.link(link.name)
        if found is None or found.kind != "bridge" or not (found.group == OUR_GROUP or found.alias == link.alias):
            raise KernelError("add link", link.name, errno.EEXIST)
        edit = LinkEdit(mtu=link.mtu or None, mac=link.mac or None, group=OUR_GROUP)
        self._queue(codec.set_link(found.index, edit), "set up link", link.name)

    def _new_ifb(self, link: Link) -> None:
        request = codec.new_link(link.name, link.kind, group=OUR_GROUP)
        self._queue(request, "add link", link.name, fine=_THERE, without="ifb")
        # What passes it has its addresses elsewhere; one of its own would only make it speak.
        self._queue(codec.no_generated_address(link.name), "set up link", link.name, fine=_NO_IPV6)
        self._queue(codec.set_link(link.name, LinkEdit(up=link.up, alias=link.alias)), "set up link", link.name)

    def _new_veth(self, link: Link) -> None:
        sandbox = self._ns if link.peer_ns == self._id else self._sandboxes.get(link.peer_ns)
        if sandbox is None:
            raise KernelError("add link", f"{link.name}: no sandbox {link.peer_ns[:12]}", errno.ENOENT)
        master = self._index(link.master) if link.master else 0
        near = VethEnd(name=link.name, mac=link.mac, mtu=link.mtu, group=OUR_GROUP, master=master)
        far = VethEnd(
            name=link.peer, mac=link.peer_mac, mtu=link.mtu, namespace=None if sandbox is self._ns else sandbox.fd
        )
        self._queue(codec.new_veth(near, far), "add link", link.name, clash=lambda: self._check_veth(link, sandbox))
        self._dress_veth(link)

    def _dress_veth(self, link: Link) -> None:
        if link.master:
            # A bridge port needs no address of its own; with one it would send MLD reports and router solicitations.
            quiet = codec.no_generated_address(link.name)
            self._queue(quiet, "set up link", link.name, fine=_NO_IPV6)
        edit = LinkEdit(up=link.up, alias=link.alias or None)
        self._queue(codec.set_link(link.name, edit), "set up link", link.name)
        if link.master and (link.isolated or link.hairpin):
            self._queue(_port(link), "set up port", link.name)

    def _check_veth(self, link: Link, sandbox: Namespace) -> None:
        """A link of that name is there: take it if it leads to that sandbox, else make room and try again."""
        found = self._ns.netlink.link(link.name)
        if found is None or found.kind != "veth":
            # The clash was inside the sandbox: somebody there has an interface of that name.
            raise KernelError("add link", link.peer if found is None else link.name, errno.EEXIST)
        if self._leads_to(found, sandbox, link.peer):
            master = self._index(link.master) if link.master else 0
            edit = LinkEdit(mtu=link.mtu or None, mac=link.mac or None, master=master, group=OUR_GROUP)
            self._queue(codec.set_link(found.index, edit), "set up link", link.name)
            self._dress_veth(link)
            return
        self._condemn(link, found.index)
        self._send()
        self._new_veth(link)

    def _leads_to(self, found: LinkInfo, sandbox: Namespace, peer: str) -> bool:
        far = sandbox.netlink.link(peer)
        return far is not None and far.index == found.peer_index and far.peer_index == found.index

    def _new_sublink(self, link: Link) -> None:
        """Made from the host's side, where its parent is. One that is ours and there already is brought into shape."""
        self._send()
        found = self._ns.netlink.link(link.name)
        if found is None:
            self._bear(link)
        elif found.group != OUR_GROUP or (found.kind, found.nature) != (link.kind.value, _nature(link)):
            raise KernelError("add link", link.name, errno.EEXIST)
        if link.alias:
            self._queue(codec.set_link(link.name, LinkEdit(alias=link.alias)), "set up link", link.name)
            self._send()
        self._adjust(link)

    def _bear(self, link: Link) -> None:
        parent = self._host.netlink.link(link.parent)
        if parent is None:
            raise KernelError("add link", f"{link.name} on {link.parent}", errno.ENODEV)
        inside = self._id != HOST
        newborn = SubLink(
            name=f"{_NEWBORN}{parent.index:x}" if inside else link.name,
            kind=link.kind.value,
            parent=parent.index,
            nature=_nature(link),
            mac=link.mac,
            mtu=link.mtu,
            group=OUR_GROUP,
            namespace=self._ns.fd if inside else None,
        )
        reply = self._host.netlink.exchange([codec.new_sublink(newborn)])[0]
        if reply.errno:
            raise KernelError("add link", f"{link.name} on {link.parent}", reply.errno)
        if inside:
            self._name(newborn.name, link.name)

    def _name(self, newborn: str, name: str) -> None:
        """Its final name, which the host may have too: kernels before 6.15 would have refused it at birth.

        From now on the host's namespace has a number for this one, by which its notifications are told apart.
        """
        self._host.netlink.exchange([codec.new_nsid(self._ns.fd)])
        index = self._index(newborn)
        self._queue(codec.set_link(index, LinkEdit(name=name)), "add link", name)
        try:
            self._send()
        except KernelError:
            self._ns.netlink.exchange([codec.delete_link(index)])
            raise

    def _take_in(self, link: Link) -> None:
        """From the host, where somebody else made it. One that is in already is brought into shape."""
        self._send()
        if self._ns.netlink.link(link.name) is None:
            found = self._host.netlink.link(link.peer)
            if found is None:
                raise KernelError("find link", f"{link.peer} to move into the sandbox", errno.ENODEV)
            # Renamed in its new namespace: the host may have an eth0 itself.
            move = codec.set_link(found.index, LinkEdit(name=link.name, namespace=self._ns.fd))
            reply, _ = self._host.netlink.exchange([move, codec.new_nsid(self._ns.fd)])
            if reply.errno:
                raise KernelError("move link", f"{link.peer} into the sandbox", reply.errno)
        self._adjust(link)

    def _adjust(self, link: Link) -> None:
        """The end of a veth pair that was brought along, or the loopback: there already, now brought into shape."""
        self._send()
        found = self._ns.netlink.link(link.name)
        if found is None:
            raise KernelError("set up link", link.name, errno.ENODEV)
        self._indexes[link.name] = found.index
        edit = LinkEdit(
            mtu=link.mtu if link.mtu not in (0, found.mtu) else None,
            mac=link.mac if link.mac not in ("", found.mac) else None,
            alias=link.alias if link.alias not in ("", found.alias) else None,
            up=False if found.up and not link.up else None,
        )
        if edit != LinkEdit():
            self._queue(codec.set_link(found.index, edit), "set up link", link.name)
        if link.up and not found.up:
            self._rising[link.name] = found.index

    def add_address(self, fact: Address) -> None:
        request = codec.new_address(self._index(fact.link), fact.address, ROUTE_PROTOCOL)
        self._queue(request, "add address", f"{fact.address} to {fact.link}", fine=_THERE)

    def add_route(self, fact: Route) -> None:
        self._rise()
        entry = self._entry(fact)
        thing = f"{fact.prefix} by {fact.via or fact.link}"
        self._queue(codec.new_route(entry), "add route", thing, clash=lambda: self._replace(fact, entry, thing))

    def _replace(self, fact: Route, entry: RouteEntry, thing: str) -> None:
        """A route to there exists: ours, another of ours, or (never replaced on the host) a stranger's."""
        same = [
            route
            for route in self._ns.netlink.routes()
            if (route.prefix, route.metric, route.table) == (fact.prefix, fact.metric, fact.table) and route.unicast
        ]
        if any((route.index, route.via) == (entry.index, fact.via) for route in same):
            return
        if self._id == HOST and any(route.protocol != ROUTE_PROTOCOL for route in same):
            raise KernelError("add route", thing, errno.EEXIST)
        self._queue(codec.new_route(entry, replace=True), "replace route", thing)

    def add_rule(self, fact: Rule) -> None:
        thing = f"{fact.priority} of IPv{fact.version}"
        self._queue(rules.new_rule(_rule(fact)), "add rule", thing, fine=_THERE)

    def set_neighbour(self, fact: Neighbour) -> None:
        """Added, or given another MAC."""
        request = neighbours.new_neighbour(self._index(fact.link), fact.address, fact.mac, ROUTE_PROTOCOL)
        self._queue(request, "add neighbour", f"{fact.address} on {fact.link}")

    def set_shape(self, fact: Qdisc) -> None:
        index = self._index(fact.link)
        for request in shaping.requests(fact, index):
            self._queue(request, "shape link", fact.link, without=shaping.words(fact))
        if fact.impaired and not fact.rate:
            self._queue(tc.delete_rate_in_netem(index), "shape link", fact.link, fine=_GONE)

    def set_redirect(self, fact: Redirect) -> None:
        """One that is there and leads elsewhere, perhaps to a link that is gone, makes room first."""
        index, to = self._index(fact.link), self._index(fact.to)
        self._queue(tc.new_clsact(index), "redirect", fact.link, fine=_THERE, without="clsact")
        self._queue(tc.delete_redirect(index), "redirect", fact.link, fine=_GONE | {errno.EINVAL})
        self._queue(tc.new_redirect(index, to), "redirect", f"{fact.link} to {fact.to}", without="u32 and mirred")

    def set_sysctl(self, fact: Sysctl) -> None:
        """Written together with its neighbours, once the links that were asked for before are there."""
        if any(pending.first for pending in self._pending):
            self._send()
        self._sysctls[fact.key] = fact.value

    # Changing

    def change_link(self, before: Link, link: Link) -> None:
        if link.adopted or before.adopted:
            self.add_link(link)
            return
        if (before.kind, before.peer_ns, before.peer) != (link.kind, link.peer_ns, link.peer):
            self.remove_link(before)
            self._send()
            self.add_link(link)
            return
        self._edit(before, link)

    def _edit(self, before: Link, link: Link) -> None:
        master = None
        if link.master != before.master:
            master = self._index(link.master) if link.master else 0
        edit = LinkEdit(
            mtu=link.mtu if link.mtu not in (0, before.mtu) else None,
            mac=link.mac if link.mac not in ("", before.mac) else None,
            alias=link.alias if link.alias != before.alias else None,
            master=master,
            up=link.up if link.up != before.up else None,
        )
        if edit != LinkEdit():
            self._queue(codec.set_link(self._index(link.name), edit), "change link", link.name)
        if link.master and (link.isolated, link.hairpin) != (before.isolated, before.hairpin):
            self._queue(_port(link), "set up port", link.name)

    def change_route(self, fact: Route) -> None:
        self._rise()
        self._queue(codec.new_route(self._entry(fact), replace=True), "replace route", str(fact.prefix))

    # Removing

    def remove_link(self, link: Link) -> None:
        if link.adopted or link.kind is LinkKind.LOOPBACK:
            return
        index = self._find(link.name)
        if index is None:
            return
        if link.kind in ON_PARENT:
            # Not condemned: its VLAN id, MAC or address would stay taken on its parent until it is really gone.
            self._indexes.pop(link.name, None)
            self._queue(codec.delete_link(index), "remove link", link.name, fine=_GONE)
            return
        if link.kind is LinkKind.GUEST:
            self._indexes.pop(link.name, None)
            back = LinkEdit(name=link.peer, namespace=self._host.fd)
            self._queue(codec.set_link(index, back), "hand back link", link.peer, fine=_GONE)
            return
        self._condemn(link, index)

    def _condemn(self, link: Link, index: int) -> None:
        self._indexes.pop(link.name, None)
        self._rising.pop(link.name, None)
        enslaved, bridge = bool(link.master), link.kind is LinkKind.BRIDGE

        def slowly() -> None:
            for request in condemn_slowly(index, enslaved=enslaved, bridge=bridge):
                self._queue(request, "remove link", link.name, fine=_GONE)

        request = condemn(index, enslaved=enslaved, bridge=bridge)
        self._queue(request, "remove link", link.name, fine=_GONE, clash=slowly, clash_on=errno.EBUSY)
        self.condemned = True

    def remove_address(self, fact: Address) -> None:
        index = self._find(fact.link)
        if index is not None:
            thing = f"{fact.address} from {fact.link}"
            self._queue(codec.delete_address(index, fact.address), "remove address", thing, fine=_GONE)

    def remove_route(self, fact: Route) -> None:
        if self._find(fact.link) is not None:
            self._queue(codec.delete_route(self._entry(fact)), "remove route", str(fact.prefix), fine=_GONE)

    def remove_shape(self, fact: Qdisc) -> None:
        index = self._find(fact.link)
        if index is not None:
            self._queue(tc.delete_root(index), "unshape link", fact.link, fine=_GONE)

    def remove_redirect(self, fact: Redirect) -> None:
        """With the place for filters, unless somebody else's hang there too."""
        index = self._find(fact.link)
        if index is None:
            return
        self._queue(tc.delete_redirect(index), "remove redirection", fact.link, fine=_GONE | {errno.EINVAL})
        self._send()
        if not self._ns.netlink.dump(tc.dump_filters(index)):
            self._queue(tc.delete_clsact(index), "remove redirection", fact.link, fine=_GONE | {errno.EINVAL})

    def remove_rule(self, fact: Rule) -> None:
        self._queue(rules.delete_rule(_rule(fact)), "remove rule", str(fact.priority), fine=_GONE)

    def remove_neighbour(self, fact: Neighbour) -> None:
        index = self._find(fact.link)
        if index is not None:
            request = neighbours.delete_neighbour(index, fact.address)
            self._queue(request, "remove neighbour", f"{fact.address} on {fact.link}", fine=_GONE)

    # How

    def _entry(self, fact: Route) -> RouteEntry:
        return RouteEntry(
            prefix=fact.prefix,
            index=self._index(fact.link),
            via=fact.via,
            source=fact.source,
            metric=fact.metric,
            protocol=ROUTE_PROTOCOL,
            table=fact.table,
        )

    def _index(self, name: str) -> int:
        index = self._find(name)
        if index is None:
            raise KernelError("find link", name, errno.ENODEV)
        return index

    def _find(self, name: str) -> int | None:
        if name not in self._indexes:
            self._ask_index(name)  # behind what waits, which may be what makes it
            self._send()
        return self._indexes.get(name)

    def _ask_index(self, name: str) -> None:
        def take(body: memoryview) -> None:
            self._indexes[name] = codec.read_index(body)

        self._queue(codec.get_link(name), "find link", name, fine=_GONE, answer=take)

    def _raise_later(self, name: str) -> None:
        self._rising[name] = self._index(name)

    def _rise(self) -> None:
        """Put links up whose addresses are there: only then does the kernel announce them to the neighbours."""
        for name, index in self._rising.items():
            self._queue(codec.set_link(index, LinkEdit(up=True)), "set up link", name)
        self._rising.clear()

    def _queue(
        self,
        request: bytes,
        verb: str,
        thing: str,
        *,
        fine: frozenset[int] = _NOTHING,
        without: str = "",
        clash: Callable[[], None] | None = None,
        clash_on: int = errno.EEXIST,
        answer: Callable[[memoryview], None] | None = None,
        first: bool = True,
    ) -> None:
        if self._sysctls:
            self._write_sysctls()
        self._pending.append(_Pending(request, verb, thing, fine, without, clash, clash_on, answer, first))

    def _send(self) -> None:
        while self._pending:
            batch, self._pending = self._pending, []
            replies = self._ns.netlink.exchange([pending.request for pending in batch])
            for pending, reply in zip(batch, replies, strict=True):
                _judge(pending, reply)

    def _write_sysctls(self) -> None:
        values, self._sysctls = self._sysctls, {}
        if not values:
            return
        if self._id == HOST:
            sysctl.write_all(values)
        else:
            netns.run_in(self._ns, lambda: sysctl.write_all(values))


def _judge(pending: _Pending, reply: Reply) -> None:
    if reply.body is not None and pending.answer is not None:
        pending.answer(reply.body)
    if reply.errno == 0 or reply.errno in pending.fine:
        return
    if reply.errno == pending.clash_on and pending.clash is not None:
        pending.clash()
        return
    if reply.errno in shaping.LACKING and pending.without:
        raise shaping.lacking(pending.without)
    raise KernelError(pending.verb, pending.thing, reply.errno)


def _nature(link: Link) -> Nature:
    return Nature(link.mode, link.flag, link.vlan)


def _port(link: Link) -> bytes:
    return codec.set_port(link.name, hairpin=link.hairpin, isolated=link.isolated)


def _rule(fact: Rule) -> RuleEntry:
    return RuleEntry(
        version=fact.version,
        priority=fact.priority,
        source=fact.source,
        iif=fact.iif,
        mark=fact.mark,
        table=fact.table,
        goto=fact.goto,
        protocol=ROUTE_PROTOCOL,
    )
