"""``fairlead events``."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from fairlead.cli.command import NONE, Command, Context
from fairlead.cli.errors import CommandError
from fairlead.cli.filters import encode, filter_flag
from fairlead.cli.flags import Values, text
from fairlead.cli.inspect import compiled, template_flag
from fairlead.cli.listing import unescape
from fairlead.cli.times import api_time


def line(event: Mapping[str, Any]) -> str:
    """``2026-01-31T12:00:00.123456789+00:00 container start 4e… (image=busybox, name=web)``."""
    shown = " ".join(str(part) for part in (event.get("Type"), event.get("Action"), _actor(event)) if part)
    return f"{_moment(event)} {shown}".lstrip()


def _actor(event: Mapping[str, Any]) -> str:
    actor = event.get("Actor") or {}
    attributes: Mapping[str, str] = actor.get("Attributes") or {}
    listed = ", ".join(f"{name}={attributes[name]}" for name in sorted(attributes))
    return str(actor.get("ID") or "") + (f" ({listed})" if listed else "")


def _moment(event: Mapping[str, Any]) -> str:
    nanoseconds = int(event.get("timeNano") or int(event.get("time") or 0) * 10**9)
    if not nanoseconds:
        return ""
    seconds, rest = divmod(nanoseconds, 10**9)
    local = time.localtime(seconds)
    zone = time.strftime("%z", local)
    offset = "Z" if local.tm_gmtoff == 0 else f"{zone[:3]}:{zone[3:]}"
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', local)}.{rest:09d}{offset}"


def _run(context: Context, values: Values, _arguments: list[str]) -> None:
    now = time.time()
    try:
        since, until = api_time(values.text("since"), now), api_time(values.text("until"), now)
    except ValueError as wrong:
        raise CommandError(str(wrong)) from wrong
    render = _renderer(unescape(values.text("format")))
    query = {"since": since or None, "until": until or None, "filters": encode(values.get("filter"))}
    with context.client.stream("GET", "/events", query) as response:
        for event in response.objects():
            assert isinstance(event, dict)
            context.print(render(event))
            context.flush()


def _renderer(template: str) -> Any:
    """How one event becomes a line; raises CommandError for a template that is none."""
    if not template:
        return line
    from fairlead.cli.gotemplate import TemplateError  # noqa: PLC0415 - only with a template

    parsed = compiled(template)

    def render(event: Mapping[str, Any]) -> str:
        try:
            return parsed.render(event)
        except TemplateError as wrong:
            raise CommandError(str(wrong)) from wrong

    return render


EVENTS = Command(
    "[OPTIONS]",
    _run,
    (
        filter_flag(),
        template_flag()._replace(short=""),
        text("since", "Show all events created since timestamp"),
        text("until", "Stream events until this timestamp"),
    ),
    NONE,
)
