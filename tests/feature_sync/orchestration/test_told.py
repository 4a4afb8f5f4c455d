"""People hear of a question once at each time, over HTTP, and an approval that must not count is asked for again."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.standard.exceptions import HITLRejectException
from airflow.sdk.exceptions import TaskDeferred

from feature_sync.orchestration.approvals import QuestionChangedError
from tests.feature_sync.orchestration.asked_task import Task
from tests.receiver import Receiver

SECOND = timedelta(seconds=5)


@pytest.fixture
def forms(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The forms that Airflow was given, once for each time the question was shown. It keeps the first for ever."""
    shown: list[tuple[str, dict[str, Any]]] = []
    given: list[dict[str, Any]] = []

    def ask(*asked: Any, form: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        shown.append((asked[2], form))
        given.append(form)
        return shown[0]

    monkeypatch.setattr("feature_sync.orchestration.approvals.ask_person", ask)
    return given


@pytest.fixture
def task(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, forms: list[dict[str, Any]]) -> Task:
    assert forms == []
    monkeypatch.setenv("FEATURE_SYNC_OUTPUT_PATH", str(tmp_path))
    made = Task([])
    monkeypatch.setattr("feature_sync.orchestration.approvals.keep_answer", made.recorded.append)
    return made


def titles(receiver: Receiver) -> list[str]:
    return [f"{one['type']}: {one['title']}" for one in receiver.messages]


class TestReminders:
    def test_a_question_is_told_once_however_many_tries_ask_it(self, task: Task, receiver: Receiver) -> None:
        task.waits()
        task.waits()

        assert titles(receiver) == ["warning: Really?"]
        assert "\nRun: asks\nStarted by: ada\n" in receiver.messages[0]["message"]
        assert receiver.messages[0]["message"].endswith(
            "Answer here: http://localhost:8080/dags/product_feature_backfill/runs/asks/tasks/approve/required_actions"
        )

    def test_reminders_come_at_half_and_at_nine_tenths_and_the_deadline_stays(self, task: Task, receiver: Receiver) -> None:
        half = task.waits_until()
        deadline = task.entry["deadline"]
        assert abs(half - datetime.now(UTC) - timedelta(hours=12)) < SECOND
        assert task.wakes() == half, "woken too early, it says nothing and waits on"

        task.passes(0.5)
        deadline = task.entry["deadline"]
        nearly = task.wakes()
        assert abs(datetime.fromisoformat(deadline) - nearly - timedelta(hours=2.4)) < SECOND
        task.waits()
        task.passes(0.9)
        deadline = task.entry["deadline"]
        assert task.wakes().isoformat() == deadline
        assert task.waits_until().isoformat() == deadline

        assert titles(receiver) == [
            "warning: Really?",
            "warning: Still not answered: Really?",
            "failure: Still not answered: Really?",
        ]
        assert [one["stage"] for one in task.entry["told"]] == ["asked", "half", "nine tenths"]

    def test_a_task_that_was_away_for_long_reminds_once(self, task: Task, receiver: Receiver) -> None:
        task.waits()
        task.passes(0.95)

        task.waits()

        assert titles(receiver) == ["warning: Really?", "failure: Still not answered: Really?"]

    def test_a_cleared_task_is_a_new_question(self, task: Task, receiver: Receiver) -> None:
        task.waits()
        task.passes(0.8)
        task.ti.max_tries = 4

        assert abs(task.waits_until() - datetime.now(UTC) - timedelta(hours=12)) < SECOND
        assert titles(receiver) == ["warning: Really?"] * 2

    def test_a_channel_that_is_down_changes_nothing(self, task: Task, receiver: Receiver) -> None:
        receiver.stop()

        task.waits()

        assert [(one["stage"], one["sent"]) for one in task.entry["told"]] == [("asked", False)]
        assert task.answered("Approve") == {"approved_by": "ada"}
        assert task.released == ["asks"]

    def test_a_message_that_cannot_be_composed_changes_nothing(
        self, task: Task, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(*_: object) -> str:
            raise RuntimeError("no words")

        monkeypatch.setattr("feature_sync.orchestration.questions.Question.message", broken)

        task.waits()

        assert receiver.messages == []

    @pytest.mark.usefixtures("forms")
    def test_without_a_channel_the_task_is_not_woken_before_the_end(self, task: Task) -> None:
        assert abs(task.waits_until() - datetime.now(UTC) - timedelta(hours=24)) < SECOND
        assert task.entry["told"] == []

    def test_who_approved_is_told_once(self, task: Task, receiver: Receiver) -> None:
        task.waits()
        task.answered("Approve", "bo")
        task.operator().execute(task.context)  # a retry

        assert titles(receiver) == ["warning: Really?", "info: Approved by bo: Really?"]

    def test_a_no_is_reported_by_the_failure_of_the_task(self, task: Task, receiver: Receiver) -> None:
        task.waits()

        with pytest.raises(HITLRejectException, match=r"^bo rejected: Really\? \(not now\)$"):
            task.answered("Reject", "bo", {"reason": "not now"})

        assert titles(receiver) == ["warning: Really?"]

    def test_what_is_at_stake_is_said_louder(self, task: Task, receiver: Receiver) -> None:
        with pytest.raises(TaskDeferred):
            task.operator(urgent="The Flow may be off.", outcome=lambda run_id: f"{run_id} has ended.").execute(task.context)

        assert titles(receiver) == ["failure: Really?"]
        assert "The Flow may be off.\nasks has ended.\n" in receiver.messages[0]["message"]

    @pytest.mark.usefixtures("forms")
    def test_a_task_that_waits_since_before_an_upgrade_has_no_deadline_of_its_own(self, task: Task) -> None:
        task.waits()
        entry = task.entry
        for name in ("deadline", "told", "reason_rule", "outcome", "reason"):
            del entry[name]
        task.store.values["asked"] = json.dumps([entry])

        assert abs(task.waits_until() - datetime.now(UTC) - timedelta(hours=24)) < SECOND
        assert task.answered("Approve") == {"approved_by": "ada"}


class TestWhatDoesNotCount:
    @pytest.fixture
    def by_others(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FEATURE_SYNC_APPROVAL_EXCLUDES_STARTER", "true")

    @pytest.fixture
    def with_reason(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FEATURE_SYNC_APPROVAL_REASON", "reason")

    @pytest.mark.usefixtures("by_others")
    def test_the_starter_is_asked_again_and_somebody_else_approves(
        self, task: Task, receiver: Receiver, forms: list[dict[str, Any]], tmp_path: Path
    ) -> None:
        task.waits()
        deadline = task.entry["deadline"]

        with pytest.raises(TaskDeferred):
            task.answered("Approve", "ada")

        assert task.released == []
        assert len(forms) == 2, "asking again throws the answer away"
        assert task.entry["deadline"] == deadline
        assert titles(receiver)[-1] == "warning: Asked again, the approval does not count: Really?"
        assert "The approval by ada does not count. ada has started this run and may not" in receiver.messages[-1]["message"]

        assert task.answered("Approve", "bo") == {"approved_by": "bo"}
        assert task.released == ["asks"]
        [answer] = task.recorded
        assert (answer.answered_by, answer.started_by) == ("bo", "ada")
        [kept] = json.loads((tmp_path / "asks" / "approvals.json").read_text())["approve"]
        assert (kept["by"], kept["started_by"]) == ("bo", "ada")
        assert [(one["by"], one["answer"]) for one in kept["refused"]] == [("ada", "Approve")]

    @pytest.mark.usefixtures("by_others", "forms")
    def test_the_starter_may_reject(self, task: Task) -> None:
        task.waits()

        with pytest.raises(HITLRejectException):
            task.answered("Reject", "ada")

    @pytest.mark.usefixtures("by_others", "forms")
    def test_a_try_that_died_before_it_asked_again_lets_nothing_pass(self, task: Task) -> None:
        task.waits()
        with pytest.raises(TaskDeferred):
            task.answered("Approve", "ada")

        task.waits()  # the trigger of this try finds what Airflow still holds
        with pytest.raises(TaskDeferred):
            task.answered("Approve", "ada")

        assert task.released == []

    @pytest.mark.usefixtures("by_others", "forms")
    def test_a_weekly_run_has_no_starter(self, task: Task) -> None:
        task.run.triggering_user_name, task.run.run_type = None, "scheduled"
        task.waits()

        assert task.answered("Approve", "ada") == {"approved_by": "ada"}

    @pytest.mark.usefixtures("with_reason")
    def test_an_approval_without_a_reason_is_asked_for_again(self, task: Task, forms: list[dict[str, Any]]) -> None:
        task.waits()
        for typed in ({}, {"reason": ""}, {"reason": " \n"}):
            with pytest.raises(TaskDeferred):
                task.answered("Approve", "bo", typed)
        assert task.released == []
        assert [sorted(form) for form in forms] == [["reason"]] * 4

        task.answered("Approve", "bo", {"reason": " OPS-7:  agreed "})

        assert task.released == ["asks"]
        assert task.recorded[-1].reason == "OPS-7: agreed"

    @pytest.mark.usefixtures("forms")
    def test_a_question_that_was_asked_without_the_field_cannot_be_asked_again_with_it(
        self, task: Task, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        task.waits()
        monkeypatch.setenv("FEATURE_SYNC_APPROVAL_REASON", "reason")
        assert task.answered("Approve") == {"approved_by": "ada"}, "it was asked when none was wanted"
        task.ti.max_tries = 4

        with pytest.raises(QuestionChangedError, match=r"without a field for it\. Start a new run"):
            task.waits()
