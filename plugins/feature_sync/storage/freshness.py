"""
Whether the tables that a run reads may be used to choose records: they have the right columns, and they are not too old.

A run that chooses or freezes records by old tables sends old values.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from feature_sync.config.problems import GuardError
from feature_sync.config.settings import Settings
from feature_sync.config.wording import count_of
from feature_sync.storage.descriptions import Description
from feature_sync.storage.source_tables import TIME, all_source_problems, describe_source
from feature_sync.storage.warehouse import ConnectError, StatementError, Warehouse

log = logging.getLogger(__name__)

SYNCED_COLUMN = "_fivetran_synced"
"""The column in which Fivetran writes when it replicated a row."""
REMOVED_COLUMN = "is_deleted"
"""Salesforce's own mark of a deleted record. There it is never empty."""


@dataclass(frozen=True, slots=True)
class Freshness:
    """
    How old a table is that a run reads, by the warehouse's clock.

    ``newest_at``: when its newest row was replicated; for a table without such a column, when the table changed last. None if
    nobody can say. ``limit``: the greatest age. ``setting``: its name.
    ``undecided``: rows of the replica of which nobody can say whether Salesforce has deleted the record.
    """

    table: str
    newest_at: datetime | None
    checked_at: datetime
    limit: timedelta
    setting: str
    undecided: int = 0

    @property
    def age(self) -> timedelta | None:
        return None if self.newest_at is None else self.checked_at - self.newest_at

    @property
    def problem(self) -> str:
        """Why records may not be chosen by this table. Empty if they may. With a limit of 0 the age does not count."""
        if self.undecided:
            return (
                f"{self.table} has {count_of(self.undecided, 'row')} with an empty {REMOVED_COLUMN}, so nobody can say whether "
                "Salesforce has deleted these records. Repair the replication of that column."
            )
        if not self.limit:
            return ""
        if self.newest_at is None:
            return (
                f"Nobody can say how old {self.table} is: it has no row with a time in {SYNCED_COLUMN}, and the warehouse does "
                f"not say when it changed. Name a table with such a column, or set {self.setting} to 0 if that does not matter."
            )
        if self.age is not None and self.age > self.limit:
            return (
                f"{self.table} is too old to choose records by: its newest row is of {self} "
                f"({self.setting} allows {self.limit.total_seconds():,.0f} s). Repair what fills it, or name another table."
            )
        return ""

    def __str__(self) -> str:
        return f"{self.newest_at:%Y-%m-%d %H:%M} UTC" if self.newest_at else "not known"


def read_freshness(warehouse: Warehouse) -> tuple[Freshness, ...]:
    """
    Measure the replica and both sources.

    :raises StatementError: a table cannot be read.
    :raises ConnectError: the warehouse does not answer.
    """
    settings = warehouse.settings
    replica_limit = timedelta(seconds=settings.copy_age_limit_seconds), "COPY_AGE_LIMIT_SECONDS"
    source_limit = timedelta(seconds=settings.source_age_limit_seconds), "SOURCE_AGE_LIMIT_SECONDS"
    limits = {
        settings.salesforce_table: replica_limit,
        settings.properties_table: source_limit,
        settings.features_table: source_limit,
    }
    return tuple(_measure(warehouse, table, *limit) for table, limit in limits.items())


def read_clock(warehouse: Warehouse) -> datetime:
    """
    The warehouse's time.

    :raises StatementError: it does not say.
    """
    time: datetime = warehouse.fetch_one("tables/measure_clock")["checked_at"]
    return time


def freshness_problems(found: Sequence[Freshness]) -> list[str]:
    return [each.problem for each in found if each.problem]


def refuse_unfit_tables(warehouse: Warehouse) -> None:
    """
    Look at all tables that a run reads, right before records are chosen, frozen or compared.

    :raises GuardError: a table lacks a column, has one that must not be there, or is too old; the message has all of it.
    :raises StatementError: a table does not exist, or may not be read.
    """
    if problems := all_source_problems(warehouse) or freshness_problems(read_freshness(warehouse)):
        raise GuardError(problems)


def _measure(warehouse: Warehouse, table: str, limit: timedelta, setting: str) -> Freshness:
    found = describe_source(warehouse, table)
    is_replica = table == warehouse.settings.salesforce_table
    names = {
        "table": table,
        "written_at": _time_of(found, warehouse.settings, table),
        "undecided": f"{REMOVED_COLUMN} IS NULL" if is_replica and REMOVED_COLUMN in found.columns else "FALSE",
    }
    [measured] = warehouse.fetch_all("tables/measure_age", names=names)
    newest_at = measured["newest_at"] or _changed_at(warehouse, table)
    return Freshness(table, newest_at, measured["checked_at"], limit, setting, measured["undecided"])


def _time_of(found: Description, settings: Settings, table: str) -> str:
    """The expression for the time of a row."""
    order = settings.features_order_column.lower() if table == settings.features_table else ""
    for column in (SYNCED_COLUMN, order):
        if found.columns.get(column) in TIME:
            return column
    return "NULL"


def _changed_at(warehouse: Warehouse, table: str) -> datetime | None:
    """When a table changed last. A view does not say that."""
    try:
        [detail] = warehouse.fetch_all("tables/describe_detail", names={"table": table})
    except ConnectError:
        raise
    except StatementError as error:
        log.info("%s does not say when it changed: %s", table, error)
        return None
    return detail["lastModified"]
