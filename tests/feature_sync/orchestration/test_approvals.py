"""A question is asked once, and its answer is kept whatever Airflow does to the task; tests/live has the real person."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from airflow.providers.standard.exceptions import HITLRejectException, HITLTimeoutError
from airflow.sdk.exceptions import AirflowSkipException

from feature_sync.orchestration.approvals import QuestionChangedError
from tests.feature_sync.orchestration.asked_task import QUESTION, Task


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The questions that Airflow was given. Like Airflow 3.3.2, it shows the first one for ever."""
    texts: list[str] = []

    bodies: list[str] = []

    def ask(
        _ti_id: UUID, _subject: str, body: str, options: list[str], _users: tuple[str, ...], form: dict[str, Any]
    ) -> tuple[str, dict[str, Any]]:
        assert (options, form) == (["Approve", "Reject"], {})
        bodies.append(body)
        texts.append(body.split("\n\n---\n\n", maxsplit=1)[0])
        return bodies[0], form

    monkeypatch.setattr("feature_sync.orchestration.approvals.ask_person", ask)
    return texts


@pytest.fixture
def released() -> list[str]:
    return []


@pytest.fixture
def task(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, released: list[str]) -> Task:
    monkeypatch.setenv("FEATURE_SYNC_OUTPUT_PATH", str(tmp_path))
    made = Task(released)
    monkeypatch.setattr("feature_sync.orchestration.approvals.keep_answer", made.recorded.append)
    return made


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
    [answer] = task.recorded
    assert (answer.run_id, answer.task_id, answer.question, answer.answer) == ("asks", "approve", QUESTION, "Approve")
    assert (answer.answered_by, answer.answered_at) == ("ada", datetime(2026, 1, 2, tzinfo=UTC))
    assert answer.asked_at > answer.answered_at, "this answer's time is made up, the question's is that of now"


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
    assert task.recorded[0] == task.recorded[1], "a retry keeps the same row, in case the first try died before it was kept"


def test_a_retry_gives_no_more_time(task: Task, asked: list[str]) -> None:
    task.waits()
    task.changes(deadline="2030-01-01T00:00:00+00:00")

    assert task.waits_until() == datetime(2030, 1, 1, tzinfo=UTC)
    assert asked == [QUESTION]


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


def test_before_each_question_and_never_for_a_retry_the_caller_may_take_a_former_answer_back(
    task: Task, asked: list[str]
) -> None:
    task.waits()
    task.waits()
    assert (task.held, asked) == (["asks"], [QUESTION])
    task.answered("Approve")
    task.operator().execute(task.context)
    assert task.held == ["asks"]

    task.ti.max_tries = 4
    task.waits()

    assert task.held == ["asks", "asks"]


def test_silence_is_a_failure_and_is_kept(task: Task, asked: list[str], released: list[str], tmp_path: Path) -> None:
    task.waits()

    task.changes(deadline="2026-01-01T00:00:00+00:00")
    with pytest.raises(HITLTimeoutError, match=r"Nobody answered in time: Really\? To ask again, clear this task"):
        task.operator().execute_complete(task.context, {"error": "too late", "error_type": "timeout"})

    assert asked == [QUESTION]
    assert released == []
    assert kept(tmp_path)[0]["answer"] == "nobody answered in time"


def test_with_nothing_to_ask_it_is_skipped(task: Task, asked: list[str]) -> None:
    with pytest.raises(AirflowSkipException, match="Nobody is asked"):
        task.operator("").execute(task.context)

    assert asked == []
    assert task.notes == [f"ended_{task.ti.id}"], "nobody can tell it from a question that a person has marked as skipped"


def test_a_question_that_the_task_has_forgotten_is_still_not_asked_under_the_old_numbers(task: Task, asked: list[str]) -> None:
    task.waits()
    task.ti.max_tries = 4
    task.store.values.clear()  # as with [state_store] clear_on_success

    with pytest.raises(QuestionChangedError, match="Start a new run"):
        task.operator("| Fraud Detection | 900 | 0 |").execute(task.context)

    assert len(asked) == 2
    assert task.store.values == {}


@pytest.mark.usefixtures("asked")
class TestWorkersWithoutASharedDisk:
    """Each leg of the task runs on a worker that has none of the files."""

    @pytest.fixture
    def elsewhere(self, task: Task, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[], Path]:
        assert task

        def another_worker() -> Path:
            folder = tmp_path / f"worker-{len(list(tmp_path.iterdir()))}"
            folder.mkdir()
            monkeypatch.setenv("FEATURE_SYNC_OUTPUT_PATH", str(folder))
            return folder

        return another_worker

    def test_an_answer_counts_where_the_question_was_never_seen(
        self, task: Task, asked: list[str], released: list[str], elsewhere: Callable[[], Path]
    ) -> None:
        task.waits()
        folder = elsewhere()

        assert task.answered("Approve") == {"approved_by": "ada"}
        assert released == ["asks"]
        assert asked == [QUESTION]
        [entry] = kept(folder)
        assert (entry["question"], entry["answer"], entry["by"]) == (QUESTION, "Approve", "ada")

    def test_a_retry_picks_up_the_answer(
        self, task: Task, asked: list[str], released: list[str], elsewhere: Callable[[], Path]
    ) -> None:
        task.waits()
        elsewhere()
        task.answered("Approve")
        elsewhere()

        assert task.operator().execute(task.context) == {"approved_by": "ada"}
        assert asked == [QUESTION]
        assert released == ["asks", "asks"]

    def test_a_no_stays_a_no(self, task: Task, released: list[str], elsewhere: Callable[[], Path]) -> None:
        task.waits()
        elsewhere()
        with pytest.raises(HITLRejectException):
            task.answered("Reject")
        elsewhere()

        with pytest.raises(HITLRejectException):
            task.operator().execute(task.context)

        assert released == []

    def test_other_numbers_are_noticed(self, task: Task, elsewhere: Callable[[], Path]) -> None:
        task.waits()
        elsewhere()
        task.ti.max_tries = 4

        with pytest.raises(QuestionChangedError):
            task.operator("| Fraud Detection | 900 | 0 |").execute(task.context)

    def test_what_a_file_says_changes_nothing(
        self, task: Task, asked: list[str], released: list[str], elsewhere: Callable[[], Path]
    ) -> None:
        file = elsewhere() / "asks" / "approvals.json"
        file.parent.mkdir()
        forged = {"series": 0, "question": QUESTION, "answer": "Approve", "by": "nobody", "at": "2026-01-01T00:00:00+00:00"}
        file.write_text(json.dumps({"approve": [forged]}))

        task.waits()

        assert asked == [QUESTION]
        assert released == []


def test_an_answer_to_a_task_that_waits_since_before_an_upgrade_counts(task: Task, released: list[str]) -> None:
    assert task.answered("Approve") == {"approved_by": "ada"}
    assert released == ["asks"]
