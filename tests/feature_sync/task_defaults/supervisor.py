"""Stands in for the supervisor of a task or of the DAG processor: variables, and the states and XComs of one run."""

import threading
from typing import Any

from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time.comms import (
    DeleteVariable,
    ErrorResponse,
    GetTaskStates,
    GetVariable,
    GetVariableKeys,
    GetXCom,
    OKResponse,
    PutVariable,
    TaskStatesResult,
    VariableKeysResult,
    VariableResult,
    XComResult,
)

RUN_ID = "manual__1"


class Supervisor:
    """
    ``variables``: by key. ``states``: of the tasks, a mapped one as ``batch.send_3``. ``marked``: tasks with an XCom, by id and
    index. ``is_down``: whether the API server answers nothing.
    """

    def __init__(self) -> None:
        self.variables: dict[str, str] = {}
        self.states: dict[str, str] = {}
        self.marked: set[tuple[str, int]] = set()
        self.is_down = False
        self._lock = threading.Lock()

    def send(self, message: Any = None, msg: Any = None) -> Any:
        asked = message or msg
        if self.is_down:
            raise AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail={"status_code": 500}))
        with self._lock:
            return self._answer(asked)

    def _answer(self, asked: Any) -> Any:  # noqa: PLR0911 - one answer a message
        match asked:
            case GetVariable(key=key) if key in self.variables:
                return VariableResult(key=key, value=self.variables[key])
            case GetVariable():
                return ErrorResponse(error=ErrorType.VARIABLE_NOT_FOUND)
            case PutVariable(key=key, value=value):
                self.variables[key] = value or ""
                return OKResponse(ok=True)
            case DeleteVariable(key=key):
                self.variables.pop(key, None)
                return OKResponse(ok=True)
            case GetVariableKeys(prefix=prefix):
                keys = [key for key in self.variables if key.startswith(prefix or "")]
                return VariableKeysResult(keys=keys, total_entries=len(keys))
            case GetTaskStates():
                return TaskStatesResult(task_states={RUN_ID: dict(self.states)})
            case GetXCom(task_id=task_id, map_index=map_index):
                is_there = (task_id, -1 if map_index is None else map_index) in self.marked
                return XComResult(key="alert_sent", value=True if is_there else None)
        raise AssertionError(f"nobody expected {asked!r}")
