"""
What a task may ask Airflow about DAG runs and tasks. Only this module and `config.connections` import Airflow's private task
runner.
"""

import hashlib
import logging
import re
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, NoReturn
from uuid import UUID

from airflow.sdk import conf, get_current_context
from airflow.sdk.exceptions import AirflowRuntimeError, AirflowSkipException, ErrorType
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import CreateHITLDetailPayload, ErrorResponse, GetPreviousDagRun, TriggerDagRun
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
from airflow.sdk.execution_time.xcom import XCom

from feature_sync.config.asked import run_problems
from feature_sync.config.names import HEALING
from feature_sync.config.problems import RunConfigError
from feature_sync.config.run_config import MAX_RUN_ID
from feature_sync.orchestration.proofs import note_end
from feature_sync.report.facts import Origin

log = logging.getLogger(__name__)

UNFINISHED = ["queued", "running"]
"""States of a DAG run that has not ended."""
ENDED = ["success", "failed"]
"""States of a DAG run that has ended."""
LONG_AGO = datetime(1000, 1, 1, tzinfo=UTC)
SECONDS_OF_LONG_AGO = 700 * 365 * 24 * 3600
FINISHED = ("success", "failed", "upstream_failed", "skipped", "removed")
"""States of a task that has ended."""
MAX_GENERATIONS = 100
"""How often a weekly run may start a healing. A later one has to be approved by itself."""
BUSY = ("scheduled", "queued", "running", "restarting", "deferred", "awaiting_input", "up_for_retry", "up_for_reschedule")
"""States of a task that has begun, or is about to, and has not ended."""


def is_unfinished(dag_id: str, run_id: str) -> bool:
    """Whether a DAG run is queued or running. A run that was deleted, or never existed, is not."""
    return RuntimeTaskInstance.get_dr_count(dag_id=dag_id, run_ids=[run_id], states=UNFINISHED) > 0


def run_state(dag_id: str, run_id: str) -> str | None:
    """The state of a DAG run, or None if there is no run with this id."""
    # Airflow 3.3.2 would put the id unescaped into the address of the question for a state, but not into that for a number.
    for state in (*UNFINISHED, *ENDED):
        if RuntimeTaskInstance.get_dr_count(dag_id=dag_id, run_ids=[run_id], states=[state]):
            return state
    return None


def count_unfinished(dag_id: str) -> int:
    """How many runs of a DAG are queued or running."""
    return RuntimeTaskInstance.get_dr_count(dag_id=dag_id, states=UNFINISHED)


def run_since(dag_id: str, since: datetime, now: datetime, states: Sequence[str]) -> str | None:
    """
    The id of a run in one of these states whose logical date is not before a moment, or None.

    A run by the clock has its scheduled time as its logical date. One that a person starts has the time of its start, unless that
    person has chosen to give it none: such a run is not found.
    """
    for state in states:
        asked = GetPreviousDagRun(dag_id=dag_id, logical_date=now, state=state)
        run = getattr(task_runner.SUPERVISOR_COMMS.send(asked), "dag_run", None)
        if run is not None and run.logical_date >= since:
            return str(run.run_id)
    return None


def busy_tasks(dag_id: str, run_id: str) -> list[str]:
    """The tasks of a run that have begun, or are about to, and have not ended."""
    states = RuntimeTaskInstance.get_task_states(dag_id=dag_id, run_ids=[run_id]).get(run_id, {})
    return sorted(name for name, state in states.items() if state in BUSY)


def start_run(dag_id: str, run_id: str, conf: Mapping[str, Any], run_after: datetime | None = None) -> None:
    """
    Start a DAG run, unless there is one with this id already.

    :param run_after: when it may begin. Until then it is queued, and takes no slot of a worker.
    """
    answer = task_runner.SUPERVISOR_COMMS.send(TriggerDagRun(dag_id=dag_id, run_id=run_id, conf=dict(conf), run_after=run_after))
    if isinstance(answer, ErrorResponse) and answer.error is not ErrorType.DAGRUN_ALREADY_EXISTS:
        raise AirflowRuntimeError(answer)


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


def count_tasks(dag_id: str, run_id: str, task_id: str, states: Sequence[str]) -> int:
    """How many instances of a mapped task are in one of these states. Tasks and triggers may ask. Any number costs the same."""
    return RuntimeTaskInstance.get_ti_count(dag_id=dag_id, run_ids=[run_id], task_ids=[task_id], states=[*states])


def failed_tasks(dag_id: str, run_id: str, task_ids: Collection[str]) -> list[tuple[str, int]]:
    """
    The failed tasks of a run, each with its map index, or -1 if it is not mapped.

    :param task_ids: of the DAG. Airflow names a mapped task by its id, an underscore and its index.
    """
    states = RuntimeTaskInstance.get_task_states(dag_id=dag_id, run_ids=[run_id]).get(run_id, {})
    found = []
    for name in (name for name, state in states.items() if state == "failed"):
        mapped, _, index = name.rpartition("_")
        if name in task_ids:
            found.append((name, -1))
        elif mapped in task_ids and index.isdigit():
            found.append((mapped, int(index)))
    return found


def has_xcom(dag_id: str, run_id: str, task_id: str, key: str, map_index: int = -1) -> bool:
    """Whether a task has left an XCom of this key."""
    return xcom_of(dag_id, run_id, task_id, key, map_index) is not None


def xcom_of(dag_id: str, run_id: str, task_id: str, key: str, map_index: int = -1) -> Any:
    """What a task has left under a key, or None."""
    return XCom.get_one(key=key, dag_id=dag_id, task_id=task_id, run_id=run_id, map_index=map_index)


def xcoms_of(dag_id: str, run_id: str, task_id: str, key: str) -> list[Any]:
    """What all instances of a mapped task have left under a key."""
    return XCom.get_all(key=key, dag_id=dag_id, task_id=task_id, run_id=run_id) or []


def ask_person(
    ti_id: UUID, subject: str, body: str, options: Sequence[str], users: Sequence[str], *, form: Mapping[str, Any]
) -> tuple[str | None, Mapping[str, Any]]:
    """
    Show a question under "Required actions". An answer that was given to it before is thrown away.

    :param users: ids of the users who may answer. Empty: everybody who may edit the run.
    :param form: what the person types besides, each field as Airflow stores a param.
    :returns: the text and the form that Airflow shows. If the task has asked before, they are the former ones.
    """
    from airflow.sdk.execution_time.task_runner import SUPERVISOR_COMMS  # noqa: PLC0415 - it exists only in a task's process

    question = CreateHITLDetailPayload.model_validate(
        {
            "ti_id": ti_id,
            "options": list(options),
            "subject": subject,
            "body": body,
            "params": dict(form),
            "assigned_users": [{"id": user, "name": user} for user in users],
        }
    )
    shown = SUPERVISOR_COMMS.send(msg=question)
    return getattr(shown, "body", None), getattr(shown, "params", None) or {}


def starter_of(context: Mapping[str, Any]) -> tuple[str | None, bool]:
    """
    Who started the run of a task. A run that another run started has the starter of that one.

    :returns: the person's name, or None; and whether a person has started it of whom Airflow does not know the name.
    """
    run = context.get("dag_run")
    name = getattr(run, "triggering_user_name", None) or None
    return name, name is None and _type_of(run) == "manual"


def _type_of(run: Any) -> str | None:
    """Airflow's word for how a run was started."""
    run_type = getattr(run, "run_type", None)
    return None if run_type is None else str(getattr(run_type, "value", run_type))


def healing_run_id(weekly_run_id: str, generation: int) -> str:
    """The id of the backfill that a weekly run starts. :param generation: of the task that starts it, see `generation_of`."""
    return usable_run_id(HEALING.format(number=generation, weekly_run_id=weekly_run_id))


def heals(weekly_run_id: str) -> bool:
    """
    Whether the current run was started by a task of this weekly run, to heal.

    Airflow says that a task has started it: nobody who starts a run in the UI or over the API can make it say so. And the id is
    the one that this weekly run gives.
    """
    run = get_current_context()["dag_run"]
    return _type_of(run) == "operator_triggered" and run.run_id in {
        healing_run_id(weekly_run_id, each) for each in range(MAX_GENERATIONS)
    }


def usable_run_id(wished: str) -> str:
    """
    A run id that every Airflow accepts, always the same for the same wish.

    A site may allow ids of another form (``[scheduler] allowed_run_id_pattern``). And tasks ask Airflow about a run by an address
    with its id in it, unescaped. One form is allowed whatever the pattern is: ``manual__`` and a time. The time is none that a
    person's run could have, because it lies centuries ago.
    """
    pattern = conf.get("scheduler", "allowed_run_id_pattern", fallback="").strip()
    is_plain = re.fullmatch(rf"[A-Za-z0-9_.~:+-]{{1,{MAX_RUN_ID}}}", wished) and ".." not in wished
    if is_plain and (not pattern or re.match(pattern, wished)):
        return wished
    seconds = int.from_bytes(hashlib.sha256(wished.encode()).digest()[:8]) % SECONDS_OF_LONG_AGO
    return f"manual__{(LONG_AGO + timedelta(seconds=seconds)).isoformat()}"


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


def config_of_starter() -> dict[str, Any]:
    """
    For a DAG without params that tasks of other DAGs start with a config: that config. It is empty in a run by the clock.

    :raises RunConfigError: a person gave it a config, or a run of this type makes no sense.
    """
    run = get_current_context()["dag_run"]
    given = dict(run.conf or {}) if _type_of(run) == "operator_triggered" else {}
    _refuse_run(given)
    return given


def skip_if_refused(refused_by: str) -> None:
    """
    For a task beside the one that refuses a run: do nothing in a run that is refused. One failure and one alert are enough.

    :param refused_by: the task that calls `refuse_config`.
    :raises AirflowSkipException: the run is refused.
    """
    try:
        refuse_config()
    except RunConfigError:
        skip(get_current_context(), f"This run is refused; {refused_by} says why.")


def _refuse_run(params: Mapping[str, Any]) -> None:
    run = get_current_context()["dag_run"]
    # What an earlier Airflow does not know of a run, nobody can have asked for.
    asked = {name: getattr(run, name, None) for name in ("partition_key", "logical_date", "run_after")}
    if problems := run_problems(params, run.conf or {}, _type_of(run) or "", **asked):
        raise RunConfigError(problems)


def describe_run(context: Any = None) -> Origin:
    """
    Where the run of a task comes from, for its report. What Airflow does not tell is None.

    :param context: of the task; by default that of the task that runs now.
    """
    context = context or get_current_context()
    ti, run = context["ti"], context.get("dag_run")
    return Origin(
        dag_id=ti.dag_id,
        run_id=ti.run_id,
        started_at=getattr(run, "start_date", None),
        triggered_by=getattr(run, "triggering_user_name", None),
        run_type=_type_of(run),
        conf=dict(getattr(run, "conf", None) or {}),
    )


def run_day() -> date:
    """The UTC day for file names. A run that a person started may have no logical date, but it always has a `run_after`."""
    return get_current_context()["dag_run"].run_after.astimezone(UTC).date()


def generation_of(ti: Any, retries: int | None) -> int:
    """
    The generation of a task's tries, see `feature_sync.sending.batches.Attempt`.

    Clearing a task sets its max_tries to the tries made so far plus its retries.
    """
    return max(0, (ti.max_tries or 0) - (retries or 0))


def skip(context: Mapping[str, Any], reason: str) -> NoReturn:
    """
    Skip the task, log the reason and note that the task did it by itself. Airflow itself logs only that the task was skipped.

    :raises AirflowSkipException: always.
    """
    log.warning("Skipped: %s", reason)
    note_end(context)
    raise AirflowSkipException(reason)


def skip_dry_run(context: Mapping[str, Any], dry_run: Any) -> None:
    """
    Skip a task that checks what was sent, if the run sends nothing.

    :param dry_run: the run's parameter ``dry_run``, as rendered by a template.
    :raises AirflowSkipException: the run is a dry run.
    """
    if str(dry_run) == "True":
        skip(context, "Dry run: nothing was sent, so there is nothing to check.")
