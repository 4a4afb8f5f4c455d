"""The rows of a run: the new and changed ones, the problems with keys, and the outcome of each row."""

import json
import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sandbox.salesforce.schema import ObjectSchema, OrgField
from sandbox.state import State

PENDING = "pending"
"""Not sent yet. The API does not show these rows."""
INVALID = ("NULL", "DUPLICATE", "invalid")


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the source as it would be sent. ``status`` is ``pending``, or the problem that keeps it from being sent."""

    identifier: str | None
    payload: Mapping[str, Any]
    status: str


@dataclass(frozen=True, slots=True)
class Plan:
    """A run's plan for the rows of its source."""

    source_count: int
    rows: tuple[Row, ...]
    """The invalid rows, and the new or changed ones. In a full sync all rows."""
    vanished: tuple[str, ...]
    """Identifiers that were sent before and are no longer in the source. `update` and `upsert` ignore them."""

    @property
    def invalid(self) -> int:
        return sum(row.status in INVALID for row in self.rows)

    @property
    def changed(self) -> int:
        return len(self.rows) - self.invalid


def plan(sync: Mapping[str, Any], source: Sequence[Mapping[str, Any]], sent: Mapping[str, str], *, full: bool) -> Plan:
    """
    Compare a source with the row last sent for each identifier (Census docs: syncs are incremental).

    A row is sent whole, with every mapped field. Rows with a NULL or repeated identifier are invalid and never sent.
    """
    primary = next(mapping for mapping in sync["mappings"] if mapping["is_primary_identifier"])["from"]["data"]
    identifiers = [None if row[primary] is None else str(row[primary]) for row in source]
    counts = Counter(identifiers)
    rows = []
    for row, identifier in zip(source, identifiers, strict=True):
        payload = _payload(sync, row)
        if identifier is None:
            rows.append(Row(None, payload, "NULL"))
        elif counts[identifier] > 1:
            rows.append(Row(identifier, payload, "DUPLICATE"))
        elif full or sent.get(identifier) != json.dumps(payload, sort_keys=True):
            rows.append(Row(identifier, payload, PENDING))
    return Plan(len(source), tuple(rows), tuple(sorted(set(sent) - set(counts))))


def _payload(sync: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
    payload = {}
    for mapping in sync["mappings"]:
        data = mapping["from"]["data"]
        value = row[data] if mapping["from"]["type"] == "column" else data["value"]
        if value is not None or mapping.get("sync_null_values", True):
            payload[mapping["to"]] = value
    return payload


def key_field(sync: Mapping[str, Any], schema: ObjectSchema) -> OrgField:
    """The Salesforce field that matches rows with records."""
    return schema[next(mapping for mapping in sync["mappings"] if mapping["is_primary_identifier"])["to"]]


class RowRecords:
    """The row records of runs, and the map of the rows last sent."""

    def __init__(self, state: State) -> None:
        self._state = state

    def sent(self, sync_id: int) -> dict[str, str]:
        rows = self._state.query("SELECT identifier, payload FROM census_sent WHERE sync_id = ?", (sync_id,))
        return {row["identifier"]: row["payload"] for row in rows}

    def forget_vanished(self, sync_id: int, identifiers: Sequence[str]) -> None:
        """Forget these rows. A row that comes back later counts as new. This is not documented."""
        with self._state.transaction() as tx:
            tx.executemany(
                "DELETE FROM census_sent WHERE sync_id = ? AND identifier = ?", [(sync_id, one) for one in identifiers]
            )

    def add(self, run_id: int, rows: Sequence[Row], operation: str, chunk_size: int) -> int:
        """Store the rows of a run. The pending ones are divided into chunks. Return the number of chunks."""
        chunk_of, pending = {}, 0
        for position, row in enumerate(rows):
            if row.status == PENDING:
                chunk_of[position] = pending // chunk_size
                pending += 1
        with self._state.transaction() as tx:
            tx.executemany(
                "INSERT INTO census_record (run_id, position, chunk, identifier, operation, status, payload)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                [
                    (run_id, position, chunk_of.get(position), row.identifier, operation, row.status, json.dumps(row.payload))
                    for position, row in enumerate(rows)
                ],
            )
        return -(-pending // chunk_size)

    def next_chunk(self, run_id: int) -> list[sqlite3.Row]:
        return self._state.query(
            "SELECT * FROM census_record WHERE run_id = ?1 AND status = 'pending' AND chunk ="
            " (SELECT min(chunk) FROM census_record WHERE run_id = ?1 AND status = 'pending') ORDER BY position",
            (run_id,),
        )

    def settle(
        self, record: sqlite3.Row, status: str, message: str | None, *, moment: str, sync_id: int, remember: bool = True
    ) -> None:
        """Store a row's outcome. A row that succeeded is remembered as sent. The next run sends any other row again."""
        with self._state.transaction() as tx:
            tx.execute(
                "UPDATE census_record SET status = ?, status_message = ?, batch_started_at = ?, batch_completed_at = ?"
                " WHERE run_id = ? AND position = ?",
                (status, message, moment, moment, record["run_id"], record["position"]),
            )
            if status == "succeeded" and remember:
                payload = json.dumps(json.loads(record["payload"]), sort_keys=True)
                tx.execute("INSERT OR REPLACE INTO census_sent VALUES (?, ?, ?)", (sync_id, record["identifier"], payload))
            else:
                tx.execute("DELETE FROM census_sent WHERE sync_id = ? AND identifier = ?", (sync_id, record["identifier"]))

    def counts(self, run_id: int) -> Counter[str]:
        rows = self._state.query("SELECT status, count(*) AS rows FROM census_record WHERE run_id = ? GROUP BY status", (run_id,))
        return Counter({row["status"]: row["rows"] for row in rows})

    def read(
        self, run_id: int, *, status: str | None, operation: str | None, identifier: str | None, offset: int, limit: int
    ) -> tuple[int, list[sqlite3.Row]]:
        """Row records, filtered as in the API. ``invalid`` covers every problem with a key."""
        statuses = {None: ("succeeded", "rejected", *INVALID), "invalid": INVALID}.get(status, (status,))
        where = (
            f"FROM census_record WHERE run_id = ? AND status IN ({', '.join('?' * len(statuses))})"
            " AND (? IS NULL OR operation = ?) AND (? IS NULL OR identifier = ?)"
        )
        values = (run_id, *statuses, operation, operation, identifier, identifier)
        [count] = self._state.query(f"SELECT count(*) AS rows {where}", values)
        return count["rows"], self._state.query(f"SELECT * {where} ORDER BY position LIMIT ? OFFSET ?", (*values, limit, offset))


def present(record: sqlite3.Row) -> dict[str, Any]:
    """A row record as the API shows it (Census API: fetch records)."""
    names = ("identifier", "batch_started_at", "batch_completed_at", "operation", "status", "status_message")
    return {"record_payload": json.loads(record["payload"]), **{name: record[name] for name in names}}
