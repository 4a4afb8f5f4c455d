"""The weekly run compares only with a copy of Salesforce that shows all that was sent, and was replicated lately."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
from airflow.sdk.exceptions import TaskDeferred
from airflow.triggers.base import TaskSuccessEvent

from feature_sync import copy_sensors
from feature_sync.copy_sensors import WholeCopySensor, WholeCopyTrigger
from feature_sync.validation import CopyStalledError
from tests.feature_sync.campaign import Campaign, sent_unseen
from tests.feature_sync.test_validation_operators import fire
from tests.sandbox.client import Sandbox

PAST = "2020-01-01T00:00:00+00:00"
FUTURE = "2100-01-01T00:00:00+00:00"


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copy_sensors, "LEAST_DEFERRAL", 0.2)
    monkeypatch.setenv("FEATURE_SYNC_COPY_POLL_SECONDS", "0.2")


@pytest.fixture
def sent(sandbox: Sandbox) -> Iterator[Campaign]:
    """A batch that was sent while the replication stands still."""
    with sent_unseen(sandbox) as campaign:
        yield campaign


def wait() -> Any:
    return WholeCopySensor(task_id="wait_for_copy").execute({})


def test_a_copy_that_is_fresh_is_not_waited_for(sandbox: Sandbox) -> None:
    sandbox.control("POST", "replication", {})

    assert wait() is None


def test_what_any_run_has_sent_is_waited_for(sent: Campaign) -> None:
    with pytest.raises(TaskDeferred) as waiting:
        wait()
    trigger = waiting.value.trigger
    assert isinstance(trigger, WholeCopyTrigger)
    sent.sandbox.settings(replication_stalled=False)

    assert isinstance(fire(trigger), TaskSuccessEvent)


@pytest.mark.usefixtures("sent")
def test_a_replication_that_stands_still_is_a_failure_after_the_limit() -> None:
    event = fire(WholeCopyTrigger(0.1, PAST, ends_task=True))

    assert not isinstance(event, TaskSuccessEvent)
    assert "4 of " in event.payload["error"]
    assert "Nothing was compared." in event.payload["error"]
    with pytest.raises(CopyStalledError, match="is stale"):
        WholeCopySensor(task_id="wait_for_copy").fail({}, event.payload)  # type: ignore[arg-type]


def test_a_copy_that_nobody_replicates_any_more_is_stale(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox.control("POST", "replication", {})  # what other tests have sent
    sandbox.sql("CREATE OR REPLACE TABLE crm.salesforce.old_copy AS SELECT * FROM crm.salesforce.product_property_c")
    sandbox.sql("UPDATE crm.salesforce.old_copy SET _fivetran_synced = current_timestamp() - INTERVAL 73 HOURS")
    monkeypatch.setenv("FEATURE_SYNC_SALESFORCE_TABLE", "crm.salesforce.old_copy")

    with pytest.raises(TaskDeferred):
        wait()
    event = fire(WholeCopyTrigger(0.1, PAST, ends_task=True))
    assert "COPY_AGE_LIMIT_SECONDS allows 259,200" in event.payload["error"]
    monkeypatch.setitem(os.environ, "FEATURE_SYNC_COPY_AGE_LIMIT_SECONDS", "300000")
    assert isinstance(fire(WholeCopyTrigger(0.1, FUTURE, ends_task=True)), TaskSuccessEvent)


def test_an_empty_copy_is_stale(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox.sql("CREATE OR REPLACE TABLE crm.salesforce.empty_copy AS SELECT * FROM crm.salesforce.old_copy WHERE FALSE")
    monkeypatch.setenv("FEATURE_SYNC_SALESFORCE_TABLE", "crm.salesforce.empty_copy")

    with pytest.raises(TaskDeferred):
        wait()
