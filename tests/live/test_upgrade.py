"""A run that waits while the package is upgraded: Airflow's database names triggers by the paths of the former version."""

import sqlite3

import pytest

from feature_sync.orchestration.deferral import class_path
from feature_sync.sending.triggers import BatchTurnTrigger, CensusRunTrigger
from laptop.stack import Stack
from tests.live.invariants import read_runs, sends_of
from tests.live.runs import LiveAirflow, eventually, incident_ids

pytestmark = [pytest.mark.live, pytest.mark.long, pytest.mark.timeout(900)]
FORMER_PATHS = {
    class_path(BatchTurnTrigger): "feature_sync.census.triggers.BatchTurnTrigger",
    class_path(CensusRunTrigger): "feature_sync.census.triggers.CensusRunTrigger",
}
"""Where triggers were before the package had rooms. Their arguments are the same."""


def store_as_the_former_version_did(stack: Stack) -> set[str]:
    """:returns: the paths that now stand in the database."""
    with sqlite3.connect(stack.folder / "airflow" / "airflow.db", timeout=30) as database:
        for path, former in FORMER_PATHS.items():
            database.execute("UPDATE trigger SET classpath = ?, triggerer_id = NULL WHERE classpath = ?", (former, path))
        return {row[0] for row in database.execute("SELECT classpath FROM trigger")}


def test_a_run_that_is_deferred_during_an_upgrade_goes_on_and_sends_nothing_twice(live: LiveAirflow) -> None:
    live.settings(census_work_seconds=25.0)
    run = live.trigger_ids(incident_ids(700, 6), batch_size=3, wait_seconds=1)
    eventually(lambda: run.tasks("batch.send") and run.tasks("batch.send")[0].state == "deferred", 300)
    eventually(lambda: run.tasks("batch.wait_for_turn")[1].state == "deferred", 60)

    live.stack.processes["triggerer"].kill()
    stored = store_as_the_former_version_did(live.stack)
    live.settings(census_work_seconds=0.5)
    live.stack.processes["triggerer"].restart()
    state = run.wait()

    assert stored == set(FORMER_PATHS.values())
    assert state == "success", run.error("validate")
    census = read_runs(run.journal())
    assert [len(sends_of(census, keys)) for keys in run.batches().values()] == [1, 1]
    assert len(census) == 2
    assert (run.task("batch.send", 0).try_number, run.task("batch.wait_for_turn", 1).try_number) == (1, 1)
    assert run.alerts() == {}
