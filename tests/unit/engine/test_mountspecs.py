"""engine.mountspecs: what -v, --mount and --tmpfs mean."""

import pytest

from fairlead.engine.mountspecs import _from_bind, _from_mount, parse_bind
from fairlead.errors import InvalidArgument
from fairlead.model.container import Mount, TmpfsOptions


@pytest.mark.parametrize(
    ("text", "source", "target", "modes"),
    [
        ("/data", "", "/data", ()),
        ("/host:/data", "/host", "/data", ()),
        ("vol:/data:ro", "vol", "/data", ("ro",)),
        ("/host:/data/../x:ro,rslave", "/host", "/x", ("ro", "rslave")),
    ],
)
def test_parse_bind(text: str, source: str, target: str, modes: tuple[str, ...]) -> None:
    bind = parse_bind(text)
    assert (bind.source, bind.target, bind.modes) == (source, target, modes)


@pytest.mark.parametrize(
    "text", ["data", "/a:b", "/a:/b:bogus", "/a:/b:ro:rw", "/a:/", "", "../up:/x", "a/b:/x", "/a:/b:"]
)
def test_bad_binds(text: str) -> None:
    with pytest.raises(InvalidArgument):
        parse_bind(text)


def test_bind_to_a_host_directory_and_to_a_volume() -> None:
    host, volume = _from_bind("/srv:/data:ro"), _from_bind("cache:/data:nocopy")
    assert (host.type, host.source, host.rw, host.propagation) == ("bind", "/srv", False, "rprivate")
    assert (volume.type, volume.name, volume.rw, volume.copy_up) == ("volume", "cache", True, False)


def test_tmpfs_mount_options() -> None:
    point = _from_mount(Mount(type="tmpfs", target="/t", tmpfs_options=TmpfsOptions(size_bytes=4096, mode=0o1777)))
    assert point.options == ("size=4096", "mode=1777")


@pytest.mark.parametrize(
    "mount",
    [
        Mount(type="bind", source="/nonexistent-source", target="/x"),
        Mount(type="bind", source="relative", target="/x"),
        Mount(type="tmpfs", source="/x", target="/x"),
        Mount(type="cloud", target="/x"),
        Mount(type="volume", target="relative"),
        Mount(type="volume", target=""),
        Mount(type="volume", target="/"),
    ],
)
def test_bad_mounts(mount: Mount) -> None:
    with pytest.raises(InvalidArgument, match="invalid mount config"):
        _from_mount(mount)
