"""Whatever bytes a client sends, only InvalidArgument comes out, and what is parsed stays what it was."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fairlead.errors import InvalidArgument
from fairlead.model import codec
from fairlead.model.container import Config, ContainerSpec, HostConfig
from fairlead.wire import execs, networks, volumes
from fairlead.wire.container_create import parse_create, parse_update
from fairlead.wire.filters import parse_filters
from fairlead.wire.times import parse_moment, rfc3339

LATEST = (1, 51)
PARSERS = (
    lambda text: parse_create(text, LATEST),
    parse_update,
    lambda text: networks.parse_create(text, LATEST),
    networks.parse_connect,
    networks.parse_disconnect,
    volumes.parse_create,
    execs.parse_create,
    lambda text: execs.parse_start(text, LATEST),
    lambda text: parse_filters(text.decode(errors="replace")),
)
KEYS = [
    field.encode_name
    for kind in (Config, HostConfig, networks.NetworkCreateBody, networks.IpamConfigBody)
    for field in msgspec.structs.fields(kind)
] + ["HostConfig", "NetworkingConfig", "EndpointsConfig", "Container", "EndpointConfig", "IPAMConfig", "80/tcp"]
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=8)
    | st.sampled_from(["x", "10.0.0.0/24"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=4), inner, max_size=6)
    ),
    max_leaves=20,
)


def only_invalid_argument(text: bytes) -> None:
    for parse in PARSERS:
        with contextlib.suppress(InvalidArgument):
            parse(text)


@given(st.binary(max_size=64))
def test_any_bytes(text: bytes) -> None:
    only_invalid_argument(text)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=8))
def test_any_json_with_known_names(value: dict[str, Any]) -> None:
    only_invalid_argument(json.dumps({"Image": "x", "Name": "n", "Cmd": ["c"], **value}).encode())


@given(
    env=st.lists(st.from_regex(r"[A-Z]+=\w*", fullmatch=True), max_size=3),
    memory=st.integers(6 << 20, 1 << 40),
    ports=st.dictionaries(st.integers(1, 65535), st.integers(0, 65535), max_size=4),
)
def test_a_parsed_spec_survives_the_store(env: list[str], memory: int, ports: dict[int, int]) -> None:
    bindings = {f"{port}/tcp": [{"HostPort": str(host) if host else ""}] for port, host in ports.items()}
    given = {"Image": "x", "Env": env, "HostConfig": {"Memory": memory, "PortBindings": bindings}}
    spec, _ = parse_create(json.dumps(given).encode(), LATEST)
    assert codec.decode(codec.encode(spec), ContainerSpec) == spec
    assert {(p.container.port, p.low) for p in spec.ports} == set(ports.items())


@given(st.integers(1, 4 * 10**18))
def test_moments_round_trip(moment: int) -> None:
    assert parse_moment(rfc3339(moment)) == moment
