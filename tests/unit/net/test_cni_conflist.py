from __future__ import annotations

import json
from typing import Any

import pytest

from fairlead.net.cni import conflist
from fairlead.net.cni.conflist import NetworkList, choose_version, parse_list, parse_plugin, parse_single, since
from fairlead.net.cni.errors import CniError


def chain(**fields: Any) -> NetworkList:
    return parse_list(json.dumps({"name": "net", "plugins": [{"type": "bridge"}], **fields}).encode())


def test_a_list_is_read_with_everything_in_it() -> None:
    plugins = [
        {"type": "bridge", "bridge": "cni0", "ipam": {"type": "host-local", "weird": [None, 1.5]}},
        {"type": "portmap", "capabilities": {"portMappings": True, "bandwidth": False}},
    ]
    found = chain(cniVersion="1.0.0", plugins=plugins, disableCheck=True, disableGC="True")
    assert [plugin.type for plugin in found.plugins] == ["bridge", "portmap"]
    assert json.loads(found.plugins[0].text) == plugins[0]
    assert found.capabilities == {"portMappings"}
    assert found.versions == ("1.0.0",)
    assert (found.disable_check, found.disable_gc, found.only_inlined) == (True, True, False)


def test_versions_offered_are_those_we_know_in_their_order() -> None:
    assert chain(cniVersion="0.4.0", cniVersions=["1.1.0", "2.0.0", "0.3.1"]).versions == ("0.3.1", "0.4.0", "1.1.0")
    assert chain().versions == ("0.1.0",)
    assert chain(cniVersion="0.1").versions == ("0.1.0",)


def test_the_newest_version_all_plugins_speak_is_chosen() -> None:
    found = chain(cniVersion="1.0.0", cniVersions=["0.4.0", "1.1.0"])
    assert choose_version(found, {"a": ["0.4.0", "1.0.0", "1.1.0"], "b": ["0.4.0", "1.0.0"]}) == "1.0.0"
    assert choose_version(found, {"a": ["0.4.0"], "b": ["1.0.0", "0.4.0"]}) == "0.4.0"
    with pytest.raises(CniError, match=r"asks for CNI 0.4.0 or 1.0.0 or 1.1.0.*\(a: 0.2.0; b: none\)"):
        choose_version(found, {"a": ["0.2.0"], "b": []})


def test_versions_have_an_order() -> None:
    assert since("1.0.0", "0.4.0")
    assert since("0.4.0", "0.4.0")
    assert not since("0.3.1", "0.4.0")
    assert list(conflist.VERSIONS) == sorted(conflist.VERSIONS)


def test_a_single_plugin_is_a_chain_of_one() -> None:
    found = parse_single(b'{"cniVersion": "0.3.1", "name": "old", "type": "macvlan", "master": "eth0"}')
    assert (found.name, found.versions, [plugin.type for plugin in found.plugins]) == ("old", ("0.3.1",), ["macvlan"])
    assert json.loads(found.plugins[0].text)["master"] == "eth0"


def test_plugins_may_be_in_files_of_their_own() -> None:
    assert parse_list(b'{"name": "net", "cniVersion": "1.1.0"}').plugins == ()
    assert parse_plugin(b'{"type": "tuning"}').type == "tuning"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "EOF"),
        ("nonsense", "invalid JSON"),
        ("[]", "not a JSON object"),
        ('{"plugins": [{"type": "a"}]}', "'' is no name"),
        ('{"name": "a/b", "plugins": [{"type": "a"}]}', "'a/b' is no name"),
        ('{"name": ["a"], "plugins": [{"type": "a"}]}', "name must be a string, not a list"),
        ('{"name": "a", "plugins": []}', "list of plugins is empty"),
        ('{"name": "a", "plugins": {}}', "plugins must be a list"),
        ('{"name": "a", "plugins": [{}]}', r"plugins\[0\]: '' is no type"),
        ('{"name": "a", "plugins": [{"type": "../sh"}]}', "'../sh' is no type"),
        ('{"name": "a", "plugins": [{"type": ".."}]}', "is no type"),
        ('{"name": "a", "plugins": ["bridge"]}', "plugins"),
        ('{"name": "a", "plugins": [{"type": "b", "capabilities": ["mac"]}]}', r"plugins\[0\].capabilities must be"),
        ('{"name": "a", "cniVersion": "9.9.9", "plugins": [{"type": "b"}]}', "CNI 9.9.9 is not spoken here"),
        ('{"name": "a", "cniVersion": 1, "plugins": [{"type": "b"}]}', "cniVersion must be a string"),
        ('{"name": "a", "disableGC": "maybe", "plugins": [{"type": "b"}]}', "disableGC is neither true nor false"),
        ('{"name": "a", "loadOnlyInlinedPlugins": true}', "loadOnlyInlinedPlugins is true and there is no list"),
    ],
)
def test_what_is_wrong_is_said(text: str, complaint: str) -> None:
    with pytest.raises(CniError, match=complaint):
        parse_list(text.encode())
