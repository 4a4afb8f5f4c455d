"""What Airflow makes of the weekly DAG."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.serialization.serialized_objects import DagSerialization

from feature_sync.alerts import notify_failure

FOLDER = Path(__file__).resolve().parents[2] / "dags"
DAG_ID = "product_feature_reconciliation"
A_TUESDAY = datetime(2025, 11, 25, 12, tzinfo=UTC)


def load() -> Any:
    return DagBag(str(FOLDER)).dags[DAG_ID]


@pytest.fixture(scope="module")
def dag() -> Any:
    return DagSerialization.from_dict(DagSerialization.to_dict(load()))


def test_it_runs_on_mondays_at_six_utc_and_does_not_catch_up(dag: Any) -> None:
    from airflow.timetables.base import TimeRestriction  # noqa: PLC0415 - beside its only use

    restriction = TimeRestriction(earliest=A_TUESDAY, latest=None, catchup=True)
    following = dag.timetable.next_dagrun_info(last_automated_data_interval=None, restriction=restriction)

    assert following.run_after == datetime(2025, 12, 1, 6, tzinfo=UTC)
    assert dag.catchup is False
    assert dag.max_active_runs == 1


def test_its_schedule_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEATURE_SYNC_RECONCILIATION_SCHEDULE", "30 4 * * 2")

    assert load().timetable.expression == "30 4 * * 2"


def test_it_needs_no_run_config(dag: Any) -> None:
    assert dag.params.dump() == {}


def test_a_failure_is_told() -> None:
    assert [list(task.on_failure_callback) for task in load().tasks] == [[notify_failure]]


def test_old_payloads_are_removed(dag: Any) -> None:
    assert set(dag.task_ids) == {"remove_old_payloads"}
