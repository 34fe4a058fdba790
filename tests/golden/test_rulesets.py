"""The ruleset of each scenario, as the kernel lists it, is the golden one; the page says the same."""

from __future__ import annotations

import os
import subprocess

import pytest

from fairlead.net import ruleset
from golden import rulesets
from golden.scenarios import SCENARIOS, elements

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


WRITTEN_BY = "v1.0.6"  # Debian 12's; other versions of nft list the same rules in slightly other words


@pytest.fixture(scope="module")
def listed() -> dict[str, str]:
    version = subprocess.run(["nft", "--version"], capture_output=True, text=True, check=True).stdout
    if WRITTEN_BY not in version:
        pytest.skip(f"golden files are as nftables {WRITTEN_BY} lists them, here is {version.strip()}")
    return rulesets.listings()


@needs_root
def test_every_golden_file_is_of_a_scenario(listed: dict[str, str]) -> None:
    assert {path.name for path in rulesets.FILES.glob("*.nft")} == set(listed)


@needs_root
@pytest.mark.parametrize("name", ["static", "user", "policy", *(scenario.name for scenario in SCENARIOS)])
def test_the_kernel_lists_what_is_golden(listed: dict[str, str], name: str) -> None:
    assert listed[f"{name}.nft"] == rulesets.golden(f"{name}.nft"), "tools/write-rulesets, and look at the difference"


def test_the_page_is_made_of_the_golden_files() -> None:
    assert rulesets.PAGE.read_text() == rulesets.page(), "tools/write-rulesets"


def test_a_thousand_ports_are_few_elements() -> None:
    by_name = {scenario.name: elements(scenario) for scenario in SCENARIOS}
    assert len(by_name["range"]) == len(by_name["port"])


@needs_root
def test_the_skeleton_shows_a_changed_rule_and_no_element(listed: dict[str, str]) -> None:
    bones = ruleset.skeleton(listed["static.nft"])
    assert bones == listed["static.nft"]
    assert ruleset.skeleton(listed["static.nft"].replace("accept", "drop", 1)) != bones
