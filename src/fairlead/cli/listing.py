"""What list commands share: rows, ``--format``, ``--quiet`` and the table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from fairlead.cli.command import Context
from fairlead.cli.errors import CommandError
from fairlead.cli.flags import Flag, text
from fairlead.cli.table import aligned

if TYPE_CHECKING:
    from fairlead.cli.gotemplate.evaluator import Template

_FORMAT_HELP = (
    "Format output using a custom template:\n"
    "'table':            Print output in table format with column headers (default)\n"
    "'table TEMPLATE':   Print output in table format using the given Go template\n"
    "'json':             Print in JSON format\n"
    "'TEMPLATE':         Print output using the given Go template."
)


def format_flag(short: str = "") -> Flag:
    return text("format", _FORMAT_HELP, short)


class Column(NamedTuple):
    """A field of a row: its header and how it is computed; ``call`` is there for ``.Label "x"``."""

    header: str
    show: Callable[[Any], object] | None = None
    call: Callable[[Any, str], str] | None = None


class Listing(NamedTuple):
    """One kind of list: its name in Go's error messages, its fields and the table shown without ``--format``."""

    kind: str
    columns: Mapping[str, Column]
    table: Sequence[str]
    quiet: str


class Row:
    """One item seen through a listing's fields."""

    def __init__(self, listing: Listing, item: object) -> None:
        self._listing = listing
        self._item = item

    def field(self, name: str, arguments: Sequence[object]) -> object:
        from fairlead.cli.gotemplate.values import FieldError  # noqa: PLC0415 - only with a template

        column = self._listing.columns.get(name)
        if column is None:
            raise FieldError(f"can't evaluate field {name} in type *{self._listing.kind}")
        return _called(column, name, arguments, self._item)

    def as_mapping(self) -> Mapping[str, object]:
        columns = sorted(self._listing.columns.items())
        return {name: column.show(self._item) for name, column in columns if column.show is not None}


class _Header:
    """The row of headers: ``.Label "com.example.some-thing"`` is headed "some thing"."""

    def __init__(self, listing: Listing) -> None:
        self._listing = listing

    def field(self, name: str, arguments: Sequence[object]) -> object:
        column = self._listing.columns.get(name)
        if column is None:
            return None
        if column.call is not None and arguments:
            return str(arguments[0]).rpartition(".")[2].replace("-", " ").replace("_", " ")
        return column.header

    def as_mapping(self) -> Mapping[str, object]:
        return {name: column.header for name, column in sorted(self._listing.columns.items())}


def _called(column: Column, name: str, arguments: Sequence[object], item: object) -> object:
    from fairlead.cli.gotemplate.values import FieldError  # noqa: PLC0415 - only with a template

    if column.call is not None:
        if len(arguments) != 1:
            raise FieldError(f"wrong number of args for {name}: want 1 got {len(arguments)}")
        return column.call(item, str(arguments[0]))
    if arguments:
        raise FieldError(f"wrong number of args for {name}: want 0 got {len(arguments)}")
    assert column.show is not None
    return column.show(item)


def write(context: Context, listing: Listing, items: Iterable[object], template: str, *, quiet: bool = False) -> None:
    """Prints the items as ``--format`` and ``--quiet`` ask; raises CommandError for a template that does not fit."""
    context.write(render(listing, items, template, quiet=quiet))


def render(listing: Listing, items: Iterable[object], template: str, *, quiet: bool = False) -> str:
    if quiet and template in {"", "table"}:
        return "".join(f"{_cell(listing, listing.quiet, item)}\n" for item in items)
    if template in {"", "table"}:
        return _default_table(listing, items)
    return _templated(listing, items, unescape(template))


def _default_table(listing: Listing, items: Iterable[object]) -> str:
    lines = ["\t".join(listing.columns[name].header for name in listing.table)]
    lines += ["\t".join(_cell(listing, name, item) for name in listing.table) for item in items]
    return aligned(lines)


def _cell(listing: Listing, name: str, item: object) -> str:
    shown = listing.columns[name].show
    assert shown is not None
    return str(shown(item))


def _templated(listing: Listing, items: Iterable[object], source: str) -> str:
    from fairlead.cli.gotemplate import Template, TemplateError  # noqa: PLC0415 - only with a template

    is_table = source.startswith("table")
    try:
        template = Template("{{json .}}" if source == "json" else source.removeprefix("table").strip(" "))
    except TemplateError as wrong:
        raise CommandError(f"failed to parse template: {wrong}") from wrong
    try:
        return _render(listing, items, template, is_table=is_table)
    except TemplateError as wrong:
        raise CommandError(f"failed to execute template: {wrong}") from wrong


def _render(listing: Listing, items: Iterable[object], template: Template, *, is_table: bool) -> str:
    if not is_table:
        return "".join(template.render(Row(listing, item)) + "\n" for item in items)
    lines = [_header(template, listing), *(template.render(Row(listing, item)) for item in items)]
    return aligned("\n".join(lines).split("\n"))


def _header(template: Template, listing: Listing) -> str:
    from fairlead.cli.gotemplate.functions import HEADER_FUNCTIONS  # noqa: PLC0415 - only with a template

    return template.with_functions(HEADER_FUNCTIONS).render(_Header(listing))


def unescape(template: str) -> str:
    r"""``\t`` and ``\n`` written out on the command line mean a tab and a newline."""
    return template.replace("\\t", "\t").replace("\\n", "\n").strip(" ")


def labels_of(item: Mapping[str, Any]) -> str:
    return ",".join(f"{name}={value}" for name, value in (item.get("Labels") or {}).items())


def label_of(item: Mapping[str, Any], name: str) -> str:
    return str((item.get("Labels") or {}).get(name, ""))
