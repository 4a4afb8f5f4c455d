"""What Airflow makes of the DAG that deploys the source query."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.serialization.serialized_objects import DagSerialization

from feature_sync.task_defaults.alerts import notify_failure

FOLDER = Path(__file__).resolve().parents[2] / "dags"
DAG_ID = "census_dataset_deploy"


@pytest.fixture(scope="module")
def dag() -> Any:
    return DagSerialization.from_dict(DagSerialization.to_dict(DagBag(str(FOLDER)).dags[DAG_ID]))


def test_only_a_person_starts_it_and_one_at_a_time(dag: Any) -> None:
    assert dag.timetable.can_be_scheduled is False
    assert dag.max_active_runs == 1
    assert dag.params.dump() == {}


def test_nothing_is_changed_before_a_person_has_approved(dag: Any) -> None:
    chain = ["compare_query", "approve", "deploy_query", "deploy_mappings"]

    assert set(dag.task_ids) == set(chain)
    for before, after in pairwise(chain):
        assert after in dag.get_task(before).downstream_task_ids
    assert {dag.get_task(task_id).trigger_rule for task_id in chain} == {"all_success"}


def test_a_failure_is_alerted() -> None:
    tasks = DagBag(str(FOLDER)).dags[DAG_ID].tasks

    assert [list(task.on_failure_callback) for task in tasks] == [[notify_failure]] * 4
