"""A question is asked once, and its answer is kept whatever Airflow does to the task; tests/live has the real person."""

import json
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.standard.exceptions import HITLRejectException, HITLTimeoutError
from airflow.sdk.exceptions import AirflowSkipException, TaskDeferred

from feature_sync.config.names import BACKFILL_DAG_ID
from feature_sync.orchestration.approvals import AnswerTrigger, QuestionChangedError, RunApprovalOperator

QUESTION = "| Fraud Detection | 19 | 0 |"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The questions that Airflow was given."""
    texts: list[str] = []
    monkeypatch.setattr(
        "airflow.providers.standard.operators.hitl.upsert_hitl_detail", lambda **detail: texts.append(detail["body"])
    )
    return texts


@pytest.fixture
def released() -> list[str]:
    return []


class Task:
    """One task instance over its tries; each try is a new operator, as in a new process."""

    def __init__(self, released: list[str]) -> None:
        self.released = released
        self.ti = SimpleNamespace(
            dag_id=BACKFILL_DAG_ID, run_id="asks", id="0197b5a0-0000-7000-8000-000000000001", max_tries=3, task_id="approve"
        )
        self.notes: list[str] = []
        self.ti.xcom_push = lambda key, value: self.notes.append(key)  # noqa: ARG005 - Airflow's signature

    def operator(self, question: str = QUESTION) -> RunApprovalOperator:
        return RunApprovalOperator(
            task_id="approve",
            subject="Really?",
            question=question,
            not_needed="Nobody is asked",
            on_approval=self.released.append,
            retries=3,
        )

    @property
    def context(self) -> Any:
        return {"ti": self.ti, "task_instance": self.ti}

    def waits(self, question: str = QUESTION) -> None:
        with pytest.raises(TaskDeferred) as deferred:
            self.operator(question).execute(self.context)
        assert isinstance(deferred.value.trigger, AnswerTrigger)

    def answered(self, option: str) -> Any:
        event = {
            "chosen_options": [option],
            "params_input": {},
            "responded_at": datetime(2026, 1, 2, tzinfo=UTC),
            "responded_by_user": {"id": "7", "name": "ada"},
        }
        return self.operator().execute_complete(self.context, event)


@pytest.fixture
def task(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, released: list[str]) -> Task:
    monkeypatch.setenv("FEATURE_SYNC_OUTPUT_PATH", str(tmp_path))
    return Task(released)


def kept(tmp_path: Path) -> list[dict[str, Any]]:
    return list(json.loads((tmp_path / "asks" / "approvals.json").read_text())["approve"])


def test_the_answer_is_kept_with_question_name_and_time(
    task: Task, asked: list[str], released: list[str], tmp_path: Path
) -> None:
    task.waits()

    assert released == []
    assert task.answered("Approve") == {"approved_by": "ada"}
    assert asked == [QUESTION]
    assert released == ["asks"]
    [entry] = kept(tmp_path)
    assert (entry["question"], entry["answer"], entry["by"], entry["at"][:10]) == (QUESTION, "Approve", "ada", "2026-01-02")


def test_a_retry_before_the_answer_waits_on_and_does_not_ask_again(task: Task, asked: list[str]) -> None:
    task.waits()
    task.waits()

    assert asked == [QUESTION], "asking again would delete an answer that was given meanwhile"


def test_a_retry_after_a_yes_continues(task: Task, asked: list[str], released: list[str]) -> None:
    task.waits()
    task.answered("Approve")

    assert task.operator().execute(task.context) == {"approved_by": "ada"}
    assert asked == [QUESTION]
    assert released == ["asks", "asks"]


def test_a_no_stays_a_no_in_a_retry(task: Task, asked: list[str], released: list[str]) -> None:
    task.waits()
    with pytest.raises(HITLRejectException):
        task.answered("Reject")

    with pytest.raises(HITLRejectException):
        task.operator().execute(task.context)

    assert asked == [QUESTION]
    assert released == []


def test_clearing_the_task_asks_again(task: Task, asked: list[str], tmp_path: Path) -> None:
    task.waits()
    with pytest.raises(HITLRejectException):
        task.answered("Reject")
    task.ti.max_tries = 4

    task.waits()

    assert asked == [QUESTION, QUESTION]
    assert [entry["answer"] for entry in kept(tmp_path)] == ["Reject", None]


def test_a_cleared_task_with_other_numbers_does_not_ask_under_the_old_ones(task: Task, asked: list[str]) -> None:
    task.waits()
    task.ti.max_tries = 4

    with pytest.raises(QuestionChangedError, match="Start a new run"):
        task.operator("| Fraud Detection | 900 | 0 |").execute(task.context)

    assert asked == [QUESTION]


def test_silence_is_a_failure_and_is_kept(task: Task, asked: list[str], released: list[str], tmp_path: Path) -> None:
    task.waits()

    with pytest.raises(HITLTimeoutError):
        task.operator().execute_complete(task.context, {"error": "too late", "error_type": "timeout"})

    assert asked == [QUESTION]
    assert released == []
    assert kept(tmp_path)[0]["answer"] == "nobody answered in time"


def test_with_nothing_to_ask_it_is_skipped(task: Task, asked: list[str]) -> None:
    with pytest.raises(AirflowSkipException, match="Nobody is asked"):
        task.operator("").execute(task.context)

    assert asked == []
    assert task.notes == [f"ended_{task.ti.id}"], "nobody can tell it from a question that a person has marked as skipped"
