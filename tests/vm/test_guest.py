"""What needs a kernel feature that the kernel here may lack: each file of tests/vm/guest, run in one virtual machine.

To add tests, put a file ``test_*.py`` into tests/vm/guest: plain pytest, with the harness and all of fairlead, as root,
alone on a Debian kernel with ipvlan, VLAN, dummy, ifb, netem, tbf, IPsec, WireGuard, nftables with NAT. It is picked up
by itself, and told here as one test. Where the machine at hand has such a kernel, such a file also runs without the
virtual one: ``VIRTUAL_MACHINE=1 ./test vm tests/vm/guest/test_ipvlan.py``. Tests of other kinds that are to run on that
kernel as well are named in ``ALSO``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from vm import machine

TESTS = Path(__file__).parents[1]
ALSO = ("kernel/test_macvlan_traffic.py", "kernel/test_policy_traffic.py", "kernel/test_kernel_shaping.py")
FILES = [*sorted(str(path.relative_to(TESTS)) for path in TESTS.glob("vm/guest/test_*.py")), *ALSO]


@dataclass(frozen=True, slots=True)
class Outcome:
    """One test in the machine; without complaint and not skipped it passed."""

    file: str
    name: str
    complaint: str
    skipped: bool


@pytest.fixture(scope="session")
def outcomes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Outcome]]:
    """Of all files that this run is about, from one run of the machine."""
    if reason := machine.missing():
        pytest.skip(reason)
    wanted = [item.callspec.params["file"] for item in request.session.items if _is_about_guest(item)]
    directory = tmp_path_factory.mktemp("vm")
    found = machine.run(wanted, directory)
    if "results.xml" not in found:
        text = (found.get("log", b"") + found["console"]).decode(errors="replace")
        pytest.fail(f"the virtual machine came to no result:\n{text[-6000:]}")
    print(found["log"].decode()[-4000:])
    yield _parse(found["results.xml"])
    (directory / "disk").unlink()


def _is_about_guest(item: pytest.Item) -> bool:
    return isinstance(item, pytest.Function) and item.path == Path(__file__) and hasattr(item, "callspec")


def _parse(report: bytes) -> list[Outcome]:
    cases = ET.fromstring(report).iter("testcase")
    return [
        Outcome(
            file=_file_of(case.get("classname", "")),
            name=case.get("name", ""),
            complaint="\n".join(f"{bad.tag}: {bad.text or bad.get('message')}" for bad in case),
            skipped=any(bad.tag == "skipped" for bad in case),
        )
        for case in cases
    ]


def _file_of(classname: str) -> str:
    """``tests.vm.guest.test_ipvlan`` -> ``vm/guest/test_ipvlan.py``."""
    return classname.removeprefix("tests.").replace(".", "/") + ".py"


@pytest.mark.timeout(machine.PATIENCE + 60)
@pytest.mark.parametrize("file", FILES)
def test_in_the_machine(file: str, outcomes: list[Outcome]) -> None:
    mine = [outcome for outcome in outcomes if outcome.file == file]
    assert any(not outcome.skipped for outcome in mine), f"the machine ran no test of {file}"
    # Other kinds' files may have tests for what this kernel lacks and theirs has; the guest's own may not.
    counted = [outcome for outcome in mine if not outcome.skipped or file not in ALSO]
    bad = [f"{outcome.name}\n{outcome.complaint}" for outcome in counted if outcome.complaint]
    assert not bad, "\n\n".join(bad)
