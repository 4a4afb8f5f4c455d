"""Whether the weekly run has given its verdict, and whether people are to be told."""

from datetime import UTC, datetime, timedelta

import pytest

from feature_sync.config.settings import AlertLevel
from feature_sync.watch.weekly import Memory, Week, goes_on_message, judge, last_tick, missing_message, recall

MONDAYS = "0 6 * * 1"
MONDAY = datetime(2026, 11, 23, 6, tzinfo=UTC)
EVENING = MONDAY + timedelta(hours=12, minutes=15)
LONG_AGO = Memory(MONDAYS, "2026-01-01T00:00:00+00:00")


@pytest.mark.parametrize(
    ("schedule", "now", "hours", "tick"),
    [
        pytest.param(MONDAYS, EVENING, 12, MONDAY, id="it-should-have-ended"),
        pytest.param(MONDAYS, MONDAY + timedelta(hours=11), 12, MONDAY - timedelta(days=7), id="it-may-go-on-an-hour-more"),
        pytest.param(MONDAYS, MONDAY + timedelta(minutes=1), 0, MONDAY, id="no-patience"),
        pytest.param("30 2 * * *", EVENING, 12, datetime(2026, 11, 23, 2, 30, tzinfo=UTC), id="a-daily-one"),
    ],
)
def test_the_last_run_that_should_have_ended(schedule: str, now: datetime, hours: int, tick: datetime) -> None:
    assert last_tick(schedule, now, hours) == tick


@pytest.mark.parametrize(
    ("ended", "going", "since", "week"),
    [
        pytest.param("a", None, "2026-01-01T00:00:00+00:00", Week.ENDED, id="ended"),
        pytest.param("a", "b", "2026-01-01T00:00:00+00:00", Week.ENDED, id="a-second-one-goes-on"),
        pytest.param(None, "b", "2026-01-01T00:00:00+00:00", Week.GOES_ON, id="goes-on"),
        pytest.param(None, "b", "2026-11-25T00:00:00+00:00", Week.GOES_ON, id="goes-on-since-before-the-watch"),
        pytest.param(None, None, "2026-01-01T00:00:00+00:00", Week.MISSING, id="missing"),
        pytest.param(None, None, MONDAY.isoformat(), Week.MISSING, id="the-watch-was-just-there"),
        pytest.param(None, None, "2026-11-25T00:00:00+00:00", Week.NOT_KNOWN, id="installed-on-wednesday"),
    ],
)
def test_what_is_known_of_a_week(ended: str | None, going: str | None, since: str, week: Week) -> None:
    assert judge(MONDAY, Memory(MONDAYS, since), ended=ended, going=going) is week


def test_what_was_kept_comes_back() -> None:
    told = LONG_AGO.told(MONDAY, EVENING)

    assert recall(told.as_text, MONDAYS, EVENING) == told


@pytest.mark.parametrize(
    "kept",
    [
        pytest.param(None, id="first-look"),
        pytest.param(Memory("0 6 * * 2", "2026-01-01T00:00:00+00:00").as_text, id="another-schedule"),
        pytest.param("[1, 2]", id="a-list"),
        pytest.param("not json", id="no-json"),
        pytest.param(Memory(MONDAYS, "yesterday").as_text, id="no-time"),
    ],
)
def test_it_begins_again_if_nobody_knows_what_was_before(kept: str | None) -> None:
    assert recall(kept, MONDAYS, EVENING) == Memory(MONDAYS, EVENING.isoformat())


def test_people_are_told_once_and_reminded_once_a_day() -> None:
    told = LONG_AGO.told(MONDAY, EVENING)

    assert LONG_AGO.is_due(MONDAY, EVENING)
    assert [hours for hours in range(0, 49, 6) if told.is_due(MONDAY, EVENING + timedelta(hours=hours))] == [24, 30, 36, 42, 48]
    assert told.is_due(MONDAY, EVENING + timedelta(hours=24) - timedelta(seconds=40)), "no look is on the second"
    assert told.is_due(MONDAY + timedelta(days=7), EVENING), "another week is news"


def test_a_run_that_goes_on_is_late_and_its_message_says_where_it_is() -> None:
    level, title, text = goes_on_message(MONDAY, 12, "scheduled__a", ["approve_healing", "heal"], "https://here")

    assert level is AlertLevel.WARNING
    assert title == "No verdict yet: the weekly run of 2026-11-23 06:00 UTC goes on"
    assert "Run: scheduled__a" in text
    assert "should have ended within 12 h. It is at approve_healing, heal." in text
    assert text.endswith("Run: https://here")


def test_a_run_without_a_task_at_work_is_said_to_be_so() -> None:
    assert "None of its tasks has begun" in goes_on_message(MONDAY, 12, "a", [], "")[2]


@pytest.mark.parametrize(("others", "said"), [(0, "Look in Airflow whether the DAG is paused"), (1, "An earlier run of the DAG")])
def test_a_run_that_is_missing_is_as_loud_as_a_failure(others: int, said: str) -> None:
    level, title, text = missing_message(MONDAY, 12, others, "https://here")

    assert level is AlertLevel.FAILURE
    assert title == "No verdict: the weekly run of 2026-11-23 06:00 UTC never started"
    assert said in text
    assert text.endswith("DAG: https://here")
