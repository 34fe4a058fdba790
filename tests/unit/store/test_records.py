"""store: what was saved is there for the next daemon."""

import json
from ipaddress import IPv4Address, IPv4Network, IPv6Address
from pathlib import Path

import pytest

from fairlead.errors import EngineError
from fairlead.ids import ContainerId, EndpointId, NetworkId
from fairlead.model import codec
from fairlead.model.endpoint import Endpoint
from fairlead.model.outside import Attachment, StaticRoute
from fairlead.model.volume import Volume
from fairlead.store import Store


def volume(name: str) -> Volume:
    return Volume(name=name, mountpoint=f"/v/{name}", created=1, labels={"a": "b"})


def test_records_survive_reopening_in_order(tmp_path: Path) -> None:
    path = str(tmp_path / "db")
    store = Store(path)
    for name in ("b", "a", "c"):
        store.volumes.save(volume(name))
    store.volumes.delete("a")
    store.volumes.delete("never there")
    store.close()
    again = Store(path)
    assert [v.name for v in again.volumes] == ["b", "c"]
    assert again.volumes.get("b") == volume("b")
    again.close()


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    path = str(tmp_path / "db")
    store = Store(path)
    store._database.execute("PRAGMA user_version=99")
    store.close()
    with pytest.raises(EngineError, match="another version of fairlead"):
        Store(path)


def test_meta(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "db"))
    assert store.get_meta("k") is None
    store.set_meta("k", "1")
    store.set_meta("k", "2")
    assert store.get_meta("k") == "2"
    store.close()


def test_endpoints_of_before_others_had_a_say_are_still_read() -> None:
    known = Endpoint(id=EndpointId("e"), network=NetworkId("n"), container=ContainerId("c"), mac="", addresses=())
    old = json.loads(codec.encode(known))
    del old["outside"]
    assert codec.decode(json.dumps(old), Endpoint) == known


def test_what_others_said_is_kept() -> None:
    said = Attachment(
        link="veth1",
        gateways=(IPv4Address("10.0.0.1"), IPv6Address("fd00::1")),
        routes=(StaticRoute(prefix=IPv4Network("10.9.0.0/16"), via=IPv4Address("10.0.0.2")),),
        data={"plugin": "{}"},
    )
    told = Endpoint(
        id=EndpointId("e"), network=NetworkId("n"), container=ContainerId("c"), mac="", addresses=(), outside=said
    )
    assert codec.decode(codec.encode(told), Endpoint) == told
