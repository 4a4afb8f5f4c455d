"""A task that asks a question, over its tries, with what Airflow keeps for it."""

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import NEVER_EXPIRE  # type: ignore[attr-defined]  # Airflow's stub lacks it
from airflow.sdk.exceptions import TaskDeferred

from feature_sync.config.names import BACKFILL_DAG_ID
from feature_sync.orchestration.approvals import ASKED, AnswerTrigger, RunApprovalOperator
from feature_sync.storage.evidence import Answer

QUESTION = "| Fraud Detection | 19 | 0 |"


class StateStore:
    """Airflow's store of what a task remembers between its tries; it keeps JSON."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    def get(self, key: str) -> Any:
        return json.loads(self.values[key]) if key in self.values else None

    def set(self, key: str, value: Any, *, retention: timedelta) -> None:
        assert retention is NEVER_EXPIRE, "a question may wait longer than the store keeps what it is not told to keep"
        self.values[key] = json.dumps(value)


class Task:
    """One task instance over its tries; each try is a new operator, as in a new process."""

    def __init__(self, released: list[str]) -> None:
        self.released = released
        self.held: list[str] = []
        self.store = StateStore()
        self.ti = SimpleNamespace(
            dag_id=BACKFILL_DAG_ID, run_id="asks", id="0197b5a0-0000-7000-8000-000000000001", max_tries=3, task_id="approve"
        )
        self.run = SimpleNamespace(triggering_user_name="ada", run_type="manual")
        self.fields: dict[str, Any] | None = None
        self.notes: list[str] = []
        self.recorded: list[Answer] = []
        self.ti.xcom_push = lambda key, value: self.notes.append(key)  # noqa: ARG005 - Airflow's signature

    def operator(self, question: str = QUESTION, **more: Any) -> RunApprovalOperator:
        return RunApprovalOperator(
            **more,
            task_id="approve",
            subject="Really?",
            question=question,
            not_needed="Nobody is asked",
            before_asking=self.held.append,
            on_approval=self.released.append,
            retries=3,
        )

    @property
    def context(self) -> Any:
        return {"ti": self.ti, "task_instance": self.ti, "task_state_store": self.store, "dag_run": self.run}

    def waits(self, question: str = QUESTION) -> None:
        self.waits_until(question)

    def waits_until(self, question: str = QUESTION) -> datetime:
        with pytest.raises(TaskDeferred) as deferred:
            self.operator(question).execute(self.context)
        assert isinstance(deferred.value.trigger, AnswerTrigger)
        assert deferred.value.trigger.timeout_datetime
        return deferred.value.trigger.timeout_datetime

    def changes(self, **changes: Any) -> None:
        """As if the newest question had been asked otherwise."""
        [*former, entry] = json.loads(self.store.values[ASKED])
        self.store.values[ASKED] = json.dumps([*former, {**entry, **changes}])

    @property
    def entry(self) -> dict[str, Any]:
        """What is kept of the newest question."""
        kept: dict[str, Any] = json.loads(self.store.values[ASKED])[-1]
        return kept

    def passes(self, share: float) -> None:
        """As if this share of the time for an answer were over."""
        limit = timedelta(hours=24)
        asked_at = datetime.now(UTC) - limit * share
        self.changes(asked_at=asked_at.isoformat(), deadline=(asked_at + limit).isoformat())

    def wakes(self) -> datetime:
        """The trigger has fired without an answer. :returns: until when the task waits then."""
        with pytest.raises(TaskDeferred) as deferred:
            self.operator().execute_complete(self.context, {"error": "too late", "error_type": "timeout"})
        assert isinstance(deferred.value.trigger, AnswerTrigger)
        assert deferred.value.trigger.timeout_datetime
        return deferred.value.trigger.timeout_datetime

    def answered(self, option: str, by: str = "ada", typed: dict[str, Any] | None = None) -> Any:
        event = {
            "chosen_options": [option],
            "params_input": typed or {},
            "responded_at": datetime(2026, 1, 2, tzinfo=UTC),
            "responded_by_user": {"id": "7", "name": by},
        }
        return self.operator().execute_complete(self.context, event)
