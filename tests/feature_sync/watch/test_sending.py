"""When a backfill is late by its own estimate, and what people are told."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from feature_sync.config.problems import RunConfigError
from feature_sync.config.settings import AlertLevel
from feature_sync.forecast.duration import estimate_seconds
from feature_sync.watch.sending import Expectation, expect_end, late_message, look_at

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
EXPECTED = Expectation("manual__1", "plan_batches", 26, NOON)


def test_the_estimate_is_the_one_of_the_form() -> None:
    expected = expect_end("manual__1", "plan_batches", 26, 150, NOON)

    assert expected.ends_at == NOON + timedelta(seconds=estimate_seconds(26, 150))
    assert (expected.run_id, expected.planned_by, expected.batches) == ("manual__1", "plan_batches", 26)


@pytest.mark.parametrize(
    ("hours", "late"),
    [
        pytest.param(1, timedelta(minutes=30), id="a-short-run-may-have-one-long-census-run"),
        pytest.param(2, timedelta(minutes=30), id="both-are-equal"),
        pytest.param(54, timedelta(hours=13.5), id="a-long-run-a-quarter-more"),
    ],
)
def test_it_is_looked_at_after_a_tolerance(hours: int, late: timedelta) -> None:
    ends_at = NOON + timedelta(hours=hours)

    assert look_at(Expectation("a", "plan_batches", 26, ends_at), NOON, 1800) == ends_at + late


@pytest.mark.parametrize(("plan", "sends"), [("plan_batches", "batch.send"), ("plan_probes", "probe.send")])
def test_each_plan_has_the_task_that_sends_it(plan: str, sends: str) -> None:
    assert Expectation("a", plan, 3, NOON).sent_by == sends


def test_it_comes_back_from_a_config() -> None:
    assert Expectation.from_conf(EXPECTED.as_conf()) == EXPECTED


@pytest.mark.parametrize(
    "wrong", [{"planned_by": "validate"}, {"batches": "26"}, {"run_id": 1}, {"ends_at": None}, {"dry_run": True}], ids=str
)
def test_a_config_that_no_backfill_has_written_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(RunConfigError, match="No backfill has written the config"):
        Expectation.from_conf(EXPECTED.as_conf() | wrong)


def test_the_message_says_how_far_it_is_and_where_to_look() -> None:
    level, title, text = late_message(EXPECTED, 11, 2, "https://here")

    assert level is AlertLevel.WARNING
    assert title == "Later than estimated: a backfill has ended 11 of 26 batches"
    assert "Run: manual__1" in text
    assert "should have ended at 2026-11-23 12:00 UTC" in text
    assert "11 of 26 batches ended so far. 2 of them failed" in text
    assert text.endswith("Progress: https://here")


def test_it_speaks_of_no_failure_if_there_was_none() -> None:
    assert "failed" not in late_message(EXPECTED, 11, 0, "")[2]
