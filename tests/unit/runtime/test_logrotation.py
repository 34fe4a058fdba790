from __future__ import annotations

import pytest

from fairlead.errors import InvalidArgument
from fairlead.runtime.logrotation import LogPolicy, parse_policy, parse_size


@pytest.mark.parametrize(
    ("driver", "options", "policy"),
    [
        ("json-file", {}, LogPolicy()),
        ("json-file", {"max-size": "10m", "max-file": "3"}, LogPolicy(max_size=10_000_000, max_file=3)),
        ("json-file", {"max-size": "1k", "max-file": "2", "compress": "true"}, LogPolicy(max_size=1000, max_file=2)),
        ("json-file", {"labels": "a", "env": "b", "tag": "t", "mode": "non-blocking"}, LogPolicy()),
        ("local", {}, LogPolicy(max_size=20_000_000, max_file=5)),
        ("local", {"max-file": "1"}, LogPolicy(max_size=20_000_000, max_file=1)),
        ("none", {"whatever": "x"}, LogPolicy(keep=False)),
    ],
)
def test_policies(driver: str, options: dict[str, str], policy: LogPolicy) -> None:
    assert parse_policy(driver, options) == policy


@pytest.mark.parametrize(
    ("driver", "options", "text"),
    [
        ("syslogg", {}, 'error looking up logging plugin syslogg: plugin "syslogg" not found'),
        ("json-file", {"colour": "x"}, "unknown log opt 'colour' for json-file log driver"),
        ("json-file", {"max-file": "0"}, "max-file cannot be less than 1"),
        ("json-file", {"max-file": "two"}, "invalid syntax"),
        ("json-file", {"max-size": "0"}, "max-size must be a positive number"),
        ("json-file", {"max-size": "-5"}, "invalid size: '-5'"),
        ("json-file", {"compress": "true", "max-file": "1"}, "compress cannot be true"),
    ],
)
def test_what_is_refused(driver: str, options: dict[str, str], text: str) -> None:
    with pytest.raises(InvalidArgument, match=text):
        parse_policy(driver, options)


@pytest.mark.parametrize(
    ("text", "size"), [("1", 1), ("1b", 1), ("1k", 1000), ("1.5kb", 1500), ("2MiB", 2_000_000), ("3 G", 3 * 10**9)]
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size
