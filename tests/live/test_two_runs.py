"""Runs that make no sense, and two runs at once of the same records, on a live Airflow."""

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from feature_sync.config.names import BACKFILL_DAG_ID, RECONCILIATION_DAG_ID
from laptop.airflow_client import AirflowError
from tests.live.runs import LiveAirflow, LiveRun, eventually, incident_ids

pytestmark = [pytest.mark.live, pytest.mark.long, pytest.mark.timeout(900)]
IDS = incident_ids(600, 8)


@pytest.fixture
def weekly(live: LiveAirflow) -> Iterator[LiveAirflow]:
    live.stack.airflow.wait_for_dag(RECONCILIATION_DAG_ID)
    live.stack.airflow.unpause(RECONCILIATION_DAG_ID)
    yield live
    live.stack.airflow.pause(RECONCILIATION_DAG_ID)


def sends(live: LiveAirflow, after: int) -> Counter[str]:
    """How often Census sent each record."""
    entries = [entry for entry in live.stack.sandbox.journal(after) if entry["kind"] == "salesforce.transaction"]
    return Counter(key for entry in entries if entry["source"] == "census" for key in entry["keys"])


def start(live: LiveAirflow, dag_id: str, **body: Any) -> str:
    asked = {"logical_date": None, "conf": {}, **body}
    return str(live.stack.airflow.request("POST", f"dags/{dag_id}/dagRuns", json=asked)["dag_run_id"])


def first_asset(live: LiveAirflow) -> int:
    return int(live.stack.airflow.request("GET", "assets")["assets"][0]["id"])


@pytest.mark.parametrize(
    ("refused", "reason"),
    [
        pytest.param(
            lambda live: live.stack.airflow.request(
                "POST",
                "backfills",
                json={"dag_id": RECONCILIATION_DAG_ID, "from_date": "2025-11-01T00:00:00Z", "to_date": "2025-11-21T00:00:00Z"},
            ),
            "does not allow backfill runs",
            id="airflows-own-backfill",
        ),
        pytest.param(
            lambda live: live.stack.airflow.request("POST", f"assets/{first_asset(live)}/materialize"), "HTTP 4", id="an-asset"
        ),
        pytest.param(lambda live: start(live, BACKFILL_DAG_ID, partition_key="2025-11-21"), "partition", id="a-partition"),
    ],
)
def test_airflow_does_not_even_begin_a_run_that_makes_no_sense(
    weekly: LiveAirflow, refused: Callable[[LiveAirflow], Any], reason: str
) -> None:
    with pytest.raises(AirflowError, match=reason):
        refused(weekly)


@pytest.mark.parametrize("dag_id", [BACKFILL_DAG_ID, RECONCILIATION_DAG_ID])
def test_a_run_of_another_day_ends_at_its_first_task_and_writes_nothing(weekly: LiveAirflow, dag_id: str) -> None:
    airflow = weekly.stack.airflow
    before = weekly.stack.sandbox.journal()[-1]["seq"]
    run_id = start(weekly, dag_id, logical_date=(datetime.now(UTC) - timedelta(days=3)).isoformat())

    assert airflow.wait_for_run(dag_id, run_id, timeout=240).state == "failed"

    first = airflow.task_instance(dag_id, run_id, "check_preconditions" if dag_id == BACKFILL_DAG_ID else "wait_for_copy")
    assert "this DAG looks at the present state of Salesforce" in (airflow.error_text(dag_id, run_id, first) or "")
    assert [entry for entry in weekly.stack.sandbox.journal(before) if entry["kind"] == "warehouse.statement"] == []
    if dag_id == RECONCILIATION_DAG_ID:
        beside = [airflow.task_instance(dag_id, run_id, name).state for name in ("remove_old_payloads", "check_source_query")]
        assert beside == ["skipped", "skipped"], "one failure says it, and one alert"


def test_of_two_runs_of_the_same_records_one_sends_them(live: LiveAirflow) -> None:
    runs = [live.trigger_ids(IDS[:6], batch_size=3, wait_seconds=1), live.trigger_ids(IDS, batch_size=4, wait_seconds=1)]

    states = [run.wait() for run in runs]

    assert sorted(states) == ["failed", "success"], [run.error("freeze_payload") for run in runs]
    sent, refused = sorted(runs, key=lambda run: run.wait() == "failed")
    problem = refused.error("freeze_payload")
    assert f"Run '{sent.run_id}' has not ended, and it has frozen 6 records of this run" in problem
    assert "mark it as failed: then it holds nothing back" in problem
    assert set(refused.alerts()) == {f"{BACKFILL_DAG_ID}: freeze_payload failed"}
    assert set(sends(live, runs[0].began_after).values()) == {1}


def test_a_run_that_was_stopped_halfway_holds_nothing_back(live: LiveAirflow) -> None:
    live.settings(census_work_seconds=1.0)
    # Its first batch keeps the wait too, after the Census run of the test before. The second one waits while we look.
    stopped = live.trigger_ids(IDS, batch_size=4, wait_seconds=240)
    eventually(lambda: any(entry["kind"] == "census.run.ended" for entry in stopped.journal()), 480)
    eventually(lambda: [task.state for task in stopped.tasks("batch.send")][:1] == ["success"], 120)
    _, unsent = stopped.batches().values()
    beside = live.trigger_ids(sorted(unsent), wait_seconds=1)
    assert beside.wait() == "failed"
    assert f"Run '{stopped.run_id}' has not ended" in beside.error("freeze_payload")

    stop(live, stopped)
    after = live.trigger_ids(sorted(unsent), wait_seconds=1)

    assert after.wait() == "success", after.error("freeze_payload")
    assert set(sends(live, stopped.began_after).values()) == {1}


def stop(live: LiveAirflow, run: LiveRun) -> None:
    """As a person stops a run: marks it as failed."""
    live.stack.airflow.request("PATCH", f"dags/{BACKFILL_DAG_ID}/dagRuns/{run.run_id}", json={"state": "failed"})
    eventually(lambda: run.wait() == "failed", 60)
