"""The sandbox's memory: one SQLite file, which survives ``kill -9`` at any moment."""

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

SCHEMA = """
CREATE TABLE IF NOT EXISTS fact (name TEXT PRIMARY KEY, value TEXT);
CREATE TABLE IF NOT EXISTS setting (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS journal (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT NOT NULL, kind TEXT NOT NULL, body TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS fault (
    id INTEGER PRIMARY KEY AUTOINCREMENT, call TEXT NOT NULL, fault TEXT NOT NULL, times INTEGER, skip INTEGER NOT NULL,
    parameters TEXT NOT NULL, seen INTEGER NOT NULL DEFAULT 0, applied INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS census_sync (id INTEGER PRIMARY KEY, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS census_dataset (id INTEGER PRIMARY KEY, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS census_run (
    id INTEGER PRIMARY KEY AUTOINCREMENT, sync_id INTEGER NOT NULL, status TEXT NOT NULL, canceled INTEGER NOT NULL DEFAULT 0,
    full_sync INTEGER NOT NULL, dry_run INTEGER NOT NULL DEFAULT 0, ui_tag TEXT NOT NULL, ui_detail TEXT,
    created_at TEXT NOT NULL, updated_at TEXT NOT NULL, completed_at TEXT,
    error_code TEXT, error_message TEXT, error_detail TEXT,
    source_record_count INTEGER, source_record_updates INTEGER, source_record_deletes INTEGER, source_record_invalids INTEGER,
    records_invalid INTEGER, records_processed INTEGER, records_updated INTEGER, records_failed INTEGER,
    phase TEXT NOT NULL, due REAL, chunk_seconds REAL NOT NULL DEFAULT 0, end_due REAL, records_due REAL,
    fault TEXT, fault_id INTEGER
);
CREATE INDEX IF NOT EXISTS census_run_by_sync ON census_run (sync_id, id);
CREATE TABLE IF NOT EXISTS census_record (
    run_id INTEGER NOT NULL, position INTEGER NOT NULL, chunk INTEGER, identifier TEXT, operation TEXT NOT NULL,
    status TEXT NOT NULL, status_message TEXT, payload TEXT NOT NULL, batch_started_at TEXT, batch_completed_at TEXT,
    PRIMARY KEY (run_id, position)
);
CREATE TABLE IF NOT EXISTS census_sent (
    sync_id INTEGER NOT NULL, identifier TEXT NOT NULL, payload TEXT NOT NULL, PRIMARY KEY (sync_id, identifier)
);
"""


class State:
    """
    One connection behind a lock. While a thread holds `transaction`, no other thread reads or writes.

    The state must survive a dead process, not a dead disk. So the write-ahead log is not synced for each commit.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._connection.row_factory = sqlite3.Row
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self._connection.executescript(SCHEMA)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing. A transaction within another one is part of it."""
        with self._lock:
            if self._connection.in_transaction:
                yield self._connection
                return
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def query(self, sql: str, values: Sequence[Any] = ()) -> list[sqlite3.Row]:
        with self._lock:
            return self._connection.execute(sql, values).fetchall()

    def one(self, sql: str, values: Sequence[Any] = ()) -> sqlite3.Row | None:
        return next(iter(self.query(sql, values)), None)

    def fact(self, name: str) -> str | None:
        row = self.one("SELECT value FROM fact WHERE name = ?", (name,))
        return row["value"] if row else None

    def set_fact(self, name: str, value: str) -> None:
        with self.transaction() as tx:
            tx.execute("INSERT OR REPLACE INTO fact VALUES (?, ?)", (name, value))

    def forget(self) -> None:
        """Empty every table. The numbers of runs and journal entries go on, so that no new run has the number of an old one."""
        with self.transaction() as tx:
            tables = tx.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'").fetchall()
            for table in tables:
                tx.execute(f"DELETE FROM {table['name']}")

    def close(self) -> None:
        with self._lock:
            self._connection.close()


def now() -> datetime:
    return datetime.now(UTC)


def iso(moment: datetime) -> str:
    """``2026-11-24T15:00:00.123Z``, the form of Census's timestamps and of the journal. Texts of this form sort by time."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
