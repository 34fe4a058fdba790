"""What can be wrong with a template, in the words of Go's text/template."""

from __future__ import annotations


class TemplateError(Exception):
    """The template cannot be parsed, or does not fit the values: ``str(error)`` is Go's sentence."""


def at(line: int, message: str) -> TemplateError:
    """A parse error: Go names the line only."""
    return TemplateError(f"template: :{line}: {message}")
