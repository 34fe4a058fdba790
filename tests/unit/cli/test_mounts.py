"""The fields of --mount."""

from __future__ import annotations

import os

import pytest

from fairlead.cli.container.mounts import parse_mount


@pytest.mark.parametrize(
    ("raw", "mount"),
    [
        ("type=bind,src=/a,dst=/b,ro", {"Type": "bind", "Source": "/a", "Target": "/b", "ReadOnly": True}),
        ("source=v,target=/x", {"Type": "volume", "Source": "v", "Target": "/x"}),
        (
            "type=bind,src=/a,destination=/b,bind-propagation=RSlave,bind-recursive=disabled",
            {
                "Type": "bind",
                "Source": "/a",
                "Target": "/b",
                "BindOptions": {"Propagation": "rslave", "NonRecursive": True},
            },
        ),
        (
            "source=v,target=/x,volume-nocopy,volume-opt=a=b,volume-label=x=y,volume-driver=d,volume-subpath=s",
            {
                "Type": "volume",
                "Source": "v",
                "Target": "/x",
                "VolumeOptions": {
                    "NoCopy": True,
                    "DriverConfig": {"Options": {"a": "b"}, "Name": "d"},
                    "Labels": {"x": "y"},
                    "Subpath": "s",
                },
            },
        ),
        (
            "type=tmpfs,target=/t,tmpfs-size=1m,tmpfs-mode=1777",
            {"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 1048576, "Mode": 0o1777}},
        ),
        ('type=volume,"source=a,b",target=/x', {"Type": "volume", "Source": "a,b", "Target": "/x"}),
        ("type=volume,target=/x,readonly=false", {"Type": "volume", "Target": "/x", "ReadOnly": False}),
    ],
)
def test_forms(raw: str, mount: object) -> None:
    assert parse_mount(raw) == mount


def test_a_source_relative_to_here() -> None:
    assert parse_mount("type=bind,src=./x,dst=/x")["Source"] == os.path.abspath("x")


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ("foo", "invalid field 'foo' must be a key=value pair"),
        ("type=bind,src=/a", "target is required"),
        ("type=bind,target=/x,foo=1", "unexpected key 'foo' in 'foo=1'"),
        ("type=bind,target=/x,bind-foo=1", "unexpected key 'bind-foo' in 'bind-foo=1'"),
        ("type=volume,target=/x,bind-propagation=shared", "cannot mix 'bind-*' options with mount type 'volume'"),
        ("type=tmpfs,target=/t,tmpfs-size=x", "invalid value for tmpfs-size: x"),
        ("type=tmpfs,target=/t,tmpfs-mode=9", "invalid value for tmpfs-mode: 9"),
        ("type=bind,target=/t,readonly=perhaps", "invalid value for readonly: perhaps"),
        (
            "type=bind,src=/a,target=/x,bind-recursive=readonly",
            "option 'bind-recursive=readonly' requires 'readonly' to be specified in conjunction",
        ),
        (
            "type=bind,src=/a,target=/x,ro,bind-recursive=readonly",
            "option 'bind-recursive=readonly' requires 'bind-propagation=rprivate' to be specified in conjunction",
        ),
    ],
)
def test_mistakes(raw: str, message: str) -> None:
    with pytest.raises(ValueError) as raised:
        parse_mount(raw)
    assert str(raised.value) == message
