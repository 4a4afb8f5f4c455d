"""The warehouse does not answer, so the sync log cannot take the failures: the failure policy knows of them all the same."""

import json
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from feature_sync.config.settings import load_settings
from feature_sync.sending import operators
from feature_sync.sending.operators import UNRECORDED, CensusBatchOperator
from feature_sync.sending.outcome import BatchHaltedError
from feature_sync.storage.warehouse import ConnectError, Warehouse
from tests.sandbox.client import Sandbox
from tests.wire.campaign import IMPATIENT, Campaign

BATCHES = 6


class Run:
    """The batches of a run as Airflow has them: each instance of ``send`` may leave one XCom."""

    def __init__(self, campaign: Campaign) -> None:
        self.campaign = campaign
        self.left: dict[int, Any] = {}

    def send(self, number: int, *, generation: int = 0, on_batch_failure: str = "continue", most: int = 3) -> dict[str, Any]:
        """One try of a batch's task. As Airflow does, it removes what an earlier try has left."""
        self.left.pop(number, None)

        def push(key: str, value: Any) -> None:
            assert key == UNRECORDED
            self.left[number] = json.loads(json.dumps(value))

        ti = SimpleNamespace(
            dag_id="dag", run_id=self.campaign.run_id, task_id="batch.send", max_tries=3 + generation, xcom_push=push
        )
        task = CensusBatchOperator(
            task_id="send",
            batch=self.campaign.batches[number - 1].as_xcom(),
            wait_seconds="0",
            on_batch_failure=on_batch_failure,
            max_consecutive_failures=str(most),
            retries=3,
            patience=self.campaign.patience,
        )
        return task.execute({"ti": ti})  # type: ignore[arg-type]


@pytest.fixture
def run(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    with Warehouse(load_settings()) as warehouse:
        run = Run(Campaign.freeze(sandbox, warehouse, batches=BATCHES, patience=IMPATIENT))
        monkeypatch.setattr(operators, "xcoms_of", lambda *_: list(run.left.values()))
        yield run


@pytest.fixture
def outage() -> Callable[[], pytest.MonkeyPatch]:
    """Makes the warehouse unreachable; ``undo`` of what it returns ends that."""
    patch = pytest.MonkeyPatch()

    def begin() -> pytest.MonkeyPatch:
        extra = {
            "http_path": "/x",
            "_connection_uri": "http://127.0.0.1:9/x",
            "enable_telemetry": False,
            "_retry_stop_after_attempts_count": 1,
            "_retry_delay_min": 0.01,
        }
        stored = {"conn_type": "databricks", "host": "127.0.0.1", "password": "x", "extra": extra}
        patch.setenv("AIRFLOW_CONN_DATABRICKS_DEFAULT", json.dumps(stored))
        return patch

    return begin


def fail(run: Run, *numbers: int, **options: Any) -> None:
    for number in numbers:
        with pytest.raises(ConnectError):
            run.send(number, **options)


def test_failures_in_a_row_hold_back_the_rest_without_a_retry(run: Run, outage: Callable[[], pytest.MonkeyPatch]) -> None:
    run.send(1)
    patch = outage()
    try:
        fail(run, 2, 3, 4)
        for number in (5, 6):
            with pytest.raises(
                BatchHaltedError, match=r"batches 002, 003, 004 failed in a row .*, and the warehouse still does not"
            ):
                run.send(number)
    finally:
        patch.undo()

    assert sorted(run.left) == [2, 3, 4], "a batch that was held back is no failure"


def test_they_still_count_when_the_warehouse_answers_again(run: Run, outage: Callable[[], pytest.MonkeyPatch]) -> None:
    run.send(1)
    patch = outage()
    try:
        fail(run, 2, on_batch_failure="stop")
    finally:
        patch.undo()

    with pytest.raises(BatchHaltedError, match=r"batch 002 failed \(on_batch_failure is stop\)"):
        run.send(3, on_batch_failure="stop")
    assert run.send(2, generation=1, on_batch_failure="stop")["records"] == 4
    assert run.send(3, generation=1, on_batch_failure="stop")["records"] == 4
    assert run.campaign.runs == 3


def test_fewer_than_the_policy_allows_hold_nothing_back(run: Run, outage: Callable[[], pytest.MonkeyPatch]) -> None:
    patch = outage()
    try:
        fail(run, 1, 2)
    finally:
        patch.undo()

    assert run.send(3)["records"] == 4


def test_a_cleared_batch_is_tried_whatever_failed_before(run: Run, outage: Callable[[], pytest.MonkeyPatch]) -> None:
    patch = outage()
    try:
        fail(run, 1, 2, 3)
        fail(run, 4, generation=1)
    finally:
        patch.undo()

    assert run.send(4, generation=2)["records"] == 4
