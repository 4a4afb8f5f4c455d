"""What a green run needs, held against the DAGs: the rules name their tasks, and each task notes how it ended."""

from pathlib import Path
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import BaseSensorOperator

from feature_sync.config.green import RULES
from feature_sync.config.names import DAG_IDS
from feature_sync.orchestration.proofs import note_end
from feature_sync.task_defaults.alerts import notify_withheld
from feature_sync.task_defaults.defaults import begin

DAGS = Path(__file__).resolve().parents[2] / "dags"


@pytest.fixture(scope="module")
def dags() -> dict[str, Any]:
    return dict(DagBag(str(DAGS)).dags)


@pytest.mark.parametrize("dag_id", sorted(DAG_IDS))
def test_a_rule_names_tasks_of_its_dag(dags: dict[str, Any], dag_id: str) -> None:
    rule = RULES[dag_id]
    named = {rule.verdict, *rule.work, *(plan for plan in rule.work.values() if plan), *rule.also, *rule.waits}
    named |= {each for each in (rule.plan, rule.asks, *(rule.reopens or ())) if each}

    assert named <= set(dags[dag_id].task_ids)


@pytest.mark.parametrize("dag_id", sorted(DAG_IDS))
def test_the_tasks_that_may_be_marked_are_those_that_only_wait(dags: dict[str, Any], dag_id: str) -> None:
    """Their triggers end them, or the scheduler does, so they cannot note how they ended."""
    waits = {task.task_id for task in dags[dag_id].tasks if isinstance(task, BaseSensorOperator | EmptyOperator)}

    assert RULES[dag_id].waits == waits


@pytest.mark.parametrize("dag_id", sorted(DAG_IDS))
def test_each_mapped_task_that_works_has_a_plan_that_counts_it(dags: dict[str, Any], dag_id: str) -> None:
    mapped = {task.task_id for task in dags[dag_id].tasks if task.get_closest_mapped_task_group()}

    assert {task_id for task_id, plan in RULES[dag_id].work.items() if plan} == mapped - RULES[dag_id].waits


@pytest.mark.parametrize("dag_id", sorted(DAG_IDS))
def test_each_task_notes_that_it_began_and_that_it_ended_by_itself(dags: dict[str, Any], dag_id: str) -> None:
    hooks = {(task._pre_execute_hook, task._post_execute_hook) for task in dags[dag_id].tasks}

    assert hooks == {(begin, note_end)}


@pytest.mark.parametrize("dag_id", sorted(DAG_IDS))
def test_people_hear_of_a_run_that_has_no_verdict(dags: dict[str, Any], dag_id: str) -> None:
    assert notify_withheld in dags[dag_id].on_success_callback
