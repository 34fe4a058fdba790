"""Whatever a plugin answers, only InvalidArgument comes out of reading it."""

from __future__ import annotations

import contextlib
import json

from hypothesis import given
from hypothesis import strategies as st

from fairlead.errors import InvalidArgument
from fairlead.wire import plugins as words

READERS = (
    words.complaint,
    words.nothing,
    words.implements,
    words.driver_abilities,
    words.skipped_gateways,
    words.interface_choice,
    words.join_choice,
    lambda text: words.shown_ports(words.endpoint_info(text)),
    words.ipam_abilities,
    words.address_spaces,
    words.pool_choice,
    words.address_choice,
)
KEYS = st.sampled_from(
    "Err Error Implements Scope ConnectivityScope GwAllocChecker SkipIPv4 Interface Address AddressIPv6 MacAddress "
    "InterfaceName SrcName DstPrefix DstName Gateway GatewayIPv6 StaticRoutes Destination RouteType NextHop "
    "DisableGatewayService RequiresMACAddress LocalDefaultAddressSpace PoolID Pool Data Value Proto Port HostIP "
    f"HostPort {words.PORT_MAP} {words.GATEWAY}".split()
)
WORDS = st.sampled_from(
    ["local", "10.0.0.0/24", "10.0.0.9/24", "fd00::1", "fe80::1%a", "10.0.0.0/99", "02:00:00:00:00:01", "eth", "a/b"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=6),
    max_leaves=20,
)


def read_all(text: bytes) -> None:
    for read in READERS:
        with contextlib.suppress(InvalidArgument):
            read(text)


@given(st.binary(max_size=64))
def test_any_bytes(text: bytes) -> None:
    read_all(text)


@given(VALUES)
def test_any_json(value: object) -> None:
    read_all(json.dumps(value).encode())


@given(st.integers(min_value=1, max_value=200_000))
def test_any_depth(depth: int) -> None:
    read_all(b'{"Value":' * depth)
