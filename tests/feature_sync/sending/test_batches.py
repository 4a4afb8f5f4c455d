"""What a batch is called, and what the outcome of an attempt means for the next one."""

import pytest

from feature_sync.sending.batches import Attempt, AttemptStatus, Batch


def test_a_batch_is_named_by_its_number_and_records() -> None:
    batch = Batch(26, 1251, 1296, 46)

    assert batch.label == "batch 026: records 1251-1296"
    assert batch.file_name == "feature_backfill_batch_026_records_1251-1296.csv"
    assert Batch.from_xcom(batch.as_xcom()) == batch


@pytest.mark.parametrize("status", AttemptStatus)
def test_which_outcomes_are_a_success(status: AttemptStatus) -> None:
    assert status.is_success is (status in ("succeeded", "accepted_by_counters"))


@pytest.mark.parametrize(
    ("status", "resends"),
    [
        pytest.param(AttemptStatus.SUCCEEDED, None, id="succeeded"),
        pytest.param(AttemptStatus.ACCEPTED_BY_COUNTERS, None, id="accepted-by-counters"),
        pytest.param(AttemptStatus.FAILED, 1, id="failed-and-rows-not-known"),
        pytest.param(AttemptStatus.NOT_SENT, 1, id="not-sent"),
    ],
)
def test_after_a_success_the_whole_batch_is_sent_again(status: AttemptStatus, resends: int | None) -> None:
    assert Attempt("run", 1, 2, status, records=3, resends_rejections_of=1).next_resends_rejections_of == resends
