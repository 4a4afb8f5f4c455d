"""Stands in for the supervisor of a task: it answers what the watch asks of Airflow, as Airflow's API server would."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from airflow.sdk.api.datamodels._generated import DagRun
from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time.comms import (
    DRCount,
    ErrorResponse,
    GetDRCount,
    GetPreviousDagRun,
    GetTaskStates,
    GetTICount,
    GetVariable,
    GetXCom,
    OKResponse,
    PreviousDagRunResult,
    PutVariable,
    TaskStatesResult,
    TICount,
    TriggerDagRun,
    VariableResult,
    XComResult,
)


@dataclass
class Run:
    """``date``: its logical date. ``tasks``: their states, a mapped one as ``batch.send_3``."""

    dag_id: str
    run_id: str
    state: str
    date: datetime | None = None
    tasks: dict[str, str | None] = field(default_factory=dict)
    xcoms: dict[tuple[str, str], Any] = field(default_factory=dict)

    def as_airflow_tells(self) -> DagRun:
        now = datetime.now(UTC)
        return DagRun(
            dag_id=self.dag_id,
            run_id=self.run_id,
            logical_date=self.date,
            data_interval_start=None,
            data_interval_end=None,
            run_after=now,
            start_date=now,
            end_date=None,
            run_type="scheduled",
            state=self.state,
            consumed_asset_events=[],
            partition_key=None,
        )


class Airflow:
    """``started``: the runs that were asked for. ``lacks_watch``: the watch DAG is not there."""

    def __init__(self) -> None:
        self.runs: list[Run] = []
        self.variables: dict[str, str] = {}
        self.started: list[TriggerDagRun] = []
        self.lacks_watch = False

    def has(self, *runs: Run) -> None:
        self.runs = [*runs]

    def send(self, message: Any = None, msg: Any = None) -> Any:  # noqa: PLR0911 - one answer a message
        match message or msg:
            case GetPreviousDagRun(dag_id=dag_id, logical_date=before, state=state):
                found = [
                    run for run in self.runs if run.dag_id == dag_id and run.date and run.date < before and run.state == state
                ]
                newest = max(found, key=lambda run: run.date or before, default=None)
                return PreviousDagRunResult(dag_run=newest and newest.as_airflow_tells())
            case GetDRCount(dag_id=dag_id, run_ids=ids, states=states):
                return DRCount(count=len([run for run in self._of(dag_id, ids) if run.state in (states or ())]))
            case GetTaskStates(dag_id=dag_id, run_ids=ids):
                return TaskStatesResult(task_states={run.run_id: run.tasks for run in self._of(dag_id, ids)})
            case GetTICount(dag_id=dag_id, run_ids=ids, task_ids=[task_id], states=states):
                [run] = self._of(dag_id, ids)
                return TICount(
                    count=len([name for name, state in run.tasks.items() if name.startswith(f"{task_id}_") and state in states])
                )
            case GetXCom(dag_id=dag_id, run_id=run_id, task_id=task_id, key=key):
                [run] = self._of(dag_id, [run_id])
                return XComResult(key=key, value=run.xcoms.get((task_id, key)))
            case GetVariable(key=key) if key in self.variables:
                return VariableResult(key=key, value=self.variables[key])
            case GetVariable():
                return ErrorResponse(error=ErrorType.VARIABLE_NOT_FOUND)
            case PutVariable(key=key, value=value):
                self.variables[key] = value or ""
                return OKResponse(ok=True)
            case TriggerDagRun() as asked if self.lacks_watch:
                detail = {"status_code": 404, "message": f"Dag with dag_id: '{asked.dag_id}' not found"}
                raise AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail=detail))
            case TriggerDagRun() as asked:
                self.started.append(asked)
                return OKResponse(ok=True)
        raise AssertionError(f"nobody expected {message or msg!r}")

    def _of(self, dag_id: str, run_ids: list[str] | None) -> list[Run]:
        return [run for run in self.runs if run.dag_id == dag_id and (run_ids is None or run.run_id in run_ids)]
