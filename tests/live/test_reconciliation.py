"""A week in the life of the data on a live Airflow: drift is found, the source query deployed, the next drift healed."""

import csv
from collections.abc import Iterator
from typing import Any

import pytest

from feature_sync.config.names import BACKFILL_DAG_ID, DEPLOY_DAG_ID, RECONCILIATION_DAG_ID
from feature_sync.storage.run_files import folder_name
from laptop.airflow_client import DagRun
from sandbox.census.syncs import PROPERTY_SYNC
from tests.live.runs import LiveAirflow, eventually

pytestmark = [pytest.mark.live, pytest.mark.timeout(900)]
HARMED = 3


@pytest.fixture
def first_day(live: LiveAirflow) -> Iterator[LiveAirflow]:
    """As on the day of the incident, with the Flow off, so that the regular sync gets through; put back for the other tests."""
    live.stack.sandbox.request("POST", "reset")
    live.settings(flow_enabled=False)
    for dag_id in (RECONCILIATION_DAG_ID, DEPLOY_DAG_ID):
        live.stack.airflow.wait_for_dag(dag_id)
        live.stack.airflow.unpause(dag_id)
    yield live
    live.stack.airflow.pause(RECONCILIATION_DAG_ID)
    live.stack.sandbox.request("POST", "reset")


def harm_records(live: LiveAirflow) -> list[str]:
    """Somebody switches a product off in Salesforce, by hand."""
    return live.harm(f"Fraud_Detection_Enabled__c = true LIMIT {HARMED}")


def healing_runs(live: LiveAirflow) -> list[DagRun]:
    return [run for run in live.stack.airflow.dag_runs(BACKFILL_DAG_ID) if run.run_id.startswith("healing__")]


def asset_events(live: LiveAirflow) -> list[dict[str, Any]]:
    params = {"source_dag_id": RECONCILIATION_DAG_ID}
    return list(live.stack.airflow.request("GET", "assets/events", params=params)["asset_events"])


def assert_nothing_is_left_to_send(live: LiveAirflow) -> None:
    """A backfill with the default scope is green. It says what it compared, sends nothing and asks nobody about the Flow."""
    backfill = live.trigger(strategy="full")
    assert backfill.wait() == "success", backfill.error("validate")
    assert backfill.validation()["result"] == "Nothing to do. 0 of 10,000 records in Salesforce differ from the warehouse."
    assert [backfill.task(task_id).state for task_id in ("confirm_flow_off", "validate")] == ["skipped", "success"]
    assert {task.state for task in backfill.tasks("batch.send")} == {"skipped"}
    assert backfill.alerts() == {}


def test_drift_is_found_its_cause_deployed_and_the_next_one_healed(first_day: LiveAirflow) -> None:
    live = first_day

    # The weekly run after the incident: it fails visibly, for both reasons, and heals nothing without a yes.
    week_1 = live.start(RECONCILIATION_DAG_ID)
    question = week_1.question("approve_healing")
    week_1.answer("approve_healing", "Reject")
    assert week_1.wait() == "failed"
    assert "| Fraud Detection      |" in question
    assert "1,226" in question
    assert week_1.task("heal").state == "upstream_failed"
    assert "of 10,000 properties differ from the warehouse" in week_1.error("conclude")
    said = week_1.error("check_source_query")
    assert "fraud_detection_enabled__c (column fraud_detection_enabled_c) is wrongly False in 8,597" in said
    assert "The join with the feature table is missing" in said
    assert week_1.task("remove_old_payloads").state == "success"
    assert healing_runs(live) == []
    assert asset_events(live) == []

    # The corrected query goes to Census, and the regular sync corrects everything.
    deploy = live.start(DEPLOY_DAG_ID)
    difference = deploy.question("approve")
    deploy.answer("approve", "Approve")
    assert deploy.wait() == "success", deploy.error("deploy_query")
    assert "-  FALSE AS fraud_detection_enabled_c," in difference
    live.stack.sandbox.start_foreign_run(PROPERTY_SYNC)
    eventually(lambda: live.stack.sandbox.journal(kind="census.run.ended"))
    live.replicate()

    # Three records go wrong by hand: found, approved, healed by a backfill of exactly these.
    harmed = harm_records(live)
    week_2 = live.start(RECONCILIATION_DAG_ID)
    question = week_2.question("approve_healing")
    assert f"{HARMED} of 10,000 properties" in question
    week_2.answer("approve_healing", "Approve")
    eventually(lambda: week_2.task("heal").state == "deferred", 180)  # waits without a worker slot
    assert week_2.wait() == "success", week_2.error("conclude")
    [healing] = healing_runs(live)
    assert (healing.state, healing.conf["scope"]) == ("success", "mismatched")
    with next((live.output / folder_name(healing.run_id)).glob("feature_backfill_*.csv")).open() as file:
        assert sorted(row["reverse_etl_id_c"] for row in csv.DictReader(file)) == harmed
    report = week_2.validation()
    assert (report["properties_checked"], report["properties_mismatched"]) == (10_000, 0)
    assert report["healing"]["mismatched_before"] == HARMED
    page = (week_2.folder / "report.html").read_text()
    assert "2 weekly comparisons since" in page
    assert "The diamond: after the healing." in page
    assert "approve_healing" in page
    assert "The diamond: after the healing." in (week_2.folder / "accuracy.svg").read_text()
    [event] = asset_events(live)
    assert event["extra"]["properties_checked"] == 10_000

    # Nothing is wrong any more: nobody is asked, nothing is sent, and others are told.
    week_3 = live.start(RECONCILIATION_DAG_ID)
    assert week_3.wait() == "success", week_3.error("conclude")
    assert [week_3.task(task_id).state for task_id in ("approve_healing", "heal")] == ["skipped", "skipped"]
    assert len(healing_runs(live)) == 1
    assert len(asset_events(live)) == 2
    assert_nothing_is_left_to_send(live)
