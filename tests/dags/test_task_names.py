"""Messages tell people which task to click. They write a task's name in backticks, and the DAGs have a task of that name."""

import ast
import re
from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import DagBag

PROJECT = Path(__file__).resolve().parents[2]
PACKAGE = PROJECT / "plugins" / "feature_sync"
OTHERS = {"mismatched", "apprise -vv"}
"""Words in backticks that are no task: a scope, a command."""


def message_texts(path: Path) -> set[str]:
    """The strings of a module that are no docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docstrings = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    return {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings
    }


@pytest.fixture(scope="module")
def task_ids() -> set[str]:
    bag = DagBag(str(PROJECT / "dags"))
    assert bag.import_errors == {}
    ids = {task_id for dag in bag.dags.values() for task_id in dag.task_ids}
    return ids | {task_id.rpartition(".")[2] for task_id in ids}


def test_every_task_that_a_message_names_exists(task_ids: set[str]) -> None:
    named = {
        name: path.name
        for path in PACKAGE.rglob("*.py")
        for text in message_texts(path)
        for name in re.findall(r"`([^`{}]+)`", text)
    }

    assert {"send", "check_payload", "wait_for_copy", "heal"} <= set(named)
    assert {name: where for name, where in named.items() if name not in task_ids | OTHERS} == {}
