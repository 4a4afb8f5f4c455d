"""
What the SQL should answer, worked out row by row in plain Python.

It shares nothing with the SQL: no join, no grouping, no three-valued logic. It knows the settings as they are shipped.
"""

import datetime as dt
import re
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

    @cached_property
    def unmatched(self) -> dict[str | None, str | None]:
        """What the feature table names and the properties table does not have, each with the property that it may mean."""
        found: dict[str | None, str | None] = {}
        for row in self.world.features:
            if (named := row["property_id"]) not in self.statuses:
                meant = [each for each in self.statuses if named and _spelling(each) == _spelling(named)]
                found[named] = min(meant, default=None)
        return found

    def right_row(self, property_id: str) -> tuple[Row | None, bool]:
        """The feature row of a property as Salesforce's fields, and whether several contradict each other."""
        rows = [row for row in self.world.features if row["property_id"] == property_id]
        if property_id in self.unmatched.values() or any(row != rows[0] for row in rows):
            return None, True
        if not rows:
            return None, False
        return {field.column: _day(rows[0][field.column]) for field in self.fields.features}, False

    @cached_property
    def records(self) -> list[Judged]:
        alive = [record for record in self.world.replica if not record["is_deleted"]]
        # A property that the table has twice is two rows for the record, so its record is there twice, and shared.
        times = {record["id"]: max(len(self.statuses.get(record[self.key], [])), 1) for record in alive}
        owners: Counter[tuple[str, str]] = Counter()
        for record in alive:
            for column in (self.key, self.other):
                if record[column] is not None:
                    owners[column, record[column].strip(" ").lower()] += times[record["id"]]
        result = []
        for record in alive:
            key = record[self.key]
            found = len(self.statuses.get(key, [])) if key is not None else 0
            values, is_ambiguous = self.right_row(key) if found else (None, False)
            nothing = {field.column: False if field in self.flags else None for field in self.fields.features}
            named = [(each, record[each].strip(" ").lower()) for each in (self.key, self.other) if record[each] is not None]
            shares = any(owners[each] > 1 for each in named)
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
        pairs = [(field, judged.wanted[field.column], judged.record[field.column]) for field in self.fields.features]
        return [field for field, own, held in pairs if own != held and (field not in self.flags or None not in (own, held))]

    def needs_repair(self, judged: Judged) -> bool:
        """Whether it differs, and every flag that would be sent is known."""
        wanted = judged.wanted or {}
        return bool(self.differing(judged)) and all(wanted[flag.column] is not None for flag in self.flags)

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
            for flag in self.flags if judged.is_comparable and judged.wanted is not None else []:
                found["unknown_in_salesforce", *where, flag.column] += record[flag.column] is None
                found["unknown_in_warehouse", *where, flag.column] += judged.wanted[flag.column] is None
        named = {record[each] for record in self.world.replica if not record["is_deleted"] for each in (self.key, self.other)}
        for property_id, statuses in self.statuses.items():
            for status in statuses:
                if status in SYNCED and property_id not in named:
                    found["missing_in_salesforce", None, property_id, None] += 1
                if status not in KNOWN:
                    found["unknown_status", None, property_id, None] += 1
        for named_id in self.unmatched:
            found["unmatched_features", None, named_id, None] += 1
        return +found  # without zeros

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
                "mismatched": self.needs_repair(judged),
            }[scope]
            if asked and judged.is_comparable:
                result.append(judged)
        return result

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


def _spelling(property_id: str) -> str:
    """An id without case, blanks and signs."""
    return re.sub("[^a-z0-9.]", "", property_id.lower())


def _day(value: object) -> object:
    """Salesforce keeps days, in UTC."""
    return value.astimezone(dt.UTC).date() if isinstance(value, dt.datetime) else value
