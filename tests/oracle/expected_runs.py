"""What the guards should count in a payload, and which records an undo should restore. Worked out like ``expected.py``."""

import datetime as dt
from collections import Counter
from collections.abc import Collection, Iterable
from random import Random
from typing import Any

from tests.oracle.expected import Expected
from tests.oracle.worlds import Row

SENT, BEFORE, OTHER, GONE, KEY = "sent", "before", "other", "gone", "key"
"""What Salesforce may hold of a record when somebody wants to undo the run that wrote it."""


def guard_facts(payload: list[Row], expected: Expected, earliest: dt.date) -> dict[str, Any]:
    """
    :param payload: the rows of the payload table.
    :param earliest: the setting ``guard_earliest_date``.
    """
    fields, upsert, today = expected.fields, expected.other, dt.datetime.now(dt.UTC).date()
    alive = [record for record in expected.world.replica if not record["is_deleted"]]
    in_salesforce, in_payload = Counter(each[upsert] for each in alive), Counter(each[upsert] for each in payload)
    misspelled = {each for each in expected.unmatched.values() if each is not None}
    facts: Counter[str] = Counter(records=len(payload))
    for row in payload:
        dates = [row[date.column] for date in fields.dates if row[date.column] is not None]
        flags = [row[flag.column] for flag in expected.flags]
        key, raw = (row[upsert] or "").strip(" "), row[upsert]
        facts["records_unmatched"] += not row["has_feature_row"]
        facts["records_enabled"] += True in flags
        facts["empty_keys"] += not key
        facts["repeated_keys"] += bool(key) and (in_payload[raw] > 1 or in_salesforce[raw] > 1)
        facts["missing_keys"] += bool(key) and in_salesforce[raw] == 0
        facts["unknown_properties"] += row[expected.key] not in expected.statuses
        facts["misspelled_features"] += row[expected.key] in misspelled
        facts["empty_flags"] += None in flags
        facts["future_dates"] += any(date > today for date in dates)
        facts["early_dates"] += any(date < earliest for date in dates)
    facts["unmatched_features"] = len(expected.unmatched)
    facts["feature_rows"] = len({row["property_id"] for row in expected.world.features})
    for product in fields.products:
        flag = product.enabled.column
        facts[f"{product.name}_true"] = sum(each[flag] is True for each in alive)
        facts[f"{product.name}_false"] = sum(each[flag] is False for each in alive)
        having = {row["property_id"] for row in expected.world.features if row[flag] is True}
        facts[f"{product.name}_in_warehouse"] = len(having - {None})  # a row without an id says nothing about any property
    return dict(facts)


def spoiled(payload: list[Row], expected: Expected, random: Random) -> list[Row]:
    """The payload with what guards must see: keys, flags and dates that no sound payload has."""
    flag, date, upsert = expected.flags[0].column, next(iter(expected.fields.dates)).column, expected.other
    faults: list[Row] = [
        {upsert: None},
        {upsert: "  "},
        {upsert: "nobody"},
        {upsert: payload[0][upsert] if payload else None},
        {flag: None},
        {date: dt.date(2999, 12, 31)},
        {date: dt.date(1999, 12, 31)},
        {expected.key: "no such property"},
        {"has_feature_row": False},
    ]
    return [{**row, **random.choice(faults)} if random.random() < 0.3 else row for row in payload]


class History:
    """Attempts at the batches of a run, as the sync log and the table of rejections have them."""

    def __init__(self, run_id: str, upsert: str, random: Random) -> None:
        self.run_id, self.upsert, self._random = run_id, upsert, random
        self.attempts: list[Row] = []
        self.rejections: list[Row] = []
        self.written: set[str] = set()

    def add(self, batch: int, keys: Collection[str]) -> None:
        """One of the histories that a batch may have."""
        random = self._random
        rejected = set(random.sample(sorted(keys), random.randint(0, len(keys))))
        match random.choice(("never", "not sent", "succeeded", "rejected", "sent again", "unknown")):
            case "not sent":
                self._attempt(batch, 1, keys, sync_run_id=None, rejected=None)
            case "succeeded":
                self._attempt(batch, 1, keys, rejected=())
            case "rejected":
                self._attempt(batch, 1, keys, rejected=rejected)
            case "sent again":
                self._attempt(batch, 1, keys, rejected=rejected)
                again = {each for each in sorted(rejected) if random.random() < 0.5}
                self._attempt(batch, 2, rejected, resends=1, rejected=again)
            case "unknown":
                self._attempt(batch, 1, keys, rejected=None)

    def _attempt(
        self,
        batch: int,
        number: int,
        keys: Collection[str],
        *,
        rejected: Iterable[str] | None,
        sync_run_id: int | None = 7,
        resends: int | None = None,
    ) -> None:
        refused = None if rejected is None else sorted(rejected)
        self.attempts.append(
            {
                "run_id": self.run_id,
                "batch_number": batch,
                "attempt": number,
                "status": "failed",
                "records": len(keys),
                "resends_attempt": resends,
                "sync_run_id": sync_run_id,
                "records_rejected": None if refused is None else len(refused),
            }
        )
        for key in refused or ():
            self.rejections.append(
                {"run_id": self.run_id, "batch_number": batch, "attempt": number, self.upsert: key, "reason": "no"}
            )
        if sync_run_id is not None:
            self.written |= set(keys) - set(refused or ())


def later(record: Row, sent: Row, state: str, expected: Expected) -> Row:
    """
    A record when the undo is asked for.

    :param record: as it was before the run. :param sent: what the run sends, by column.
    """
    flag = expected.flags[0].column
    match state:
        case "sent":
            return {**record, **sent}
        case "other":
            return {**record, **sent, flag: sent[flag] is not True}
        case "gone":
            return {**record, **sent, "is_deleted": True}
        case "key":
            return {**record, **sent, expected.other: "another key"}
        case _:
            return record


def undo_state(row: Row, now: Row, written: Collection[str], expected: Expected) -> tuple[str, str]:
    """
    Whether a record may be undone, and in which columns Salesforce holds another value than the run sent.

    :param row: of the payload. :param now: the record in Salesforce.
    """
    columns = [field.column for field in expected.fields.features]
    upsert = expected.other
    held = dict.fromkeys((upsert, *columns)) if now["is_deleted"] else now
    changed = ", ".join(each for each in (upsert, *columns) if held[each] != row[each])
    was_written = row[upsert] in written
    if now["is_deleted"]:
        return "gone", changed
    if was_written and any(row[f"before_{flag.column}"] is None for flag in expected.flags):
        return "before_unknown", changed
    if all(now[each] == row[f"before_{each}"] for each in columns):
        return "as_before", changed
    if not was_written:
        return "not_sent", changed
    return ("changed_since", changed) if changed else ("to_undo", "")
