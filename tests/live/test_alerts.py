"""Who is alerted of what, by a real Airflow: one cause is one alert, and a failure of no task is one too."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from urllib.parse import quote

import pytest

from feature_sync.config.names import BACKFILL_DAG_ID, RECONCILIATION_DAG_ID, WATCH_DAG_ID
from tests.live.runs import OF_A_QUESTION, LiveAirflow, eventually, incident_ids
from tests.live.test_reconciliation import harm_records, healing_runs

pytestmark = [pytest.mark.live, pytest.mark.long, pytest.mark.timeout(900)]
SETTLED = 25
"""Seconds after a run's end in which another alert would come: the grace of the DAG's callback, and its processor's interval."""
REFUSED = "census-pat-that-is-new"


def start(live: LiveAirflow, dag_id: str) -> str:
    live.stack.airflow.wait_for_dag(dag_id)
    return live.stack.airflow.trigger(dag_id)


def alerts(live: LiveAirflow, run_id: str, least: int = 1) -> dict[str, str]:
    """The messages about a run by title, when no further one comes."""
    assert live.receiver is not None
    receiver = live.receiver

    def about_it() -> list[dict[str, str]]:
        return [
            one for one in receiver.messages if f"\nRun: {run_id}\n" in one["message"] and OF_A_QUESTION not in one["message"]
        ]

    eventually(lambda: len(about_it()) >= least, 120)
    time.sleep(SETTLED)
    found = about_it()
    titles = {one["title"]: one["message"] for one in found}
    assert len(titles) == len(found), [one["title"] for one in found]
    return titles


def left_variables(live: LiveAirflow) -> list[str]:
    listed = live.stack.airflow.request("GET", "variables")["variables"]
    return [one["key"] for one in listed if one["key"].startswith("feature_sync_alerted_")]


class TestToys:
    def test_a_run_that_takes_too_long_is_one_alert(self, live: LiveAirflow) -> None:
        run_id = start(live, "toy_that_takes_too_long")

        [(title, text)] = alerts(live, run_id).items()

        assert title == "toy_that_takes_too_long: the run failed"
        assert "The run took longer than its DAG allows (0:00:08), so Airflow ended it." in text
        assert text.endswith(f"/dags/toy_that_takes_too_long/runs/{run_id.replace(':', '%3A').replace('+', '%2B')}")

    def test_a_task_whose_process_was_killed_is_one_alert(self, live: LiveAirflow) -> None:
        run_id = start(live, "toy_whose_process_is_killed")

        [text] = alerts(live, run_id).values()

        assert "die" in text
        assert left_variables(live) == []

    def test_one_cause_of_parallel_tasks_is_one_alert_and_another_cause_is_another(self, live: LiveAirflow) -> None:
        run_id = start(live, "toy_with_two_causes")

        texts = list(alerts(live, run_id, least=2).values())

        assert len(texts) == 2
        assert sum("did not answer statement" in text for text in texts) == 1
        assert sum("ValueError: Something else" in text for text in texts) == 1
        assert left_variables(live) == []

        live.stack.airflow.clear("toy_with_two_causes", run_id, ["meet_another"], include_downstream=True, only_failed=False)
        assert live.receiver is not None
        receiver = live.receiver
        eventually(lambda: sum("ValueError: Something else" in one["message"] for one in receiver.messages) == 2, 120)


class TestTheWatch:
    def test_a_run_that_sends_asks_for_a_look_which_waits_for_its_time(self, live: LiveAirflow) -> None:
        run = live.trigger_ids(incident_ids(720, 2), batch_size=1, wait_seconds=1)

        assert run.wait() == "success"

        runs = live.stack.airflow.request("GET", f"dags/{WATCH_DAG_ID}/dagRuns")["dag_runs"]
        [look] = [each for each in runs if (each["conf"] or {}).get("run_id") == run.run_id]
        assert look["state"] == "queued"
        assert datetime.fromisoformat(look["run_after"]) > datetime.now(UTC)

    def test_a_look_by_hand_says_what_it_saw_and_is_green(self, live: LiveAirflow) -> None:
        live.stack.airflow.wait_for_dag(WATCH_DAG_ID)
        look = live.start(WATCH_DAG_ID)

        assert look.wait() == "success"
        assert "The weekly run of " in look.log("look")


class TestTheToken:
    @pytest.fixture
    def rotated(self, live: LiveAirflow) -> Iterator[None]:
        yield
        live.settings(census_token="census-pat-local")

    @pytest.mark.usefixtures("rotated")
    def test_that_is_refused_from_the_second_batch_on_is_one_alert(self, live: LiveAirflow) -> None:
        run = live.trigger_ids(incident_ids(700, 6), batch_size=1, wait_seconds=1)
        eventually(lambda: any(task.state == "success" for task in run.tasks("batch.send")), 240)
        live.settings(census_token=REFUSED)

        assert run.wait() == "failed"
        found = alerts(live, run.run_id)

        assert len(found) == 1, sorted(found)
        assert "401" in next(iter(found.values()))


@pytest.fixture
def weekly(live: LiveAirflow) -> Iterator[LiveAirflow]:
    """With the weekly DAG on, and the Flow off, so that records can be changed by hand."""
    live.settings(flow_enabled=False)
    live.stack.airflow.wait_for_dag(RECONCILIATION_DAG_ID)
    live.stack.airflow.unpause(RECONCILIATION_DAG_ID)
    yield live
    live.stack.airflow.pause(RECONCILIATION_DAG_ID)
    live.stack.sandbox.request("POST", "reset")


def test_a_healing_run_that_is_deleted_is_noticed_and_one_alert(weekly: LiveAirflow) -> None:
    live, airflow = weekly, weekly.stack.airflow
    harm_records(live)
    before = {run.run_id for run in healing_runs(live)}
    live.stack.sandbox.request("POST", "faults", json={"call": "run", "fault": "stuck", "phase": "queued"})
    week = live.start(RECONCILIATION_DAG_ID)
    week.question("approve_healing")
    week.answer("approve_healing", "Approve")
    eventually(lambda: week.task("heal").state == "deferred", 240)
    [healing] = [run for run in healing_runs(live) if run.run_id not in before]

    path = f"dags/{BACKFILL_DAG_ID}/dagRuns/{quote(healing.run_id)}"
    airflow.request("PATCH", path, json={"state": "failed"})
    airflow.request("DELETE", path)

    assert week.wait() == "failed"
    assert "is gone: somebody deleted it" in week.error("heal")
    found = alerts(live, week.run_id)
    assert sum("is gone: somebody deleted it" in text for text in found.values()) >= 1
