"""A build: the stages that are needed, step after step, each from the cache where nothing changed since."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import TYPE_CHECKING

from fairlead.engine.building.stage import StageBuild
from fairlead.errors import EngineError, InvalidArgument, NotFound
from fairlead.images import archive, reference
from fairlead.images.dockerfile import Dockerfile, Stage, expand, parse
from fairlead.images.streams import Feed
from fairlead.images.streams import in_thread as in_transfer_thread
from fairlead.model.build import BuildSpec
from fairlead.model.image import Image, Progress
from fairlead.wire import ignore

if TYPE_CHECKING:
    from fairlead.engine.core import Engine


class Builds:
    """Verbs on builds."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def build(self, context: AsyncIterator[bytes], spec: BuildSpec) -> AsyncGenerator[Progress]:
        """The lines that Docker's builder prints; raises before the first for what cannot be built at all.

        ``context`` is a tar, which may be compressed.
        """
        for tag in spec.tags:
            reference.parse_tag(tag, "")
        directory = tempfile.mkdtemp(prefix="build-", dir=self._engine.settings.data_root)
        try:
            feed = Feed(context, asyncio.get_running_loop())
            await in_transfer_thread(lambda: archive.put_archive(directory, "/", feed), "build-context")
            build = Build(self._engine, spec, directory, _read(directory, spec.dockerfile))
            async with contextlib.aclosing(build.run()) as lines:
                async for line in lines:
                    if not spec.quiet or line.error or line.aux:
                        yield line
            if spec.quiet:
                yield Progress(stream=f"{build.result.id}\n")
        finally:
            await self._engine.in_thread(shutil.rmtree, directory, True)

    def sweep(self) -> None:
        """For a daemon's start: the contexts of builds that the last one did not finish."""
        root = self._engine.settings.data_root
        for name in os.listdir(root):
            if name.startswith("build-"):
                shutil.rmtree(os.path.join(root, name), ignore_errors=True)


def _read(directory: str, name: str) -> Dockerfile:
    place = archive.resolve(directory, name)
    try:
        if not place:
            raise FileNotFoundError
        with open(place, encoding="utf-8") as file:
            return parse(file.read())
    except FileNotFoundError:
        raise NotFound(f"Cannot locate specified Dockerfile: {name}") from None
    except (IsADirectoryError, UnicodeDecodeError) as error:
        raise InvalidArgument(f"{name} is no Dockerfile: it is a directory or no text in UTF-8") from error


class Build:
    """One build of one context."""

    def __init__(self, engine: Engine, spec: BuildSpec, directory: str, dockerfile: Dockerfile) -> None:
        self._engine, self._spec, self.directory, self._file = engine, spec, directory, dockerfile
        self._done: dict[int, Image] = {}
        self._step = 0
        self._total = 0
        self._result: Image | None = None
        self.ignored = self._ignored()

    @property
    def result(self) -> Image:
        assert self._result is not None
        return self._result

    def _ignored(self) -> ignore.Ignored:
        """What the context's .dockerignore leaves out: most clients did so already."""
        for name in (f"{self._spec.dockerfile}.dockerignore", ".dockerignore"):
            if place := archive.resolve(self.directory, name):
                with open(place, encoding="utf-8", errors="replace") as file:
                    return ignore.parse(file.read())
        return lambda _: False

    # -- stages ------------------------------------------------------------------------------------------------------

    async def run(self) -> AsyncGenerator[Progress]:
        needed = self._needed(self._target())
        self._total = sum(1 + len(self._file.stages[number].instructions) for number in needed) + bool(
            self._spec.labels
        )
        for number in needed:
            async for line in self._stage(number):
                yield line
        self._result = self._done[needed[-1]]
        yield Progress(aux={"ID": self.result.id})
        yield Progress(stream=f"Successfully built {short(self.result)}\n")
        for tag in self._spec.tags:
            await self._engine.images.tag(self.result.id, tag)
            yield Progress(stream=f"Successfully tagged {reference.parse_tag(tag, '').familiar}\n")

    def _target(self) -> int:
        stages = self._file.stages
        if not self._spec.target:
            return len(stages) - 1
        wanted = self._spec.target.lower()
        for number, stage in enumerate(stages):
            if wanted in (stage.name, str(number)):
                return number
        raise InvalidArgument(f'target stage "{self._spec.target}" could not be found')

    def _needed(self, target: int) -> list[int]:
        """The target and what it takes from, in the order of the file."""
        needed: set[int] = set()
        waiting = [target]
        while waiting:
            number = waiting.pop()
            if number in needed:
                continue
            needed.add(number)
            stage = self._file.stages[number]
            names = [self._base_name(stage), *(step.flag("from") for step in stage.instructions)]
            waiting += [found for name in names if name and (found := self.number_of(name, number)) is not None]
        return sorted(needed)

    def number_of(self, name: str, before: int) -> int | None:
        """The stage called that, or with that number, above the stage ``before``."""
        for number, stage in enumerate(self._file.stages[:before]):
            if name.lower() in (stage.name, str(number)) and name:
                return number
        return None

    def _base_name(self, stage: Stage) -> str:
        arguments = self.global_arguments()
        return expand(stage.base, arguments.get, self._file.escape)

    def global_arguments(self) -> Mapping[str, str]:
        """The ARGs before the first FROM, with what was given for them."""
        found: dict[str, str] = {}
        for instruction in self._file.arguments:
            name, equals, default = instruction.text.partition("=")
            given = self._spec.arguments.get(name)
            if given is not None:
                found[name] = given
            elif equals:
                found[name] = expand(default.strip("\"'"), found.get, self._file.escape)
        return found

    async def _stage(self, number: int) -> AsyncGenerator[Progress]:
        stage = self._file.stages[number]
        base = self._base_name(stage)
        yield self.announce(f"FROM {base}" + (f" AS {stage.name}" if stage.name else ""))
        image: Image | None = None
        if base != "scratch":
            source = self.number_of(base, number)
            if source is not None:
                image = self._done[source]
            else:
                async for line in self._fetch(base, stage.platform or self._spec.platform):
                    yield line
                image = self._engine.images.find(base)
            yield Progress(stream=f" ---> {short(image)}\n")
        else:
            yield Progress(stream=" ---> \n")
        work = StageBuild(self._engine, self, self._spec, image, self._file.escape)
        last = number == len(self._file.stages) - 1 or number == self._target()
        steps = (*work.triggers(), *stage.instructions)
        self._total += len(work.triggers())
        for instruction in steps:
            yield self.announce(instruction.shown())
            async for line in work.step(instruction):
                yield line
        if last and self._spec.labels:
            async for line in work.label(self._spec.labels):
                yield line
        self._done[number] = await work.finished()

    def announce(self, text: str) -> Progress:
        self._step += 1
        return Progress(stream=f"Step {self._step}/{self._total} : {text}\n")

    async def _fetch(self, name: str, platform: str) -> AsyncGenerator[Progress]:
        """Pulled where it is not here, or always where that was asked for."""
        if self._engine.images.get(name) is None or self._spec.pull:
            if not name:
                raise InvalidArgument("base name (FROM) should not be blank")
            tagged = reference.parse(name).with_default_tag().familiar
            async for line in self._engine.images.pull(tagged, platform):
                yield line

    async def source(self, name: str, stage: StageBuild) -> Image:
        """What ``--from=name`` means: a stage above, or an image, pulled where it is not here."""
        number = self.number_of(name, len(self._done) + 1 if self._done else 0)
        found = self.number_of(name, len(self._file.stages))
        number = found if found in self._done else number
        if number is not None and number in self._done:
            return self._done[number]
        del stage
        try:
            async for _ in self._fetch(name, self._spec.platform):
                pass
            return self._engine.images.find(name)
        except EngineError as error:
            raise InvalidArgument(f"invalid from flag value {name}: {error}") from error


def short(image: Image) -> str:
    return image.id.removeprefix("sha256:")[:12]
