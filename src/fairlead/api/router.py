"""From method and path to handler: one table, looked up by method and first word of the path.

aiohttp's own router tries its patterns one after another, and every path here begins with a variable version.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from aiohttp import web

from fairlead.api.call import Call
from fairlead.api.problems import page_not_found
from fairlead.wire.versions import HIGHEST, ApiVersion, parse_version

Handler = Callable[[Call], Awaitable[web.StreamResponse]]

_VERSIONED = re.compile(r"/v(\d[^/]*)(/.*)?\Z")
_SLASHES = re.compile(r"/{2,}")
_NAME = re.compile(r"\{(\w+)(?::(\.\*))?\}")


@dataclass(frozen=True, slots=True)
class Route:
    """``path`` may hold ``{name}`` for one segment and ``{name:.*}`` for several (image names have slashes)."""

    method: str
    path: str
    handler: Handler


class Router:
    """The routes of all families."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._fixed: dict[tuple[str, str], Handler] = {}
        self._patterns: defaultdict[tuple[str, str], list[tuple[re.Pattern[str], Handler]]] = defaultdict(list)
        for route in routes:
            self._add(route)

    def _add(self, route: Route) -> None:
        if "{" not in route.path:
            self._fixed[route.method, route.path] = route.handler
            return
        self._patterns[route.method, _family(route.path)].append((_compiled(route.path), route.handler))

    def find(self, method: str, path: str) -> tuple[Handler, dict[str, str]]:
        """The handler and the variables of its path; raises NotFound."""
        if (fixed := self._fixed.get((method, path))) is not None:
            return fixed, {}
        for pattern, handler in self._patterns.get((method, _family(path)), ()):
            if (found := pattern.match(path)) is not None:
                return handler, found.groupdict()
        raise page_not_found()


def _family(path: str) -> str:
    return path[1:].partition("/")[0]


def _compiled(path: str) -> re.Pattern[str]:
    parts = _NAME.split(path)  # text, name, ".*" or None, text, name, …
    pattern = re.escape(parts[0])
    for name, greedy, text in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        pattern += f"(?P<{name}>{'.+' if greedy else '[^/]+'})" + re.escape(text)
    return re.compile(pattern + r"\Z", re.DOTALL)


def split_version(path: str) -> tuple[ApiVersion, str]:
    """``/v1.45/containers`` → (1, 45), ``/containers``; without a version the highest. Raises InvalidArgument."""
    if "//" in path:
        path = _SLASHES.sub("/", path)
    found = _VERSIONED.match(path)
    if found is None:
        return HIGHEST, path
    return parse_version(found[1]), found[2] or "/"
