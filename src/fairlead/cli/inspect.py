"""``fairlead inspect``, and inspect of each noun."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from fairlead.cli.command import ONE_OR_MORE, Command, Context
from fairlead.cli.errors import CommandError
from fairlead.cli.flags import Flag, Values, switch, text
from fairlead.client import ApiError

if TYPE_CHECKING:
    from fairlead.cli.gotemplate.evaluator import Template

_NO_TEMPLATE = 64

Find = Callable[[Context, Values, str], object]

_FORMAT_HELP = (
    "Format output using a custom template:\n"
    "'json':             Print in JSON format\n"
    "'TEMPLATE':         Print output using the given Go template."
)


def template_flag() -> Flag:
    return text("format", _FORMAT_HELP, "f")


def inspect(context: Context, template: str, names: Sequence[str], find: Callable[[str], object]) -> int:
    """Prints everything that is found as ``--format`` asks, then says what is not; 1 when something is missing."""
    if template:
        compiled(template)
    found: list[object] = []
    problems: list[str] = []
    for name in names:
        try:
            found.append(find(name))
        except (ApiError, CommandError) as wrong:
            problems.append(str(wrong))
    try:
        context.write(render(found, template))
    except CommandError:
        context.print("")
        raise
    if problems:
        raise CommandError("\n".join(problems))
    return 0


def render(found: Sequence[object], template: str) -> str:
    """Indented JSON without a template; raises CommandError for one that does not fit."""
    if not template:
        return json.dumps(found, indent=4, ensure_ascii=False) + "\n"
    from fairlead.cli.gotemplate import TemplateError  # noqa: PLC0415 - only with a template

    parsed = compiled(template)
    try:
        if template == "json":
            return parsed.render(found) + "\n"
        return "".join(parsed.render(item) + "\n" for item in found) or "\n"
    except TemplateError as wrong:
        raise CommandError(f"template parsing error: {wrong}") from wrong


def compiled(template: str) -> Template:
    """Raises CommandError for what is no template, with the exit code that Docker has for it."""
    from fairlead.cli.gotemplate import Template, TemplateError  # noqa: PLC0415 - only with a template

    try:
        return Template("{{json .}}" if template == "json" else template)
    except TemplateError as wrong:
        raise CommandError(f"template parsing error: {wrong}", _NO_TEMPLATE) from wrong


def _container(context: Context, values: Values, name: str) -> object:
    return context.client.get(f"/containers/{name}/json", {"size": values.switch("size") or None})


def _image(context: Context, _values: Values, name: str) -> object:
    return context.client.get(f"/images/{name}/json")


def _network(context: Context, values: Values, name: str) -> object:
    return context.client.get(f"/networks/{name}", {"verbose": values.switch("verbose") or None})


def _plain_network(context: Context, _values: Values, name: str) -> object:
    return context.client.get(f"/networks/{name}")


def _volume(context: Context, _values: Values, name: str) -> object:
    return context.client.get(f"/volumes/{name}")


_KINDS: dict[str, Find] = {
    "container": _container,
    "image": _image,
    "network": _plain_network,
    "volume": _volume,
}


def _any(context: Context, values: Values, name: str) -> object:
    """The first kind that has something of that name."""
    wanted = values.text("type")
    if wanted:
        return _KINDS[wanted](context, values, name)
    for find in _KINDS.values():
        try:
            return find(context, values, name)
        except ApiError as wrong:
            if wrong.status != 404:
                raise
    raise CommandError(f"Error: No such object: {name}")


def _run_any(context: Context, values: Values, names: list[str]) -> int:
    wanted = values.text("type")
    if wanted and wanted not in _KINDS:
        raise CommandError(f'unknown type: "{wanted}": must be one of "container", "image", "network", "volume"')
    return inspect(context, values.text("format"), names, lambda name: _any(context, values, name))


def _command(find: Find) -> Callable[[Context, Values, list[str]], int]:
    def run(context: Context, values: Values, names: list[str]) -> int:
        return inspect(context, values.text("format"), names, lambda name: find(context, values, name))

    return run


CONTAINER = Command(
    "[OPTIONS] CONTAINER [CONTAINER...]",
    _command(_container),
    (template_flag(), switch("size", "Display total file sizes", "s")),
    ONE_OR_MORE,
    completes="containers",
)
IMAGE = Command(
    "[OPTIONS] IMAGE [IMAGE...]",
    _command(_image),
    (template_flag(), text("platform", "Inspect a specific platform of the multi-platform image")),
    ONE_OR_MORE,
    completes="images",
)
NETWORK = Command(
    "[OPTIONS] NETWORK [NETWORK...]",
    _command(_network),
    (template_flag(), switch("verbose", "Verbose output for diagnostics", "v")),
    ONE_OR_MORE,
    completes="networks",
)
VOLUME = Command(
    "[OPTIONS] VOLUME [VOLUME...]",
    _command(_volume),
    (template_flag(),),
    ONE_OR_MORE,
    completes="volumes",
)
ANY = Command(
    "[OPTIONS] NAME|ID [NAME|ID...]",
    _run_any,
    (
        template_flag(),
        switch("size", "Display total file sizes if the type is container", "s"),
        text("type", "Only inspect objects of the given type"),
    ),
    ONE_OR_MORE,
    completes="containers",
)
