"""Reads a run from Airflow's own tables. It runs in the API server, which may; tasks may not."""

import json
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from airflow.models.hitl import HITLDetail
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from airflow.sdk.execution_time.xcom import resolve_xcom_backend
from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session, joinedload

from feature_sync.config.green import CHECKED, FOUND, RULES
from feature_sync.orchestration.dag_runs import BUSY
from feature_sync.orchestration.progress import CHANGES, OUTCOME, SENT, WAITS
from feature_sync.page.facts import RESULT, Instance, Question, RunFacts

MAX_RUNS = 50
"""Former runs that the page lists."""
_RUNS = select(DagRun).options(joinedload(DagRun.dag_run_note))
"""With their notes, which would be one query a run otherwise."""


def read_run(session: Session, dag_id: str, run_id: str) -> RunFacts | None:
    """
    Read a run with all that the page shows of it, by five queries however many batches it has.

    :returns: None if there is no such run.
    """
    found = session.scalar(_RUNS.where(DagRun.dag_id == dag_id, DagRun.run_id == run_id))
    if found is None:
        return None
    of_run = (TaskInstance.dag_id == dag_id, TaskInstance.run_id == run_id)
    columns: Any = (
        TaskInstance.task_id,
        TaskInstance.map_index,
        TaskInstance.state,
        TaskInstance.start_date,
        TaskInstance.end_date,
        TaskInstance.rendered_map_index,
        TaskInstance.try_number,
    )
    instances = [
        Instance(task_id, map_index, state and str(state), start, end, label or "", try_number or 0)
        for task_id, map_index, state, start, end, label, try_number in session.execute(select(*columns).where(*of_run))
    ]
    asked = (
        select(TaskInstance.task_id, TaskInstance.map_index, HITLDetail.subject, HITLDetail.created_at)
        .join(HITLDetail, HITLDetail.ti_id == TaskInstance.id)
        .where(*of_run, HITLDetail.responded_at.is_(None), TaskInstance.state.in_(BUSY))
    )
    return _facts(
        found,
        instances=instances,
        notes=_notes(session, dag_id, [run_id], results_of={CHECKED, *_planned(dag_id), *_planned(dag_id).values()}).get(
            run_id, {}
        ),
        questions=[Question(*row) for row in session.execute(asked)],
        is_paused=bool(session.scalar(select(DagModel.is_paused).where(DagModel.dag_id == dag_id))),
    )


def read_runs(session: Session, dag_ids: Collection[str], most: int = MAX_RUNS) -> list[RunFacts]:
    """The newest runs of these DAGs, the newest first, each with what its verdict has found and what it was to send."""
    rows = session.scalars(_RUNS.where(DagRun.dag_id.in_(dag_ids)).order_by(DagRun.run_after.desc()).limit(most)).all()
    notes = {
        dag_id: _notes(
            session,
            dag_id,
            [row.run_id for row in rows if row.dag_id == dag_id],
            keys=(FOUND,),
            results_of={CHECKED, *_planned(dag_id).values()},
        )
        for dag_id in {row.dag_id for row in rows}
    }
    return [_facts(row, notes=notes[row.dag_id].get(row.run_id, {})) for row in rows]


def _facts(row: DagRun, **more: Any) -> RunFacts:
    return RunFacts(
        dag_id=row.dag_id,
        run_id=row.run_id,
        run_type=str(getattr(row.run_type, "value", row.run_type)),
        state=str(getattr(row.state, "value", row.state)),
        now=datetime.now(UTC),
        started_at=row.start_date,
        ended_at=row.end_date,
        started_by=row.triggering_user_name,
        config=row.conf or {},
        note=row.note or "",
        **more,
    )


def _planned(dag_id: str) -> Mapping[str, str]:
    return RULES[dag_id].planned if dag_id in RULES else {}


def _notes(
    session: Session,
    dag_id: str,
    run_ids: Sequence[str],
    *,
    results_of: Collection[str],
    keys: Sequence[str] = (WAITS, SENT, OUTCOME, FOUND, CHANGES),
) -> dict[str, dict[tuple[str, int], dict[str, Any]]]:
    """By run, what its tasks have left under these keys, and what these tasks have returned."""
    wanted: ColumnElement[bool] = XComModel.key.in_(keys) | ((XComModel.key == RESULT) & XComModel.task_id.in_(results_of))
    columns: Any = (XComModel.run_id, XComModel.task_id, XComModel.map_index, XComModel.key, XComModel.value)
    found: dict[str, dict[tuple[str, int], dict[str, Any]]] = {}
    backend = resolve_xcom_backend()
    for row in session.execute(select(*columns).where(XComModel.dag_id == dag_id, XComModel.run_id.in_(run_ids), wanted)):
        value = _value(backend, row)
        if isinstance(value, Mapping if row.key != RESULT else Mapping | list):
            found.setdefault(row.run_id, {}).setdefault((row.task_id, row.map_index), {})[row.key] = value
    return found


def _value(backend: Any, row: Any) -> Any:
    """What was left, wherever the site keeps XComs. None if it cannot be read: then the page does not know it."""
    value = row.value
    if isinstance(value, str):
        with suppress(ValueError):
            value = json.loads(value)
    if isinstance(value, list | dict):
        return value
    try:
        return backend.deserialize_value(row)
    except Exception:  # each storage has errors of its own
        return None
