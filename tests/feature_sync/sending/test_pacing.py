from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from feature_sync.census.models import SyncRun
from feature_sync.sending.pacing import Pause, pause_before_next, pause_of_next, records_pause, seconds_to_next_look

LIMIT = 1800
NOW = datetime(2025, 11, 21, 12, 0, 0, tzinfo=UTC)


def run(number: int, status: str = "completed", ended: float | None = None, tag: str = "API Request", **changes: Any) -> SyncRun:
    end = None if ended is None else (NOW - timedelta(seconds=ended)).isoformat()
    return SyncRun.model_validate(
        {
            "id": number,
            "sync_id": 4711,
            "status": status,
            "created_at": (NOW - timedelta(minutes=10)).isoformat(),
            "updated_at": end,
            "completed_at": end,
            "sync_trigger_reason": {"ui_tag": tag},
        }
        | changes
    )


def test_the_first_run_of_a_sync_may_start() -> None:
    assert pause_before_next([], NOW, 150, LIMIT) is None


@pytest.mark.parametrize("status", ["queued", "working", "retrying", "preparing", "new", "foo"])
def test_nothing_starts_while_a_run_is_or_may_be_active(status: str) -> None:
    pause = pause_before_next([run(8, status), run(7, ended=9_000)], NOW, 150, LIMIT)

    assert pause is not None
    assert pause.active_run is not None
    assert pause.active_run.id == 8


def test_an_older_run_that_is_still_active_counts_behind_a_newer_one_that_has_ended() -> None:
    pause = pause_before_next([run(9, "skipped", ended=1), run(8, "working")], NOW, 150, LIMIT)

    assert pause is not None
    assert pause.active_run is not None


@pytest.mark.parametrize(
    ("ended", "left"), [(0, 150), (149.5, 0.5), (150, None), (151, None)], ids=["just-now", "almost", "exactly", "long-ago"]
)
def test_the_wait_counts_from_the_end_of_the_last_run(ended: float, left: float | None) -> None:
    pause = pause_before_next([run(8, ended=ended), run(7, ended=9_000)], NOW, 150, LIMIT)

    assert (pause and pause.seconds) == left


@pytest.mark.parametrize("tag", ["API Request", "Manual", None])
def test_runs_of_others_count_like_ours(tag: str | None) -> None:
    assert pause_before_next([run(8, ended=1, tag=tag or "")], NOW, 150, LIMIT) is not None


def test_runs_that_wrote_nothing_need_no_wait() -> None:
    runs = [run(9, "skipped", ended=1), run(8, ended=1, tag="Dry Run"), run(7, ended=151)]

    assert pause_before_next(runs, NOW, 150, LIMIT) is None


@pytest.mark.parametrize("status", ["failed", "completed", "cancelled"])
def test_a_run_that_ended_badly_needs_the_wait_too(status: str) -> None:
    assert pause_before_next([run(8, status, ended=10)], NOW, 150, LIMIT) is not None


def test_a_failed_run_without_an_end_time_counts_from_its_last_change() -> None:
    failed = run(8, "failed", completed_at=None, updated_at=(NOW - timedelta(seconds=50)).isoformat())

    pause = pause_before_next([failed], NOW, 150, LIMIT)

    assert pause is not None
    assert pause.seconds == 100


def test_an_unknown_status_counts_as_active_only_for_the_limit() -> None:
    changed = [(NOW - timedelta(seconds=seconds)).isoformat() for seconds in (LIMIT - 1, LIMIT)]

    pauses = [pause_before_next([run(8, "foo", updated_at=at)], NOW, 150, LIMIT) for at in changed]

    assert pauses[0] is not None
    assert pauses[1] is None


def test_an_unknown_status_with_an_end_is_over() -> None:
    assert pause_before_next([run(8, "foo", ended=200)], NOW, 150, LIMIT) is None


@pytest.mark.parametrize(
    ("completed", "changed", "left"),
    [
        pytest.param(0, 0, 240, id="just-completed"),
        pytest.param(100, 10, 230, id="census-still-works-on-it"),
        pytest.param(500, 0, 100, id="census-works-on-it-until-the-limit"),
        pytest.param(600, 0, None, id="the-limit-has-passed"),
        pytest.param(300, 240, None, id="census-works-on-it-no-more"),
        pytest.param(300, None, None, id="census-does-not-say-when-it-changed-it"),
        pytest.param(100, None, 140, id="the-end-is-the-last-change"),
        pytest.param(10, 90, 230, id="changed-before-its-end"),
        pytest.param(1_209_600, 1_209_600, None, id="two-weeks-ago"),
    ],
)
def test_missing_row_records_are_waited_for_while_census_works_on_the_run(
    completed: float, changed: float | None, left: float | None
) -> None:
    updated = None if changed is None else (NOW - timedelta(seconds=changed)).isoformat()

    pause = records_pause(run(8, ended=completed, updated_at=updated), NOW, limit_seconds=600, quiet_seconds=240)

    assert (pause and pause.seconds) == left


def test_a_completed_run_without_an_end_is_not_waited_for_for_ever() -> None:
    moving = run(8, updated_at=NOW.isoformat(), created_at=(NOW - timedelta(seconds=600)).isoformat())

    assert records_pause(moving, NOW, limit_seconds=600, quiet_seconds=240) is None


def test_with_a_limit_of_0_row_records_are_not_waited_for() -> None:
    assert records_pause(run(8, ended=0), NOW, limit_seconds=0, quiet_seconds=240) is None


@pytest.mark.parametrize(
    ("looks", "wait_seconds", "seconds"),
    [
        pytest.param(0, 150, 1, id="a-batch-that-is-held-back-ends-at-once"),
        pytest.param(3, 150, 8, id="then-less-and-less-often"),
        pytest.param(9, 150, 30, id="but-so-often-that-its-own-turn-is-not-missed"),
        pytest.param(9, 40, 15, id="half-of-what-is-left-after-the-end"),
        pytest.param(9, 5, 5, id="the-wait-is-short"),
        pytest.param(5000, 150, 30, id="for-hours"),
    ],
)
def test_a_batch_looks_seldom_while_another_is_being_sent(looks: int, wait_seconds: float, seconds: float) -> None:
    pause = pause_of_next(1, NOW, wait_seconds)

    assert seconds_to_next_look(pause, looks, wait_seconds, prepare_seconds=10, poll_seconds=5) == seconds


@pytest.mark.parametrize(("left", "seconds"), [(150, 140), (12, 2), (1000, 300)], ids=["early", "late", "very-long"])
def test_it_sleeps_until_its_turn_once_the_wait_is_known(left: float, seconds: float) -> None:
    pause = Pause("it ended", left)

    assert seconds_to_next_look(pause, 3, 150, prepare_seconds=10, poll_seconds=5) == seconds


def test_the_end_of_an_active_run_of_others_is_not_known() -> None:
    pause = pause_before_next([run(8, "working")], NOW, 150, LIMIT)

    assert pause is not None
    assert not pause.is_over_within(10)
    assert seconds_to_next_look(pause, 9, 150, prepare_seconds=10, poll_seconds=5) == 5


def test_a_waiting_batch_says_how_many_are_ahead_and_when_its_turn_comes() -> None:
    assert pause_of_next(1, NOW, 150).reason == (
        "1 batch ahead in this run, my turn about 12:03 UTC: a batch takes about 45 s, and 150 s pass after it"
    )
    assert pause_of_next(12, NOW, 150).reason.startswith("12 batches ahead in this run, my turn about 12:39 UTC")


def test_a_batch_that_keeps_the_pause_says_why_and_until_when() -> None:
    pause = pause_before_next([run(8, ended=31)], NOW, 60, LIMIT)

    assert pause is not None
    assert pause.reason.endswith("UTC, and 60 s pass after it; my turn about 12:00:29 UTC, in 29 s")
