"""Rows as one bound text, because a statement takes at most 256 parameters."""

from collections.abc import Iterable, Sequence

ROW_SEPARATOR = chr(30)
CELL_SEPARATOR = chr(31)


def as_lines(rows: Iterable[Sequence[str]]) -> str:
    """:returns: the rows, separated by chr(30), and in each the cells, separated by chr(31). Neither stays in a cell."""
    return ROW_SEPARATOR.join(CELL_SEPARATOR.join(_cell(cell) for cell in row) for row in rows)


def _cell(text: str) -> str:
    return text.replace(ROW_SEPARATOR, " ").replace(CELL_SEPARATOR, " ")
