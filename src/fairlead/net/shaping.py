"""Rates, delays and losses of endpoints: ``fairlead.bandwidth.*`` and ``fairlead.netem.*`` options to facts.

The options are a network's (``-o``: what each of its endpoints gets) and an endpoint's own (``--driver-opt``), which
win, label by label. ``ingress`` is what the container receives, ``egress`` what it sends; netem is done to what it
sends.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from fairlead.errors import InvalidArgument
from fairlead.model.endpoint import Endpoint
from fairlead.model.network import Network
from fairlead.net.state import HOST, Fact, Link, LinkKind, Qdisc, Redirect, State

BANDWIDTH, NETEM = "fairlead.bandwidth", "fairlead.netem"

_USUAL_MTU = 1500
_HEADER = 18  # Ethernet with one VLAN tag
_BURST_SECONDS = 0.01  # of the rate, unless asked otherwise: short enough to be the rate, long enough for Gbit/s
_QUEUE_SECONDS = 0.05  # longest wait for one's turn; what comes when that queue is full is lost
_LEAST_RATE, _GREATEST_RATE = 8_000, 1_000_000_000_000
_LONGEST_BURST = 200  # seconds; the kernel counts to 274
_LONGEST_DELAY = 60_000_000
_COUNTED = 0xFFFFFFFF  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Rates in bits per second (0: as fast as it goes), bursts in bytes (0: chosen here), microseconds, millionths."""

    ingress: int = 0
    ingress_burst: int = 0
    egress: int = 0
    egress_burst: int = 0
    delay: int = 0
    jitter: int = 0
    loss: int = 0


def parse_shape(options: Mapping[str, str]) -> Shape:
    """Raises InvalidArgument for what is none; options that are not about this are passed over."""
    return _checked(Shape(**_values(options)))


def check_endpoint(own: Mapping[str, str], network: Mapping[str, str] | None = None) -> None:
    """Whether an endpoint may have these options; beside those of its network, where that is known already."""
    try:
        if network is None:
            _values(own)
        else:
            parse_shape({**network, **own})
    except InvalidArgument as error:
        raise InvalidArgument(f"invalid endpoint settings:\n{error}") from error


def _values(options: Mapping[str, str]) -> dict[str, int]:
    values: dict[str, int] = {}
    for label, text in options.items():
        if is_option(label):
            field, parse = _known(label)
            try:
                values[field] = parse(text.strip().lower())
            except ValueError as error:
                raise InvalidArgument(f"failed to parse {label} value: {text} ({error})") from error
    return values


def is_option(label: str) -> bool:
    """Whether the option is about this at all."""
    return any(label == family or label.startswith(f"{family}.") for family in (BANDWIDTH, NETEM))


def _known(label: str) -> tuple[str, Callable[[str], int]]:
    if label not in _OPTIONS:
        raise InvalidArgument(f"there is no option {label}: the options are {', '.join(_OPTIONS)}")
    return _OPTIONS[label]


def _checked(shape: Shape) -> Shape:
    for way, rate, burst in (
        ("ingress", shape.ingress, shape.ingress_burst),
        ("egress", shape.egress, shape.egress_burst),
    ):
        if burst and not rate:
            raise InvalidArgument(f"{BANDWIDTH}.{way}.burst is that of a rate: give {BANDWIDTH}.{way} too")
        if rate and burst * 8 > rate * _LONGEST_BURST:
            raise InvalidArgument(
                f"{BANDWIDTH}.{way}.burst: {burst} bytes take longer than {_LONGEST_BURST} s at {rate} bit/s"
            )
    if shape.jitter > shape.delay:
        raise InvalidArgument(f"{NETEM}.jitter is more than {NETEM}.delay: packets cannot arrive before they are sent")
    return shape


# Values


_RATE = re.compile(r"(\d{1,15}(?:\.\d{1,15})?)(k|m|g|t)?(bit|bps)?\Z", re.ASCII)
_SIZE = re.compile(r"(\d{1,15})(b|k|kb|kib|m|mb|mib)?\Z", re.ASCII)
_TIME = re.compile(r"(\d{1,15}(?:\.\d{1,15})?)(us|ms|s)\Z", re.ASCII)
_PERCENT = re.compile(r"(\d{1,15}(?:\.\d{1,15})?)%?\Z", re.ASCII)
_THOUSANDS: Mapping[str, int] = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_MICROSECONDS: Mapping[str, int] = {"us": 1, "ms": 1000, "s": 1_000_000}


def _parse_rate(text: str) -> int:
    found = _RATE.match(text)
    if found is None:
        raise ValueError("a rate is a number and bit, kbit, mbit or gbit, for bits per second, as in 10mbit")
    number, scale, unit = found[1], found[2] or "", found[3]
    if unit == "bps" or (scale and unit is None):
        raise ValueError(f"it may mean bits or bytes: write {number}{scale}bit for bits per second")
    rate = int(float(number) * _THOUSANDS[scale])
    if rate and not _LEAST_RATE <= rate <= _GREATEST_RATE:
        raise ValueError("a rate is between 8kbit and 1tbit, or 0 for none")
    return rate - rate % 8  # the kernel counts whole bytes


def _parse_size(text: str) -> int:
    found = _SIZE.match(text)
    if found is None or not int(found[1]):
        raise ValueError("a burst is a number of bytes, or of kb or mb, as in 32kb")
    size = int(found[1]) * {"": 1, "b": 1, "k": 1024, "m": 1024**2}[(found[2] or "")[:1]]
    if size >= 1 << 31:
        raise ValueError("a burst is less than 2048mb")
    return size


def _parse_time(text: str) -> int:
    found = _TIME.match(text)
    if found is None:
        raise ValueError("a time is a number and us, ms or s, as in 100ms")
    time = int(float(found[1]) * _MICROSECONDS[found[2]])
    if time > _LONGEST_DELAY:
        raise ValueError("at most 60s")
    return time


def _parse_percent(text: str) -> int:
    found = _PERCENT.match(text)
    if found is None or float(found[1]) > 100:
        raise ValueError("a loss is a percentage between 0 and 100, as in 0.5%")
    return round(float(found[1]) * 10_000)


_OPTIONS: Mapping[str, tuple[str, Callable[[str], int]]] = {
    f"{BANDWIDTH}.ingress": ("ingress", _parse_rate),
    f"{BANDWIDTH}.ingress.burst": ("ingress_burst", _parse_size),
    f"{BANDWIDTH}.egress": ("egress", _parse_rate),
    f"{BANDWIDTH}.egress.burst": ("egress_burst", _parse_size),
    f"{NETEM}.delay": ("delay", _parse_time),
    f"{NETEM}.jitter": ("jitter", _parse_time),
    f"{NETEM}.loss": ("loss", _parse_percent),
}


# Facts


def probe(options: Mapping[str, str]) -> State:
    """Facts that take of the kernel what these options take."""
    shape = parse_shape(options)
    return frozenset(_at_host(shape, Link(ns=HOST, name="probed", kind=LinkKind.VETH), "probing"))


def wants(network: Network, endpoint: Endpoint, links: State) -> State:
    """What holds this endpoint's traffic to its shape, given what its driver wants for it.

    Where the container's interface has an end on the host, all is done there, out of the container's reach. Where it
    has none that is ours (macvlan, ipvlan, plugins), it is done inside.
    """
    shape = parse_shape({**network.spec.options, **endpoint.options})
    if endpoint.outside.holds_rates:
        shape = replace(shape, ingress=0, ingress_burst=0, egress=0, egress_burst=0)
    if shape == Shape():
        return frozenset()
    mine = {fact.ns: fact for fact in links if isinstance(fact, Link) and _is_of(fact, endpoint)}
    through = f"ifb{endpoint.id[:7]}"
    if (near := mine.get(HOST)) is not None:
        return frozenset(_at_host(shape, near, through))
    if (own := mine.get(endpoint.container)) is not None:
        return frozenset(_inside(shape, own, through))
    return frozenset()


def _is_of(link: Link, endpoint: Endpoint) -> bool:
    """Either end of its veth pair, or its only one."""
    return (link.ns, link.name) in ((HOST, endpoint.host_ifname), (endpoint.container, endpoint.ifname))


def _at_host(shape: Shape, near: Link, through: str) -> Iterator[Fact]:
    """The host's end sends what the container receives, and receives what the container sends."""
    yield from _unless_free(_received(shape, near, near.name))
    yield from _passing(near, _sent(shape, near, through))


def _inside(shape: Shape, own: Link, through: str) -> Iterator[Fact]:
    yield from _unless_free(_sent(shape, own, own.name))
    yield from _passing(own, _received(shape, own, through))


def _unless_free(shaped: Qdisc) -> Iterator[Qdisc]:
    if shaped.rate or shaped.impaired:
        yield shaped


def _passing(link: Link, shaped: Qdisc) -> Iterator[Fact]:
    """What comes in by the link passes an ifb first, and so what that one sends is shaped."""
    if any(_unless_free(shaped)):
        yield Link(ns=link.ns, name=shaped.link, kind=LinkKind.IFB, alias=link.alias)
        yield shaped
        yield Redirect(ns=link.ns, link=link.name, to=shaped.link)


def _received(shape: Shape, end: Link, at: str) -> Qdisc:
    return _held(end, at, shape.ingress, shape.ingress_burst)


def _sent(shape: Shape, end: Link, at: str) -> Qdisc:
    held = _held(end, at, shape.egress, shape.egress_burst)
    return replace(held, delay=shape.delay, jitter=shape.jitter, loss=shape.loss)


def _held(end: Link, at: str, rate: int, burst: int) -> Qdisc:
    """A burst is never less than a packet, which could not be sent at all otherwise."""
    if not rate:
        return Qdisc(ns=end.ns, link=at)
    frame = (end.mtu or _USUAL_MTU) + _HEADER
    whole = max(frame, burst or max(2 * frame, round(rate * _BURST_SECONDS / 8)))
    return Qdisc(
        ns=end.ns, link=at, rate=rate, burst=whole, limit=min(_COUNTED, whole + round(rate * _QUEUE_SECONDS / 8))
    )
