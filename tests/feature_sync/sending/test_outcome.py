"""Whether a Census run did its job."""

from typing import Any

import pytest

from feature_sync.census.models import RowRecord, SyncRun
from feature_sync.salesforce.comparison import Comparison, Difference
from feature_sync.salesforce.errors import (
    SalesforceAuthError,
    SalesforceError,
    SalesforceLimitError,
    SalesforceProtocolError,
    SalesforceUnavailableError,
)
from feature_sync.sending.batches import Attempt, AttemptStatus, Batch
from feature_sync.sending.outcome import Outcome, failure_lines, halted_message, judge

COMPLETED = {
    "id": 7,
    "sync_id": 4711,
    "status": "completed",
    "canceled": False,
    "created_at": "2025-11-21T10:00:00.000Z",
    "completed_at": "2025-11-21T10:00:40.000Z",
    "source_record_count": 50,
    "records_processed": 50,
    "records_updated": 50,
    "records_failed": 0,
    "records_invalid": 0,
}


def run(**changes: Any) -> SyncRun:
    return SyncRun.model_validate(COMPLETED | changes)


KEYS = frozenset(f"k{number:02d}" for number in range(50))


def rows(rejected: int = 0, message: str = "no") -> list[RowRecord]:
    return [
        RowRecord(identifier=key, status="rejected" if number < rejected else "succeeded", status_message=message)
        for number, key in enumerate(sorted(KEYS))
    ]


def test_a_run_that_did_all_it_should_is_a_success() -> None:
    outcome = judge(run(), KEYS, rows())

    assert outcome.succeeded
    assert outcome.rejected == ()


def test_rejected_rows_are_reported_with_their_reasons() -> None:
    outcome = judge(run(records_failed=2, records_updated=48), KEYS, rows(2, "FIELD_CUSTOM_VALIDATION_EXCEPTION"))

    assert outcome.status is AttemptStatus.FAILED
    assert [row.identifier for row in outcome.rejected or ()] == ["k00", "k01"]
    assert "2 x 'FIELD_CUSTOM_VALIDATION_EXCEPTION' (such as k00)" in outcome.reason
    assert not outcome.is_temporary


@pytest.mark.parametrize(
    ("records", "complaint"),
    [
        pytest.param(rows(1), "50 accepted by its counters, 49 by its records", id="a-rejection-not-counted"),
        pytest.param(rows(1)[:20], "50 accepted by its counters, 19 by its records", id="a-rejection-among-the-rows-that-came"),
        pytest.param(
            [*rows()[:48], RowRecord(identifier="x", status="succeeded")],
            "1 record that was not staged, such as x",
            id="a-foreign-row-among-those-that-came",
        ),
        pytest.param(
            [*rows()[:48], RowRecord(identifier=None, status="succeeded")], "no record of 2", id="a-row-of-nobody-among-them"
        ),
        pytest.param([*rows()[:49], rows()[0]], "no record of 1 that were staged, such as k49", id="a-row-twice-for-another"),
        pytest.param(
            [*rows()[:49], RowRecord(identifier="x", status="succeeded")],
            "1 record that was not staged, such as x",
            id="a-row-of-another-batch",
        ),
    ],
)
def test_records_that_disagree_with_the_counters_are_a_failure(records: list[RowRecord], complaint: str) -> None:
    outcome = judge(run(), KEYS, records)

    assert outcome.status is AttemptStatus.FAILED
    assert complaint in outcome.reason
    assert outcome.rejected is None


@pytest.mark.parametrize(
    ("records", "refusal", "said"),
    [
        pytest.param([], "", "but shows no row record. The", id="none"),
        pytest.param(rows()[:49], "", "but shows the row records of 49 of them. The", id="one-missing"),
        pytest.param([], "Census answered 404", "but shows no row record (Census answered 404). The", id="refused"),
    ],
)
def test_right_counters_without_all_row_records_are_accepted_by_counters(
    records: list[RowRecord], refusal: str, said: str
) -> None:
    outcome = judge(run(), KEYS, records, refusal)

    assert outcome.status is AttemptStatus.ACCEPTED_BY_COUNTERS
    assert outcome.succeeded
    assert outcome.rejected is None
    assert outcome.reason.startswith(f"Census run 7 counts all 50 records as accepted, {said}")


def test_wrong_counters_without_row_records_are_a_failure_that_says_both() -> None:
    outcome = judge(run(records_failed=2, records_updated=48), KEYS, [], "Census answered 404")

    assert outcome.status is AttemptStatus.FAILED
    assert outcome.rejected is None
    assert "records_failed is 2 instead of 0" in outcome.reason
    assert "no record of 50 that were staged" in outcome.reason
    assert outcome.reason.endswith("Census answered 404")


def test_a_lock_passes_also_beside_rows_that_are_rejected_for_good() -> None:
    locked = judge(run(records_failed=2, records_updated=48), KEYS, rows(2, "UNABLE_TO_LOCK_ROW: record"))
    mixed_rows = [
        RowRecord(identifier="k00", status="rejected", status_message="FIELD_CUSTOM_VALIDATION_EXCEPTION: no"),
        *rows(2, "UNABLE_TO_LOCK_ROW")[1:],
    ]
    mixed = judge(run(records_failed=2, records_updated=48), KEYS, mixed_rows)

    assert locked.is_temporary
    assert mixed.is_temporary
    assert not judge(run(records_failed=2, records_updated=48), KEYS, rows(2, "NO_GOOD: no")).is_temporary


@pytest.mark.parametrize("rejected", [1, 50])
def test_a_limit_of_the_whole_organisation_is_an_outcome_of_its_own(rejected: int) -> None:
    by_rows = judge(
        run(records_failed=rejected, records_updated=50 - rejected),
        KEYS,
        rows(rejected, "REQUEST_LIMIT_EXCEEDED: TotalRequests Limit exceeded."),
    )
    by_run = judge(run(status="failed", error_message="REQUEST_LIMIT_EXCEEDED: no calls left"), KEYS, [])

    assert by_rows.status is by_run.status is AttemptStatus.ORGANIZATION_LIMIT
    assert by_rows.rejected is not None
    assert len(by_rows.rejected) == rejected
    assert not by_rows.succeeded


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        pytest.param({"canceled": True}, "was canceled", id="completed-but-canceled"),
        pytest.param({"status": "failed", "canceled": True}, "was canceled", id="failed-and-canceled"),
        pytest.param({"status": "cancelled"}, "was canceled", id="status-cancelled"),
        pytest.param({"status": "canceled"}, "was canceled", id="status-canceled"),
        pytest.param(
            {"status": "failed", "error_code": "JSON_ARRAY_ERROR", "error_message": "no array"},
            "failed: JSON_ARRAY_ERROR: no array",
            id="failed",
        ),
        pytest.param({"status": "failed"}, "Census gives no reason", id="failed-without-words"),
        pytest.param({"status": "foo"}, "'foo', which the API does not document", id="unknown-status"),
        pytest.param({"status": None}, "'None', which the API does not document", id="no-status"),
        pytest.param({"status": "working"}, "still working", id="not-ended"),
        pytest.param({"status": "preparing"}, "still queued", id="former-name"),
        pytest.param({"records_failed": 1, "records_updated": 49}, "records_failed is 1 instead of 0", id="one-rejected"),
        pytest.param({"records_invalid": 1, "records_processed": 49}, "records_invalid is 1 instead of 0", id="one-invalid"),
        pytest.param({"records_processed": 0, "records_updated": 0}, "records_processed is 0 instead of 50", id="nothing-sent"),
        pytest.param({"records_updated": 49}, "records_updated is 49 instead of 50", id="one-not-accepted"),
        pytest.param({"records_updated": 51}, "records_updated is 51 instead of 50", id="one-too-many"),
        pytest.param({"source_record_count": 46}, "source_record_count is 46 instead of 50", id="another-batch"),
        pytest.param({"records_failed": None}, "records_failed is empty instead of 0", id="empty-failures"),
        pytest.param({"records_updated": None}, "records_updated is empty instead of 50", id="empty-updates"),
    ],
)
def test_any_other_result_is_a_failure_that_says_what_was_found(changes: dict[str, Any], reason: str) -> None:
    outcome = judge(run(**changes), KEYS, rows())

    assert outcome.status is AttemptStatus.FAILED
    assert reason in outcome.reason
    assert "run 7" in outcome.reason


def test_a_skipped_run_sent_nothing() -> None:
    outcome = judge(run(status="skipped", records_updated=None), KEYS, [])

    assert outcome.status is AttemptStatus.NOT_SENT
    assert not outcome.succeeded


class TestReadBack:
    DIFFERENT = Comparison(50, (Difference("k01", "ID_Verification_Enabled__c", True, False),))

    @pytest.mark.parametrize(
        ("outcome", "accepted"),
        [
            pytest.param(judge(run(), KEYS, rows()), 50, id="all"),
            pytest.param(judge(run(records_failed=2, records_updated=48), KEYS, rows(2)), 48, id="all-but-two"),
            pytest.param(judge(run(), KEYS, []), 50, id="by-counters"),
            pytest.param(judge(run(records_failed=50, records_updated=0), KEYS, rows(50)), 0, id="none"),
            pytest.param(judge(run(status="failed"), KEYS, []), 0, id="not-known"),
            pytest.param(
                judge(run(records_failed=1, records_updated=49), KEYS, rows(1, "REQUEST_LIMIT_EXCEEDED")), 0, id="limit-reached"
            ),
        ],
    )
    def test_the_records_that_census_calls_accepted_are_read_back(self, outcome: Outcome, accepted: int) -> None:
        assert len(outcome.accepted(KEYS)) == accepted

    def test_what_salesforce_holds_decides_and_the_other_reason_stays(self) -> None:
        outcome = judge(run(records_failed=2, records_updated=48), KEYS, rows(2, "NO")).with_differences(self.DIFFERENT)

        assert (outcome.status, outcome.succeeded, len(outcome.rejected or ())) == (AttemptStatus.DIFFERS, False, 2)
        assert "1 of 50 records differs. ID_Verification_Enabled__c in 1 record: k01: sent True, found False." in outcome.reason
        assert "2 x 'NO'" in outcome.reason
        assert outcome.causes == {"Salesforce does not hold what was sent"}

    def test_no_difference_changes_nothing(self) -> None:
        outcome = judge(run(), KEYS, rows())

        assert outcome.with_differences(Comparison(50, ())) is outcome

    @pytest.mark.parametrize(
        ("error", "may_pass"),
        [
            pytest.param(SalesforceUnavailableError("503"), True, id="down"),
            pytest.param(SalesforceLimitError("used up"), False, id="no-calls-left"),
            pytest.param(SalesforceAuthError("wrong password"), False, id="login"),
            pytest.param(SalesforceProtocolError("html"), True, id="not-understood"),
        ],
    )
    def test_a_salesforce_that_cannot_be_asked_is_no_success(self, error: SalesforceError, may_pass: bool) -> None:
        outcome = judge(run(), KEYS, rows()).unconfirmed(error)

        assert (outcome.status, outcome.succeeded, outcome.rejected) == (AttemptStatus.UNCONFIRMED, False, ())
        assert str(error) in outcome.reason
        assert outcome.may_be_confirmed is may_pass

    def test_the_whole_batch_is_sent_again_if_it_differs_and_none_of_it_if_it_is_only_not_confirmed(self) -> None:
        differs = Attempt("r", 1, 2, AttemptStatus.DIFFERS, 50, resends_rejections_of=1, records_rejected=3)
        unconfirmed = Attempt("r", 1, 2, AttemptStatus.UNCONFIRMED, 50, records_rejected=0)

        assert differs.next_resends_rejections_of is None
        assert (differs.is_to_be_judged, unconfirmed.is_to_be_judged) == (False, True)


class TestLines:
    """What a person reads of a batch that is no success: short lines, the reason first."""

    BATCH = Batch(2, 51, 100, 50)
    ATTEMPT = Attempt("run", 2, 1, AttemptStatus.FAILED, 50, sync_run_id=7)

    def lines(self, outcome: Outcome) -> list[str]:
        return failure_lines(self.BATCH, self.ATTEMPT, outcome, "output/run/rejected_records.csv")

    def test_of_rejected_rows_are_the_counts_the_reasons_and_examples(self) -> None:
        found = judge(run(records_failed=4, records_updated=46), KEYS, rows(4, "NO_1: Contract start must not be in the future"))

        assert self.lines(found) == [
            "4 of 50 records rejected by Salesforce, 46 accepted (Census run 7)",
            "  4 x NO_1: Contract start must not be in the future",
            "      k00, k01, k02 and 1 more",
            "Batch: batch 002: records 51-100, attempt 1",
            "Counters: Census run 7 completed, but records_updated is 46 instead of 50, records_failed is 4 instead of 0.",
            "Rejected rows: output/run/rejected_records.csv",
        ]

    def test_of_a_failed_run_is_what_census_says(self) -> None:
        found = judge(run(status="failed", error_message="The warehouse was down"), KEYS, [])

        assert self.lines(found)[0].startswith("Census run 7 failed: ")
        assert self.lines(found)[1:] == ["Batch: batch 002: records 51-100, attempt 1"]

    def test_records_that_were_left_out_were_not_rejected_by_salesforce(self) -> None:
        changed = RowRecord(identifier="k00", status="rejected", status_message="CHANGED_SINCE_FREEZE: by Ada")
        found = judge(run(), KEYS, rows()).with_left_out((changed,))

        first, *_, last = self.lines(found)
        assert first == "1 of 50 records not accepted, 49 accepted (Census run 7)"
        assert last.startswith("1 record was left as found")

    def test_of_a_batch_that_was_held_back_name_the_dialog_of_airflow(self) -> None:
        assert halted_message(self.BATCH, "3 batches failed in a row").splitlines() == [
            "batch 002: records 51-100 was not sent, it was held back: 3 batches failed in a row.",
            "Next: when the cause is gone, open the run, press Clear Dag Run and choose Clear only failed tasks. Exactly the "
            "batches that failed or were held back are sent.",
        ]
