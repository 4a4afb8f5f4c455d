"""
The information schema of a catalog, and of all catalogs under ``system``.

https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-information-schema. DuckDB has schemas of the same name with other
columns, so their tables are replaced before a query runs.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any

import duckdb
import pyarrow as pa
from sqlglot import exp

from sandbox.warehouse import metadata, privileges
from sandbox.warehouse.engine import CATALOGS
from sandbox.warehouse.metadata import HIDDEN_SCHEMAS, Relation
from sandbox.warehouse.privileges import OWNER
from sandbox.warehouse.results import Namespace, StatementError

NAME = "information_schema"
INSTANT = pa.timestamp("us", "UTC")


def filled_in(tree: exp.Expression, cursor: duckdb.DuckDBPyConnection, namespace: Namespace) -> exp.Expression:
    """
    The statement with each table of an information schema replaced by the answer to it.

    :raises StatementError: the information schema has no such table here.
    """
    tree = tree.transform(_who_asks)
    for number, table in enumerate(list(tree.find_all(exp.Table))):
        if table.db.lower() != NAME:
            continue
        catalog = (table.catalog or namespace.catalog).lower()
        if table.name.lower() not in _TABLES or catalog not in ("system", *CATALOGS):
            raise StatementError(
                f"[TABLE_OR_VIEW_NOT_FOUND] The table or view `{catalog}`.`{NAME}`.`{table.name}` cannot be found."
                " SQLSTATE: 42P01"
            )
        make, schema = _TABLES[table.name.lower()]
        rows = [row for row in make(cursor) if catalog in ("system", row.get("table_catalog") or row["catalog_name"])]
        cursor.register(f"information_schema_{number}", pa.Table.from_pylist(rows, schema=schema))
        answer = exp.to_table(f"temp.main.information_schema_{number}")
        answer.set("alias", table.args.get("alias") or exp.TableAlias(this=exp.to_identifier(table.name)))
        table.replace(answer)
    return tree


def _who_asks(node: exp.Expression) -> exp.Expression:
    """Replace the functions that ask for the user and his groups."""
    if isinstance(node, exp.CurrentUser):
        return exp.Literal.string(OWNER)
    if isinstance(node, exp.Anonymous) and node.name.lower() == "is_account_group_member":
        return exp.EQ(this=node.expressions[0].copy(), expression=exp.Literal.string(privileges.EVERYBODY))
    return node


def _key(relation: Relation) -> dict[str, Any]:
    return {
        "table_catalog": relation.name.catalog,
        "table_schema": relation.name.schema,
        "table_name": relation.name.table,
    }


def _tables(cursor: duckdb.DuckDBPyConnection) -> Iterator[dict[str, Any]]:
    for each in metadata.relations(cursor):
        yield {
            **_key(each),
            "table_type": each.kind,
            "is_insertable_into": "NO" if each.is_view else "YES",
            "commit_action": "PRESERVE",
            "table_owner": privileges.owner(cursor, str(each.name)),
            "comment": each.metadata.comment,
            "created": datetime.fromisoformat(each.metadata.created),
            "created_by": OWNER,
            "last_altered": datetime.fromisoformat(each.metadata.altered),
            "last_altered_by": OWNER,
            "data_source_format": "UNKNOWN_DATA_SOURCE_FORMAT" if each.is_view else "DELTA",
        }


def _columns(cursor: duckdb.DuckDBPyConnection) -> Iterator[dict[str, Any]]:
    for each in metadata.relations(cursor):
        for position, (column, kind, nullable) in enumerate(metadata.columns(cursor, each.name), start=1):
            yield {
                **_key(each),
                "column_name": column,
                "ordinal_position": position,
                "is_nullable": "YES" if nullable else "NO",
                "full_data_type": kind.lower(),
                "data_type": {"BIGINT": "LONG", "SMALLINT": "SHORT", "TINYINT": "BYTE"}.get(kind, kind.partition("<")[0]),
                "comment": each.metadata.column_comments.get(column),
            }


def _views(cursor: duckdb.DuckDBPyConnection) -> Iterator[dict[str, Any]]:
    for each in metadata.relations(cursor):
        if each.is_view:
            yield {
                **_key(each),
                "view_definition": each.metadata.view_text,
                "check_option": "NONE",
                "is_updatable": "NO",
                "is_insertable_into": "NO",
                "sql_path": None,
                "is_materialized": "NO",
            }


def schemata(cursor: duckdb.DuckDBPyConnection) -> Iterator[dict[str, Any]]:
    """The schemas that a client sees."""
    rows = cursor.execute("SELECT database_name, schema_name FROM duckdb_schemas() ORDER BY ALL").fetchall()
    for catalog, schema in rows:
        if catalog in CATALOGS and schema not in HIDDEN_SCHEMAS:
            yield {
                "catalog_name": catalog,
                "schema_name": schema,
                "schema_owner": privileges.owner(cursor, f"{catalog}.{schema}"),
                "comment": None,
            }


def _schema(texts: str, **others: pa.DataType) -> pa.Schema:
    return pa.schema([*((name, others.pop(name, pa.string())) for name in texts.split())])


_GRANT = "grantor grantee privilege_type is_grantable inherited_from"
_Rows = Callable[[duckdb.DuckDBPyConnection], Iterable[dict[str, Any]]]
_TABLES: dict[str, tuple[_Rows, pa.Schema]] = {
    "tables": (
        _tables,
        _schema(
            "table_catalog table_schema table_name table_type is_insertable_into commit_action table_owner comment created"
            " created_by last_altered last_altered_by data_source_format storage_sub_directory storage_path",
            created=INSTANT,
            last_altered=INSTANT,
        ),
    ),
    "columns": (
        _columns,
        _schema(
            "table_catalog table_schema table_name column_name ordinal_position column_default is_nullable full_data_type"
            " data_type comment",
            ordinal_position=pa.int32(),
        ),
    ),
    "views": (
        _views,
        _schema(
            "table_catalog table_schema table_name view_definition check_option is_updatable is_insertable_into sql_path"
            " is_materialized"
        ),
    ),
    "schemata": (schemata, _schema("catalog_name schema_name schema_owner comment")),
    "catalogs": (privileges.catalogs, _schema("catalog_name catalog_owner comment created created_by")),
    "catalog_privileges": (privileges.of_catalogs, _schema(f"catalog_name {_GRANT}")),
    "schema_privileges": (privileges.of_schemas, _schema(f"catalog_name schema_name {_GRANT}")),
    "table_privileges": (privileges.of_tables, _schema(f"table_catalog table_schema table_name {_GRANT}")),
}
