"""What goes and what stays when an image is removed, and what dockerd says of it."""

from __future__ import annotations

import pytest

from fairlead.errors import Conflict
from fairlead.images.records import Catalog, ImageRecord
from fairlead.images.removal import Request, User, Users, prune_images, remove
from fairlead.model.views import Deleted, Untagged

A, B, C = ("sha256:" + digit * 64 for digit in "abc")
HUB = "docker.io/library/"
DIGEST = "sha256:" + "0" * 64


def catalog(names: dict[str, str], parents: dict[str, str] | None = None) -> Catalog:
    parents = parents or {}
    images = {image: ImageRecord(parent=parents.get(image, "")) for image in (A, B, C)}
    return Catalog(images=images, names={HUB + name: image for name, image in names.items()})


def by_name(name: str, image: str = A, *, force: bool = False) -> Request:
    return Request(image=image, name=HUB + name, ref=name, force=force)


def by_id(image: str = A, *, force: bool = False, prune: bool = True) -> Request:
    return Request(image=image, ref=image, force=force, prune=prune)


STOPPED: Users = {A: [User(id="1" * 64, running=False)]}
RUNNING: Users = {A: [User(id="2" * 64, running=True)]}


def test_one_of_several_names_is_only_taken_off() -> None:
    done = remove(catalog({"x:1": A, "x:2": A}), by_name("x:1"), {})
    assert done.removals == [Untagged("x:1")]
    assert done.catalog.names == {HUB + "x:2": A}


def test_last_name_takes_the_image_along() -> None:
    done = remove(catalog({"x:1": A}), by_name("x:1"), {})
    assert done.removals == [Untagged("x:1"), Deleted(A)]
    assert A not in done.catalog.images


def test_digests_go_with_the_last_tag_of_their_repository() -> None:
    done = remove(catalog({"x:1": A, f"x@{DIGEST}": A}), by_name("x:1"), {})
    assert done.removals == [Untagged("x:1"), Untagged(f"x@{DIGEST}"), Deleted(A)]
    other = remove(catalog({"x:1": A, f"y@{DIGEST}": A}), by_name("x:1"), {})
    assert other.removals == [Untagged("x:1")]


def test_by_id_all_names_of_one_repository_go() -> None:
    done = remove(catalog({"x:1": A, f"x@{DIGEST}": A}), by_id(), {})
    assert done.removals == [Untagged("x:1"), Untagged(f"x@{DIGEST}"), Deleted(A)]


def test_by_id_several_names_must_be_forced() -> None:
    held = catalog({"x:1": A, "x:2": A})
    with pytest.raises(Conflict) as refusal:
        remove(held, by_id(), {})
    assert str(refusal.value) == (
        "conflict: unable to delete aaaaaaaaaaaa (must be forced) - image is referenced in multiple repositories"
    )
    assert remove(held, by_id(force=True), {}).removals == [Untagged("x:1"), Untagged("x:2"), Deleted(A)]


def test_container_holds_the_last_name() -> None:
    with pytest.raises(Conflict) as refusal:
        remove(catalog({"x:1": A}), by_name("x:1"), STOPPED)
    assert str(refusal.value) == (
        'conflict: unable to remove repository reference "x:1" (must force) - container 111111111111 is using its '
        "referenced image aaaaaaaaaaaa"
    )
    forced = remove(catalog({"x:1": A}), by_name("x:1", force=True), STOPPED)
    assert forced.removals == [Untagged("x:1"), Deleted(A)]


def test_running_container_keeps_the_image_even_when_forced() -> None:
    forced = remove(catalog({"x:1": A}), by_name("x:1", force=True), RUNNING)
    assert forced.removals == [Untagged("x:1")]
    with pytest.raises(Conflict) as refusal:
        remove(catalog({}), by_id(force=True), RUNNING)
    assert str(refusal.value) == (
        "conflict: unable to delete aaaaaaaaaaaa (cannot be forced) - "
        "image is being used by running container 222222222222"
    )


def test_stopped_container_must_be_forced() -> None:
    with pytest.raises(Conflict, match=r"\(must be forced\) - image is being used by stopped container 111111111111"):
        remove(catalog({}), by_id(), STOPPED)
    assert remove(catalog({}), by_id(force=True), STOPPED).removals == [Deleted(A)]


def test_children_keep_their_parent() -> None:
    with pytest.raises(Conflict, match=r"\(cannot be forced\) - image has dependent child images"):
        remove(catalog({}, {B: A}), by_id(force=True), {})


def test_untagged_parents_go_along() -> None:
    chain = catalog({"x:1": C}, {C: B, B: A})
    assert remove(chain, by_name("x:1", C), {}).removals == [Untagged("x:1"), Deleted(C), Deleted(B), Deleted(A)]
    assert remove(chain, by_id(C, prune=False), {}).removals == [Untagged("x:1"), Deleted(C)]
    named = catalog({"x:1": C, "y:1": B}, {C: B, B: A})
    assert remove(named, by_name("x:1", C), {}).removals == [Untagged("x:1"), Deleted(C)]
    assert remove(chain, by_id(C), {B: [User(id="1", running=False)]}).removals == [Untagged("x:1"), Deleted(C)]


def test_prune_passes_over_what_is_needed() -> None:
    done = prune_images(catalog({}, {B: A}), [A, B, C], {C: [User(id="1", running=False)]})
    assert done.removals == [Deleted(B), Deleted(A)]
