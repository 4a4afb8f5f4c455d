"""What the reasons of rejected rows mean."""

import pytest

from feature_sync.census.models import RowRecord
from feature_sync.sending.rejections import are_over_limit, summarize_reasons


def rows(reason: str, count: int) -> list[RowRecord]:
    return [RowRecord(identifier=f"k{n}", status="rejected", status_message=reason) for n in range(count)]


def test_reasons_are_counted_and_the_most_frequent_come_first() -> None:
    records = [RowRecord(identifier=f"k{n}", status="rejected", status_message="too many\n\nqueries") for n in range(49)]
    records.insert(3, RowRecord(identifier="other", status="DUPLICATE"))

    text = summarize_reasons(records)

    assert text == "49 x 'too many queries' (such as k0); 1 x 'DUPLICATE' (such as other)"


def test_many_different_reasons_are_cut() -> None:
    records = [RowRecord(identifier="1", status="rejected", status_message=f"reason {letter}") for letter in "abcdefghi"]

    assert summarize_reasons(records).endswith("and 6 other reasons")


@pytest.mark.parametrize(
    ("reason", "over"),
    [
        pytest.param('CANNOT_EXECUTE_FLOW_TRIGGER: the "X" process failed. Limit Exceeded Error ID: 1', True, id="flow"),
        pytest.param("System.LimitException: Too many SOQL queries: 101", True, id="apex"),
        pytest.param("Maximum number of duplicate updates in one batch (12 allowed)", True, id="duplicate-updates"),
        pytest.param("UNABLE_TO_LOCK_ROW: unable to obtain exclusive access to this record", False, id="a-lock"),
        pytest.param("FIELD_CUSTOM_VALIDATION_EXCEPTION: no", False, id="data"),
        pytest.param("LIMIT_EXCEEDED: zu viel", True, id="a-code-in-another-language"),
        pytest.param("REQUEST_LIMIT_EXCEEDED: TotalRequests Limit exceeded.", False, id="api-calls-a-day"),
        pytest.param("REQUEST_LIMIT_EXCEEDED: ConcurrentRequests Limit exceeded.", False, id="api-calls-at-once"),
        pytest.param("TotalRequests Limit exceeded.", False, id="api-calls-without-code"),
        pytest.param("STORAGE_LIMIT_EXCEEDED: storage limit exceeded", False, id="storage"),
    ],
)
def test_which_reasons_mean_that_a_batch_was_too_large(reason: str, over: bool) -> None:
    assert are_over_limit(rows(reason, 2), records=50) is over


@pytest.mark.parametrize(
    ("reasons", "records", "over"),
    [
        pytest.param(["CANNOT_EXECUTE_FLOW_TRIGGER: Grenzwert überschritten, Fehler-ID 1-2 (3)"] * 3, 3, True, id="all-alike"),
        pytest.param([f"CANNOT_EXECUTE_FLOW_TRIGGER: Fehler-ID 12-{n} (-{n})" for n in range(3)], 3, True, id="other-error-ids"),
        pytest.param(["CANNOT_EXECUTE_FLOW_TRIGGER: Grenzwert überschritten"] * 3, 4, False, id="one-was-accepted"),
        pytest.param(["CANNOT_EXECUTE_FLOW_TRIGGER: Grenzwert überschritten"], 1, False, id="cannot-be-smaller"),
        pytest.param(["CANNOT_EXECUTE_FLOW_TRIGGER: Feld", "CANNOT_EXECUTE_FLOW_TRIGGER: Wert"], 2, False, id="not-alike"),
        pytest.param(["CANNOT_EXECUTE_FLOW_TRIGGER: REQUIRED_FIELD_MISSING: Feld"] * 3, 3, False, id="the-flow-names-a-cause"),
    ],
)
def test_a_flow_that_rejects_all_alike_is_over_its_limit_in_any_language(reasons: list[str], records: int, over: bool) -> None:
    rejected = [row for reason in reasons for row in rows(reason, 1)]

    assert are_over_limit(rejected, records) is over


def test_reasons_that_differ_only_in_ids_and_numbers_are_one() -> None:
    locks = [
        *rows("UNABLE_TO_LOCK_ROW: unable to obtain exclusive access to this record or 1 records: a0B5f000001abcDEAQ", 1),
        *rows("UNABLE_TO_LOCK_ROW: unable to obtain exclusive access to this record or 2 records: a0B5f000009zzzZEAQ", 1),
        *rows("duplicate value found: 0f0e7c1a-0000-4000-8000-000000110269", 1),
        *rows("duplicate value found: 0f0e7c1a-0000-4000-8000-000000110270", 2),
    ]

    assert summarize_reasons(locks) == (
        "3 x 'duplicate value found: ...' (such as k0); "
        "2 x 'UNABLE_TO_LOCK_ROW: unable to obtain exclusive access to this record or ... records: ...' (such as k0)"
    )


def test_a_long_reason_is_cut() -> None:
    assert len(summarize_reasons(rows("word " * 200, 2))) < 400
