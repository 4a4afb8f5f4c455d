"""The looks of the watch: what it asks of Airflow, and what arrives in people's channel."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from feature_sync.config.names import BACKFILL_DAG_ID, RECONCILIATION_DAG_ID, WATCH_DAG_ID
from feature_sync.config.problems import RunConfigError
from feature_sync.orchestration import dag_runs
from feature_sync.watch import operators
from feature_sync.watch.operators import MEMORY, WatchOperator, look_at_sending, look_at_week, watch_sending
from feature_sync.watch.sending import Expectation
from feature_sync.watch.weekly import Memory
from tests.feature_sync.watch.airflow import Airflow, Run
from tests.receiver import Receiver

MONDAY = datetime(2026, 11, 23, 6, tzinfo=UTC)
EVENING = MONDAY + timedelta(hours=12, minutes=15)
TRY_ID = "0197b5a0-0000-7000-8000-000000000001"


def weekly(state: str, date: datetime | None = MONDAY, **tasks: str) -> Run:
    return Run(RECONCILIATION_DAG_ID, "weekly run", state, date, dict(tasks))


def backfill(state: str, *batches: str) -> Run:
    run = Run(BACKFILL_DAG_ID, "manual__1", state)
    run.tasks = {f"batch.send_{number}": each for number, each in enumerate(batches)}
    run.xcoms["plan_batches", "expected_end"] = EXPECTED.as_conf()
    return run


EXPECTED = Expectation("manual__1", "plan_batches", 3, MONDAY)


class TestTheWeek:
    @pytest.fixture(autouse=True)
    def _watches_for_long(self, airflow: Airflow) -> None:
        airflow.variables[MEMORY] = Memory("0 6 * * 1", "2026-01-01T00:00:00+00:00").as_text

    @pytest.mark.parametrize("state", ["success", "failed"])
    def test_a_run_that_has_ended_is_no_case(self, airflow: Airflow, receiver: Receiver, state: str) -> None:
        airflow.has(weekly(state))

        assert look_at_week(EVENING) == "The weekly run of 2026-11-23 06:00 UTC ended."
        assert receiver.messages == []

    def test_a_later_run_of_a_person_counts(self, airflow: Airflow, receiver: Receiver) -> None:
        airflow.has(weekly("success", MONDAY + timedelta(hours=3)))

        look_at_week(EVENING)

        assert receiver.messages == []

    def test_the_run_of_the_week_before_does_not(self, airflow: Airflow, receiver: Receiver) -> None:
        airflow.has(weekly("success", MONDAY - timedelta(days=7)))

        look_at_week(EVENING)

        [message] = receiver.messages
        assert message["title"] == "No verdict: the weekly run of 2026-11-23 06:00 UTC never started"
        assert message["type"] == "failure"
        assert message["message"].endswith(f"DAG: https://airflow.example/dags/{RECONCILIATION_DAG_ID}")
        assert "Look in Airflow whether the DAG is paused" in message["message"]

    def test_one_that_goes_on_is_reported_with_its_task_and_a_link(self, airflow: Airflow, receiver: Receiver) -> None:
        airflow.has(weekly("running", compare="success", approve_healing="deferred"))

        look_at_week(EVENING)

        [message] = receiver.messages
        assert message["title"] == "No verdict yet: the weekly run of 2026-11-23 06:00 UTC goes on"
        assert message["type"] == "warning"
        assert "It is at approve_healing." in message["message"]
        assert message["message"].endswith("/runs/weekly%20run")

    @pytest.mark.parametrize("date", [None, MONDAY - timedelta(days=5)])
    def test_an_older_run_that_holds_it_back_is_named_as_the_reason(
        self, airflow: Airflow, receiver: Receiver, date: datetime | None
    ) -> None:
        airflow.has(weekly("running", date))

        look_at_week(EVENING)

        assert "An earlier run of the DAG has not ended." in receiver.messages[0]["message"]

    def test_people_are_reminded_once_a_day_until_it_has_ended(self, airflow: Airflow, receiver: Receiver) -> None:
        told = []
        for look in range(12):  # four a day
            airflow.has(weekly("success" if look > 10 else "running"))
            before = len(receiver.messages)
            look_at_week(EVENING + timedelta(hours=6 * look))
            told.append(len(receiver.messages) - before)

        assert told == [1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0]

    def test_a_message_that_was_not_sent_is_sent_at_the_next_look(self, receiver: Receiver) -> None:
        receiver.status = 500
        look_at_week(EVENING)
        receiver.status = 200
        receiver.messages.clear()

        look_at_week(EVENING + timedelta(hours=6))

        assert len(receiver.messages) == 1

    def test_nobody_is_told_if_the_site_does_not_want_it(self, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FEATURE_SYNC_WEEKLY_VERDICT_HOURS", "0")

        assert "WEEKLY_VERDICT_HOURS is 0" in look_at_week(EVENING)
        assert receiver.messages == []

    def test_a_site_that_was_installed_on_wednesday_misses_no_monday(self, airflow: Airflow, receiver: Receiver) -> None:
        airflow.variables.clear()
        wednesday, looks = MONDAY + timedelta(days=2), timedelta(hours=6)

        for number in range(22):  # until the noon of next Monday
            look_at_week(wednesday + number * looks)
        assert receiver.messages == []

        look_at_week(EVENING + timedelta(days=7))
        assert len(receiver.messages) == 1

    def test_another_schedule_begins_another_watch(self, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FEATURE_SYNC_RECONCILIATION_SCHEDULE", "0 5 * * *")

        assert look_at_week(EVENING) == "The weekly run of 2026-11-23 05:00 UTC is not known."
        assert receiver.messages == []


class TestABackfill:
    def test_one_that_is_late_is_reported_once(self, airflow: Airflow, receiver: Receiver) -> None:
        airflow.has(backfill("running", "success", "failed", "running"))

        assert look_at_sending(EXPECTED) == "Run manual__1 is late: 2 of 3 batches ended."

        [message] = receiver.messages
        assert message["title"] == "Later than estimated: a backfill has ended 2 of 3 batches"
        assert message["type"] == "warning"
        assert "1 of them failed" in message["message"]
        assert "Progress: https://airflow.example/feature-sync/run?dag_id=" in message["message"]

    @pytest.mark.parametrize("state", ["success", "failed"])
    def test_one_that_has_ended_is_no_case(self, airflow: Airflow, receiver: Receiver, state: str) -> None:
        airflow.has(backfill(state, "success", "failed"))

        assert look_at_sending(EXPECTED) == "Run manual__1 has ended, or somebody deleted it."
        assert receiver.messages == []

    def test_one_that_was_deleted_is_none_either(self, airflow: Airflow, receiver: Receiver) -> None:
        airflow.has()

        look_at_sending(EXPECTED)

        assert receiver.messages == []

    def test_one_that_has_sent_everything_waits_for_something_with_a_limit_of_its_own(
        self, airflow: Airflow, receiver: Receiver
    ) -> None:
        airflow.has(backfill("running", "success", "failed", "skipped"))

        assert "Each batch of run manual__1 has ended" in look_at_sending(EXPECTED)
        assert receiver.messages == []

    @pytest.mark.parametrize("note", [None, EXPECTED.as_conf() | {"ends_at": EVENING.isoformat()}])
    def test_one_that_has_planned_again_is_left_to_the_next_look(
        self, airflow: Airflow, receiver: Receiver, note: dict[str, Any] | None
    ) -> None:
        run = backfill("running", "running")
        run.xcoms["plan_batches", "expected_end"] = note
        airflow.has(run)

        assert "has planned its batches again" in look_at_sending(EXPECTED)
        assert receiver.messages == []


class TestTheTask:
    @pytest.fixture
    def look(self, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
        def looked(run_type: str, conf: dict[str, Any] | None) -> str:
            run = SimpleNamespace(conf=conf, run_type=run_type)
            monkeypatch.setattr(dag_runs, "get_current_context", lambda: {"params": {}, "dag_run": run})
            return WatchOperator(task_id="look").execute({})  # type: ignore[typeddict-item]

        return looked

    @pytest.mark.parametrize("run_type", ["scheduled", "manual", "operator_triggered"])
    def test_without_a_config_it_looks_at_the_week(self, airflow: Airflow, look: Callable[..., str], run_type: str) -> None:
        assert look(run_type, None).startswith("The weekly run of ")
        assert MEMORY in airflow.variables

    def test_with_the_config_of_a_backfill_it_looks_at_that(self, airflow: Airflow, look: Callable[..., str]) -> None:
        airflow.has(backfill("running", "running"))

        assert look("operator_triggered", EXPECTED.as_conf()) == "Run manual__1 is late: 0 of 3 batches ended."
        assert airflow.variables == {}

    def test_a_person_gives_it_none(self, look: Callable[..., str]) -> None:
        with pytest.raises(RunConfigError):
            look("manual", EXPECTED.as_conf())


class TestAskingForALook:
    @pytest.fixture
    def notes(self, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
        """What the planning task leaves."""
        left: dict[str, Any] = {}

        def push(key: str, value: Any) -> None:
            left[key] = value

        ti = SimpleNamespace(id=TRY_ID, run_id="manual__1", task_id="plan_batches", xcom_push=push)
        monkeypatch.setattr(operators, "get_current_context", lambda: {"ti": ti})
        monkeypatch.setattr(operators, "asked_params", lambda: {"wait_seconds": 150})
        return left

    @pytest.mark.usefixtures("receiver")
    def test_a_run_waits_in_airflow_until_the_batches_should_have_been_sent(
        self, airflow: Airflow, notes: dict[str, Any]
    ) -> None:
        began = datetime.now(UTC)
        batches = [{"number": number} for number in range(26)]

        assert watch_sending(batches) is batches

        [asked] = airflow.started
        assert (asked.dag_id, asked.run_id) == (WATCH_DAG_ID, f"late__{TRY_ID}")
        assert asked.conf == notes["expected_end"]
        expected = Expectation.from_conf(asked.conf)
        assert (expected.run_id, expected.planned_by, expected.batches) == ("manual__1", "plan_batches", 26)
        assert timedelta(0) <= expected.ends_at - began - timedelta(seconds=26 * 45 + 25 * 150) < timedelta(minutes=1)
        assert asked.run_after == expected.ends_at + timedelta(seconds=1800)
        assert asked.logical_date is None

    @pytest.mark.usefixtures("receiver")
    def test_there_is_none_without_a_batch(self, airflow: Airflow, notes: dict[str, Any]) -> None:
        assert watch_sending([]) == []
        assert (airflow.started, notes) == ([], {})

    def test_there_is_none_if_messages_are_off(self, airflow: Airflow, notes: dict[str, Any]) -> None:
        watch_sending([{}])

        assert (airflow.started, notes) == ([], {})

    @pytest.mark.usefixtures("receiver", "notes")
    def test_a_watch_that_is_not_there_is_a_warning(self, airflow: Airflow, caplog: pytest.LogCaptureFixture) -> None:
        airflow.lacks_watch = True

        with caplog.at_level(logging.WARNING):
            assert watch_sending([{}]) == [{}]

        assert "Nobody will be told if this run is late: feature_sync_watch could not be started" in caplog.text
