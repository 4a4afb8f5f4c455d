"""The page's answer about a run, as JSON. Rows in, facts out; nothing here asks anybody."""

from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from typing import Any

from feature_sync.config.green import CHECKED
from feature_sync.config.run_config import DEFAULTS
from feature_sync.page.batches import BatchProgress, BatchState, group_reasons, read_batches, sum_records
from feature_sync.page.estimate import Estimate, estimate_end
from feature_sync.page.facts import RESULT, RunFacts
from feature_sync.page.headline import ASKS, headline
from feature_sync.page.products import count_products


def progress_of(run: RunFacts, census_run: Callable[[int], str] = lambda _: "") -> dict[str, Any]:
    """
    Everything that the page shows of a run, but for its files.

    :param census_run: the address of a run in Census; an empty text if it is not known.
    """
    batches = read_batches(run)
    wait_seconds = float(run.config.get("wait_seconds", DEFAULTS["wait_seconds"]))
    checked = run.note_of(CHECKED, RESULT) or {}
    line = headline(run, batches, wait_seconds)
    products = count_products(run, batches, checked.get("products") or ())
    moves = not run.has_ended and line.kind != ASKS
    return {
        "now": asdict(line),
        "run": {
            "dag_id": run.dag_id,
            "run_id": run.run_id,
            "state": run.state,
            "type": run.run_type,
            "started_by": run.started_by,
            "started_at": _iso(run.started_at),
            "ended_at": _iso(run.ended_at),
            "seen_at": _iso(run.now),
            "config": {name: value for name, value in run.config.items() if DEFAULTS.get(name) != value},
            "note": run.note,
        },
        "counts": {state.value: sum(each.state is state for each in batches) for state in BatchState},
        "batches": [_batch(each, census_run) for each in batches],
        "records": asdict(sum_records(batches, checked.get("records"))),
        "estimate": _estimate(estimate_end(batches, run.now, wait_seconds)) if moves else None,
        "reasons": group_reasons(batches),
        "products": [asdict(each) for each in products.counts],
        "products_note": products.note,
        "questions": [
            {
                "task_id": each.task_id,
                "map_index": each.map_index,
                "subject": each.subject,
                "asked_at": _iso(each.asked_at),
            }
            for each in run.questions
        ],
        "red": [
            {"task_id": each.task_id, "map_index": each.map_index, "name": each.name}
            for each in run.in_state("failed")
            if each.task_id not in run.mapped
        ],
    }


def _batch(batch: BatchProgress, census_run: Callable[[int], str]) -> dict[str, Any]:
    shown = {
        "task_id": batch.task_id,
        "map_index": batch.map_index,
        "number": batch.number,
        "label": batch.label,
        "records": batch.records,
        "state": batch.state.value,
        "reason": batch.reason,
        "rejected": batch.rejected,
        "census_run": batch.census_run,
        "census_url": census_run(batch.census_run) if batch.census_run else "",
        "try": batch.try_number,
    }
    # A thousand batches that wait have little to say.
    return {name: value for name, value in shown.items() if value not in ("", None)}


def _estimate(estimate: Estimate | None) -> dict[str, Any] | None:
    return {**asdict(estimate), "ends_at": _iso(estimate.ends_at)} if estimate else None


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
