"""One line about a former run."""

from typing import Any

from feature_sync.config.green import CHECKED
from feature_sync.page.facts import RESULT, RunFacts


def summary_of(run: RunFacts) -> dict[str, Any]:
    """
    What the list of former runs shows of one.

    ``accuracy``: the share of the properties that were checked and are right, or None if nothing was checked.
    """
    found = run.found
    checked, wrong = found.get("properties_checked"), found.get("properties_mismatched")
    return {
        "dag_id": run.dag_id,
        "run_id": run.run_id,
        "state": run.state,
        "type": run.run_type,
        "started_by": run.started_by,
        "started_at": run.started_at and run.started_at.isoformat(),
        "ended_at": run.ended_at and run.ended_at.isoformat(),
        "dry_run": run.is_dry_run,
        "undoes": run.config.get("undo_run_id"),
        "result": found.get("result"),
        "records": (run.note_of(CHECKED, RESULT) or {}).get("records"),
        "accuracy": 1 - wrong / checked if checked and wrong is not None else None,
    }
