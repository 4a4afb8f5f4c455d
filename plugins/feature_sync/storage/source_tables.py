"""The tables that a run reads: the columns that we need of them, and what must not be in them."""

from collections.abc import Mapping

from feature_sync.config.fields import FeatureField, FieldKind, FieldTable, FlagType
from feature_sync.config.settings import Settings
from feature_sync.storage.descriptions import Description
from feature_sync.storage.tables import describe
from feature_sync.storage.warehouse import Warehouse

TEXT = frozenset({"string"})
FLAG = frozenset({"boolean"})
WHOLE_NUMBER = frozenset({"tinyint", "smallint", "int", "bigint", "decimal"})
TIME = frozenset({"timestamp", "timestamp_ntz"})
DAY_OR_TIME = TIME | {"date"}
WHOLE_NUMBER_OR_TEXT = WHOLE_NUMBER | {"string"}
ANY: frozenset[str] = frozenset()
"""A column that only has to exist."""

DELETED_COLUMN, HISTORY_COLUMN = "_fivetran_deleted", "_fivetran_active"
"""Columns of Fivetran: it has deleted the row, and the row is the present version in a table that keeps all versions."""

Columns = Mapping[str, frozenset[str]]
_SALESFORCE_KINDS = {
    FieldKind.TEXT: TEXT,
    FieldKind.CHECKBOX: FLAG,
    FieldKind.DATE: frozenset({"date"}),
    FieldKind.DATETIME: TIME,
}


def source_columns(settings: Settings) -> dict[str, Columns]:
    """
    The tables that a run reads, with the columns it needs and the types that each may have.

    The replica has the types of Salesforce's fields: a checkbox is BOOLEAN, a Date is DATE, a Date/Time is TIMESTAMP.
    """
    fields = settings.fields
    flag = WHOLE_NUMBER if fields.flag_type is FlagType.NUMBER else FLAG
    features = {
        str(field.source): flag if field.kind is FieldKind.CHECKBOX else DAY_OR_TIME
        for product in fields.products
        for field in product.fields
    }
    return {
        settings.properties_table: {"id": WHOLE_NUMBER_OR_TEXT, "status": TEXT}
        | ({"sfdc_id": TEXT} if settings.placeholder_sfdc_ids else {})
        | ({parent: ANY} if (parent := settings.parent_column) else {})
        | ({twin: ANY} if (twin := settings.twin_column) else {})
        | ({name: TEXT} if (name := settings.name_column) else {})
        | ({company: WHOLE_NUMBER_OR_TEXT} if (company := settings.company_column) else {})
        | ({deleted: FLAG} if (deleted := settings.properties_deleted_column) else {}),
        settings.features_table: {"property_id": TEXT, **features}
        | ({deleted: FLAG} if (deleted := settings.features_deleted_column) else {})
        | ({order: ANY} if (order := settings.features_order_column) else {}),
        settings.salesforce_table: {
            "id": TEXT,
            **{field.column: _SALESFORCE_KINDS[field.kind] for field in fields},
            "created_date": TIME,
            "system_modstamp": TIME,
            "is_deleted": FLAG,
            "_fivetran_synced": TIME,
        },
    }


def column_problems(
    table: str, needed: Columns, found: Mapping[str, str], fields: FieldTable, shown: Mapping[str, str] | None = None
) -> list[str]:
    """
    Compare a table with what a run needs of it.

    :param found: its columns with their types, as `parse_description` returns them.
    :param shown: the columns that a run only shows to people, each with the setting that names it.
    :returns: a sentence for the missing columns that every run needs, one for each missing column of the field table or of
        ``shown``, and one for each mistyped column.
    """
    shown = shown if shown and any(column in found for column in needed) else {}
    by_column = {field.column: field for field in fields} | {field.source: field for field in fields.features if field.source}
    problems = []
    missing = [column for column in needed if column not in found]
    of_fields = [column for column in missing if column in by_column]
    if len(of_fields) == len([column for column in needed if column in by_column]):
        of_fields = []  # not one of them is there, so it is another table
    if others := [column for column in missing if column not in of_fields and column not in shown]:
        problems.append(f"{table} lacks the columns {', '.join(others)}. Check the table's name in the settings, or add them.")
    problems += [
        f"{table} lacks the column {column}. {shown[column]} names it, and it is only shown: name another one, or leave "
        f"{shown[column]} empty."
        for column in missing
        if column in shown
    ]
    problems += [f"{table} lacks {column}. {_cure(by_column[column], column, fields)}" for column in of_fields]
    for column, kinds in needed.items():
        kind = found.get(column)
        if kind is None or not kinds or kind in kinds:
            continue
        hint = _hint(by_column[column], column, kind, fields) if column in by_column else ""
        problems.append(f"{table}: {column} is {kind}; it must be {' or '.join(sorted(kinds))}.{hint}")
    return problems


def history_problems(table: str, found: Mapping[str, str]) -> list[str]:
    """Refuse a table in which the replication keeps every former version of a row: old values would be taken for today's."""
    if HISTORY_COLUMN not in found:
        return []
    return [
        f"{table} has the column {HISTORY_COLUMN}, so it is a history table: it keeps every former version of each row. Name a "
        f"table or a view with the present rows alone, for example WHERE {HISTORY_COLUMN}, and without that column."
    ]


def deleted_problems(settings: Settings, table: str, found: Mapping[str, str]) -> list[str]:
    """Refuse a table that marks rows as deleted if no setting says so: a deleted row would count as if it were there."""
    setting = {settings.properties_table: "properties_deleted_column", settings.features_table: "features_deleted_column"}.get(
        table
    )
    if setting is None or getattr(settings, setting) or DELETED_COLUMN not in found:
        return []
    return [
        f"{table} has the column {DELETED_COLUMN}, but {setting.upper()} is empty, so rows that the replication has deleted "
        f"would count as if they were there. Set {setting.upper()} to {DELETED_COLUMN}."
    ]


def source_problems(settings: Settings, table: str, found: Mapping[str, str]) -> list[str]:
    """
    Everything that is wrong with the columns of a table that a run reads.

    :param found: its columns with their types, as `parse_description` returns them.
    """
    shown = {settings.name_column: "NAME_COLUMN", settings.company_column: "COMPANY_COLUMN"}
    if table != settings.properties_table:
        shown = {}
    return [
        *column_problems(table, source_columns(settings)[table], found, settings.fields, shown),
        *history_problems(table, found),
        *deleted_problems(settings, table, found),
    ]


def all_source_problems(warehouse: Warehouse) -> list[str]:
    """
    Everything that is wrong with the columns of all tables that a run reads.

    :raises StatementError: a table does not exist, or may not be read.
    """
    settings = warehouse.settings
    return [
        problem
        for table in source_columns(settings)
        for problem in source_problems(settings, table, describe_source(warehouse, table).columns)
    ]


def _cure(field: FeatureField, column: str, fields: FieldTable) -> str:
    """What to change in the field table if a table lacks a field's column: of the replica, or of the feature table."""
    if column == field.column:
        return fields.cure(field, "Salesforce has no such field")
    return fields.cure(field, "there is no such column")


def _hint(field: FeatureField, column: str, kind: str, fields: FieldTable) -> str:
    """What may be the reason that a field's column has another type."""
    if column == field.source:
        if field.kind is FieldKind.CHECKBOX and kind in WHOLE_NUMBER | FLAG:
            other = FlagType.BOOLEAN if kind in FLAG else FlagType.NUMBER
            return f' If the flags are stored so, write flag_type = "{other}" in {fields.file}.'
        return ""
    if field in fields.dates and kind in DAY_OR_TIME:
        return (
            f" If {field.salesforce_name} is a {'Date' if kind == 'date' else 'Date/Time'} field in Salesforce, "
            f"{'remove it from' if kind == 'date' else 'add it to'} DATETIME_FIELDS."
        )
    return ""


def describe_source(warehouse: Warehouse, table: str) -> Description:
    """
    A table that a run only reads. Several checks need it, so it is asked for once in a session.

    :raises StatementError: the table does not exist, or may not be read.
    """
    if table not in warehouse.sources:
        warehouse.sources[table] = describe(warehouse, table)
    return warehouse.sources[table]
