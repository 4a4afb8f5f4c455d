"""No run is green without a verdict that was given after the last change."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from feature_sync.config.green import TaskFacts, why_not_green
from feature_sync.config.names import ACCEPT_DAG_ID, BACKFILL_DAG_ID, DEPLOY_DAG_ID, RECONCILIATION_DAG_ID

START = datetime(2025, 11, 21, 12, tzinfo=UTC)


def task(state: str | None = "success", after: int = 0, *, ran: bool = True, has_result: bool = True) -> TaskFacts:
    """A task that began ``after`` minutes and took one."""
    started = START + timedelta(minutes=after)
    return TaskFacts(state, ran, has_result, started if ran else None, started + timedelta(minutes=1) if ran else None)


SKIPPED_BY_A_CLICK = task("skipped", ran=False, has_result=False)
SKIPPED_ITSELF = task("skipped", has_result=False)
SENT = [task(after=1, has_result=False), task(after=2, has_result=False)]
MARKED = task("success", 4, has_result=False)


def backfill(is_dry_run: bool = False, **tasks: Any) -> str | None:
    return why_not_green(
        BACKFILL_DAG_ID, {name.replace("__", "."): found for name, found in tasks.items()}, is_dry_run=is_dry_run
    )


def test_a_run_whose_verdict_came_last_is_green() -> None:
    assert backfill(batch__send=SENT, validate=[task(after=4)]) is None


def test_so_is_a_run_that_had_nothing_to_send() -> None:
    assert backfill(batch__send=[SKIPPED_BY_A_CLICK], validate=[task(after=4)]) is None


@pytest.mark.parametrize("verdict", [SKIPPED_BY_A_CLICK, SKIPPED_ITSELF, MARKED, task(None, ran=False)], ids=str)
def test_a_run_without_a_verdict_is_not(verdict: TaskFacts) -> None:
    reason = backfill(batch__send=SENT, validate=[verdict])

    assert reason is not None
    assert reason.startswith("No verdict: validate has not succeeded by itself")


def test_a_run_that_lacks_the_task_is_not() -> None:
    assert backfill(batch__send=SENT) is not None


@pytest.mark.parametrize("sent_by", ["batch__send", "probe__send"])
def test_a_batch_that_was_sent_after_the_verdict_has_none(sent_by: str) -> None:
    reason = backfill(**{sent_by: [*SENT, task(after=9, has_result=False)]}, validate=[task(after=4)])

    assert reason is not None
    assert "ended after validate had begun, so what it changed was not checked" in reason


def test_a_dry_run_is_green_if_it_came_to_its_plan() -> None:
    assert backfill(is_dry_run=True, plan_batches=[task()], validate=[SKIPPED_ITSELF]) is None
    assert backfill(is_dry_run=True, plan_batches=[SKIPPED_BY_A_CLICK], validate=[SKIPPED_ITSELF]) is not None


@pytest.mark.parametrize("lacking", ["conclude", "check_source_query"])
def test_a_week_needs_both_of_its_verdicts(lacking: str) -> None:
    tasks = {"compare": [task()], "heal": [task("skipped")], "conclude": [task(after=2)], "check_source_query": [task()]}

    assert why_not_green(RECONCILIATION_DAG_ID, tasks, is_dry_run=False) is None
    assert lacking in str(why_not_green(RECONCILIATION_DAG_ID, {**tasks, lacking: [SKIPPED_BY_A_CLICK]}, is_dry_run=False))


def test_a_deployment_is_green_if_both_parts_are_deployed_or_nothing_was_to_be() -> None:
    asked = {"compare_query": [task()], "approve": [task()], "deploy_query": [task(after=1)], "deploy_mappings": [task(after=3)]}
    nothing = {
        **asked,
        "approve": [SKIPPED_ITSELF],
        "deploy_query": [SKIPPED_BY_A_CLICK],
        "deploy_mappings": [SKIPPED_BY_A_CLICK],
    }
    clicked = {**nothing, "approve": [SKIPPED_BY_A_CLICK]}

    assert why_not_green(DEPLOY_DAG_ID, asked, is_dry_run=False) is None
    assert why_not_green(DEPLOY_DAG_ID, nothing, is_dry_run=False) is None
    assert why_not_green(DEPLOY_DAG_ID, clicked, is_dry_run=False) is not None


def test_other_dags_are_none_of_its_business() -> None:
    assert why_not_green(ACCEPT_DAG_ID, {}, is_dry_run=False) is None
    assert why_not_green("somebody_elses", {}, is_dry_run=False) is None
