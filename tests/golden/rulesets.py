"""Golden rulesets: what the kernel lists after each scenario was loaded, and the page that is made of them."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from fairlead.net import policytables, ruleset
from golden.scenarios import POLICY_COMMAND, SCENARIOS, Scenario, elements, policy

FILES = Path(__file__).parent / "rulesets"
TEMPLATE = Path(__file__).parent / "rulesets.md.in"
PAGE = Path(__file__).parents[2] / "docs" / "rulesets.md"

_BETWEEN = ",\n\t\t             "
_CONTAINER = re.compile(r"^\t(?:set|map) .*?^\t\}\n", re.MULTILINE | re.DOTALL)


def listings() -> dict[str, str]:
    """File name -> content, as this kernel and this nft list it, each in a fresh network namespace."""
    empty = ruleset.load(())
    found = {
        "static.nft": _listed(empty, *ruleset.TABLES),
        "user.nft": _listed(ruleset.USER_RULESET, f"inet {ruleset.USER_TABLE}"),
    }
    for scenario in SCENARIOS:
        found[f"{scenario.name}.nft"] = _filled(_listed(ruleset.load(elements(scenario)), ruleset.TABLES[0]))
    found["policy.nft"] = _CONTAINER.sub(_with_sorted_elements, _listed(policy(), *policytables.TABLES))
    return found


def _with_sorted_elements(found: re.Match[str]) -> str:
    return _sorted(found[0]) if "elements = {" in found[0] else found[0]


def _listed(text: str, *tables: str) -> str:
    script = " && ".join(("nft -f -", *(f"nft list table {table}" for table in tables)))
    done = subprocess.run(["unshare", "-n", "sh", "-c", script], input=text, capture_output=True, text=True, check=True)
    return done.stdout


def _filled(listing: str) -> str:
    """Only the sets and maps that have elements: the rest is the same for all."""
    return "\n".join(_outdented(_sorted(found)) for found in _CONTAINER.findall(listing) if "elements = {" in found)


def _sorted(container: str) -> str:
    """A hash is listed in an order of its own, another one at each load."""
    head, mark, rest = container.partition("elements = { ")
    listed, end, tail = rest.partition(" }\n")
    items = sorted(re.split(r",\s+", listed))
    return f"{head}{mark}{_BETWEEN.join(items)}{end}{tail}"


def _outdented(text: str) -> str:
    return "".join(line.removeprefix("\t") for line in text.splitlines(keepends=True))


def golden(name: str) -> str:
    return (FILES / name).read_text()


def page() -> str:
    """docs/rulesets.md, from the golden files."""
    text = TEMPLATE.read_text()
    for mark, content in (
        ("@static@\n", _block(golden("static.nft"))),
        ("@user@\n", _block(golden("user.nft"))),
        ("@policy-command@\n", f"```sh\n{POLICY_COMMAND}\n```\n"),
        ("@policy@\n", _block(golden("policy.nft"))),
        ("@scenarios@\n", "\n".join(_section(scenario) for scenario in SCENARIOS)),
    ):
        text = text.replace(mark, content)
    return text


def _section(scenario: Scenario) -> str:
    command = f"```sh\n{scenario.command}\n```\n"
    return f"### {scenario.title}\n\n{scenario.says}\n\n{command}\n{_block(golden(f'{scenario.name}.nft'))}"


def _block(text: str) -> str:
    return f"```nft\n{text.expandtabs(4).rstrip()}\n```\n"


def write() -> None:
    """Make golden files and page anew; look at the difference before you keep it."""
    FILES.mkdir(exist_ok=True)
    for stale in FILES.glob("*.nft"):
        stale.unlink()
    for name, content in listings().items():
        (FILES / name).write_text(content)
    PAGE.write_text(page())
