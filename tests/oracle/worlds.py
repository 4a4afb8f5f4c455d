"""Small random worlds with what real tables have in them: empty values, blanks, repeats, disagreeing keys, late hours."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from feature_sync.config.fields import FieldTable

Row = dict[str, Any]
STATUSES = ("ACTIVE", "ACTIVE", "ACTIVE", "INACTIVE", "onboarding", " Active ", "DELETED", "deleted", "PAUSED", "", None)
TWINS = ("one", " one", "two", "three", "four", "five", "six", "", None)
"""What properties share. Small families, so that a sibling may have an earlier date than all others."""
HOURS = ("00:00:00", "01:48:00", "12:00:00", "23:18:00", "23:59:59.999999")
DAYS = ("2024-03-10", "2024-11-03", "2025-02-28", "2025-11-21", "2025-11-22")
"""Two of them are days on which clocks change in the United States."""


@dataclass(frozen=True)
class World:
    """The rows of the three tables that a run reads. A feature row has the fields by the names of Salesforce's columns."""

    properties: list[Row]
    features: list[Row]
    replica: list[Row]


def random_world(seed: int, fields: FieldTable, size: int | None = None) -> World:
    """:param size: how many properties it has. None: between 0 and 25."""
    random = Random(seed)  # noqa: S311 - data for tests
    number = random.choice((0, 1, 2, 8, 15, 25)) if size is None else size
    ids = [str(1000 + index) for index in range(number)]
    companies = ("one",) if random.random() < 0.2 else ("one", "two", "three", None)
    properties = [
        {
            "id": int(each),
            "status": random.choice(STATUSES) if random.random() < 0.4 else "ACTIVE",
            "company_id": random.choice(companies),
            "sfdc_id": random.choice(TWINS),
        }
        for each in ids
        if random.random() < 0.95
    ]
    if properties and random.random() < 0.15:
        properties.append(dict(random.choice(properties)))
    features: list[Row] = []
    for each in ids:
        if random.random() < 0.15:
            continue
        row = _feature_row(random, each, fields)
        features.append(row)
        if random.random() < 0.15:
            features.append(dict(row))
        if random.random() < 0.1:
            features.append(_feature_row(random, each, fields))
    if random.random() < 0.3:
        features.append(_feature_row(random, "9999", fields))
    if random.random() < 0.3 and ids:
        features.append(_feature_row(random, f"{ids[0]} ", fields))
    if random.random() < 0.2:
        features.append({**_feature_row(random, "", fields), "property_id": None})
    of_all = _Draft(random, ids, features, fields)
    replica = [record for index, each in enumerate(ids) for record in of_all.records(index, each)]
    if random.random() < 0.4:
        replica += of_all.records(900, "5555")
    random.shuffle(replica)
    return World(properties, features, replica)


def _moment(random: Random) -> dt.datetime:
    return dt.datetime.fromisoformat(f"{random.choice(DAYS)}T{random.choice(HOURS)}+00:00")


def _feature_row(random: Random, property_id: str, fields: FieldTable) -> Row:
    row: Row = {"property_id": property_id}
    for product in fields.products:
        enabled: bool | None = random.random() < 0.4
        if random.random() < 0.02:
            enabled = None
        row[product.enabled.column] = enabled
        for date in product.dates:
            # A product that was switched off may still have its dates.
            row[date.column] = _moment(random) if random.random() < (0.9 if enabled else 0.1) else None
    return row


@dataclass(frozen=True)
class _Draft:
    """What the records of a world are made from."""

    random: Random
    ids: Sequence[str]
    features: Sequence[Row]
    fields: FieldTable

    def records(self, index: int, key: str) -> list[Row]:
        """The records of a property: none, one, or two that share it."""
        count = self.random.choices((0, 1, 2), (0.08, 0.87, 0.05))[0]
        return [self._record(f"a0{index:03d}{copy}", key) for copy in range(count)]

    def _record(self, record_id: str, key: str) -> Row:
        random, fields = self.random, self.fields
        row: Row = {
            "id": record_id,
            fields.property_id.column: key,
            fields.upsert_key.column: key,
            "created_date": _moment(random),
            "system_modstamp": _moment(random),
            "is_deleted": random.random() < 0.05,
        }
        if random.random() < 0.08:
            row[random.choice([each.column for each in fields.keys])] = random.choice((None, *self.ids))
        right = next((each for each in self.features if each["property_id"] == key), None)
        for product in fields.products:
            flag = product.enabled.column
            row[flag] = bool(right and right[flag]) if random.random() < 0.85 else random.random() < 0.5
            if random.random() < 0.02:
                row[flag] = None
            for date in product.dates:
                moment = right[date.column] if right and random.random() < 0.9 else _moment(random)
                row[date.column] = moment.date() if moment else None
        return row
