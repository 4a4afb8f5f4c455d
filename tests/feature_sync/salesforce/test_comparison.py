"""What counts as a difference between what was sent and what Salesforce answers."""

import datetime as dt
from typing import Any

import pytest

from feature_sync.config.fields import FieldTable, load_fields
from feature_sync.salesforce.comparison import Comparison, Unknown, compare
from feature_sync.salesforce.models import RecordsRead, SalesforceRecord

FIELDS = load_fields()
WITH_TIMES = load_fields(frozenset({"fraud_detection_start_date_c"}))
FLAG, DAY = "fraud_detection_enabled_c", "fraud_detection_start_date_c"
CHANGED_AT = dt.datetime(2025, 11, 24, 10, 30, 5, tzinfo=dt.UTC)


def record(key: str = "k1", *, number: int = 1, by: str | None = "Census", **held: Any) -> SalesforceRecord:
    """By column; what is not given is what a record holds that was never sent."""
    values = {each.salesforce_name: held.get(each.column) for each in FIELDS}
    return SalesforceRecord(f"a2P{number}", key, {FIELDS.upsert_key.salesforce_name: key} | values, CHANGED_AT, by)


def compared(sent: dict[str, Any], *records: SalesforceRecord, fields: FieldTable = FIELDS, **read: Any) -> Comparison:
    return compare({"k1": sent}, RecordsRead({"k1": records}, **read), fields)


@pytest.mark.parametrize(
    ("column", "sent", "found"),
    [
        pytest.param(FLAG, True, True, id="on"),
        pytest.param(FLAG, False, False, id="off"),
        pytest.param(DAY, dt.date(2025, 11, 21), "2025-11-21", id="day"),
        pytest.param(DAY, None, None, id="no-day"),
        pytest.param("snappt_property_id_c", "4711", "4711", id="text"),
    ],
)
def test_equal_values_are_no_difference(column: str, sent: Any, found: Any) -> None:
    assert compared({column: sent}, record(**{column: found})).differences == ()


@pytest.mark.parametrize(
    ("column", "sent", "found"),
    [
        pytest.param(FLAG, True, False, id="lost-on"),
        pytest.param(FLAG, False, True, id="lost-off"),
        pytest.param(FLAG, True, "true", id="text-in-place-of-a-checkbox"),
        pytest.param(FLAG, True, 1, id="number-in-place-of-a-checkbox"),
        pytest.param(DAY, dt.date(2025, 11, 21), "2025-11-22", id="another-day"),
        pytest.param(DAY, dt.date(2025, 11, 21), None, id="no-day-there"),
        pytest.param(DAY, None, "2025-11-21", id="a-day-that-should-be-gone"),
        pytest.param(DAY, dt.date(2025, 11, 21), "2025-11-21T00:00:00.000+0000", id="a-time-is-no-day"),
        pytest.param(DAY, dt.date(2025, 11, 21), "soon", id="no-day-at-all"),
        pytest.param("snappt_property_id_c", "4711", "4712", id="another-text"),
        pytest.param("snappt_property_id_c", "ab", "AB", id="another-case"),
        pytest.param("snappt_property_id_c", "4711", 4711, id="number-in-place-of-a-text"),
        pytest.param("snappt_property_id_c", "4711", None, id="no-text"),
    ],
)
def test_another_value_is_a_difference(column: str, sent: Any, found: Any) -> None:
    [difference] = compared({column: sent}, record(**{column: found})).differences

    assert (difference.key, difference.expected, difference.found, difference.unknown) == ("k1", sent, found, None)
    assert difference.field.lower() == f"{column.removesuffix('_c')}__c"


@pytest.mark.parametrize(
    ("sent", "found", "unknown"),
    [
        pytest.param(True, None, Unknown.EMPTY_FLAG, id="true-and-empty"),
        pytest.param(False, None, Unknown.EMPTY_FLAG, id="false-and-empty-are-not-the-same"),
        pytest.param(None, False, Unknown.EMPTY_FLAG_SENT, id="empty-and-false"),
        pytest.param(None, None, Unknown.EMPTY_FLAG_SENT, id="both-empty"),
    ],
)
def test_an_empty_flag_is_unknown_on_either_side_and_never_equal(sent: Any, found: Any, unknown: Unknown) -> None:
    [difference] = compared({FLAG: sent}, record(**{FLAG: found})).differences

    assert difference.unknown is unknown


@pytest.mark.parametrize(
    ("sent", "found", "is_equal"),
    [
        pytest.param(dt.datetime(2025, 11, 21, 23, 18, 4, 999_999, dt.UTC), "2025-11-21T23:18:04.000+0000", True, id="second"),
        pytest.param(
            dt.datetime.fromisoformat("2025-11-21T23:18:04"), "2025-11-21T23:18:04.000+0000", True, id="no-offset-is-utc"
        ),
        pytest.param(
            dt.datetime(2025, 11, 22, 1, 18, tzinfo=dt.timezone(dt.timedelta(hours=2))),
            "2025-11-21T23:18:00.000+0000",
            True,
            id="another-offset",
        ),
        pytest.param(dt.datetime(2025, 11, 21, 23, 18, 4, 0, dt.UTC), "2025-11-21T23:18:05.000+0000", False, id="a-second-later"),
        pytest.param(dt.datetime(2025, 11, 21, tzinfo=dt.UTC), "2025-11-21", False, id="a-day-is-no-time"),
        pytest.param(dt.datetime(2025, 11, 21, tzinfo=dt.UTC), "2025-11-21T00:00:00", False, id="nobody-knows-whose-midnight"),
        pytest.param(None, None, True, id="none"),
    ],
)
def test_a_time_counts_in_whole_seconds(sent: Any, found: Any, is_equal: bool) -> None:
    assert (compared({DAY: sent}, record(**{DAY: found}), fields=WITH_TIMES).differences == ()) is is_equal


def test_a_missing_record_is_a_problem_of_its_own() -> None:
    [difference] = compared({FLAG: False, DAY: None}).differences

    assert (difference.field, difference.unknown) == ("", Unknown.NO_RECORD)
    assert str(difference) == "k1: Salesforce shows no record with this key"


def test_several_records_of_a_key_are_not_compared_even_if_all_hold_what_was_sent() -> None:
    [difference] = compared({FLAG: True}, record(number=1, **{FLAG: True}), record(number=2, **{FLAG: True})).differences

    assert difference.unknown is Unknown.SEVERAL_RECORDS


def test_a_field_that_the_user_does_not_see_is_named_and_neither_equal_nor_different() -> None:
    held = SalesforceRecord("a2P1", "k1", {}, CHANGED_AT, None)

    found = compared({FLAG: True}, held, unreadable=frozenset({"fraud_detection_enabled__c"}))

    assert found.differences == ()
    assert found.unreadable == ("fraud_detection_enabled__c",)


def test_a_difference_says_what_was_sent_and_found_and_who_changed_the_record_last() -> None:
    [flag] = compared({FLAG: True}, record(**{FLAG: False}, by="Automated Process")).differences
    [day] = compared({DAY: dt.date(2025, 11, 21)}, record(**{DAY: None}, by=None)).differences

    assert str(flag) == (
        "k1 (a2P1): fraud_detection_enabled__c: sent True, found False, changed last by Automated Process at "
        "2025-11-24 10:30:05 UTC"
    )
    assert "sent 2025-11-21, found nothing, changed last by nobody whose name is shown" in str(day)


def test_the_summary_groups_by_field_and_names_three_records_of_each() -> None:
    sent = {f"k{number}": {FLAG: True, DAY: dt.date(2025, 11, 21)} for number in range(6)}
    held = {key: (record(key, **{FLAG: False, DAY: "2025-11-21"}),) for key in list(sent)[:5]}

    found = compare(sent, RecordsRead(held), FIELDS)

    assert found.keys == tuple(sent)
    assert found.summary.startswith("fraud_detection_enabled__c in 5 records: k0 (a2P1): sent True, found False, changed last by")
    assert "; and 2 more. Salesforce shows no record with this key: k5." in found.summary


def test_the_summary_names_five_fields() -> None:
    flags = [product.enabled.column for product in FIELDS.products]

    found = compared(dict.fromkeys(flags, True), record(**dict.fromkeys(flags, False)))

    assert len(found.differences) == 7
    assert found.summary.count(" in 1 record: ") == 5
    assert found.summary.endswith(" And 2 other fields; the log names them.")
