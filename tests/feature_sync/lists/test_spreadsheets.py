"""Spreadsheets as Excel opens them: the parts of the file are read, because the package that we write with cannot read."""

import datetime as dt
import re
import tempfile
from pathlib import Path

import pytest
from airflow.sdk import ObjectStoragePath

from feature_sync.lists import spreadsheets
from feature_sync.lists.spreadsheets import Spreadsheet
from tests.feature_sync.lists.opened import Opened

COLUMNS = ("property_name", "link", "number")
ADDRESS = "https://acme.my.salesforce.com/a2P000000000001AAA"


def saved(folder: Path, *rows: tuple[object, ...], columns: tuple[str, ...] = COLUMNS) -> Opened:
    path = folder / "list.xlsx"
    with Spreadsheet(columns, links=[name for name in columns if name == "link"], rest_is_in="list.csv") as sheet:
        for row in rows:
            sheet.add(dict(zip(columns, row, strict=True)))
        sheet.save(ObjectStoragePath(str(path)))
    return Opened(path)


def test_the_header_stays_in_sight_has_filters_and_reads_well(tmp_path: Path) -> None:
    opened = saved(tmp_path, ("Elm Court", ADDRESS, 3), ("Oak", None, 0))

    assert opened.rows == [["property name", "link", "number"], ["Elm Court", ADDRESS, 3.0], ["Oak", None, 0.0]]
    assert 'topLeftCell="A2"' in opened.sheet
    assert 'state="frozen"' in opened.sheet
    assert '<autoFilter ref="A1:C3"/>' in opened.sheet


def test_a_column_is_as_wide_as_its_longest_text_within_reason(tmp_path: Path) -> None:
    opened = saved(tmp_path, ("x" * 30, "y" * 500, 1))

    widths = [round(float(each)) for each in re.findall(r'<col [^>]*width="([\d.]+)"', opened.sheet)]
    assert 30 < widths[0] < 36
    assert 50 <= widths[1] < 52
    assert 10 <= widths[2] < 15


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", '=HYPERLINK("http://x","y")', "http://x", "mailto:a@b", "0042", "<b>&amp;"],
)
def test_a_text_stays_a_text_however_it_begins(tmp_path: Path, text: str) -> None:
    opened = saved(tmp_path, (text, None, 1))

    assert opened.rows[1][0] == text.replace("\r", "_x000D_"), "so does Excel write a carriage return"
    assert opened.kinds[1][0] == "inlineStr"
    assert "<f>" not in opened.sheet
    assert opened.links == {}


def test_only_the_column_of_links_is_clickable(tmp_path: Path) -> None:
    opened = saved(tmp_path, (ADDRESS, ADDRESS, 1))

    assert opened.links == {"B2": ADDRESS}


def test_values_are_as_in_csv_files_and_what_a_sheet_cannot_hold_is_escaped_or_cut(tmp_path: Path) -> None:
    at = dt.datetime(2025, 11, 24, 11, 0, 0, 999_999, dt.UTC)
    opened = saved(tmp_path, (True, dt.date(2025, 1, 1), at), ("\x00\x1e", None, "é" * 40_000), ("𝄞" * 20_000, None, "東京"))

    assert opened.rows[1] == [True, "2025-01-01", "2025-11-24T11:00:00Z"]
    assert opened.rows[2][0] == "_x0000__x001E_"
    assert opened.rows[2][2] == "é" * 32_767
    assert set(str(opened.rows[3][0])) <= {"𝄞"}
    assert opened.rows[3][2] == "東京"


def test_rows_that_excel_does_not_open_are_cut_and_the_last_one_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spreadsheets, "MAX_ROWS", 5)

    opened = saved(tmp_path, *((f"name {number}", None, number) for number in range(2_000)))

    assert [row[0] for row in opened.rows] == [
        "property name",
        "name 0",
        "name 1",
        "name 2",
        "1,997 more rows are in list.csv. Excel opens no sheet that is longer.",
    ]
    assert '<autoFilter ref="A1:C4"/>' in opened.sheet


def test_links_beyond_what_excel_opens_are_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spreadsheets, "MAX_LINKS", 2)

    opened = saved(tmp_path, *(("x", f"{ADDRESS}?{number}", 1) for number in range(3)))

    assert sorted(opened.links) == ["B2", "B3"]
    assert opened.rows[3][1] == f"{ADDRESS}?2"


def test_nothing_is_left_on_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))

    saved(tmp_path, ("x", ADDRESS, 1))
    with Spreadsheet(COLUMNS) as unsaved:
        unsaved.add(dict.fromkeys(COLUMNS))

    assert list((tmp_path / "temporary").iterdir()) == []
