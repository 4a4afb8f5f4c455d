"""What waits in Airflow's database needs no class of ours: a site may forbid Airflow to load any."""

from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from feature_sync.config.names import BACKFILL_DAG_ID
from feature_sync.orchestration.assets import VALIDATED_FEATURES, describe_outlets
from feature_sync.orchestration.deferral import SafeTrigger
from feature_sync.sending.batches import Batch
from tests.strict_site import loaded, stored

PACKAGE = Path(__file__).resolve().parents[3] / "plugins" / "feature_sync"
RUN_ID = 'weekly "check" 47/é:+'
LATER = "2026-11-26T00:00:00+00:00"
CENSUS = {"poll_seconds": 5.0, "deadline": LATER}
TURN = {"dag_id": BACKFILL_DAG_ID, "run_id": RUN_ID, "map_index": 3, "send_task_id": "batch.send", "sync_id": 4711}
REPLICA = {"poll_seconds": 30.0, "give_up_at": LATER, "ends_task": True}
ARGUMENTS: dict[str, dict[str, Any]] = {
    "AnswerTrigger": {
        "ti_id": UUID("0197b5a0-0000-7000-8000-000000000001"),
        "options": ["Approve", "Reject"],
        "params": {},
        "timeout_datetime": datetime(2026, 11, 26, tzinfo=UTC),
    },
    "BatchTurnTrigger": {**TURN, "turn_task_id": "batch.wait_for_turn", "wait_seconds": 150.0, "poll_seconds": 5.0},
    "CensusQuietTrigger": {"sync_id": 4711, "wait_seconds": 150.0, "not_before": LATER, **CENSUS},
    "CensusRecordsTrigger": {"sync_run_id": 7, "records": 50, **CENSUS},
    "CensusRunTrigger": {"sync_run_id": 7, **CENSUS},
    "RunEndTrigger": {"dag_id": BACKFILL_DAG_ID, "run_id": RUN_ID, "poll_seconds": 30.0},
    "RunReplicaTrigger": {"run_id": RUN_ID, **REPLICA},
    "WholeReplicaTrigger": REPLICA,
}


def triggers() -> dict[str, type[SafeTrigger]]:
    """Every trigger of ours that Airflow may have to build."""
    for path in PACKAGE.rglob("*.py"):
        if "SafeTrigger" in path.read_text(encoding="utf-8") or path.stem == "triggers":
            import_module(".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts))
    found, left = {}, [SafeTrigger]
    while left:
        for kind in left.pop().__subclasses__():
            left.append(kind)
            if kind.__module__.startswith("feature_sync.") and not kind.__abstractmethods__:
                found[kind.__name__] = kind
    return found


def test_every_trigger_is_known_here() -> None:
    assert set(triggers()) == set(ARGUMENTS)


@pytest.mark.parametrize("name", ARGUMENTS)
def test_a_trigger_is_built_again(name: str) -> None:
    trigger = triggers()[name](**ARGUMENTS[name])
    path, arguments = trigger.serialize()

    again = triggers()[name](**loaded(arguments))

    assert path.endswith(f".{name}")
    assert again.serialize() == trigger.serialize()


@pytest.mark.parametrize("value", [Batch(7, 301, 350, 50), {"batch": Batch(7, 301, 350, 50)}], ids=["batch", "within"])
def test_a_class_of_ours_would_be_refused(value: Any) -> None:
    with pytest.raises(ImportError, match="was not found in allow list"):
        loaded(value)


def test_a_batch_is_plain_json() -> None:
    assert Batch.from_xcom(stored(Batch(7, 301, 350, 50).as_xcom())) == Batch(7, 301, 350, 50)


@pytest.mark.parametrize("accepted", [None, 3])
def test_what_an_asset_event_says_is_plain_json(accepted: int | None) -> None:
    class Event:
        extra: dict[str, Any]

    event = Event()
    task = type("Task", (), {"outlets": [VALIDATED_FEATURES]})

    describe_outlets({"task": task, "outlet_events": {VALIDATED_FEATURES: event}}, 1_296, accepted)

    assert stored(event.extra)["properties_checked"] == 1_296
