"""``fairlead logs``."""

from __future__ import annotations

import time

from fairlead.cli.command import ONE, Command, Context
from fairlead.cli.errors import CommandError
from fairlead.cli.flags import Values, switch, text
from fairlead.cli.streams import copy_out, sink_for
from fairlead.cli.times import api_time


def _run(context: Context, values: Values, arguments: list[str]) -> None:
    name, now = arguments[0], time.time()
    try:
        since, until = api_time(values.text("since"), now), api_time(values.text("until"), now)
    except ValueError as wrong:
        raise CommandError(str(wrong)) from wrong
    found = context.client.get(f"/containers/{name}/json")
    assert isinstance(found, dict)
    query = {
        "stdout": True,
        "stderr": True,
        "since": since or None,
        "until": until or None,
        "timestamps": values.switch("timestamps") or None,
        "follow": values.switch("follow") or None,
        "tail": values.text("tail"),
        "details": values.switch("details") or None,
    }
    with context.client.stream("GET", f"/containers/{found['Id']}/logs", query) as response:
        copy_out(response.pieces(), sink_for(tty=bool(found["Config"].get("Tty"))))


LOGS = Command(
    "[OPTIONS] CONTAINER",
    _run,
    (
        switch("details", "Show extra details provided to logs"),
        switch("follow", "Follow log output", "f"),
        text(
            "since", 'Show logs since timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m" for 42 minutes)'
        ),
        text("tail", "Number of lines to show from the end of the logs", "n", "all"),
        switch("timestamps", "Show timestamps", "t"),
        text(
            "until",
            'Show logs before a timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m" for 42 minutes)',
        ),
    ),
    ONE,
    completes="containers",
)
