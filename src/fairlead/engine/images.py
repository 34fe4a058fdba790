"""Verbs on images: the image store's, with events, and with an eye on the containers that use them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from fairlead.errors import EngineError
from fairlead.images import layerdiff
from fairlead.images.removal import User
from fairlead.model.container import Config
from fairlead.model.image import HistoryEntry, Image, Progress, RegistryAuth
from fairlead.model.requests import CommitSpec, Filters, ImportSpec
from fairlead.model.views import Deleted, ImagesPruned, ImageUsage, Removal, Untagged
from fairlead.wire.times import parse_moment

if TYPE_CHECKING:
    from fairlead.engine.core import Engine

_FILTERS = ("before", "dangling", "label", "label!", "reference", "since", "until")


class Images:
    """Verbs on images, by name, digest, id or unique prefix."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._store = engine.image_store

    # -- what is ----------------------------------------------------------------------------------------------------

    def find(self, ref: str) -> Image:
        return self._store.find(ref)

    def get(self, ref: str) -> Image | None:
        try:
            return self._store.find(ref)
        except EngineError:
            return None

    async def list(self, filters: Filters, all: bool = False) -> Sequence[Image]:  # noqa: A002, ARG002 (Docker's word; we keep no intermediate images)
        filters.check(_FILTERS)
        return [image for image in self._store.list() if self._matches(image, filters)]

    def _matches(self, image: Image, filters: Filters) -> bool:
        born = created(image)
        if "dangling" in filters and filters.flag("dangling", default=False) == bool(image.tags):
            return False
        if any(born >= created(self.find(ref)) for ref in filters.get("before")):
            return False
        if any(born <= created(self.find(ref)) for ref in filters.get("since")):
            return False
        if any(born > self._engine.system.moment(until) for until in filters.get("until")):
            return False
        if "label!" in filters and filters.labels("label!", image.labels):
            return False
        references = filters.get("reference")
        named = not references or any(matches_reference(pattern, tag) for pattern in references for tag in image.tags)
        return named and filters.labels("label", image.labels)

    async def history(self, ref: str) -> Sequence[HistoryEntry]:
        return self._store.history(ref)

    async def usage(self) -> Sequence[ImageUsage]:
        usage = await self._store.usage()
        users = self._users()
        return [
            ImageUsage(image=image, containers=len(users.get(image.id, ())), shared=usage.shared.get(image.id, 0))
            for image in self._store.list()
        ]

    def _users(self) -> Mapping[str, Sequence[User]]:
        users: defaultdict[str, list[User]] = defaultdict(list)
        for container in self._engine.store.containers:
            users[container.image].append(User(id=container.id, running=container.state.running))
        return users

    # -- names and removal ------------------------------------------------------------------------------------------

    def _tell(self, action: str, identifier: str, name: str) -> None:
        self._engine.events.publish("image", action, identifier, {"name": name})

    async def tag(self, ref: str, repository: str, tag: str = "") -> Image:
        image = await self._store.tag(ref, repository, tag)
        self._tell("tag", image.id, f"{repository}:{tag or 'latest'}")
        return image

    async def remove(self, ref: str, force: bool = False, noprune: bool = False) -> Sequence[Removal]:
        image = self.find(ref)
        removals = await self._store.remove(ref, force=force, prune=not noprune, users=self._users())
        self._tell_removals(removals, image.id)
        return removals

    def _tell_removals(self, removals: Sequence[Removal], identifier: str) -> None:
        for removal in removals:
            match removal:
                case Untagged(ref=name):
                    self._tell("untag", identifier, name)
                case Deleted(id=gone):
                    self._tell("delete", gone, gone)

    async def prune(self, filters: Filters) -> ImagesPruned:
        """Untagged ones nobody uses; with ``dangling=false`` all that no container uses."""
        filters.check(("dangling", "label", "label!", "until"))
        only_dangling = filters.flag("dangling", default=True)
        rest = Filters({key: value for key, value in filters.terms.items() if key != "dangling"})
        users = self._users()
        chosen = [
            image
            for image in self._store.list()
            if not users.get(image.id) and not (only_dangling and image.tags) and self._matches(image, rest)
        ]
        pruned = await self._store.prune(chosen, users)
        self._engine.events.publish("image", "prune", "", {"reclaimed": str(pruned.space)})
        return pruned

    # -- in and out -------------------------------------------------------------------------------------------------

    async def load(self, stream: AsyncIterator[bytes], quiet: bool = False) -> AsyncIterator[Progress]:
        async for line in self._store.load(stream, quiet=quiet):
            yield line
        self._tell("load", "", "")

    def save(self, names: Sequence[str]) -> AsyncIterator[bytes]:
        """Raises NotFound at once for a name there is not."""
        for name in names:
            self.find(name)
        return self._store.save(names)

    async def import_(self, stream: AsyncIterator[bytes], spec: ImportSpec) -> AsyncIterator[Progress]:
        """One line: the new image's id."""
        image = await self._store.import_(stream, spec)
        self._tell("import", image.id, spec.ref or image.id)
        yield Progress(status=image.id)

    async def pull(self, ref: str, platform: str = "", auth: RegistryAuth | None = None) -> AsyncIterator[Progress]:
        async for line in self._store.pull(ref, platform, auth):
            yield line
        image = self.get(ref)
        self._tell("pull", image.id if image else ref, ref)

    async def commit(self, container_ref: str, spec: CommitSpec) -> Image:
        """The container's own layer on top of its image; paused meanwhile if asked and running."""
        engine = self._engine
        container = engine.index.find(container_ref)
        parent = self.get(container.image)
        overlay = engine.containers.rootfs(container).overlay()
        config = spec.config or image_config(container.config)

        def write(output: BinaryIO) -> None:
            layerdiff.write(overlay.upper, overlay.lowers, output)

        pausing = spec.pause and container.state.status == "running"
        if pausing:
            await engine.containers.pause(container.id)
        try:
            created_by = " ".join((container.path, *container.args))
            image = await self._store.commit(parent, write, replace(spec, config=config), created_by)
        finally:
            if pausing:
                await engine.containers.unpause(container.id)
        engine.lifecycle.tell(container, "commit", comment=spec.comment, imageID=image.id, imageRef=spec.ref)
        return image


def created(image: Image) -> int:
    """Nanoseconds; images without a date are the oldest."""
    try:
        return parse_moment(image.created)
    except EngineError:
        return 0


def matches_reference(pattern: str, tag: str) -> bool:
    """The ``reference`` filter: a shell pattern for name or name:tag, in which ``*`` stops at slashes (path.Match)."""
    regex = re.compile("".join(_piece(part) for part in re.findall(r"\[[^]]*\]|.", pattern)) + r"\Z")
    name = tag.rsplit(":", 1)[0]
    return any(regex.match(candidate) for candidate in (tag, name))


def _piece(part: str) -> str:
    match part:
        case "*":
            return "[^/]*"
        case "?":
            return "[^/]"
        case _ if part.startswith("[") and len(part) > 2:
            return part.replace("[!", "[^", 1)
        case _:
            return re.escape(part)


def image_config(config: Config) -> Config:
    """What of a container's configuration belongs in an image made from it."""
    return msgspec.structs.replace(
        config, hostname="", domainname="", image="", attach_stdin=False, attach_stdout=False, attach_stderr=False,
        tty=False, open_stdin=False, stdin_once=False, mac_address=None,
    )  # fmt: skip
