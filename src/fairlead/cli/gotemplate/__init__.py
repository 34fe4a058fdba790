"""Go's text/template, as far as ``--format`` uses it: ``Template(source).render(data)``."""

from __future__ import annotations

from fairlead.cli.gotemplate.errors import TemplateError
from fairlead.cli.gotemplate.evaluator import Template
from fairlead.cli.gotemplate.values import Record

__all__ = ["Record", "Template", "TemplateError"]
