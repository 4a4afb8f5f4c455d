"""
What the SQL should answer, worked out row by row in plain Python.

It shares nothing with the SQL: no join, no grouping, no three-valued logic. It knows the settings as they are shipped.
"""

import datetime as dt
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from feature_sync.config.fields import FeatureField, FieldTable
from tests.oracle.worlds import Row, World

SYNCED = {"ACTIVE", "INACTIVE", "ONBOARDING", "DISABLED"}
KNOWN = SYNCED | {"DELETED"}
Difference = tuple[str, str | None, str | None, str | None]
"""Class, record, property, field."""


@dataclass(frozen=True)
class Judged:
    """A record of Salesforce, and what the warehouse says of it. ``wanted``: the fields' right values, None if nobody can say."""

    record: Row
    has_property: bool
    shares_or_mixes_keys: bool
    is_ambiguous: bool
    has_feature_row: bool
    wanted: dict[str, Any] | None

    @property
    def is_comparable(self) -> bool:
        return self.has_property and not self.shares_or_mixes_keys and not self.is_ambiguous


class Expected:
    """The right answers about one world."""

    def __init__(self, world: World, fields: FieldTable) -> None:
        self.world, self.fields = world, fields
        self.key, self.other = fields.property_id.column, fields.upsert_key.column
        self.flags = [product.enabled for product in fields.products]

    @cached_property
    def statuses(self) -> dict[str, list[str]]:
        """The statuses of each property, as they are compared. Blanks around them and upper case do not matter."""
        found: dict[str, list[str]] = {}
        for row in self.world.properties:
            found.setdefault(str(row["id"]), []).append((row["status"] or "").strip(" ").upper())
        return found

    def right_row(self, property_id: str) -> tuple[Row | None, bool]:
        """The feature row of a property as Salesforce's fields, and whether several contradict each other."""
        rows = [row for row in self.world.features if row["property_id"] == property_id]
        if not rows:
            return None, False
        if any(row != rows[0] for row in rows):
            return None, True
        return {field.column: _day(rows[0][field.column]) for field in self.fields.features}, False

    @cached_property
    def records(self) -> list[Judged]:
        alive = [record for record in self.world.replica if not record["is_deleted"]]
        owners = Counter(record[self.key] for record in alive if record[self.key] is not None)
        # A property that the table has twice is two rows for the record, so its record is there twice, and shared.
        result = []
        for record in alive:
            key = record[self.key]
            found = len(self.statuses.get(key, [])) if key is not None else 0
            values, is_ambiguous = self.right_row(key) if found else (None, False)
            nothing = {field.column: False if field in self.flags else None for field in self.fields.features}
            shares = key is not None and owners[key] * max(found, 1) > 1
            judged = Judged(
                record=record,
                has_property=bool(found),
                shares_or_mixes_keys=record[self.key] != record[self.other] or shares,
                is_ambiguous=is_ambiguous,
                has_feature_row=values is not None or is_ambiguous,
                wanted=None if is_ambiguous else values or nothing,
            )
            result += [judged] * max(found, 1)
        return result

    def differing(self, judged: Judged) -> list[FeatureField]:
        """The fields of a record that are not as they should be. Empty also means: nobody can say."""
        if not judged.is_comparable or judged.wanted is None:
            return []
        return [field for field in self.fields.features if judged.wanted[field.column] != judged.record[field.column]]

    @cached_property
    def differences(self) -> "Counter[Difference]":
        found: Counter[Difference] = Counter()
        for judged in self.records:
            record = judged.record
            where = (record["id"], record[self.key])
            if judged.shares_or_mixes_keys:
                found["key_mismatch", *where, None] += 1
            elif not judged.has_property:
                found["missing_in_warehouse", *where, None] += 1
            elif judged.is_ambiguous:
                found["ambiguous_features", *where, None] += 1
            for field in self.differing(judged):
                found[self._kind(field, record[field.column]), *where, field.column] += 1
        named = {record[each] for record in self.world.replica if not record["is_deleted"] for each in (self.key, self.other)}
        for property_id, statuses in self.statuses.items():
            for status in statuses:
                if status in SYNCED and property_id not in named:
                    found["missing_in_salesforce", None, property_id, None] += 1
                if status not in KNOWN:
                    found["unknown_status", None, property_id, None] += 1
        return found

    def _kind(self, field: FeatureField, in_salesforce: object) -> str:
        if field not in self.flags:
            return "date_differs"
        return "wrongly_true" if in_salesforce is True else "wrongly_false"

    def in_scope(self, scope: str, chosen: Iterable[str] = (), days: tuple[str, str] | None = None) -> list[Judged]:
        """The records that a run may send."""
        wanted = set(chosen)
        result = []
        for judged in self.records:
            created = judged.record["created_date"].date().isoformat()
            asked = {
                "all": True,
                "property_ids": judged.record[self.key] in wanted,
                "created_between": days is not None and days[0] <= created <= days[1],
                "mismatched": bool(self.differing(judged)),
            }[scope]
            if asked and self.may_be_sent(judged):
                result.append(judged)
        return result

    def may_be_sent(self, judged: Judged) -> bool:
        return not judged.is_ambiguous

    @cached_property
    def synced(self) -> dict[str, dict[str, Any]]:
        """What Option A yields: each property that belongs in Salesforce, if it is known what its flags are."""
        result = {}
        for property_id, statuses in self.statuses.items():
            values, is_ambiguous = self.right_row(property_id)
            if len(statuses) > 1 or statuses[0] not in SYNCED or is_ambiguous:
                continue
            nothing = {field.column: False if field in self.flags else None for field in self.fields.features}
            row = values or nothing
            if all(row[flag.column] is not None for flag in self.flags):
                result[property_id] = row
        return result


def _day(value: object) -> object:
    """Salesforce keeps days, in UTC."""
    return value.astimezone(dt.UTC).date() if isinstance(value, dt.datetime) else value
