"""What a task may ask Airflow about DAG runs and tasks. The only module that imports Airflow's private task runner."""

import logging
from collections.abc import Mapping
from datetime import date
from typing import Any, NoReturn

from airflow.sdk import get_current_context
from airflow.sdk.exceptions import AirflowSkipException
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

from feature_sync.config.asked import run_problems
from feature_sync.config.problems import RunConfigError

log = logging.getLogger(__name__)

UNFINISHED = ["queued", "running"]
"""States of a DAG run that has not ended."""
FINISHED = frozenset({"success", "failed", "upstream_failed", "skipped", "removed"})
"""States of a task that has ended."""


def is_unfinished(dag_id: str, run_id: str) -> bool:
    """Whether a DAG run is queued or running. A run that was deleted, or never existed, is not."""
    return RuntimeTaskInstance.get_dr_count(dag_id=dag_id, run_ids=[run_id], states=UNFINISHED) > 0


def run_state(dag_id: str, run_id: str) -> str | None:
    """The state of a DAG run, or None if there is no run with this id."""
    if not RuntimeTaskInstance.get_dr_count(dag_id=dag_id, run_ids=[run_id]):
        return None
    return getattr(state := RuntimeTaskInstance.get_dagrun_state(dag_id=dag_id, run_id=run_id), "value", state)


def task_states(dag_id: str, run_id: str, **task_ids: str) -> dict[str, str | None]:
    """
    The states of tasks in a run, by the names that the caller gives them.

    :param task_ids: for each name a task that is not mapped, such as ``healing="heal"``.
    :returns: for each name the task's state, or None if it has none yet.
    """
    found = RuntimeTaskInstance.get_task_states(dag_id=dag_id, run_ids=[run_id], task_ids=[*task_ids.values()])
    states = found.get(run_id, {})
    return {name: None if (state := states.get(task_id)) is None else str(state) for name, task_id in task_ids.items()}


def has_succeeded(dag_id: str, run_id: str, task_id: str) -> bool:
    """Whether a task that is not mapped is green in a run."""
    return task_states(dag_id, run_id, task=task_id)["task"] == "success"


def count_unfinished(dag_id: str, run_id: str, task_id: str, below: int) -> int:
    """How many instances of a mapped task with an index lower than ``below`` have not ended. Tasks and triggers may ask."""
    states = RuntimeTaskInstance.get_task_states(dag_id=dag_id, run_ids=[run_id], task_ids=[task_id]).get(run_id, {})
    return sum(states.get(f"{task_id}_{index}") not in FINISHED for index in range(below))


def asked_params() -> dict[str, Any]:
    """
    The params of the run, after a proof that they are what was asked for.

    :raises RunConfigError: they are not, or a run of this type makes no sense.
    """
    params = dict(get_current_context()["params"])
    _refuse_run(params)
    return params


def refuse_config() -> None:
    """
    For a DAG without params: prove that nothing else was asked for.

    :raises RunConfigError: the run has a config, or a run of this type makes no sense.
    """
    _refuse_run({})


def skip_if_refused(refused_by: str) -> None:
    """
    For a task beside the one that refuses a run: do nothing in a run that is refused. One failure and one alert are enough.

    :param refused_by: the task that calls `refuse_config`.
    :raises AirflowSkipException: the run is refused.
    """
    try:
        refuse_config()
    except RunConfigError:
        skip(f"This run is refused; {refused_by} says why.")


def _refuse_run(params: Mapping[str, Any]) -> None:
    run = get_current_context()["dag_run"]
    # What an earlier Airflow does not know of a run, nobody can have asked for.
    asked = {name: getattr(run, name, None) for name in ("partition_key", "logical_date", "run_after")}
    if problems := run_problems(params, run.conf or {}, getattr(run.run_type, "value", run.run_type), **asked):
        raise RunConfigError(problems)


def run_day() -> date:
    """The UTC day for file names. A run that a person started may have no logical date, but it always has a `run_after`."""
    return get_current_context()["dag_run"].run_after.date()


def generation_of(ti: Any, retries: int | None) -> int:
    """
    The generation of a task's tries, see `feature_sync.sending.batches.Attempt`.

    Clearing a task sets its max_tries to the tries made so far plus its retries.
    """
    return max(0, (ti.max_tries or 0) - (retries or 0))


def skip(reason: str) -> NoReturn:
    """
    Skip the task and log the reason. Airflow itself logs only that the task was skipped.

    :raises AirflowSkipException: always.
    """
    log.warning("Skipped: %s", reason)
    raise AirflowSkipException(reason)


def skip_dry_run(dry_run: Any) -> None:
    """
    Skip a task that checks what was sent, if the run sends nothing.

    :param dry_run: the run's parameter ``dry_run``, as rendered by a template.
    :raises AirflowSkipException: the run is a dry run.
    """
    if str(dry_run) == "True":
        skip("Dry run: nothing was sent, so there is nothing to check.")
