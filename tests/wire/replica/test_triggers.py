"""Waiting in the triggerer while the warehouse is away."""

from airflow.triggers.base import TaskSuccessEvent

from feature_sync.config.settings import load_settings
from feature_sync.replica.triggers import RunReplicaTrigger, run_replica_trigger
from feature_sync.storage.warehouse import AccessError
from tests.wire.campaign import Campaign
from tests.wire.firing import fire


def test_a_warehouse_that_is_away_for_a_moment_is_waited_for(sent: Campaign) -> None:
    trigger = run_replica_trigger(sent.run_id, load_settings(), ends_task=True)
    sent.sandbox.settings(replication_stalled=False)
    sent.sandbox.fault("warehouse", "fail", message="[INTERNAL_ERROR] restarting", times=2)

    assert isinstance(fire(trigger), TaskSuccessEvent)


def test_a_warehouse_that_stays_away_is_given_up(sent: Campaign) -> None:
    sent.sandbox.fault("warehouse", "fail", message="[INTERNAL_ERROR] gone")

    event = fire(RunReplicaTrigger(sent.run_id, 0.1, "2020-01-01T00:00:00+00:00", ends_task=True))

    assert "could not be read" in event.payload["error"]
    assert "gone" in event.payload["error"]


def test_credentials_that_are_refused_are_not_waited_for(sent: Campaign) -> None:
    sent.sandbox.settings(warehouse_token="dapi-of-another-day")
    try:
        event = fire(RunReplicaTrigger(sent.run_id, 0.1, "2100-01-01T00:00:00+00:00", ends_task=True))
    finally:
        sent.sandbox.settings(warehouse_token="dapi-local")

    assert "refuses the credentials of connection databricks_default" in event.payload["error"]
    assert event.payload["cause"] == AccessError.alert_cause
