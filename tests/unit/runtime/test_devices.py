from __future__ import annotations

from pathlib import Path

import pytest

from fairlead.errors import InvalidArgument, RuntimeFailure
from fairlead.model.container import Device
from fairlead.runtime.devices import (
    DeviceNode,
    block_numbers,
    default_rules,
    every_device,
    look_up,
    parse_rule,
    throttle_paths,
)
from fairlead.runtime.resources import DeviceNumber


def test_the_default_rules_begin_with_nothing() -> None:
    rules = default_rules()
    assert rules[0] == {"allow": False, "access": "rwm"}
    assert {"allow": True, "type": "c", "access": "m"} in rules
    assert {"allow": True, "type": "c", "access": "rwm", "major": 136} in rules
    assert {"allow": True, "type": "c", "access": "rwm", "major": 1, "minor": 3} in rules


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("c 1:3 mr", {"allow": True, "type": "c", "major": 1, "minor": 3, "access": "mr"}),
        ("a *:* rwm", {"allow": True, "type": "a", "access": "rwm"}),
        ("b 8:* w", {"allow": True, "type": "b", "major": 8, "access": "w"}),
    ],
)
def test_rules(text: str, rule: dict[str, object]) -> None:
    assert parse_rule(text) == rule


@pytest.mark.parametrize("text", ["", "c 1:3", "x 1:3 rwm", "c 1:3 q", "c 1:3 rwmm", "c -1:3 r"])
def test_broken_rules_are_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="invalid device cgroup rule format"):
        parse_rule(text)


def test_a_device_is_looked_up_on_the_host() -> None:
    (node,) = look_up([Device(path_on_host="/dev/null", path_in_container="/dev/nil", cgroup_permissions="r")])
    assert (node.path, node.kind, node.number, node.permissions) == ("/dev/nil", "c", DeviceNumber(1, 3), "r")
    assert node.rule() == {"allow": True, "type": "c", "major": 1, "minor": 3, "access": "r"}
    assert node.render()["path"] == "/dev/nil"
    (same,) = look_up([Device(path_on_host="/dev/null")])
    assert same.path == "/dev/null"


def test_an_unbuffered_device_is_a_character_device_to_the_cgroup() -> None:
    assert DeviceNode(path="/x", kind="u", number=DeviceNumber(1, 2)).rule()["type"] == "c"


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/dev/nothing-here", "no such file or directory"),
        ("/etc/passwd", "not a device node"),
    ],
)
def test_what_is_no_device_is_told(path: str, text: str) -> None:
    with pytest.raises(RuntimeFailure, match="error gathering device information") as told:
        look_up([Device(path_on_host=path)])
    assert text in str(told.value)


def test_wrong_permissions_are_refused() -> None:
    with pytest.raises(InvalidArgument, match="invalid device mode: rx"):
        look_up([Device(path_on_host="/dev/null", cgroup_permissions="rx")])


def test_a_directory_stands_for_the_devices_in_it() -> None:
    nodes = {node.path: node for node in look_up([Device(path_on_host="/dev", path_in_container="/host")])}
    assert nodes["/host/null"].number == DeviceNumber(1, 3)


def test_every_device_leaves_terminals_of_others_and_mounts_out() -> None:
    paths = {node.path for node in every_device()}
    assert {"/dev/null", "/dev/zero"} <= paths
    assert not [path for path in paths if path.startswith(("/dev/pts", "/dev/shm", "/dev/console"))]


def test_hidden_counters_of_the_cpus(tmp_path: Path) -> None:
    (tmp_path / "cpu3/thermal_throttle").mkdir(parents=True)
    (tmp_path / "cpufreq/thermal_throttle").mkdir(parents=True)
    assert throttle_paths(str(tmp_path)) == (f"{tmp_path}/cpu3/thermal_throttle",)


def test_numbers_of_block_devices() -> None:
    assert block_numbers([]) == {}
    with pytest.raises(RuntimeFailure, match="/dev/nothing-here: no such file or directory"):
        block_numbers(["/dev/nothing-here"])
    assert block_numbers(["/dev/null"]) == {"/dev/null": DeviceNumber(1, 3)}
