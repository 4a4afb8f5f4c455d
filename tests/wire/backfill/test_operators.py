"""The task that gives a run its verdict, beside the sandbox."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowSkipException
from airflow.triggers.base import TaskSuccessEvent

from feature_sync.backfill import operators
from feature_sync.backfill.operators import ValidationOperator
from feature_sync.backfill.validation import NothingToValidateError
from feature_sync.replica.state import ReplicaStalledError
from feature_sync.replica.triggers import RunReplicaTrigger
from tests.sandbox.client import Sandbox
from tests.wire.campaign import Campaign, sent_unseen
from tests.wire.connections import salesforce_connection
from tests.wire.firing import deferred, fire


@pytest.fixture
def campaign(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Campaign]:
    """One batch that was sent, while the replication stands still."""
    monkeypatch.setattr(operators, "has_succeeded", lambda *_: True)
    monkeypatch.setenv("FEATURE_SYNC_COPY_POLL_SECONDS", "0.2")
    with sent_unseen(sandbox) as campaign:
        yield campaign


def context(campaign: Campaign) -> Any:
    ti = SimpleNamespace(dag_id="product_feature_backfill", run_id=campaign.run_id, id="a try", xcom_push=lambda **_: None)
    return {"ti": ti, "task": SimpleNamespace(outlets=[]), "params": {}}


def validation(*, is_dry_run: bool = False) -> ValidationOperator:
    return ValidationOperator(task_id="validate", planned_by="plan_batches", is_dry_run=str(is_dry_run))


def test_it_waits_for_the_replica_by_itself(campaign: Campaign) -> None:
    task = validation()
    trigger = deferred(task, context(campaign))
    assert isinstance(trigger, RunReplicaTrigger)
    campaign.sandbox.settings(replication_stalled=False)

    event = fire(trigger)
    result = task.resume(context(campaign), event.payload)

    assert not isinstance(event, TaskSuccessEvent)
    assert result["result"] == "0 properties with mismatched feature data"


def test_a_replication_that_stands_still_is_an_error_after_the_limit_and_never_a_pass(
    campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = validation()
    trigger = deferred(task, context(campaign))
    monkeypatch.setenv("FEATURE_SYNC_COPY_LIMIT_SECONDS", "1")

    event = fire(trigger)

    with pytest.raises(ReplicaStalledError, match="4 of 4 records are not shown yet"):
        task.resume(context(campaign), event.payload)
    with pytest.raises(ReplicaStalledError):
        task.execute(context(campaign))


@pytest.mark.parametrize("planned", [True, False], ids=["planned", "refused"])
def test_a_dry_run_is_skipped_but_a_run_that_never_came_to_its_batches_is_a_failure(
    campaign: Campaign, monkeypatch: pytest.MonkeyPatch, planned: bool
) -> None:
    monkeypatch.setattr(operators, "has_succeeded", lambda *_: planned)

    with pytest.raises(AirflowSkipException if planned else NothingToValidateError):
        validation(is_dry_run=True).execute(context(campaign))


def test_a_small_run_that_can_be_asked_about_needs_no_replica(campaign: Campaign, monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox = campaign.sandbox
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(sandbox.state / "authority.pem"))
    monkeypatch.setenv("AIRFLOW_CONN_SALESFORCE_DEFAULT", salesforce_connection(sandbox))

    result = validation().execute(context(campaign))

    assert result["result"] == "0 properties with mismatched feature data"
    assert result["proves_equality"]
