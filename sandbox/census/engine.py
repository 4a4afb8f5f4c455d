"""The run engine takes each run from queued to its end. Each small step is committed, so that a kill loses no run."""

import logging
import sqlite3
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sandbox.census import rows
from sandbox.census.rows import PENDING, Plan, RowRecords
from sandbox.census.runs import UI_TAG_LIVE, Runs, fault_of
from sandbox.census.source import SourceError
from sandbox.census.syncs import SUPPORTED_OPERATIONS, Syncs, starts_itself
from sandbox.faults import Active, Faults
from sandbox.salesforce.org import Change, Org, Outcome
from sandbox.salesforce.schema import OBJECT, OrgField
from sandbox.salesforce.users import CENSUS
from sandbox.settings import SettingsStore
from sandbox.state import State, iso, now

TICK = 0.02
IDLE = 0.5
MAX_CHUNK = 200
"""Salesforce processes at most 200 records in a transaction (Bulk API: chunks of 200 records)."""
NOTHING_SENT = frozenset({"canceled", "failed", "process_none"})
"""With these faults a run sends no rows, unless ``after_sending`` is set."""

log = logging.getLogger(__name__)


class RunEngine:
    """
    Drives all runs in one thread. A run's phases: queued, reading, sending, ended.

    Each chunk is one transaction of the state: the org's records, the journal entry, the row records, the map of sent rows.
    """

    def __init__(
        self,
        *,
        state: State,
        faults: Faults,
        settings: SettingsStore,
        syncs: Syncs,
        runs: Runs,
        records: RowRecords,
        org: Org,
    ) -> None:
        self._state = state
        self._faults = faults
        self._settings = settings
        self._syncs = syncs
        self._runs = runs
        self._records = records
        self._org = org
        self._wake = threading.Event()
        self._stop = threading.Event()
        self.step_lock = threading.Lock()
        """Held for a whole step. Its holder never sees a run in the middle of a step."""
        self._thread = threading.Thread(target=self._loop, name="census-runs", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """Look at the runs at once, because a run was made."""
        self._wake.set()

    def stop(self) -> None:
        self._stop.set()
        self._wake.set()
        self._thread.join()

    def _loop(self) -> None:
        while not self._stop.is_set():
            active = 0
            with self.step_lock:
                self._start_live_runs()
                for run in self._runs.active():
                    active += 1
                    try:
                        self._step(run)
                    except Exception as error:
                        log.exception("Run %s failed", run["id"])
                        self._runs.end(
                            run["id"], "failed", error_code="INTERNAL_ERROR", error_message=f"{type(error).__name__}: {error}"
                        )
            self._wake.wait(TICK if active else IDLE)
            self._wake.clear()

    def _start_live_runs(self) -> None:
        """A sync in live mode starts a run by itself as soon as its source has rows that it has not sent."""
        busy = {run["sync_id"] for run in self._runs.active()}
        for sync_id in set(self._syncs.ids()) - busy:
            sync = self._syncs.get(sync_id) or {}
            if not sync or not starts_itself(sync) or _not_supported(sync) is not None:
                continue
            try:
                found = rows.plan(sync, self._syncs.read_source(sync), self._records.sent(sync_id), full=False)
            except SourceError:
                continue
            if found.changed:
                self._runs.create(sync_id, paused=False, force_full_sync=False, ui_tag=UI_TAG_LIVE)

    def _step(self, run: sqlite3.Row) -> None:
        if run["due"] > time.time() or self._is_stuck(run):
            return
        match run["phase"]:
            case "queued":
                fault = fault_of(run)
                odd = fault is not None and fault.name == "unknown_status" and fault.parameters.phase == "working"
                self._advance(run, status=_word(fault) if odd else "working", phase="reading")
            case "reading":
                self._read(run)
            case "sending":
                self._send_or_finish(run)

    def _is_stuck(self, run: sqlite3.Row) -> bool:
        fault = fault_of(run)
        if fault is None or fault.name != "stuck" or not self._faults.exists(fault.id):
            return False
        return run["phase"] == ("queued" if fault.parameters.phase == "queued" else "reading")

    def _is_as_it_was(self, run: sqlite3.Row) -> bool:
        """True unless the run was canceled since it was looked up."""
        present = self._runs.get(run["id"])
        return present is not None and present["phase"] == run["phase"]

    def _advance(self, run: sqlite3.Row, **values: Any) -> None:
        with self._state.transaction():
            if self._is_as_it_was(run):
                self._runs.update(run["id"], **values)

    def _read(self, run: sqlite3.Row) -> None:
        """Read the source and store the plan, so that a restart sends the same rows."""
        sync = self._syncs.get(run["sync_id"]) or {}
        problem = _not_supported(sync)
        if problem is None:
            try:
                source = self._syncs.read_source(sync)
            except SourceError as error:
                problem = error
        if problem is not None:
            with self._state.transaction():
                if self._is_as_it_was(run):
                    self._runs.end(run["id"], "failed", error_code=problem.code, error_message=str(problem))
            return
        fault = fault_of(run)
        full = bool(run["full_sync"])
        settings = self._settings.current
        with self._state.transaction():
            if not self._is_as_it_was(run):
                return
            plan = rows.plan(sync, source, self._records.sent(run["sync_id"]), full=full)
            if fault is not None and fault.name in NOTHING_SENT and not fault.parameters.after_sending:
                plan = replace(plan, rows=tuple(row for row in plan.rows if row.status != PENDING))
            chosen = sync["advanced_configuration"].get("batch_size") or settings.census_batch_size
            kept = () if run["dry_run"] else plan.rows
            chunks = self._records.add(run["id"], kept, sync["operation"], min(int(chosen), MAX_CHUNK))
            if not run["dry_run"]:
                self._records.forget_vanished(run["sync_id"], plan.vanished)
            pause = settings.census_work_seconds / (chunks + 1)
            self._advance(
                run,
                phase="sending",
                due=time.time() + pause,
                chunk_seconds=pause,
                end_due=time.time() + settings.census_work_seconds,
                source_record_count=_source_count(plan, fault),
                source_record_updates=plan.changed,
                source_record_deletes=len(plan.vanished),
                source_record_invalids=plan.invalid,
            )

    def _send_or_finish(self, run: sqlite3.Row) -> None:
        with self._state.transaction():
            if not self._is_as_it_was(run):
                return
            chunk = self._records.next_chunk(run["id"])
            if chunk:
                self._send(run, chunk)
                self._runs.update(run["id"], due=time.time() + run["chunk_seconds"])
            elif run["end_due"] > time.time():
                self._runs.update(run["id"], due=run["end_due"])
            else:
                self._finish(run)

    def _send(self, run: sqlite3.Row, chunk: Sequence[sqlite3.Row]) -> None:
        sync = self._syncs.get(run["sync_id"]) or {}
        fault = fault_of(run)
        held_back = self._held_back(run, chunk, fault)
        sent = [record for record in chunk if record["position"] not in held_back]
        started = iso(now())
        outcomes = self._transact(run, sync, sent) if sent else []
        for record, outcome in [
            *zip(sent, outcomes, strict=True),
            *((record, held_back[record["position"]]) for record in chunk if record["position"] in held_back),
        ]:
            self._records.settle(record, outcome.status, outcome.message, moment=started, sync_id=run["sync_id"])

    def _transact(self, run: sqlite3.Row, sync: dict[str, Any], records: Sequence[sqlite3.Row]) -> list[Outcome]:
        key = rows.key_field(sync, self._org.schema)
        changes = [Change(key, record["identifier"], self._to_set(sync, key, record)) for record in records]
        operation = sync["operation"]
        if operation != "update":
            changes = [replace(change, values={**change.values, key.name: change.key}) for change in changes]
        return self._org.transact(changes, operation=operation, source="census", by=CENSUS, sync_run_id=run["id"])

    def _to_set(self, sync: dict[str, Any], key: OrgField, record: sqlite3.Row) -> dict[str, Any]:
        """The values of a row that are written. With `preserve_values`, 'Set If Empty', a field that has a value stays."""
        values = self._without_refused(_without_key(rows.present(record)["record_payload"], key.name))
        preserved = {mapping["to"].lower() for mapping in sync["mappings"] if mapping.get("preserve_values")}
        found = self._org.find(key, record["identifier"]) if preserved else []
        if len(found) != 1:
            return values
        held = {name.lower() for name in found[0].keys() if found[0][name] is not None}  # noqa: SIM118 - a row of SQLite
        return {name: value for name, value in values.items() if name.lower() not in preserved & held}

    def _without_refused(self, values: dict[str, Any]) -> dict[str, Any]:
        """A connector that reads describe first leaves out what it may not edit, and says nothing."""
        settings = self._settings.current
        if settings.census_uneditable == "reject":
            return values
        refused = {name.lower() for name in settings.census_uneditable_fields}
        return {name: value for name, value in values.items() if name.lower() not in refused}

    def _held_back(self, run: sqlite3.Row, chunk: Sequence[sqlite3.Row], fault: Active | None) -> dict[int, Outcome]:
        """The rows that a fault keeps from Salesforce, by position, with the outcome that Census reports for them."""
        if fault is None or fault.name not in ("reject_rows", "silent_loss", "counters_disagree"):
            return {}
        outcome = Outcome("succeeded")
        if fault.name != "silent_loss":
            outcome = Outcome("rejected", fault.parameters.message or "FIELD_CUSTOM_VALIDATION_EXCEPTION: refused by a fault")
        limit = fault.parameters.count
        if limit is None and fault.name == "counters_disagree":
            limit = 1
        pending = self._state.query(
            "SELECT position FROM census_record WHERE run_id = ? AND chunk IS NOT NULL ORDER BY position", (run["id"],)
        )
        chosen = {row["position"] for row in (pending if limit is None else pending[:limit])}
        return {record["position"]: outcome for record in chunk if record["position"] in chosen}

    def _finish(self, run: sqlite3.Row) -> None:
        fault = fault_of(run)
        counts = self._records.counts(run["id"])
        updated, failed = counts["succeeded"], counts["rejected"]
        if run["dry_run"]:
            # Observed: a dry run looks like a successful one. Only its tag distinguishes them.
            updated, failed = run["source_record_updates"], 0
        if fault is not None and fault.name == "counters_disagree":
            updated, failed = updated + failed, 0
        counters: dict[str, Any] = {
            "records_invalid": run["source_record_invalids"],
            "records_processed": updated + failed,
            "records_updated": updated,
            "records_failed": failed,
        }
        match fault and fault.name:
            case "null_counters":
                empty: dict[str, Any] = dict.fromkeys([*counters, "source_record_count", "source_record_updates"])
                self._runs.end(run["id"], "completed", canceled=False, **empty)
            case "failed":
                # Census API: the counters are null in the sample of a failed run.
                parameters = fault.parameters if fault else None
                self._runs.end(
                    run["id"],
                    "failed",
                    error_code=(parameters and parameters.error_code) or "JSON_ARRAY_ERROR",
                    error_message=(parameters and parameters.error_message) or "The destination did not answer.",
                )
            case "canceled":
                status = fault.parameters.status if fault else None
                self._runs.end(run["id"], status or self._settings.current.census_canceled_status, canceled=True, **counters)
            case "unknown_status" if fault and fault.parameters.phase != "working":
                self._runs.end(run["id"], _word(fault), **counters)
            case _:
                self._runs.end(run["id"], "completed", **counters)


def _word(fault: Active | None) -> str:
    return (fault and fault.parameters.status) or "frobnicating"


def _source_count(plan: Plan, fault: Active | None) -> int:
    if fault is not None and fault.name == "source_count" and fault.parameters.count is not None:
        return fault.parameters.count
    return plan.source_count


def _not_supported(sync: dict[str, Any]) -> SourceError | None:
    if not sync:
        return SourceError("SYNC_NOT_FOUND", "The sync was deleted.")
    if sync["operation"] not in SUPPORTED_OPERATIONS:
        return SourceError("NOT_SUPPORTED", f"The sandbox does not support the operation {sync['operation']!r}.")
    if sync["destination_attributes"]["object"] != OBJECT:
        return SourceError("NOT_SUPPORTED", f"The org has no object {sync['destination_attributes']['object']!r}.")
    return None


def _without_key(payload: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in payload.items() if name.lower() != key.lower()}
