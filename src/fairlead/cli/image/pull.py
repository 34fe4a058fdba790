"""``fairlead pull``."""

from __future__ import annotations

import sys
from typing import TextIO

from fairlead.cli import progress, reference
from fairlead.cli.command import ONE, Command, Context
from fairlead.cli.credentials import registry_auth, registry_of
from fairlead.cli.flags import Values, switch, text


def pull_image(
    context: Context, image: str, platform: str, out: TextIO, *, quiet: bool, every_tag: bool = False
) -> None:
    """Has the engine fetch the image, with the progress on ``out``; raises CommandError when it cannot."""
    named = reference.parse(image)
    wanted = named if every_tag else named.tagged()
    query = {
        "fromImage": f"{named.name}@{wanted.digest}" if wanted.digest else named.name,
        "tag": (wanted.tag if not wanted.digest else "") or None,
        "platform": platform or None,
    }
    auth = registry_auth(image, context.environment)
    headers = {"X-Registry-Auth": auth} if auth else {}
    with context.client.stream("POST", "/images/create", query, None, headers) as response:
        messages = response.objects()
        if not quiet:
            progress.show(messages, out)
            return
        # Errors are said even then.
        progress.show((message for message in messages if isinstance(message, dict) and "error" in message), out)


def full_name(image: reference.Reference) -> str:
    """The name with its registry, as Docker prints it when it is done."""
    shown = str(image)
    if registry_of(shown).startswith("https://"):
        return f"docker.io/{shown}" if "/" in image.name else f"docker.io/library/{shown}"
    return shown


def _run(context: Context, values: Values, arguments: list[str]) -> None:
    image, quiet = arguments[0], values.switch("quiet")
    named = reference.parse(image)
    every_tag = values.switch("all-tags")
    if not named.tag and not named.digest and not every_tag and not quiet:
        context.print("Using default tag: latest")
    pull_image(context, image, values.text("platform"), sys.stdout, quiet=quiet, every_tag=every_tag)
    context.print(full_name(named if every_tag else named.tagged()))


PULL = Command(
    "[OPTIONS] NAME[:TAG|@DIGEST]",
    _run,
    (
        switch("all-tags", "Download all tagged images in the repository", "a"),
        switch("disable-content-trust", "Skip image verification", default=True),
        text("platform", "Set platform if server is multi-platform capable"),
        switch("quiet", "Suppress verbose output", "q"),
    ),
    ONE,
    completes="images",
)
