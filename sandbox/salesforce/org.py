"""The org's records and its transactions."""

import json
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

from sandbox.faults import Faults
from sandbox.journal import SALESFORCE_TRANSACTION, Journal
from sandbox.salesforce import flow, permissions
from sandbox.salesforce.schema import OBJECT, FieldType, InvalidValueError, ObjectSchema, OrgField, check_value
from sandbox.salesforce.users import ADMIN, AUTOMATED_PROCESS, CENSUS, User
from sandbox.settings import SettingError, Settings, SettingsStore
from sandbox.state import State, iso, now

ROLLUP = "org.rollup"
VERSION = "org.version"
MADE_BY = {"CreatedById": CENSUS.id, "LastModifiedById": CENSUS.id}
"""Who made the records of a world that does not say it."""
Operation = Literal["insert", "update", "upsert"]


@dataclass(frozen=True, slots=True)
class Change:
    """The change of one record: the key that finds it, and the values to set. An empty string leaves a field as it is."""

    key_field: OrgField
    key: str
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Outcome:
    """``ignored``: an update-only row without a record, if the setting says that Census drops it silently."""

    status: Literal["succeeded", "rejected", "ignored"]
    message: str | None = None


class Org:
    """``Product_Property__c`` in SQLite. `transact` is the only way to change it, for Census and for an admin."""

    def __init__(
        self,
        state: State,
        journal: Journal,
        faults: Faults,
        settings: SettingsStore,
        *,
        schema: ObjectSchema,
        companies: Callable[[Sequence[str]], Mapping[str, str]],
    ) -> None:
        """:param companies: returns the parent of each given property. Only called if the limit on parents is on."""
        self._state = state
        self._journal = journal
        self._faults = faults
        self._settings = settings
        self.schema = schema
        self._companies = companies
        with state.transaction() as tx:
            for statement in schema.create_table().split(";"):
                tx.execute(statement)
            self._add_columns(tx)

    def load(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Fill the org with its first records. The Flow does not run."""
        with self._state.transaction() as tx:
            tx.execute("DELETE FROM org_record")
            version = self._next_version()
            names = [*(field.name for field in self.schema if field.name != "LastModifiedDate"), "LastModifiedDate"]
            sources = [*names[:-1], "SystemModstamp"]
            tx.executemany(
                f"INSERT INTO org_record ({', '.join(names)}, version) VALUES ({', '.join('?' * len(names))}, {version})",
                ([_stored({**MADE_BY, **record}[name]) for name in sources] for record in records),
            )

    def _add_columns(self, tx: sqlite3.Connection) -> None:
        """A state folder may be older than the fields that say who changed a record."""
        existing = {row["name"] for row in tx.execute("PRAGMA table_info(org_record)")}
        for name in MADE_BY.keys() - existing:
            tx.execute(f"ALTER TABLE org_record ADD COLUMN {name} TEXT")
            tx.execute(f"UPDATE org_record SET {name} = ?", (MADE_BY[name],))

    def transact(
        self,
        changes: Sequence[Change],
        *,
        operation: Operation = "update",
        source: str,
        by: User,
        sync_run_id: int | None = None,
    ) -> list[Outcome]:
        """
        Run one transaction of at most 200 records. Each row is checked on its own. Then the Flow runs once for all valid rows.

        :param operation: `update` rejects or ignores a key without a record, as the setting says. `upsert` and `insert` create
            the record. `insert` ignores a key that has a record.
        :param by: the user who changes the records. A row with a field that he may not edit is rejected.
        """
        with self._state.transaction() as tx:
            outcomes: list[Outcome | None] = [None] * len(changes)
            writes: dict[int, tuple[str | None, dict[str, Any]]] = {}
            for position, change in enumerate(changes):
                prepared = self._prepare(tx, change, operation, by)
                if isinstance(prepared, Outcome):
                    outcomes[position] = prepared
                else:
                    writes[position] = prepared
            refused = self._run_flow(tx, writes)
            for position, message in refused.items():
                outcomes[position] = Outcome("rejected", message)
            moment = iso(now())
            accepted = {position: write for position, write in writes.items() if position not in refused}
            if accepted:
                version = self._next_version()
                for position, (record_id, values) in accepted.items():
                    written = self._write(tx, record_id, {**values, "LastModifiedById": by.id}, moment, version)
                    self._overwrite(tx, written, by, version)
                    outcomes[position] = Outcome("succeeded")
                if any(self._starts_flow(*write) for write in accepted.values()):
                    self._state.set_fact(ROLLUP, json.dumps([time.time(), self._settings.current.rollup_seconds]))
            done = [outcome or Outcome("succeeded") for outcome in outcomes]
            self._journal.add(
                SALESFORCE_TRANSACTION,
                source=source,
                sync_run_id=sync_run_id,
                records=len(changes),
                accepted=sum(outcome.status == "succeeded" for outcome in done),
                rejected=sum(outcome.status == "rejected" for outcome in done),
                error=next((outcome.message for outcome in done if outcome.message), None),
                keys=[change.key for change in changes],
            )
        return done

    def changed_since(self, version: int) -> tuple[datetime, int, list[sqlite3.Row]]:
        """The records changed after a version, the newest version, and a time that is not before any of these changes."""
        with self._state.transaction() as tx:
            rows = tx.execute("SELECT * FROM org_record WHERE version > ?", (version,)).fetchall()
            return now(), int(self._state.fact(VERSION) or 0), rows

    def find(self, field: OrgField, value: str) -> list[sqlite3.Row]:
        """The records that a key finds. An external id that is not unique may find several."""
        return self._state.query(f"SELECT * FROM org_record WHERE {field.name} = ? AND NOT IsDeleted", (value,))

    def _prepare(
        self, tx: sqlite3.Connection, change: Change, operation: Operation, by: User
    ) -> Outcome | tuple[str | None, dict[str, Any]]:
        found = self._matching(tx, change, operation)
        if isinstance(found, Outcome):
            return found
        if found in self._settings.current.records_in_approval and by is not ADMIN:
            return Outcome("rejected", "ENTITY_IS_LOCKED: entity is locked for editing")
        null_is_false = self._settings.current.checkbox_null == "false"
        values: dict[str, Any] = {}
        for name, value in change.values.items():
            field = self.schema.get(name)
            if field is None or not field.updateable:
                return Outcome("rejected", f"INVALID_FIELD_FOR_INSERT_UPDATE: Unable to create/update fields: {name}")
            if not permissions.may_edit(field, by, self._settings.current):
                return Outcome(
                    "rejected",
                    f"INVALID_FIELD_FOR_INSERT_UPDATE: Unable to create/update fields: {field.name}. Please check the security"
                    " settings of this field and verify that it is read/write for your profile or permission set.",
                )
            # Census destination Salesforce: an empty string leaves the field as it is, NULL clears it.
            if value == "":
                continue
            try:
                values[field.name] = check_value(field, value, null_is_false=null_is_false)
            except InvalidValueError as invalid:
                return Outcome("rejected", str(invalid))
        return found, values

    def _matching(self, tx: sqlite3.Connection, change: Change, operation: Operation) -> Outcome | str | None:
        """The id of the record that a key finds, None for a new record, or the reason why the row is not sent."""
        name = change.key_field.name
        matching = tx.execute(f"SELECT Id FROM org_record WHERE {name} = ? AND NOT IsDeleted", (change.key,)).fetchall()
        if len(matching) > 1:
            ids = ", ".join(row["Id"] for row in matching)
            return Outcome(
                "rejected", f"DUPLICATE_EXTERNAL_ID: {name}: more than one record found for external id field: [{ids}]"
            )
        if not matching and operation == "update":
            if self._settings.current.census_unmatched == "ignore":
                return Outcome("ignored")
            return Outcome("rejected", f"NOT_FOUND: no {name} equals {change.key}")
        if matching and operation == "insert":
            return Outcome("ignored")
        return matching[0]["Id"] if matching else None

    def _run_flow(self, tx: sqlite3.Connection, writes: Mapping[int, tuple[str | None, dict[str, Any]]]) -> dict[int, str]:
        """The rows that the Flow refuses, by position. Empty if it accepts the transaction."""
        if not writes:
            return {}
        everything = list(writes)
        for fault in self._faults.take("transaction"):
            chosen = everything[: fault.parameters.count] if fault.parameters.count is not None else everything
            return self._refuse(writes, chosen, locked=fault.name == "lock_row")
        settings = self._settings.current
        starting = {position: write for position, write in writes.items() if self._starts_flow(*write)}
        if not starting:
            return {}
        started, seconds = json.loads(self._state.fact(ROLLUP) or "[0, 0]")
        # A shorter rollup time takes effect at once, a longer one from the next transaction on.
        if time.time() < started + min(seconds, settings.rollup_seconds):
            return self._refuse(writes, everything, locked=True)
        parents = self._parents(tx, starting) if settings.flow_duplicate_parents_limit else []
        if flow.breaks_a_limit(len(starting), parents, settings):
            return self._refuse(writes, everything, locked=False)
        return {}

    def _starts_flow(self, record_id: str | None, values: Mapping[str, Any]) -> bool:
        """Observed: the Flow only runs if a row sets a field of its record, and each record has an off-switch."""
        settings = self._settings.current
        if not settings.flow_enabled or settings.flow_fires == "always":
            return settings.flow_enabled
        if not values.get("Trigger_Rollups__c"):
            return False
        stored = self._state.one("SELECT Exclude_From_Flow__c AS excluded FROM org_record WHERE Id = ?", (record_id,))
        return not values.get("Exclude_From_Flow__c", stored["excluded"] if stored else 0)

    def _refuse(
        self, writes: Mapping[int, tuple[str | None, dict[str, Any]]], positions: Sequence[int], *, locked: bool
    ) -> dict[int, str]:
        number = self._next_number("org.flow_errors")
        if not locked:
            return dict.fromkeys(positions, flow.limit_exceeded(number))
        return {position: flow.unable_to_lock(number, writes[position][0] or "") for position in positions}

    def _parents(self, tx: sqlite3.Connection, writes: Mapping[int, tuple[str | None, dict[str, Any]]]) -> list[str | None]:
        properties = []
        for record_id, values in writes.values():
            row = tx.execute("SELECT Snappt_Property_ID__c AS property FROM org_record WHERE Id = ?", (record_id,)).fetchone()
            properties.append(row["property"] if row else values.get("Snappt_Property_ID__c"))
        companies = self._companies([value for value in properties if value])
        return [companies.get(value) if value else None for value in properties]

    def _next_version(self) -> int:
        return self._next_number(VERSION)

    def _next_number(self, name: str) -> int:
        number = int(self._state.fact(name) or 0) + 1
        self._state.set_fact(name, str(number))
        return number

    def _overwrite(self, tx: sqlite3.Connection, record_id: str, by: User, version: int) -> None:
        """
        Another flow sets fields of the record after it was saved. A record that has these values already is left alone.

        Salesforce admins' blog, "Flow Running User and Its Execution Context": a record-triggered flow runs as the user who saved
        the record, so it leaves no other name. Only a path of it that runs later may do so, as Automated Process.
        """
        settings = self._settings.current
        values = overwritten(self.schema, settings)
        if not values:
            return
        stored = tx.execute("SELECT * FROM org_record WHERE Id = ?", (record_id,)).fetchone()
        if all(stored[name] == value for name, value in values.items()):
            return
        user = AUTOMATED_PROCESS if settings.automation_runs_as == "automated_process" else by
        self._write(tx, record_id, {**values, "LastModifiedById": user.id}, iso(now()), version)

    def _write(self, tx: sqlite3.Connection, record_id: str | None, values: Mapping[str, Any], moment: str, version: int) -> str:
        """Change a record or make one, and return its id."""
        stamped = {**values, "LastModifiedDate": moment, "SystemModstamp": moment, "version": version}
        if record_id is not None:
            assignments = ", ".join(f"{name} = ?" for name in stamped)
            tx.execute(f"UPDATE org_record SET {assignments} WHERE Id = ?", (*stamped.values(), record_id))
            return record_id
        empty = {field.name: 0 if field.type is FieldType.BOOLEAN else None for field in self.schema}
        count = tx.execute("SELECT count(*) AS records FROM org_record").fetchone()["records"]
        new_id = f"a2P8X0z{count + 1:08d}AAA"
        made = {"Id": new_id, "Name": new_id, "CreatedDate": moment, "CreatedById": values["LastModifiedById"]}
        _insert(tx, {**empty, **made, **stamped})
        return new_id


def overwritten(schema: ObjectSchema, settings: Settings) -> dict[str, Any]:
    """The fields that the other flow sets, as the org stores them."""
    return {
        schema[name].name: check_value(schema[name], value, null_is_false=False)
        for name, value in settings.automation_overwrites.items()
    }


def check_settings(schema: ObjectSchema, settings: Settings) -> None:
    """:raises SettingError: a setting names a field that the object does not have, or a value that the field does not take."""
    for setting in ("api_user_hidden_fields", "census_uneditable_fields", "automation_overwrites"):
        for name in getattr(settings, setting):
            field = schema.get(name)
            if field is None or not field.custom:
                raise SettingError(f"setting {setting!r}: {OBJECT} has no custom field {name!r}")
    try:
        overwritten(schema, settings)
    except InvalidValueError as invalid:
        raise SettingError(f"setting 'automation_overwrites': {invalid}") from invalid


def _insert(tx: sqlite3.Connection, values: Mapping[str, Any]) -> None:
    names = ", ".join(values)
    tx.execute(f"INSERT INTO org_record ({names}) VALUES ({', '.join('?' * len(values))})", tuple(values.values()))


def _stored(value: Any) -> Any:
    match value:
        case datetime():
            return iso(value)
        case date():
            return value.isoformat()
        case bool():
            return int(value)
    return value


def presented(value: Any, field: OrgField) -> Any:
    """A stored value as Salesforce's REST API returns it: ``2026-11-24T15:00:00.000+0000`` for datetimes."""
    if value is None:
        return None
    if field.type is FieldType.BOOLEAN:
        return bool(value)
    if field.type is FieldType.DATETIME:
        return value.removesuffix("Z") + "+0000"
    return value
