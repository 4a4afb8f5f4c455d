"""The sync log over the wire: what is written twice is there once, and the last attempt counts."""

from dataclasses import replace
from typing import Any

import pytest

from feature_sync.config.settings import load_settings
from feature_sync.sending.batches import Attempt, AttemptStatus
from feature_sync.sending.sync_log import SyncLog
from feature_sync.storage.warehouse import Warehouse
from tests.sandbox.client import Sandbox


def attempt(number: int = 1, **changes: object) -> Attempt:
    values: dict[str, Any] = {
        "run_id": "twice",
        "batch_number": 7,
        "number": number,
        "status": AttemptStatus.SENDING,
        "records": 50,
        "previous_sync_run_id": 3,
    }
    return Attempt(**(values | changes))


@pytest.mark.parametrize("fault", ["lost_response", "refuse"])
def test_an_attempt_whose_record_is_sent_again_is_in_the_log_once(sandbox: Sandbox, fault: str) -> None:
    run_id = f"twice-{fault}"
    with Warehouse(load_settings()) as warehouse:
        log = SyncLog(warehouse)
        sandbox.fault("warehouse", fault, contains="MERGE INTO", times=1)
        log.record(attempt(run_id=run_id))
        log.record(attempt(run_id=run_id, sync_run_id=4))
        sandbox.fault("warehouse", fault, contains="MERGE INTO", times=1)
        log.record(attempt(run_id=run_id, status=AttemptStatus.FAILED, records_updated=49, records_failed=1, reason="it's bad"))
        found = log.last_attempt(run_id, 7)

    # The run's id is kept although the last call did not know it.
    expected = attempt(
        run_id=run_id,
        sync_run_id=4,
        status=AttemptStatus.FAILED,
        records_updated=49,
        records_failed=1,
        reason="it's bad",
        batch_records=50,
    )
    assert found is not None
    assert replace(found, seen_at=None) == expected
    [[rows]] = sandbox.sql(f"SELECT count(*) FROM {load_settings().sync_log_table} WHERE run_id = '{run_id}'")
    assert rows == 1


def test_the_last_attempt_at_each_batch_is_the_one_that_counts(sandbox: Sandbox) -> None:  # noqa: ARG001
    with Warehouse(load_settings()) as warehouse:
        log = SyncLog(warehouse)
        for number in (1, 2, 3):
            log.record(attempt(number, run_id="several", status=AttemptStatus.FAILED))
        log.record(attempt(1, run_id="several", batch_number=8))

        found = log.last_attempts("several")

        assert {batch: each.number for batch, each in found.items()} == {7: 3, 8: 1}
        assert log.last_attempt("several", 9) is None
        assert log.last_attempts("nobody") == {}


def test_the_runs_that_an_attempt_can_have_started_end_with_the_next_attempt_at_any_batch(sandbox: Sandbox) -> None:  # noqa: ARG001
    with Warehouse(load_settings()) as warehouse:
        log = SyncLog(warehouse)
        first = log.record(attempt(run_id="bounds", previous_sync_run_id=100))
        before = log.newest_possible_run_id(first)
        second = log.record(attempt(run_id="bounds", batch_number=8, previous_sync_run_id=105))
        log.record(attempt(run_id="bounds", batch_number=9, previous_sync_run_id=109))

        assert (before, log.newest_possible_run_id(first), log.newest_possible_run_id(second)) == (None, 105, 109)
