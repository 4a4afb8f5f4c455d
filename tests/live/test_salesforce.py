"""A site that has a connection to Salesforce: its first batch is read back, and a wrong one is the only one."""

from collections.abc import Iterator

import pytest

from laptop.stack import Stack
from tests.live.conftest import ENVIRONMENT, SANDBOX
from tests.live.invariants import assert_one_at_a_time, read_runs
from tests.live.runs import DAG_ID, LiveAirflow, incident_ids
from tests.receiver import Receiver

pytestmark = [pytest.mark.live, pytest.mark.long, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveAirflow]:
    folder = tmp_path_factory.mktemp("asked")
    receiver = Receiver()
    given = ENVIRONMENT | receiver.environment | {"FEATURE_SYNC_OUTPUT_PATH": str(folder / "output")}
    with Stack(folder, environment=given, sandbox_settings=SANDBOX, asks_salesforce=True) as stack:
        stack.airflow.wait_for_dag(DAG_ID)
        stack.airflow.unpause(DAG_ID)
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
