"""Spreadsheets (``.xlsx``) of any number of rows: a row is written to disk as soon as the next one comes."""

import shutil
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from tempfile import TemporaryDirectory, TemporaryFile
from types import TracebackType
from typing import Any

import xlsxwriter

from feature_sync.storage.run_files import StoragePath, replacing

MAX_ROWS = 1_048_576
"""Rows that Excel opens, with the header."""
MAX_LINKS = 65_530
"""Links that Excel opens in one sheet. The cells after them hold the address as a text."""
MAX_CHARACTERS = 32_767
"""Characters that Excel opens in one cell."""
MIN_WIDTH, MAX_WIDTH = 10, 50
"""Width of a column, in characters."""


class Spreadsheet:
    """
    One sheet with a header that stays in sight, and with filters.

    A text is a text, whatever it begins with: nothing becomes a formula, a number or a link by how it looks.

    :param columns: the header.
    :param links: those columns whose texts are opened by a click if they begin with ``https://``.
    :param rest_is_in: the file that has all rows, for the last row if Excel cannot open so many.
    """

    def __init__(self, columns: Sequence[str], *, links: Sequence[str] = (), rest_is_in: str = "") -> None:
        self._columns, self._rest_is_in = tuple(columns), rest_is_in
        self._links = frozenset(columns.index(name) for name in links)
        self._folder = TemporaryDirectory(prefix="feature_sync_")
        self._file = TemporaryFile(dir=self._folder.name)  # noqa: SIM115 - closed by __exit__
        self._book = xlsxwriter.Workbook(
            self._file,
            {
                "constant_memory": True,
                "tmpdir": self._folder.name,
                "strings_to_formulas": False,
                "strings_to_numbers": False,
                "strings_to_urls": False,
            },
        )
        self._sheet = self._book.add_worksheet()
        self._bold = self._book.add_format({"bold": True})
        self._widths = [MIN_WIDTH for _ in columns]
        self._links_left = MAX_LINKS
        self.rows = self.rows_cut = 0
        self._write_row([name.replace("_", " ") for name in columns], is_header=True)

    def __enter__(self) -> "Spreadsheet":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Remove what is on this machine's disk. It may be called twice."""
        self._file.close()
        if (data := self._sheet.row_data_fh) is not None:
            data.close()
        self._folder.cleanup()

    def add(self, row: Mapping[str, Any]) -> None:
        """
        Add a row. The header and a last row that says how many are cut leave room for `MAX_ROWS` - 2 rows.

        :param row: by column. None leaves a cell empty. A date, or a time in UTC, is written as CSV files have it.
        """
        if self.rows == MAX_ROWS - 2:
            self.rows_cut += 1
            return
        self.rows += 1
        self._write_row([row[name] for name in self._columns])

    def save(self, path: StoragePath) -> None:
        """
        Write the file. Nothing can be added afterwards.

        :raises Exception: whatever the storage raises.
        """
        last = len(self._columns) - 1
        self._sheet.autofilter(0, 0, self.rows, last)
        if self.rows_cut:
            self._sheet.write_string(
                self.rows + 1, 0, f"{self.rows_cut:,} more rows are in {self._rest_is_in}. Excel opens no sheet that is longer."
            )
        self._sheet.freeze_panes(1, 0)
        for number, width in enumerate(self._widths):
            self._sheet.set_column(number, number, min(width + 2, MAX_WIDTH))
        self._book.close()
        self._file.seek(0)
        with replacing(path) as file:
            shutil.copyfileobj(self._file, file)

    def _write_row(self, cells: Sequence[Any], *, is_header: bool = False) -> None:
        number = 0 if is_header else self.rows
        for place, cell in enumerate(cells):
            if cell is None:
                continue
            if isinstance(cell, bool):
                self._sheet.write_boolean(number, place, cell)
                continue
            if isinstance(cell, int):
                self._sheet.write_number(number, place, cell)
                continue
            text = _text(cell)[:MAX_CHARACTERS]
            self._widths[place] = max(self._widths[place], len(text))
            if is_header:
                self._sheet.write_string(number, place, text, self._bold)
            elif place in self._links and text.startswith("https://") and self._links_left:
                self._links_left -= 1
                self._sheet.write_url(number, place, text)
            else:
                self._sheet.write_string(number, place, text)


def _text(value: Any) -> str:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%dT%H:%M:%SZ}"
    return value.isoformat() if isinstance(value, date) else str(value)
