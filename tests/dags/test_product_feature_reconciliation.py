"""What Airflow makes of the weekly DAG."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.serialization.serialized_objects import DagSerialization

from feature_sync.config.names import HEALING_QUESTION
from feature_sync.orchestration.assets import VALIDATED_FEATURES
from feature_sync.reconciliation import comparison
from feature_sync.task_defaults.alerts import notify_failure

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
    assert dag.dagrun_timeout < timedelta(days=7), "or a run that hangs would hold back the next"


def test_its_schedule_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEATURE_SYNC_RECONCILIATION_SCHEDULE", "30 4 * * 2")

    assert load().timetable.expression == "30 4 * * 2"


def test_a_wrong_setting_makes_the_tasks_fail_and_not_the_dag_vanish(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEATURE_SYNC_HEALING", "maybe")

    assert load().timetable.expression == "0 6 * * 1"


def test_it_needs_no_run_config(dag: Any) -> None:
    assert dag.params.dump() == {}


def test_it_compares_a_fresh_replica_then_asks_then_heals_then_concludes(dag: Any) -> None:
    assert HEALING_QUESTION == "approve_healing", "the backfill looks for the answer of this task"
    chain = ["wait_for_copy", "compare", HEALING_QUESTION, "heal", "wait_for_healed_copy", "conclude"]

    assert set(dag.task_ids) == {*chain, "check_source_query", "remove_old_payloads"}
    for before, after in pairwise(chain):
        assert after in dag.get_task(before).downstream_task_ids


def test_the_tasks_beside_the_comparison_cannot_keep_it_from_running(dag: Any) -> None:
    for task_id in ("check_source_query", "remove_old_payloads"):
        task = dag.get_task(task_id)
        assert (task.upstream_task_ids, task.downstream_task_ids) == (set(), set())


def test_it_concludes_after_any_outcome_of_the_healing(dag: Any) -> None:
    assert dag.get_task("conclude").trigger_rule == "all_done"
    assert dag.get_task("conclude").downstream_task_ids == set(), "a leaf, so that it decides how the run ends"
    assert dag.get_task("heal").trigger_rule == "none_failed", "not when the approval was refused"


@pytest.mark.parametrize(("try_number", "may_reuse"), [(1, True), (2, False)])
def test_whoever_clears_the_last_task_gets_a_new_comparison(
    monkeypatch: pytest.MonkeyPatch, try_number: int, may_reuse: bool
) -> None:
    conclude = load().get_task("conclude").python_callable
    asked: list[bool] = []

    def concluded(*_: Any, may_reuse: bool) -> dict[str, int]:
        asked.append(may_reuse)
        return {"properties_checked": 8, "differences_accepted": 0}

    monkeypatch.setattr(comparison, "conclude", concluded)
    context = {"ti": SimpleNamespace(try_number=try_number)}
    airflow = {
        "get_current_context": lambda: context,
        "describe_run": lambda: None,
        "describe_outlets": lambda *_: None,
        "task_states": lambda *_, **steps: dict.fromkeys(steps, "success"),
    }
    for name, answer in airflow.items():
        monkeypatch.setitem(conclude.__globals__, name, answer)
    conclude(None, run_id="week")

    assert asked == [may_reuse]


def test_only_a_run_that_found_no_difference_tells_others_that_the_data_is_right(dag: Any) -> None:
    outlets = {task.task_id: [outlet.name for outlet in task.outlets] for task in dag.tasks if task.outlets}

    assert outlets == {"conclude": [VALIDATED_FEATURES.name]}


def test_a_failure_is_alerted() -> None:
    tasks = {task.task_id: list(task.on_failure_callback) for task in load().tasks}

    # conclude looks again after any outcome, and says it
    assert tasks.pop("wait_for_healed_copy") == []
    assert list(tasks.values()) == [[notify_failure]] * 7
