"""What Airflow makes of the DAG that verifies the set-up, and what its task leaves behind."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.serialization.serialized_objects import DagSerialization

from feature_sync.checks.findings import Finding, right, wrong
from feature_sync.verify import verification
from feature_sync.verify.verification import NotReadyForRunsError, Verification
from tests.feature_sync.verify.moments import NOON

FOLDER = Path(__file__).resolve().parents[2] / "dags"
DAG_ID = "feature_sync_verify"


@pytest.fixture(scope="module")
def written() -> Any:
    return DagBag(str(FOLDER)).dags[DAG_ID]


@pytest.fixture(scope="module")
def dag(written: Any) -> Any:
    return DagSerialization.from_dict(DagSerialization.to_dict(written))


def test_only_a_person_starts_it_and_one_at_a_time(dag: Any) -> None:
    assert dag.timetable.can_be_scheduled is False
    assert dag.max_active_runs == 1
    assert dag.params.dump() == {}
    assert dag.task_ids == ["verify"]


def test_its_text_says_when_what_and_what_then(dag: Any) -> None:
    for topic in ("When", "What it checks", "Where the page is", "What it writes", "It failed", "It is green"):
        assert f"\n#### {topic}\n" in dag.doc_md


def run(written: Any, monkeypatch: pytest.MonkeyPatch, *findings: Finding) -> tuple[dict[str, str], Any]:
    """What its task leaves, and what it returns or raises."""
    left: dict[str, str] = {}

    def push(key: str, value: str) -> None:
        left[key] = value

    ti = SimpleNamespace(xcom_push=push)
    function = written.get_task("verify").python_callable
    monkeypatch.setitem(function.__globals__, "get_current_context", lambda: {"ti": ti})
    monkeypatch.setitem(function.__globals__, "refuse_config", lambda: None)
    monkeypatch.setattr(verification, "verify", lambda *_, **__: Verification(findings, NOON))
    try:
        return left, function()
    except NotReadyForRunsError as error:
        return left, error


def test_the_page_is_left_and_the_task_is_green_if_nothing_is_wrong(written: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    left, said = run(written, monkeypatch, right("pool", "It is there."))

    assert "- **pool**: It is there." in left["page"]
    assert said == "0 findings are wrong, 0 were not checked, 1 is right."


def test_the_page_is_left_too_if_the_task_fails(written: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    left, said = run(
        written, monkeypatch, wrong("pool", "Create it."), right("clocks", "Equal."), wrong("alerts", "Repair them.")
    )

    assert "1. **pool**: Create it." in left["page"]
    assert str(said) == "What is wrong, in the order to repair it:\n- pool: Create it.\n- alerts: Repair them."
