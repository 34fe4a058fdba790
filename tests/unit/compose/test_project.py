from __future__ import annotations

import pytest

from fairlead.compose.errors import ComposeError
from fairlead.compose.project import default_name, project_name
from unit.compose.files import project


def test_names_of_things() -> None:
    found = project(
        "services: {web: {image: i, networks: [a, b, ext]}, plain: {build: .}}\n"
        "networks: {a: {}, b: {name: mine}, ext: {external: true}}\n"
        "volumes: {v: {external: {name: old-form}}}\n"
    )
    assert {key: resource.name for key, resource in found.networks.items()} == {
        "a": "demo_a",
        "b": "mine",
        "ext": "ext",
        "default": "demo_default",
    }
    assert (found.volumes["v"].name, found.volumes["v"].external) == ("old-form", True)
    assert found.services["plain"].image == "demo-plain"


def test_environment_is_files_then_the_service_and_the_callers() -> None:
    text = "services: {web: {image: i, env_file: [a.env, {path: no.env, required: false}], environment: [B=2, C, D]}}"
    found = project(text, variables={"C": "3"}, a_env="A=1\nB=1\nE=${C}\n")
    assert found.services["web"].environment == {"A": "1", "B": "2", "C": "3", "E": "3"}


def test_profiles_and_what_is_named() -> None:
    text = "services: {web: {image: i}, tool: {image: i, profiles: [debug], depends_on: [web]}}"
    assert set(project(text).services) == {"web"}
    assert set(project(text, profiles=["debug"]).services) == {"web", "tool"}
    assert set(project(text).with_services(["tool"]).services) == {"web", "tool"}


def test_order_is_dependencies_first() -> None:
    found = project(
        "services:\n"
        "  a: {image: i, depends_on: [b], links: ['c:see']}\n"
        "  b: {image: i, network_mode: 'service:d'}\n"
        "  c: {image: i, volumes_from: [d]}\n"
        "  d: {image: i}\n"
    )
    order = found.needed_by(["a"])
    assert set(order) == {"a", "b", "c", "d"}
    assert all(order.index(first) < order.index(second) for first, second in (("d", "b"), ("b", "a"), ("c", "a")))
    assert found.needed_by(["a"], dependencies=False) == ("a",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("services: {web: {command: x}}", "service web has neither an image nor a build context specified"),
        ("services: {web: {image: i, networks: [no]}}", "refers to undefined network no"),
        ("services: {web: {image: i, volumes: ['no:/v']}}", "refers to undefined volume no"),
        ("services: {web: {image: i, secrets: [no]}}", "refers to undefined secret no"),
        ("services: {web: {image: i, depends_on: [no]}}", "depends on undefined service no"),
        (
            "services: {a: {image: i, depends_on: [b]}, b: {image: i, depends_on: [a]}}",
            "dependency cycle detected: a -> b -> a",
        ),
        (
            "services: {web: {image: i, depends_on: [t]}, t: {image: i, profiles: [p]}}",
            "whose profile (p) is not enabled",
        ),
        ("services: {web: {image: i, network_mode: host, networks: [default]}}", "cannot be combined"),
        ("services: {web: {image: i, container_name: x, scale: 2}}", "2 containers cannot share a name"),
        ("services: {web: {image: i, scale: 2, deploy: {replicas: 3}}}", "say different things"),
        ("services: {web: {image: i, scale: many}}", '"many" is no whole number'),
        ("services: {web: {image: i, env_file: no.env}}", "env file /p/no.env not found"),
    ],
)  # fmt: skip
def test_references_that_lead_nowhere(text: str, said: str) -> None:
    with pytest.raises(ComposeError) as caught:
        project(text)
    assert said in str(caught.value)


def test_project_names() -> None:
    assert (default_name("/srv/My App"), default_name("/x/_-a.b/"), default_name("/...")) == ("myapp", "ab", "")
    assert project_name("ok-1_x") == "ok-1_x"
    for wrong in ("", "Up", "-a", "a b", "ä"):
        with pytest.raises(ComposeError, match="invalid project name"):
            project_name(wrong)
