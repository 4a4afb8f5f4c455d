"""What the version before the rooms stored in Airflow's database for a task that waits: a path, and the trigger's arguments."""

import inspect
from datetime import UTC, datetime
from importlib import import_module
from typing import Any
from uuid import UUID

import pytest

from feature_sync.orchestration.deferral import SafeTrigger

LATER = "2026-11-26T00:00:00+00:00"
TURN = {
    "dag_id": "product_feature_backfill",
    "run_id": "manual__1",
    "map_index": 3,
    "send_task_id": "batch.send",
    "sync_id": 4711,
}
ANSWER = {
    "ti_id": UUID("0197b5a0-0000-7000-8000-000000000001"),
    "options": ["Approve", "Reject"],
    "defaults": None,
    "params": {},
    "multiple": False,
    "timeout_datetime": datetime(2026, 11, 26, tzinfo=UTC),
    "poke_interval": 5.0,
}


@pytest.mark.parametrize(
    ("path", "arguments"),
    [
        ("feature_sync.census.triggers.CensusRunTrigger", {"sync_run_id": 7, "poll_seconds": 5.0, "deadline": LATER}),
        (
            "feature_sync.census.triggers.CensusQuietTrigger",
            {"sync_id": 4711, "wait_seconds": 150.0, "not_before": LATER, "poll_seconds": 5.0, "deadline": LATER},
        ),
        ("feature_sync.census.triggers.BatchTurnTrigger", {**TURN, "wait_seconds": 150.0, "poll_seconds": 5.0}),
        (
            "feature_sync.copy_sensors.RunCopyTrigger",
            {"run_id": "manual__1", "poll_seconds": 30.0, "give_up_at": LATER, "ends_task": True},
        ),
        ("feature_sync.copy_sensors.WholeCopyTrigger", {"poll_seconds": 30.0, "give_up_at": LATER, "ends_task": True}),
        ("feature_sync.approvals.AnswerTrigger", ANSWER),
    ],
)
def test_a_trigger_that_was_stored_before_can_be_built_and_knows_its_new_path(path: str, arguments: dict[str, Any]) -> None:
    module, _, name = path.rpartition(".")

    trigger = getattr(import_module(module), name)(**arguments)

    new_path, stored = trigger.serialize()
    assert isinstance(trigger, SafeTrigger)
    assert new_path != path
    assert stored == arguments
    assert inspect.isasyncgenfunction(type(trigger).run)
