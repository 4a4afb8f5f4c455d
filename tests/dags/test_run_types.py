"""Which runs Airflow lets people, DAGs and itself start. The rest never begins."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.serialization.serialized_objects import DagSerialization

from feature_sync.config.problems import RunConfigError
from feature_sync.orchestration import dag_runs

FOLDER = Path(__file__).resolve().parents[2] / "dags"
ALLOWED = {
    "product_feature_backfill": {"manual", "operator_triggered"},
    "product_feature_reconciliation": {"scheduled", "manual", "operator_triggered"},
    "census_dataset_deploy": {"manual", "operator_triggered"},
    "feature_sync_accept": {"manual"},
    "feature_sync_verify": {"manual", "operator_triggered"},
    "feature_sync_watch": {"scheduled", "manual", "operator_triggered"},
}


@pytest.fixture(scope="module")
def dags() -> dict[str, Any]:
    return dict(DagBag(str(FOLDER)).dags)


def test_every_dag_says_what_may_start_it(dags: dict[str, Any]) -> None:
    known = {dag_id: DagSerialization.from_dict(DagSerialization.to_dict(dag)) for dag_id, dag in dags.items()}

    assert {dag_id: {kind.value for kind in dag.allowed_run_types} for dag_id, dag in known.items()} == ALLOWED


def test_the_weekly_run_refuses_before_it_waits(dags: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    run = SimpleNamespace(conf={"dry_run": True}, run_type="manual")
    monkeypatch.setattr(dag_runs, "get_current_context", lambda: {"params": {}, "dag_run": run})

    with pytest.raises(RunConfigError, match="this DAG takes no parameters"):
        dags["product_feature_reconciliation"].get_task("wait_for_copy").refuse()
