"""Verbs on images: the image store's, with events, and with an eye on the containers that use them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from fairlead.errors import EngineError, InvalidArgument
from fairlead.images import layerdiff, reference
from fairlead.images.removal import User
from fairlead.model.container import Config
from fairlead.model.image import HistoryEntry, Image, Offer, Progress, RegistryAuth
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

    async def list(self, filters: Filters, all: bool = False) -> Sequence[Image]:  # noqa: A002 (Docker's word)
        """Those that pass, with the names that do; untagged parents of others only when ``all`` are asked for."""
        filters.check(_FILTERS)
        images = sorted(self._store.list(), key=created, reverse=True)
        parents = frozenset() if all else frozenset(image.parent for image in images)
        passing = self._passing(filters)
        found = [image for image in images if (image.tags or image.id not in parents) and passing(image)]
        patterns = filters.get("reference")
        return list(filter(None, (named_as(image, patterns) for image in found))) if patterns else found

    def _passing(self, filters: Filters) -> Callable[[Image], bool]:
        """What all filters but ``reference`` say; raises for values that cannot be, even when there is no image."""
        dangling = filters.flag("dangling", default=False) if "dangling" in filters else None
        before = min((created(self.find(ref)) for ref in filters.get("before")), default=None)
        since = max((created(self.find(ref)) for ref in filters.get("since")), default=None)
        until = min(map(self._engine.system.moment, filters.get("until")), default=None)

        def passes(image: Image) -> bool:
            born = created(image)
            return (
                (dangling is None or dangling != bool(image.tags or image.digests))
                and (before is None or born < before)
                and (since is None or born > since)
                and (until is None or born <= until)
                and filters.labels("label", image.labels)
                and not ("label!" in filters and filters.labels("label!", image.labels))
            )

        return passes

    def ancestors(self, image: Image) -> Sequence[Image]:
        """The images it was committed from that are still here, the nearest first."""
        found: list[Image] = []
        while image.parent and (parent := self.get(image.parent)) is not None and parent not in found:
            found.append(image := parent)
        return found

    async def history(self, ref: str) -> Sequence[HistoryEntry]:
        return self._store.history(ref)

    async def shared(self) -> Mapping[str, int]:
        """For every image the bytes it shares with others."""
        return (await self._store.usage()).shared

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

    def _tell(self, action: str, image: Image, actor: str = "", name: str = "") -> None:
        """An event with the image's labels, as dockerd has it; about its id unless said otherwise."""
        said = {**image.labels, "name": name or image.id}
        self._engine.events.publish("image", action, actor or image.id, said)

    async def tag(self, ref: str, repository: str, tag: str = "") -> Image:
        image = await self._store.tag(ref, repository, tag)
        self._tell("tag", image, name=reference.parse_tag(repository, tag).familiar)
        return image

    async def remove(self, ref: str, force: bool = False, noprune: bool = False) -> Sequence[Removal]:
        image = self.find(ref)
        known = frozenset(one.id for one in self._store.list())
        removals = await self._store.remove(ref, force=force, prune=not noprune, users=self._users())
        self._tell_removals(removals, image, known)
        return removals

    def _tell_removals(self, removals: Sequence[Removal], image: Image, known: Collection[str]) -> None:
        """Of what went, the layers are not told of."""
        for removal in removals:
            match removal:
                case Untagged():
                    self._tell("untag", image)
                case Deleted(id=gone) if gone in known:
                    self._tell("delete", image, gone, gone)

    async def prune(self, filters: Filters) -> ImagesPruned:
        """Untagged ones nobody uses; with ``dangling=false`` all that no container uses."""
        filters.check(("dangling", "label", "label!", "until"))
        only_dangling = filters.flag("dangling", default=True)
        rest = Filters({key: value for key, value in filters.terms.items() if key != "dangling"})
        users, passing = self._users(), self._passing(rest)
        chosen = [
            image
            for image in self._store.list()
            if not users.get(image.id) and not (only_dangling and (image.tags or image.digests)) and passing(image)
        ]
        pruned = await self._store.prune(chosen, users)
        self._engine.events.publish("image", "prune", "", {"reclaimed": str(pruned.space)})
        return pruned

    # -- in and out -------------------------------------------------------------------------------------------------

    async def load(self, stream: AsyncIterator[bytes], quiet: bool = False) -> AsyncGenerator[Progress]:
        async with aclosing(self._store.load(stream, quiet=quiet)) as lines:
            async for line in lines:
                if (name := _loaded(line)) and (image := self.get(name)) is not None:
                    self._tell("load", image)
                yield line

    async def save(self, names: Sequence[str]) -> AsyncGenerator[bytes]:
        """Raises NotFound before anything else for a name there is not."""
        images = {image.id: image for image in map(self.find, names)}
        async with aclosing(self._store.save(names)) as blocks:
            async for block in blocks:
                yield block
        for image in images.values():
            self._tell("save", image)

    async def import_(self, stream: AsyncIterator[bytes], spec: ImportSpec) -> AsyncGenerator[Progress]:
        """One line: the new image's id."""
        image = await self._store.import_(stream, spec)
        self._tell("import", image)
        yield Progress(status=image.id)

    async def pull(self, ref: str, platform: str = "", auth: RegistryAuth | None = None) -> AsyncGenerator[Progress]:
        """A name without tag and digest means all the repository's tags, as in dockerd."""
        parsed = reference.parse(ref)
        everything = not (parsed.tag or parsed.digest)
        async with aclosing(self._store.pull(ref, platform, auth, all_tags=everything)) as lines:
            async for line in lines:
                yield line
        image = self.get(parsed.key())
        labels = image.labels if image is not None else {}
        self._engine.events.publish("image", "pull", parsed.familiar, {**labels, "name": parsed.familiar_name})

    async def look_up(self, ref: str, auth: RegistryAuth | None = None) -> Offer:
        """What the registry has under a name."""
        return await self._store.look_up(ref, auth)

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
        engine.lifecycle.tell(container, "commit", comment=spec.comment, imageID=image.id, imageRef=_familiar(spec.ref))
        return image


def _familiar(ref: str) -> str:
    return reference.parse(ref).with_default_tag().familiar if ref else ""


_LOADED = re.compile(r"Loaded image(?: ID)?: (\S+)\n")


def _loaded(line: Progress) -> str:
    """The name or id of an image that a line of ``load`` says is there now."""
    found = _LOADED.fullmatch(line.stream)
    return found[1] if found else ""


def named_as(image: Image, patterns: Sequence[str]) -> Image | None:
    """The image with those of its names that match a pattern; None when none does."""
    tags, digests = (
        tuple(name for name in names if any(matches_reference(pattern, name) for pattern in patterns))
        for names in (image.tags, image.digests)
    )
    return replace(image, tags=tags, digests=digests) if tags or digests else None


def created(image: Image) -> int:
    """Nanoseconds; images without a date are the oldest."""
    try:
        return parse_moment(image.created)
    except EngineError:
        return 0


def matches_reference(pattern: str, name: str) -> bool:
    """The ``reference`` filter: a shell pattern for name or name:tag, in which ``*`` stops at slashes (path.Match)."""
    try:
        regex = re.compile("".join(_piece(part) for part in re.findall(r"\[[^]]*\]|.", pattern)) + r"\Z")
    except re.error as error:
        raise InvalidArgument(f"invalid filter 'reference={pattern}': syntax error in pattern") from error
    bare = name.partition("@")[0] if "@" in name else name.rsplit(":", 1)[0]
    return any(regex.match(candidate) for candidate in (name, bare))


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
