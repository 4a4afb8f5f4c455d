"""What a person does when something went wrong: clears, kills, starts a second run; proven by the journal."""

import pytest

from tests.live.invariants import SYNC_ID, assert_one_at_a_time, assert_staged_alone, first_pass, read_runs, sends_of
from tests.live.runs import DAG_ID, LiveAirflow, LiveRun, eventually, incident_ids

pytestmark = [pytest.mark.live, pytest.mark.timeout(900)]
WAIT = 2


def state_of(run: LiveRun, index: int) -> str | None:
    tasks = run.tasks("batch.send")
    return tasks[index].state if len(tasks) > index else None


def assert_invariants(live: LiveAirflow, *runs: LiveRun) -> None:
    journal = live.stack.sandbox.journal(min(run.began_after for run in runs))
    census = read_runs(journal)
    assert_one_at_a_time(census, WAIT)
    assert_staged_alone(journal, census, [keys for run in runs for keys in run.batches().values()])


def sends(live: LiveAirflow, run: LiveRun) -> list[int]:
    """How often each batch of a run was sent."""
    census = read_runs(live.stack.sandbox.journal(run.began_after))
    return [len(sends_of(census, keys)) for keys in run.batches().values()]


def test_a_failed_batch_that_is_cleared_while_another_is_sending_is_sent_again_alone(live: LiveAirflow) -> None:
    live.settings(census_work_seconds=3.0)
    live.stack.sandbox.faults.add("run", "reject_rows", message="FIELD_CUSTOM_VALIDATION_EXCEPTION: no", skip=1, times=1)
    run = live.trigger_ids(incident_ids(400, 23), batch_size=6, wait_seconds=WAIT)

    eventually(lambda: state_of(run, 1) == "failed" and state_of(run, 2) in ("running", "deferred"), 300)
    rejected = (run.folder / "rejected_records.csv").read_text().splitlines()
    cleared = run.clear([("batch.send", 1)])
    state = run.wait()

    assert state == "success", run.error("validate")
    assert cleared >= 1
    assert sends(live, run) == [
        1,
        1,
        1,
        1,
    ]  # rejected rows reach no transaction here, so the first try of batch 2 is not among them
    assert len(read_runs(run.journal())) == 5
    assert_invariants(live, run)
    assert len(rejected) == 1 + 6
    assert "FIELD_CUSTOM_VALIDATION_EXCEPTION" in rejected[1]
    assert len((run.folder / "rejected_records.csv").read_text().splitlines()) == 1
    assert run.validation()["records"] == {
        "in_scope": 23,
        "sent": 23,
        "rejected": 0,
        "not_sent": 0,
        "accepted_by_counters": 0,
        "changed_since_freeze": 0,
    }


@pytest.mark.long
def test_batches_that_were_held_back_are_sent_by_clearing_what_failed(live: LiveAirflow) -> None:
    live.stack.sandbox.faults.add("run", "reject_rows", count=2, message="NO_GOOD", times=1)
    run = live.trigger_ids(incident_ids(430, 12), batch_size=4, wait_seconds=WAIT, on_batch_failure="stop")

    first = run.wait()
    reasons = [run.error("batch.send", index) for index in range(3)]
    books = run.validation()["records"]
    alerts = eventually(lambda: len(run.alerts()) > 1 and set(run.alerts()))
    run.clear(["batch.send", "validate"], only_failed=True)
    second = run.wait()

    assert first == "failed"
    assert "NO_GOOD" in reasons[0]
    assert all("held back: batch 001 failed (on_batch_failure is stop)" in reason for reason in reasons[1:])
    assert alerts == {f"{DAG_ID}: batch 001: records 1-4 failed", f"{DAG_ID}: validate failed"}
    assert books == {
        "in_scope": 12,
        "sent": 2,
        "rejected": 2,
        "not_sent": 8,
        "accepted_by_counters": 0,
        "changed_since_freeze": 0,
    }
    assert second == "success", run.error("validate")
    records = [entry["records"] for entry in run.journal() if entry["kind"] == "census.run.ended"]
    assert records == [4, 2, 4, 4]
    assert_invariants(live, run)

    run.clear(["batch.wait_for_turn", "batch.send"])
    third = run.wait()

    assert third == "success", run.error("validate")
    again = read_runs(run.journal())[len(records) :]
    assert first_pass(again, run.batches()) == [1, 2, 3], "clearing the whole group sends all of it again, in order"
    assert len(again) == 3
    assert_invariants(live, run)


@pytest.mark.long
def test_a_task_that_is_failed_by_hand_leaves_a_run_that_the_next_try_takes_up(live: LiveAirflow) -> None:
    live.settings(census_work_seconds=12.0)
    run = live.trigger_ids(incident_ids(450, 5), batch_size=5, wait_seconds=WAIT)

    eventually(lambda: any(entry["kind"] == "census.run.started" for entry in run.journal()), 300)
    eventually(lambda: state_of(run, 0) == "deferred", 300)
    live.stack.airflow.set_task_state(DAG_ID, run.run_id, "batch.send", "failed", map_index=0)
    run.wait()
    run.clear([("batch.send", 0)])
    state = run.wait()

    assert state == "success", run.error("validate")
    assert sends(live, run) == [1]


@pytest.mark.long
def test_two_runs_and_a_run_of_somebody_else_never_overlap(live: LiveAirflow) -> None:
    live.settings(census_work_seconds=1.0)
    first = live.trigger_ids(incident_ids(500, 8), batch_size=4, wait_seconds=WAIT)
    second = live.trigger_ids(incident_ids(520, 8), batch_size=4, wait_seconds=WAIT)

    eventually(lambda: "success" in (state_of(first, 0), state_of(second, 0)), 300)
    foreign = live.stack.sandbox.start_foreign_run(SYNC_ID, ui_tag="Manual", full_sync=True)
    states = [first.wait(), second.wait()]
    first.clear([("batch.send", 0)])
    again = first.wait()

    assert states == ["success", "success"]
    assert again == "success", first.error("validate")
    census = read_runs(live.stack.sandbox.journal(first.began_after))
    # A person in Census does not look at the clock, and the sandbox lets that run start at any time.
    ours = [run for run in census if run.id != foreign]
    assert_one_at_a_time(ours, WAIT)
    theirs = [run for run in census if run.id == foreign]
    for run in theirs:
        later = [one for one in ours if one.started > run.started]
        assert_one_at_a_time([run, *later[:1]], WAIT)
        assert not [one for one in ours if one.started < run.started < one.ended]
    assert [len(sends_of(ours, keys)) for keys in first.batches().values()] == [2, 1]
    assert [len(sends_of(ours, keys)) for keys in second.batches().values()] == [1, 1]
