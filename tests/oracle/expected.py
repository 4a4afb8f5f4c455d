"""
What the SQL should answer, worked out row by row in plain Python.

It shares nothing with the SQL: no join, no grouping, no three-valued logic. It knows the settings as they are shipped, and those
about twins.
"""

import datetime as dt
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from feature_sync.config.fields import FeatureField, Product
from feature_sync.config.settings import Settings
from tests.oracle.worlds import Row, World

SYNCED = {"ACTIVE", "INACTIVE", "ONBOARDING", "DISABLED"}
KNOWN = SYNCED | {"DELETED"}
ALONE = (
    "missing_in_salesforce",
    "missing_in_warehouse",
    "key_mismatch",
    "ambiguous_features",
    "unknown_status",
    "unmatched_features",
    "true_through_sibling",
    "unknown_in_salesforce",
    "unknown_in_warehouse",
)
"""Classes that say nothing about which value is right."""
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

    def __init__(self, world: World, settings: Settings) -> None:
        self.world, self.settings, self.fields = world, settings, settings.fields
        self.key, self.other = self.fields.property_id.column, self.fields.upsert_key.column
        self.flags = [product.enabled for product in self.fields.products]

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
        if property_id in self.unmatched.values():
            return None, True
        own, is_ambiguous = self.own_row(property_id)
        if not self.settings.merges_siblings or property_id not in self.statuses:
            return own, is_ambiguous
        siblings = [self.own_row(each) for each in self.siblings(property_id)]
        if is_ambiguous or any(unclear for _, unclear in siblings):
            return None, True
        rows = [row for row, _ in siblings if row is not None]
        return (self._together(own, rows) if own is not None or rows else None), False

    def own_row(self, property_id: str) -> tuple[Row | None, bool]:
        """The same without siblings and without other spellings."""
        rows = [row for row in self.world.features if row["property_id"] == property_id]
        if any(row != rows[0] for row in rows):
            return None, True
        return ({field.column: _day(rows[0][field.column]) for field in self.fields.features} if rows else None), False

    def twin(self, property_id: str) -> str | None:
        """What a property shares with its siblings. If it is there twice, the first in the alphabet counts."""
        twins = [(row["sfdc_id"] or "").strip(" ") for row in self.world.properties if str(row["id"]) == property_id]
        return min((each for each in twins if each), default=None)

    def siblings(self, property_id: str) -> list[str]:
        """The ACTIVE properties with the same twin, itself among them."""
        shared = self.twin(property_id)
        return [each for each in self.statuses if shared and "ACTIVE" in self.statuses[each] and self.twin(each) == shared]

    def _together(self, own: Row | None, siblings: list[Row]) -> Row:
        """Any True wins, with the earliest start of the rows that are True, and the latest change."""
        rows = [*([own] if own is not None else []), *siblings]
        result: Row = {}
        for product in self.fields.products:
            flag = product.enabled.column
            flags = [row[flag] for row in rows]
            result[flag] = True if True in flags else None if None in flags else False
            for date in product.dates:
                if date != product.start:
                    result[date.column] = max((row[date.column] for row in rows if row[date.column]), default=None)
                elif result[flag]:
                    starts = [row[date.column] for row in rows if row[flag] and row[date.column]]
                    result[date.column] = min(starts, default=None)
                else:
                    result[date.column] = own[date.column] if own else None
        return result

    def through_sibling(self, judged: Judged) -> list[FeatureField]:
        """The flags that are True in Salesforce and by an ACTIVE sibling, but not by the property's own row."""
        if not self.settings.watches_siblings or not judged.is_comparable or judged.wanted is None:
            return []
        rows = [self.own_values(each) for each in self.siblings(judged.record[self.key])]
        return [
            flag
            for flag in self.flags
            if judged.record[flag.column] is True
            and (not judged.has_feature_row or judged.wanted[flag.column] is False)
            and any(row[flag.column] is True for row in rows)
        ]

    def own_values(self, property_id: str) -> Row:
        """Each field of a property's rows; of a flag, True if any row has it. An ambiguous row counts too."""
        rows = [row for row in self.world.features if row["property_id"] == property_id]
        return {flag.column: any(row[flag.column] is True for row in rows) for flag in self.flags}

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
        shared = self.through_sibling(judged)
        pairs = [(field, judged.wanted[field.column], judged.record[field.column]) for field in self.fields.features]
        alone = [field for product in self.fields.products for field in product.fields if product.enabled in shared]
        return [
            field
            for field, own, held in pairs
            if own != held and field not in alone and (field not in self.flags or None not in (own, held))
        ]

    def needs_repair(self, judged: Judged) -> bool:
        """Whether it differs, and every flag that would be sent is known."""
        return bool(self.differing(judged)) and not self.is_left_alone(judged)

    def is_left_alone(self, judged: Judged) -> bool:
        """Whether it has a flag that the warehouse does not know, or one that is True through a sibling."""
        wanted = judged.wanted or {}
        return any(wanted[flag.column] is None for flag in self.flags) or bool(self.through_sibling(judged))

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
            for flag in self.through_sibling(judged):
                found["true_through_sibling", *where, flag.column] += 1
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

    def drift(self, accepted: "set[Difference]") -> dict[str, dict[str, int]]:
        """
        What the weekly run counts, by product.

        :param accepted: differences that people have accepted. With the flag of a product as field, they are about the product.
        """
        return {
            product.name: {**self._drift_of(product, accepted), **self._drift_of_all(accepted)}
            for product in self.fields.products
        }

    def _drift_of(self, product: Product, accepted: "set[Difference]") -> dict[str, int]:
        counts = Counter(
            enabled_in_salesforce=0, enabled_in_warehouse=0, mismatched=0, wrongly_false=0, wrongly_true=0, date_differs=0
        )
        for judged in self.compared:
            record, found = judged.record, self.differing(judged)
            of_product = [field for field in found if field in product.fields]
            counts["enabled_in_salesforce"] += record[product.enabled.column] is True
            counts["enabled_in_warehouse"] += (judged.wanted or {})[product.enabled.column] is True
            counts["mismatched"] += bool(of_product)
            for kind in {self._kind(field, record[field.column]) for field in of_product}:
                counts[kind] += 1
                counts[f"{kind}_accepted"] += self._of(kind, judged, product.enabled) in accepted
        return dict(counts)

    def _drift_of_all(self, accepted: "set[Difference]") -> dict[str, int]:
        wrong = [(judged, *self._new_and_accepted(judged, accepted)) for judged in self.compared if self.differing(judged)]
        sends = [judged for judged, new, known in wrong if new and not known and not self.is_left_alone(judged)]
        counts = {
            "properties_checked": len(self.compared),
            "properties_mismatched": len(wrong),
            "properties_accepted": sum(not new for _, new, _ in wrong),
            "properties_held_back": sum(bool(new) for _, new, _ in wrong) - len(sends),
            "properties_to_send": len(sends),
            "properties_unmatched": sum(not judged.has_feature_row for judged in sends),
        }
        for kind in ALONE:
            found = {each: count for each, count in self.differences.items() if each[0] == kind}
            counts[kind] = sum(found.values())
            counts[f"{kind}_accepted"] = sum(count for each, count in found.items() if each in accepted)
        return counts

    @cached_property
    def compared(self) -> list[Judged]:
        return [judged for judged in self.records if judged.is_comparable and judged.wanted is not None]

    def _of(self, kind: str, judged: Judged, flag: FeatureField) -> "Difference":
        return kind, judged.record["id"], judged.record[self.key], flag.column

    def _new_and_accepted(self, judged: Judged, accepted: "set[Difference]") -> tuple[int, int]:
        """How many differences of a record are new, and how many are accepted. The dates of a product are one."""
        kinds = {
            self._of(self._kind(field, judged.record[field.column]), judged, product.enabled)
            for product in self.fields.products
            for field in self.differing(judged)
            if field in product.fields
        }
        return len(kinds - accepted), len(kinds & accepted)

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
