"""Which failed attempts hold back the batches after them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from feature_sync.config.run_config import OnBatchFailure
from feature_sync.sending.batches import Attempt, AttemptStatus
from feature_sync.sending.failure_policy import FailurePolicy

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
CONTINUE = FailurePolicy(OnBatchFailure.CONTINUE, 3)
STOP = FailurePolicy(OnBatchFailure.STOP, 3)


def failed(number: int, rejected: int | None, **values: Any) -> Attempt:
    """An attempt at 50 records, a minute after that at the batch before it."""
    values = {"records": 50, "status": AttemptStatus.FAILED, "seen_at": NOON + timedelta(minutes=number)} | values
    return Attempt(run_id="r", batch_number=number, number=1, records_rejected=rejected, **values)


@pytest.mark.parametrize(
    ("rejected", "records", "batch_records", "halts"),
    [
        pytest.param(50, 50, 50, True, id="all"),
        pytest.param(25, 50, 50, True, id="half"),
        pytest.param(24, 50, 50, False, id="less-than-half"),
        pytest.param(1, 50, 50, False, id="one"),
        pytest.param(None, 50, 50, True, id="not-known"),
        pytest.param(3, 3, 50, False, id="the-same-three-again"),
        pytest.param(50, 50, None, True, id="size-of-the-batch-not-known"),
    ],
)
def test_a_batch_counts_if_the_cause_may_be_what_batches_share(
    rejected: int | None, records: int, batch_records: int | None, halts: bool
) -> None:
    attempts = [failed(number, rejected, records=records, batch_records=batch_records) for number in (1, 2, 3)]

    assert bool(CONTINUE.reason_to_halt(attempts, 4, generation=0)) is halts


def test_a_batch_that_was_mostly_accepted_ends_the_row_of_failures() -> None:
    attempts = [failed(1, 50), failed(2, 50), failed(3, 1), failed(4, 50)]

    assert CONTINUE.reason_to_halt(attempts, 5, generation=0) == ""
    assert CONTINUE.reason_to_halt([failed(1, 50), failed(2, 50), failed(4, 50)], 5, generation=0)


def test_stop_stops_at_one_bad_record_but_not_at_the_same_one_again() -> None:
    first = failed(1, 1)
    again = failed(1, 1, records=1, batch_records=50, generation=1, resends_rejections_of=1)
    other = failed(2, 1, generation=1)

    assert "batch 001 failed" in STOP.reason_to_halt([first], 2, generation=0)
    assert STOP.reason_to_halt([again], 2, generation=1) == ""
    assert "batch 002 failed" in STOP.reason_to_halt([again, other], 3, generation=1)


@pytest.mark.parametrize("policy", [CONTINUE, STOP])
def test_a_limit_of_the_organisation_holds_back_the_rest_at_once(policy: FailurePolicy) -> None:
    limited = failed(7, 1, status=AttemptStatus.ORGANIZATION_LIMIT)

    reason = policy.reason_to_halt([limited], 8, generation=0)

    assert reason == "batch 007 reached a limit of the whole Salesforce organisation"
    assert policy.reason_to_halt([limited], 8, generation=1) == "", "whoever clears the run knows of it"


@pytest.mark.parametrize("policy", [CONTINUE, STOP])
@pytest.mark.parametrize(
    ("status", "said"),
    [
        pytest.param(AttemptStatus.DIFFERS, "holds something else than what was sent", id="differs"),
        pytest.param(AttemptStatus.UNCONFIRMED, "batch 001 could not be read back from Salesforce", id="unconfirmed"),
    ],
)
def test_one_batch_that_salesforce_does_not_confirm_holds_back_the_rest(
    policy: FailurePolicy, status: AttemptStatus, said: str
) -> None:
    """None of its records was rejected, so by the counts alone it would be a batch that ends a row of failures."""
    first = failed(1, 0, status=status)

    assert said in policy.reason_to_halt([first, failed(2, None, status=AttemptStatus.HALTED)], 3, generation=0)


def test_a_batch_that_is_confirmed_after_a_clear_holds_back_nothing() -> None:
    first = failed(1, 0, status=AttemptStatus.SUCCEEDED, generation=1)
    again = failed(1, 0, status=AttemptStatus.DIFFERS, generation=1)

    assert CONTINUE.reason_to_halt([first, failed(2, None, status=AttemptStatus.HALTED)], 2, generation=1) == ""
    assert CONTINUE.reason_to_halt([again, failed(2, None, status=AttemptStatus.HALTED, seen_at=NOON)], 2, generation=1)
