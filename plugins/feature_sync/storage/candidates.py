"""If a table that a run reads is not the right one: which tables of the warehouse could be meant."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from feature_sync.config.settings import Settings
from feature_sync.storage.freshness import SYNCED_COLUMN
from feature_sync.storage.marks import own_tables
from feature_sync.storage.source_tables import source_columns
from feature_sync.storage.warehouse import Row, StatementError, Warehouse

log = logging.getLogger(__name__)

MAX_CANDIDATES = 10


@dataclass(frozen=True, slots=True)
class Candidate:
    """
    A table with the same key columns.

    ``records``, ``changed_at``, ``synced_at``: None if the warehouse does not tell. ``synced_at``: when the newest row was
    replicated.
    """

    name: str
    is_view: bool = False
    records: int | None = None
    changed_at: datetime | None = None
    synced_at: datetime | None = None

    @property
    def age(self) -> datetime:
        """By which the newest comes first: the replication's own time says more than a change of the table."""
        return self.synced_at or self.changed_at or datetime.min.replace(tzinfo=UTC)

    def __str__(self) -> str:
        known = [
            "a view" if self.is_view else "",
            "" if self.records is None else f"{self.records:,} rows",
            f"newest row replicated at {_minute(self.synced_at)}" if self.synced_at else "",
            f"changed at {_minute(self.changed_at)}" if self.changed_at else "",
        ]
        return f"{self.name}: {', '.join(text for text in known if text) or 'it cannot be read'}"


def key_columns(settings: Settings, table: str) -> tuple[str, ...]:
    """The columns by which a table that a run reads is recognised, whatever its name is. Empty: it is none of these."""
    fields = settings.fields
    keys = {
        settings.properties_table: ("id", "status"),
        settings.features_table: ("property_id", *(str(product.enabled.source) for product in fields.products)),
        settings.salesforce_table: ("id", fields.property_id.column, fields.upsert_key.column),
    }.get(table, ())
    return tuple(dict.fromkeys(column.lower() for column in keys))


def describe_candidates(warehouse: Warehouse, table: str) -> str:
    """
    The tables that could be meant instead of a table that a run reads, for the end of the message that refuses it.

    It never fails, because the message must not be lost. It asks little: one query, and two for each of at most ten tables.

    :param table: the table that does not exist or lacks its key columns.
    :returns: lines with rows and ages, the newest first, or an empty text.
    """
    try:
        found = sorted(_candidates(warehouse, table), key=lambda candidate: candidate.age, reverse=True)
    except Exception as error:  # whatever it is, the first message matters more
        log.warning("The tables that could be meant instead of %s cannot be listed: %s", table, error)
        return ""
    keys = ", ".join(key_columns(warehouse.settings, table))
    if not found:
        return f"\n  No other table that you may read has the columns {keys}."
    return "\n    ".join([f"\n  These have the columns {keys}, the newest first:", *map(str, found)])


def _candidates(warehouse: Warehouse, table: str) -> Iterator[Candidate]:
    settings = warehouse.settings
    left_out = {table.lower(), *(own.name.lower() for own in own_tables(settings))}
    names = [(".".join((row["table_catalog"], row["table_schema"], row["table_name"])), row) for row in _rows(warehouse, table)]
    for name, row in [(name, row) for name, row in names if name.lower() not in left_out][:MAX_CANDIDATES]:
        yield _look(warehouse, name, row)


def _rows(warehouse: Warehouse, table: str) -> list[Row]:
    """From all catalogs that we may read; if that is not allowed, from those of the settings."""
    settings = warehouse.settings
    keys = key_columns(settings, table)
    columns = dict.fromkeys([*keys, *(name.lower() for name in source_columns(settings)[table]), SYNCED_COLUMN])
    wanted = {"columns": ",".join(columns), "key_columns": ",".join(keys)}
    try:
        return warehouse.fetch_all("tables/select_look_alikes", wanted, names={"catalog": "system"})
    except StatementError as error:
        log.info("system.information_schema cannot be read: %s", error)
    rows = []
    for catalog in dict.fromkeys(name.partition(".")[0] for name in source_columns(settings)):
        try:
            rows += warehouse.fetch_all("tables/select_look_alikes", wanted, names={"catalog": catalog})
        except StatementError as error:
            log.info("%s.information_schema cannot be read: %s", catalog, error)
    return rows


def _look(warehouse: Warehouse, name: str, row: Row) -> Candidate:
    is_view = "VIEW" in row["table_type"]
    if is_view:  # counting its rows may cost as much as its query
        return Candidate(name, is_view=True)
    synced_at = f"MAX({SYNCED_COLUMN})" if row["is_replicated"] else "CAST(NULL AS TIMESTAMP)"
    try:
        [counted] = warehouse.fetch_all("tables/count_rows", names={"table": name, "synced_at": synced_at})
        [detail] = warehouse.fetch_all("tables/describe_detail", names={"table": name})
    except StatementError as error:
        log.info("%s cannot be read: %s", name, error)
        return Candidate(name)
    return Candidate(name, False, counted["records"], detail["lastModified"], counted["synced_at"])


def _minute(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC" if moment else ""
