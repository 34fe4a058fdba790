"""Rates, delays and redirections of links: facts to messages, messages to facts, and what this kernel has for them."""

from __future__ import annotations

import errno
from collections.abc import Collection, Iterator, Mapping

from fairlead.errors import Unsupported
from fairlead.kernel import syscalls
from fairlead.kernel.ledger import Ledger
from fairlead.kernel.netlink import codec, tc
from fairlead.kernel.netlink.codec import LinkInfo
from fairlead.kernel.netlink.connection import Netlink
from fairlead.kernel.netlink.tc import Netem, QdiscInfo, Tbf
from fairlead.kernel.threads import in_thread
from fairlead.net.state import Fact, Qdisc, Redirect

# What the kernel says to a discipline, a kind of link, a classifier or an action that it was built without.
LACKING = frozenset({errno.ENOENT, errno.EOPNOTSUPP})

_SHAPES = frozenset({"tbf", "netem"})
_LOOPBACK = 1


def disciplines(fact: Qdisc) -> tuple[Tbf | None, Netem | None]:
    tbf = Tbf(rate=fact.rate, burst=fact.burst, limit=fact.limit) if fact.rate else None
    netem = Netem(delay=fact.delay, jitter=fact.jitter, loss=fact.loss) if fact.impaired else None
    return tbf, netem


def requests(fact: Qdisc, index: int) -> Iterator[bytes]:
    """What makes the link's root that of the fact, whatever it was."""
    return tc.new_shape(index, *disciplines(fact))


def words(fact: Qdisc) -> str:
    """What it takes of the kernel."""
    return "netem" if fact.impaired else "tbf"


# Observing


def observed(
    ns_id: str, netlink: Netlink, links: Collection[LinkInfo], names: Mapping[int, str], ledger: Ledger
) -> Iterator[Fact]:
    """The rates, delays and redirections on the links of ``names`` (number to name), as far as they bear our marks.

    ``links`` are all of the namespace. Most hosts have nothing of the kind, and are asked nothing.
    """
    if not _is_suspect(ns_id, links, ledger):
        return
    found = [info for info in map(tc.read_qdisc, netlink.dump(tc.dump_qdiscs())) if info.index in names]
    for index in {info.index for info in found if info.shape is not None}:
        yield ledger.rounded(_fact(ns_id, names[index], [info for info in found if info.index == index]))
    everyone = {link.index: link.name for link in links}
    for index in {info.index for info in found if info.clsact}:
        for body in netlink.dump(tc.dump_filters(index)):
            if (to := tc.read_redirect(body)) is not None:
                yield Redirect(ns=ns_id, link=names[index], to=everyone.get(to, ""))


def _is_suspect(ns_id: str, links: Collection[LinkInfo], ledger: Ledger) -> bool:
    """A redirection of ours leads to an ifb; what is at a link's root is told with the link."""
    return ledger.is_shaped(ns_id) or any(link.qdisc in _SHAPES or link.kind == "ifb" for link in links)


def _fact(ns_id: str, name: str, found: Collection[QdiscInfo]) -> Qdisc:
    """One fact of a root and what is in it."""
    tbf = next((info.shape for info in found if isinstance(info.shape, Tbf)), None)
    netem = next((info.shape for info in found if isinstance(info.shape, Netem)), Netem())
    return Qdisc(
        ns=ns_id,
        link=name,
        rate=tbf.rate if tbf else 0,
        burst=tbf.burst if tbf else 0,
        limit=tbf.limit if tbf else 0,
        delay=netem.delay,
        jitter=netem.jitter,
        loss=netem.loss,
    )


# What the kernel has


def check_support(facts: Collection[Fact]) -> None:
    """Raises Unsupported for what this kernel was built without; tried in a namespace of its own that nobody sees."""
    if any(isinstance(fact, Qdisc | Redirect) for fact in facts):
        in_thread(lambda: _try_out(facts))


def _try_out(facts: Collection[Fact]) -> None:
    syscalls.unshare(syscalls.CLONE_NEWNET)
    netlink = Netlink()
    try:
        for fact in facts:
            if isinstance(fact, Qdisc):
                _expect(netlink, requests(fact, _LOOPBACK), words(fact))
            elif isinstance(fact, Redirect):
                _expect(netlink, _redirection(), "ifb, u32 and mirred")
    finally:
        netlink.close()


def _redirection() -> Iterator[bytes]:
    yield codec.new_link("ifb", "ifb")
    yield tc.new_clsact(_LOOPBACK)
    yield tc.new_redirect(_LOOPBACK, _LOOPBACK + 1)


def _expect(netlink: Netlink, messages: Iterator[bytes], what: str) -> None:
    if any(reply.errno in LACKING for reply in netlink.exchange(list(messages))):
        raise lacking(what)


def lacking(what: str) -> Unsupported:
    return Unsupported(
        f"this kernel has no {what}, which fairlead.bandwidth and fairlead.netem options need: "
        "leave them out, or use a kernel with its traffic control modules (linux-modules-extra, kernel-modules-extra)"
    )
