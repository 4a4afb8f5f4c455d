"""What Airflow makes of the DAG by which known differences are accepted."""

from pathlib import Path
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.serialization.serialized_objects import DagSerialization

from feature_sync.reconciliation.accepting import PARAMETERS
from feature_sync.reconciliation.drift import DriftClass
from feature_sync.task_defaults.alerts import notify_failure

FOLDER = Path(__file__).resolve().parents[2] / "dags"
DAG_ID = "feature_sync_accept"


@pytest.fixture(scope="module")
def dag() -> Any:
    return DagSerialization.from_dict(DagSerialization.to_dict(DagBag(str(FOLDER)).dags[DAG_ID]))


def test_only_a_person_starts_it_and_one_at_a_time(dag: Any) -> None:
    assert dag.timetable.can_be_scheduled is False
    assert dag.max_active_runs == 1
    assert dag.task_ids == ["accept"]


def test_the_form_asks_for_what_the_task_reads_and_not_for_a_name(dag: Any) -> None:
    assert tuple(dag.params) == PARAMETERS
    assert [choice for choice in dag.params.get_param("class").schema["enum"] if choice] == [*DriftClass]


def test_the_form_can_be_opened_empty(dag: Any) -> None:
    assert set(dag.params.dump().values()) == {None}
    dag.params.validate()


def test_a_failure_is_alerted() -> None:
    tasks = DagBag(str(FOLDER)).dags[DAG_ID].tasks

    assert [list(task.on_failure_callback) for task in tasks] == [[notify_failure]]
