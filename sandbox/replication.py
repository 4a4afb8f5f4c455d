"""Copies the org into the warehouse with a lag, as a replication service does."""

import logging
import sqlite3
import threading
import time
from collections.abc import Sequence
from datetime import datetime

import pyarrow as pa

from sandbox.faults import Faults
from sandbox.journal import REPLICATION, Journal
from sandbox.salesforce.org import Org
from sandbox.settings import SettingsStore
from sandbox.state import State, iso
from sandbox.warehouse import metadata
from sandbox.warehouse.engine import Engine
from sandbox.worlds.definition import Replica

COPIED = "replication.version"
STEP = 0.05

log = logging.getLogger(__name__)


class Replication:
    """
    Each pass copies the records that changed since the pass before. A change during a pass waits for the next one.

    Out of order, a pass leaves every second changed record to the next one; a record waits once at most.
    A row of the replica has the time of its pass as ``_fivetran_synced``, which is never before its ``system_modstamp``.
    """

    def __init__(
        self,
        *,
        state: State,
        journal: Journal,
        faults: Faults,
        settings: SettingsStore,
        org: Org,
        engine: Engine,
        replica: Replica,
    ) -> None:
        self._state = state
        self._journal = journal
        self._faults = faults
        self._settings = settings
        self._org = org
        self._engine = engine
        self._replica = replica
        self._types = replica.types(org.schema)
        self._waiting: set[str] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="replication", daemon=True)
        self.pass_lock = threading.Lock()
        """Held for a whole pass. Its holder never sees half a pass."""

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def copy(self) -> int:
        """Run one pass. A pass that is killed before it is recorded runs again. It replaces rows by their id."""
        moment, version, rows = self._org.changed_since(int(self._state.fact(COPIED) or 0))
        late = self._late(rows)
        rows = [row for row in rows if row["Id"] not in late]
        if rows:
            self._write(rows, moment)
        self._waiting = late
        with self._state.transaction():
            if not late:  # otherwise the next pass looks at all of them again
                self._state.set_fact(COPIED, str(version))
            if rows:
                self._journal.add(REPLICATION, rows=len(rows), synced_at=iso(moment))
        return len(rows)

    def _late(self, rows: Sequence[sqlite3.Row]) -> set[str]:
        if not self._settings.current.replication_out_of_order:
            return set()
        return {row["Id"] for row in rows[::2]} - self._waiting

    def _loop(self) -> None:
        last = time.monotonic()
        # In short steps, so that a changed lag takes effect at once.
        while not self._stop.wait(STEP):
            if time.monotonic() < last + self._settings.current.replication_seconds:
                continue
            last = time.monotonic()
            if self._settings.current.replication_stalled or self._faults.take("replication"):
                continue
            with self.pass_lock:
                try:
                    self.copy()
                except Exception:
                    log.exception("The replication failed. The next pass tries again")

    def _write(self, rows: Sequence[sqlite3.Row], moment: datetime) -> None:
        stored = [
            pa.array([row[name] for row in rows], _stored(self._types[column])) for column, name in self._replica.columns.items()
        ]
        changed = pa.table(stored, names=list(self._replica.columns))
        columns = ", ".join(f"CAST({column} AS {kind}) AS {column}" for column, kind in self._types.items())
        constants = "".join(f", {value} AS {column}" for column, value in self._replica.constants.items())
        table = self._replica.table
        with self._engine.writing() as cursor:
            cursor.register("changed", changed)
            cursor.begin()
            cursor.execute(f"DELETE FROM {table} WHERE id IN (SELECT id FROM changed)")
            cursor.execute(
                f"INSERT INTO {table} BY NAME"
                f" SELECT {columns}{constants}, CAST(? AS TIMESTAMPTZ) AS _fivetran_synced FROM changed",
                [moment.isoformat()],
            )
            cursor.commit()
            metadata.wrote(cursor, table, "MERGE")


def _stored(kind: str) -> pa.DataType:
    """The org keeps checkboxes as numbers and times as text."""
    return pa.int8() if kind == "BOOLEAN" else pa.string()
