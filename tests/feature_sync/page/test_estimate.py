"""How long a run will still take."""

from datetime import timedelta

import pytest

from feature_sync.page.batches import BatchProgress, BatchState
from feature_sync.page.estimate import RECENT, estimate_end
from feature_sync.sending.pacing import SECONDS_PER_BATCH
from tests.feature_sync.page.runs import NOW


def batch(number: int, state: BatchState, seconds_ago: float | None = None) -> BatchProgress:
    ended_at = None if seconds_ago is None else NOW - timedelta(seconds=seconds_ago)
    return BatchProgress("batch.send", number, number, f"batch {number}", 50, state, ended_at=ended_at)


def test_before_the_first_batch_a_usual_one_is_what_is_known() -> None:
    estimate = estimate_end([batch(number, BatchState.WAITING) for number in range(3)], NOW, 150)

    assert estimate is not None
    assert (estimate.seconds_left, estimate.measured_over) == (3 * SECONDS_PER_BATCH + 2 * 150, 0)


def test_what_the_batches_took_counts_and_not_what_was_planned() -> None:
    done = [batch(number, BatchState.ACCEPTED, 300 - 100 * number) for number in range(4)]
    estimate = estimate_end([*done, batch(4, BatchState.SENDING), batch(5, BatchState.WAITING)], NOW, 5)

    assert estimate is not None
    assert (estimate.per_batch, estimate.measured_over) == (100, 3)
    assert estimate.seconds_left == 200
    assert estimate.ends_at == NOW + timedelta(seconds=200)


@pytest.mark.parametrize(("since", "left"), [(40, 160), (500, 100)])
def test_the_time_since_the_last_batch_counts_but_never_more_than_one_batch(since: float, left: float) -> None:
    done = [batch(0, BatchState.ACCEPTED, since + 100), batch(1, BatchState.ACCEPTED, since)]
    estimate = estimate_end([*done, batch(2, BatchState.SENDING), batch(3, BatchState.WAITING)], NOW, 5)

    assert estimate is not None
    assert estimate.seconds_left == left


def test_only_the_last_batches_count_so_a_slower_hour_shows_soon() -> None:
    fast = [batch(number, BatchState.ACCEPTED, 10_000 - number) for number in range(50)]
    slow = [batch(50 + number, BatchState.ACCEPTED, 100 * (RECENT - number)) for number in range(RECENT + 1)]
    estimate = estimate_end([*fast, *slow, batch(99, BatchState.WAITING)], NOW, 5)

    assert estimate is not None
    assert estimate.per_batch == 100


def test_a_batch_that_was_held_back_took_no_time() -> None:
    done = [batch(0, BatchState.ACCEPTED, 200), batch(1, BatchState.ACCEPTED, 100), batch(2, BatchState.HELD_BACK, 99)]
    estimate = estimate_end([*done, batch(3, BatchState.WAITING)], NOW, 5)

    assert estimate is not None
    assert estimate.per_batch == 100


def test_nothing_left_is_no_estimate() -> None:
    assert estimate_end([batch(0, BatchState.ACCEPTED, 5)], NOW, 150) is None
