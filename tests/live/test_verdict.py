"""Whatever a person clicks: no run is green without a verdict that was given after the last change. On a live Airflow."""

import pytest

from tests.live.runs import DAG_ID, LiveAirflow, LiveRun, eventually, incident_ids

pytestmark = [pytest.mark.live, pytest.mark.timeout(600)]
WAIT = 3


def set_run_state(live: LiveAirflow, run: LiveRun, state: str) -> None:
    """Mark the run, as a person does in the UI."""
    live.stack.airflow.request("PATCH", f"dags/{DAG_ID}/dagRuns/{run.run_id}", json={"state": state})


def note(live: LiveAirflow, run: LiveRun) -> str:
    return str(live.stack.airflow.request("GET", f"dags/{DAG_ID}/dagRuns/{run.run_id}")["note"])


def state(live: LiveAirflow, run: LiveRun) -> str:
    return live.stack.airflow.dag_run(DAG_ID, run.run_id).state


def sending(live: LiveAirflow, first: int) -> LiveRun:
    """A run of three batches while its first one is on its way."""
    run = live.trigger_ids(incident_ids(first, 12), batch_size=4, wait_seconds=WAIT)
    eventually(lambda: any(task.state in ("running", "deferred") for task in run.tasks("batch.send")), 120)
    return run


def test_a_run_that_was_stopped_and_cleared_by_halves_is_not_green(live: LiveAirflow) -> None:
    live.settings(census_work_seconds=6.0)
    run = sending(live, 600)
    live.stack.airflow.set_task_state(DAG_ID, run.run_id, "batch.send", "failed", map_index=0)
    set_run_state(live, run, "failed")
    stopped = run.wait()
    live.settings(census_work_seconds=1.5)

    # "Clear Dag Run" with "Clear only failed tasks"
    body = {"dry_run": False, "only_failed": True}
    live.stack.airflow.request("POST", f"dags/{DAG_ID}/dagRuns/{run.run_id}/clear", json=body)
    by_halves = run.wait()

    assert stopped == "failed"
    assert {task.state for task in run.tasks("batch.send")} == {"success", "skipped"}
    assert by_halves == "failed", "two thirds were not sent"
    assert note(live, run).startswith("No verdict: validate has not succeeded by itself")

    run.clear(["batch.wait_for_turn"])
    assert run.wait() == "success", run.error("validate")
    assert {task.state for task in run.tasks("batch.send")} == {"success"}
    assert run.validation()["records"]["sent"] == 12


def test_nobody_makes_a_run_green_by_marking_it(live: LiveAirflow) -> None:
    run = sending(live, 620)

    set_run_state(live, run, "success")

    assert state(live, run) == "failed"
    assert note(live, run).startswith("No verdict: validate")


def test_nor_by_marking_the_verdict(live: LiveAirflow) -> None:
    live.stack.sandbox.faults.add("run", "reject_rows", count=2, message="NO_GOOD", times=1)
    run = live.trigger_ids(incident_ids(640, 8), batch_size=4, wait_seconds=WAIT)
    assert run.wait() == "failed"
    live.stack.airflow.set_task_state(DAG_ID, run.run_id, "batch.send", "success", map_index=0)

    live.stack.airflow.set_task_state(DAG_ID, run.run_id, "validate", "success")
    run.clear(["confirm_flow_on"])

    assert run.wait() == "failed"
    assert note(live, run).startswith("No verdict: validate has not succeeded by itself")


def test_a_batch_that_is_sent_again_without_a_new_verdict_leaves_the_run_red(live: LiveAirflow) -> None:
    run = live.trigger_ids(incident_ids(660, 8), batch_size=4, wait_seconds=WAIT)
    assert run.wait() == "success", run.error("validate")

    live.stack.airflow.clear(DAG_ID, run.run_id, [("batch.send", 1)], include_downstream=False)
    assert run.wait() == "failed"
    assert "batch.send ended after validate had begun" in note(live, run)

    run.clear(["validate"])
    assert run.wait() == "success"
