"""What the probes say, from their attempts alone."""

import pytest

from feature_sync.backfill.probing import Fallback, ProbeError, find_fallback, probe_report
from feature_sync.sending.batches import Attempt, AttemptStatus

SIZES = [50, 100, 1146]
OVER, GOOD, BAD = AttemptStatus.OVER_LIMIT, AttemptStatus.SUCCEEDED, AttemptStatus.FAILED


def attempts(*statuses: AttemptStatus, rejected: int | None = 0) -> dict[int, Attempt]:
    return {
        number: Attempt(
            "run",
            number,
            1,
            status,
            records=SIZES[number - 1],
            records_rejected=None if status is AttemptStatus.ACCEPTED_BY_COUNTERS else rejected,
            reason="Limit Exceeded.",
        )
        for number, status in enumerate(statuses, start=1)
    }


def test_without_an_exceeded_limit_it_does_not_fall_back() -> None:
    assert find_fallback(SIZES, attempts(GOOD, GOOD, GOOD)) is None
    assert find_fallback(SIZES, {}) is None


@pytest.mark.parametrize(
    ("statuses", "over", "size"),
    [
        pytest.param((AttemptStatus.ACCEPTED_BY_COUNTERS, OVER), 2, 50, id="the-first-was-accepted-by-counters"),
        pytest.param((GOOD, OVER), 2, 50, id="the-second-is-too-large"),
        pytest.param((GOOD, GOOD, OVER), 3, 100, id="the-rest-is-too-large"),
    ],
)
def test_it_falls_back_to_the_last_size_that_passed(statuses: tuple[AttemptStatus, ...], over: int, size: int) -> None:
    assert find_fallback(SIZES, attempts(*statuses)) == Fallback(over, 1, size, "Limit Exceeded.")


def test_a_probe_with_some_accepted_records_was_within_the_limits() -> None:
    tried = attempts(BAD, rejected=3) | {2: attempts(GOOD, OVER, rejected=100)[2]}

    fallback = find_fallback(SIZES, tried)

    assert fallback
    assert fallback.batch_size == 50


@pytest.mark.parametrize("rejected", [50, None], ids=["all-rejected", "nobody-knows"])
def test_a_probe_without_a_record_known_to_be_accepted_has_not_passed(rejected: int | None) -> None:
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
