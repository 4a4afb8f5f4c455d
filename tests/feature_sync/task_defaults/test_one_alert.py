"""One cause is one alert in a run, whoever meets it first; and a run that fails without a word of a task is one too."""

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import structlog
from airflow.dag_processing.dagbag import DagBag
from airflow.dag_processing.processor import DagCallbackRequest, _execute_dag_callbacks
from airflow.sdk.execution_time import task_runner

from feature_sync.backfill.validation import NothingToValidateError, SalesforceDiffersError
from feature_sync.census.errors import CensusAuthError
from feature_sync.config.names import BACKFILL_DAG_ID, DEPLOY_DAG_ID, RECONCILIATION_DAG_ID
from feature_sync.pilot.rest import PilotError
from feature_sync.sending.outcome import BatchFailedError, BatchHaltedError
from feature_sync.storage.warehouse import ConnectError
from feature_sync.task_defaults import alerted, alerts
from feature_sync.task_defaults.alerts import ALERT_SENT, forget_alerts, notify_failure
from tests.feature_sync.task_defaults.supervisor import RUN_ID, Supervisor
from tests.receiver import Receiver

DAGS = Path(__file__).resolve().parents[3] / "dags"
Fail = Callable[..., None]


@pytest.fixture
def supervisor(monkeypatch: pytest.MonkeyPatch) -> Supervisor:
    standing = Supervisor()
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", standing, raising=False)
    monkeypatch.setattr(alerted, "SETTLE_SECONDS", 0.1)
    monkeypatch.setattr(alerts, "GRACE_SECONDS", 0.2)
    return standing


@pytest.fixture
def fail(supervisor: Supervisor) -> Fail:
    """Fails a task for good: with an error in its own process, or by Airflow, whose DAG processor then runs the callback."""

    def failed(task_id: str, error: Exception | None, map_index: int = -1, cleared: int = 0) -> None:
        supervisor.states[task_id if map_index < 0 else f"{task_id}_{map_index}"] = "failed"

        def push(key: str, value: bool) -> None:
            assert (key, value) == (ALERT_SENT, True)
            supervisor.marked.add((task_id, map_index))

        ti = SimpleNamespace(
            dag_id=BACKFILL_DAG_ID,
            run_id=RUN_ID,
            task_id=task_id,
            map_index=map_index,
            try_number=1,
            log_url="http://airflow.example",
            get_task_states=lambda **_: {RUN_ID: supervisor.states},
            xcom_pull=lambda task_ids, key: ((task_ids, -1) in supervisor.marked and key == ALERT_SENT) or None,
            xcom_push=push,
        )
        run = SimpleNamespace(clear_number=cleared)
        notify_failure({"ti": ti, "dag_run": run} | ({"exception": error} if error else {}))

    return failed


def titles(receiver: Receiver) -> list[str]:
    return [message["title"].removeprefix(f"{BACKFILL_DAG_ID}: ").removesuffix(" failed") for message in receiver.messages]


class TestOneCause:
    def test_batches_that_meet_it_one_after_another_are_one_alert(self, receiver: Receiver, fail: Fail) -> None:
        for index in range(1, 4):
            fail("batch.send", CensusAuthError(f"Census answered GET sync_runs/{index} with 401"), index)

        assert titles(receiver) == ["batch.send[1]"]

    def test_tasks_that_meet_it_at_the_same_moment_are_one_alert(self, receiver: Receiver, fail: Fail) -> None:
        tasks = [
            threading.Thread(target=fail, args=(name, ConnectError(f"{name} was not sent")))
            for name in ("wait_for_copy", "check_source_query", "remove_old_payloads", "compare")
        ]
        for task in tasks:
            task.start()
        for task in tasks:
            task.join()

        assert len(receiver.messages) == 1

    def test_another_cause_is_another_alert(self, receiver: Receiver, fail: Fail) -> None:
        fail("batch.send", CensusAuthError("401"), 1)
        fail("batch.send", ConnectError("refused"), 2)
        fail("batch.send", CensusAuthError("401"), 3)

        assert titles(receiver) == ["batch.send[1]", "batch.send[2]"]

    def test_a_batch_with_one_reason_more_is_another_alert(self, receiver: Receiver, fail: Fail) -> None:
        fail("batch.send", BatchFailedError("batch 002 failed", {"NO_GOOD"}), 1)
        fail("batch.send", BatchFailedError("batch 003 failed", {"NO_GOOD"}), 2)
        fail("batch.send", BatchFailedError("batch 004 failed", {"NO_GOOD", "TOO_LONG"}), 3)
        fail("batch.send", BatchFailedError("batch 005 failed", {"TOO_LONG"}), 4)

        assert titles(receiver) == ["batch.send[1]", "batch.send[3]"]

    def test_tasks_that_airflow_itself_fails_are_one_alert(self, receiver: Receiver, fail: Fail) -> None:
        for index in range(5):
            fail("batch.send", None, index)

        assert titles(receiver) == ["batch.send[0]"]

    def test_an_alert_that_could_not_be_sent_leaves_the_cause_to_the_next_task(self, receiver: Receiver, fail: Fail) -> None:
        receiver.status = 500
        fail("batch.send", CensusAuthError("401"), 1)
        receiver.status = 200
        receiver.messages.clear()

        fail("batch.send", CensusAuthError("401"), 2)

        assert titles(receiver) == ["batch.send[2]"]

    def test_a_task_that_died_before_it_sent_its_alert_counts_for_a_minute(
        self, receiver: Receiver, fail: Fail, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        dead = alerted.AlertedCauses(BACKFILL_DAG_ID, RUN_ID)
        assert dead.claim(alerts.causes_of(CensusAuthError("401")))

        fail("batch.send", CensusAuthError("401"), 2)
        assert receiver.messages == []
        monkeypatch.setattr(alerted, "CLAIM_SECONDS", 0)
        fail("batch.send", CensusAuthError("401"), 3)

        assert titles(receiver) == ["batch.send[3]"]

    def test_an_airflow_that_does_not_answer_makes_nobody_silent(
        self, receiver: Receiver, fail: Fail, supervisor: Supervisor
    ) -> None:
        supervisor.is_down = True

        notified = SimpleNamespace(
            dag_id=BACKFILL_DAG_ID, run_id=RUN_ID, task_id="compare", map_index=-1, try_number=1, log_url="http://x"
        )
        notify_failure({"ti": notified, "exception": CensusAuthError("401")})

        assert titles(receiver) == ["compare"]
        fail("compare", CensusAuthError("401"))


class TestTheVerdict:
    def test_that_only_batches_were_not_sent_is_known_already(self, receiver: Receiver, fail: Fail) -> None:
        fail("batch.send", CensusAuthError("401"), 1)
        fail("batch.send", BatchHaltedError("held back"), 2)
        fail("validate", SalesforceDiffersError("25 batches did not succeed", is_explained=True))

        assert titles(receiver) == ["batch.send[1]"]

    def test_that_records_were_rejected_or_differ_is_news(self, receiver: Receiver, fail: Fail) -> None:
        fail("batch.send", BatchFailedError("batch 002 failed", {"NO_GOOD"}), 1)
        fail("validate", SalesforceDiffersError("1 batch did not succeed: 50 rejected"))

        assert titles(receiver) == ["batch.send[1]", "validate"]

    def test_it_is_sent_if_nobody_else_has_sent_anything(self, receiver: Receiver, fail: Fail) -> None:
        fail("validate", SalesforceDiffersError("26 batches did not succeed", is_explained=True))

        assert titles(receiver) == ["validate"]

    def test_nothing_to_validate_is_explained_by_a_task_that_airflow_failed(self, receiver: Receiver, fail: Fail) -> None:
        fail("check_preconditions", None)
        fail("validate", NothingToValidateError("Look at the first red task."))

        assert titles(receiver) == ["check_preconditions"]


class TestThePilot:
    def test_that_it_failed_is_known_already_and_that_nobody_is_asked_is_no_news(self, receiver: Receiver, fail: Fail) -> None:
        fail("probe.send", BatchFailedError("batch 001 failed", {"NO_GOOD"}), 0)
        fail("check_pilot", PilotError("The pilot did not succeed", is_explained=True))

        assert titles(receiver) == ["probe.send[0]"]

    def test_that_salesforce_holds_something_else_is_news(self, receiver: Receiver, fail: Fail) -> None:
        fail("check_pilot", PilotError("1 of 50 records differs"))

        assert titles(receiver) == ["check_pilot"]


class TestClearing:
    def test_a_cause_that_is_met_again_after_clearing_is_alerted_again_once(self, receiver: Receiver, fail: Fail) -> None:
        fail("batch.send", CensusAuthError("401"), 1)
        fail("batch.send", CensusAuthError("401"), 1, cleared=1)
        fail("batch.send", CensusAuthError("401"), 2, cleared=1)

        assert titles(receiver) == ["batch.send[1]", "batch.send[1]"]

    def test_nothing_is_kept_of_a_run_that_has_ended(self, fail: Fail, supervisor: Supervisor, receiver: Receiver) -> None:
        fail("batch.send", CensusAuthError("401"), 1)
        other = alerted.AlertedCauses(BACKFILL_DAG_ID, "manual__2")
        assert other.claim({"x"})
        assert len(supervisor.variables) == 2

        forget_alerts({"dag": SimpleNamespace(dag_id=BACKFILL_DAG_ID), "run_id": RUN_ID})

        assert len(supervisor.variables) == 1
        assert len(receiver.messages) == 1


@pytest.fixture(scope="module")
def dagbag() -> DagBag:
    return DagBag(str(DAGS))


@pytest.fixture
def run_fails(dagbag: DagBag, supervisor: Supervisor) -> Fail:
    """Runs the DAG's callback as Airflow's DAG processor does."""

    def failed(dag_id: str, reason: str, **states: str) -> None:
        supervisor.states |= states
        request = DagCallbackRequest(
            filepath=f"{dag_id}.py",
            bundle_name="dags-folder",
            bundle_version=None,
            dag_id=dag_id,
            run_id=RUN_ID,
            is_failure_callback=True,
            msg=reason,
        )
        _execute_dag_callbacks(dagbag, request, structlog.get_logger())

    return failed


@dataclass(frozen=True, slots=True)
class Reports:
    """What the DAG's callback has sent."""

    receiver: Receiver
    supervisor: Supervisor

    def named(self) -> list[str]:
        """The tasks that each message names."""
        return [re.search(r"without a report: (.*?)\. ", message["message"])[1] for message in self.receiver.messages]  # type: ignore[index]


@pytest.fixture
def reports(receiver: Receiver, supervisor: Supervisor) -> Reports:
    return Reports(receiver, supervisor)


class TestTheRun:
    def test_that_takes_too_long(self, receiver: Receiver, run_fails: Fail, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example/base/")

        run_fails(RECONCILIATION_DAG_ID, "timed_out", heal="skipped")

        [message] = receiver.messages
        assert message["title"] == f"{RECONCILIATION_DAG_ID}: the run failed"
        assert message["message"].startswith(f"DAG: {RECONCILIATION_DAG_ID}\nRun: {RUN_ID}\n\nThe run took longer than its DAG")
        assert "(6 days, 0:00:00)" in message["message"]
        assert message["message"].endswith(f"Run: https://airflow.example/base/dags/{RECONCILIATION_DAG_ID}/runs/{RUN_ID}")

    def test_in_which_no_task_can_start_any_more(self, receiver: Receiver, run_fails: Fail) -> None:
        run_fails(DEPLOY_DAG_ID, "all_tasks_deadlocked")

        assert "all_tasks_deadlocked" in receiver.messages[0]["message"]

    @pytest.mark.parametrize(
        ("failed", "marked", "names"),
        [
            pytest.param(["validate"], {("validate", -1)}, [], id="its-verdict-was-reported"),
            pytest.param(["batch.send_3", "validate"], {("validate", -1)}, [], id="the-verdict-covers-a-killed-batch"),
            pytest.param(["batch.send_3", "validate"], {("batch.send", 3)}, ["validate"], id="a-killed-verdict"),
            pytest.param(["batch.send_3", "validate"], set(), ["batch.send[3], validate"], id="all-killed"),
            pytest.param([], set(), [], id="nothing-failed"),
        ],
    )
    def test_whose_tasks_failed_is_reported_only_if_none_of_them_could(
        self, run_fails: Fail, reports: "Reports", failed: list[str], marked: set[tuple[str, int]], names: list[str]
    ) -> None:
        reports.supervisor.marked = marked

        run_fails(BACKFILL_DAG_ID, "task_failure", **dict.fromkeys(failed, "failed"))

        assert reports.named() == names

    def test_whose_task_airflow_has_failed_and_reported_is_not_reported_again(
        self, receiver: Receiver, fail: Fail, run_fails: Fail, supervisor: Supervisor
    ) -> None:
        fail("validate", None)
        run_fails(BACKFILL_DAG_ID, "task_failure")

        assert titles(receiver) == ["validate"]
        assert supervisor.variables == {}

    def test_waits_for_the_report_of_a_task_that_failed_just_now(
        self, receiver: Receiver, run_fails: Fail, supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(alerts, "GRACE_SECONDS", 10)
        threading.Timer(1.5, lambda: supervisor.marked.add(("validate", -1))).start()

        run_fails(BACKFILL_DAG_ID, "task_failure", validate="failed")

        assert receiver.messages == []

    def test_is_reported_if_airflow_does_not_say_what_failed(
        self, receiver: Receiver, run_fails: Fail, supervisor: Supervisor
    ) -> None:
        supervisor.is_down = True

        run_fails(BACKFILL_DAG_ID, "task_failure")

        assert len(receiver.messages) == 1


@pytest.mark.parametrize(
    "dag_id",
    [BACKFILL_DAG_ID, RECONCILIATION_DAG_ID, DEPLOY_DAG_ID, "feature_sync_accept", "feature_sync_verify", "feature_sync_watch"],
)
def test_every_dag_reports_what_its_tasks_cannot(dagbag: DagBag, dag_id: str) -> None:
    dag: Any = dagbag.dags[dag_id]

    assert dag.on_failure_callback is alerts.notify_run_failure or dag.on_failure_callback == [alerts.notify_run_failure]
    assert dag.has_on_failure_callback
    assert dag.has_on_success_callback
