"""The records of a pilot, computed from a frozen payload. It shares no line with the SQL."""

import hashlib
from collections import defaultdict
from collections.abc import Collection, Sequence

from feature_sync.config.fields import FieldTable
from tests.oracle.worlds import Row


def kinds(row: Row, fields: FieldTable, sentinels: Collection[str], twins: Collection[str]) -> list[int]:
    """The strata of a record: 0 for a sentinel, then one for each product, no product, changes, stays, has siblings."""
    flags = [bool(row[product.enabled.column]) for product in fields.products]
    changes = any(row[each.column] != row[f"before_{each.column}"] for each in fields.features)
    property_id = row[fields.property_id.column]
    facts = [property_id in sentinels, *flags, not any(flags), changes, not changes, property_id in twins]
    return [number for number, is_so in enumerate(facts) if is_so]


def expected_pilot(
    rows: Sequence[Row], fields: FieldTable, size: int, sentinels: Collection[str], twins: Collection[str]
) -> list[str]:
    """
    The property ids of the chosen records, in their order.

    The strata take turns. In each, parents take turns too: one that has given no record comes before one that has.
    """
    members: dict[int, list[Row]] = defaultdict(list)
    for row in sorted(rows, key=lambda one: hashlib.md5(one["salesforce_id"].encode()).hexdigest()):  # noqa: S324 - no secret
        for kind in kinds(row, fields, sentinels, twins):
            members[kind].append(row)
    turns: dict[str, tuple[int, int]] = {}
    by_record: dict[str, Row] = {row["salesforce_id"]: row for row in rows}
    for kind, of_kind in members.items():
        given: dict[str, int] = defaultdict(int)
        rounds = []
        for position, row in enumerate(of_kind):
            family = row["parent_id"] or row["salesforce_id"]
            given[family] += 1
            rounds.append((given[family], position, row["salesforce_id"]))
        for turn, (_, _, record) in enumerate(sorted(rounds)):
            turns[record] = min(turns.get(record, (turn, kind)), (turn, kind))
    chosen = sorted(turns, key=lambda one: (0 not in kinds(by_record[one], fields, sentinels, twins), turns[one]))[:size]
    return [by_record[record][fields.property_id.column] for record in chosen]
