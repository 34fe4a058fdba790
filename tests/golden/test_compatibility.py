"""docs/compatibility.md says of the options what the tests' markers say."""

from __future__ import annotations

from pathlib import Path

import pytest

from golden import compatibility


def test_the_page_is_made_of_the_markers() -> None:
    assert compatibility.PAGE.read_text() == compatibility.page(), "tools/write-compatibility"


def _tests(directory: Path, text: str) -> Path:
    folder = directory / "tests" / "kernel"
    folder.mkdir(parents=True)
    (folder / "test_it.py").write_text(text)
    return directory / "tests"


def test_an_option_shown_by_two_tests_is_one_row(tmp_path: Path) -> None:
    tests = _tests(
        tmp_path,
        '@pytest.mark.docker_option("--internal", section="network")\n'
        "def test_nothing_is_routed(): ...\n"
        '@pytest.mark.parametrize("x", [1])\n'
        '@pytest.mark.docker_option("--internal", section="network", shows="no | DNS", note="clearer")\n'
        "def test_no_dns(x): ...\n",
    )
    (row,) = [line for line in compatibility.options_table(compatibility.shown(tests)).splitlines() if "--int" in line]
    assert row == (
        "| `--internal` | [no \\| DNS](../tests/kernel/test_it.py); "
        "[nothing is routed](../tests/kernel/test_it.py) | clearer |"
    )


def test_sections_come_in_the_pages_order(tmp_path: Path) -> None:
    tests = _tests(
        tmp_path,
        '@pytest.mark.docker_option("a", section="publishing")\n'
        '@pytest.mark.docker_option("b", section="bridge")\n'
        "def test_both(): ...\n",
    )
    headings = [line for line in compatibility.options_table(compatibility.shown(tests)).splitlines() if "###" in line]
    assert headings == ["### Bridge networks: `-o`", "### Published ports"]


@pytest.mark.parametrize(
    "arguments", ['"a"', '"a", section="nosuch"', '"a", section="bridge", says="x"', "NAME, section='bridge'", ""]
)
def test_a_marker_that_cannot_be_read_is_named(tmp_path: Path, arguments: str) -> None:
    tests = _tests(tmp_path, f"@pytest.mark.docker_option({arguments})\ndef test_it(): ...\n")
    with pytest.raises(ValueError, match=r"tests/kernel/test_it.py::test_it"):
        compatibility.shown(tests)


def test_a_page_without_the_comment_lines_is_refused() -> None:
    with pytest.raises(ValueError, match="no comment lines for options"):
        compatibility.filled("# Compatibility\n", "options", "")
