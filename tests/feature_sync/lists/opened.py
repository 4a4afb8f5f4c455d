"""A spreadsheet that is opened again: its one sheet, read from the parts of the file."""

import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from xml.etree import ElementTree
from zipfile import ZipFile

MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
RELATION = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
Cell = str | float | bool | None


class Opened:
    """The sheet of a file that we wrote."""

    def __init__(self, path: Path) -> None:
        with ZipFile(path) as parts:
            assert parts.testzip() is None
            self.sheet = parts.read("xl/worksheets/sheet1.xml").decode()
            relations = "xl/worksheets/_rels/sheet1.xml.rels"
            self._relations = parts.read(relations).decode() if relations in parts.namelist() else "<none/>"

    @cached_property
    def _root(self) -> ElementTree.Element:
        return ElementTree.fromstring(self.sheet)  # noqa: S314 - we have written it

    @cached_property
    def _cells(self) -> list[dict[int, ElementTree.Element]]:
        return [{_column_of(cell.attrib["r"]): cell for cell in row.iter(f"{MAIN}c")} for row in self._root.iter(f"{MAIN}row")]

    @property
    def rows(self) -> list[list[Cell]]:
        """Each row with the header, as wide as the header. An empty cell is None."""
        return [[_value(row.get(place)) for place in range(len(self._cells[0]))] for row in self._cells]

    @property
    def kinds(self) -> list[list[str | None]]:
        """What the file says that each cell holds."""
        return [[row[place].get("t") if place in row else None for place in range(len(self._cells[0]))] for row in self._cells]

    @property
    def records(self) -> list[dict[str, Cell]]:
        """Each row below the header, by its names."""
        head, *rows = self.rows
        return [dict(zip(map(str, head), row, strict=True)) for row in rows]

    @property
    def links(self) -> dict[str, str]:
        """What opens when a cell is clicked, by the cell."""
        relations = {
            each.attrib["Id"]: each.attrib["Target"]
            for each in ElementTree.fromstring(self._relations)  # noqa: S314
        }
        return {each.attrib["ref"]: relations[each.attrib[RELATION]] for each in self._root.iter(f"{MAIN}hyperlink")}


def _column_of(place: str) -> int:
    number = 0
    for letter in re.sub(r"\d", "", place):
        number = number * 26 + ord(letter) - ord("A") + 1
    return number - 1


def _value(cell: ElementTree.Element | None) -> Cell:
    if cell is None:
        return None
    texts = list(_texts(cell))
    match cell.get("t"):
        case "inlineStr":
            return "".join(texts)
        case "b":
            return texts == ["1"]
        case None:
            return float(texts[0]) if texts else None
    raise AssertionError(f"{cell.attrib} is no kind of cell that we write")


def _texts(cell: ElementTree.Element) -> Iterator[str]:
    for each in cell.iter():
        if each.tag in (f"{MAIN}t", f"{MAIN}v"):
            yield each.text or ""
