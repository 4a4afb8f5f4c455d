"""Takes the green from a run that has no verdict, whoever made it green: the scheduler, or a person who marked it."""

import json
import logging
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.models.taskmap import TaskMap
from airflow.models.xcom import XCOM_RETURN_KEY, XComModel
from airflow.utils.state import DagRunState
from sqlalchemy import select
from sqlalchemy.orm import Session, object_session

from feature_sync.config.green import (
    BEGAN,
    CHECKED,
    ENDED,
    FOUND,
    NO_VERDICT,
    RULES,
    TaskFacts,
    noted,
    verdict_line,
    why_not_green,
)
from feature_sync.config.names import BACKFILL_DAG_ID
from feature_sync.config.run_config import DEFAULTS

log = logging.getLogger(__name__)

SUMMED_UP = (CHECKED, *(rule.verdict for rule in RULES.values()))
"""The tasks whose findings the note of a run sums up."""


def withhold_green(dag_run: DagRun) -> None:
    """
    Fail a run that is green without a verdict, and say why in its note.

    Airflow calls this in the scheduler and in the API server, in the transaction that makes the run green. So it uses that
    transaction's session and does not commit.

    :raises RuntimeError: the run belongs to no transaction. The caller must fail it.
    """
    if dag_run.dag_id not in RULES:
        return
    session = object_session(dag_run)
    if session is None:
        raise RuntimeError("The run belongs to no transaction, so its tasks cannot be read")
    try:
        session.flush()
        # A statement that fails in here must not end the transaction. The scheduler forbids `session.begin_nested`.
        with session.connection().begin_nested():
            facts, planned = _facts(dag_run, session), _planned(dag_run, session)
        reason = why_not_green(dag_run.dag_id, facts, is_dry_run=_is_dry_run(dag_run), planned=planned)
    except Exception as error:
        log.exception("How the tasks of run %s of %s ended cannot be read", dag_run.run_id, dag_run.dag_id)
        reason = (
            f"{NO_VERDICT} how the tasks of this run ended cannot be read ({type(error).__name__}). The log of the scheduler, or "
            "of the API server, says why. When that is repaired, mark the run as a success: its tasks are looked at again."
        )
    note = noted(dag_run.note, reason or _summary(dag_run, session))
    if note != dag_run.note:
        _write_note(dag_run, note)
    if reason:
        log.error("Run %s of %s is not green. %s", dag_run.run_id, dag_run.dag_id, reason)
        dag_run.set_state(DagRunState.FAILED)


def note_failure(dag_run: DagRun) -> None:
    """Put what the verdict of a failed run has found into its note. A run without a verdict keeps the reason in its note."""
    session = object_session(dag_run)
    if dag_run.dag_id not in RULES or session is None or NO_VERDICT in (dag_run.note or ""):
        return
    note = noted(dag_run.note, _summary(dag_run, session))
    if note != dag_run.note:
        _write_note(dag_run, note)


def _is_dry_run(dag_run: DagRun) -> bool:
    return (dag_run.conf or {}).get("dry_run", DEFAULTS["dry_run"]) is True


def _summary(dag_run: DagRun, session: Session) -> str | None:
    """One line about a run. None if nothing is known, or if it cannot be read: a note is never a reason to fail."""
    try:
        with session.connection().begin_nested():
            stored = select(XComModel.task_id, XComModel.key, XComModel.value).where(
                *_of(XComModel, dag_run), XComModel.key.in_((FOUND, XCOM_RETURN_KEY)), XComModel.task_id.in_(SUMMED_UP)
            )
            left = {(row.task_id, row.key): _mapping(row.value) for row in session.execute(stored)}
            planned = _planned(dag_run, session)
        rule = RULES[dag_run.dag_id]
        return verdict_line(
            left.get((rule.verdict, FOUND)),
            left.get((CHECKED, XCOM_RETURN_KEY)),
            batches=sum(planned.get(plan, 0) for plan in rule.planned.values()),
            is_dry_run=_is_dry_run(dag_run) and dag_run.dag_id == BACKFILL_DAG_ID,
        )
    except Exception:
        log.exception("What run %s of %s has found cannot be read, so its note does not say it", dag_run.run_id, dag_run.dag_id)
        return None


def _mapping(stored: Any) -> dict[str, Any] | None:
    """What a task has left. None if the site keeps it elsewhere."""
    value = json.loads(stored) if isinstance(stored, str) else stored
    return value if isinstance(value, dict) else None


def _write_note(dag_run: DagRun, note: str | None) -> None:
    if note is None:
        dag_run.dag_run_note = None
    else:
        dag_run.note = note  # of an existing note only the text changes, so it stays the person's


def _facts(dag_run: DagRun, session: Session) -> dict[str, list[TaskFacts]]:
    traces: dict[tuple[str, int], dict[str, datetime]] = {}
    stored = select(XComModel.task_id, XComModel.map_index, XComModel.key, XComModel.timestamp).where(*_of(XComModel, dag_run))
    for row in session.execute(stored):
        traces.setdefault((row.task_id, row.map_index), {})[row.key] = row.timestamp
    columns = (
        TaskInstance.id,
        TaskInstance.task_id,
        TaskInstance.map_index,
        TaskInstance.state,
        TaskInstance.start_date,
        TaskInstance.end_date,
        TaskInstance.queued_dttm,
    )
    facts: dict[str, list[TaskFacts]] = {}
    for ti in session.execute(select(*columns).where(*_of(TaskInstance, dag_run))):
        facts.setdefault(ti.task_id, []).append(_fact(ti, traces.get((ti.task_id, ti.map_index), {})))
    return facts


def _fact(ti: Any, keys: dict[str, datetime]) -> TaskFacts:
    own = {key: at for key, at in keys.items() if key.startswith((BEGAN, ENDED))}
    state = None if ti.state is None else str(getattr(ti.state, "value", ti.state))
    seen = [ti.queued_dttm, *own.values()]
    began_at, ended = own.get(f"{BEGAN}{ti.id}"), f"{ENDED}{ti.id}" in own
    if not own and XCOM_RETURN_KEY in keys:  # it ran before this package noted anything, and left a result
        began_at, ended = ti.start_date, True
        seen.append(ti.end_date)
    return TaskFacts(
        state=state,
        map_index=ti.map_index,
        began_at=began_at,
        ended_by_itself=ended,
        last_at=max((at for at in seen if at), default=None),
    )


def _planned(dag_run: DagRun, session: Session) -> dict[str, int]:
    return {
        row.task_id: row.length for row in session.execute(select(TaskMap.task_id, TaskMap.length).where(*_of(TaskMap, dag_run)))
    }


def _of(model: Any, dag_run: DagRun) -> Iterator[Any]:
    yield model.dag_id == dag_run.dag_id
    yield model.run_id == dag_run.run_id
