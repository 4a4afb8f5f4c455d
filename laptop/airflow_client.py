"""Airflow's REST API v2: the part that starts, watches and repairs runs."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

import requests
import tenacity

FINISHED = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})
PAGE = 100

# SQLite ends a transaction at once, whatever its timeout, if another writer came between its first read and its first
# write. Airflow then answers HTTP 500 and has changed nothing, so the same request can be sent again.
ROLLED_BACK = "Database error"
ROLLED_BACK_ATTEMPTS = 6


class AirflowError(RuntimeError):
    """Airflow refused a request, or a run did not end in time."""


@dataclass(frozen=True, slots=True)
class DagRun:
    dag_id: str
    run_id: str
    state: str
    start: datetime | None
    end: datetime | None
    conf: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TaskInstance:
    """
    One task of a run.

    ``map_index``: -1 if the task is not mapped. ``label``: the rendered map index. ``state``: None before the task is scheduled.
    """

    task_id: str
    map_index: int
    label: str | None
    state: str | None
    try_number: int
    max_tries: int
    start: datetime | None
    end: datetime | None
    note: str | None

    @property
    def name(self) -> str:
        """The name for people: the task's id, and for a mapped one its label or index."""
        if self.map_index < 0:
            return self.task_id
        return f"{self.task_id}[{self.map_index}]" if self.label is None else f"{self.task_id} {self.label}"

    @property
    def finished(self) -> bool:
        return self.state in FINISHED

    @property
    def seconds(self) -> float | None:
        """Duration of the last try, or None if it has not ended."""
        return (self.end - self.start).total_seconds() if self.start and self.end else None


class AirflowClient:
    """
    A client that logs in on its own, and again after its token has expired.

    It calls ``check`` while it waits. ``check`` raises if the wait has become pointless, for example after a component died.
    """

    def __init__(self, url: str, user: str, password: str, *, check: Callable[[], None] = lambda: None) -> None:
        self.url = url.rstrip("/")
        self._user = user
        self._password = password
        self._check = check
        self._session = requests.Session()
        self._session.trust_env = False  # calls to this machine use neither a proxy nor a .netrc

    def _log_in(self) -> None:
        answer = self._session.post(
            f"{self.url}/auth/token", json={"username": self._user, "password": self._password}, timeout=30
        )
        if not answer.ok:
            raise AirflowError(f"Airflow refused the login of {self._user}: HTTP {answer.status_code}")
        self._session.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def request(
        self, method: str, path: str, *, json: object = None, params: Mapping[str, Any] | None = None, missing: object = None
    ) -> Any:
        """
        Return the decoded answer of ``/api/v2/<path>``.

        :param missing: the value to return for a 404. If it is None, a 404 raises.
        :raises AirflowError: the answer is not a success. The message has Airflow's own reason.
        :raises requests.ConnectionError: the API server cannot be reached.
        """
        if "Authorization" not in self._session.headers:
            self._log_in()
        address = f"{self.url}/api/v2/{path}"
        answer = self._send(method, address, json, params)
        if answer.status_code == 401:
            self._log_in()
            answer = self._send(method, address, json, params)
        if answer.status_code == 404 and missing is not None:
            return missing
        if not answer.ok:
            raise AirflowError(f"{method} {path}: HTTP {answer.status_code}: {_reason(answer)}")
        return answer.json() if answer.content else None

    def _send(self, method: str, address: str, json: object, params: Mapping[str, Any] | None) -> requests.Response:
        """The answer. A request that the database has rolled back is sent again; the last of ROLLED_BACK_ATTEMPTS counts."""
        try:
            return tenacity.Retrying(
                retry=tenacity.retry_if_result(_rolled_back),
                stop=tenacity.stop_after_attempt(ROLLED_BACK_ATTEMPTS),
                wait=tenacity.wait_random_exponential(multiplier=0.2, max=3),
            )(self._session.request, method, address, json=json, params=params, timeout=60)
        except tenacity.RetryError as error:
            return error.last_attempt.result()

    def health(self) -> dict[str, tuple[str | None, datetime | None]]:
        """The status and the latest heartbeat of each component of Airflow. Needs no login."""
        answer = self._session.get(f"{self.url}/api/v2/monitor/health", timeout=10)
        answer.raise_for_status()
        return {name: (part.get("status"), _time(part.get(f"latest_{name}_heartbeat"))) for name, part in answer.json().items()}

    def create_pool(self, name: str, slots: int, description: str, *, include_deferred: bool) -> None:
        """Create the pool, or change the existing one to match."""
        pool = {"name": name, "slots": slots, "description": description, "include_deferred": include_deferred}
        if self.request("GET", f"pools/{quote(name)}", missing={}):
            self.request("PATCH", f"pools/{quote(name)}", json=pool)
        else:
            self.request("POST", "pools", json=pool)

    def import_errors(self) -> dict[str, str]:
        """The traceback of each DAG file that Airflow cannot read, by file name."""
        errors = self.request("GET", "importErrors", params={"limit": PAGE})["import_errors"]
        return {error["filename"]: error["stack_trace"] for error in errors}

    def wait_for_dag(self, dag_id: str, *, timeout: float = 60) -> None:
        """
        Return as soon as the DAG can be triggered.

        :raises AirflowError: Airflow does not find the DAG in time, or cannot read a DAG file. The message has the import errors.
        """
        deadline = time.monotonic() + timeout
        while not self.request("GET", f"dags/{dag_id}/details", missing={}):
            self._check()
            errors = self.import_errors()
            if errors:
                listed = "\n".join(f"{file}:\n{trace}" for file, trace in errors.items())
                raise AirflowError(f"Airflow cannot read a DAG file:\n{listed}")
            if time.monotonic() > deadline:
                raise AirflowError(f"Airflow found no DAG {dag_id} within {timeout:.0f} s; see dag-processor.log")
            time.sleep(0.5)

    def pause(self, dag_id: str) -> None:
        self.request("PATCH", f"dags/{dag_id}", json={"is_paused": True})

    def unpause(self, dag_id: str) -> None:
        self.request("PATCH", f"dags/{dag_id}", json={"is_paused": False})

    def trigger(
        self,
        dag_id: str,
        conf: Mapping[str, object] | None = None,
        *,
        note: str | None = None,
        logical_date: datetime | None = None,
    ) -> str:
        """
        Start a run as soon as Airflow has read the DAG. Return the run's id.

        :param logical_date: Airflow knows the past and the future of a run only if it has one.
        :raises AirflowError: the DAG does not appear, or Airflow refuses the configuration.
        """
        self.wait_for_dag(dag_id)
        date = logical_date and logical_date.isoformat()
        body = {"logical_date": date, "conf": dict(conf or {}), "note": note}
        return str(self.request("POST", f"dags/{dag_id}/dagRuns", json=body)["dag_run_id"])

    def dag_run(self, dag_id: str, run_id: str) -> DagRun:
        return _dag_run(self.request("GET", _run_path(dag_id, run_id)))

    def dag_runs(self, dag_id: str) -> list[DagRun]:
        """The latest 100 runs of a DAG, newest first."""
        answer = self.request("GET", f"dags/{dag_id}/dagRuns", params={"limit": PAGE, "order_by": "-run_after"})
        return [_dag_run(run) for run in answer["dag_runs"]]

    def task_instances(
        self, dag_id: str, run_id: str, *, task_id: str | None = None, states: Sequence[str] = ()
    ) -> list[TaskInstance]:
        """
        The task instances of a run, mapped ones one by one. Sorted by task id and map index.

        :param task_id: only those of this task.
        :param states: only those in one of these states.
        """
        found: list[TaskInstance] = []
        while True:
            params: dict[str, Any] = {"limit": PAGE, "offset": len(found), "order_by": "map_index"}
            if task_id is not None:
                params["task_id"] = task_id
            if states:
                params["state"] = list(states)
            answer = self.request("GET", f"{_run_path(dag_id, run_id)}/taskInstances", params=params)
            found.extend(_task_instance(one) for one in answer["task_instances"])
            if not answer["task_instances"] or len(found) >= (answer.get("total_entries") or 0):
                return sorted(found, key=lambda one: (one.task_id, one.map_index))

    def task_instance(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> TaskInstance:
        return _task_instance(self.request("GET", f"{_run_path(dag_id, run_id)}/taskInstances/{task_id}/{map_index}"))

    def xcom(self, dag_id: str, run_id: str, task_id: str, *, key: str = "return_value", map_index: int = -1) -> Any:
        """The value that a task returned, or None if it has not returned one (yet)."""
        path = f"{_run_path(dag_id, run_id)}/taskInstances/{task_id}/xcomEntries/{quote(key)}"
        entry = self.request("GET", path, params={"map_index": map_index, "deserialize": True}, missing={})
        return entry.get("value")

    def task_log(self, dag_id: str, run_id: str, task_id: str, try_number: int, *, map_index: int = -1) -> list[dict[str, Any]]:
        """The log of one try, one entry per event (``timestamp``, ``level``, ``event``, sometimes ``error_detail``)."""
        path = f"{_run_path(dag_id, run_id)}/taskInstances/{task_id}/logs/{try_number}"
        content = self.request("GET", path, params={"map_index": map_index, "full_content": True}, missing={}).get("content", [])
        return [entry if isinstance(entry, dict) else {"event": str(entry)} for entry in content]

    def error_text(self, dag_id: str, run_id: str, task: TaskInstance, *, try_number: int | None = None) -> str | None:
        """The reason of a failed try: the exception in its log, else the last logged error, else the task's note."""
        log = self.task_log(dag_id, run_id, task.task_id, try_number or task.try_number, map_index=task.map_index)
        return error_in_log(log) or task.note

    def clear(
        self,
        dag_id: str,
        run_id: str,
        tasks: Iterable[str | tuple[str, int]],
        *,
        include_downstream: bool = True,
        only_failed: bool = False,
        relatives: Iterable[str] = (),
    ) -> int:
        """
        Clear tasks, so that they run again. By default everything downstream is cleared too.

        Return the number of cleared task instances.

        :param tasks: task ids, or pairs of task id and map index.
        :param relatives: which others are cleared too: ``upstream``, ``past``, ``future``.
        """
        body: dict[str, Any] = {
            "dag_run_id": run_id,
            "task_ids": [task if isinstance(task, str) else list(task) for task in tasks],
            "dry_run": False,
            "only_failed": only_failed,
            "include_downstream": include_downstream,
            "reset_dag_runs": True,
            **{f"include_{name}": True for name in relatives},
        }
        return int(self.request("POST", f"dags/{dag_id}/clearTaskInstances", json=body)["total_entries"])

    def clear_run(self, dag_id: str, run_id: str, *, only_failed: bool = False) -> None:
        """Clear a run: all of its tasks, or only the failed ones."""
        self.request("POST", f"{_run_path(dag_id, run_id)}/clear", json={"dry_run": False, "only_failed": only_failed})

    def set_task_state(
        self, dag_id: str, run_id: str, task_id: str, state: str, *, map_index: int = -1, relatives: Iterable[str] = ()
    ) -> None:
        """
        Mark a task instance ``success``, ``failed`` or ``skipped``, as a person does in the UI.

        :param relatives: which others are marked too: ``upstream``, ``downstream``, ``past``, ``future``.
        """
        path = f"{_run_path(dag_id, run_id)}/taskInstances/{task_id}/{map_index}"
        self.request("PATCH", path, json={"new_state": state, **{f"include_{name}": True for name in relatives}})

    def set_group_state(self, dag_id: str, run_id: str, group_id: str, state: str) -> None:
        """Mark all tasks of a group."""
        self.request("PATCH", f"{_run_path(dag_id, run_id)}/taskGroupInstances/{group_id}", json={"new_state": state})

    def set_run_state(self, dag_id: str, run_id: str, state: str) -> None:
        """Mark a run ``success``, ``failed`` or ``queued``."""
        self.request("PATCH", _run_path(dag_id, run_id), json={"state": state})

    def delete_task(self, dag_id: str, run_id: str, task_id: str, *, map_index: int = -1) -> None:
        """Delete a task instance of a run."""
        path = f"{_run_path(dag_id, run_id)}/taskInstances/{task_id}"
        self.request("DELETE", path, params={"map_index": map_index})

    def delete_run(self, dag_id: str, run_id: str) -> None:
        """Delete a run with its tasks."""
        self.request("DELETE", _run_path(dag_id, run_id))

    def run_note(self, dag_id: str, run_id: str) -> str:
        """The note of a run, empty if it has none."""
        return str(self.request("GET", _run_path(dag_id, run_id))["note"] or "")

    def question(self, dag_id: str, run_id: str, task_id: str) -> str | None:
        """A task's question to a person in Markdown, or None if no question is open (yet)."""
        path = f"{_run_path(dag_id, run_id)}/taskInstances/{task_id}/-1/hitlDetails"
        answer = self.request("GET", path, missing={})
        return answer.get("body") if answer.get("response_received") is False else None

    def answer(self, dag_id: str, run_id: str, task_id: str, option: str) -> None:
        """Answer a task's question, as a person does under "Required actions"."""
        path = f"{_run_path(dag_id, run_id)}/taskInstances/{task_id}/-1/hitlDetails"
        self.request("PATCH", path, json={"chosen_options": [option], "params_input": {}})

    def wait_for_run(
        self,
        dag_id: str,
        run_id: str,
        *,
        timeout: float,
        on_progress: Callable[[DagRun, Sequence[TaskInstance]], None] | None = None,
        poll_seconds: float = 1.0,
    ) -> DagRun:
        """
        Return the run after it has ended, successfully or not. The wait goes on while the API server is away.

        :param timeout: seconds.
        :param on_progress: called at every poll. The last call sees the ended run.
        :raises AirflowError: the run has not ended in time. The message has the states of its tasks.
        """
        deadline = time.monotonic() + timeout
        states = "the states of its tasks are unknown"
        while True:
            self._check()
            try:
                run = self.dag_run(dag_id, run_id)
                tasks: Sequence[TaskInstance] = ()
                if on_progress is not None or time.monotonic() > deadline:
                    tasks = self.task_instances(dag_id, run_id)
                    states = ", ".join(f"{task.name}: {task.state}" for task in tasks if task.state != "success")
                if on_progress is not None:
                    on_progress(run, tasks)
                if run.state in ("success", "failed"):
                    return run
            except (requests.ConnectionError, requests.Timeout) as unreachable:
                states = f"the API server does not answer: {unreachable}"
            if time.monotonic() > deadline:
                raise AirflowError(f"Run {run_id} of {dag_id} has not ended within {timeout:.0f} s ({states})")
            time.sleep(poll_seconds)


def error_in_log(log: Sequence[Mapping[str, Any]]) -> str | None:
    """The last exception of a task's log as ``Type: message``, else its last error, else None."""
    for entry in reversed(log):
        if named := entry.get("error_type"):  # an expected failure has no stack trace
            return f"{named}: {entry.get('event', '')}".strip()
        details = entry.get("error_detail")
        if details:
            # The first entry is the exception that ended the task. The entries after it are its causes.
            return f"{details[0].get('exc_type', 'Error')}: {details[0].get('exc_value', '')}".strip()
    for entry in reversed(log):
        if str(entry.get("level", "")).lower() in ("error", "critical"):
            return str(entry.get("event", "")).strip()
    return None


def _run_path(dag_id: str, run_id: str) -> str:
    return f"dags/{dag_id}/dagRuns/{quote(run_id, safe='')}"


def _rolled_back(answer: requests.Response) -> bool:
    return answer.status_code == 500 and ROLLED_BACK in answer.text


def _reason(answer: requests.Response) -> str:
    try:
        detail = answer.json().get("detail", answer.text)
    except (requests.JSONDecodeError, AttributeError):
        detail = answer.text
    return str(detail)[:2000]


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _dag_run(answer: Mapping[str, Any]) -> DagRun:
    return DagRun(
        dag_id=answer["dag_id"],
        run_id=answer["dag_run_id"],
        state=answer["state"],
        start=_time(answer["start_date"]),
        end=_time(answer["end_date"]),
        conf=answer.get("conf") or {},
    )


def _task_instance(answer: Mapping[str, Any]) -> TaskInstance:
    return TaskInstance(
        task_id=answer["task_id"],
        map_index=answer["map_index"],
        label=answer["rendered_map_index"],
        state=answer["state"],
        try_number=answer["try_number"],
        max_tries=answer["max_tries"],
        start=_time(answer["start_date"]),
        end=_time(answer["end_date"]),
        note=answer["note"],
    )
