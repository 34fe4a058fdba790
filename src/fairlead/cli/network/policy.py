"""``fairlead network policy``: show, set, clear, add, rm."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fairlead.cli.command import TWO_OR_MORE, Command, Context
from fairlead.cli.errors import CommandError
from fairlead.cli.flags import Values, number, several, text
from fairlead.cli.table import aligned
from fairlead.client import ApiError
from fairlead.errors import InvalidArgument
from fairlead.model.policy import Action, Policy, Rule
from fairlead.wire.policy import checked, parse_action, parse_policy, parse_rule, policy_body

Json = dict[str, Any]

_LONG = """Manage which packets may cross a network

  show NETWORK                   The rules in their order, and what each decided so far
  set NETWORK --default ACTION   The whole policy, from --rule, --allow and --deny, or from a file
  add NETWORK RULE               One more rule, behind the others or --at a place
  rm NETWORK RULE|ID...          Rules taken out
  clear NETWORK                  No policy: every packet may pass

The first rule that matches a connection decides it, else the default. A RULE is

  allow|deny [from=PEER] [to=PEER] [port=PORTS]

with PEER   any, network (every container of it), name:CONTAINER, label:KEY[=VALUE],
            cidr:PREFIX, and in to= also dns:NAME or dns:*.NAME
 and PORTS  80, 53/udp, 8000-8999/tcp, tcp, udp, sctp or icmp, separated by commas"""


def _path(network: str) -> str:
    return f"/fairlead/networks/{network}/policy"


def _run(context: Context, values: Values, arguments: list[str]) -> None:
    verb, network, *rest = arguments
    act = _VERBS.get(verb)
    if act is None:
        raise CommandError(f"unknown verb {verb}: it is one of {', '.join(_VERBS)}")
    try:
        act(context, values, network, rest)
    except InvalidArgument as wrong:
        raise CommandError(str(wrong)) from wrong


def _nothing_more(rest: Sequence[str]) -> None:
    if rest:
        raise CommandError(f"unexpected argument {rest[0]}")


# -- verbs --------------------------------------------------------------------------------------------------------


def _show(context: Context, values: Values, network: str, rest: list[str]) -> None:
    _nothing_more(rest)
    shown = _fetch(context, network)
    if values.text("format") == "json":
        context.print(json.dumps(shown))
        return
    if values.text("format"):
        raise CommandError(f"unknown format {values.text('format')}: leave it out, or json")
    rows = [_HEADERS, *map(_row, shown["Rules"]), _default_row(shown)]
    context.write(aligned(["\t".join(row) for row in rows], least=0))


_HEADERS = ("RULE ID", "ACTION", "FROM", "TO", "PORTS", "PACKETS", "BYTES")


def _row(rule: Mapping[str, Any]) -> tuple[str, ...]:
    ports = ",".join(rule["Ports"]) or "all"
    return (rule["Id"], rule["Action"], rule["From"], rule["To"], ports, str(rule["Packets"]), str(rule["Bytes"]))


def _default_row(shown: Mapping[str, Any]) -> tuple[str, ...]:
    return ("default", shown["Default"], "", "", "", str(shown["DefaultPackets"]), str(shown["DefaultBytes"]))


def _set(context: Context, values: Values, network: str, rest: list[str]) -> None:
    _nothing_more(rest)
    _store(context, network, _from_file(values) if values.text("file") else _from_flags(values))


def _from_file(values: Values) -> Policy:
    if values.any_changed("default", "rule", "allow", "deny"):
        raise CommandError("--file holds the whole policy: leave out --default, --rule, --allow and --deny")
    path = values.text("file")
    try:
        if path == "-":
            return parse_policy(sys.stdin.buffer.read())
        with open(path, "rb") as file:
            return parse_policy(file.read())
    except OSError as wrong:
        raise CommandError(f"cannot read {path}: {wrong.strerror}") from wrong


def _from_flags(values: Values) -> Policy:
    if not values.text("default"):
        raise CommandError("--default is missing: allow or deny what no rule matches")
    given = [name for name in ("rule", "allow", "deny") if values.changed(name)]
    if len(given) > 1:
        raise CommandError(
            f"--{given[0]} and --{given[1]} together would lose the order of the rules, of which the first match "
            "decides: give all as --rule 'allow …' and --rule 'deny …'"
        )
    rules = [parse_rule(rule) for rule in values.list("rule")]
    rules += [parse_rule(rule, action) for action in Action for rule in values.list(str(action))]
    return checked(parse_action(values.text("default"), "--default"), rules)


def _add(context: Context, values: Values, network: str, rest: list[str]) -> None:
    rule = parse_rule(" ".join(rest))
    before = _stored(context, network)
    place = values.number("at") - 1 if values.changed("at") else len(before.rules)
    if not 0 <= place <= len(before.rules):
        raise CommandError(
            f"--at {place + 1}: the policy has {len(before.rules)} rules, so 1 to {len(before.rules) + 1}"
        )
    _store(context, network, checked(before.default, [*before.rules[:place], rule, *before.rules[place:]]))
    context.print(rule.id)


def _remove(context: Context, _values: Values, network: str, rest: list[str]) -> None:
    if not rest:
        raise CommandError("which rule? Name it by its id or its text")
    before = _stored(context, network)
    wanted = [" ".join(rest)] if "=" in " ".join(rest) else rest
    gone = [_found(before, word) for word in wanted]
    _store(context, network, checked(before.default, [rule for rule in before.rules if rule not in gone]))


def _found(policy: Policy, word: str) -> Rule:
    text_form = parse_rule(word).text if "=" in word else ""
    for rule in policy.rules:
        if word == rule.id or rule.text == text_form:
            return rule
    raise CommandError(f"no such rule: {word}")


def _clear(context: Context, _values: Values, network: str, rest: list[str]) -> None:
    _nothing_more(rest)
    context.client.delete(_path(network))


# -- the engine ---------------------------------------------------------------------------------------------------


def _fetch(context: Context, network: str) -> Json:
    shown = context.client.get(_path(network))
    assert isinstance(shown, dict)
    return shown


def _stored(context: Context, network: str) -> Policy:
    """What the network has; a network without a policy is one that allows everything."""
    try:
        return parse_policy(json.dumps(_fetch(context, network)).encode())
    except ApiError as wrong:
        if wrong.status == 404 and "has no policy" in str(wrong):
            return Policy()
        raise


def _store(context: Context, network: str, policy: Policy) -> None:
    context.client.json("PUT", _path(network), None, policy_body(policy))


_VERBS: Mapping[str, Callable[[Context, Values, str, list[str]], None]] = {
    "show": _show,
    "set": _set,
    "add": _add,
    "rm": _remove,
    "clear": _clear,
}

POLICY = Command(
    "show|set|add|rm|clear NETWORK [RULE...]",
    _run,
    (
        several("allow", "With set: a rule without its first word, allowed", kind="stringArray"),
        number("at", "With add: the new rule's place, 1 being the first"),
        text("default", "With set: allow or deny what no rule matches"),
        several("deny", "With set: a rule without its first word, denied", kind="stringArray"),
        text("file", "With set: read the policy as JSON from a file (- for standard input)", "f"),
        text("format", "With show: json"),
        several("rule", "With set: a rule", kind="stringArray"),
    ),
    TWO_OR_MORE,
    long=_LONG,
    completes="",
)
