"""The warehouse does not answer, so the sync log cannot take the failures: the failure policy knows of them all the same."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from feature_sync.sending.outcome import BatchHaltedError
from feature_sync.storage.warehouse import ConnectError
from tests.wire.batch_run import BatchRun


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


def fail(run: BatchRun, *numbers: int, **options: Any) -> None:
    for number in numbers:
        with pytest.raises(ConnectError):
            run.send(number, **options)


def test_failures_in_a_row_hold_back_the_rest_without_a_retry(run: BatchRun, outage: Callable[[], pytest.MonkeyPatch]) -> None:
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


def test_they_still_count_when_the_warehouse_answers_again(run: BatchRun, outage: Callable[[], pytest.MonkeyPatch]) -> None:
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


def test_fewer_than_the_policy_allows_hold_nothing_back(run: BatchRun, outage: Callable[[], pytest.MonkeyPatch]) -> None:
    patch = outage()
    try:
        fail(run, 1, 2)
    finally:
        patch.undo()

    assert run.send(3)["records"] == 4


def test_a_cleared_batch_is_tried_whatever_failed_before(run: BatchRun, outage: Callable[[], pytest.MonkeyPatch]) -> None:
    patch = outage()
    try:
        fail(run, 1, 2, 3)
        fail(run, 4, generation=1)
    finally:
        patch.undo()

    assert run.send(4, generation=2)["records"] == 4
