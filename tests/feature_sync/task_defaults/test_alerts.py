"""A failure is reported once, over the wire; tests/live has the real Airflow."""

import logging
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
import structlog
from airflow.dag_processing.dagbag import DagBag
from airflow.dag_processing.processor import (
    DagCallbackRequest,
    TaskCallbackRequest,
    _execute_dag_callbacks,
    _execute_task_callbacks,
)
from airflow.sdk.log import mask_secret

from feature_sync.backfill.validation import NothingToValidateError, SalesforceDiffersError
from feature_sync.config import connections
from feature_sync.orchestration.channel import MAX_CHARACTERS, MAX_LINES, first_lines
from feature_sync.sending.outcome import BatchFailedError, BatchHaltedError
from feature_sync.task_defaults.alerts import ALERT_SENT, Failure, compose, notify_failure, notify_withheld
from tests.late_secrets import use_site_backend
from tests.receiver import CONN_ID, TOKEN, Receiver, connection

DAGS = Path(__file__).resolve().parents[3] / "dags"
DAG_ID = "product_feature_backfill"
LABEL = "batch 007: records 301-350"
LINK = f"http://airflow.example/dags/{DAG_ID}/runs/manual__1/tasks/batch.send/mapped/6?try_number=2"
FAILURE = Failure(DAG_ID, "manual__1", "batch.send", 6, LABEL, 2, "BatchFailedError: no", LINK)


class TaskInstance(SimpleNamespace):
    """
    The part of a task instance that a callback reads.

    ``states``: of the run's other tasks. ``alerted``: those of them that have sent an alert.
    """

    def __init__(self, task_id: str = "batch.send", map_index: int = 6, label: str | None = LABEL) -> None:
        super().__init__(dag_id=DAG_ID, run_id="manual__1", task_id=task_id, map_index=map_index, try_number=2)
        self.rendered_map_index = label
        self.log_url = LINK
        self.states: dict[str, str] = {}
        self.alerted: set[str] = set()
        self.pushed: dict[str, Any] = {}

    def get_task_states(self, dag_id: str, run_ids: list[str]) -> dict[str, dict[str, str]]:
        assert (dag_id, run_ids) == (DAG_ID, [self.run_id])
        return {self.run_id: {**self.states, self.task_id: "failed"}}

    def xcom_pull(self, task_ids: str, key: str) -> bool | None:
        assert key == ALERT_SENT
        return True if task_ids in self.alerted else None

    def xcom_push(self, key: str, value: object) -> None:
        self.pushed[key] = value


def fail(error: Exception | None, ti: TaskInstance | None = None) -> TaskInstance:
    one = ti or TaskInstance()
    notify_failure({"ti": one, "task_instance": one} | ({"exception": error} if error else {}))
    return one


class TestText:
    def test_it_names_run_task_and_batch_and_says_why_and_where(self) -> None:
        title, text = compose(FAILURE)

        assert title == f"{DAG_ID}: {LABEL} failed"
        assert text == (
            f"DAG: {DAG_ID}\nRun: manual__1\nTask: batch.send[6] ({LABEL}), try 2\n\nBatchFailedError: no\n\nLog: {LINK}"
        )

    @pytest.mark.parametrize(
        ("task_id", "map_index", "called"),
        [
            pytest.param("validate", -1, "validate", id="not-mapped"),
            pytest.param("batch.send", 0, "batch.send[0]", id="mapped-but-nobody-knows-its-label"),
        ],
    )
    def test_a_task_without_a_label_is_called_by_its_id(self, task_id: str, map_index: int, called: str) -> None:
        title, text = compose(Failure(DAG_ID, "r", task_id, map_index, "", 1, "E: x", LINK))

        assert title == f"{DAG_ID}: {called} failed"
        assert f"\nTask: {called}, try 1\n" in text

    def test_without_an_error_it_says_that_airflow_failed_the_task(self) -> None:
        _, text = compose(Failure(DAG_ID, "r", "batch.send", 6, "", 4, "", LINK))

        assert "process was killed" in text
        assert text.endswith(f"Log: {LINK}")


class TestWithheld:
    """A run of which no task is red, and which has no verdict all the same."""

    NOTE = "Asked by Ada.\n\nNo verdict: validate has not come to a result by itself."

    def context(self, state: str) -> dict[str, Any]:
        return {
            "dag": SimpleNamespace(dag_id=DAG_ID),
            "run_id": "manual__1",
            "dag_run": SimpleNamespace(state=state, note=self.NOTE),
        }

    def test_it_is_alerted_with_the_reason(self, receiver: Receiver) -> None:
        notify_withheld(self.context("failed"))

        [message] = receiver.messages
        assert message["title"] == f"{DAG_ID}: no verdict"
        assert message["message"] == (
            f"DAG: {DAG_ID}\nRun: manual__1\n\nAsked by Ada.\nNo verdict: validate has not come to a result by itself."
        )

    def test_so_is_one_of_which_airflow_says_nothing_because_no_task_succeeded(self, receiver: Receiver) -> None:
        context = self.context("failed")
        del context["dag_run"]

        notify_withheld(context)

        assert "The run has no verdict" in receiver.messages[0]["message"]

    def test_a_run_that_is_green_is_not(self, receiver: Receiver) -> None:
        notify_withheld(self.context("success"))

        assert receiver.messages == []

    def test_an_error_stays_in_here(self, receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
        notify_withheld({"dag_run": SimpleNamespace(state="failed")})

        assert receiver.messages == []
        assert "No alert was sent" in caplog.text


class TestLength:
    def test_a_short_text_stays_whole_without_its_empty_lines(self) -> None:
        assert first_lines("one\n\n  two \n") == "one\n  two"

    def test_of_many_lines_the_first_are_kept_and_the_rest_is_counted(self) -> None:
        lines = [f"batch {number:03d} did not succeed" for number in range(1, 101)]

        assert first_lines("\n".join(lines)).splitlines() == [*lines[:MAX_LINES], "(lines left out: 88)"]

    @pytest.mark.parametrize("length", [150, 499, 700, 1400, MAX_CHARACTERS, 100_000])
    def test_of_long_lines_only_whole_ones_are_kept(self, length: int) -> None:
        lines = [letter * length for letter in "abcdefghijkl"]

        kept = first_lines("\n".join(lines))

        assert len(kept) <= MAX_CHARACTERS
        *whole, last = kept.splitlines()
        assert whole
        assert last == f"(lines left out: {12 - len(whole)})"
        assert whole == lines[: len(whole)] or (length > 1400 and whole == [f"{lines[0][: len(whole[0]) - 4]} ..."])

    def test_a_verdict_on_many_batches_keeps_its_sums(self) -> None:
        from feature_sync.backfill.validation import Books, run_problems  # noqa: PLC0415
        from feature_sync.sending.batches import Batch  # noqa: PLC0415 - beside its only use

        batches = [Batch(number, number * 50 - 49, number * 50, 50) for number in range(1, 27)]
        facts = {"properties_checked": 1300, "properties_mismatched": 1290}

        kept = first_lines("\n".join(run_problems(batches, {}, Books(1300, 0, 0, 1300), facts)))

        assert "26 batches did not succeed: of 1,300 records 0 were sent, 0 rejected and 1,300 not sent" in kept
        assert "1,290 of 1,300 properties differ" in kept
        assert "batch 001: records 1-50 did not succeed: it was never sent" in kept
        assert len(kept) <= MAX_CHARACTERS


class TestOverTheWire:
    def test_a_failed_batch_is_alerted(self, receiver: Receiver) -> None:
        ti = fail(BatchFailedError(f"{LABEL} failed in attempt 1: records_failed is 50 instead of 0. Reasons: 50 x 'NO'"))

        [message] = receiver.messages
        assert message["title"] == f"{DAG_ID}: {LABEL} failed"
        assert message["type"] == "failure"
        assert "BatchFailedError: batch 007: records 301-350 failed in attempt 1: records_failed is 50" in message["message"]
        assert message["message"].endswith(f"Log: {LINK}")
        assert receiver.paths == [f"/{TOKEN}"]
        assert ti.pushed == {ALERT_SENT: True}

    def test_alerts_are_off_by_default(self, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("FEATURE_SYNC_ALERT_CONN_ID")

        fail(BatchFailedError("no"))

        assert receiver.messages == []

    def test_an_alert_is_sent_even_when_another_setting_is_wrong(
        self, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("FEATURE_SYNC_CENSUS_SYNC_ID", "none")

        fail(ValueError("Settings are not usable"))

        assert len(receiver.messages) == 1

    @pytest.mark.parametrize("level", ["info", "failure", "no-such-level"])
    def test_a_failure_passes_every_level_and_a_level_that_does_not_exist_silences_nobody(
        self, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, level: str
    ) -> None:
        monkeypatch.setenv("FEATURE_SYNC_ALERT_LEVEL", level)

        fail(ValueError("no"))

        assert [one["type"] for one in receiver.messages] == ["failure"]

    def test_every_address_of_the_connection_is_alerted(self, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(f"AIRFLOW_CONN_{CONN_ID.upper()}", connection(receiver.address, f"{receiver.address}/second"))

        fail(BatchFailedError("no"))

        assert sorted(receiver.paths) == [f"/{TOKEN}", f"/{TOKEN}/second"]

    def test_what_airflow_masks_in_logs_is_masked_in_a_message(self, receiver: Receiver) -> None:
        mask_secret("dapi-of-the-warehouse")

        fail(RuntimeError("401 for dapi-of-the-warehouse"))

        assert "RuntimeError: 401 for ***" in receiver.messages[0]["message"]

    def test_a_long_reason_is_bounded(self, receiver: Receiver) -> None:
        fail(SalesforceDiffersError("\n".join(f"batch {number:03d} did not succeed: {'x' * 300}" for number in range(1, 300))))

        text = receiver.messages[0]["message"]
        assert len(text) < MAX_CHARACTERS + 400
        assert "\n(lines left out: 295)\n" in text


class TestOneCause:
    def test_a_batch_that_was_held_back_is_not_alerted(self, receiver: Receiver) -> None:
        ti = fail(BatchHaltedError("batch 008: records 351-400 is held back: batch 007 failed"))

        assert receiver.messages == []
        assert ti.pushed == {}

    @pytest.mark.parametrize(
        ("alerted", "messages"), [({"check_preconditions"}, 0), (set(), 1)], ids=["alerted", "killed-silently"]
    )
    def test_a_missing_validation_is_alerted_only_if_its_cause_was_not(
        self, receiver: Receiver, alerted: set[str], messages: int
    ) -> None:
        ti = TaskInstance("validate", -1, None)
        ti.states = {"check_preconditions": "failed", "freeze_payload": "upstream_failed"}
        ti.alerted = alerted

        fail(NothingToValidateError("There is nothing to validate"), ti)

        assert len(receiver.messages) == messages


class TestAChannelThatFails:
    @pytest.fixture
    def logged(self, receiver: Receiver, caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
        """All that is logged, at the level that tells most. None of it may show where the channel is."""
        caplog.set_level(logging.DEBUG)
        yield caplog
        lines = [f"{record.getMessage()} {record.args} {record.exc_text}" for record in caplog.get_records("call")]
        assert lines
        assert [line for line in lines if TOKEN in line or str(receiver.server_port) in line] == []

    def test_a_message_that_is_sent_leaves_no_address_in_the_log(
        self, receiver: Receiver, logged: pytest.LogCaptureFixture
    ) -> None:
        fail(BatchFailedError("no"))

        assert len(receiver.messages) == 1
        assert f"Alert sent through connection {CONN_ID}" in logged.text

    def test_a_server_that_is_down(self, receiver: Receiver, logged: pytest.LogCaptureFixture) -> None:
        receiver.stop()

        ti = fail(BatchFailedError("50 x 'NO'"))

        assert f"could not be sent through connection {CONN_ID} (an address did not accept it" in logged.text
        assert "BatchFailedError: 50 x 'NO'" in logged.text
        assert ti.pushed == {}, "the tasks that fail because of it send an alert in its place"

    def test_a_server_that_refuses(self, receiver: Receiver, logged: pytest.LogCaptureFixture) -> None:
        receiver.status = 403

        fail(BatchFailedError("no"))

        assert f"could not be sent through connection {CONN_ID} (an address did not accept it" in logged.text

    @pytest.mark.parametrize(
        ("stored", "problem"),
        [
            pytest.param(connection(f"nonsense://{TOKEN}"), "Apprise cannot read an address", id="no-such-service"),
            pytest.param(connection(f"slack://{TOKEN}"), "Apprise cannot read an address", id="half-an-address"),
            pytest.param(f'{{"conn_type": "apprise", "extra": {{"url": "{TOKEN}"}}}}', "KeyError", id="no-config"),
            pytest.param(f"apprise://?config={TOKEN}", "JSONDecodeError", id="config-that-is-no-json"),
        ],
    )
    def test_a_connection_that_is_not_usable(
        self, monkeypatch: pytest.MonkeyPatch, logged: pytest.LogCaptureFixture, stored: str, problem: str
    ) -> None:
        monkeypatch.setenv(f"AIRFLOW_CONN_{CONN_ID.upper()}", stored)

        fail(BatchFailedError("no"))

        assert f"could not be sent through connection {CONN_ID} ({problem})" in logged.text

    def test_one_address_of_two_that_is_not_usable(
        self, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, logged: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setenv(f"AIRFLOW_CONN_{CONN_ID.upper()}", connection(f"slack://{TOKEN}", receiver.address))

        fail(BatchFailedError("no"))

        assert len(receiver.messages) == 1
        assert "Apprise cannot read an address" in logged.text

    def test_a_connection_that_does_not_exist(
        self, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, logged: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setenv("FEATURE_SYNC_ALERT_CONN_ID", "no_such_connection")

        fail(BatchFailedError("no"))

        assert receiver.messages == []
        assert "could not be sent through connection no_such_connection (Connection no_such_connection is missing." in logged.text

    def test_a_secrets_backend_that_fails_for_a_moment(
        self, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, logged: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(connections, "PAUSES", (0.1, 0.1))
        monkeypatch.delenv(f"AIRFLOW_CONN_{CONN_ID.upper()}")
        use_site_backend(monkeypatch, **{CONN_ID: connection(receiver.address)}).failures = 2

        fail(BatchFailedError("no"))

        assert len(receiver.messages) == 1
        assert "Alert sent" in logged.text

    def test_a_secrets_backend_that_does_not_answer(
        self, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, logged: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(connections, "PAUSES", (0.1,))
        monkeypatch.delenv(f"AIRFLOW_CONN_{CONN_ID.upper()}")
        use_site_backend(monkeypatch).failures = 1000

        fail(BatchFailedError("50 x 'NO'"))

        assert receiver.messages == []
        assert f"(Connection {CONN_ID} cannot be read now: no answer from SiteBackend (ConnectionError))" in logged.text
        assert "BatchFailedError: 50 x 'NO'" in logged.text, "the failure itself is not hidden"

    def test_logging_continues_as_before(self, receiver: Receiver) -> None:
        receiver.stop()
        before = logging.root.manager.disable

        fail(BatchFailedError("no"))

        assert logging.root.manager.disable == before


@pytest.mark.parametrize(
    ("kind", "messages"), [("failed", 1), ("up_for_retry", 0), (None, 1)], ids=["for-good", "tried-again", "stuck-in-the-queue"]
)
def test_a_task_that_the_scheduler_fails_is_alerted_by_the_dag_processor(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, kind: str | None, messages: int
) -> None:
    """It has neither the exception nor the batch's name, and there is no task process."""
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example/base/")
    request = TaskCallbackRequest.model_validate(
        {
            "filepath": "product_feature_backfill.py",
            "bundle_name": "dags-folder",
            "bundle_version": None,
            "msg": "heartbeat timeout",
            "task_callback_type": kind,
            "ti": {
                "id": uuid4(),
                "dag_id": DAG_ID,
                "run_id": "manual__2025-11-21T00:00:00+00:00",
                "task_id": "batch.send",
                "map_index": 6,
                "try_number": 4,
                "dag_version_id": uuid4(),
            },
        }
    )

    _execute_task_callbacks(DagBag(str(DAGS)), request, structlog.get_logger())

    assert len(receiver.messages) == messages
    for message in receiver.messages:
        assert message["title"] == f"{DAG_ID}: batch.send[6] failed"
        assert "process was killed" in message["message"]
        link = (
            f"https://airflow.example/base/dags/{DAG_ID}/runs/manual__2025-11-21T00%3A00%3A00%2B00%3A00/tasks/batch.send/mapped/6"
        )
        assert message["message"].endswith(f"Log: {link}?try_number=4")


@pytest.mark.parametrize(("state", "messages"), [("failed", 1), ("success", 0)])
def test_a_run_without_a_verdict_is_alerted_by_the_dag_processor(receiver: Receiver, state: str, messages: int) -> None:
    """Airflow took it for a success, so it calls what a DAG wants to be called then."""
    run = {"dag_id": DAG_ID, "run_id": "manual__1", "conf": {}, "consumed_asset_events": [], "partition_key": None}
    dates = dict.fromkeys(("logical_date", "data_interval_start", "data_interval_end", "start_date", "end_date"))
    last = {"id": uuid4(), "dag_id": DAG_ID, "run_id": "manual__1", "task_id": "validate", "try_number": 1, "map_index": -1}
    request = DagCallbackRequest.model_validate(
        {
            "filepath": "product_feature_backfill.py",
            "bundle_name": "dags-folder",
            "bundle_version": None,
            "dag_id": DAG_ID,
            "run_id": "manual__1",
            "msg": "success",
            "is_failure_callback": False,
            "context_from_server": {
                "dag_run": run
                | dates
                | {"run_after": "2025-11-21T00:00:00Z", "run_type": "manual", "state": state, "note": "No verdict: why"},
                "last_ti": last | {"dag_version_id": uuid4()},
            },
        }
    )

    _execute_dag_callbacks(DagBag(str(DAGS)), request, structlog.get_logger())

    assert [message["title"] for message in receiver.messages] == [f"{DAG_ID}: no verdict"] * messages
    assert all("\nRun: manual__1\n\nNo verdict: why" in message["message"] for message in receiver.messages)
