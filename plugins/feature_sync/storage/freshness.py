"""How old the tables are that a run reads. A run that chooses or freezes records by old tables sends old values."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from feature_sync.config.settings import Settings
from feature_sync.storage.descriptions import Description
from feature_sync.storage.tables import TIME, describe_source
from feature_sync.storage.warehouse import ConnectError, StatementError, Warehouse

log = logging.getLogger(__name__)

SYNCED_COLUMN = "_fivetran_synced"
"""The column in which Fivetran writes when it replicated a row."""


@dataclass(frozen=True, slots=True)
class Freshness:
    """
    How old a table is that a run reads, by the warehouse's clock.

    ``newest_at``: when its newest row was replicated; for a table without such a column, when the table changed last. None if
    nobody can say. ``limit``: the greatest age. ``setting``: its name.
    """

    table: str
    newest_at: datetime | None
    checked_at: datetime
    limit: timedelta
    setting: str

    @property
    def age(self) -> timedelta | None:
        return None if self.newest_at is None else self.checked_at - self.newest_at

    @property
    def problem(self) -> str:
        """Why records may not be chosen by this table. Empty if it is fresh enough, or if the limit is 0."""
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
    return tuple(Freshness(table, *_measure(warehouse, table), *limit) for table, limit in limits.items())


def freshness_problems(found: Sequence[Freshness]) -> list[str]:
    return [each.problem for each in found if each.problem]


def _measure(warehouse: Warehouse, table: str) -> tuple[datetime | None, datetime]:
    """When the newest row was written, and the warehouse's time."""
    written_at = _time_of(describe_source(warehouse, table), warehouse.settings, table)
    [measured] = warehouse.fetch_all("tables/measure_age", names={"table": table, "written_at": written_at})
    return measured["newest_at"] or _changed_at(warehouse, table), measured["checked_at"]


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
