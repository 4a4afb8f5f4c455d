"""What Airflow makes of the DAG that tells people of a run that is late."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.serialization.serialized_objects import DagSerialization
from airflow.timetables.base import TimeRestriction

from feature_sync.task_defaults.alerts import notify_failure
from feature_sync.watch.operators import WatchOperator

FOLDER = Path(__file__).resolve().parents[2] / "dags"
DAG_ID = "feature_sync_watch"


@pytest.fixture(scope="module")
def written() -> Any:
    return DagBag(str(FOLDER)).dags[DAG_ID]


@pytest.fixture(scope="module")
def dag(written: Any) -> Any:
    return DagSerialization.from_dict(DagSerialization.to_dict(written))


def test_it_runs_by_itself_four_times_a_day_and_never_for_the_past(dag: Any) -> None:
    looks, last = [], None
    for _ in range(5):
        last = dag.timetable.next_dagrun_info(
            last_automated_data_interval=last and last.data_interval,
            restriction=TimeRestriction(datetime(2099, 11, 23, tzinfo=UTC), None, catchup=False),
        )
        looks.append(last.run_after)

    assert looks == [datetime(2099, 11, 23, 0, 15, tzinfo=UTC) + timedelta(hours=6 * number) for number in range(5)]
    assert dag.catchup is False


def test_runs_that_wait_for_their_time_do_not_hold_back_those_by_the_clock(dag: Any) -> None:
    """Airflow counts a queued run as an active one, also if its time has not come."""
    assert dag.max_active_runs >= 100


def test_it_has_one_task_and_no_form(written: Any, dag: Any) -> None:
    assert [type(task) for task in written.tasks] == [WatchOperator]
    assert dag.task_ids == ["look"]
    assert dag.params.dump() == {}


def test_a_failure_is_alerted(written: Any) -> None:
    assert [list(task.on_failure_callback) for task in written.tasks] == [[notify_failure]]


def test_its_text_says_when_what_and_what_then(dag: Any) -> None:
    for topic in ("It failed", "When", "What it does", "What it remembers", "Stopping"):
        assert f"\n#### {topic}\n" in dag.doc_md
