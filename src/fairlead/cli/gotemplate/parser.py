"""Tokens to nodes, by recursive descent; refuses what Go refuses, in Go's words."""

from __future__ import annotations

from collections.abc import Container, Mapping

from fairlead.cli.gotemplate.errors import TemplateError, at
from fairlead.cli.gotemplate.lexer import Token, line_of, tokenize
from fairlead.cli.gotemplate.literals import character, number, unquote
from fairlead.cli.gotemplate.nodes import (
    Action,
    Break,
    Chain,
    Command,
    Continue,
    Dot,
    Field,
    Function,
    If,
    Literal,
    Nil,
    Node,
    Operand,
    Pipe,
    Range,
    Text,
    Variable,
    With,
)

_BLOCKS: Mapping[str, type[If | With | Range]] = {"if": If, "with": With, "range": Range}
_ENDS = frozenset({"else", "end"})


def parse(source: str, functions: Container[str]) -> tuple[Node, ...]:
    """The nodes of a template that may call ``functions``; raises TemplateError."""
    return _Parser(source, functions).whole()


class _Parser:
    def __init__(self, source: str, functions: Container[str]) -> None:
        self._source = source
        self._functions = functions
        self._tokens = list(tokenize(source))
        self._next = 0
        self._variables = ["$"]
        self._loops = 0

    def whole(self) -> tuple[Node, ...]:
        nodes, end = self._nodes()
        if end is not None:
            raise self._error(end, f"unexpected {{{{{end.text}}}}}")
        return nodes

    def _nodes(self) -> tuple[tuple[Node, ...], Token | None]:
        """Nodes up to the end of the text, or up to the ``else`` or ``end`` that is returned with them."""
        nodes: list[Node] = []
        while (token := self._take()) is not None:
            if token.kind == "text":
                nodes.append(Text(token.text))
                continue
            first = self._peek()
            if first.kind in _ENDS:
                return tuple(nodes), self._must()
            nodes.append(self._statement(first))
        return tuple(nodes), None

    def _statement(self, first: Token) -> Node:
        if first.kind in _BLOCKS:
            self._must()
            return self._block(first.kind)
        if first.kind in {"break", "continue"}:
            return self._jump(self._must())
        if first.kind in {"define", "template", "block"}:
            raise self._error(first, f"{{{{{first.kind}}}}} is not served in --format")
        pipe = self._pipe("command")
        self._close("command")
        return Action(pipe)

    def _jump(self, word: Token) -> Node:
        if not self._loops:
            raise self._error(word, f"{{{{{word.kind}}}}} outside {{{{range}}}}")
        self._close(word.kind)
        return Break(word.offset) if word.kind == "break" else Continue(word.offset)

    def _block(self, kind: str) -> Node:
        scope = len(self._variables)
        pipe = self._pipe(kind)
        self._close(kind)
        self._loops += kind == "range"
        body, end = self._nodes()
        self._loops -= kind == "range"
        otherwise = self._otherwise(kind, end)
        del self._variables[scope:]
        return _BLOCKS[kind](pipe, body, otherwise)

    def _otherwise(self, kind: str, end: Token | None) -> tuple[Node, ...]:
        if end is None:
            raise at(line_of(self._source, len(self._source)), "unexpected EOF")
        if end.kind == "end":
            self._close("end")
            return ()
        word = self._peek()
        # {{else if}} and {{else with}} share the {{end}} of the block they continue.
        if word.kind == kind and kind in {"if", "with"}:
            self._must()
            return (self._block(kind),)
        self._close("else")
        nodes, last = self._nodes()
        if last is None:
            raise at(line_of(self._source, len(self._source)), "unexpected EOF")
        if last.kind != "end":
            raise self._error(last, "expected end; found {{else}}")
        self._close("end")
        return nodes

    def _pipe(self, context: str) -> Pipe:
        start = self._peek()
        variables, assigns = self._declarations(context)
        commands: list[Command] = []
        while True:
            token = self._peek()
            if token.kind in {"close", "right"}:
                break
            commands.append(self._command(context))
            if self._peek().kind == "pipe":
                bar = self._must()
                if self._peek().kind in {"close", "right"}:
                    raise self._error(bar, f"missing value for {context}")
        if not commands:
            raise self._error(start, f"missing value for {context}")
        self._refuse_values_after_the_first(commands)
        self._variables += [] if assigns else variables
        return Pipe(tuple(variables), assigns, tuple(commands), start.offset)

    def _refuse_values_after_the_first(self, commands: list[Command]) -> None:
        for index, command in enumerate(commands[1:], start=2):
            if isinstance(command.arguments[0], Literal | Nil | Dot):
                raise at(
                    line_of(self._source, command.offset),
                    f"non executable command in pipeline stage {index}",
                )

    def _declarations(self, context: str) -> tuple[list[str], bool]:
        names: list[str] = []
        ahead = self._next
        while self._kind(ahead) == "variable":
            names.append(self._tokens[ahead].text)
            ahead += 1
            if self._kind(ahead) != "comma" or context != "range" or len(names) == 2:
                break
            ahead += 1
        if not names or self._kind(ahead) not in {"declare", "assign"}:
            return [], False
        assigns = self._tokens[ahead].kind == "assign"
        if assigns:
            self._check_variables(names, self._tokens[ahead])
        self._next = ahead + 1
        return names, assigns

    def _check_variables(self, names: list[str], token: Token) -> None:
        for name in names:
            if name not in self._variables:
                raise self._error(token, f'undefined variable "{name}"')

    def _command(self, context: str) -> Command:
        start = self._peek()
        arguments: list[Operand] = []
        while True:
            arguments.append(self._operand(context))
            token = self._peek()
            if token.kind in {"close", "right", "pipe"}:
                return Command(tuple(arguments), start.offset)
            if token.glued:
                raise self._error(token, f'unexpected "{token.text}" in operand')

    def _operand(self, context: str) -> Operand:
        operand = self._term(context)
        names: list[str] = []
        second: Token | None = None
        while (token := self._peek()).kind == "field" and token.glued:
            second = second or token
            names.append(self._must().text[1:])
        if second is None:
            return operand
        match operand:
            case Field(names=head):
                return Field((*head, *names), second.offset)
            case Variable(name=name, names=head):
                return Variable(name, (*head, *names), second.offset)
            case Literal() | Nil() | Dot():
                raise self._error(second, f'unexpected . after term "{self._text_before(second)}"')
            case _:
                return Chain(operand, tuple(names), second.offset)

    def _term(self, context: str) -> Operand:
        token = self._must()
        match token.kind:
            case "dot":
                return Dot(token.offset)
            case "nil":
                return Nil(token.offset)
            case "field":
                return Field((token.text[1:],), token.offset)
            case "variable":
                self._check_variables([token.text], token)
                return Variable(token.text, (), token.offset)
            case "identifier":
                return self._function(token)
            case "left":
                pipe = self._pipe("parenthesized pipeline")
                self._must()
                return pipe
            case "string" | "raw" | "char" | "number" | "bool":
                return self._literal(token)
            case _:
                raise self._error(token, f"unexpected {_describe(token)} in {context}")

    def _function(self, token: Token) -> Function:
        if token.text not in self._functions:
            raise self._error(token, f'function "{token.text}" not defined')
        return Function(token.text, token.offset)

    def _literal(self, token: Token) -> Literal:
        try:
            return Literal(_value(token), token.text, token.offset)
        except ValueError as wrong:
            raise self._error(token, str(wrong)) from wrong

    def _text_before(self, token: Token) -> str:
        return self._tokens[self._tokens.index(token) - 1].text

    def _close(self, context: str) -> None:
        token = self._must()
        if token.kind != "close":
            raise self._error(token, f"unexpected {_describe(token)} in {context}")

    def _take(self) -> Token | None:
        if self._next == len(self._tokens):
            return None
        self._next += 1
        return self._tokens[self._next - 1]

    def _must(self) -> Token:
        token = self._take()
        if token is None:
            raise at(line_of(self._source, len(self._source)), "unexpected EOF")
        return token

    def _peek(self) -> Token:
        token = self._must()
        self._next -= 1
        return token

    def _kind(self, index: int) -> str:
        return self._tokens[index].kind if index < len(self._tokens) else "end of text"

    def _error(self, token: Token, message: str) -> TemplateError:
        return at(line_of(self._source, token.offset), message)


def _describe(token: Token) -> str:
    if token.kind in {"if", "else", "end", "range", "with", "break", "continue"}:
        return f"<{token.text}>"
    return f'"{token.text}"'


def _value(token: Token) -> str | int | float | bool:
    match token.kind:
        case "string":
            return unquote(token.text)
        case "raw":
            return token.text[1:-1]
        case "char":
            return character(token.text)
        case "bool":
            return token.text == "true"
        case _:
            return number(token.text)
