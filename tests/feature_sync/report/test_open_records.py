"""Which records a page names, and in which order."""

from typing import Any

import pyarrow as pa
import pytest

from feature_sync.report.open_records import MAX_SHOWN, OpenRecords
from feature_sync.salesforce.causes import Cause
from tests.feature_sync.report.pages import FIELDS

FLAG, OTHER = FIELDS.products[0].enabled.column, FIELDS.products[1].enabled.column
KEY = FIELDS.upsert_key.column


def gathered(*rows: dict[str, Any]) -> OpenRecords:
    records = OpenRecords(FIELDS, lambda row: f"class {row.get('class')}" if row.get("class") else "")
    for row in rows:
        records.add(row)
    return records


def test_a_record_is_one_line_however_many_of_its_fields_differ() -> None:
    row = {KEY: "7", "salesforce_id": "a0X7", "cause": "never_sent"}

    [record] = (
        gathered(row | {"field": FLAG}, row | {"field": FIELDS.products[0].dates[0].column}, row | {"field": OTHER})
        .listed()
        .shown
    )

    assert (record.id, record.differs) == ("7", [FIELDS.products[0].label, FIELDS.products[1].label])
    assert record.why == [Cause.NEVER_SENT.description]


def test_a_rejected_record_says_salesforces_reason_first() -> None:
    [record] = (
        gathered({KEY: "7", "field": FLAG, "cause": "rejected"}, {KEY: "7", "record_number": 7, "reason": "LOCKED", "attempt": 1})
        .listed()
        .shown
    )

    assert record.why == ["rejected: LOCKED", Cause.REJECTED.description]


def test_those_with_the_most_products_come_first_then_the_rejected_ones() -> None:
    rows = [
        {"property_id": "few", "number_of_products": 1, "field": FLAG},
        {"property_id": "none"},
        {"property_id": "many", "number_of_products": 6, "field": FLAG},
        {"property_id": "refused", "number_of_products": 1, "reason": "LOCKED"},
    ]

    assert [record.id for record in gathered(*rows).listed().shown] == ["many", "refused", "few", "none"]


def test_a_list_without_the_new_columns_still_names_its_records() -> None:
    [record] = gathered({KEY: "7", "field": FLAG, "cause": "never_sent"}).listed().shown

    assert (record.name, record.company, record.product_count, record.link) == ("", "", 0, "")


def test_what_a_person_has_accepted_is_not_open() -> None:
    assert gathered({KEY: "7", "field": FLAG, "is_accepted": True}).listed().total == 0


def test_a_difference_of_a_whole_record_is_described() -> None:
    [record] = gathered({KEY: "7", "field": None, "class": "key_mismatch"}).listed().shown

    assert record.differs == ["class key_mismatch"]


def test_more_than_fit_are_counted() -> None:
    listed = gathered(*({KEY: str(number), "field": FLAG} for number in range(MAX_SHOWN + 5))).listed(1_296, ["mismatches.csv"])

    assert (len(listed.shown), listed.total, listed.more) == (MAX_SHOWN, 1_296, 1_196)


@pytest.mark.parametrize("url", ["javascript:alert(1)", "data:text/html,x", "//elsewhere", f"https://{'x' * 400}"])
def test_what_is_no_address_of_the_web_is_no_link(url: str) -> None:
    [record] = gathered({KEY: "7", "salesforce_link": url}).listed().shown

    assert record.link == ""


def test_the_rows_go_on_to_the_file_even_if_the_page_cannot_use_them(caplog: pytest.LogCaptureFixture) -> None:
    table = pa.table({KEY: ["7"], "number_of_products": ["many"]})

    assert list(OpenRecords(FIELDS).watch([table])) == [table]
    assert "not in the report" in caplog.text
