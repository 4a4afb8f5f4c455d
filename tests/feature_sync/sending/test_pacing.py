from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from feature_sync.census.models import SyncRun
from feature_sync.sending.pacing import pause_before_next, records_pause, turn_pause

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
    ("ahead", "seconds"),
    [
        pytest.param(1, 5, id="next-in-line"),
        pytest.param(2, 150, id="one-between"),
        pytest.param(3, 300, id="two-between"),
        pytest.param(25, 300, id="far-away"),
    ],
)
def test_the_further_away_the_turn_is_the_rarer_it_is_asked_for(ahead: int, seconds: float) -> None:
    assert turn_pause(ahead, wait_seconds=150, poll_seconds=5) == seconds


def test_without_a_wait_the_turn_is_still_not_asked_for_more_often_than_the_poll_interval() -> None:
    assert turn_pause(9, wait_seconds=0, poll_seconds=5) == 5
