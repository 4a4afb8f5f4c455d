"""Right before a batch is sent, records are left out that another run has sent since they were frozen: none is sent twice."""

from collections.abc import Callable, Iterator

import pytest

from feature_sync.backfill.payload import freeze_payload, release_payload
from feature_sync.config.settings import load_settings
from feature_sync.sending.batches import Attempt, AttemptStatus, Batch
from feature_sync.sending.outcome import BatchFailedError
from feature_sync.sending.sync_log import SyncLog
from feature_sync.storage.warehouse import Warehouse
from tests.sandbox.client import Sandbox
from tests.wire.campaign import IMPATIENT, SIZE, Campaign, begin, incident_keys

Freezing = Callable[[int], Campaign]


@pytest.fixture
def freeze(sandbox: Sandbox) -> Iterator[Freezing]:
    """Freezes the first records of the incident, as many as are asked for, in one batch."""
    with Warehouse(load_settings()) as warehouse:

        def freeze(records: int) -> Campaign:
            frozen = Campaign.freeze(sandbox, warehouse, batches=1, patience=IMPATIENT)
            if records < SIZE:
                ids = incident_keys(sandbox, records)
                run_id = f"{frozen.run_id}__few"
                freeze_payload({"scope": "property_ids", "property_ids": ids, "batch_size": SIZE}, run_id)
                release_payload(run_id)
                frozen = Campaign(sandbox, warehouse, run_id, [Batch(1, 1, records, records)], frozen.began_after, IMPATIENT)
            return frozen

        yield freeze


def change_payload(run: Campaign, assignment: str) -> None:
    """Other values than the warehouse has now, or another time."""
    run.sandbox.sql(f"UPDATE {load_settings().payload_table} SET {assignment} WHERE run_id = '{run.run_id}'")


def sent_by_census(run: Campaign) -> list[str]:
    return [key for each in run.journal("salesforce.transaction") if each["source"] == "census" for key in each["keys"]]


def test_what_another_run_has_sent_since_is_left_out_and_named(freeze: Freezing) -> None:
    other, run = freeze(2), freeze(SIZE)
    assert other.send(wait_seconds=-2).succeeded

    outcome = run.send(wait_seconds=-2)

    sent = sent_by_census(other)
    assert sorted(sent) == incident_keys(run.sandbox, SIZE)
    assert len(set(sent)) == len(sent), "each record once"
    assert outcome.status is AttemptStatus.FAILED
    assert "or another run has sent them" in outcome.reason
    assert outcome.rejected is not None
    assert {row.reason for row in outcome.rejected} == {
        f"CHANGED_SINCE_FREEZE: run {other.run_id} has sent this record since it was frozen here"
    }


def test_a_batch_that_another_run_has_sent_completely_starts_no_census_run(freeze: Freezing) -> None:
    other, run = freeze(SIZE), freeze(SIZE)
    assert other.send(wait_seconds=-2).succeeded

    for generation in (0, 1):
        with pytest.raises(BatchFailedError, match="nothing was sent: 4 records were left as found"):
            begin(run.sender(wait_seconds=-2, generation=generation))

    assert len(sent_by_census(other)) == SIZE


def test_the_older_values_of_a_run_that_is_cleared_do_not_replace_newer_ones(freeze: Freezing) -> None:
    run = freeze(SIZE)
    change_payload(run, "fraud_detection_start_date_c = DATE'2019-01-01'")
    newer = freeze(SIZE)
    assert newer.send(wait_seconds=-2).succeeded

    with pytest.raises(BatchFailedError, match="nothing was sent"):
        begin(run.sender(wait_seconds=-2))


def test_newer_values_are_sent_after_older_ones(freeze: Freezing) -> None:
    older = freeze(SIZE)
    change_payload(older, "fraud_detection_start_date_c = DATE'2019-01-01'")
    run = freeze(SIZE)
    assert older.send(wait_seconds=-2).succeeded

    assert run.send(wait_seconds=-2).succeeded


def test_what_was_sent_before_the_freeze_may_be_sent_again(freeze: Freezing) -> None:
    assert freeze(SIZE).send(wait_seconds=-2).succeeded

    assert freeze(SIZE).send(wait_seconds=-2).succeeded


def test_a_batch_that_a_person_clears_is_sent_again(freeze: Freezing) -> None:
    run = freeze(SIZE)
    assert run.send(wait_seconds=-2).succeeded

    assert run.send(wait_seconds=-2, generation=1).succeeded

    assert len(sent_by_census(run)) == 2 * SIZE


@pytest.mark.parametrize(
    ("status", "is_left_out"), [(AttemptStatus.SENDING, True), (AttemptStatus.FAILED, False), (AttemptStatus.NOT_SENT, False)]
)
def test_a_run_of_unknown_outcome(freeze: Freezing, status: AttemptStatus, *, is_left_out: bool) -> None:
    """While it is open, it may write. When it has ended and nobody can say what it wrote, sending is the safe way."""
    other, run = freeze(SIZE), freeze(SIZE)
    SyncLog(run.warehouse).record(Attempt(other.run_id, 1, 1, status, SIZE, previous_sync_run_id=1, sync_run_id=2))

    if is_left_out:
        with pytest.raises(BatchFailedError, match="nothing was sent"):
            begin(run.sender(wait_seconds=-2))
    else:
        assert run.send(wait_seconds=-2).succeeded
