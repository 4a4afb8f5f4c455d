"""The invariants of sending, proven from the sandbox's journal: what the outside world saw, not what the DAG says of itself."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

SYNC_ID = 4711
STAGING = "INSERT OVERWRITE crm.sfdc_dbx.feature_sync_batch"
Entry = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class CensusRun:
    """A run of the sync that was not skipped. ``keys`` are those that reached Salesforce, accepted or rejected."""

    id: int
    started: int
    ended: int
    started_at: datetime
    ended_at: datetime
    status: str
    ui_tag: str
    keys: frozenset[str]


def read_runs(journal: Sequence[Entry]) -> list[CensusRun]:
    """The runs in the order they were started. Every run must have an end."""
    ends = {entry["sync_run_id"]: entry for entry in journal if entry["kind"] == "census.run.ended"}
    keys: dict[int, set[str]] = {}
    for entry in journal:
        if entry["kind"] == "salesforce.transaction" and entry.get("sync_run_id"):
            keys.setdefault(entry["sync_run_id"], set()).update(entry["keys"])
    runs = []
    for entry in journal:
        if entry["kind"] != "census.run.started" or entry["sync_id"] != SYNC_ID:
            continue
        end = ends.get(entry["sync_run_id"])
        assert end is not None, f"run {entry['sync_run_id']} has not ended"
        if end["status"] == "skipped":
            continue
        run_id = entry["sync_run_id"]
        runs.append(
            CensusRun(
                id=run_id,
                started=entry["seq"],
                ended=end["seq"],
                started_at=datetime.fromisoformat(entry["at"]),
                ended_at=datetime.fromisoformat(end["at"]),
                status=end["status"],
                ui_tag=entry["ui_tag"],
                keys=frozenset(keys.get(run_id, ())),
            )
        )
    return runs


def read_batches(run_folder: Path) -> dict[int, frozenset[str]]:
    """The upsert keys of each batch file of a run, by batch number."""
    batches = {}
    for path in sorted((run_folder / "feature_backfill_batches").glob("*.csv")):
        with path.open(newline="", encoding="utf-8") as file:
            keys = frozenset(row["reverse_etl_id_c"] for row in csv.DictReader(file))
        batches[int(path.name.split("_")[3])] = keys
    return batches


def assert_one_at_a_time(runs: Iterable[CensusRun], wait_seconds: float) -> None:
    """Invariant 1: no two runs at once, and none sooner than ``wait_seconds`` after the one before."""
    ordered = sorted(runs, key=lambda run: run.started_at)
    for former, later in pairwise(ordered):
        gap = later.started_at - former.ended_at
        assert gap >= timedelta(seconds=wait_seconds), f"run {later.id} started {gap} after run {former.id}, not {wait_seconds} s"


def assert_staged_alone(journal: Sequence[Entry], runs: Iterable[CensusRun], batches: Iterable[frozenset[str]]) -> None:
    """Invariant 2: the batch table is never replaced while a run is in flight, and each run sent parts of exactly one batch."""
    staged = [entry["seq"] for entry in journal if entry["kind"] == "warehouse.statement" and STAGING in entry["sql"]]
    assert staged, "nothing was staged"
    known = list(batches)
    for run in runs:
        meanwhile = [seq for seq in staged if run.started < seq < run.ended]
        assert not meanwhile, f"the batch table was replaced at {meanwhile} during run {run.id}"
        assert any(run.keys <= batch for batch in known), f"run {run.id} sent records of more than one batch"


def first_pass(runs: Iterable[CensusRun], batches: Mapping[int, frozenset[str]]) -> list[int]:
    """The batch numbers in the order in which each was first sent."""
    order = []
    for run in runs:
        for number, keys in batches.items():
            if run.keys and run.keys <= keys and number not in order:
                order.append(number)
    return order


def sends_of(runs: Iterable[CensusRun], keys: frozenset[str]) -> list[CensusRun]:
    """The runs that sent records of a batch."""
    return [run for run in runs if run.keys and run.keys <= keys]


def accepted_keys(journal: Sequence[Entry]) -> set[str]:
    """The upsert keys of every record that Salesforce accepted from Census at least once."""
    return {
        key
        for entry in journal
        if entry["kind"] == "salesforce.transaction" and entry.get("sync_run_id") and not entry["error"]
        for key in entry["keys"]
    }
