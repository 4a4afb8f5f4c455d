"""What people hear of a question, and which of their answers counts, on a real Airflow with a channel that listens."""

import json
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from urllib.parse import quote

import pytest

from feature_sync.config.names import BACKFILL_DAG_ID, RECONCILIATION_DAG_ID
from laptop.stack import Stack
from tests.live.conftest import ENVIRONMENT, SANDBOX
from tests.live.runs import LiveAirflow, LiveRun, eventually, incident_ids
from tests.live.test_reconciliation import healing_runs
from tests.receiver import Receiver

pytestmark = [pytest.mark.live, pytest.mark.long, pytest.mark.timeout(900)]
LIMIT = 120
OPTIONS = {
    "FEATURE_SYNC_APPROVAL_LIMIT_SECONDS": str(LIMIT),
    "FEATURE_SYNC_APPROVAL_REASON": "ticket",
    "FEATURE_SYNC_GUARD_DISABLE_SHARE": "0",
    "FEATURE_SYNC_HEALING_RUN_CONFIG": '{"wait_seconds": 0, "batch_size": 200}',
}


@pytest.fixture(scope="module")
def asking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveAirflow]:
    """A site where an approval needs a ticket, and has to come within two minutes."""
    folder, receiver = tmp_path_factory.mktemp("asking"), Receiver()
    given = ENVIRONMENT | receiver.environment | OPTIONS | {"FEATURE_SYNC_OUTPUT_PATH": str(folder / "output")}
    with Stack(folder, environment=given, sandbox_settings=SANDBOX | {"flow_enabled": False}) as stack:
        for dag_id in (BACKFILL_DAG_ID, RECONCILIATION_DAG_ID):
            stack.airflow.wait_for_dag(dag_id)
            stack.airflow.unpause(dag_id)
        yield LiveAirflow(stack, folder / "output", receiver)
    receiver.stop()


def approve(run: LiveRun, task_id: str, **typed: str) -> None:
    path = f"dags/{run.dag_id}/dagRuns/{quote(run.run_id)}/taskInstances/{task_id}/-1/hitlDetails"
    run.airflow.stack.airflow.request("PATCH", path, json={"chosen_options": ["Approve"], "params_input": typed})


def kept(run: LiveRun, task_id: str) -> dict[str, Any]:
    """What is kept of the newest question of a task."""
    entry: dict[str, Any] = json.loads((run.folder / "approvals.json").read_text())[task_id][-1]
    return entry


def test_reminders_come_in_time_whatever_happens_and_silence_fails_the_run_when_it_was_said(asking: LiveAirflow) -> None:
    run = asking.trigger_ids(incident_ids(700, 3), strategy="full")
    subject = "Is the rollup Flow off, for 3 records at once?"
    body = run.question("confirm_flow_off")
    eventually(lambda: run.asked() == [f"warning: {subject}"], 60)
    eventually(lambda: run.task("confirm_flow_off").state == "deferred", 60)
    deadline = kept(run, "confirm_flow_off")["deadline"]
    assert f"Run `{run.run_id}` of product_feature_backfill, started by admin." in body
    assert "An approval without a ticket in its reason does not count." in body

    time.sleep(10)  # a person reads it
    approve(run, "confirm_flow_off", reason="because")  # Airflow takes it: it does not look at what was typed
    again = "Asked again, the approval does not count"
    eventually(lambda: f"warning: {again}: {subject}" in run.asked(), 60)
    asking.stack.processes["triggerer"].kill()
    asking.stack.processes["triggerer"].restart()

    assert run.wait() == "failed"
    assert f"Nobody answered in time: {subject} To ask again, clear this task" in run.error("confirm_flow_off")
    still = f"Still not answered: {subject}"
    assert run.asked() == [f"warning: {subject}", f"warning: {again}: {subject}", f"warning: {still}", f"failure: {still}"]
    entry = kept(run, "confirm_flow_off")
    asked, ended, until = (datetime.fromisoformat(at) for at in (entry["asked_at"], entry["at"], deadline))
    assert entry["deadline"] == deadline
    assert (until - asked).total_seconds() == LIMIT
    assert 0 <= (ended - until).total_seconds() < 60
    assert [one["by"] for one in entry["refused"]] == ["admin"]


def test_healing_asks_once_although_products_are_turned_off(asking: LiveAirflow) -> None:
    wrong = "Fraud_Detection_Enabled__c = false AND CreatedDate < 2025-11-20T00:00:00Z LIMIT 3"
    records = asking.query(f"SELECT Id, Reverse_ETL_ID__c FROM Product_Property__c WHERE {wrong}")
    for record in records:
        path = f"sobjects/Product_Property__c/{record['Id']}"
        asking.salesforce("PATCH", path, json={"Fraud_Detection_Enabled__c": True}).raise_for_status()
    asking.replicate()

    week = asking.start(RECONCILIATION_DAG_ID)
    week.question("approve_healing")
    eventually(lambda: week.task("approve_healing").state == "deferred", 60)
    time.sleep(10)
    approve(week, "approve_healing", reason="OPS-7: agreed")
    eventually(lambda: healing_runs(asking), 180)
    [healing] = healing_runs(asking)
    run = LiveRun(asking, healing.run_id, week.began_after)

    assert run.wait(600) == "success", run.error("check_payload")
    assert run.task("approve_mass_disable").state == "skipped"
    assert run.asked() == []
    assert "admin has approved the numbers of run" in run.log("check_payload")
    assert kept(week, "approve_healing")["reason"] == "OPS-7: agreed"
    assert [one.split(":")[0] for one in week.asked()] == ["warning", "info"]
    off = asking.query(f"SELECT Id FROM Product_Property__c WHERE {wrong.removesuffix(' LIMIT 3')}")
    assert {record["Id"] for record in records} <= {record["Id"] for record in off}
