"""CSV files: results of any size, streamed to a file."""

from collections.abc import Iterable, Iterator
from functools import reduce
from itertools import chain, islice

import pyarrow as pa
import pyarrow.compute as pc
from airflow.sdk import ObjectStoragePath
from pyarrow import csv

from feature_sync.config.problems import CsvError
from feature_sync.storage.run_files import replacing, write_files

FORMULA = r"^[=+@\t\r\n-]"
"""The beginning of a cell that a spreadsheet treats as a formula."""
LINE_BREAK = r"[\r\n]"
OPTIONS = {"quoting_style": "needed", "quoting_header": "none", "batch_size": 4096}
"""With pyarrow's own 1,024 rows at once, writing a million records takes a quarter longer (measured)."""


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
        for table in map(_for_people, tables):
            if writer is None:
                writer = csv.CSVWriter(pa.PythonFile(file, mode="w"), table.schema, write_options=csv.WriteOptions(**OPTIONS))
            writer.write_table(table)
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
    write_files(folder, _parts(parts, map(_for_people, tables)))


def _parts(parts: Iterable[tuple[str, int]], tables: Iterator[pa.Table]) -> Iterator[tuple[str, bytes]]:
    """Yield the name of each file and what it holds."""
    first = next(tables, None)
    if first is None:
        raise CsvError("The result has no columns.")
    header = _as_text(first.slice(0, 0), with_header=True)
    records = (record for table in chain([first], tables) for record in _each_record(table))
    for name, size in parts:
        taken = list(islice(records, size))
        yield name, header + b"".join(taken)
        if len(taken) < size:
            raise CsvError(f"{name} needs {size:,} records, but only {len(taken):,} are left.")
    if left := sum(1 for _ in records):
        raise CsvError(f"{left:,} records are left over. They are in no file.")


def _each_record(table: pa.Table) -> Iterator[bytes]:
    """Each record as it stands in a CSV file: a line, or several if a cell of it has a line break."""
    begin = 0
    for row in [*_rows_with_line_breaks(table), table.num_rows]:
        yield from _as_text(table.slice(begin, row - begin)).splitlines(keepends=True)
        if row < table.num_rows:
            yield _as_text(table.slice(row, 1))
        begin = row + 1


def _rows_with_line_breaks(table: pa.Table) -> list[int]:
    texts = (cells for cells in table.columns if _is_text(cells.type))
    found = [pc.fill_null(pc.match_substring_regex(cells, LINE_BREAK), False) for cells in texts]
    return pc.indices_nonzero(reduce(pc.or_, found)).to_pylist() if found else []


def _as_text(table: pa.Table, *, with_header: bool = False) -> bytes:
    sink = pa.BufferOutputStream()
    csv.write_csv(table, sink, csv.WriteOptions(include_header=with_header, **OPTIONS))
    return sink.getvalue().to_pybytes()


def _for_people(table: pa.Table) -> pa.Table:
    return _without_formulas(_with_readable_timestamps(table))


def _with_readable_timestamps(table: pa.Table) -> pa.Table:
    for position, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type):
            table = table.set_column(position, field.name, _as_iso(table[field.name]))
    return table


def _as_iso(times: pa.ChunkedArray) -> pa.ChunkedArray:
    """``2025-11-21T12:00:00Z``. pyarrow's strftime gives the same ten times more slowly (measured)."""
    in_utc = times.cast(pa.timestamp("s", "UTC"), safe=False).cast(pa.timestamp("s"))
    day, time = (in_utc.cast(kind).cast(pa.string()) for kind in (pa.date32(), pa.time32("s")))
    return pc.binary_join_element_wise(pc.binary_join_element_wise(day, time, "T"), "Z", "")


def _without_formulas(table: pa.Table) -> pa.Table:
    for position, field in enumerate(table.schema):
        if _is_text(field.type):
            cells = table[field.name]
            if not pc.any(pc.match_substring_regex(cells, FORMULA)).as_py():
                continue
            marked = pc.binary_join_element_wise(pa.scalar("'", field.type), cells, pa.scalar("", field.type))
            table = table.set_column(position, field.name, pc.if_else(pc.match_substring_regex(cells, FORMULA), marked, cells))
    return table


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)
