"""What the probes say, from their attempts alone."""

import pytest

from feature_sync.census.models import RowRecord
from feature_sync.outcome import AttemptStatus, Outcome
from feature_sync.probing import Fallback, ProbeError, find_fallback, probe_report
from feature_sync.sync_log import Attempt

SIZES = [50, 100, 1146]
OVER, GOOD, BAD = AttemptStatus.OVER_LIMIT, AttemptStatus.SUCCEEDED, AttemptStatus.FAILED


def attempts(*statuses: AttemptStatus, rejected: int | None = 0) -> dict[int, Attempt]:
    return {
        number: Attempt("run", number, 1, status, records=SIZES[number - 1], records_rejected=rejected, reason="Limit Exceeded.")
        for number, status in enumerate(statuses, start=1)
    }


def test_without_a_limit_nothing_falls_back() -> None:
    assert find_fallback(SIZES, attempts(GOOD, GOOD, GOOD)) is None
    assert find_fallback(SIZES, {}) is None


@pytest.mark.parametrize(
    ("statuses", "over", "size"),
    [
        pytest.param((GOOD, OVER), 2, 50, id="the-second-is-too-large"),
        pytest.param((GOOD, GOOD, OVER), 3, 100, id="the-rest-is-too-large"),
    ],
)
def test_the_last_size_that_passed_is_taken(statuses: tuple[AttemptStatus, ...], over: int, size: int) -> None:
    assert find_fallback(SIZES, attempts(*statuses)) == Fallback(over, 1, size, "Limit Exceeded.")


def test_a_probe_with_rows_of_their_own_faults_has_passed_the_limits() -> None:
    tried = attempts(BAD, rejected=3) | {2: attempts(GOOD, OVER, rejected=100)[2]}

    fallback = find_fallback(SIZES, tried)

    assert fallback
    assert fallback.batch_size == 50


@pytest.mark.parametrize("rejected", [50, None], ids=["all-rejected", "nobody-knows"])
def test_a_probe_of_which_nothing_is_known_to_have_passed_is_no_measure(rejected: int | None) -> None:
    tried = attempts(BAD, rejected=rejected) | {2: attempts(GOOD, OVER, rejected=100)[2]}

    with pytest.raises(ProbeError):
        find_fallback(SIZES, tried)


def test_when_even_the_smallest_is_too_large_it_says_what_to_do() -> None:
    with pytest.raises(ProbeError, match=r"Even the first probe, 50 records.*smaller batch_size"):
        find_fallback(SIZES, attempts(OVER))


def test_the_report_has_what_was_tried_and_why_it_fell_back() -> None:
    tried = attempts(GOOD, OVER)

    report = probe_report(SIZES, tried, find_fallback(SIZES, tried), 25)

    assert [(one["records"], one["outcome"]) for one in report["tried"]] == [
        (50, "succeeded"),
        (100, "over_limit"),
        (1146, "not tried"),
    ]
    assert (report["fell_back_to"], report["batches_after"]) == (50, 25)
    assert report["why"] == "100 records at once: Limit Exceeded."


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
