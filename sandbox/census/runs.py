"""Creates, ends, cancels and presents sync runs."""

import json
import sqlite3
import time
from datetime import datetime, timedelta
from typing import Any

from sandbox.faults import Active, Faults, Parameters
from sandbox.journal import RUN_ENDED, RUN_SKIPPED, RUN_STARTED, Journal
from sandbox.settings import SettingsStore
from sandbox.state import State, iso, now

UI_TAG_API = "API Request"
UI_TAG_MANUAL = "Manual"
UI_TAG_DRY_RUN = "Dry Run"
UI_TAG_LIVE = "Live"
"""Of a run that nobody triggered. How Census tags it is not documented."""
SKIPPED = "An earlier instance of the sync is still running, so this run was skipped."

FIELDS = (
    "id",
    "sync_id",
    "status",
    "created_at",
    "updated_at",
    "completed_at",
    "error_code",
    "error_message",
    "error_detail",
    "source_record_count",
    "source_record_updates",
    "source_record_deletes",
    "source_record_invalids",
    "records_invalid",
    "records_processed",
    "records_updated",
    "records_failed",
)


class TriggerError(Exception):
    """Census answers the trigger with an error and makes no run."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Runs:
    """The table of runs. A run's facts and its journal entry are written in one transaction."""

    def __init__(self, state: State, journal: Journal, faults: Faults, settings: SettingsStore) -> None:
        self._state = state
        self._journal = journal
        self._faults = faults
        self._settings = settings

    def create(self, sync_id: int, *, paused: bool, force_full_sync: bool, ui_tag: str) -> int:
        """
        Make a run. Its status is ``skipped`` if another run of the sync is queued or working (Census API: fetch sync run).

        :raises TriggerError: the sync is paused, or the settings refuse a trigger during another run.
        """
        settings = self._settings.current
        with self._state.transaction() as tx:
            if paused and settings.census_paused_trigger == "refuse":
                raise TriggerError(400, "The sync is paused.")
            busy = self._state.one("SELECT 1 FROM census_run WHERE sync_id = ? AND phase <> 'ended'", (sync_id,)) is not None
            if busy and settings.census_while_running == "refuse":
                raise TriggerError(409, "The sync is already running.")
            fault = next(iter(self._faults.take("run", sync_id=sync_id)), None) if not busy else None
            skipped = busy or (fault is not None and fault.name == "skipped")
            moment = iso(now())
            run_id = tx.execute(
                "INSERT INTO census_run (sync_id, status, full_sync, dry_run, ui_tag, created_at, updated_at, phase, due,"
                " error_message, fault, fault_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    sync_id,
                    "skipped" if skipped else "queued",
                    force_full_sync or self._is_first(sync_id),
                    ui_tag == UI_TAG_DRY_RUN,
                    ui_tag,
                    moment,
                    moment,
                    "ended" if skipped else "queued",
                    time.time() + settings.census_queue_seconds,
                    SKIPPED if skipped else None,
                    json.dumps({"fault": fault.name, **fault.parameters.model_dump(exclude_unset=True)}) if fault else None,
                    fault.id if fault else None,
                ),
            ).lastrowid
            self._journal.add(
                RUN_SKIPPED if skipped else RUN_STARTED,
                sync_id=sync_id,
                sync_run_id=run_id,
                ui_tag=ui_tag,
                full_sync=bool(force_full_sync),
            )
        return int(run_id or 0)

    def get(self, run_id: int) -> sqlite3.Row | None:
        return self._state.one("SELECT * FROM census_run WHERE id = ?", (run_id,))

    def active(self) -> list[sqlite3.Row]:
        return self._state.query("SELECT * FROM census_run WHERE phase <> 'ended' ORDER BY id")

    def page(self, sync_id: int, *, descending: bool, offset: int, limit: int) -> tuple[int, list[sqlite3.Row]]:
        """The number of runs of the sync, and one page of them."""
        rows = self._state.query(
            f"SELECT * FROM census_run WHERE sync_id = ? ORDER BY id {'DESC' if descending else 'ASC'} LIMIT ? OFFSET ?",
            (sync_id, limit, offset),
        )
        [count] = self._state.query("SELECT count(*) AS runs FROM census_run WHERE sync_id = ?", (sync_id,))
        return count["runs"], rows

    def update(self, run_id: int, **values: Any) -> None:
        with self._state.transaction() as tx:
            stamped = {**values, "updated_at": iso(now())}
            tx.execute(
                f"UPDATE census_run SET {', '.join(f'{name} = ?' for name in stamped)} WHERE id = ?", (*stamped.values(), run_id)
            )

    def end(self, run_id: int, status: str, *, canceled: bool = False, **values: Any) -> None:
        """End a run. ``completed_at`` is null unless the run completed (Census API: sample of a failed run)."""
        with self._state.transaction():
            moment = now()
            self.update(
                run_id,
                **values,
                status=status,
                canceled=canceled,
                phase="ended",
                completed_at=iso(moment) if status == "completed" else None,
                records_due=moment.timestamp() + self._settings.current.records_visible_seconds,
            )
            run = self.get(run_id)
            assert run is not None  # noqa: S101 - it was changed a moment ago
            self._journal.add(
                RUN_ENDED,
                sync_id=run["sync_id"],
                sync_run_id=run_id,
                status=status,
                records=run["records_processed"],
                updated=run["records_updated"],
                failed=run["records_failed"],
                ui_tag=run["ui_tag"],
                canceled=canceled,
            )

    def cancel(self, run_id: int) -> bool:
        """Cancel a queued or working run. Rows that it has sent stay sent. Return False if the run had already ended."""
        with self._state.transaction() as tx:
            run = self.get(run_id)
            if run is None or run["phase"] == "ended":
                return False
            tx.execute("DELETE FROM census_record WHERE run_id = ? AND status = 'pending'", (run_id,))
            self.end(run_id, self._settings.current.census_canceled_status, canceled=True)
        return True

    def _is_first(self, sync_id: int) -> bool:
        """Observed: the first real run of a sync is always a full one."""
        return (
            self._state.one("SELECT 1 FROM census_run WHERE sync_id = ? AND NOT dry_run AND status = 'completed'", (sync_id,))
            is None
        )


def fault_of(run: sqlite3.Row) -> Active | None:
    """The fault that a run got when it was made."""
    if run["fault"] is None:
        return None
    stored = json.loads(run["fault"])
    return Active(run["fault_id"], stored.pop("fault"), Parameters.model_validate(stored))


def present(run: sqlite3.Row, updated_seconds: float = 0) -> dict[str, Any]:
    """
    A run as the API shows it (Census API: fetch sync run; observed). `current_step` was absent in live runs.

    :param updated_seconds: how long `updated_at` moves after the run's end (observed).
    """
    moved = {}
    if updated_seconds and run["phase"] == "ended" and run["completed_at"]:
        end = datetime.fromisoformat(run["completed_at"]) + timedelta(seconds=updated_seconds)
        moved = {"updated_at": iso(min(end, now()))}
    return {
        **{name: run[name] for name in FIELDS},
        **moved,
        "scheduled_execution_time": None,
        "canceled": bool(run["canceled"]),
        "full_sync": bool(run["full_sync"]),
        "sync_trigger_reason": {"ui_tag": run["ui_tag"], "ui_detail": run["ui_detail"]},
    }
