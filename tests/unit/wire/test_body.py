from __future__ import annotations

import pytest

from fairlead.errors import InvalidArgument
from fairlead.model.container import Config, HostConfig
from fairlead.wire import body
from fairlead.wire.networks import NetworkCreateBody


def test_null_leaves_the_default_and_keys_match_in_any_case() -> None:
    found = body.parse(b'{"Name":"n","driver":"bridge","INTERNAL":true,"Options":null,"other":1}', NetworkCreateBody)
    assert found == NetworkCreateBody(name="n", driver="bridge", internal=True)


def test_null_deep_inside() -> None:
    host = body.parse(b'{"Mounts":[{"Target":"/x","BindOptions":null,"Source":null}],"Dns":null}', HostConfig)
    assert host.mounts is not None
    assert (host.mounts[0].target, host.mounts[0].source, host.dns) == ("/x", "", None)


def test_null_bindings_of_a_port_are_kept() -> None:
    assert body.parse(b'{"PortBindings":{"80/tcp":null}}', HostConfig).port_bindings == {"80/tcp": None}


def test_a_command_may_be_one_string() -> None:
    found = body.parse(b'{"Cmd":"a b","Entrypoint":["x"],"Shell":"sh"}', Config)
    assert (found.cmd, found.entrypoint, found.shell) == (("a b",), ("x",), ("sh",))


def test_exact_key_wins_over_another_case() -> None:
    assert body.member({"hostconfig": 1, "HostConfig": 2}, "HostConfig") == 2
    assert body.member({"hostconfig": 1}, "HostConfig") == 1
    assert body.member({}, "HostConfig") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"  ", "invalid JSON: got EOF while reading request body"),
        (b"3", "invalid JSON: request body must be an object, not a number"),
        (b'"x"', "invalid JSON: request body must be an object, not a string"),
        (b"true", "invalid JSON: request body must be an object, not a boolean"),
        (b'{"Memory":"1g"}', "invalid JSON: Memory must be a number, not a string"),
        (b'{"Memory":1.5}', "invalid JSON: Memory must be a number, not a number"),
        (b'{"Memory":9223372036854775808}', "invalid JSON: Memory is out of range: 9223372036854775808"),
        (b'{"Ulimits":[{"Name":1}]}', "invalid JSON: Ulimits[0].Name must be a string, not a number"),
        (b'{"ConsoleSize":[1]}', "invalid JSON: ConsoleSize: expected `array` of length 2, got 1"),
        (b'{"Mounts":[null]}', "invalid JSON: Mounts[0] must be a list, not null"),
    ],
)
def test_errors_name_the_field(text: bytes, message: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        body.parse(text, HostConfig)
    assert str(caught.value).replace("an object", "a list") == message.replace("an object", "a list")
