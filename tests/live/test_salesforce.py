"""A site that has a connection to Salesforce: a wrong batch is the only one, and a run is validated by asking."""

from collections.abc import Iterator

import pytest

from feature_sync.config.names import RECONCILIATION_DAG_ID
from laptop.stack import Stack
from tests.live.conftest import ENVIRONMENT, SANDBOX
from tests.live.invariants import assert_one_at_a_time, read_runs
from tests.live.runs import DAG_ID, LiveAirflow, eventually, incident_ids
from tests.receiver import Receiver

pytestmark = [pytest.mark.live, pytest.mark.long, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveAirflow]:
    folder = tmp_path_factory.mktemp("asked")
    receiver = Receiver()
    given = ENVIRONMENT | receiver.environment | {"FEATURE_SYNC_OUTPUT_PATH": str(folder / "output")}
    with Stack(folder, environment=given, sandbox_settings=SANDBOX, asks_salesforce=True) as stack:
        for dag_id in (DAG_ID, RECONCILIATION_DAG_ID):
            stack.airflow.wait_for_dag(dag_id)
            stack.airflow.unpause(dag_id)
        yield LiveAirflow(stack, folder / "output", receiver)
    receiver.stop()


def test_a_lost_write_stops_the_run_after_one_batch_and_clearing_what_failed_repairs_it(asked: LiveAirflow) -> None:
    asked.stack.sandbox.faults.add("run", "silent_loss", times=1)
    run = asked.trigger_ids(incident_ids(0, 12), batch_size=4, wait_seconds=1)

    first = run.wait()
    reasons = [run.error("batch.send", index) for index in range(3)]
    sent = [entry["records"] for entry in run.journal() if entry["kind"] == "census.run.ended"]
    run.clear(["batch.send", "validate"], only_failed=True)
    second = run.wait()

    assert first == "failed"
    assert "of 4 records differ" in reasons[0]
    assert all("batch 001 was read back from Salesforce, which holds something else" in reason for reason in reasons[1:])
    assert sent == [4], "at most one batch is wrong"
    assert second == "success", run.error("validate")
    assert_one_at_a_time(read_runs(run.journal()), 1)


def test_a_small_run_is_green_at_once_although_the_replication_stands_still(asked: LiveAirflow) -> None:
    asked.settings(replication_stalled=True)
    run = asked.trigger_ids(incident_ids(20, 6), batch_size=4, wait_seconds=1)

    state = run.wait()
    asked.settings(replication_stalled=False)

    assert state == "success", run.error("validate")
    assert "This run does not wait for the replica" in run.log("wait_for_copy")
    assert "Read from Salesforce itself at" in run.log("validate")
    assert run.validation()["compared_with"]["records_read_from_salesforce"] == 6
    assert run.validation()["result"] == "0 properties with mismatched feature data"


def test_a_weekly_run_waits_until_the_replica_shows_what_it_has_healed(asked: LiveAirflow) -> None:
    asked.settings(flow_enabled=False)  # so that a few large batches repair the incident
    repaired = asked.trigger(scope="mismatched", batch_size=200, wait_seconds=1)
    assert repaired.wait() == "success", repaired.error("validate")
    asked.harm("Fraud_Detection_Enabled__c = true LIMIT 2")
    asked.settings(replication_stalled=True)

    run = asked.start(RECONCILIATION_DAG_ID)
    run.question("approve_healing")
    run.answer("approve_healing", "Approve")
    eventually(lambda: run.task("wait_for_healed_copy").state == "deferred", 300)
    asked.settings(replication_stalled=False)
    run.wait()

    states = {task_id: run.task(task_id).state for task_id in ("heal", "wait_for_healed_copy", "conclude")}
    assert set(states.values()) == {"success"}, run.error("conclude")
