"""Other people's forward chains that drop what they do not know, pure: which there are, and our rules in them.

A packet must pass every forward chain of the host. What ours accepts is dropped all the same by a chain whose policy is
to drop (ufw, Docker's own), or that ends with a rule that drops or rejects everything (firewalld), unless a rule there
lets it through. Such rules are written only when the administrator says so: one for each direction of each bridge,
marked by a comment, in a form that iptables reads too.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from fairlead.net.ruleset import TABLE, USER_TABLE

COMMENT = "fairlead"
_FAMILIES = ("ip", "ip6", "inet")


class Chain(NamedTuple):
    """A base chain of somebody else's."""

    family: str
    table: str
    name: str
    drops: bool = False  # by its policy

    def __str__(self) -> str:
        return f"chain {self.name} of table {self.family} {self.table}"


class Passage(NamedTuple):
    """One rule of ours in such a chain: what comes in by that bridge (``iifname``) or leaves by it (``oifname``)."""

    direction: str
    bridge: str


def forward_chains(listing: Iterable[Mapping[str, Any]]) -> tuple[Chain, ...]:
    """The forward chains of others, from ``nft --json list chains``."""
    chains = (each["chain"] for each in listing if "chain" in each)
    return tuple(
        sorted(
            Chain(chain["family"], chain["table"], chain["name"], chain.get("policy") == "drop")
            for chain in chains
            if chain.get("hook") == "forward"
            and chain["family"] in _FAMILIES
            and chain["table"] not in (TABLE, USER_TABLE)
        )
    )


def is_closed(chain: Chain, listing: Iterable[Mapping[str, Any]]) -> bool:
    """Whether what no rule of the chain accepts is dropped, given its ``nft --json list chain``."""
    rules = [each["rule"] for each in listing if "rule" in each]
    return chain.drops or (bool(rules) and _takes_everything(rules[-1]["expr"]))


def _takes_everything(statements: Iterable[Mapping[str, Any]]) -> bool:
    kinds = {kind for statement in statements for kind in statement} - {"counter", "log"}
    return kinds in ({"drop"}, {"reject"})


def passages(listing: Iterable[Mapping[str, Any]]) -> dict[int, Passage | None]:
    """Our rules in a chain by their handles, from ``nft --json list chain``; None for one that somebody changed."""
    rules = (each["rule"] for each in listing if "rule" in each)
    return {rule["handle"]: _read(rule["expr"]) for rule in rules if rule.get("comment") == COMMENT}


def _read(statements: list[Mapping[str, Any]]) -> Passage | None:
    match statements:
        case [{"match": {"op": "==", "left": {"meta": {"key": str(key)}}, "right": str(link)}}, *_, {"accept": _}]:
            return Passage(key, link)
    return None


def way(chain: Chain, have: Mapping[int, Passage | None], bridges: Collection[str]) -> Iterator[str]:
    """Nft commands that leave exactly the wanted passages at the head of the chain; none when they are there."""
    wanted = {Passage(direction, bridge) for bridge in bridges for direction in ("iifname", "oifname")}
    place = f"{chain.family} {chain.table} {chain.name}"
    kept: set[Passage] = set()
    for handle, passage in have.items():
        if passage is None or passage in kept or passage not in wanted:
            yield f"delete rule {place} handle {handle}"
        else:
            kept.add(passage)
    for passage in sorted(wanted - kept):
        yield f'insert rule {place} {passage.direction} "{passage.bridge}" counter accept comment "{COMMENT}"'
