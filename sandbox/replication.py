"""Copies the org into the warehouse with a lag, as a replication service does."""

import logging
import sqlite3
import threading
import time
from collections.abc import Sequence
from datetime import datetime

import pyarrow as pa

from feature_sync.config.fields import load_fields
from sandbox.faults import Faults
from sandbox.journal import REPLICATION, Journal
from sandbox.salesforce.org import Org
from sandbox.salesforce.schema import FIELDS, FieldType
from sandbox.settings import SettingsStore
from sandbox.state import State, iso
from sandbox.warehouse.engine import Engine

COPY = "crm.salesforce.product_property_c"
COPIED = "replication.version"
STEP = 0.05

log = logging.getLogger(__name__)


class Replication:
    """
    Each pass copies the records that changed since the pass before. A change during a pass waits for the next one.

    A row of the replica has the time of its pass as ``_fivetran_synced``, which is never before its ``system_modstamp``.
    """

    def __init__(
        self, *, state: State, journal: Journal, faults: Faults, settings: SettingsStore, org: Org, engine: Engine
    ) -> None:
        self._state = state
        self._journal = journal
        self._faults = faults
        self._settings = settings
        self._org = org
        self._engine = engine
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
        if rows:
            self._write(rows, moment)
        with self._state.transaction():
            self._state.set_fact(COPIED, str(version))
            if rows:
                self._journal.add(REPLICATION, rows=len(rows), synced_at=iso(moment))
        return len(rows)

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
        changed = pa.table([pa.array([row[name] for row in rows], type_) for name, type_ in _STORED], names=list(_COLUMNS))
        columns = ", ".join(f"CAST({column} AS {kind}) AS {column}" for column, (_, kind) in _COLUMNS.items())
        with self._engine.writing() as cursor:
            cursor.register("changed", changed)
            cursor.begin()
            cursor.execute(f"DELETE FROM {COPY} WHERE id IN (SELECT id FROM changed)")
            cursor.execute(
                f"INSERT INTO {COPY} BY NAME SELECT {columns}, CAST(? AS TIMESTAMPTZ) AS _fivetran_synced FROM changed",
                [moment.isoformat()],
            )
            cursor.commit()


def _columns() -> dict[str, tuple[str, str]]:
    """The replica's columns: the org's field, and the type in the warehouse."""
    kinds = {
        FieldType.ID: "VARCHAR",
        FieldType.STRING: "VARCHAR",
        FieldType.BOOLEAN: "BOOLEAN",
        FieldType.DATE: "DATE",
        FieldType.DATETIME: "TIMESTAMPTZ",
    }
    names = {"id": "Id", "name": "Name"}
    names |= {field.column: field.salesforce_name for field in load_fields()}
    names |= {"created_date": "CreatedDate", "system_modstamp": "SystemModstamp", "is_deleted": "IsDeleted"}
    fields = {column: FIELDS[name.lower()] for column, name in names.items()}
    return {column: (field.name, kinds[field.type]) for column, field in fields.items()}


_COLUMNS = _columns()
_STORED = [(name, pa.int8() if kind == "BOOLEAN" else pa.string()) for name, kind in _COLUMNS.values()]
"""The org keeps checkboxes as numbers and times as text."""
