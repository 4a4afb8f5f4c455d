"""CSV files: results of any size streamed to a file, and the full CSV cut into the files of its batches."""

from collections.abc import Iterable, Iterator
from typing import IO

import pyarrow as pa
import pyarrow.compute as pc
from airflow.sdk import ObjectStoragePath
from pyarrow import csv

from feature_sync.batches import Batch
from feature_sync.run_files import replacing

FORMULA = r"^[=+@\t\r\n-]"
"""What makes a spreadsheet take a cell for a formula."""


class CsvError(RuntimeError):
    """A CSV file does not hold what it should."""


def write_csv(path: ObjectStoragePath, tables: Iterable[pa.Table]) -> int:
    """
    Write a stream of tables of one schema as a CSV file with a header.

    Dates are ``YYYY-MM-DD``, timestamps ``YYYY-MM-DDTHH:MM:SSZ``, booleans ``true`` and ``false``, no value is an empty cell.
    A text that a spreadsheet would take for a formula has an apostrophe in front
    (https://owasp.org/www-community/attacks/CSV_Injection).

    :returns: the number of records.
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
            raise CsvError(f"{path.name}: the result had no columns.")
        writer.close()
    return records


def split_csv(full: ObjectStoragePath, folder: ObjectStoragePath, batches: Iterable[Batch]) -> list[str]:
    """
    Cut the full CSV into one file a batch: the same header, then the batch's records byte for byte.

    :returns: the names of the files, in the order of the batches.
    :raises CsvError: the full CSV has more or fewer records than the batches together.
    """
    names = []
    with full.open("rb") as file:
        lines = _records(file)
        header = next(lines, b"")
        for batch in batches:
            with replacing(folder / batch.file_name) as part:
                part.write(header)
                for number in range(batch.first, batch.last + 1):
                    record = next(lines, None)
                    if record is None:
                        raise CsvError(f"{full.name} ends before record {number:,}, which {batch.label} needs.")
                    part.write(record)
            names.append(batch.file_name)
        if next(lines, None) is not None:
            raise CsvError(f"{full.name} has more records than its {len(names)} batches.")
    return names


def _records(file: IO[bytes]) -> Iterator[bytes]:
    """Records as bytes with their line end. A line break inside quotes does not end a record."""
    record = b""
    for line in file:
        record += line
        if record.count(b'"') % 2 == 0:
            yield record
            record = b""
    if record:
        yield record


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
