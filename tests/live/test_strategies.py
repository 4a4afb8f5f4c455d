"""The options of the incident plan on a live Airflow: what is sent, what a person is asked, what is left out and says so."""

import json
import time

import pytest

from tests.live.runs import DAG_ID, LiveAirflow, LiveRun, eventually, incident_ids

pytestmark = [pytest.mark.live, pytest.mark.long, pytest.mark.timeout(900)]
OFF, ON = "confirm_flow_off", "confirm_flow_on"


def answer(live: LiveAirflow, run: LiveRun, task_id: str, option: str) -> str:
    """Answer a question when it was asked long enough ago for a person to have read it. Gives its text."""
    text = eventually(lambda: live.stack.airflow.question(DAG_ID, run.run_id, task_id))
    time.sleep(3)
    live.stack.airflow.answer(DAG_ID, run.run_id, task_id, option)
    return str(text)


def transactions(run: LiveRun) -> list[tuple[int, int]]:
    """Records and rejected records of each Salesforce transaction."""
    entries = [entry for entry in run.journal() if entry["kind"] == "salesforce.transaction"]
    return [(entry["records"], entry["rejected"]) for entry in entries]


def test_full_sends_all_at_once_while_the_flow_is_off_and_asks_for_it_again(live: LiveAirflow) -> None:
    run = live.trigger_ids(incident_ids(620, 120), strategy="full", wait_seconds=1)

    asked = eventually(lambda: live.stack.airflow.question(DAG_ID, run.run_id, OFF))
    assert transactions(run) == []
    live.settings(flow_enabled=False)
    answer(live, run, OFF, "Approve")
    reminded = eventually(lambda: live.stack.airflow.question(DAG_ID, run.run_id, ON))
    eventually(lambda: run.task("validate").state == "success")
    assert live.stack.airflow.dag_run(DAG_ID, run.run_id).state == "running", "it must not end before the Flow is on again"
    live.settings(flow_enabled=True)
    answer(live, run, ON, "Approve")

    assert run.wait() == "success"
    assert transactions(run) == [(120, 0)]
    assert [task.label for task in run.tasks("batch.send")] == ["batch 001: records 1-120"]
    assert run.task("probe.send").state == "skipped"
    assert "Product Property | After | Rollup Flow" in asked
    assert "Recompute" in reminded
    assert set(json.loads((run.folder / "approvals.json").read_text())) == {OFF, ON}


def test_full_with_the_flow_still_on_is_rejected_whole_and_the_reminder_is_asked_all_the_same(live: LiveAirflow) -> None:
    run = live.trigger_ids(incident_ids(620, 60), strategy="full", wait_seconds=1)

    answer(live, run, OFF, "Approve")
    answer(live, run, ON, "Approve")

    assert run.wait() == "failed"
    assert transactions(run) == [(60, 60)]
    assert run.task(ON).state == "success"
    assert "Rollup Flow" in run.error("batch.send", 0)
    assert run.validation()["records"] == {
        "in_scope": 60,
        "sent": 0,
        "rejected": 60,
        "not_sent": 0,
        "accepted_by_counters": 0,
        "changed_since_freeze": 0,
    }


def test_full_without_a_yes_sends_nothing(live: LiveAirflow) -> None:
    run = live.trigger_ids(incident_ids(620, 60), strategy="full", wait_seconds=1)

    answer(live, run, OFF, "Reject")

    assert run.wait() == "failed"
    assert run.task(ON).state == "skipped"
    assert "plan_batches did not succeed" in run.error("validate")
    assert [entry for entry in run.journal() if entry["kind"] == "census.run.started"] == []


GATE = "approve_pilot"


def test_pilot_sends_one_batch_asks_and_sends_the_rest_after_a_yes(live: LiveAirflow) -> None:
    run = live.trigger_ids(incident_ids(300, 110), strategy="pilot", wait_seconds=1)

    text = eventually(lambda: live.stack.airflow.question(DAG_ID, run.run_id, GATE))
    assert transactions(run) == [(50, 0)]
    assert "**Approve**: the other 60 records are sent in 2 batches." in text
    answer(live, run, GATE, "Approve")

    assert run.wait() == "success", run.error("validate")
    assert transactions(run) == [(50, 0), (50, 0), (10, 0)]
    assert [task.label for task in run.tasks("probe.send")] == ["batch 001: records 1-50"]
    assert [task.label for task in run.tasks("batch.send")] == ["batch 002: records 51-100", "batch 003: records 101-110"]


def test_a_pilot_that_is_rejected_is_all_that_is_sent_until_it_is_cleared_and_approved(live: LiveAirflow) -> None:
    run = live.trigger_ids(incident_ids(410, 70), strategy="pilot", wait_seconds=1)

    answer(live, run, GATE, "Reject")

    assert run.wait() == "failed"
    assert transactions(run) == [(50, 0)]
    assert "of 70 records 50 were sent, 0 rejected and 20 not sent. 20 records may not be sent" in run.error("validate")

    live.stack.airflow.clear_run(DAG_ID, run.run_id, only_failed=True)
    answer(live, run, GATE, "Approve")

    assert run.wait() == "success", run.error("validate")
    assert transactions(run) == [(50, 0), (20, 0)]


def test_probe_falls_back_to_the_last_size_that_passed(live: LiveAirflow) -> None:
    run = live.trigger_ids(incident_ids(760, 170), strategy="probe", wait_seconds=1)

    assert run.wait() == "success", run.error("validate")
    report = json.loads((run.folder / "probe.json").read_text())
    outcomes = [(one["records"], one["outcome"]) for one in report["tried"]]
    assert outcomes == [(50, "succeeded"), (100, "over_limit"), (20, "not tried")]
    assert report["fell_back_to"] == 50
    assert "Limit Exceeded" in report["why"]
    assert [task.state for task in run.tasks("probe.send")] == ["success", "success", "skipped"]
    assert "exceeded a limit" in run.log("probe.send", 2)
    assert [task.label for task in run.tasks("batch.send")] == [
        "batch 004: records 51-100",
        "batch 005: records 101-150",
        "batch 006: records 151-170",
    ]
    assert transactions(run) == [(50, 0), (100, 100), (50, 0), (50, 0), (20, 0)]
    assert run.validation()["records"] == {
        "in_scope": 170,
        "sent": 170,
        "rejected": 0,
        "not_sent": 0,
        "accepted_by_counters": 0,
        "changed_since_freeze": 0,
    }


def test_probe_ends_after_three_sends_when_nothing_limits_it(live: LiveAirflow) -> None:
    live.settings(flow_soql_limit=100_000, flow_dml_limit=100_000, flow_cpu_ms_limit=10_000_000)
    run = live.trigger_ids(incident_ids(1000, 160), strategy="probe", wait_seconds=1)

    assert run.wait() == "success", run.error("validate")
    assert transactions(run) == [(50, 0), (100, 0), (10, 0)]
    assert run.task("batch.send").state == "skipped"
    assert json.loads((run.folder / "probe.json").read_text())["fell_back_to"] is None

    run.clear([("probe.send", 1)])

    assert run.wait() == "success", run.error("validate")
    assert transactions(run)[3:] == [(100, 0)], "a cleared probe is sent again, alone"
