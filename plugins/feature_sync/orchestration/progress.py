"""
What a task notes for the page that shows a run: what it waits for, what it sends, what became of it.

The notes are XComs. Airflow removes them when a task begins a new try, so none outlives what it speaks of. Nothing that a run
does depends on them: a note that cannot be written is a line in the log.
"""

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from airflow.sdk import get_current_context

from feature_sync.config.green import FOUND

log = logging.getLogger(__name__)

WAITS = "waits_for"
"""Why a task waits: ``reason``, and ``until``, an ISO 8601 time or None if nobody knows."""
SENT = "sent"
"""The Census run that a batch is being sent by: ``attempt``, ``sync_run_id``, ``records``."""
EXPECTED = "expected_end"
"""When a run will have sent its batches by its own estimate, see `feature_sync.watch.sending.Expectation`."""
OUTCOME = "outcome"
"""What became of a batch, see `feature_sync.sending.outcome.Outcome.as_note`."""
CHANGES = "changes"
"""
What each planned batch changes, see `feature_sync.sending.batches.PlannedChanges.as_note`. The task that plans the batches leaves
one note about all of them, because each batch gets its own plan as an argument, and that must stay small.
"""


def note_progress(ti: Any, key: str, value: Mapping[str, Any]) -> None:
    """
    Leave a note for the page.

    :param ti: the task instance.
    :param key: one of the names above.
    :param value: JSON values only.
    """
    try:
        ti.xcom_push(key=key, value=dict(value))
    except Exception as error:  # whatever Airflow's client raises; the page is never a reason to fail
        log.warning("The page will not show that: a note could not be left in Airflow (%s)", type(error).__name__)


def note_wait(ti: Any, reason: str, until: datetime | None = None) -> None:
    """Note why a task waits, and until when, if that is known."""
    note_progress(ti, WAITS, {"reason": reason, "until": until and until.isoformat()})


def note_changes(changes: Mapping[str, Any]) -> None:
    """Note what the batches change that the current task has planned."""
    note_progress(get_current_context()["ti"], CHANGES, changes)


def note_found(report: Mapping[str, Any], ti: Any = None) -> None:
    """
    Note what the verdict of the current task rests on, before it says whether that is good.

    :param report: what ``validation.json`` holds.
    :param ti: the task instance; by default that of the current task.
    """
    shown = ("result", "checked_at", "properties_checked", "properties_mismatched", "products", "records")
    note_progress(ti or get_current_context()["ti"], FOUND, {name: report[name] for name in shown if name in report})
