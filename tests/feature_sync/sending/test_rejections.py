"""What the reasons of rejected rows mean."""

import pytest

from feature_sync.census.models import RowRecord
from feature_sync.sending.batches import AttemptStatus
from feature_sync.sending.outcome import Outcome
from feature_sync.sending.rejections import summarize_reasons


def test_reasons_are_counted_and_the_most_frequent_come_first() -> None:
    records = [RowRecord(identifier=f"k{n}", status="rejected", status_message="too many\n\nqueries") for n in range(49)]
    records.insert(3, RowRecord(identifier="other", status="DUPLICATE"))

    text = summarize_reasons(records)

    assert text == "49 x 'too many queries' (such as k0); 1 x 'DUPLICATE' (such as other)"


def test_many_different_reasons_are_cut() -> None:
    records = [RowRecord(identifier=str(n), status="rejected", status_message=f"reason {n}") for n in range(9)]

    assert summarize_reasons(records).endswith("and 6 other reasons")


@pytest.mark.parametrize(
    ("reason", "over"),
    [
        pytest.param('CANNOT_EXECUTE_FLOW_TRIGGER: the "X" process failed. Limit Exceeded Error ID: 1', True, id="flow"),
        pytest.param("System.LimitException: Too many SOQL queries: 101", True, id="apex"),
        pytest.param("Maximum number of duplicate updates in one batch (12 allowed)", True, id="duplicate-updates"),
        pytest.param("UNABLE_TO_LOCK_ROW: unable to obtain exclusive access to this record", False, id="a-lock"),
        pytest.param("FIELD_CUSTOM_VALIDATION_EXCEPTION: no", False, id="data"),
    ],
)
def test_which_reasons_mean_that_a_batch_was_too_large(reason: str, over: bool) -> None:
    row = RowRecord(identifier="1", status="rejected", status_message=reason)

    assert Outcome(AttemptStatus.FAILED, "", (row,)).is_over_limit is over
