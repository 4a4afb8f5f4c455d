"""The rendered text of every statement, in every variant of the settings: people read it in logs and in query histories."""

import re

from sqlglot import exp

from tests.sql.statements import every_text, parse

WIDTH = 160
STEP = 4


@every_text
def test_it_is_still_one_statement(text: str) -> None:
    statements = parse(text)

    assert len(statements) == 1
    assert not isinstance(statements[0], exp.Command)


def code_of(line: str) -> str:
    """Without its comment and what is in quotes, so that each bracket left is one of SQL."""
    return re.sub(r"'[^']*'", "''", line).partition("--")[0]


def indent_of(line: str) -> int:
    return len(line) - len(line.lstrip())


@every_text
def test_no_rendered_line_is_wider_than_a_screen(text: str) -> None:
    assert [line for line in text.splitlines() if len(line) > WIDTH] == []


@every_text
def test_rendering_leaves_no_rubble(text: str) -> None:
    lines = text.split("\n")

    assert lines[0].strip()
    assert lines[-1].strip()
    assert [line for line in lines if "\t" in line or line != line.rstrip()] == []
    assert [line for line in lines if re.search(r"(^|\s),", code_of(line))] == [], "a comma follows its value"
    empty = [number for number, line in enumerate(lines) if not line]
    beside_another = [number for number in empty if not lines[number + 1]]
    at_an_edge = [number for number in empty if lines[number - 1].endswith("(") or lines[number + 1].lstrip().startswith(")")]
    assert beside_another == []
    assert at_an_edge == []


@every_text
def test_what_is_in_brackets_is_indented_deeper_than_they_are(text: str) -> None:
    opened: list[int] = []
    wrong = []
    for line in text.splitlines():
        if not line:
            continue
        code, indent = code_of(line).strip(), indent_of(line)
        closing = len(code) - len(code.lstrip(")"))
        in_place = indent == opened[-closing] if closing else indent > (opened[-1] if opened else -1)
        if indent % STEP or not in_place:
            wrong.append(line)
        for character in code:
            if character == "(":
                opened.append(indent)
            elif character == ")":
                opened.pop()

    assert wrong == []
    assert opened == []
