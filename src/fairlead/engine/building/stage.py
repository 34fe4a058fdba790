"""One stage of a build: its configuration and image as they grow, instruction by instruction."""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from fairlead.engine.building import sources
from fairlead.engine.building.running import Run
from fairlead.engine.building.sources import Target
from fairlead.engine.building.workspace import Workspace, workspace
from fairlead.errors import InvalidArgument
from fairlead.images.dockerfile import (
    Instruction,
    expand,
    instruction_of,
    is_only_heredoc,
    json_words,
    without_heredocs,
)
from fairlead.images.instructions import apply
from fairlead.model.build import BuildSpec
from fairlead.model.container import Config
from fairlead.model.image import Image, Progress
from fairlead.model.requests import CommitSpec

if TYPE_CHECKING:
    from fairlead.engine.building.builder import Build
    from fairlead.engine.core import Engine

_SHELL = ("/bin/sh", "-c")
# Their values are nobody's business but the machine's: they change no layer.
_PREDEFINED = frozenset(
    name
    for upper in ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")
    for name in (upper, upper.lower())
)
_EXPANDED = frozenset({"ENV", "EXPOSE", "LABEL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"})
_OCTAL = re.compile(r"[0-7]{3,4}\Z")


class StageBuild:
    """From a base image to what the stage makes of it."""

    def __init__(self, engine: Engine, build: Build, spec: BuildSpec, image: Image | None, escape: str) -> None:
        self._engine, self._build, self._spec, self._escape = engine, build, spec, escape
        self.image = image
        self.config = image.config if image is not None else Config()
        self._author = image.author if image is not None else ""
        self.arguments: dict[str, str] = {}
        self._cached = not spec.no_cache  # until the first step that is not in the cache

    def triggers(self) -> tuple[Instruction, ...]:
        """What the base image has for those who build upon it; done once, so the configuration loses it."""
        if self.image is None or not self.image.config.on_build:
            return ()
        return tuple(instruction_of(text, 0) for text in self.image.config.on_build)

    async def step(self, instruction: Instruction) -> AsyncGenerator[Progress]:
        if self.config.on_build and instruction.word != "ONBUILD" and self._is_inherited():
            self.config = msgspec.structs.replace(self.config, on_build=None)
        do = self._steps().get(instruction.word, self._configure)
        async for line in do(instruction):
            yield line

    def _is_inherited(self) -> bool:
        return self.image is not None and self.image.config.on_build == self.config.on_build

    def _steps(self) -> Mapping[str, Callable[[Instruction], AsyncGenerator[Progress]]]:
        return {
            "RUN": self._run,
            "COPY": self._copy,
            "ADD": self._copy,
            "ARG": self._argument,
            "WORKDIR": self._workdir,
            "MAINTAINER": self._maintainer,
        }

    async def finished(self) -> Image:
        """The stage's image; a stage that does nothing to nothing has none."""
        if self.image is None:
            raise InvalidArgument("No image was generated. Is your Dockerfile empty?")
        return self.image

    # -- words that only change the configuration --------------------------------------------------------------------

    def lookup(self, name: str) -> str | None:
        """ENV comes before ARG."""
        for entry in self.config.env or ():
            key, _, value = entry.partition("=")
            if key == name:
                return value
        return self.arguments.get(name)

    def expanded(self, text: str) -> str:
        return expand(text, self.lookup, self._escape)

    async def _configure(self, instruction: Instruction) -> AsyncGenerator[Progress]:
        text = self.expanded(instruction.text) if instruction.word in _EXPANDED else instruction.text
        config = apply(self.config, [f"{instruction.word} {text}"])
        if instruction.word == "ENTRYPOINT" and config.cmd == (self.image.config.cmd if self.image else None):
            # A new entrypoint makes nothing of a command that came with the base image.
            config = msgspec.structs.replace(config, cmd=None)
        async for line in self._commit_words(config, f"/bin/sh -c #(nop)  {instruction.word} {text}"):
            yield line

    async def label(self, labels: Mapping[str, str]) -> AsyncGenerator[Progress]:
        """What ``--label`` asked for, as one more step."""
        given = " ".join(f"{shlex.quote(name)}={shlex.quote(value)}" for name, value in sorted(labels.items()))
        yield self._build.announce(f"LABEL {given}")
        config = msgspec.structs.replace(self.config, labels={**(self.config.labels or {}), **labels})
        async for line in self._commit_words(config, f"/bin/sh -c #(nop)  LABEL {given}"):
            yield line

    async def _maintainer(self, instruction: Instruction) -> AsyncGenerator[Progress]:
        self._author = instruction.text
        async for line in self._commit_words(self.config, f"/bin/sh -c #(nop)  MAINTAINER {instruction.text}"):
            yield line

    async def _argument(self, instruction: Instruction) -> AsyncGenerator[Progress]:
        """A name from here on; no image of its own, since nothing of it stays."""
        for word in shlex.split(instruction.text):
            name, equals, default = word.partition("=")
            if not name:
                raise InvalidArgument("ARG names can not be blank")
            given = self._spec.arguments.get(name)
            inherited = self._build.global_arguments().get(name)
            if given is not None:
                self.arguments[name] = given
            elif equals:
                self.arguments[name] = self.expanded(default)
            elif inherited is not None:
                self.arguments[name] = inherited
        yield Progress(stream=f" ---> {self._shown()}\n")

    async def _commit_words(self, config: Config, created_by: str) -> AsyncGenerator[Progress]:
        self.config = config
        if await self._take_cached(created_by):
            yield Progress(stream=" ---> Using cache\n")
        else:
            await self._commit(_nothing, created_by)
        yield Progress(stream=f" ---> {self._shown()}\n")

    # -- the cache ---------------------------------------------------------------------------------------------------

    async def _take_cached(self, created_by: str) -> bool:
        """Whether an image was made from the same one by the same step; if so it is where we are now."""
        parent = self.image.id if self.image is not None else ""
        if not self._cached:
            return False
        for image in self._engine.image_store.list():
            made_so = bool(image.history) and image.history[-1].created_by == created_by
            if made_so and image.parent == parent and image.config == self.config and image.id != parent:
                self.image = image
                return True
        self._cached = False
        return False

    async def _commit(self, write: Callable[[BinaryIO], None], created_by: str) -> None:
        spec = CommitSpec(config=self.config, author=self._author)
        self.image = await self._engine.image_store.commit(self.image, write, spec, created_by)

    def _shown(self) -> str:
        return self.image.id.removeprefix("sha256:")[:12] if self.image is not None else ""

    async def _root(self) -> Image:
        """The image so far; from scratch it is one without a layer."""
        if self.image is None:
            await self._commit(_nothing, "/bin/sh -c #(nop)  FROM scratch")
        assert self.image is not None
        return self.image

    # -- RUN ---------------------------------------------------------------------------------------------------------

    async def _run(self, instruction: Instruction) -> AsyncGenerator[Progress]:
        run = Run(self._engine, self._spec, instruction, self._command(instruction), self.arguments)
        created_by = self._described(run.command)
        if await self._take_cached(created_by):
            yield Progress(stream=" ---> Using cache\n")
            yield Progress(stream=f" ---> {self._shown()}\n")
            return
        async for line in run.carry_out(await self._root(), self.config):
            yield line
        async with run.ended() as write:
            await self._commit(write, created_by)
        yield Progress(stream=f" ---> {self._shown()}\n")

    def _command(self, instruction: Instruction) -> tuple[str, ...]:
        if (words := json_words(instruction.text)) is not None:
            return words
        shell = self.config.shell or _SHELL
        if instruction.heredocs and is_only_heredoc(instruction.text):
            return (*shell, instruction.heredocs[0].content)
        text = instruction.text
        for heredoc in instruction.heredocs:
            text += f"\n{heredoc.content}{heredoc.name}"
        return (*shell, text)

    def _described(self, command: Sequence[str]) -> str:
        """As ``history`` shows it; with the arguments that were given, since they may change what it does."""
        used = {name: value for name, value in sorted(self.arguments.items()) if name not in _PREDEFINED}
        head = [f"|{len(used)}", *(f"{name}={value}" for name, value in used.items())] if used else []
        return " ".join((*head, *command))

    # -- COPY, ADD, WORKDIR ------------------------------------------------------------------------------------------

    async def _copy(self, instruction: Instruction) -> AsyncGenerator[Progress]:
        words = json_words(instruction.text) or tuple(shlex.split(without_heredocs(instruction.text)))
        paths = [self.expanded(word) for word in words]
        if len(paths) + len(instruction.heredocs) < 2:
            raise InvalidArgument(f"{instruction.word} requires at least two arguments, but only one was provided")
        *patterns, target = paths
        _refuse_remote(instruction, patterns)
        if from_name := instruction.flag("from"):
            copy = self._copy_from_image(instruction, self.expanded(from_name), patterns, target)
        else:
            copy = self._copy_from_context(instruction, patterns, target)
        async for line in copy:
            yield line

    def _target(self, instruction: Instruction, path: str, *, several: bool) -> Target:
        absolute = posixpath.normpath(posixpath.join("/", self.config.working_dir or "/", path))
        is_directory = several or path.endswith(("/", "/.")) or path in (".", "")
        chmod = instruction.flag("chmod")
        if chmod and not _OCTAL.match(chmod):
            raise InvalidArgument(
                f"invalid chmod parameter: '{chmod}'. it should be octal string and between 0 and 07777"
            )
        return Target(
            path=absolute,
            is_directory=is_directory,
            mode=int(chmod, 8) if chmod else None,
            unpack=instruction.word == "ADD",
        )

    async def _copy_from_context(
        self, instruction: Instruction, patterns: Sequence[str], path: str
    ) -> AsyncGenerator[Progress]:
        root, ignored = self._build.directory, self._build.ignored
        files = await self._engine.in_thread(sources.find, root, patterns, ignored)
        inline = [
            (doc.name, self.expanded(doc.content) if doc.expands else doc.content) for doc in instruction.heredocs
        ]
        target = self._target(instruction, path, several=len(files) + len(inline) > 1)
        content = await self._engine.in_thread(sources.digest, root, files, ignored)
        created_by = self._copied(instruction, f"multi:{content}{inline or ''}", target)

        async def put(space: Workspace) -> None:
            whom = self._owned(instruction, target, space)

            def fill(top: str) -> None:
                for name, text in inline:
                    sources.put_content(name, text.encode(), top, whom)
                sources.put(root, files, top, whom, ignored)

            await space.write(fill)

        async for line in self._written(created_by, put):
            yield line

    async def _copy_from_image(
        self, instruction: Instruction, name: str, patterns: Sequence[str], path: str
    ) -> AsyncGenerator[Progress]:
        source = await self._build.source(name, self)
        target = self._target(instruction, path, several=len(patterns) > 1)
        created_by = self._copied(instruction, f"{source.id} {' '.join(patterns)}", target)

        async def put(space: Workspace) -> None:
            whom = self._owned(instruction, target, space)
            async with workspace(self._engine, source) as other:
                await space.write_from(other, lambda here, top: _between(here, top, patterns, whom))

        async for line in self._written(created_by, put):
            yield line

    def _copied(self, instruction: Instruction, what: str, target: Target) -> str:
        flags = " ".join(f"--{name}={instruction.flag(name)}" for name in ("chown", "chmod") if instruction.flag(name))
        return f"/bin/sh -c #(nop) {instruction.word} {flags}{' ' if flags else ''}{what} in {target.path}"

    def _owned(self, instruction: Instruction, target: Target, space: Workspace) -> Target:
        if not (chown := self.expanded(instruction.flag("chown"))):
            return target
        who = space.identity(chown if ":" in chown else f"{chown}:{chown}" if chown.isdecimal() else chown)
        return Target(
            path=target.path,
            is_directory=target.is_directory,
            owner=(who.uid, who.gid),
            mode=target.mode,
            unpack=target.unpack,
        )

    async def _written(self, created_by: str, put: Callable[[Workspace], object]) -> AsyncGenerator[Progress]:
        if await self._take_cached(created_by):
            yield Progress(stream=" ---> Using cache\n")
        else:
            async with workspace(self._engine, await self._root()) as space:
                await put(space)  # type: ignore[misc]  # a coroutine function: what it returns is awaited
                await self._commit(space.write_layer, created_by)
        yield Progress(stream=f" ---> {self._shown()}\n")

    async def _workdir(self, instruction: Instruction) -> AsyncGenerator[Progress]:
        self.config = apply(self.config, [f"WORKDIR {shlex.quote(self.expanded(instruction.text))}"])
        place = self.config.working_dir

        async def make(space: Workspace) -> None:
            await space.write(lambda top: sources.make_directories(top, place))

        async for line in self._written(f"/bin/sh -c #(nop) WORKDIR {place}", make):
            yield line


def _between(source: str, root: str, patterns: Sequence[str], target: Target) -> None:
    files = sources.find(source, patterns)
    if len(files) > 1:
        target = Target(path=target.path, is_directory=True, owner=target.owner, mode=target.mode)
    sources.put(source, files, root, target, lambda _: False)


def _refuse_remote(instruction: Instruction, patterns: Sequence[str]) -> None:
    for pattern in patterns:
        if re.match(r"(https?|git|ssh)://|git@", pattern):
            raise InvalidArgument(
                f"{instruction.word} {pattern}: remote sources are not fetched: put the file into the context"
            )


def _nothing(out: BinaryIO) -> None:
    """A layer without members is none."""
    out.write(bytes(1024))
