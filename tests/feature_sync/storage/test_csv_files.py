"""CSV files as Salesforce and spreadsheets read them."""

import csv
import datetime as dt
import resource
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from airflow.sdk import ObjectStoragePath

from feature_sync.storage.csv_files import CsvError, write_csv, write_csv_parts


def storage(path: Path) -> ObjectStoragePath:
    return ObjectStoragePath(str(path))


@pytest.fixture
def table() -> pa.Table:
    count = 53
    names = [f"Property {n}" for n in range(count)]
    names[7], names[8], names[9] = 'A "quoted" name, with comma', "two\nlines", "Ünïcode"
    return pa.table(
        {
            "name": names,
            "flag": [n % 2 == 0 for n in range(count)],
            "day": [dt.date(2025, 1, 1) if n % 3 else None for n in range(count)],
            "at": pa.array([dt.datetime(2025, 1, 1, 23, 59, 59, 999_999, dt.UTC)] * count, pa.timestamp("us", "UTC")),
        }
    )


def test_cells_are_written_as_salesforce_reads_them(tmp_path: Path, table: pa.Table) -> None:
    path = tmp_path / "full.csv"

    records = write_csv(storage(path), [table.slice(0, 20), table.slice(20)])

    lines = path.read_text(encoding="utf-8").split("\n")
    assert records == 53
    assert lines[0] == "name,flag,day,at"
    assert lines[1] == '"Property 0",true,,"2025-01-01T23:59:59Z"'
    assert lines[2] == '"Property 1",false,2025-01-01,"2025-01-01T23:59:59Z"'
    assert '"A ""quoted"" name, with comma",false' in lines[8]


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", None])
def test_a_time_is_written_in_utc_to_the_second(tmp_path: Path, zone: str | None) -> None:
    times = {
        dt.datetime(2025, 11, 2, 5, 30, 7, 999_999, dt.UTC): "2025-11-02T05:30:07Z",  # an hour that New York has twice
        dt.datetime(1969, 12, 31, 23, 59, 59, tzinfo=dt.UTC): "1969-12-31T23:59:59Z",
        dt.datetime(1, 1, 1, tzinfo=dt.UTC): "0001-01-01T00:00:00Z",
        dt.datetime(9999, 12, 31, 23, 59, 59, tzinfo=dt.UTC): "9999-12-31T23:59:59Z",
    }
    cells = pa.array([*times, None], pa.timestamp("us", "UTC")).cast(pa.timestamp("us", zone))

    write_csv(storage(tmp_path / "times.csv"), [pa.table({"at": cells})])

    assert (tmp_path / "times.csv").read_text().split("\n") == ["at", *(f'"{text}"' for text in times.values()), "", ""]


@pytest.mark.parametrize("rows", [1, 7, 8, 20, 53])
def test_parts_are_byte_for_byte_the_whole_file_however_the_rows_arrive(tmp_path: Path, table: pa.Table, rows: int) -> None:
    full = tmp_path / "full.csv"
    write_csv(storage(full), [table])
    parts = [("one.csv", 8), ("two.csv", 8), ("three.csv", 37)]

    write_csv_parts(storage(tmp_path / "parts"), parts, (table.slice(first, rows) for first in range(0, 53, rows)))

    header, body = full.read_bytes().split(b"\n", 1)
    written = [(tmp_path / "parts" / name).read_bytes() for name, _ in parts]
    assert all(part.startswith(header + b"\n") for part in written)
    assert b"".join(part[len(header) + 1 :] for part in written) == body
    assert sorted(path.name for path in (tmp_path / "parts").iterdir()) == sorted(name for name, _ in parts)


@pytest.mark.parametrize("last", [pytest.param(32, id="records-left-over"), pytest.param(34, id="records-missing")])
def test_parts_that_do_not_fit_the_rows_are_refused(tmp_path: Path, table: pa.Table, last: int) -> None:
    with pytest.raises(CsvError):
        write_csv_parts(storage(tmp_path), [("one.csv", 20), ("two.csv", last)], [table.slice(0, 30), table.slice(30)])


@pytest.mark.parametrize("broken", [[0], [52], [0, 1], [4, 5, 6], [51, 52], range(53)], ids=str)
@pytest.mark.parametrize("line_break", ["\n", "\r", "\r\n", '"\n"'], ids=repr)
def test_a_record_with_a_line_break_is_never_cut(tmp_path: Path, broken: list[int], line_break: str) -> None:
    names = [f"one{line_break}two{line_break}" if row in broken else f"Property {row}" for row in range(53)]
    table = pa.table({"id": [str(row) for row in range(53)], "name": names})

    write_csv_parts(storage(tmp_path), [(f"{row:02d}.csv", 1) for row in range(53)], [table.slice(0, 20), table.slice(20)])

    for row, name in enumerate(names):
        with (tmp_path / f"{row:02d}.csv").open(newline="") as file:
            assert list(csv.reader(file)) == [["id", "name"], [str(row), name]]


def test_no_rows_need_no_parts(tmp_path: Path, table: pa.Table) -> None:
    write_csv_parts(storage(tmp_path), [], [table.slice(0, 0)])

    assert list(tmp_path.iterdir()) == []


def test_a_writer_that_dies_leaves_the_earlier_file(tmp_path: Path, table: pa.Table) -> None:
    path = tmp_path / "full.csv"
    write_csv(storage(path), [table])
    before = path.read_bytes()

    def dies() -> Iterator[pa.Table]:
        yield table.slice(0, 5)
        raise ConnectionError("lost")

    with pytest.raises(ConnectionError):
        write_csv(storage(path), dies())

    assert path.read_bytes() == before


@pytest.fixture
def full_disk() -> Iterator[None]:
    """No file can grow beyond 100 bytes, as if the disk were full."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_part_for_which_there_is_no_room_leaves_the_earlier_file(
    tmp_path: Path, table: pa.Table, request: pytest.FixtureRequest
) -> None:
    write_csv_parts(storage(tmp_path), [("all.csv", 53)], [table])
    before = (tmp_path / "all.csv").read_bytes()
    request.getfixturevalue("full_disk")

    with pytest.raises(OSError, match="File too large"):
        write_csv_parts(storage(tmp_path), [("all.csv", 53)], [table])

    assert (tmp_path / "all.csv").read_bytes() == before


def test_an_empty_result_has_a_header(tmp_path: Path, table: pa.Table) -> None:
    path = tmp_path / "mismatches.csv"

    assert write_csv(storage(path), [table.slice(0, 0)]) == 0
    assert path.read_text() == "name,flag,day,at\n"


@pytest.mark.parametrize(
    "cell",
    [
        "=cmd()",
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        '=HYPERLINK("http://x","y")',
        "='",
    ],
)
def test_a_text_that_a_spreadsheet_would_calculate_gets_an_apostrophe(tmp_path: Path, cell: str) -> None:
    path = tmp_path / "cells.csv"

    write_csv(storage(path), [pa.table({"first": ["a", cell], "last": [cell, "a"]})])

    assert cells_of(path) == [["first", "last"], ["a", f"'{cell}"], [f"'{cell}", "a"]]


def test_a_column_of_long_texts_is_treated_alike(tmp_path: Path) -> None:
    path = tmp_path / "cells.csv"

    write_csv(storage(path), [pa.table({"text": pa.array(["=1", "a"], pa.large_string())})])

    assert cells_of(path) == [["text"], ["'=1"], ["a"]]


def test_a_line_feed_in_front_hides_no_formula(tmp_path: Path) -> None:
    path = tmp_path / "cells.csv"

    write_csv(storage(path), [pa.table({"text": ["\n=1"]})])

    assert cells_of(path) == [["text"], ["'\n=1"]]


@pytest.mark.parametrize("cell", ["100029", "a=b", "1-2", "", " =1", "'=1", "O'Neil", "é@x", "a\n=1"])
def test_another_text_stays_as_it_is(tmp_path: Path, cell: str) -> None:
    path = tmp_path / "cells.csv"

    write_csv(storage(path), [pa.table({"text": pa.array(["x", cell]), "other": ["y", "y"]})])

    assert cells_of(path) == [["text", "other"], ["x", "y"], [cell, "y"]]


def test_a_value_that_is_no_text_gets_no_apostrophe(tmp_path: Path) -> None:
    path = tmp_path / "cells.csv"
    columns = {
        "text": pa.array([None, "=1"]),
        "number": pa.array([-1, None]),
        "day": [dt.date(2025, 1, 1), None],
        "at": pa.array([dt.datetime(2025, 1, 1, tzinfo=dt.UTC), None], pa.timestamp("us", "UTC")),
        "flag": [True, None],
    }

    write_csv(storage(path), [pa.table(columns)])

    assert path.read_text(encoding="utf-8").splitlines() == [
        "text,number,day,at,flag",
        ',-1,2025-01-01,"2025-01-01T00:00:00Z",true',
        '"\'=1",,,,',
    ]


def cells_of(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))
