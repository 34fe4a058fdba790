"""Problems: what went wrong -> the status and the body that Docker's clients read."""

from __future__ import annotations

import logging
from typing import ClassVar

from aiohttp import web

from fairlead.api.answers import HEADERS, JSON_HEADERS, encode
from fairlead.errors import EngineError, NotFound, NotModified

log = logging.getLogger(__name__)

# A sentence may quote what was asked for, which may be anything; nobody reads more than this.
_LONGEST = 4096


class TooLarge(EngineError):
    """A body that no call needs."""

    status: ClassVar[int] = 413


def page_not_found() -> NotFound:
    """What dockerd says to a path or method it does not know."""
    return NotFound("page not found")


def problem(error: Exception) -> web.Response:
    """The answer for ``error``; one that is not an EngineError is a bug and is logged with its traceback."""
    match error:
        case NotModified():
            return web.Response(status=304, headers=HEADERS)
        case EngineError():
            return _answer(error.status, str(error))
        case ExceptionGroup() if (known := error.subgroup(EngineError)) is not None and known == error:
            return _group(error)
        case _:
            log.error("unexpected %s", type(error).__name__, exc_info=error)
            return _answer(500, f"internal error: {type(error).__name__}: {error}")


def _group(group: ExceptionGroup[Exception]) -> web.Response:
    """Cleaning up went on after failures: all of them are told, the first decides the status."""
    leaves = list(_leaves(group))
    first = leaves[0]
    status = first.status if isinstance(first, EngineError) else 500
    return _answer(status, "; ".join(str(leaf) for leaf in leaves))


def _leaves(error: Exception) -> list[Exception]:
    if not isinstance(error, ExceptionGroup):
        return [error]
    return [leaf for inner in error.exceptions for leaf in _leaves(inner)]


def _answer(status: int, sentence: str) -> web.Response:
    if len(sentence) > _LONGEST:
        sentence = f"{sentence[: _LONGEST // 2]} … {sentence[-_LONGEST // 2 :]}"
    return web.Response(status=status, body=encode({"message": sentence}), headers=JSON_HEADERS)
