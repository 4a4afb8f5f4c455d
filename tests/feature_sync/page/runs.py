"""Runs as Airflow's tables have them, for the rules of the page."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from feature_sync.config.names import BACKFILL_DAG_ID
from feature_sync.page.facts import Instance, RunFacts

NOW = datetime(2025, 11, 21, 12, tzinfo=UTC)
SEND, TURN = "batch.send", "batch.wait_for_turn"


def minutes(number: float) -> datetime:
    """So many minutes before now."""
    return NOW - timedelta(minutes=number)


def plan(batches: int, records: int = 50) -> list[dict[str, Any]]:
    return [
        {"number": number, "label": f"batch {number:03d}: records ...", "records": records} for number in range(1, batches + 1)
    ]


def run(
    *states: str | None,
    left: Mapping[int, Mapping[str, Any]] | None = None,
    tasks: tuple[Instance, ...] = (),
    results: Mapping[str, Any] | None = None,
    state: str = "running",
    **more: Any,
) -> RunFacts:
    """
    A backfill whose batches are in these states.

    :param left: by index of the batch, what its task has left. :param results: by task, what it returned.
    """
    sends = tuple(
        Instance(SEND, index, each, ended_at=minutes(10 - index) if each in ("success", "failed") else None)
        for index, each in enumerate(states)
    )
    notes: dict[tuple[str, int], Mapping[str, Any]] = {(SEND, index): dict(each) for index, each in (left or {}).items()}
    notes |= {
        (task_id, -1): {"return_value": each} for task_id, each in {"plan_batches": plan(len(states)), **(results or {})}.items()
    }
    return RunFacts(
        BACKFILL_DAG_ID,
        "manual__1",
        "manual",
        state,
        NOW,
        instances=(*sends, *tasks),
        notes={**notes, **more.pop("notes", {})},
        **more,
    )


def outcome(status: str, rejected: int | None = 0, **more: Any) -> dict[str, Any]:
    return {"outcome": {"status": status, "rejected": rejected, "reason": "said", "reasons": [], **more}}
