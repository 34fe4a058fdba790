"""The ``filters`` query parameter, in both forms that clients send."""

from __future__ import annotations

from typing import Any

from fairlead.errors import InvalidArgument
from fairlead.model.requests import Filters
from fairlead.wire import body

NO_FILTERS = Filters()


def parse_filters(text: str) -> Filters:
    """``{"label":["a"]}`` or the older ``{"label":{"a":true}}``; raises InvalidArgument for anything else."""
    if not text:
        return NO_FILTERS
    try:
        given = body.decode(text.encode())
    except InvalidArgument as error:
        raise InvalidArgument(f"invalid filter: {error}") from error
    if given is None:
        return NO_FILTERS
    if not isinstance(given, dict):
        raise InvalidArgument("invalid filter: it must be a JSON object of lists")
    return Filters({key: _values(key, value) for key, value in given.items()})


def _values(key: str, value: Any) -> tuple[str, ...]:
    if isinstance(value, dict):
        value = [term for term, wanted in value.items() if wanted]
    if not isinstance(value, list) or not all(isinstance(term, str) for term in value):
        raise InvalidArgument(f"invalid filter '{key}': its values must be a list of strings")
    return tuple(value)
