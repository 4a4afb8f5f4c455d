"""CSV files: results of any size, streamed to a file."""

from collections.abc import Iterable, Iterator

import pyarrow as pa
import pyarrow.compute as pc
from airflow.sdk import ObjectStoragePath
from pyarrow import csv

from feature_sync.storage.run_files import replacing

FORMULA = r"^[=+@\t\r\n-]"
"""The beginning of a cell that a spreadsheet treats as a formula."""


class CsvError(RuntimeError):
    """A CSV file does not hold what it should."""


def write_csv(path: ObjectStoragePath, tables: Iterable[pa.Table]) -> int:
    """
    Write a stream of tables of one schema as a CSV file with a header.

    Dates are ``YYYY-MM-DD``, timestamps ``YYYY-MM-DDTHH:MM:SSZ``, booleans ``true`` and ``false``; NULL is an empty cell. A text
    that a spreadsheet would treat as a formula gets an apostrophe in front
    (https://owasp.org/www-community/attacks/CSV_Injection).

    :returns: the number of records.
    :raises CsvError: ``tables`` is empty, so there is not even a header.
    """
    records = 0
    with replacing(path) as file:
        writer: csv.CSVWriter | None = None
        for table in tables:
            rows = _without_formulas(_with_readable_timestamps(table))
            if writer is None:
                options = csv.WriteOptions(quoting_style="needed", quoting_header="none")
                writer = csv.CSVWriter(pa.PythonFile(file, mode="w"), rows.schema, write_options=options)
            writer.write_table(rows)
            records += table.num_rows
        if writer is None:
            raise CsvError(f"{path.name}: the result has no columns.")
        writer.close()
    return records


def write_csv_parts(folder: ObjectStoragePath, parts: Iterable[tuple[str, int]], tables: Iterable[pa.Table]) -> None:
    """
    Cut a stream of tables of one schema into CSV files, see `write_csv`.

    :param parts: the name and the number of records of each file.
    :raises CsvError: ``tables`` has more or fewer records than the files together.
    """
    rows = _Rows(tables)
    for name, records in parts:
        if (written := write_csv(folder / name, rows.take(records))) < records:
            raise CsvError(f"{name} needs {records:,} records, but only {written:,} are left.")
    if left := rows.count_rest():
        raise CsvError(f"{left:,} records are left over. They are in no file.")


class _Rows:
    """A stream of tables, taken by numbers of rows."""

    def __init__(self, tables: Iterable[pa.Table]) -> None:
        self._tables = iter(tables)
        self._rest: pa.Table | None = next(self._tables, None)

    def take(self, records: int) -> Iterator[pa.Table]:
        """Yield the next ``records`` rows, or fewer at the end: at least one table, which may be empty."""
        while self._rest is not None:
            yield self._rest.slice(0, records)
            records -= (taken := min(records, self._rest.num_rows))
            self._rest = self._rest.slice(taken)
            if not records or (following := next(self._tables, None)) is None:
                return
            self._rest = following

    def count_rest(self) -> int:
        return sum(table.num_rows for table in [self._rest, *self._tables] if table is not None)


def _with_readable_timestamps(table: pa.Table) -> pa.Table:
    for position, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type):
            text = pc.strftime(table[field.name].cast(pa.timestamp("s", "UTC"), safe=False), "%Y-%m-%dT%H:%M:%SZ")
            table = table.set_column(position, field.name, text)
    return table


def _without_formulas(table: pa.Table) -> pa.Table:
    for position, field in enumerate(table.schema):
        if pa.types.is_string(field.type) or pa.types.is_large_string(field.type):
            cells = table[field.name]
            marked = pc.binary_join_element_wise(pa.scalar("'", field.type), cells, pa.scalar("", field.type))
            table = table.set_column(position, field.name, pc.if_else(pc.match_substring_regex(cells, FORMULA), marked, cells))
    return table
