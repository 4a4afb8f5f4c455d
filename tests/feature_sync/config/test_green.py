"""No run is green without a verdict that was given by itself, after everything that it speaks about."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from feature_sync.config.green import MAX_NOTE, NO_VERDICT, RULES, TaskFacts, noted, why_not_green
from feature_sync.config.names import (
    ACCEPT_DAG_ID,
    BACKFILL_DAG_ID,
    DAG_IDS,
    DEPLOY_DAG_ID,
    RECONCILIATION_DAG_ID,
    VERIFY_DAG_ID,
    WATCH_DAG_ID,
)

START = datetime(2025, 11, 21, 12, tzinfo=UTC)
ITSELF = "has not come to a result by itself"


def at(minute: float) -> datetime:
    return START + timedelta(minutes=minute)


def ended(minute: float = 0, state: str = "success", index: int = -1) -> TaskFacts:
    """A task that began at this minute and came to its end a minute later."""
    return TaskFacts(state, index, began_at=at(minute), ended_by_itself=True, last_at=at(minute + 1))


def stopped(minute: float, state: str, index: int = -1) -> TaskFacts:
    """A task that began at this minute; then a person marked it, or it failed."""
    return TaskFacts(state, index, began_at=at(minute), last_at=at(minute))


def cleared(state: str | None, last: float | None = None, index: int = -1) -> TaskFacts:
    """A task that has not begun since it was cleared, or never began; then its state was set. ``last``: of its earlier tries."""
    return TaskFacts(state, index, last_at=None if last is None else at(last))


SENT = [ended(1, index=0), ended(2, index=1)]
NEVER_SENT = [cleared("skipped")]
"""Airflow skips a mapped task that is mapped over an empty list."""


def backfill(is_dry_run: bool = False, planned: int = 0, **tasks: Any) -> str | None:
    named = {name.replace("__", "."): found for name, found in tasks.items()}
    return why_not_green(BACKFILL_DAG_ID, named, is_dry_run=is_dry_run, planned={"plan_batches": planned})


def test_each_dag_has_a_rule() -> None:
    assert set(RULES) == DAG_IDS


def test_a_run_whose_verdict_came_last_is_green() -> None:
    assert backfill(batch__send=SENT, probe__send=NEVER_SENT, validate=[ended(4)], planned=2) is None


def test_so_is_a_run_that_had_nothing_to_send() -> None:
    assert backfill(batch__send=NEVER_SENT, validate=[ended(4)]) is None


@pytest.mark.parametrize(
    "verdict",
    [[], [cleared("skipped")], [ended(4, "skipped")], [cleared(None, 5)], [stopped(4, "failed")], [stopped(4, "skipped")]],
    ids=["deleted", "never ran", "skipped itself", "cleared", "marked as failed", "marked as skipped"],
)
def test_a_run_without_a_verdict_is_not(verdict: list[TaskFacts]) -> None:
    reason = str(backfill(batch__send=SENT, validate=verdict))

    assert f"{NO_VERDICT} validate {ITSELF}" in reason
    assert "Clear the first task that was stopped or skipped, with its downstream tasks. It is one of validate." in reason


def test_what_was_stopped_is_named_and_what_had_nothing_to_do_is_not() -> None:
    reason = str(
        backfill(
            batch__wait_for_turn=[ended(1, index=0), cleared("skipped", index=1)],
            batch__send=[ended(1, index=0), cleared("skipped", index=1)],
            probe__wait_for_turn=NEVER_SENT,
            probe__send=NEVER_SENT,
            wait_for_copy=[cleared("skipped")],
            validate=[cleared("skipped")],
        )
    )

    assert "It is one of batch.send, batch.wait_for_turn, validate, wait_for_copy." in reason


@pytest.mark.parametrize(
    "task_id",
    ["validate", "freeze_payload", "check_payload", "approve_mass_disable", "check_pilot", "approve_pilot", "confirm_flow_on"],
)
@pytest.mark.parametrize("marked", [stopped(4, "success"), cleared("success", 5), cleared("success")], ids=str)
def test_no_task_that_somebody_marked_as_a_success_counts(task_id: str, marked: TaskFacts) -> None:
    tasks = {"batch.send": SENT, "validate": [ended(4)], task_id: [marked]}

    reason = str(why_not_green(BACKFILL_DAG_ID, tasks))

    assert f"{NO_VERDICT} {task_id} did not succeed by itself. Somebody marked it as a success" in reason


def test_a_batch_that_was_marked_is_named() -> None:
    reason = str(backfill(batch__send=[ended(1, index=0), stopped(2, "success", index=1)], validate=[ended(4)]))

    assert "batch.send[1] did not succeed by itself" in reason


def test_so_are_several_of_them() -> None:
    marked = [stopped(2, "success", index=1), stopped(3, "success", index=2)]
    reason = str(backfill(batch__send=[ended(1, index=0), *marked], validate=[ended(4)]))

    assert "batch.send[1], batch.send[2] did not succeed by themselves. Somebody marked them as a success" in reason
    assert reason.endswith("Clear them with their downstream tasks.")


def test_a_task_that_only_waits_may_be_marked() -> None:
    waits = {"wait_for_copy": [stopped(3, "success")], "batch__wait_for_turn": [cleared("success", index=0)]}

    assert backfill(batch__send=SENT, validate=[ended(4)], **waits) is None


@pytest.mark.parametrize("sent_by", ["batch__send", "probe__send"])
@pytest.mark.parametrize(
    "again",
    [ended(9, index=2), cleared("skipped", 9, index=2), cleared("removed", 9, index=2), ended(3.5, index=2)],
    ids=["sent again", "sent again, then cleared and skipped", "sent again, then removed", "sent meanwhile"],
)
def test_a_batch_that_was_sent_after_the_verdict_had_begun_has_none(sent_by: str, again: TaskFacts) -> None:
    reason = str(backfill(**{sent_by: [*SENT, again]}, validate=[ended(4)]))

    assert "[2] ran after validate had begun, so what it changed was not checked. Clear validate" in reason


def test_a_batch_that_was_cleared_and_not_sent_again_leaves_the_verdict_as_it_is() -> None:
    assert backfill(batch__send=[*SENT, cleared("skipped", 3, index=2)], validate=[ended(4)]) is None


@pytest.mark.parametrize("state", ["failed", "skipped", "upstream_failed"])
def test_a_batch_that_was_interrupted_may_have_gone_on_behind_the_verdict(state: str) -> None:
    reason = str(backfill(batch__send=[*SENT, stopped(3, state, index=2)], validate=[ended(4)]))

    assert "batch.send[2] began and did not come to its end, so nobody knows what it did" in reason


def test_a_batch_that_was_deleted_is_missed() -> None:
    reason = str(backfill(batch__send=SENT, validate=[ended(4)], planned=3))

    assert "1 of the instances of batch.send were deleted" in reason


def test_a_dry_run_is_green_if_it_came_to_its_plan() -> None:
    skipped = ended(2, "skipped")

    assert backfill(is_dry_run=True, plan_batches=[ended()], validate=[skipped]) is None
    assert f"plan_batches {ITSELF}" in str(backfill(is_dry_run=True, plan_batches=[cleared("skipped")], validate=[skipped]))
    assert f"validate {ITSELF}" in str(backfill(plan_batches=[ended()], validate=[skipped]))


def test_a_run_that_has_planned_a_batch_is_no_dry_run_whatever_it_was_asked_for() -> None:
    """An upgrade may change what Airflow fills in for a run that did not say."""
    skipped = ended(4, "skipped")

    reason = backfill(is_dry_run=True, planned=2, plan_batches=[ended()], batch__send=SENT, validate=[skipped])

    assert f"validate {ITSELF}" in str(reason)


@pytest.mark.parametrize(
    "answer", [[], [ended(5, "skipped")], [stopped(5, "skipped")], [cleared("skipped")], [ended(0)]], ids=str
)
def test_a_run_whose_flow_was_switched_off_needs_to_hear_that_it_is_on_again(answer: list[TaskFacts]) -> None:
    run = {"batch__send": SENT, "validate": [ended(4)], "confirm_flow_off": [ended(0)]}

    assert backfill(**run, confirm_flow_on=answer) is not None
    assert backfill(**run, confirm_flow_on=[ended(5)]) is None
    assert backfill(**{**run, "confirm_flow_off": [ended(0, "skipped")]}, confirm_flow_on=[ended(5, "skipped")]) is None


WEEK = {
    "wait_for_copy": [stopped(0, "success")],
    "compare": [ended(1)],
    "approve_healing": [ended(2, "skipped")],
    "heal": [ended(3, "skipped")],
    "conclude": [ended(5)],
    "check_source_query": [ended(9)],
    "remove_old_payloads": [ended(0)],
}


def test_a_week_is_green_with_both_of_its_verdicts() -> None:
    assert why_not_green(RECONCILIATION_DAG_ID, WEEK) is None


@pytest.mark.parametrize("lacking", ["conclude", "check_source_query"])
def test_a_week_without_one_of_them_is_not(lacking: str) -> None:
    assert f"{lacking} {ITSELF}" in str(why_not_green(RECONCILIATION_DAG_ID, {**WEEK, lacking: [cleared("skipped")]}))


@pytest.mark.parametrize("task_id", ["compare", "heal"])
def test_nor_is_a_week_that_compared_or_healed_again_after_its_verdict(task_id: str) -> None:
    reason = str(why_not_green(RECONCILIATION_DAG_ID, {**WEEK, task_id: [ended(7)]}))

    assert f"{task_id} ran after conclude had begun" in reason


DEPLOYED = {
    "compare_query": [ended(0)],
    "approve": [ended(1)],
    "deploy_query": [ended(2)],
    "deploy_mappings": [ended(4)],
}
NOTHING_TO_DEPLOY = {
    "compare_query": [ended(0)],
    "approve": [ended(2, "skipped")],
    "deploy_query": [cleared("skipped")],
    "deploy_mappings": [cleared("skipped")],
}


def test_a_deployment_is_green_if_both_parts_are_deployed_or_nothing_was_to_be() -> None:
    assert why_not_green(DEPLOY_DAG_ID, DEPLOYED) is None
    assert why_not_green(DEPLOY_DAG_ID, NOTHING_TO_DEPLOY) is None


@pytest.mark.parametrize(
    ("run", "said"),
    [
        ({**NOTHING_TO_DEPLOY, "approve": [cleared("skipped")]}, f"approve {ITSELF}"),
        ({**NOTHING_TO_DEPLOY, "approve": [stopped(1, "skipped")]}, f"approve {ITSELF}"),
        ({**NOTHING_TO_DEPLOY, "compare_query": [ended(3)]}, "compare_query ran after approve had begun"),
        ({**NOTHING_TO_DEPLOY, "compare_query": [stopped(0, "success")]}, "compare_query did not succeed by itself"),
        ({**DEPLOYED, "approve": [stopped(1, "success")]}, "approve did not succeed by itself"),
        ({**DEPLOYED, "deploy_mappings": [cleared("skipped")]}, f"deploy_mappings {ITSELF}"),
        ({**DEPLOYED, "deploy_query": [ended(6)]}, "deploy_query ran after deploy_mappings had begun"),
    ],
)
def test_a_deployment_that_somebody_clicked_through_is_not(run: dict[str, list[TaskFacts]], said: str) -> None:
    assert said in str(why_not_green(DEPLOY_DAG_ID, run))


def test_an_acceptance_is_green_if_it_was_written() -> None:
    assert why_not_green(ACCEPT_DAG_ID, {"accept": [ended()]}) is None
    assert why_not_green(ACCEPT_DAG_ID, {"accept": [stopped(0, "success")]}) is not None
    assert why_not_green(ACCEPT_DAG_ID, {}) is not None


def test_a_look_of_the_watch_is_green_if_it_came_to_its_end() -> None:
    assert why_not_green(WATCH_DAG_ID, {"look": [ended()]}) is None
    assert why_not_green(WATCH_DAG_ID, {"look": [stopped(0, "success")]}) is not None


def test_a_verification_is_green_if_it_came_to_its_end() -> None:
    assert why_not_green(VERIFY_DAG_ID, {"verify": [ended()]}) is None
    assert why_not_green(VERIFY_DAG_ID, {"verify": [stopped(0, "success")]}) is not None


def test_other_dags_are_none_of_its_business() -> None:
    assert why_not_green("somebody_elses", {}) is None


class TestNote:
    def test_what_a_person_wrote_stays(self) -> None:
        assert noted("Asked by Ada.", f"{NO_VERDICT} one") == f"Asked by Ada.\n\n{NO_VERDICT} one"

    def test_a_newer_reason_takes_the_place_of_the_former_one(self) -> None:
        assert noted(f"Asked by Ada.\n\n{NO_VERDICT} one", f"{NO_VERDICT} two") == f"Asked by Ada.\n\n{NO_VERDICT} two"

    def test_a_run_that_is_green_after_all_has_none(self) -> None:
        assert noted(f"Asked by Ada.\n\n{NO_VERDICT} one", None) == "Asked by Ada."
        assert noted(f"{NO_VERDICT} one", None) is None
        assert noted(None, None) is None

    @pytest.mark.parametrize("length", [0, 500, 990, MAX_NOTE])
    def test_it_is_never_longer_than_the_database_allows(self, length: int) -> None:
        """In the scheduler, a note that is too long would end the transaction."""
        written = "x" * length

        found = str(noted(written, f"{NO_VERDICT} {'y' * 2000}"))

        assert len(found) <= MAX_NOTE
        assert found.startswith(written)
