"""Whatever a person clicks, a green run says the truth: a handful of fixed courses. ``make clicks`` clicks at random."""

import random

import pytest

from tests.live.clicks import TASKS, Action, Campaign, Click, Course, Kind, long_plan
from tests.live.greens import Deployed
from tests.live.runs import LiveAirflow

pytestmark = [pytest.mark.live, pytest.mark.timeout(900)]
STOP = (
    Click("batch.send[1]", False, Action.MARK, "batch.send[1]", "failed"),
    Click("batch.send[1]", True, Action.MARK_RUN, state="failed"),
)
"""The runbook's way to stop."""
GO_ON = Click("run", True, Action.CLEAR, "batch.wait_for_turn", options=("downstream",))
"""The runbook's way to go on."""
ONLY_FAILED = Click("run", True, Action.CLEAR_RUN, options=("only failed",))
VALIDATE = Click("run", True, Action.CLEAR, "validate", options=("downstream",))
SEND_AGAIN = Click("run", True, Action.CLEAR, "batch.send[0]")


@pytest.fixture
def campaign(live: LiveAirflow) -> Campaign:
    live.settings(census_work_seconds=1.5)
    return Campaign(live, Deployed.of(live), "", first_record=900)


def test_a_run_that_was_stopped_and_cleared_by_halves_is_red_until_it_goes_on_as_a_whole(campaign: Campaign) -> None:
    halves = campaign.carry_out(Course(Kind.BATCHED, (*STOP, ONLY_FAILED)))
    whole = campaign.carry_out(Course(Kind.BATCHED, (*STOP, ONLY_FAILED, GO_ON)))

    assert (halves.state, whole.state) == ("failed", "success")
    assert "No verdict: validate has not come to a result by itself" in halves.note
    assert "batch.wait_for_turn" in halves.note
    assert whole.note == ""
    assert campaign.lies == []


def test_a_paused_run_goes_on_and_nothing_is_sent_twice(campaign: Campaign) -> None:
    pause = Click("batch.send[0]", False, Action.PAUSE)
    ended = campaign.carry_out(Course(Kind.BATCHED, (pause, Click("batch.send[0]", True, Action.UNPAUSE, after=3))))

    assert ended.state == "success"
    assert ended.lie is None
    assert ended.sends == [1, 1, 1]


def test_nobody_makes_a_run_green_by_marking_it_while_it_sends(campaign: Campaign) -> None:
    ended = campaign.carry_out(Course(Kind.BATCHED, (Click("batch.send[1]", False, Action.MARK_RUN, state="success"),)))

    assert ended.state == "failed"
    assert "batch.send[1] did not succeed by itself. Somebody marked it as a success" in ended.note


def test_nor_by_marking_a_verdict_that_was_no(campaign: Campaign) -> None:
    marked = Click("run", True, Action.MARK, "validate", "success")
    ended = campaign.carry_out(Course(Kind.BATCHED, (marked, Click("run", True, Action.MARK_RUN, state="queued")), rejects=True))

    assert ended.state == "failed"
    assert "validate did not succeed by itself" in ended.note


def test_a_batch_that_is_sent_again_needs_a_new_verdict(campaign: Campaign) -> None:
    old = campaign.carry_out(Course(Kind.BATCHED, (SEND_AGAIN,)))
    new = campaign.carry_out(Course(Kind.BATCHED, (SEND_AGAIN, VALIDATE)))

    assert old.state == "failed"
    assert "batch.send[0] ran after validate had begun" in old.note
    assert (new.state, new.note, new.lie) == ("success", "", None)


def test_a_verdict_that_was_marked_before_it_began_is_not_the_one_of_the_try_before(campaign: Campaign) -> None:
    """Airflow keeps the XComs and the dates of the try before."""
    again = Click("run", True, Action.CLEAR, "batch.send[0]", options=("downstream",))
    marked = Click("batch.send[0]", False, Action.MARK, "validate", "success")

    ended = campaign.carry_out(Course(Kind.BATCHED, (again, marked)))

    assert ended.state == "failed"
    assert "validate did not succeed by itself" in ended.note


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
