from __future__ import annotations

import pytest

from fairlead.errors import InvalidArgument
from fairlead.images.dockerfile import Heredoc, expand, is_only_heredoc, parse, without_heredocs

FILE = """\
# syntax=docker/dockerfile:1
ARG V=1
FROM --platform=linux/amd64 busybox:$V AS Base

RUN echo a && \\
    # said in between

    echo b
COPY --from=0 --chown=1:2 --chmod=644 a b /x/
run <<EOF
echo hi
EOF
COPY <<-'ONE' <<TWO /d/
\tkept $A
\tONE
two
TWO
CMD ["sh", "-c", "x"]
FROM base
"""


def test_a_file_of_stages() -> None:
    found = parse(FILE)
    assert [(one.word, one.text) for one in found.arguments] == [("ARG", "V=1")]
    first, second = found.stages
    assert (first.base, first.name, first.platform, first.line) == ("busybox:$V", "base", "linux/amd64", 3)
    assert (second.base, second.name, second.instructions) == ("base", "", ())
    words = [one.word for one in first.instructions]
    assert words == ["RUN", "COPY", "RUN", "COPY", "CMD"]
    run, copy, heredoc, files, command = first.instructions
    assert (run.text, run.line) == ("echo a &&     echo b", 5)
    assert (copy.flag("from"), copy.flag("chown"), copy.flag("chmod"), copy.text) == ("0", "1:2", "644", "a b /x/")
    assert heredoc.heredocs == (Heredoc("EOF", "echo hi\n", expands=True),)
    assert is_only_heredoc(heredoc.text)
    assert files.heredocs == (Heredoc("ONE", "kept $A\n", expands=False), Heredoc("TWO", "two\n", expands=True))
    assert without_heredocs(files.text) == "/d/"
    assert command.words == ("sh", "-c", "x")
    assert copy.shown() == "COPY --from=0 --chown=1:2 --chmod=644 a b /x/"


def test_another_escape_character() -> None:
    found = parse("# escape=`\nFROM a\nRUN x `\n  y\\\n")
    assert found.stages[0].instructions[0].text == "x   y\\"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the Dockerfile cannot be empty"),
        ("# only\n", "the Dockerfile cannot be empty"),
        ("RUN x\n", "line 1: no build stage in current context"),
        ("ARG A\n", "the Dockerfile has no FROM"),
        ("FROM a\nFETCH b\n", "line 2: unknown instruction: FETCH"),
        ("FROM a\nRUN\n", "line 2: RUN requires at least one argument"),
        ("FROM a b\n", "line 1: FROM requires either one or three arguments"),
        ("FROM a AS 1x\n", 'line 1: invalid name for build stage: "1x"'),
        ("FROM a\nRUN <<EOF\nx\n", "line 2: unterminated heredoc EOF"),
        ("# escape=x\nFROM a\n", "invalid escape token 'x'"),
    ],
)
def test_mistakes_are_said_with_their_line(text: str, said: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse(text)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("a$A.b", "a1.b"),
        ("${A}${NO}x", "1x"),
        ("${NO:-d$A} ${A:-d}", "d1 1"),
        ("${EMPTY-x}${EMPTY:-y}", "y"),
        ("${A:+set}${NO:+not}", "set"),
        (r"\$A '$A'", "$A '$A'"),
        ('"$A"', '"1"'),
        ("100$", "100$"),
    ],
)
def test_variables(text: str, result: str) -> None:
    assert expand(text, {"A": "1", "EMPTY": ""}.get) == result


@pytest.mark.parametrize("text", ["${", "${A", "${A!}", "${:x}", "${A:?no}x${NO:?needed}", "${A:-" * 20])
def test_variables_that_are_none(text: str) -> None:
    with pytest.raises(InvalidArgument):
        expand(text, {"A": "1"}.get)
