"""The weekly run's lists for people: who is in them, in which order, and what is cut off."""

import csv
import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest

from feature_sync.config.settings import load_settings
from feature_sync.lists.spreadsheets import Spreadsheet
from feature_sync.reconciliation import comparison
from feature_sync.reconciliation.accepting import accept
from tests.feature_sync.lists.opened import Opened
from tests.wire.few import Few, differences, folder

pytestmark = pytest.mark.usefixtures("three_products")
FLAGS = ("fraud_enabled", "iv_enabled", "idv_only_enabled")
SOLD = "sold to another company"
ORG = "https://acme.my.salesforce.com"
Give = Callable[..., None]


@pytest.fixture
def give(few: Few) -> Give:
    """Give a property so many products, a name and a company in the warehouse."""

    def give(property_id: str, products: int, name: str, company: str = "Acme") -> None:
        flags = ", ".join(f"{flag} = {number < products}" for number, flag in enumerate(FLAGS))
        few.sql(f"UPDATE {{features}} SET {flags} WHERE property_id = '{property_id}'")
        few.sql(
            f"UPDATE {{properties}} SET name = '{name}', company_name = '{company}' WHERE CAST(id AS STRING) = '{property_id}'"
        )

    return give


def missing(run_id: str = "few") -> list[dict[str, str]]:
    with (folder(run_id) / "missing_records.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def wrong_everywhere(few: Few) -> None:
    """A date of every record is wrong in Salesforce."""
    few.sql("UPDATE {replica} SET idv_only_updated_date_c = DATE'2001-02-03'")


def test_the_records_of_properties_with_most_products_come_first_then_by_name_then_by_id(few: Few, give: Give) -> None:
    ids = few.ids()
    names = ["Oak", "Elm", "=Ash", "Oak", "Elm", "Ivy", "Fir", "Yew"]
    for number, (each, name) in enumerate(zip(ids, names, strict=True)):
        give(each, number % 3, name)
    wrong_everywhere(few)

    _, rows = few.compare()

    order = list(dict.fromkeys((row["number_of_products"], row["property_name"], row["snappt_property_id_c"]) for row in rows))
    known = [(str(number % 3), name.replace("=", "'="), each) for number, (each, name) in enumerate(zip(ids, names, strict=True))]
    assert order == sorted(known, key=lambda row: (-int(row[0]), row[1].strip("'"), row[2]))


def test_what_is_cut_off_are_those_with_fewest_products(few: Few, give: Give, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = few.ids()
    for number, each in enumerate(ids):
        give(each, 3 if number >= 6 else 1, f"name {number}")
    few.sql("UPDATE {replica} SET vor_updated_date_c = NULL, idv_only_updated_date_c = DATE'2001-02-03'")
    monkeypatch.setattr(comparison, "MAX_DIFFERENCES", 2)

    _, rows = few.compare()

    dates = [row["snappt_property_id_c"] for row in rows if row["field"] == "idv_only_updated_date_c"]
    assert dates == ids[6:]


def test_a_row_says_who_it_is_about_and_leads_to_the_record(few: Few, give: Give, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEATURE_SYNC_SALESFORCE_URL", ORG)
    one = few.ids()[0]
    give(one, 2, "Elm Court", "Court & Söhne")
    few.sql(f"UPDATE {{replica}} SET idv_only_enabled_c = TRUE WHERE snappt_property_id_c = '{one}'")

    _, rows = few.compare()

    row = next(each for each in rows if each["field"] == "idv_only_enabled_c")
    assert list(row)[-7:] == [
        "asked_value",
        "property_name",
        "company",
        "status",
        "number_of_products",
        "product_names",
        "salesforce_link",
    ]
    known = ("Elm Court", "Court & Söhne", "ACTIVE", "2", "fraud_detection, income_verification")
    assert tuple(row.values())[-6:-1] == known
    assert row["salesforce_link"] == f"{ORG}/{row['salesforce_id']}"
    opened = Opened(folder("few") / "mismatches.xlsx")
    [same] = [each for each in opened.records if each["field"] == "idv_only_enabled_c"]
    assert same["product names"] == "Fraud Detection, Income Verification"
    assert same["cause"] == "never sent"
    assert row["salesforce_link"] in opened.links.values()
    assert len(opened.records) == len(rows)


def test_of_what_nobody_knows_there_is_no_number_of_products(few: Few) -> None:
    orphan, torn, bare = few.ids()[:3]
    few.sql(f"DELETE FROM {{properties}} WHERE CAST(id AS STRING) = '{orphan}'")
    few.sql(
        f"INSERT INTO {{features}} SELECT * REPLACE (NOT fraud_enabled AS fraud_enabled) FROM {{features}} "
        f"WHERE property_id = '{torn}'"
    )
    few.sql(f"DELETE FROM {{features}} WHERE property_id = '{bare}'")

    _, rows = few.compare()

    numbers = {(row["class"], row["snappt_property_id_c"]): row["number_of_products"] for row in rows}
    assert numbers["missing_in_warehouse", orphan] == numbers["ambiguous_features", torn] == ""
    assert numbers["wrongly_true", bare] == "0", "a property without a feature row has no product"


def test_a_property_that_is_there_twice_makes_no_row_twice(few: Few) -> None:
    one = few.ids()[0]
    few.sql(f"UPDATE {{replica}} SET is_deleted = TRUE WHERE snappt_property_id_c = '{one}'")
    few.sql(
        f"INSERT INTO {{properties}} SELECT * REPLACE ('Zoo' AS name, 'DELETED' AS status) FROM {{properties}} "
        f"WHERE CAST(id AS STRING) = '{one}'"
    )

    few.compare()

    assert [row["snappt_property_id_c"] for row in missing()] == [one]


def test_without_columns_for_name_and_company_the_lists_have_ids_and_products(few: Few, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEATURE_SYNC_NAME_COLUMN", "")
    monkeypatch.setenv("FEATURE_SYNC_COMPANY_COLUMN", "")
    few.sql("CREATE OR REPLACE TABLE {properties} AS SELECT * EXCEPT (name, company_name) FROM {properties}")
    wrong_everywhere(few)

    _, rows = few.compare()

    assert {(row["property_name"], row["company"]) for row in rows} == {("", "")}
    assert all(int(row["number_of_products"]) > 0 for row in rows)


class TestMissingRecords:
    def test_those_with_most_products_come_first_and_the_cause_is_there(self, few: Few, give: Give) -> None:
        none, two, three, deleted, *_ = few.ids()
        for each, products, name in ((none, 0, "Ash"), (two, 2, "Elm"), (three, 3, "Oak"), (deleted, 2, "Fir")):
            give(each, products, name)
        few.sql(f"DELETE FROM {{replica}} WHERE snappt_property_id_c IN ('{none}', '{two}', '{three}')")
        few.sql(f"UPDATE {{replica}} SET is_deleted = TRUE WHERE snappt_property_id_c = '{deleted}'")

        report, _ = few.compare()

        rows = missing()
        assert report["differences"]["missing_in_salesforce"] == len(rows) == 4
        assert [(row["property_name"], row["number_of_products"], row["cause"]) for row in rows] == [
            ("Oak", "3", "no_record"),
            ("Elm", "2", "no_record"),
            ("Fir", "2", "deleted_in_salesforce"),
            ("Ash", "0", "no_record"),
        ]
        assert list(rows[0]) == [
            "snappt_property_id_c",
            "property_name",
            "company",
            "status",
            "number_of_products",
            "product_names",
            "cause",
            "is_accepted",
            "accepted_reason",
            "accepted_by",
            "accepted_until",
        ]
        opened = Opened(folder("few") / "missing_records.xlsx")
        assert [row["property name"] for row in opened.records] == ["Oak", "Elm", "Fir", "Ash"]
        assert opened.records[2]["cause"] == "its record was deleted in Salesforce"

    def test_those_that_somebody_has_accepted_are_the_last(self, few: Few, give: Give) -> None:
        known, new, *_ = few.ids()
        give(known, 3, "Oak")
        give(new, 1, "Elm")
        few.sql(f"DELETE FROM {{replica}} WHERE snappt_property_id_c IN ('{known}', '{new}')")
        until = (dt.datetime.now(dt.UTC) + dt.timedelta(days=7)).date().isoformat()
        accept({"class": "missing_in_salesforce", "ids": [known], "reason": SOLD, "accepted_until": until}, "sold", "ada")

        few.compare()

        try:
            assert [(row["property_name"], row["is_accepted"], row["accepted_reason"]) for row in missing()] == [
                ("Elm", "false", ""),
                ("Oak", "true", SOLD),
            ]
        finally:
            few.sql(f"DELETE FROM {load_settings().accepted_table} WHERE TRUE")

    def test_a_list_that_is_cut_says_so_in_the_log(
        self, few: Few, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        ids = "', '".join(few.ids()[:3])
        few.sql(f"DELETE FROM {{replica}} WHERE snappt_property_id_c IN ('{ids}')")
        monkeypatch.setattr(comparison, "MAX_DIFFERENCES", 2)

        few.compare()

        assert len(missing()) == 2
        assert "missing_records.csv lists 2 of 3 missing records." in caplog.messages

    def test_nothing_is_missing(self, few: Few) -> None:
        few.compare()

        assert missing() == []


def test_a_spreadsheet_that_cannot_be_written_changes_no_verdict(few: Few, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError("no space left on device")

    wrong_everywhere(few)
    before, rows = few.compare()
    monkeypatch.setattr(Spreadsheet, "save", full)

    report, same = few.compare()

    assert report["differences"] == before["differences"]
    assert same == rows == differences("few")
    assert not (folder("few") / "mismatches.xlsx").exists()
