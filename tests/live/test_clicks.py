"""Whatever a person clicks, a green run says the truth: a handful of fixed courses. ``make clicks`` clicks at random."""

import random
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta

import pytest

from tests.live.clicks import Campaign
from tests.live.courses import TASKS, Action, Click, Course, Kind, long_plan
from tests.live.greens import Deployed, assert_judged_last
from tests.live.invariants import CensusRun
from tests.live.runs import LiveAirflow

pytestmark = [pytest.mark.live, pytest.mark.timeout(900)]
STOP = (
    Click("batch.send[1]", False, Action.MARK, "batch.send[1]", "failed"),
    Click("batch.send[1]", True, Action.MARK_RUN, state="failed"),
)
"""The runbook's way to stop."""
GO_ON = Click("run", True, Action.CLEAR, "batch.wait_for_turn", options=("downstream",))
LAST_BATCH = Click("run", True, Action.CLEAR, "batch.wait_for_turn[2]", options=("downstream",))
"""The runbook's ways to go on: with all batches, and with one that was skipped."""
ONLY_FAILED = Click("run", True, Action.CLEAR_RUN, options=("only failed",))
VALIDATE = Click("run", True, Action.CLEAR, "validate", options=("downstream",))
SEND_AGAIN = Click("run", True, Action.CLEAR, "batch.send[0]")


@pytest.fixture
def campaign(live: LiveAirflow) -> Campaign:
    live.settings(census_work_seconds=1.5)
    return Campaign(live, Deployed.of(live), "", first_record=900)


def test_a_run_that_was_stopped_is_green_when_it_goes_on_as_a_whole_and_not_by_halves(campaign: Campaign) -> None:
    ended = campaign.carry_out(Course(Kind.BATCHED, (*STOP, ONLY_FAILED, LAST_BATCH, SEND_AGAIN, VALIDATE)))

    stopped, halves, whole, again = ended.before
    assert (stopped[0], halves[0], whole[0], again[0], ended.state) == ("failed", "failed", "success", "failed", "success")
    assert "No verdict: validate has not come to a result by itself" in halves[1]
    assert "batch.send" in halves[1]
    assert "batch.send[0] ran after validate had begun" in again[1]
    assert whole[1] == ended.note == "Verdict: 0 of 6 properties differ. 3 batches, 6 records sent."
    assert ended.lie is None


def test_nobody_makes_a_run_green_by_marking_it_while_it_sends_nor_with_the_verdict_of_the_try_before(campaign: Campaign) -> None:
    """Airflow keeps the XComs and the dates of the try before, so a verdict that is marked early looks like one."""
    campaign.live.settings(census_work_seconds=6)  # batch.send[1] is still at work when the click arrives, on busy cores too
    marked_run = Click("batch.send[1]", False, Action.MARK_RUN, state="success")
    again = Click("run", True, Action.CLEAR, "batch.send[0]", options=("downstream",))
    marked_verdict = Click("batch.send[0]", False, Action.MARK, "validate", "success")

    ended = campaign.carry_out(Course(Kind.BATCHED, (marked_run, GO_ON, again, marked_verdict)))

    marked, whole = ended.before
    assert (marked[0], whole[0], ended.state) == ("failed", "success", "failed")
    # Marking a run marks what has not begun either.
    assert (
        "No verdict: batch.send[1], batch.send[2] did not succeed by themselves. Somebody marked them as a success" in marked[1]
    )
    assert "validate did not succeed by itself" in ended.note


def test_nor_by_marking_a_verdict_that_was_no(campaign: Campaign) -> None:
    marked = Click("run", True, Action.MARK, "validate", "success")
    ended = campaign.carry_out(Course(Kind.BATCHED, (marked, Click("run", True, Action.MARK_RUN, state="queued")), rejects=True))

    assert ended.state == "failed"
    assert "validate did not succeed by itself" in ended.note


def test_a_paused_run_goes_on_and_nothing_is_sent_twice(campaign: Campaign) -> None:
    pause = Click("batch.send[0]", False, Action.PAUSE)
    ended = campaign.carry_out(Course(Kind.BATCHED, (pause, Click("batch.send[0]", True, Action.UNPAUSE))))

    assert (ended.state, ended.lie) == ("success", None)
    assert ended.sends == [1, 1, 1]


@pytest.mark.parametrize("late", [True, False])
def test_a_batch_that_was_sent_behind_the_verdict_is_found(late: bool) -> None:
    checked_at = datetime(2025, 11, 21, 12, tzinfo=UTC)
    ended_at = checked_at + timedelta(seconds=1 if late else -1)
    run = CensusRun(7, 1, 2, ended_at - timedelta(seconds=5), ended_at, "completed", "", frozenset({"1"}))

    with pytest.raises(AssertionError, match=r"Census runs \[7\] ended after the verdict") if late else nullcontext():
        assert_judged_last([run], {"checked_at": checked_at.isoformat()})


def test_the_long_form_clicks_at_every_kind_of_run_at_least_40_times_and_with_everything_that_can_be_clicked() -> None:
    for seed in range(30):
        plan = long_plan(random.Random(seed))  # noqa: S311

        assert len(plan) >= 40
        assert {course.kind for course in plan} == set(Kind)
        assert {click.action for course in plan for click in course.clicks} == set(Action)
        assert all(1 <= len(course.clicks) <= 5 for course in plan)


def test_the_same_seed_gives_the_same_clicks() -> None:
    assert long_plan(random.Random(5)) == long_plan(random.Random(5))  # noqa: S311
    assert long_plan(random.Random(5)) != long_plan(random.Random(6))  # noqa: S311


def test_every_kind_names_tasks_to_click_at() -> None:
    assert set(TASKS) == set(Kind)
