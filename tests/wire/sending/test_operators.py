"""The task that sends a batch, beside the sandbox: what it waits for, and what its errors say. Whole runs: tests/live."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import TaskDeferred

from feature_sync.census.hook import CensusHook
from feature_sync.config.settings import load_settings
from feature_sync.orchestration.deferral import SafeTrigger
from feature_sync.sending.operators import CensusBatchOperator
from feature_sync.sending.outcome import BatchFailedError, BatchLockedError, BatchSkippedError
from feature_sync.sending.triggers import CensusQuietTrigger, CensusRecordsTrigger, CensusRunTrigger
from feature_sync.storage.warehouse import Warehouse
from tests.sandbox.client import BACKFILL, Sandbox
from tests.wire.campaign import IMPATIENT, Campaign, begin
from tests.wire.firing import fire


@pytest.fixture
def campaign(sandbox: Sandbox) -> Iterator[Campaign]:
    with Warehouse(load_settings()) as warehouse:
        yield Campaign.freeze(sandbox, warehouse, batches=2, patience=IMPATIENT)


def operator(campaign: Campaign, number: int = 1, wait_seconds: float = 0) -> CensusBatchOperator:
    return CensusBatchOperator(
        task_id="send",
        batch=campaign.batches[number - 1].as_xcom(),
        wait_seconds=str(wait_seconds),
        on_batch_failure="continue",
        max_consecutive_failures="3",
        retries=3,
        patience=campaign.patience,
    )


def context(campaign: Campaign, max_tries: int = 3, try_number: int = 1) -> Any:
    return {"ti": SimpleNamespace(run_id=campaign.run_id, max_tries=max_tries, try_number=try_number)}


def deferred(campaign: Campaign, **options: Any) -> SafeTrigger:
    with pytest.raises(TaskDeferred) as gone:
        operator(campaign, **options).execute(context(campaign))
    assert gone.value.method_name == "resume"
    assert isinstance(gone.value.trigger, SafeTrigger)
    return gone.value.trigger


def test_a_short_run_is_waited_for_without_deferring(campaign: Campaign) -> None:
    result = operator(campaign).execute(context(campaign))

    assert result == {"attempt": 1, "sync_run_id": campaign.attempt().sync_run_id, "records": 4}


def test_a_longer_run_is_handed_to_the_triggerer_and_resumed(campaign: Campaign, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEATURE_SYNC_CENSUS_INLINE_POLL_SECONDS", "1.5")
    campaign.sandbox.settings(census_work_seconds=4)

    trigger = deferred(campaign)
    fire(trigger)
    result = operator(campaign).resume(context(campaign), {})

    assert isinstance(trigger, CensusRunTrigger)
    assert result["attempt"] == 1
    assert campaign.runs == 1


def test_late_row_records_are_waited_for_in_the_triggerer_and_the_batch_is_judged_when_they_come(
    campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEATURE_SYNC_CENSUS_INLINE_POLL_SECONDS", "3")
    campaign.patience = replace(campaign.patience, records_quiet_seconds=60)
    campaign.sandbox.settings(records_visible_seconds=6)

    trigger = deferred(campaign)
    waiting = campaign.attempt()
    began = time.monotonic()
    fire(trigger)
    waited = time.monotonic() - began
    monkeypatch.setenv("FEATURE_SYNC_CENSUS_INLINE_POLL_SECONDS", "30")
    result = operator(campaign).resume(context(campaign), {})

    assert isinstance(trigger, CensusRecordsTrigger)
    assert (trigger.sync_run_id, trigger.records) == (waiting.sync_run_id, 4)
    assert waiting.is_open
    assert waited > 1
    assert result == {"attempt": 1, "sync_run_id": waiting.sync_run_id, "records": 4}
    assert (campaign.attempt().status, campaign.runs) == ("succeeded", 1)


@pytest.mark.parametrize("fault", [{"code": 404}, {"code": 403}], ids=["404", "403"])
def test_row_records_that_never_come_end_the_wait_and_are_reported(
    campaign: Campaign, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, fault: dict[str, int]
) -> None:
    monkeypatch.setenv("FEATURE_SYNC_CENSUS_INLINE_POLL_SECONDS", "0")
    campaign.sandbox.fault("records", "status", **fault)

    # The first deferral may be for the run itself.
    trigger = deferred(campaign)
    fire(trigger)
    if not isinstance(trigger, CensusRecordsTrigger):
        trigger = deferred(campaign)
        fire(trigger)
    time.sleep(2.1)  # Census's clock may be two seconds late
    result = operator(campaign).resume(context(campaign), {})
    again = operator(campaign).execute(context(campaign))

    assert isinstance(trigger, CensusRecordsTrigger)
    assert result == again
    assert "counts all 4 records as accepted" in result["accepted_by_counters"]
    assert "batch 001: records 1-4 was accepted by counters alone" in caplog.text
    assert campaign.runs == 1


def test_the_trigger_that_waits_for_row_records_is_built_again_from_what_airflow_stores() -> None:
    trigger = CensusRecordsTrigger(7, 50, 5.0, "2025-11-21T12:00:00+00:00")

    path, arguments = trigger.serialize()

    assert path == "feature_sync.sending.triggers.CensusRecordsTrigger"
    assert CensusRecordsTrigger(**arguments).serialize() == (path, arguments)


def test_another_run_is_waited_for_in_the_triggerer(campaign: Campaign, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEATURE_SYNC_CENSUS_INLINE_POLL_SECONDS", "0")
    operator_settled = campaign.send(2)
    campaign.sandbox.settings(census_work_seconds=1.0)
    campaign.sandbox.control("POST", "runs", {"sync_id": BACKFILL, "ui_tag": "Manual", "full_sync": True})

    trigger = deferred(campaign)
    fire(trigger)

    assert operator_settled.succeeded
    assert isinstance(trigger, CensusQuietTrigger)
    assert not CensusHook().list_runs(BACKFILL).runs[0].is_active


def test_a_wait_that_is_not_over_is_handed_to_the_triggerer(campaign: Campaign, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEATURE_SYNC_CENSUS_INLINE_POLL_SECONDS", "0.1")
    campaign.send(2)

    trigger = deferred(campaign, wait_seconds=600)

    assert isinstance(trigger, CensusQuietTrigger)
    assert trigger.wait_seconds == 600


@pytest.mark.parametrize("phase", ["queued", "working"])
def test_a_stuck_run_is_canceled_at_the_limit_and_judged(campaign: Campaign, monkeypatch: pytest.MonkeyPatch, phase: str) -> None:
    monkeypatch.setenv("FEATURE_SYNC_CENSUS_RUN_LIMIT_SECONDS", "1")
    campaign.sandbox.fault("run", "stuck", phase=phase, times=1)

    with pytest.raises(BatchFailedError, match="was canceled"):
        operator(campaign).execute(context(campaign))

    assert [entry for entry in campaign.journal("census.request") if entry["path"].endswith("/cancel")]
    assert campaign.attempt().status == "failed"


@pytest.mark.parametrize(
    ("message", "error"),
    [
        pytest.param("UNABLE_TO_LOCK_ROW: unable to obtain exclusive access", BatchLockedError, id="a-lock-passes"),
        pytest.param("FIELD_CUSTOM_VALIDATION_EXCEPTION", BatchFailedError, id="wrong-data-stays-wrong"),
    ],
)
def test_the_error_says_whether_a_retry_is_worth_it(campaign: Campaign, message: str, error: type[Exception]) -> None:
    campaign.sandbox.fault("run", "reject_rows", message=message, times=1)

    with pytest.raises(error, match=r"\A4 of 4 records rejected by Salesforce, 0 accepted \(Census run \d+\)\n  4 x ") as refused:
        operator(campaign).execute(context(campaign))

    by_itself = "nothing to do. Airflow tries this task again by itself (try 2 of 4)" in str(refused.value)
    assert by_itself == (error is BatchLockedError)
    assert ("press Clear Task Instance" in str(refused.value)) != by_itself


def test_the_last_try_of_a_lock_does_not_promise_another(campaign: Campaign) -> None:
    campaign.sandbox.fault("run", "reject_rows", message="UNABLE_TO_LOCK_ROW: unable to obtain exclusive access", times=1)

    with pytest.raises(BatchLockedError, match=r"Next: this was the last try\. When the lock is gone, open"):
        operator(campaign).execute(context(campaign, try_number=4))


def test_a_lock_beside_bad_data_is_tried_again_until_only_the_bad_data_is_left(campaign: Campaign) -> None:
    campaign.sandbox.fault("run", "reject_rows", message="FIELD_CUSTOM_VALIDATION_EXCEPTION", count=1, times=2)
    campaign.sandbox.fault("transaction", "lock_row", count=2, times=1)

    with pytest.raises(BatchLockedError, match=r"2 x .*UNABLE_TO_LOCK_ROW"):
        operator(campaign).execute(context(campaign))
    with pytest.raises(BatchFailedError, match="1 x FIELD_CUSTOM_VALIDATION_EXCEPTION"):
        operator(campaign).execute(context(campaign))

    assert [attempt.records for attempt in (campaign.attempt(),)] == [3]
    assert campaign.attempt().records_rejected == 1


@pytest.mark.parametrize("waits", [False, True], ids=["found-when-resumed", "found-while-waiting"])
def test_a_run_that_census_no_longer_knows_is_an_outcome_and_the_batch_can_be_sent_again(campaign: Campaign, waits: bool) -> None:
    attempt = begin(campaign.sender())
    campaign.wait_for(attempt)
    campaign.sandbox.fault("fetch_run", "status", code=404, times=1, skip=int(waits))

    with pytest.raises(BatchFailedError, match=f"does not know run {attempt.sync_run_id} any more"):
        operator(campaign).execute(context(campaign))

    assert campaign.attempt().status == "failed"
    assert operator(campaign).execute(context(campaign, max_tries=4))["records"] == 4


def test_a_skipped_run_is_an_error_of_its_own(campaign: Campaign) -> None:
    campaign.sandbox.fault("run", "skipped", times=1)

    with pytest.raises(BatchSkippedError):
        operator(campaign).execute(context(campaign))


def test_a_retry_after_a_success_does_not_send_again_but_a_clear_does(campaign: Campaign) -> None:
    operator(campaign).execute(context(campaign, max_tries=3))
    operator(campaign).execute(context(campaign, max_tries=3))
    after_retry = campaign.runs

    operator(campaign).execute(context(campaign, max_tries=4))

    assert (after_retry, campaign.runs) == (1, 2)


def test_the_reason_why_a_batch_was_not_sent_is_recorded(campaign: Campaign) -> None:
    campaign.sandbox.fault("trigger", "token_expired", times=1)

    with pytest.raises(Exception, match="401"):
        operator(campaign).execute(context(campaign))

    assert campaign.attempt().status == "not_sent"
    assert "401" in (campaign.attempt().reason or "")


def test_a_list_of_rejected_records_that_cannot_be_written_changes_no_outcome(
    campaign: Campaign, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "a file").touch()
    monkeypatch.setenv("FEATURE_SYNC_OUTPUT_PATH", str(tmp_path / "a file" / "output"))
    campaign.sandbox.fault("run", "reject_rows", message="FIELD_CUSTOM_VALIDATION_EXCEPTION", count=1, times=1)

    with pytest.raises(BatchFailedError, match="records_failed is 1 instead of 0"):
        operator(campaign).execute(context(campaign))

    assert campaign.attempt().records_rejected == 1
    assert "The list of rejected records could not be written (NotADirectoryError" in capsys.readouterr().out
