from __future__ import annotations

from dataclasses import replace

import pytest

from fairlead.compose import body
from fairlead.compose.errors import ComposeError
from fairlead.compose.observed import Container, Observed, Thing
from fairlead.compose.plan import (
    ChangeNetwork,
    ContainerStep,
    Create,
    CreateNetwork,
    CreateVolume,
    Keep,
    Plan,
    Recreate,
    Remove,
    Start,
    Wishes,
    plan,
    service_digest,
)
from fairlead.compose.project import Project
from unit.compose.files import project

TEXT = """
services:
  web: {image: nginx, depends_on: [db], volumes: ["v:/v"]}
  db: {image: pg}
volumes: {v: }
"""
IMAGES = {"nginx": "sha256:n", "pg": "sha256:p"}


def container(found: Project, service: str, number: int = 1, **fields: object) -> Container:
    values: dict[str, object] = {
        "id": f"{service}{number}",
        "name": f"demo-{service}-{number}",
        "service": service,
        "number": number,
        "oneoff": False,
        "state": "running",
        "digest": service_digest(found, found.services[service]) if service in found.services else "",
        "image": "",
        "image_id": IMAGES.get(found.services[service].image, "") if service in found.services else "",
        "created": 0,
    }
    return Container(**(values | fields))  # type: ignore[arg-type]  # fields are spelt by the tests


def there(found: Project, *containers: Container) -> Observed:
    networks = {
        resource.name: Thing(
            id=key, name=resource.name, key=key, project="demo", digest=body.digest(body.network(resource))
        )
        for key, resource in found.networks.items()
    }
    volumes = {
        r.name: Thing(id=r.name, name=r.name, key=k, project="demo", digest="") for k, r in found.volumes.items()
    }
    return Observed(containers=containers, networks=networks, volumes=volumes)


def steps(made: Plan, service: str) -> tuple[ContainerStep, ...]:
    return made.services[service]


def test_from_nothing_everything_is_made_dependencies_first() -> None:
    made = plan(project(TEXT), Observed(), IMAGES, Wishes())
    assert [type(step) for step in made.resources] == [CreateNetwork, CreateVolume]
    assert list(made.services) == ["db", "web"]
    assert steps(made, "web") == (Create("web", 1, "demo-web-1"),)
    assert not made.changes_nothing


def test_what_is_as_described_is_kept() -> None:
    found = project(TEXT)
    made = plan(found, there(found, container(found, "web"), container(found, "db")), IMAGES, Wishes())
    assert made.changes_nothing
    assert isinstance(steps(made, "web")[0], Keep)


@pytest.mark.parametrize("change", [{"digest": "other"}, {"image_id": "sha256:older"}])
def test_another_description_or_image_makes_it_anew(change: dict[str, object]) -> None:
    found = project(TEXT)
    old = container(found, "web", **change)
    made = plan(found, there(found, old, container(found, "db")), IMAGES, Wishes())
    assert steps(made, "web") == (Create("web", 1, "demo-web-1", old),)
    assert isinstance(steps(made, "db")[0], Keep)
    kept = plan(found, there(found, old), IMAGES, Wishes(recreate=Recreate.NEVER))
    assert steps(kept, "web") == (Keep(old),)


def test_forced_recreation_leaves_alone_what_was_not_named() -> None:
    found = project(TEXT)
    have = there(found, container(found, "web"), container(found, "db"))
    made = plan(found, have, IMAGES, Wishes(services=("web",), recreate=Recreate.ALWAYS))
    assert isinstance(steps(made, "web")[0], Create)
    assert isinstance(steps(made, "db")[0], Keep)


def test_a_stopped_one_is_started() -> None:
    found = project(TEXT)
    old = container(found, "db", state="exited")
    assert steps(plan(found, there(found, old), IMAGES, Wishes(services=("db",))), "db") == (Start(old),)
    kept = plan(found, there(found, old), IMAGES, Wishes(services=("db",), start=False))
    assert steps(kept, "db") == (Keep(old),)


def test_scaling_up_fills_gaps_and_down_takes_the_last() -> None:
    found = project(TEXT)
    one, three = container(found, "web", 1), container(found, "web", 3)
    up = plan(found, there(found, one, three), IMAGES, Wishes(scale={"web": 4}))
    assert [step.number for step in steps(up, "web") if isinstance(step, Create)] == [2, 4]
    down = plan(found, there(found, one, three), IMAGES, Wishes(scale={"web": 1}))
    assert steps(down, "web") == (Remove(three), Keep(one))
    stopped = replace(one, state="exited")
    assert Remove(stopped) in steps(plan(found, there(found, stopped, three), IMAGES, Wishes()), "web")


def test_who_shares_a_namespace_goes_along() -> None:
    found = project("services: {vpn: {image: nginx}, app: {image: pg, network_mode: 'service:vpn'}}")
    have = there(found, container(found, "vpn", digest="old"), container(found, "app"))
    made = plan(found, have, IMAGES, Wishes())
    assert isinstance(steps(made, "app")[0], Create)


def test_orphans_are_named_and_one_off_containers_are_none() -> None:
    found = project(TEXT)
    old = container(found, "gone")
    made = plan(found, there(found, old, replace(old, id="x", oneoff=True)), IMAGES, Wishes())
    assert made.orphans == (old,)


def test_a_network_that_is_described_otherwise_is_changed() -> None:
    found, other = project(TEXT), project(TEXT + "networks: {default: {internal: true}}\n")
    made = plan(other, there(found), IMAGES, Wishes())
    assert [type(step) for step in made.resources] == [ChangeNetwork]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("services: {web: {image: i, networks: [n]}}\nnetworks: {n: {external: true}}", "declared as external"),
        (
            "services: {web: {image: i, volumes: ['v:/v']}}\nvolumes: {v: {external: true}}",
            'external volume "v" not found',
        ),
    ],
)  # fmt: skip
def test_external_things_must_be_there(text: str, said: str) -> None:
    with pytest.raises(ComposeError) as caught:
        plan(project(text), Observed(), {}, Wishes())
    assert said in str(caught.value)
