"""The task that looks whether a run is late, and how a backfill asks for such a look."""

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, Variable, get_current_context

from feature_sync.config.names import BACKFILL_DAG_ID, RECONCILIATION_DAG_ID, WATCH_DAG_ID
from feature_sync.config.settings import load_settings
from feature_sync.config.wording import count_of
from feature_sync.orchestration import channel
from feature_sync.orchestration.dag_runs import (
    ENDED,
    FINISHED,
    UNFINISHED,
    asked_params,
    busy_tasks,
    config_of_starter,
    count_tasks,
    count_unfinished,
    is_unfinished,
    run_since,
    start_run,
    usable_run_id,
    xcom_of,
)
from feature_sync.orchestration.progress import EXPECTED, note_progress
from feature_sync.orchestration.questions import TIME
from feature_sync.watch.sending import Expectation, expect_end, late_message, look_at
from feature_sync.watch.weekly import Week, goes_on_message, judge, last_tick, missing_message, recall

if TYPE_CHECKING:
    from airflow.sdk import Context

log = logging.getLogger(__name__)

LATE = (Week.GOES_ON, Week.MISSING)
MEMORY = "feature_sync_watch"
"""The Airflow variable in which the watch keeps `feature_sync.watch.weekly.Memory`."""


class WatchOperator(BaseOperator):
    """
    Looks at the backfill that has asked for it, or else at the weekly run, and sends one message if it is late.

    It asks Airflow alone. Its result says in a sentence what it saw.
    """

    def execute(self, context: "Context") -> str:  # noqa: ARG002 - Airflow's signature
        conf = config_of_starter()
        now = datetime.now(UTC)
        seen = look_at_sending(Expectation.from_conf(conf)) if conf else look_at_week(now)
        self.log.info("%s", seen)
        return seen


def look_at_week(now: datetime) -> str:
    """Tell people if the last weekly run that should have ended has not. :returns: what was seen."""
    settings = load_settings()
    kept = Variable.get(MEMORY, default=None)
    memory = recall(kept, settings.reconciliation_schedule, now)
    hours = settings.weekly_verdict_hours
    tick = last_tick(memory.schedule, now, hours)
    going = run_since(RECONCILIATION_DAG_ID, tick, now, UNFINISHED)
    week = judge(tick, memory, ended=run_since(RECONCILIATION_DAG_ID, tick, now, ENDED), going=going)
    seen = f"The weekly run of {tick:{TIME}} {week}"
    if week in LATE and not hours:
        seen += "; nobody is told, because WEEKLY_VERDICT_HOURS is 0"
    elif week in LATE and not memory.is_due(tick, now):
        seen += f"; people were told at {memory.told_at}"
    elif week in LATE and channel.deliver(*_week_message(tick, hours, going)):
        memory = memory.told(tick, now)
    if memory.as_text != kept:
        Variable.set(MEMORY, memory.as_text, description="What DAG feature_sync_watch has seen, and told people.")
    return f"{seen}."


def _week_message(tick: datetime, hours: int, going: str | None) -> Any:
    if going:
        link = channel.page("dags", RECONCILIATION_DAG_ID, "runs", going)
        return goes_on_message(tick, hours, going, busy_tasks(RECONCILIATION_DAG_ID, going), link)
    return missing_message(tick, hours, count_unfinished(RECONCILIATION_DAG_ID), channel.page("dags", RECONCILIATION_DAG_ID))


def look_at_sending(expected: Expectation) -> str:
    """Tell people if a backfill has not sent its batches. :returns: what was seen."""
    run_id = expected.run_id
    if not is_unfinished(BACKFILL_DAG_ID, run_id):
        return f"Run {run_id} has ended, or somebody deleted it."
    if xcom_of(BACKFILL_DAG_ID, run_id, expected.planned_by, EXPECTED) != expected.as_conf():
        return f"Run {run_id} has planned its batches again. Another look at it follows."
    ended = count_tasks(BACKFILL_DAG_ID, run_id, expected.sent_by, FINISHED)
    if ended >= expected.batches:
        return f"Each batch of run {run_id} has ended. What it waits for now has a limit of its own."
    failed = count_tasks(BACKFILL_DAG_ID, run_id, expected.sent_by, ["failed", "upstream_failed"])
    channel.deliver(*late_message(expected, ended, failed, channel.progress_page(BACKFILL_DAG_ID, run_id)))
    return f"Run {run_id} is late: {ended:,} of {count_of(expected.batches, 'batch')} ended."


def watch_sending(batches: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """
    For a task that has planned batches: have somebody look whether they are late. Nothing in here is a reason to fail.

    It starts a run of feature_sync_watch that waits in Airflow until then. None, if there is no batch, or messages are off.

    :returns: the batches.
    """
    try:
        if batches and channel.is_on():
            _ask_for_a_look(len(batches))
    except Exception as error:  # whatever Airflow's client raises
        log.warning("Nobody will be told if this run is late: %s could not be started (%s)", WATCH_DAG_ID, error)
    return batches


def _ask_for_a_look(batches: int) -> None:
    ti, now = get_current_context()["ti"], datetime.now(UTC)
    expected = expect_end(ti.run_id, ti.task_id, batches, asked_params()["wait_seconds"], now)
    # If this task is cleared, its next try leaves another note. So a look that an earlier try has asked for finds nothing to do.
    note_progress(ti, EXPECTED, expected.as_conf())
    run_after = look_at(expected, now, load_settings().census_run_limit_seconds)
    # Each try has an id of its own, so a try never finds the run of another one.
    start_run(WATCH_DAG_ID, usable_run_id(f"late__{ti.id}"), expected.as_conf(), run_after)
    log.info("By its own estimate, this run will have sent its batches at %s", f"{expected.ends_at:{TIME}}")
    log.info("If it has not at %s, a run of %s tells people", f"{run_after:{TIME}}", WATCH_DAG_ID)
