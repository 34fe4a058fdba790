"""Compose files: whatever the text, only ComposeError comes out; what was planned twice is planned alike."""

from __future__ import annotations

import contextlib

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.compose import dotenv, tree
from fairlead.compose.errors import ComposeError
from fairlead.compose.interpolation import Interpolator
from unit.compose.files import project

scalars = st.none() | st.booleans() | st.integers(-5, 70000) | st.text(max_size=8) | st.floats(allow_nan=False)
words = st.sampled_from(
    [
        "services",
        "web",
        "image",
        "ports",
        "volumes",
        "networks",
        "depends_on",
        "environment",
        "build",
        "deploy",
        "80:80",
    ]
)
values = st.recursive(
    scalars | words,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words | st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None)
@given(st.text() | values.map(lambda value: str(yaml.safe_dump(value))))
def test_any_text_is_a_tree_or_a_sentence(text: str) -> None:
    with contextlib.suppress(ComposeError):
        tree.parse(text, "f")


@settings(deadline=None)
@given(values)
def test_any_service_is_a_project_or_a_sentence(value: object) -> None:
    with contextlib.suppress(ComposeError):
        project(str(yaml.safe_dump({"services": {"web": value}})))


@settings(deadline=None)
@given(
    st.dictionaries(st.sampled_from(["ports", "volumes", "networks", "environment", "healthcheck", "ulimits"]), values)
)
def test_any_fields_of_a_service_are_a_project_or_a_sentence(fields: dict[str, object]) -> None:
    with contextlib.suppress(ComposeError):
        project(str(yaml.safe_dump({"services": {"web": {"image": "i", **fields}}})))


@given(st.text(alphabet="${}:-+?AB_ x\"'\\") | st.text())
def test_any_text_is_interpolated_or_refused(text: str) -> None:
    with contextlib.suppress(ComposeError):
        Interpolator({"A": "1"}).text(text)


@given(st.text(alphabet="AB=:#'\"\\$ \n\t") | st.text())
def test_any_file_of_variables_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(ComposeError):
        assert all(isinstance(value, str) for value in dotenv.parse(text, "f", {}).values())


@given(st.text().filter(lambda text: "$" not in text))
def test_text_without_a_dollar_stays(text: str) -> None:
    assert Interpolator({}).text(text) == text
