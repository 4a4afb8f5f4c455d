"""What waiting batches cost, and how they are served, on a live Airflow."""

from collections import Counter
from collections.abc import Sequence

import pytest

from laptop.airflow_client import DagRun, TaskInstance
from tests.live.invariants import assert_one_at_a_time, assert_staged_alone, first_pass, read_runs, sends_of
from tests.live.runs import LiveAirflow, eventually, incident_ids

pytestmark = [pytest.mark.live, pytest.mark.long, pytest.mark.timeout(900)]
WAIT = 6


def test_one_batch_waits_at_a_time_and_one_that_is_cleared_is_served(live: LiveAirflow) -> None:
    live.settings(census_work_seconds=3.0)
    most: Counter[str] = Counter()

    def watch(_: DagRun, tasks: Sequence[TaskInstance]) -> None:
        seen = Counter(f"{task.task_id} {task.state}" for task in tasks if task.task_id.startswith("batch."))
        seen["deferred"] = sum(task.state == "deferred" for task in tasks)
        for state, count in seen.items():
            most[state] = max(most[state], count)

    run = live.trigger_ids(incident_ids(700, 20), batch_size=4, wait_seconds=WAIT)
    eventually(lambda: [task.state for task in run.tasks("batch.wait_for_turn")][2:3] == ["deferred"], 180)
    run.clear([("batch.wait_for_turn", 0)])
    assert run.wait(on_progress=watch) == "success", run.error("validate")

    assert most["deferred"] <= 3
    assert most["batch.wait_for_turn deferred"] == most["batch.wait_for_turn running"] == 1
    assert most["batch.send running"] == 1
    runs, batches = read_runs(run.journal()), run.batches()
    assert_one_at_a_time(runs, WAIT)
    assert_staged_alone(run.journal(), runs, batches.values())
    assert first_pass(runs, batches) == [1, 2, 3, 4, 5]
    assert len(sends_of(runs, batches[1])) == 2
    assert len(runs) == 6
    assert "1 batch ahead in this run, my turn about" in run.log("batch.wait_for_turn", 3)
