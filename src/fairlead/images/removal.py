"""``docker rmi`` and prune: which names and images go, decided on the catalogue alone, by Docker's rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from fairlead.errors import Conflict
from fairlead.images import reference
from fairlead.images.records import Catalog
from fairlead.model.views import Deleted, Removal, Untagged

_SHORT = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A container that was made from an image."""

    id: str
    running: bool


Users = Mapping[str, Sequence[User]]  # by image id


@dataclass(slots=True)
class Outcome:
    """The catalogue afterwards and what it lost, in order."""

    catalog: Catalog
    removals: list[Removal] = field(default_factory=list)

    def untag(self, name: str) -> None:
        names = {key: target for key, target in self.catalog.names.items() if key != name}
        self.catalog = Catalog(images=self.catalog.images, names=names)
        self.removals.append(Untagged(reference.parse(name).familiar))

    def delete(self, image: str) -> None:
        for name in self.catalog.names_of(image):
            self.untag(name)
        images = {key: record for key, record in self.catalog.images.items() if key != image}
        self.catalog = Catalog(images=images, names=self.catalog.names)
        self.removals.append(Deleted(image))


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """``name`` is the catalogue's name the image was asked by, "" when by its id; ``prune`` takes untagged parents."""

    image: str
    name: str = ""
    ref: str = ""
    force: bool = False
    prune: bool = True


def remove(catalog: Catalog, asked: Request, users: Users) -> Outcome:
    """Remove a name, and the image with its last one; or the image by its id. Raises Conflict in Docker's words."""
    outcome = Outcome(catalog)
    names = catalog.names_of(asked.image)
    if asked.name:
        if not asked.force and _single(names):
            _check_last_name(asked.ref, asked.image, users)
        _untag_repository(outcome, asked.image, asked.name)
        # Docker goes quietly here: the name is gone, the image stays for those who need it.
        if outcome.catalog.names_of(asked.image) or _conflict(outcome.catalog, asked, users):
            return outcome
    elif (problem := _conflict(catalog, asked, users)) is not None:
        raise problem
    elif not _single(names) and not asked.force:
        raise Conflict(_sentence(asked.image, "must be forced", "image is referenced in multiple repositories"))
    _delete_with_parents(outcome, asked.image, prune=asked.prune, users=users)
    return outcome


def prune_images(catalog: Catalog, images: Sequence[str], users: Users) -> Outcome:
    """Remove those of ``images`` that nobody needs, quietly passing over the others."""
    outcome = Outcome(catalog)
    for image in images:
        if image in outcome.catalog.images and not users.get(image) and not children(outcome.catalog, image):
            _delete_with_parents(outcome, image, prune=True, users=users)
    return outcome


def children(catalog: Catalog, image: str) -> list[str]:
    """Images committed from this one."""
    return [identifier for identifier, record in catalog.images.items() if record.parent == image]


def _single(names: Sequence[str]) -> bool:
    """At most one tag, and every digest is of its repository."""
    parsed = [reference.parse(name) for name in names]
    tags = [name for name in parsed if not name.digest]
    return len(parsed) <= 1 or (len(tags) <= 1 and len({name.name for name in parsed}) == 1)


def _check_last_name(ref: str, image: str, users: Users) -> None:
    for user in users.get(image, ()):
        raise Conflict(
            f'conflict: unable to remove repository reference "{ref}" (must force) - '
            f"container {user.id[:_SHORT]} is using its referenced image {_short(image)}",
        )


def _untag_repository(outcome: Outcome, image: str, key: str) -> None:
    """Take the name off; digests of its repository go with its last tag."""
    outcome.untag(key)
    repository = reference.parse(key)
    rest = [reference.parse(name) for name in outcome.catalog.names_of(image)]
    same = [name for name in rest if name.name == repository.name]
    if not repository.digest and all(name.digest for name in same):
        for name in same:
            outcome.untag(name.key())


def _conflict(catalog: Catalog, asked: Request, users: Users) -> Conflict | None:
    """Why it must stay: for children and running containers always, for stopped ones unless forced."""
    image = asked.image
    if children(catalog, image):
        return Conflict(_sentence(image, "cannot be forced", "image has dependent child images"))
    for user in sorted(users.get(image, ()), key=lambda user: not user.running):
        state, force = ("running", "cannot be forced") if user.running else ("stopped", "must be forced")
        if user.running or not asked.force:
            reason = f"image is being used by {state} container {user.id[:_SHORT]}"
            return Conflict(_sentence(image, force, reason))
    return None


def _sentence(image: str, force: str, reason: str) -> str:
    return f"conflict: unable to delete {_short(image)} ({force}) - {reason}"


def _delete_with_parents(outcome: Outcome, image: str, *, prune: bool, users: Users) -> None:
    parent = outcome.catalog.images[image].parent
    outcome.delete(image)
    while prune and parent in outcome.catalog.images:
        needed = outcome.catalog.names_of(parent) or users.get(parent) or children(outcome.catalog, parent)
        if needed:
            return
        image, parent = parent, outcome.catalog.images[parent].parent
        outcome.delete(image)


def _short(image: str) -> str:
    return image.removeprefix("sha256:")[:_SHORT]
