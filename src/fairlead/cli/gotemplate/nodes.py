"""The parsed form of a template: a closed union of small values."""

from __future__ import annotations

from typing import NamedTuple


class Text(NamedTuple):
    text: str


class Dot(NamedTuple):
    offset: int


class Nil(NamedTuple):
    offset: int


class Literal(NamedTuple):
    """A string, number, character or boolean, with its source form for error messages."""

    value: str | int | float | bool
    source: str
    offset: int


class Field(NamedTuple):
    """``.A.B`` of the dot."""

    names: tuple[str, ...]
    offset: int


class Variable(NamedTuple):
    """``$x.A.B``; ``$`` alone is the data the template was given."""

    name: str
    names: tuple[str, ...]
    offset: int


class Chain(NamedTuple):
    """``(pipeline).A.B``."""

    operand: Operand
    names: tuple[str, ...]
    offset: int


class Function(NamedTuple):
    name: str
    offset: int


class Pipe(NamedTuple):
    """``$x := command | command``; ``assigns`` is true for ``=``."""

    variables: tuple[str, ...]
    assigns: bool
    commands: tuple[Command, ...]
    offset: int


class Command(NamedTuple):
    """An operand and its arguments."""

    arguments: tuple[Operand, ...]
    offset: int


class Action(NamedTuple):
    pipe: Pipe


class If(NamedTuple):
    pipe: Pipe
    body: tuple[Node, ...]
    otherwise: tuple[Node, ...]


class With(NamedTuple):
    pipe: Pipe
    body: tuple[Node, ...]
    otherwise: tuple[Node, ...]


class Range(NamedTuple):
    pipe: Pipe
    body: tuple[Node, ...]
    otherwise: tuple[Node, ...]


class Break(NamedTuple):
    offset: int


class Continue(NamedTuple):
    offset: int


Operand = Dot | Nil | Literal | Field | Variable | Chain | Function | Pipe
Node = Text | Action | If | With | Range | Break | Continue


def show(operand: Operand | Command) -> str:
    """The source form that Go prints between ``<`` and ``>``."""
    match operand:
        case Dot():
            return "."
        case Nil():
            return "nil"
        case Literal(source=source):
            return source
        case Field(names=names):
            return "." + ".".join(names)
        case Variable(name=name, names=names):
            return ".".join((name, *names))
        case Chain(operand=inner, names=names):
            return ".".join((show(inner), *names))
        case Function(name=name):
            return name
        case Pipe():
            return f"({show_pipe(operand)})"
        case Command(arguments=arguments):
            return " ".join(show(argument) for argument in arguments)


def show_pipe(pipe: Pipe) -> str:
    head = ", ".join(pipe.variables) + (" = " if pipe.assigns else " := ") if pipe.variables else ""
    return head + " | ".join(show(command) for command in pipe.commands)
