"""The source of a sync in the warehouse: its table, or the SQL of its dataset."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import duckdb
import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from sandbox.warehouse.engine import Engine


class SourceError(Exception):
    """The source cannot be read. Census publishes no list of error codes, so ours are invented."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def read_rows(engine: Engine, from_clause: str, columns: list[str]) -> list[dict[str, Any]]:
    """
    All rows of a source, as JSON values: dates as ``YYYY-MM-DD``, datetimes as ``YYYY-MM-DDTHH:MM:SSZ``.

    :raises SourceError: the table or a column is missing, or the SQL fails.
    """
    selected = ", ".join(f"{quoted(column)} AS c{index}" for index, column in enumerate(columns))
    # Through Arrow, because DuckDB's own rows need a time zone package that is not installed.
    rows = _run(engine, f"SELECT {selected} FROM {from_clause}").to_pylist()
    return [{column: json_value(row[f"c{index}"]) for index, column in enumerate(columns)} for row in rows]


def read_columns(engine: Engine, from_clause: str) -> list[dict[str, str]]:
    """The columns of a source, as a dataset names them."""
    schema = _run(engine, f"SELECT * FROM {from_clause} LIMIT 0").schema
    return [{"name": field.name, "data_type": str(field.type)} for field in schema]


def from_table(object_: Mapping[str, Any]) -> str:
    return ".".join(quoted(str(object_[part])) for part in ("table_catalog", "table_schema", "table_name") if object_.get(part))


def from_query(query: str) -> str:
    """
    The SQL of a dataset, translated from Databricks' dialect to the engine's.

    :raises SourceError: the SQL does not parse, or is not exactly one query.
    """
    try:
        statements = [statement for statement in sqlglot.parse(query, read="databricks") if statement is not None]
    except SqlglotError as error:
        raise SourceError("SQL_ERROR", f"The query does not parse: {str(error).splitlines()[0]}") from error
    if len(statements) != 1 or not isinstance(statements[0], exp.Query):
        raise SourceError("SQL_ERROR", "A dataset must be one SELECT statement.")
    return f"({statements[0].sql(dialect='duckdb', comments=False)}) AS source"


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def json_value(value: Any) -> Any:
    match value:
        case datetime():
            return (value.astimezone(UTC) if value.tzinfo else value).strftime("%Y-%m-%dT%H:%M:%SZ")
        case date():
            return value.isoformat()
        case Decimal():
            return float(value)
        case None | bool() | int() | float() | str():
            return value
    return str(value)


def _run(engine: Engine, sql: str) -> Any:
    with engine.cursor() as cursor:
        try:
            return cursor.sql(sql).to_arrow_table()
        except duckdb.CatalogException as error:
            raise SourceError("TABLE_OR_VIEW_NOT_FOUND", str(error).splitlines()[0]) from error
        except duckdb.Error as error:
            raise SourceError("SQL_ERROR", str(error).splitlines()[0]) from error
