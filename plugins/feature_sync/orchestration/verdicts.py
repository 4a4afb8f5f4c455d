"""Takes the green from a run that has no verdict, whoever made it green: the scheduler, or a person who marked it."""

import logging
from typing import Any

from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from airflow.utils.state import DagRunState
from sqlalchemy import select
from sqlalchemy.orm import Session, object_session

from feature_sync.config.green import RULES, TaskFacts, why_not_green

log = logging.getLogger(__name__)
RESULT = "return_value"


def withhold_green(dag_run: DagRun) -> None:
    """
    Fail a run that is green without a verdict, and say why in its note.

    Airflow calls this in the scheduler and in the API server, in the transaction that makes the run green. So it must use that
    transaction's session and must not commit.
    """
    if dag_run.dag_id not in RULES or (session := object_session(dag_run)) is None:
        return
    is_dry_run = bool((dag_run.conf or {}).get("dry_run"))
    if reason := why_not_green(dag_run.dag_id, _facts(dag_run, session), is_dry_run=is_dry_run):
        log.error("Run %s of %s is not green. %s", dag_run.run_id, dag_run.dag_id, reason)
        dag_run.set_state(DagRunState.FAILED)
        dag_run.note = reason


def _facts(dag_run: DagRun, session: Session) -> dict[str, list[TaskFacts]]:
    of_run: Any = (TaskInstance.dag_id == dag_run.dag_id, TaskInstance.run_id == dag_run.run_id)
    results = {
        (row.task_id, row.map_index)
        for row in session.execute(
            select(XComModel.task_id, XComModel.map_index).where(
                XComModel.dag_id == dag_run.dag_id, XComModel.run_id == dag_run.run_id, XComModel.key == RESULT
            )
        )
    }
    facts: dict[str, list[TaskFacts]] = {}
    for ti in session.scalars(select(TaskInstance).where(*of_run)):
        facts.setdefault(ti.task_id, []).append(
            TaskFacts(
                state=None if ti.state is None else str(getattr(ti.state, "value", ti.state)),
                ran=(ti.try_number or 0) > 0,
                has_result=(ti.task_id, ti.map_index) in results,
                started_at=ti.start_date,
                ended_at=ti.end_date,
            )
        )
    return facts
