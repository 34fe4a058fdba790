"""``fairlead build``."""

from __future__ import annotations

import base64
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from fairlead.cli.command import ONE, Command, Context
from fairlead.cli.container.values import pair
from fairlead.cli.errors import CommandError
from fairlead.cli.flags import Values, number, several, switch, text
from fairlead.cli.image import context as contexts
from fairlead.cli.units import parse_size

SECRETS = "X-Fairlead-Build-Secrets"


class Built(NamedTuple):
    """What is sent: the tar, and the Dockerfile's path in it."""

    tar: Iterable[bytes]
    dockerfile: str


def opened(place: str, dockerfile: str) -> Built:
    """The context at ``place``: a directory, or ``-`` for a tar or a bare Dockerfile on standard input."""
    if place == "-":
        return _from_stdin(dockerfile)
    if "://" in place or place.startswith("git@"):
        raise CommandError(f"remote build contexts are not fetched: clone {place} and build its directory")
    if not os.path.isdir(place):
        raise CommandError(f'unable to prepare context: path "{place}" not found')
    if dockerfile == "-":
        return Built(contexts.stream(place, ".dockerfile.stdin", sys.stdin.buffer.read()), ".dockerfile.stdin")
    named = os.path.abspath(dockerfile or os.path.join(place, "Dockerfile"))
    if dockerfile and not os.path.exists(named):
        named = os.path.abspath(os.path.join(place, dockerfile))
    if not os.path.isfile(named):
        raise CommandError(
            f"unable to prepare context: unable to evaluate symlinks in Dockerfile path: lstat {named}: "
            "no such file or directory"
        )
    inside = os.path.relpath(named, place)
    if not inside.startswith(".."):
        return Built(contexts.stream(place, inside), inside)
    with open(named, "rb") as file:
        return Built(contexts.stream(place, ".dockerfile.outside", file.read()), ".dockerfile.outside")


def _from_stdin(dockerfile: str) -> Built:
    head = sys.stdin.buffer.read(512)
    if head.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0")) or head[257:262] == b"ustar":
        return Built(contexts.copied(head, sys.stdin.buffer), dockerfile or "Dockerfile")
    return Built(_only(head + sys.stdin.buffer.read()), "Dockerfile")


def _only(content: bytes) -> Iterator[bytes]:
    import tempfile  # noqa: PLC0415 - few builds come without a context

    with tempfile.TemporaryDirectory() as empty:
        yield from contexts.stream(empty, "Dockerfile", content)


def send(context: Context, built: Built, query: Mapping[str, Any], secrets: Mapping[str, bytes], *, quiet: bool) -> str:
    """Builds, with the engine's words on standard output; the image's id. Raises CommandError when it fails."""
    headers = {"Content-Type": "application/x-tar"}
    if secrets:
        content = {name: base64.b64encode(value).decode() for name, value in secrets.items()}
        headers[SECRETS] = base64.urlsafe_b64encode(json.dumps(content).encode()).decode()
    found = ""
    with context.client.stream(
        "POST", "/build", {"dockerfile": built.dockerfile, "version": "1", **query}, built.tar, headers
    ) as response:
        for message in response.objects():
            assert isinstance(message, dict)
            if "error" in message:
                sys.stdout.flush()
                raise CommandError(str(message["error"]))
            found = str((message.get("aux") or {}).get("ID", found))
            if not quiet or str(message.get("stream", "")).startswith("sha256:"):
                context.write(str(message.get("stream", "")))
                context.flush()
    return found


def arguments_of(given: Sequence[str], environment: Mapping[str, str]) -> dict[str, str | None]:
    """``NAME=value``, or ``NAME`` alone for the value that the environment has."""
    found: dict[str, str | None] = {}
    for argument in given:
        name, equals, value = argument.partition("=")
        found[name] = value if equals else environment.get(name)
    return found


def secret(text_form: str, environment: Mapping[str, str]) -> tuple[str, bytes]:
    """``id=NAME,src=FILE`` or ``id=NAME,env=VARIABLE``; raises CommandError."""
    fields = dict(pair(part) for part in text_form.split(","))
    name = fields.get("id", "")
    source = fields.get("src") or fields.get("source") or ""
    variable = fields.get("env", "") or ("" if source else name)
    if not name:
        raise CommandError(f"--secret {text_form}: id is missing: write id=NAME,src=FILE")
    if source:
        try:
            with open(source, "rb") as file:
                return name, file.read()
        except OSError as wrong:
            raise CommandError(f"--secret {text_form}: {(wrong.strerror or '').lower()}") from wrong
    if variable not in environment:
        raise CommandError(f"--secret {text_form}: neither a file nor a variable: write id=NAME,src=FILE")
    return name, environment[variable].encode()


def _run(context: Context, values: Values, arguments: list[str]) -> None:
    built = opened(arguments[0], values.text("file"))
    quiet = values.switch("quiet")
    query = {
        "t": values.list("tag"),
        "q": quiet or None,
        "nocache": values.switch("no-cache") or None,
        "pull": values.switch("pull") or None,
        "target": values.text("target") or None,
        "networkmode": values.text("network"),
        "platform": values.text("platform") or None,
        "extrahosts": values.list("add-host"),
        "memory": values.get("memory") or None,
        "cpushares": values.number("cpu-shares") or None,
        "cpusetcpus": values.text("cpuset-cpus") or None,
        "shmsize": values.get("shm-size") or None,
        "buildargs": json.dumps(arguments_of(values.list("build-arg"), context.environment)),
        "labels": json.dumps(dict(pair(label) for label in values.list("label"))),
    }
    secrets = dict(secret(text_form, context.environment) for text_form in values.list("secret"))
    image = send(context, built, query, secrets, quiet=quiet)
    if path := values.text("iidfile"):
        with open(path, "w", encoding="utf-8") as file:
            file.write(image)


BUILD = Command(
    "[OPTIONS] PATH | -",
    _run,
    (
        several("add-host", 'Add a custom host-to-IP mapping ("host:ip")'),
        several("build-arg", "Set build-time variables"),
        number("cpu-shares", "CPU shares (relative weight)", "c"),
        text("cpuset-cpus", "CPUs in which to allow execution (0-3, 0,1)"),
        text("file", 'Name of the Dockerfile (default is "PATH/Dockerfile")', "f", completes="files"),
        switch("force-rm", "Always remove intermediate containers"),
        text("iidfile", "Write the image ID to the file"),
        several("label", "Set metadata for an image"),
        text("memory", "Memory limit", "m", kind="bytes")._replace(parse=parse_size),
        text("network", "Set the networking mode for the RUN instructions during build", default="default"),
        switch("no-cache", "Do not use cache when building the image"),
        text("platform", "Set platform if server is multi-platform capable"),
        switch("pull", "Always attempt to pull a newer version of the image"),
        switch("quiet", "Suppress the build output and print image ID on success", "q"),
        switch("rm", "Remove intermediate containers after a successful build", default=True),
        several("secret", 'Secret to expose to the build (format: "id=mysecret,src=/local/secret")'),
        text("shm-size", 'Size of "/dev/shm"', kind="bytes")._replace(parse=parse_size),
        several("tag", 'Name and optionally a tag (format: "name:tag")', "t"),
        text("target", "Set the target build stage to build"),
    ),
    ONE,
)
