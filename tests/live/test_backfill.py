"""Whole runs of ``product_feature_backfill`` on a live scheduler; ``dag.test()`` ignores pools and could prove none of this."""

import re
from collections import Counter
from collections.abc import Sequence
from urllib.parse import quote

import pytest

from laptop.airflow_client import DagRun, TaskInstance
from tests.live.invariants import accepted_keys, assert_one_at_a_time, assert_staged_alone, first_pass, read_runs
from tests.live.runs import DAG_ID, LiveAirflow, eventually, incident_ids

pytestmark = [pytest.mark.live, pytest.mark.timeout(900)]
WAIT = 3


def test_a_run_of_several_batches_keeps_every_invariant(live: LiveAirflow) -> None:
    live.settings(census_work_seconds=5.0)  # longer than the inline poll, so that every send defers
    ids = incident_ids(0, 73)
    seen: Counter[str] = Counter()

    def look(_run: DagRun, tasks: Sequence[TaskInstance]) -> None:
        if any(task.task_id == "batch.send" and task.state == "deferred" for task in tasks):
            seen["looks at a waiting batch"] += 1
            seen["running"] += sum(task.state == "running" for task in tasks)

    run = live.trigger_ids(ids, batch_size=25, wait_seconds=WAIT)
    state = run.wait(on_progress=look)

    assert state == "success", run.error("validate")
    journal, batches = run.journal(), run.batches()
    runs = read_runs(journal)
    assert [len(keys) for keys in batches.values()] == [25, 25, 23]
    assert_one_at_a_time(runs, WAIT)
    assert_staged_alone(journal, runs, batches.values())
    assert first_pass(runs, batches) == [1, 2, 3]
    assert len(runs) == 3
    assert accepted_keys(journal) == set(ids)
    validation = run.validation()
    assert validation["result"] == "0 properties with mismatched feature data"
    assert validation["properties_checked"] == 73
    assert validation["records"] == {
        "in_scope": 73,
        "sent": 73,
        "rejected": 0,
        "not_sent": 0,
        "accepted_by_counters": 0,
        "changed_since_freeze": 0,
    }
    assert [task.label for task in run.tasks("batch.send")] == [
        "batch 001: records 1-25",
        "batch 002: records 26-50",
        "batch 003: records 51-73",
    ]
    assert seen["looks at a waiting batch"] >= 3
    assert seen["running"] == 0, "a worker slot was held while a batch was on its way"


def test_51_records_break_the_flow_and_the_dag_says_so(live: LiveAirflow) -> None:
    run = live.trigger_ids(incident_ids(200, 60), batch_size=51, wait_seconds=WAIT)
    state = run.wait()

    journal = run.journal()
    transactions = [entry for entry in journal if entry["kind"] == "salesforce.transaction"]
    assert state == "failed"
    assert [(entry["records"], entry["rejected"]) for entry in transactions] == [(51, 51), (9, 0)]
    assert [task.state for task in run.tasks("batch.send")] == ["failed", "success"]
    assert re.match(r"BatchFailedError: 51 of 51 records rejected by Salesforce, 0 accepted", run.error("batch.send", 0))
    assert "leave Downstream selected (4 affected tasks)" in run.error("batch.send", 0)
    log = run.log_entries("batch.send", 0)
    assert [entry for entry in log if entry.get("error_detail")] == [], "an expected failure has a stack trace"
    assert not any("is deprecated" in entry["event"] for entry in log if "ProvidersManager" in entry["event"])
    assert 'the "Product Property | After | Rollup Flow" process failed' in run.error("batch.send", 0)
    assert run.task("validate").state == "failed"
    assert "batch 001: records 1-51 did not succeed" in run.error("validate")
    assert re.match(r"Verdict: \d+ of 60 properties differ. 2 batches, 9 records sent.$", run.note), run.note
    path = f"dags/{DAG_ID}/dagRuns/{quote(run.run_id, safe='')}/taskInstances"
    buttons = live.stack.airflow.request("GET", f"{path}/batch.send/links?map_index=0")["extra_links"]
    assert buttons["Census run"].startswith("https://app.getcensus.com/syncs/")
    assert buttons["Progress"].startswith(live.stack.airflow.url)
    assert "report.html" in live.stack.airflow.request("GET", f"{path}/validate/links")["extra_links"]["Report"]
    assert run.validation()["records"] == {
        "in_scope": 60,
        "sent": 9,
        "rejected": 51,
        "not_sent": 0,
        "accepted_by_counters": 0,
        "changed_since_freeze": 0,
    }
    assert run.validation()["properties_mismatched"] > 40
    alerts = eventually(lambda: len(run.alerts()) > 1 and run.alerts())
    batch = alerts.pop(f"{DAG_ID}: batch 001: records 1-51 failed")
    assert "Task: batch.send[0] (batch 001: records 1-51), try 1\n" in batch
    assert "51 of 51 records rejected by Salesforce, 0 accepted" in batch
    assert "records_failed is 51 instead of 0" in batch
    assert 'the "Product Property | After | Rollup Flow" process failed' in batch
    link = f"{live.stack.airflow.url}/dags/{DAG_ID}/runs/{quote(run.run_id)}/tasks/batch.send/mapped/0?try_number=1"
    assert batch.endswith(f"\nLog: {link}")
    assert list(alerts) == [f"{DAG_ID}: validate failed"]
    assert "of 60 records 9 were sent, 51 rejected and 0 not sent" in alerts.popitem()[1]


@pytest.mark.long
def test_50_records_pass_the_flow(live: LiveAirflow) -> None:
    run = live.trigger_ids(incident_ids(200, 50), batch_size=50, wait_seconds=WAIT)

    assert run.wait() == "success", run.error("validate")
    assert [task.label for task in run.tasks("batch.send")] == ["batch 001: records 1-50"]


@pytest.mark.long
def test_waits_that_are_too_short_meet_a_locked_record(live: LiveAirflow) -> None:
    live.settings(rollup_seconds=600.0)  # from the next transaction on, the first batch's

    def end_the_rollup(_run: DagRun, tasks: Sequence[TaskInstance]) -> None:
        if any(task.state == "up_for_retry" for task in tasks):
            live.settings(rollup_seconds=0.0)

    run = live.trigger_ids(incident_ids(300, 20), batch_size=10, wait_seconds=0)
    state = run.wait(on_progress=end_the_rollup)

    errors = [entry["error"] for entry in run.journal() if entry["kind"] == "salesforce.transaction"]
    assert errors[0] is None
    assert "UNABLE_TO_LOCK_ROW" in errors[1]
    assert "UNABLE_TO_LOCK_ROW" in run.error("batch.send", 1, try_number=1)
    assert state == "success", "a lock passes, so the task tries again by itself"
    assert errors[2:] == [None]


def test_a_wrong_run_config_is_refused_before_anything_is_written(live: LiveAirflow) -> None:
    run = live.trigger_ids(["no-such-property", *incident_ids(0, 2)], batchsize=5)
    state = run.wait()

    assert state == "failed"
    assert "'batchsize' is not a parameter" in run.error("check_preconditions")
    statements = [entry["sql"] for entry in run.journal() if entry["kind"] == "warehouse.statement"]
    assert [sql for sql in statements if not re.match(r"(--[^\n]*\n)*(DESCRIBE|SELECT|WITH) ", sql)] == []
    states = {task.task_id: task.state for task in run.airflow.stack.airflow.task_instances(DAG_ID, run.run_id)}
    assert {name for name, state in states.items() if state == "success"} == set(), "what did nothing is green"
    assert {name for name, state in states.items() if state == "failed"} == {"check_preconditions", "validate"}
    assert "plan_batches did not succeed" in run.error("validate")
    assert list(run.alerts()) == [f"{DAG_ID}: check_preconditions failed"], "one cause is told once"
