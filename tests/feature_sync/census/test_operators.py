"""The operator and the sensor beside the sandbox: what they defer to, and what their triggers do. Whole runs: tests/live."""

import asyncio
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import TaskDeferred
from airflow.triggers.base import BaseTrigger, TaskSuccessEvent, TriggerEvent

from feature_sync import sending
from feature_sync.census import triggers
from feature_sync.census.hook import CensusHook
from feature_sync.census.operators import CensusBatchOperator
from feature_sync.census.triggers import CensusQuietTrigger, CensusRunTrigger
from feature_sync.outcome import BatchFailedError, BatchLockedError, BatchSkippedError
from feature_sync.settings import load_settings
from feature_sync.warehouse import Warehouse
from tests.feature_sync.campaign import Campaign
from tests.sandbox.client import BACKFILL, Sandbox


@pytest.fixture
def campaign(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Campaign]:
    monkeypatch.setattr(sending, "RECORDS_PAUSES", (0.1, 0.2, 0.4))
    monkeypatch.setattr(triggers, "LEAST_DEFERRAL", 0.2)
    with Warehouse(load_settings()) as warehouse:
        yield Campaign.freeze(sandbox, warehouse, batches=2)


def operator(campaign: Campaign, number: int = 1, wait_seconds: float = 0) -> CensusBatchOperator:
    return CensusBatchOperator(
        task_id="send",
        batch=campaign.batches[number - 1].as_xcom(),
        wait_seconds=str(wait_seconds),
        on_batch_failure="continue",
        max_consecutive_failures="3",
        retries=3,
    )


def context(campaign: Campaign, max_tries: int = 3) -> Any:
    return {"ti": SimpleNamespace(run_id=campaign.run_id, max_tries=max_tries)}


def deferred(campaign: Campaign, **options: Any) -> BaseTrigger:
    with pytest.raises(TaskDeferred) as gone:
        operator(campaign, **options).execute(context(campaign))
    assert gone.value.method_name == "resume"
    return gone.value.trigger


def fire(trigger: BaseTrigger, seconds: float = 20) -> TriggerEvent:
    """The trigger's first event, from a copy made of what the database keeps of it."""
    _, arguments = trigger.serialize()
    copy = type(trigger)(**arguments)

    async def first() -> TriggerEvent:
        return await asyncio.wait_for(anext(aiter(copy.run())), seconds)

    return asyncio.run(first())


def test_a_short_run_is_waited_for_without_deferring(campaign: Campaign) -> None:
    result = operator(campaign).execute(context(campaign))

    assert result == {"attempt": 1, "sync_run_id": campaign.attempt().sync_run_id, "records": 4}


def test_a_longer_run_is_handed_to_the_triggerer_and_taken_up_again(campaign: Campaign, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEATURE_SYNC_CENSUS_INLINE_POLL_SECONDS", "1.5")
    campaign.sandbox.settings(census_work_seconds=4)

    trigger = deferred(campaign)
    fire(trigger)
    result = operator(campaign).resume(context(campaign), {})

    assert isinstance(trigger, CensusRunTrigger)
    assert result["attempt"] == 1
    assert campaign.runs == 1


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


def test_a_trigger_fires_at_its_deadline_although_the_run_goes_on(campaign: Campaign) -> None:
    campaign.sandbox.settings(census_work_seconds=60)
    run_id = CensusHook().trigger_sync(BACKFILL)

    event = fire(CensusRunTrigger(run_id, 0.1, "2020-01-01T00:00:00+00:00"))

    assert event.payload == {}


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

    with pytest.raises(error, match="batch 001: records 1-4 failed in attempt 1"):
        operator(campaign).execute(context(campaign))


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


def test_why_a_batch_was_not_sent_is_written_down(campaign: Campaign) -> None:
    campaign.sandbox.fault("trigger", "token_expired", times=1)

    with pytest.raises(Exception, match="401"):
        operator(campaign).execute(context(campaign))

    assert campaign.attempt().status == "not_sent"
    assert "401" in (campaign.attempt().reason or "")


class Turns:
    """States of the lower batches, as Airflow would answer."""

    def __init__(self, *states: str | None) -> None:
        self.states = {f"batch.send_{index}": state for index, state in enumerate(states)}

    def get_task_states(self, **_: Any) -> dict[str, Any]:
        return {"run": self.states}


def turn(wait_seconds: float = 0) -> triggers.BatchTurnTrigger:
    return triggers.BatchTurnTrigger(
        dag_id="dag",
        run_id="run",
        map_index=2,
        send_task_id="batch.send",
        sync_id=BACKFILL,
        wait_seconds=wait_seconds,
        poll_seconds=0.1,
    )


@pytest.mark.parametrize("last", ["success", "failed", "upstream_failed", "skipped", "removed"])
@pytest.mark.usefixtures("sandbox")
def test_a_turn_comes_when_every_lower_batch_has_ended_well_or_badly(monkeypatch: pytest.MonkeyPatch, last: str) -> None:
    monkeypatch.setattr(triggers, "RuntimeTaskInstance", Turns("success", last))

    assert isinstance(fire(turn()), TaskSuccessEvent)


@pytest.mark.parametrize("last", [None, "scheduled", "queued", "running", "deferred", "up_for_retry"])
@pytest.mark.usefixtures("sandbox")
def test_a_turn_does_not_come_while_a_lower_batch_has_not_ended(monkeypatch: pytest.MonkeyPatch, last: str | None) -> None:
    monkeypatch.setattr(triggers, "RuntimeTaskInstance", Turns("success", last))

    with pytest.raises(TimeoutError):
        fire(turn(), seconds=0.6)


def test_a_turn_does_not_come_before_the_wait_is_over(campaign: Campaign, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(triggers, "RuntimeTaskInstance", Turns("success", "success"))
    campaign.send(1)

    with pytest.raises(TimeoutError):
        fire(turn(wait_seconds=600), seconds=0.6)


def test_a_turn_outlives_an_outage_of_census(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(triggers, "RuntimeTaskInstance", Turns("success", "success"))
    monkeypatch.setattr("feature_sync.census.hook.ATTEMPTS", 1)
    sandbox.fault("list_runs", "status", code=503, times=2)

    assert isinstance(fire(turn()), TaskSuccessEvent)


def test_a_turn_ends_with_the_error_when_the_token_is_refused(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(triggers, "LEAST_DEFERRAL", 0.2)
    monkeypatch.setattr(triggers, "RuntimeTaskInstance", Turns("success", "success"))
    sandbox.fault("list_runs", "token_expired", times=1)

    event = fire(turn())

    assert "401" in event.payload["error"]
