"""The sensor and the operator that wait for the copy of Salesforce, beside the sandbox."""

import asyncio
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowSkipException, TaskDeferred
from airflow.triggers.base import BaseTrigger, TaskSuccessEvent, TriggerEvent

from feature_sync import copy_sensors, validation_operators
from feature_sync.copy_sensors import RunCopySensor, RunCopyTrigger
from feature_sync.validation import CopyStalledError, NothingToValidateError
from feature_sync.validation_operators import ValidationOperator
from tests.feature_sync.campaign import Campaign, sent_unseen
from tests.sandbox.client import Sandbox


@pytest.fixture
def campaign(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Campaign]:
    """One batch that was sent, while the replication stands still."""
    monkeypatch.setattr(copy_sensors, "LEAST_DEFERRAL", 0.2)
    for module in (copy_sensors, validation_operators):
        monkeypatch.setattr(module, "has_succeeded", lambda *_: True)
    monkeypatch.setenv("FEATURE_SYNC_COPY_POLL_SECONDS", "0.2")
    with sent_unseen(sandbox) as campaign:
        yield campaign


def context(campaign: Campaign) -> Any:
    ti = SimpleNamespace(dag_id="product_feature_backfill", run_id=campaign.run_id)
    return {"ti": ti, "task": SimpleNamespace(outlets=[])}


def deferred(task: RunCopySensor | ValidationOperator, campaign: Campaign) -> RunCopyTrigger:
    with pytest.raises(TaskDeferred) as gone:
        task.execute(context(campaign))
    assert isinstance(gone.value.trigger, RunCopyTrigger)
    return gone.value.trigger


def fire(trigger: BaseTrigger) -> TriggerEvent:
    """The trigger's event, from a copy made of what the database keeps of it."""
    _, arguments = trigger.serialize()

    async def first() -> TriggerEvent:
        return await asyncio.wait_for(anext(aiter(type(trigger)(**arguments).run())), 20)

    return asyncio.run(first())


def validation() -> ValidationOperator:
    return ValidationOperator(task_id="validate", planned_by="plan_batches", is_dry_run="False")


def sensor() -> RunCopySensor:
    return RunCopySensor(task_id="wait_for_copy", planned_by="plan_batches", is_dry_run="False")


def test_the_sensor_ends_from_its_trigger_when_the_copy_has_caught_up(campaign: Campaign) -> None:
    trigger = deferred(sensor(), campaign)
    campaign.sandbox.settings(replication_stalled=False)

    assert isinstance(fire(trigger), TaskSuccessEvent)
    assert sensor().execute(context(campaign)) is None  # type: ignore[func-returns-value]


def test_validation_waits_for_the_copy_by_itself(campaign: Campaign) -> None:
    task = validation()
    trigger = deferred(task, campaign)
    campaign.sandbox.settings(replication_stalled=False)

    event = fire(trigger)
    result = task.resume(context(campaign), event.payload)

    assert not isinstance(event, TaskSuccessEvent)
    assert result["result"] == "0 properties with mismatched feature data"


def test_a_replication_that_stands_still_is_an_error_after_the_limit_and_never_a_pass(
    campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting, task = sensor(), validation()
    trigger = deferred(waiting, campaign)
    monkeypatch.setenv("FEATURE_SYNC_COPY_LIMIT_SECONDS", "1")

    event = fire(trigger)

    with pytest.raises(CopyStalledError, match="4 of 4 records have not changed there"):
        waiting.fail(context(campaign), event.payload)
    with pytest.raises(CopyStalledError, match=r"limit 1 s\).*replication of Salesforce"):
        waiting.execute(context(campaign))
    with pytest.raises(CopyStalledError):
        task.execute(context(campaign))


def test_a_warehouse_that_is_away_for_a_moment_is_waited_for(campaign: Campaign) -> None:
    trigger = deferred(sensor(), campaign)
    campaign.sandbox.settings(replication_stalled=False)
    campaign.sandbox.fault("warehouse", "fail", message="[INTERNAL_ERROR] restarting", times=2)

    assert isinstance(fire(trigger), TaskSuccessEvent)


def test_a_warehouse_that_stays_away_is_given_up(campaign: Campaign) -> None:
    campaign.sandbox.fault("warehouse", "fail", message="[INTERNAL_ERROR] gone")

    event = fire(RunCopyTrigger(campaign.run_id, 0.1, "2020-01-01T00:00:00+00:00", ends_task=True))

    assert "could not be read" in event.payload["error"]
    assert "gone" in event.payload["error"]


@pytest.mark.parametrize("planned", [True, False], ids=["planned", "refused"])
def test_a_dry_run_is_skipped_but_a_run_that_never_came_to_its_batches_is_a_failure(
    campaign: Campaign, monkeypatch: pytest.MonkeyPatch, planned: bool
) -> None:
    for module in (copy_sensors, validation_operators):
        monkeypatch.setattr(module, "has_succeeded", lambda *_: planned)
    task = ValidationOperator(task_id="validate", planned_by="plan_batches", is_dry_run="True")

    with pytest.raises(AirflowSkipException if planned else NothingToValidateError):
        task.execute(context(campaign))
    with pytest.raises(AirflowSkipException):
        RunCopySensor(task_id="wait", planned_by="plan_batches", is_dry_run=str(planned)).execute(context(campaign))
