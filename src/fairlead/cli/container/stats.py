"""``fairlead stats``."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress

from fairlead.cli.command import ANY, Command, Context
from fairlead.cli.container.usage import Usage, listing, measured
from fairlead.cli.errors import CommandError
from fairlead.cli.flags import Values, switch
from fairlead.cli.listing import format_flag, render
from fairlead.client import ApiError, Client, ClientError

_BEAT = 0.5
_CLEAR = "\x1b[2J\x1b[H"
_TO_TOP, _REST_OF_LINE, _REST_OF_SCREEN = "\x1b[H", "\x1b[K", "\x1b[J"


class _Board:
    """The latest use of each container; every container has a thread that reads its samples."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._uses: dict[str, Usage] = {}

    def follow(self, container: str) -> None:
        with self._lock:
            if container in self._uses:
                return
            self._uses[container] = Usage(container, container, "")
        threading.Thread(target=self._read, args=(container,), daemon=True).start()

    def _read(self, container: str) -> None:
        with suppress(ClientError, OSError), self._client.stream("GET", f"/containers/{container}/stats") as response:
            for sample in response.objects():
                if isinstance(sample, dict):
                    use = measured(container, sample)
                    with self._lock:
                        self._uses[container] = use
        with self._lock:
            self._uses.pop(container, None)

    def uses(self) -> list[Usage]:
        with self._lock:
            return list(self._uses.values())


def _running(context: Context, *, every: bool) -> list[str]:
    found = context.client.get("/containers/json", {"all": every or None})
    assert isinstance(found, list)
    return [str(container["Id"]) for container in found]


def _run(context: Context, values: Values, names: list[str]) -> None:
    shape = listing(short=not values.switch("no-trunc"))
    template = values.text("format")

    def show(uses: list[Usage]) -> str:
        return render(shape, uses, template)

    if values.switch("no-stream"):
        _once(context, names or _running(context, every=values.switch("all")), show)
        return
    every = values.switch("all")
    _follow(context, names, lambda: [] if names else _running(context, every=every), show)


def _once(context: Context, names: list[str], show: Callable[[list[Usage]], str]) -> None:
    """All containers are sampled at the same time: one sample takes the engine a second."""
    uses: dict[str, Usage] = {}
    problems: list[str] = []

    def sample(name: str) -> None:
        try:
            found = context.client.get(f"/containers/{name}/stats", {"stream": False})
        except ClientError as wrong:
            problems.append(str(wrong))
            return
        assert isinstance(found, dict)
        uses[name] = measured(name, found)

    threads = [threading.Thread(target=sample, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    context.write(show([uses[name] for name in names if name in uses]))
    if problems:
        raise CommandError("\n".join(problems))


def _follow(
    context: Context,
    names: list[str],
    newcomers: Callable[[], list[str]],
    show: Callable[[list[Usage]], str],
) -> None:
    board = _Board(context.client)
    for name in names:
        # Said at once rather than shown as a line of dashes.
        context.client.get(f"/containers/{name}/json")
        board.follow(name)
    context.write(_CLEAR)
    while True:
        with suppress(ApiError):
            for name in newcomers():
                board.follow(name)
        uses = board.uses()
        if names and not uses:
            return
        lines = show(uses).replace("\n", f"{_REST_OF_LINE}\n")
        context.write(f"{_TO_TOP}{lines}{_REST_OF_SCREEN}")
        context.flush()
        time.sleep(_BEAT)


STATS = Command(
    "[OPTIONS] [CONTAINER...]",
    _run,
    (
        switch("all", "Show all containers (default shows just running)", "a"),
        format_flag(),
        switch("no-stream", "Disable streaming stats and only pull the first result"),
        switch("no-trunc", "Do not truncate output"),
    ),
    ANY,
    completes="running",
)
