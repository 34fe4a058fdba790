"""The tables in docs/compatibility.md that are made of the tests: what of Docker's options is shown, and where.

A test that shows the effect of an option says so with a marker:

    @pytest.mark.docker_option("com.docker.network.bridge.enable_icc", section="bridge")
    @pytest.mark.docker_option("--internal", section="network", note="also for IPv6", shows="nothing is routed")

The arguments are literals: the markers are read from the source, no test is imported. ``shows`` is the test's name in
words unless it is given; ``note`` is what differs from Docker.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from golden import publishing

MARKER = "docker_option"
TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "compatibility.md"

# In the order of the page.
SECTIONS: Mapping[str, str] = {
    "bridge": "Bridge networks: `-o`",
    "daemon": "The engine's flags",
    "endpoint": "Containers on networks: `--network`, `docker network connect`",
    "network": "All networks: `docker network`",
    "addresses": "Addresses: `--subnet` and its relatives",
    "publishing": "Published ports",
    "modes": "Modes and links",
    "dns": "Names",
    "macvlan": "macvlan",
    "ipvlan": "ipvlan",
    "dhcp": "Addresses by DHCP",
    "plugins": "Network and address plugins",
    "cni": "CNI",
    "fairlead": "Not in Docker",
}


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Shown:
    """One option, and one test that shows its effect. ``path`` is below the repository's root."""

    option: str
    section: str
    shows: str
    path: str
    test: str
    note: str = ""


def shown(tests: Path = TESTS) -> list[Shown]:
    """All markers, in the order of sections and options; raises ValueError for one that cannot be read."""
    found = [each for path in sorted(tests.rglob("test_*.py")) for each in _of_file(path, tests.parent)]
    order = list(SECTIONS)
    return sorted(found, key=lambda each: (order.index(each.section), each.option, each.path, each.test))


def _of_file(path: Path, root: Path) -> Iterator[Shown]:
    text = path.read_text()
    if f"mark.{MARKER}" not in text:
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            for call in filter(_is_marker, node.decorator_list):
                yield _shown(call, node.name, str(path.relative_to(root)))


def _is_marker(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == MARKER


def _shown(call: ast.expr, test: str, path: str) -> Shown:
    assert isinstance(call, ast.Call)
    try:
        (option,) = (ast.literal_eval(argument) for argument in call.args)
        given: dict[str, Any] = {str(word.arg): ast.literal_eval(word.value) for word in call.keywords}
        words = {"shows": test.removeprefix("test_").replace("_", " "), **given}
        made = Shown(option=option, test=test, path=path, **words)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}::{test}: {MARKER} takes an option, section=, shows= and note=: {error}") from error
    if made.section not in SECTIONS:
        raise ValueError(f"{path}::{test}: section {made.section!r} is none of {', '.join(SECTIONS)}")
    return made


def options_table(found: Iterable[Shown]) -> str:
    """A heading and a table for each section; one row for each option."""
    parts = [_section(section, list(group)) for section, group in groupby(found, key=lambda each: each.section)]
    return "\n".join(parts)


def _section(section: str, found: list[Shown]) -> str:
    rows = [_row(list(group)) for _, group in groupby(found, key=lambda each: each.option)]
    return "\n".join(
        (f"### {SECTIONS[section]}\n", "| option | shown by a test | differs |", "|---|---|---|", *rows, "")
    )


def _row(found: list[Shown]) -> str:
    tests = "; ".join(f"[{_cell(each.shows)}](../{each.path})" for each in found)
    notes = "; ".join(dict.fromkeys(_cell(each.note) for each in found if each.note))
    return f"| `{_cell(found[0].option)}` | {tests} | {notes} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def filled(page: str, name: str, content: str) -> str:
    """The page with ``content`` between its two comment lines for ``name``."""
    begin, end = f"<!-- {name}: made by tools/write-compatibility -->\n", f"<!-- end of {name} -->\n"
    head, mark, rest = page.partition(begin)
    _, close, tail = rest.partition(end)
    if not mark or not close:
        raise ValueError(f"{PAGE.name} has no comment lines for {name}")
    return f"{head}{begin}\n{content}\n{end}{tail}"


def page() -> str:
    """docs/compatibility.md as it ought to be."""
    text = filled(PAGE.read_text(), "options", options_table(shown()))
    return filled(text, "publishing", publishing.table() + "\n")


def write() -> None:
    """Make the tables anew; look at the difference before you keep it."""
    PAGE.write_text(page())
