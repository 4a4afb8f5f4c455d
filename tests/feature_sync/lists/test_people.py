"""A list as a CSV file and as a spreadsheet: the same rows, links made from ids alone, and no error that gets in the way."""

import csv
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from airflow.sdk import ObjectStoragePath

from feature_sync.config.settings import load_settings
from feature_sync.lists import people
from feature_sync.lists.people import beside, link_to, write_list
from feature_sync.lists.spreadsheets import Spreadsheet
from tests.feature_sync.lists.opened import Opened

ORG = "https://acme.my.salesforce.com"
ONE = "a2P8X000000abcDUAQ"


@pytest.fixture(autouse=True)
def _org(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEATURE_SYNC_SALESFORCE_URL", ORG)


def table(**columns: list[str | int | None]) -> pa.Table:
    known = {"salesforce_id": [ONE], "cause": ["rejected"], "property_name": ["Elm Court"], "number_of_products": [2]}
    return pa.table(known | {"product_names": ["fraud_detection, idv_only"]} | columns)


def written(folder: Path, *tables: pa.Table, words: people.Words | None = None) -> tuple[list[dict[str, str]], Opened]:
    path = folder / "some.list.csv"
    write_list(ObjectStoragePath(str(path)), tables, load_settings(), words)
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file)), Opened(folder / "some.list.xlsx")


def test_the_csv_file_gets_a_link_at_its_end_and_the_spreadsheet_begins_with_what_people_look_for(tmp_path: Path) -> None:
    [row], opened = written(tmp_path, table(), words={"cause": {"rejected": "rejected when it was sent last"}})

    assert list(row) == [*table().schema.names, "salesforce_link"]
    assert row["salesforce_link"] == f"{ORG}/{ONE}"
    assert (row["cause"], row["product_names"]) == ("rejected", "fraud_detection, idv_only")
    assert list(opened.records[0].items()) == [
        ("property name", "Elm Court"),
        ("number of products", 2.0),
        ("product names", "Fraud Detection, IDV Only"),
        ("salesforce link", f"{ORG}/{ONE}"),
        ("salesforce id", ONE),
        ("cause", "rejected when it was sent last"),
    ]
    assert opened.links == {"D2": f"{ORG}/{ONE}"}


def test_both_have_all_rows_of_all_tables(tmp_path: Path) -> None:
    rows, opened = written(tmp_path, table(), table(property_name=["Oak"], cause=[None]), table().slice(0, 0))

    assert [row["property_name"] for row in rows] == [row["property name"] for row in opened.records] == ["Elm Court", "Oak"]
    assert opened.records[1]["cause"] is None


def test_a_list_without_rows_has_a_header(tmp_path: Path) -> None:
    rows, opened = written(tmp_path, table().slice(0, 0))

    assert (rows, opened.records) == ([], [])


def test_a_name_that_looks_like_a_formula_is_marked_in_the_csv_file_and_is_a_text_in_the_spreadsheet(tmp_path: Path) -> None:
    [row], opened = written(tmp_path, table(property_name=["=1+1"]))

    assert row["property_name"] == "'=1+1"
    assert opened.rows[1][0] == "=1+1"
    assert opened.kinds[1][0] == "inlineStr"


@pytest.mark.parametrize("record_id", ["a2P8X000000abcD", ONE])
def test_a_link_is_the_address_and_the_id(record_id: str) -> None:
    assert link_to(record_id, ORG) == f"{ORG}/{record_id}"


@pytest.mark.parametrize(
    "record_id", [None, "", "100029", f"{ONE}\n", f"../{ONE[3:]}", "=HYPERLINK(1234)", "é" * 15, f"{ONE}?x=1"]
)
def test_what_does_not_look_like_an_id_of_salesforce_is_no_link(record_id: str | None) -> None:
    assert link_to(record_id, ORG) is None


def test_without_an_address_there_are_no_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEATURE_SYNC_SALESFORCE_URL", "")

    [row], opened = written(tmp_path, table())

    assert row["salesforce_link"] == ""
    assert opened.links == {}


def test_a_list_of_what_has_no_record_has_no_column_of_links(tmp_path: Path) -> None:
    [row], _ = written(tmp_path, table().drop_columns(["salesforce_id"]))

    assert "salesforce_link" not in row


@pytest.mark.parametrize("step", ["__init__", "add", "save", "close"])
def test_a_spreadsheet_that_cannot_be_written_leaves_the_csv_file_and_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, step: str
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise OSError("no space left on device")

    before = tmp_path / "list.xlsx"
    before.write_bytes(b"of an earlier try")
    monkeypatch.setattr(Spreadsheet, step, fails)

    rows = write_list(ObjectStoragePath(str(tmp_path / "list.csv")), [table(), table()], load_settings())

    assert rows == 2
    assert (tmp_path / "list.csv").read_text().count("Elm Court") == 2
    [message] = [each.getMessage() for each in caplog.records if each.name == people.__name__]
    assert "no space left on device" in message
    if step != "close":
        assert message.endswith("(OSError: no space left on device). list.csv has the same rows.")
        assert not before.exists(), "it has other rows"


def test_a_list_that_breaks_off_fails_and_leaves_both_files_as_they_were(tmp_path: Path) -> None:
    def breaks_off() -> Iterator[pa.Table]:
        yield table()
        raise ConnectionError("lost")

    written(tmp_path, table(property_name=["Oak"]))
    with pytest.raises(ConnectionError):
        write_list(ObjectStoragePath(str(tmp_path / "some.list.csv")), breaks_off(), load_settings())

    assert "Oak" in (tmp_path / "some.list.csv").read_text()
    assert Opened(tmp_path / "some.list.xlsx").records[0]["property name"] == "Oak"


def test_rows_that_the_spreadsheet_lacks_are_in_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("feature_sync.lists.spreadsheets.MAX_ROWS", 3)

    rows, opened = written(tmp_path, table(), table(), table())

    assert (len(rows), len(opened.records)) == (3, 2)
    assert "some.list.xlsx lacks 2 rows, because Excel opens no longer sheet. some.list.csv has all of them." in caplog.messages


def test_the_spreadsheet_has_the_name_of_its_csv_file() -> None:
    assert beside(ObjectStoragePath("/run/mismatches.csv")).name == "mismatches.xlsx"
