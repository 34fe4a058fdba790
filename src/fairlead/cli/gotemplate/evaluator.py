"""Walks the nodes with a value in hand and writes text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fairlead.cli.gotemplate import nodes
from fairlead.cli.gotemplate.errors import TemplateError
from fairlead.cli.gotemplate.functions import FUNCTIONS, CallError, GoFunction, WrongCount
from fairlead.cli.gotemplate.parser import parse
from fairlead.cli.gotemplate.values import FieldError, Record, field, is_list, show, truth

# A call whose piped-in last argument is missing.
_NOTHING = object()


class Template:
    """A parsed template; rendering it changes nothing in it."""

    def __init__(self, source: str, functions: Mapping[str, GoFunction] = FUNCTIONS) -> None:
        """Raises TemplateError when ``source`` is not a template."""
        self._source = source
        self._functions = functions
        self._nodes = parse(source, functions)

    def with_functions(self, functions: Mapping[str, GoFunction]) -> Template:
        """The same text with other functions behind the same names."""
        return Template(self._source, functions)

    def render(self, value: object) -> str:
        """The text for ``value``; raises TemplateError when the template does not fit it."""
        return _Run(self._source, self._functions, value).walk(self._nodes, value)


class _BreakLoop(Exception):
    """{{break}}; carries what was written before it."""


class _NextRound(Exception):
    """{{continue}}; carries what was written before it."""


class _Run:
    def __init__(self, source: str, functions: Mapping[str, GoFunction], root: object) -> None:
        self._source = source
        self._functions = functions
        self._variables: list[tuple[str, object]] = [("$", root)]
        self._out: list[str] = []

    def walk(self, body: Sequence[nodes.Node], dot: object) -> str:
        self._body(body, dot)
        return "".join(self._out)

    def _body(self, body: Sequence[nodes.Node], dot: object) -> None:
        for node in body:
            self._node(node, dot)

    def _node(self, node: nodes.Node, dot: object) -> None:
        match node:
            case nodes.Text(text=text):
                self._out.append(text)
            case nodes.Action(pipe=pipe):
                self._action(pipe, dot)
            case nodes.If() | nodes.With():
                self._branch(node, dot)
            case nodes.Range():
                self._range(node, dot)
            case nodes.Break():
                raise _BreakLoop
            case nodes.Continue():
                raise _NextRound

    def _action(self, pipe: nodes.Pipe, dot: object) -> None:
        value = self._pipe(pipe, dot)
        if not pipe.variables:
            self._out.append("<no value>" if value is None else show(value))

    def _branch(self, node: nodes.If | nodes.With, dot: object) -> None:
        scope = len(self._variables)
        value = self._pipe(node.pipe, dot)
        if truth(value):
            self._body(node.body, value if isinstance(node, nodes.With) else dot)
        else:
            self._body(node.otherwise, dot)
        del self._variables[scope:]

    def _range(self, node: nodes.Range, dot: object) -> None:
        scope = len(self._variables)
        pipe = node.pipe._replace(variables=())
        value = self._pipe(pipe, dot)
        items = _items(value)
        if items is None:
            raise self._fail(pipe, f"range can't iterate over {show(value)}")
        if not items:
            self._body(node.otherwise, dot)
        for key, item in items:
            self._loop_variables(node.pipe, key, item)
            try:
                self._body(node.body, item)
            except _NextRound:
                pass
            except _BreakLoop:
                break
            finally:
                del self._variables[scope:]

    def _loop_variables(self, pipe: nodes.Pipe, key: object, item: object) -> None:
        values = (item,) if len(pipe.variables) == 1 else (key, item)
        for name, value in zip(pipe.variables, values, strict=False):
            self._set(name, value, assigns=pipe.assigns)

    def _set(self, name: str, value: object, *, assigns: bool) -> None:
        if not assigns:
            self._variables.append((name, value))
            return
        index = max(i for i, (known, _) in enumerate(self._variables) if known == name)
        self._variables[index] = (name, value)

    def _pipe(self, pipe: nodes.Pipe, dot: object) -> object:
        value: object = _NOTHING
        for command in pipe.commands:
            value = self._command(command, dot, value)
        for name in pipe.variables:
            self._set(name, value, assigns=pipe.assigns)
        return value

    def _command(self, command: nodes.Command, dot: object, last: object) -> object:
        first, *rest = command.arguments
        match first:
            case nodes.Function(name="and" | "or" as name):
                return self._short_circuit(name, command, dot, last)
            case nodes.Function(name=name):
                arguments = [self._operand(argument, dot) for argument in rest]
                return self._call(name, command, [*arguments, *([] if last is _NOTHING else [last])])
            case nodes.Field() | nodes.Variable() | nodes.Chain():
                arguments = [self._operand(argument, dot) for argument in rest]
                return self._access(first, dot, [*arguments, *([] if last is _NOTHING else [last])])
            case nodes.Nil():
                raise self._fail(first, "nil is not a command")
            case _:
                if rest or last is not _NOTHING:
                    raise self._fail(first, f"can't give argument to non-function {nodes.show(first)}")
                return self._operand(first, dot)

    def _short_circuit(self, name: str, command: nodes.Command, dot: object, last: object) -> object:
        rest = command.arguments[1:]
        value: object = _NOTHING
        for argument in rest:
            value = self._operand(argument, dot)
            if truth(value) == (name == "or"):
                return value
        if last is not _NOTHING:
            return last
        if value is _NOTHING:
            raise self._fail(command, f"wrong number of args for {name}: want at least 1 got 0")
        return value

    def _call(self, name: str, command: nodes.Command, arguments: Sequence[object]) -> object:
        try:
            return self._functions[name](arguments)
        except WrongCount as wrong:
            raise self._fail(command.arguments[0], str(wrong)) from wrong
        except CallError as wrong:
            shown = command if len(command.arguments) > 1 else command.arguments[0]
            raise self._fail(shown, f"error calling {name}: {wrong}") from wrong

    def _operand(self, operand: nodes.Operand, dot: object) -> object:
        match operand:
            case nodes.Dot():
                return dot
            case nodes.Nil():
                return None
            case nodes.Literal(value=value):
                return value
            case nodes.Pipe():
                return self._pipe(operand, dot)
            case nodes.Function(name=name):
                return self._call(name, nodes.Command((operand,), operand.offset), ())
            case nodes.Field() | nodes.Variable() | nodes.Chain():
                return self._access(operand, dot, ())

    def _access(
        self,
        operand: nodes.Field | nodes.Variable | nodes.Chain,
        dot: object,
        arguments: Sequence[object],
    ) -> object:
        value = self._base(operand, dot)
        for index, name in enumerate(operand.names):
            is_last = index == len(operand.names) - 1
            try:
                value = field(value, name, arguments if is_last else ())
            except FieldError as wrong:
                raise self._fail(operand, str(wrong)) from wrong
        if arguments and not operand.names:
            raise self._fail(operand, f"can't give argument to non-function {nodes.show(operand)}")
        return value

    def _base(self, operand: nodes.Field | nodes.Variable | nodes.Chain, dot: object) -> object:
        match operand:
            case nodes.Field():
                return dot
            case nodes.Variable(name=name):
                return next(value for known, value in reversed(self._variables) if known == name)
            case nodes.Chain(operand=inner):
                return self._operand(inner, dot)

    def _fail(self, where: nodes.Operand | nodes.Command, message: str) -> TemplateError:
        before = self._source[: where.offset]
        line = before.count("\n") + 1
        column = len(before.rpartition("\n")[2].encode())
        shown = nodes.show_pipe(where) if isinstance(where, nodes.Pipe) else nodes.show(where)
        return TemplateError(f'template: :{line}:{column}: executing "" at <{shown}>: {message}')


def _items(value: object) -> list[tuple[object, object]] | None:
    """What ``range`` goes through, as (key, element); None when it cannot."""
    if value is None:
        return []
    if isinstance(value, Record):
        value = value.as_mapping()
    if isinstance(value, Mapping):
        return [(key, value[key]) for key in sorted(value)]
    if is_list(value):
        return list(enumerate(value))
    if isinstance(value, int) and not isinstance(value, bool):
        return [(number, number) for number in range(value)]
    return None
