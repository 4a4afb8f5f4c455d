"""What a task may ask Airflow about DAG runs, its own and others."""

import logging
from datetime import date
from typing import Any, NoReturn

from airflow.sdk import get_current_context
from airflow.sdk.exceptions import AirflowSkipException
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

log = logging.getLogger(__name__)

UNFINISHED = ["queued", "running"]


def is_unfinished(dag_id: str, run_id: str) -> bool:
    """Whether a DAG run is queued or running. A run that was deleted, or never was, is not."""
    return RuntimeTaskInstance.get_dr_count(dag_id=dag_id, run_ids=[run_id], states=UNFINISHED) > 0


def run_state(dag_id: str, run_id: str) -> str | None:
    """The state of a DAG run; nothing when there is none of that id."""
    if not RuntimeTaskInstance.get_dr_count(dag_id=dag_id, run_ids=[run_id]):
        return None
    return getattr(state := RuntimeTaskInstance.get_dagrun_state(dag_id=dag_id, run_id=run_id), "value", state)


def task_states(dag_id: str, run_id: str, task_ids: list[str]) -> dict[str, str]:
    """The states of tasks, not mapped ones, in a run, as far as they have one."""
    states = RuntimeTaskInstance.get_task_states(dag_id=dag_id, run_ids=[run_id], task_ids=task_ids).get(run_id, {})
    return {task_id: str(state) for task_id, state in states.items()}


def has_succeeded(dag_id: str, run_id: str, task_id: str) -> bool:
    """Whether a task, not a mapped one, is green in a run."""
    return task_states(dag_id, run_id, [task_id]).get(task_id) == "success"


def run_day() -> date:
    """The UTC day in file names. A run started by hand may have no logical date, but always a `run_after`."""
    return get_current_context()["dag_run"].run_after.date()


def series_of(ti: Any, retries: int | None) -> int:
    """0 until a task is cleared, then how often it had been tried: clearing sets max_tries to its tries plus its retries."""
    return max(0, (ti.max_tries or 0) - (retries or 0))


def skip(reason: str) -> NoReturn:
    """
    Skip the task and say why; Airflow itself logs only that it was skipped.

    :raises AirflowSkipException: always.
    """
    log.warning("Skipped: %s", reason)
    raise AirflowSkipException(reason)


def skip_dry_run(dry_run: Any) -> None:
    """
    Skip a task that looks for what was sent, when the run sends nothing.

    :raises AirflowSkipException: it does.
    """
    if str(dry_run) == "True":
        skip("Dry run: nothing was sent, so there is nothing to look for.")
