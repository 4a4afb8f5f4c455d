"""Which columns the warehouse's tables must have: those we read, and our own, which ``include/sql/fragments`` defines."""

from collections.abc import Mapping
from dataclasses import dataclass

from feature_sync.fields import FieldKind, FieldTable
from feature_sync.settings import Settings
from feature_sync.warehouse import ConnectError, Row, StatementError, Warehouse, render_statement

TEXT = frozenset({"string"})
FLAG = frozenset({"boolean"})
TIME = frozenset({"timestamp", "timestamp_ntz"})
DAY_OR_TIME = TIME | {"date"}
WHOLE_NUMBER_OR_TEXT = frozenset({"tinyint", "smallint", "int", "bigint", "decimal", "string"})
ANY: frozenset[str] = frozenset()
"""A column of which only the existence matters."""

Columns = Mapping[str, frozenset[str]]
_SALESFORCE_KINDS = {
    FieldKind.TEXT: TEXT,
    FieldKind.CHECKBOX: FLAG,
    FieldKind.DATE: frozenset({"date"}),
    FieldKind.DATETIME: TIME,
}
_SYNONYMS = {"integer": "int", "long": "bigint", "varchar": "string", "char": "string", "numeric": "decimal", "bool": "boolean"}


def source_columns(settings: Settings) -> dict[str, Columns]:
    """
    The tables that a run reads, with the columns it needs and the types each may have.

    The copy of Salesforce has the types of Salesforce's fields: a checkbox is BOOLEAN, a Date is DATE, a Date/Time is TIMESTAMP.
    """
    fields = settings.fields
    features = {
        column: kinds
        for product in fields.products
        for column, kinds in (
            (product.enabled.source, FLAG),
            (product.start.source, DAY_OR_TIME),
            (product.updated.source, DAY_OR_TIME),
        )
        if column is not None
    }
    return {
        settings.properties_table: {"id": WHOLE_NUMBER_OR_TEXT, "status": TEXT}
        | ({parent: ANY} if (parent := settings.parent_column) else {}),
        settings.features_table: {"property_id": TEXT, **features},
        settings.salesforce_table: {
            "id": TEXT,
            **{field.column: _SALESFORCE_KINDS[field.kind] for field in fields},
            "created_date": TIME,
            "system_modstamp": TIME,
            "is_deleted": FLAG,
            "_fivetran_synced": TIME,
        },
    }


def column_problems(table: str, needed: Columns, found: Mapping[str, str], fields: FieldTable) -> list[str]:
    """
    Compare a table with what a run needs of it.

    :param found: its columns with their types, as `parse_description` gives them.
    :returns: a sentence for the missing columns and one for each mistyped one.
    """
    problems = []
    if missing := [column for column in needed if column not in found]:
        problems.append(f"{table} lacks the columns {', '.join(missing)}. Look at the table's name in the settings, or add them.")
    dates = {field.column: field for field in fields.dates}
    for column, kinds in needed.items():
        kind = found.get(column)
        if kind is None or not kinds or kind in kinds:
            continue
        hint = ""
        if column in dates and kind in DAY_OR_TIME:
            field = dates[column]
            hint = (
                f" If {field.salesforce_name} is a {'Date' if kind == 'date' else 'Date/Time'} field in Salesforce, "
                f"{'take it out of' if kind == 'date' else 'put it into'} DATETIME_FIELDS."
            )
        problems.append(f"{table}: {column} is {kind}; it must be {' or '.join(sorted(kinds))}.{hint}")
    return problems


def parse_description(rows: list[Row]) -> dict[str, str]:
    """
    Columns and types of a table, in lower case and without precision, from the rows of ``DESCRIBE TABLE``.

    What follows the columns, from the first empty name or the first that begins with ``#``, is about partitions and the like
    (https://docs.databricks.com/en/sql/language-manual/sql-ref-syntax-aux-describe-table.html).
    """
    columns = {}
    for row in rows:
        name = (row["col_name"] or "").strip()
        if not name or name.startswith("#"):
            break
        kind = row["data_type"].lower().partition("(")[0].strip()
        columns[name.lower()] = _SYNONYMS.get(kind, kind)
    return columns


def describe(warehouse: Warehouse, table: str) -> dict[str, str]:
    """:raises StatementError: there is no such table, or it may not be read."""
    return parse_description(warehouse.fetch_all("describe_table", names={"table": table}))


class OwnTableError(RuntimeError):
    """Tables of ours are not as this version needs them. ``problems`` has one sentence for each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class OwnTable:
    """A table of ours. ``definition``: the fragment that has its columns, one a line."""

    name: str
    definition: str


def own_tables(settings: Settings) -> tuple[OwnTable, ...]:
    return (
        OwnTable(settings.payload_table, "payload_columns"),
        OwnTable(settings.batch_table, "batch_columns"),
        OwnTable(settings.sync_log_table, "sync_log_columns"),
        OwnTable(settings.rejection_table, "rejection_columns"),
        OwnTable(settings.drift_table, "drift_columns"),
    )


def prepare_tables(warehouse: Warehouse) -> None:
    """
    Make our tables where they do not exist, add the columns of a newer version or a new product, and prove that we may write.

    :raises OwnTableError: naming each table that has a column of another type, as after a change of ``datetime_fields``, or that
        may not be made, changed or written to.
    :raises ConnectError: the warehouse does not answer.
    """
    problems = []
    for table in own_tables(warehouse.settings):
        try:
            problems += _prepare(warehouse, table)
        except ConnectError:
            raise
        except StatementError as error:
            problems.append(f"{table.name}: {error}")
    if problems:
        raise OwnTableError(problems)


def _prepare(warehouse: Warehouse, table: OwnTable) -> list[str]:
    definition = render_statement(f"fragments/{table.definition}", warehouse.settings).strip()
    wanted = {name.lower(): kind.lower() for name, kind in (line.split() for line in definition.split(",\n"))}
    names = {"table": table.name}
    warehouse.execute("create_table", names=names | {"columns": definition})
    present = describe(warehouse, table.name)
    if missing := {name: kind for name, kind in wanted.items() if name not in present}:
        columns = ",\n".join(f"{name} {kind}" for name, kind in missing.items())
        try:
            warehouse.execute("add_columns", names=names | {"columns": columns})
        except StatementError:
            # A statement whose answer is lost is sent again, and then the columns are there.
            if not set(missing) <= set(describe(warehouse, table.name)):
                raise
    if mistyped := [name for name, kind in wanted.items() if present.get(name, kind) != kind]:
        return [
            f"{table.name} was made with other types: "
            + ", ".join(f"{name} is {present[name]}, now it must be {wanted[name]}" for name in mistyped)
            + ". Rename the table; it is made anew. What it holds of former runs can be neither retried nor undone then."
        ]
    warehouse.execute("prove_write", names=names)
    return []
