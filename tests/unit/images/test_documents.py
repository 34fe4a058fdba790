"""Configs, manifests, platforms and --change: text in, values out."""

from __future__ import annotations

import hashlib
import json

import pytest

from fairlead.errors import InvalidArgument, NotFound
from fairlead.images import document, manifest, skopeo
from fairlead.images.instructions import apply
from fairlead.images.layers import chain_ids
from fairlead.images.reference import parse
from fairlead.images.unpack import BadLayer, clean
from fairlead.model.container import Config, Health

DIGEST = "sha256:" + "a" * 64


def config(**fields: object) -> bytes:
    return json.dumps(
        {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}, **fields}
    ).encode()


def test_nulls_of_go_are_nothing() -> None:
    raw = config(
        config={
            "Env": None,
            "User": None,
            "ExposedPorts": {"80/tcp": None},
            "Cmd": "sh",
            "Healthcheck": {"Test": None},
        },
        history=[{"created": None, "created_by": "x"}],
        author=None,
    )
    parsed = document.parse(raw)
    assert parsed.config.exposed_ports == {"80/tcp": {}}
    assert parsed.config.cmd == ("sh",)
    assert parsed.config.healthcheck == Health()
    assert parsed.history[0].created_by == "x"
    assert document.parse(config(config=None)).config == Config()


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "invalid image config"),
        (b"[]", "not an object"),
        (config(os="windows"), "cannot load windows image on linux"),
        (config(rootfs={"diff_ids": ["sha256:../../etc"]}), "is not a sha256 digest"),
        (config(rootfs={"diff_ids": [DIGEST] * 126}), "max depth exceeded"),
        (config(config={"Env": [1]}), "invalid image config"),
    ],
)
def test_refused_configs(raw: bytes, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        document.parse(raw)


def test_rendered_config_reads_back() -> None:
    parsed = document.parse(config(config={"Env": ["A=b"], "Volumes": {"/d": {}}, "Labels": {"l": "v"}}, author="me"))
    rendered = document.render(parsed)
    assert document.parse(rendered) == parsed
    assert json.loads(rendered)["config"] == {"Env": ["A=b"], "Volumes": {"/d": {}}, "Labels": {"l": "v"}}
    assert document.render(document.parse(rendered)) == rendered


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:00:01Z", 1),
        ("1970-01-01T01:00:01.123456789+01:00", 1),
        ("1970-01-01T00:00:02.5Z", 2),
        ("0001-01-01T00:00:00Z", -62135596800),
        ("yesterday", 0),
        ("", 0),
    ],
)
def test_times(text: str, seconds: int) -> None:
    assert document.seconds(text) == seconds


def test_time_as_go_prints_it() -> None:
    assert document.rfc3339(1_700_000_000_120_000_000) == "2023-11-14T22:13:20.12Z"
    assert document.rfc3339(1_700_000_000_000_000_000) == "2023-11-14T22:13:20Z"


def test_sizes_of_layers_stand_at_the_lines_that_made_them() -> None:
    raw = config(history=[{"created_by": "a"}, {"created_by": "b", "empty_layer": True}, {"created_by": "c"}])
    entries = document.history_entries(document.parse(raw), [10, 20])
    assert [(entry.created_by, entry.size) for entry in entries] == [("a", 10), ("b", 0), ("c", 20)]


def test_chain_ids_as_the_specification_has_them() -> None:
    one, two = DIGEST, "sha256:" + "b" * 64
    assert chain_ids([one, two]) == (one, "sha256:" + hashlib.sha256(f"{one} {two}".encode()).hexdigest())
    assert chain_ids([]) == ()


def index(*platforms: dict[str, str] | None) -> manifest.Manifest:
    entries = [
        {"digest": "sha256:" + f"{number:064x}", "mediaType": "m", "size": 1, **({"platform": one} if one else {})}
        for number, one in enumerate(platforms)
    ]
    return manifest.parse_manifest({"schemaVersion": 2, "manifests": entries})


@pytest.mark.parametrize(
    ("wanted", "found"),
    [("linux/amd64", 0), ("linux/arm64", 2), ("linux/arm64/v8", 2), ("linux/arm/v7", 3), ("LINUX/x86_64", 0)],
)
def test_choice_of_a_platform(wanted: str, found: int) -> None:
    offered = index(
        {"architecture": "amd64", "os": "linux"},
        {"architecture": "unknown", "os": "unknown"},
        {"architecture": "arm64", "os": "linux", "variant": "v8"},
        {"architecture": "arm", "os": "linux", "variant": "v7"},
    )
    assert int(manifest.choose(offered, wanted).digest.removeprefix("sha256:"), 16) == found


def test_no_platform_that_suits() -> None:
    with pytest.raises(NotFound, match="no matching manifest for linux/s390x in the manifest list entries"):
        manifest.choose(index({"architecture": "amd64", "os": "linux"}), "linux/s390x")
    assert manifest.choose(index(None), "")
    with pytest.raises(InvalidArgument, match="invalid platform"):
        manifest.parse_platform("a b")


@pytest.mark.parametrize(
    ("line", "field", "value"),
    [
        ("CMD echo hi", "cmd", ("/bin/sh", "-c", "echo hi")),
        ('CMD ["echo", "hi"]', "cmd", ("echo", "hi")),
        ('entrypoint ["a"]', "entrypoint", ("a",)),
        ("ENV A=1 B='2 3'", "env", ("OLD=x", "A=1", "B=2 3")),
        ("ENV OLD the rest", "env", ("OLD=the rest",)),
        ("LABEL k=v", "labels", {"k": "v"}),
        ("EXPOSE 80 53/udp 7-8", "exposed_ports", {"80/tcp": {}, "53/udp": {}, "7/tcp": {}, "8/tcp": {}}),
        ('VOLUME ["/a", "/b"]', "volumes", {"/a": {}, "/b": {}}),
        ("VOLUME /a /b", "volumes", {"/a": {}, "/b": {}}),
        ("WORKDIR sub", "working_dir", "/w/sub"),
        ("WORKDIR /abs", "working_dir", "/abs"),
        ("USER 7:8", "user", "7:8"),
        ("STOPSIGNAL SIGINT", "stop_signal", "SIGINT"),
        ("ONBUILD RUN x", "on_build", ("RUN x",)),
        ('SHELL ["/bin/ash", "-c"]', "shell", ("/bin/ash", "-c")),
        ("HEALTHCHECK NONE", "healthcheck", Health(test=("NONE",))),
        (
            "HEALTHCHECK --interval=5s --retries=2 CMD curl x",
            "healthcheck",
            Health(test=("CMD-SHELL", "curl x"), interval=5 * 10**9, retries=2),
        ),
    ],
)
def test_changes(line: str, field: str, value: object) -> None:
    changed = apply(Config(env=("OLD=x",), working_dir="/w"), [line])
    assert getattr(changed, field) == value


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("RUN x", "RUN is not a valid change command"),
        ("CMD", "CMD requires at least one argument"),
        ("ENV A", "ENV must have two arguments"),
        ("EXPOSE 0", "invalid containerPort: 0"),
        ("EXPOSE 9-8", "invalid containerPort: 9-8"),
        ("EXPOSE 1-65536", "invalid containerPort"),
        ("LABEL a=b c", "can't find = in 'c'"),
        ("LABEL a='b", "Syntax error"),
        ("SHELL sh", "JSON form"),
        ("HEALTHCHECK --interval=soon CMD x", 'invalid duration "soon"'),
        ("HEALTHCHECK TCP x", "Unknown type"),
        ("ONBUILD ONBUILD RUN x", "Chaining ONBUILD"),
    ],
)
def test_refused_changes(line: str, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        apply(Config(), [line])


@pytest.mark.parametrize(
    ("name", "path"),
    [(b"./a/b/", b"a/b"), (b"/a", b"a"), (b"./", b""), (b"a/../b", b"b"), (b"/../a", b"a"), (b"", b"")],
)
def test_clean_names(name: bytes, path: bytes) -> None:
    assert clean(name) == path


@pytest.mark.parametrize("name", [b"..", b"../a", b"a/../../b", b"./../a"])
def test_names_that_climb(name: bytes) -> None:
    with pytest.raises(BadLayer, match="is outside of the archive's root"):
        clean(name)


@pytest.mark.parametrize(
    ("domain", "insecure"),
    [
        ("localhost:5000", True),
        ("127.0.0.1:5000", True),
        ("[::1]:5000", True),
        ("registry.example", False),
        ("plain.example:5000", True),
        ("10.1.2.3:80", True),
        ("10.2.2.3", False),
    ],
)
def test_insecure_registries(domain: str, insecure: bool) -> None:
    assert skopeo.is_insecure(domain, ("plain.example:5000", "10.1.0.0/16")) is insecure


def test_refusals_in_dockers_words() -> None:
    ref = parse("team/app")
    unknown = skopeo.translate("reading manifest latest: manifest unknown: gone", ref)
    assert (type(unknown), str(unknown)) == (
        NotFound,
        "manifest for team/app:latest not found: manifest unknown: manifest unknown",
    )
    dead = skopeo.translate('Error parsing image name "x": pinging: Get "http://r/v2/": dial tcp: refused', ref)
    assert str(dead) == 'Get "http://r/v2/": dial tcp: refused'
    denied = skopeo.translate("requested access to the resource is denied", ref)
    assert str(denied).startswith("pull access denied for team/app, repository does not exist or may require")


def test_mirrors_stand_in_for_docker_hub_only() -> None:
    text = skopeo.mirrors_conf(("http://mirror.example:5000/", "https://other.example"))
    assert text.count("[[registry]]") == 1
    assert 'location = "mirror.example:5000"\ninsecure = true' in text
    assert 'location = "other.example"\ninsecure = false' in text
