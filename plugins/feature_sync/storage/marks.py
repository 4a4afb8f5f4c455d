"""Which tables are ours: the names in the settings say where, and a mark on the table itself proves it.

A table without the mark is never changed, written or dropped, whatever its name is: somebody else may have made it.
"""

import re
from dataclasses import dataclass

from feature_sync.config.settings import Settings
from feature_sync.storage.descriptions import MARK, Description

LAYOUT = 1
"""Raised when a table of an earlier version can no longer be used as it is. A column that is only added does not raise it."""

FORMER_NAMES = {
    "feature_sync_payload": "product_property_feature_backfill",
    "feature_sync_batch": "product_property_feature_batch",
    "feature_sync_rejection": "product_property_feature_rejection",
    "feature_sync_log": "product_property_feature_sync_log",
    "feature_sync_drift": "product_property_feature_drift",
}
"""The default names of earlier versions, by today's."""

_WRITES = re.compile(r"(?:MERGE\s+INTO|UPDATE|DELETE\s+FROM|INSERT\s+OVERWRITE|ALTER\s+TABLE)\s+([\w.]+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class OwnTable:
    """
    A table of ours.

    ``setting``: the setting that names it. ``definition``: the file of ``include/sql/tables/columns`` that has its columns.
    ``keys``: the columns that every version of it has had. A table without them is another one.
    ``clustered_by``: the columns by which Databricks keeps its rows together, so that the statements of a batch do not read the
    rows of all other runs and batches.
    """

    name: str
    setting: str
    definition: str
    keys: tuple[str, ...]
    clustered_by: tuple[str, ...] = ()

    @property
    def mark(self) -> str:
        """The value of the property `MARK`: the table's role, and the number of its layout."""
        return f"{self.definition}/{LAYOUT}"

    @property
    def mark_property(self) -> str:
        """The mark as it stands between the parentheses of ``TBLPROPERTIES``."""
        return f"'{MARK}' = '{self.mark}'"

    @property
    def marking(self) -> str:
        """The statement by which a person takes the table over."""
        return f"ALTER TABLE {self.name} SET TBLPROPERTIES ({self.mark_property})"

    @property
    def former_name(self) -> str | None:
        """The name that the table had in an earlier version, if today's is the default name."""
        schema, _, table = self.name.rpartition(".")
        former = FORMER_NAMES.get(table.lower())
        return former and f"{schema}.{former}"


BY_BATCH = ("run_id", "batch_number")
"""How the statements of a batch choose rows."""


def own_tables(settings: Settings) -> tuple[OwnTable, ...]:
    return (
        OwnTable(settings.payload_table, "PAYLOAD_TABLE", "payload", ("run_id", "record_number", "salesforce_id"), BY_BATCH),
        OwnTable(settings.batch_table, "BATCH_TABLE", "batch", ("run_id", "batch_number")),
        OwnTable(settings.sync_log_table, "SYNC_LOG_TABLE", "sync_log", (*BY_BATCH, "attempt", "status"), BY_BATCH),
        OwnTable(settings.rejection_table, "REJECTION_TABLE", "rejection", (*BY_BATCH, "attempt", "reason"), BY_BATCH),
        OwnTable(settings.drift_table, "DRIFT_TABLE", "drift", ("run_id", "product", "checked_at")),
        OwnTable(settings.difference_table, "DIFFERENCE_TABLE", "difference", ("run_id", "compared_at", "class"), ("run_id",)),
        OwnTable(settings.accepted_table, "ACCEPTED_TABLE", "accepted_difference", ("class", "reason", "accepted_by")),
        OwnTable(settings.read_back_table, "READ_BACK_TABLE", "read_back", ("run_id", "salesforce_id", "read_at"), ("run_id",)),
        OwnTable(settings.approval_table, "APPROVAL_TABLE", "approval", ("run_id", "task_id", "asked_at", "answer")),
    )


def written_table(text: str) -> str | None:
    """The table whose rows or columns a statement changes. None: it reads, or creates a table that does not exist yet."""
    found = _WRITES.match(re.sub(r"--[^\n]*", "", text).lstrip())
    return found[1] if found else None


def lacking_keys(table: OwnTable, found: Description) -> list[str]:
    """The columns that every version of the table has, and this one lacks."""
    return [column for column in table.keys if column not in found.columns]


def mark_problem(table: OwnTable, found: Description) -> str | None:
    """
    Why a table with the name of ours is not provably ours, and what a person can do. None: it is ours.

    :param found: the table as it is now.
    """
    untouched = "It is neither written nor changed."
    if found.is_view:
        return f"{table.name} is a view, so it is not ours. {untouched} Set {table.setting} to a name that nobody uses."
    lacking = lacking_keys(table, found)
    if found.mark == table.mark:
        if not lacking:
            return None
        return (
            f"{table.name} has our mark but lacks {', '.join(lacking)}, so somebody has changed it. {untouched} Rename the "
            "table, and a new one is created. Earlier runs can then be neither retried nor undone."
        )
    if found.mark is not None:
        return (
            f"{table.name} is marked as {found.mark!r}, but {table.setting} must name a table that is marked as {table.mark!r}. "
            f"Another setting may name it too, or another version of this package made it. {untouched} Correct {table.setting}."
        )
    if lacking:
        return (
            f"{table.name} belongs to somebody else: it has no mark of ours, and it lacks our columns {', '.join(lacking)}. "
            f"{untouched} Set {table.setting} to a name that nobody uses."
        )
    return (
        f"{table.name} has our columns but no mark of ours. An earlier version of this package may have made it, which set no "
        f"mark, or somebody has built it again. {untouched} Look at it. If it is ours, run this in the warehouse:\n"
        f"    {table.marking};\n"
        f"  If it is not, set {table.setting} to a name that nobody uses."
    )


def former_table_problem(table: OwnTable) -> str:
    """What to say if our table does not exist, and a table with its former name has its columns."""
    source = "\n  Then choose it as the source of the Census sync." if table.definition == "batch" else ""
    return (
        f"{table.name} does not exist, but {table.former_name} has its columns and its former name. It may hold the runs so far, "
        "so no empty table is created. Look at it. If it is ours, run this in the warehouse:\n"
        f"    ALTER TABLE {table.former_name} RENAME TO {table.name};\n"
        f"    {table.marking};{source}\n"
        f"  If it is not, set {table.setting} to another name that nobody uses."
    )
