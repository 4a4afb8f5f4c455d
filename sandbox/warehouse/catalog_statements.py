"""
The statements that ask for or change metadata: SHOW, DESCRIBE DETAIL / HISTORY / EXTENDED, COMMENT ON, TBLPROPERTIES, GRANT.

README.md names the page of each. sqlglot does not parse most of them, so their text is matched here.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

import duckdb
import pyarrow as pa
import sqlglot
from sqlglot import exp

from sandbox.warehouse import information_schema, metadata, privileges
from sandbox.warehouse.engine import CATALOGS
from sandbox.warehouse.metadata import Metadata, Name, Relation
from sandbox.warehouse.results import Namespace, Result, StatementError, answer, nothing, quoted

Answer = Callable[[duckdb.DuckDBPyConnection, Namespace], Result]

_PART = r"(?:`[^`]+`|\w+)"
_NAME = rf"(?P<name>{_PART}(?:\s*\.\s*{_PART}){{0,2}})"
_LIKE = r"(?:\s+(?:LIKE\s+)?(?P<pattern>'[^']*'|\"[^\"]*\"))?"
_IN = rf"(?:\s+(?:IN|FROM)\s+(?P<place>{_PART}(?:\s*\.\s*{_PART})?))?"
_KINDS = r"(?:(?:TABLE|VIEW|SCHEMA|DATABASE|CATALOG)\s+)?"
_GRANTEE = r"(?P<grantee>`[^`]+`|\w+)"
_COMMENTS = re.compile(r"\A(?:\s+|--[^\n]*\n?|/\*.*?\*/)+", re.DOTALL)
_DELTA_PROPERTIES = {"delta.minReaderVersion": "1", "delta.minWriterVersion": "2"}
_INSTANT = pa.timestamp("us", "UTC")


def catalog_statement(text: str) -> tuple[Answer, bool] | None:
    """How to answer this statement, and whether that writes. None if it is another kind of statement."""
    bare = _COMMENTS.sub("", text).rstrip().rstrip(";").rstrip()
    for pattern, handler in _STATEMENTS:
        if found := pattern.fullmatch(bare):
            return partial(handler, found), handler in _WRITERS
    return None


def _relation(cursor: duckdb.DuckDBPyConnection, namespace: Namespace, found: re.Match[str]) -> Relation:
    return metadata.get(cursor, Name.of(_parts(found["name"]), namespace))


def _parts(name: str) -> list[str]:
    return [part.strip("`") for part in re.findall(_PART, name)]


def _table(cursor: duckdb.DuckDBPyConnection, namespace: Namespace, found: re.Match[str], statement: str) -> Relation:
    relation = _relation(cursor, namespace, found)
    if relation.is_view:
        shown = ".".join(f"`{part}`" for part in relation.name.parts)
        raise StatementError(
            f"[EXPECT_TABLE_NOT_VIEW.NO_ALTERNATIVE] '{statement}' expects a table but {shown} is a view. SQLSTATE: 42809"
        )
    return relation


def _show_create_table(found: re.Match[str], cursor: duckdb.DuckDBPyConnection, namespace: Namespace) -> Result:
    relation = _relation(cursor, namespace, found)
    of = relation.metadata
    columns = metadata.columns(cursor, relation.name)
    options = [f"COMMENT {_literal(of.comment)}"] if of.comment is not None else []
    shown = of.properties if relation.is_view else {**of.properties, **_DELTA_PROPERTIES}
    if shown:
        pairs = ",\n  ".join(f"{_literal(key)} = {_literal(value)}" for key, value in sorted(shown.items()))
        options.append(f"TBLPROPERTIES (\n  {pairs})")
    if of.clustering:
        options.append(f"CLUSTER BY ({', '.join(of.clustering)})")
    if relation.is_view:
        names = ",\n  ".join(column for column, _, _ in columns)
        lines = [f"CREATE VIEW {relation.name} (\n  {names})", *options, "WITH SCHEMA COMPENSATION", f"AS {of.view_text}"]
    else:
        described = ",\n  ".join(_column_definition(of, *column) for column in columns)
        lines = [f"CREATE TABLE {relation.name} (\n  {described})", "USING delta", *options]
    return answer(pa.schema([("createtab_stmt", pa.string())]), [{"createtab_stmt": "\n".join(lines) + "\n"}])


def _column_definition(of: Metadata, column: str, kind: str, nullable: bool) -> str:
    comment = of.column_comments.get(column)
    return f"{column} {kind}{'' if nullable else ' NOT NULL'}{'' if comment is None else f' COMMENT {_literal(comment)}'}"


def _show_properties(found: re.Match[str], cursor: duckdb.DuckDBPyConnection, namespace: Namespace) -> Result:
    relation = _relation(cursor, namespace, found)
    properties = dict(relation.metadata.properties)
    if not relation.is_view:
        properties |= _DELTA_PROPERTIES
    if found["key"]:
        key = found["key"].strip("'\" ")
        missing = f"Table {relation.name} does not have property: {key}"
        properties = {key: properties.get(key, missing)}
    rows = [{"key": key, "value": value} for key, value in sorted(properties.items())]
    return answer(pa.schema([("key", pa.string()), ("value", pa.string())]), rows)


def _show_relations(found: re.Match[str], cursor: duckdb.DuckDBPyConnection, namespace: Namespace) -> Result:
    catalog, schema = _place(cursor, namespace, found["place"])
    only_views = found["what"].upper() == "VIEWS"
    names = [each for each in metadata.relations(cursor, catalog, schema) if each.is_view or not only_views]
    chosen = [each for each in names if _matches(each.name.table, found["pattern"])]
    if only_views:
        columns = pa.schema(
            [("namespace", pa.string()), ("viewName", pa.string()), ("isTemporary", pa.bool_()), ("isMaterialized", pa.bool_())]
        )
        return answer(
            columns,
            [
                {"namespace": schema, "viewName": each.name.table, "isTemporary": False, "isMaterialized": False}
                for each in chosen
            ],
        )
    columns = pa.schema([("database", pa.string()), ("tableName", pa.string()), ("isTemporary", pa.bool_())])
    return answer(columns, [{"database": schema, "tableName": each.name.table, "isTemporary": False} for each in chosen])


def _show_schemas(found: re.Match[str], cursor: duckdb.DuckDBPyConnection, namespace: Namespace) -> Result:
    [catalog] = _parts(found["place"]) if found["place"] else [namespace.catalog]
    names = [row["schema_name"] for row in information_schema.schemata(cursor) if row["catalog_name"] == catalog.lower()]
    names = sorted([*names, information_schema.NAME])
    chosen = [name for name in names if _matches(name, found["pattern"])]
    return answer(pa.schema([("databaseName", pa.string())]), [{"databaseName": name} for name in chosen])


def _show_catalogs(found: re.Match[str], _: duckdb.DuckDBPyConnection, __: Namespace) -> Result:
    names = [name for name in sorted((*CATALOGS, "system")) if _matches(name, found["pattern"])]
    return answer(pa.schema([("catalog", pa.string())]), [{"catalog": name} for name in names])


def _place(cursor: duckdb.DuckDBPyConnection, namespace: Namespace, place: str | None) -> tuple[str, str]:
    """The catalog and the schema of a SHOW statement. :raises StatementError: there is no such schema."""
    parts = [part.lower() for part in _parts(place)] if place else [namespace.schema]
    catalog, schema = [namespace.catalog, *parts][-2:]
    if not any((row["catalog_name"], row["schema_name"]) == (catalog, schema) for row in information_schema.schemata(cursor)):
        raise StatementError(
            f"[SCHEMA_NOT_FOUND] The schema `{catalog}`.`{schema}` cannot be found. Verify the spelling and correctness of the "
            "schema and catalog. SQLSTATE: 42704"
        )
    return catalog, schema


def _matches(name: str, pattern: str | None) -> bool:
    """SHOW's patterns: `*` is any text, `|` separates patterns, and upper and lower case are alike."""
    if pattern is None:
        return True
    return any(fnmatchcase(name.lower(), one.strip().lower()) for one in pattern.strip("'\"").split("|"))


def _describe_extended(found: re.Match[str], cursor: duckdb.DuckDBPyConnection, namespace: Namespace) -> Result:
    relation = _relation(cursor, namespace, found)
    of = relation.metadata
    rows = [(column, kind.lower(), of.column_comments.get(column)) for column, kind, _ in metadata.columns(cursor, relation.name)]
    shown = of.properties if relation.is_view else {**of.properties, **_DELTA_PROPERTIES}
    details = {
        "Catalog": relation.name.catalog,
        "Database": relation.name.schema,
        "Table": relation.name.table,
        "Owner": privileges.owner(cursor, str(relation.name)),
        "Created Time": _java_time(of.created),
        "Last Access": "UNKNOWN",
        "Created By": "Spark 4.0.0",
        "Type": relation.kind,
        **({"Comment": of.comment} if of.comment is not None else {}),
        **({"View Text": of.view_text, "View Original Text": of.view_text} if relation.is_view else {"Provider": "delta"}),
        **({"Table Properties": f"[{','.join(f'{key}={value}' for key, value in sorted(shown.items()))}]"} if shown else {}),
    }
    if of.clustering:
        kinds = {column: kind.lower() for column, kind, _ in metadata.columns(cursor, relation.name)}
        rows += [("# Clustering Information", "", ""), ("# col_name", "data_type", "comment")]
        rows += [(column, kinds[column.lower()], None) for column in of.clustering]
    rows += [("", "", ""), ("# Detailed Table Information", "", ""), *((key, str(value), "") for key, value in details.items())]
    schema = pa.schema([("col_name", pa.string()), ("data_type", pa.string()), ("comment", pa.string())])
    return answer(schema, [dict(zip(schema.names, row, strict=True)) for row in rows])


def _describe_detail(found: re.Match[str], cursor: duckdb.DuckDBPyConnection, namespace: Namespace) -> Result:
    relation = _table(cursor, namespace, found, "DESCRIBE DETAIL")
    of = relation.metadata
    texts = pa.list_(pa.string())
    kinds: dict[str, pa.DataType] = {
        "format": pa.string(),
        "id": pa.string(),
        "name": pa.string(),
        "description": pa.string(),
        "location": pa.string(),
        "createdAt": _INSTANT,
        "lastModified": _INSTANT,
        "partitionColumns": texts,
        "clusteringColumns": texts,
        "numFiles": pa.int64(),
        "sizeInBytes": pa.int64(),
        "properties": pa.map_(pa.string(), pa.string()),
        "minReaderVersion": pa.int32(),
        "minWriterVersion": pa.int32(),
        "tableFeatures": texts,
    }
    row: dict[str, Any] = {
        "format": "delta",
        "name": str(relation.name),
        "description": of.comment,
        "createdAt": _moment(of.created),
        "lastModified": _moment(of.modified),
        "partitionColumns": [],
        "clusteringColumns": list(of.clustering),
        "properties": list(of.properties.items()),
        "minReaderVersion": 1,
        "minWriterVersion": 2,
        "tableFeatures": ["appendOnly", "invariants"],
    }
    return answer(pa.schema(list(kinds.items())), [row])


def _describe_history(found: re.Match[str], cursor: duckdb.DuckDBPyConnection, namespace: Namespace) -> Result:
    relation = _table(cursor, namespace, found, "DESCRIBE HISTORY")
    texts = pa.map_(pa.string(), pa.string())
    schema = pa.schema(
        [
            ("version", pa.int64()),
            ("timestamp", _INSTANT),
            ("userId", pa.string()),
            ("userName", pa.string()),
            ("operation", pa.string()),
            ("operationParameters", texts),
            ("operationMetrics", texts),
            ("engineInfo", pa.string()),
        ]
    )
    newest_first = list(reversed(relation.metadata.history))
    kept = newest_first[: int(found["limit"])] if found["limit"] else newest_first
    rows = [
        {**entry, "timestamp": _moment(entry["timestamp"]), "userName": privileges.OWNER, "engineInfo": "sandbox"}
        for entry in kept
    ]
    return answer(schema, rows)


def _comment_on(found: re.Match[str], cursor: duckdb.DuckDBPyConnection, namespace: Namespace) -> Result:
    relation = _relation(cursor, namespace, found)
    comment = None if found["text"].upper() == "NULL" else _text(found["text"])
    return _change(cursor, relation, "CHANGE COMMENT", comment=comment)


def _set_properties(found: re.Match[str], cursor: duckdb.DuckDBPyConnection, namespace: Namespace) -> Result:
    relation = _relation(cursor, namespace, found)
    if found["what"].upper() == "UNSET":
        gone = {_text(key.strip()) for key in found["pairs"].split(",")}
        kept = {key: value for key, value in relation.metadata.properties.items() if key not in gone}
        return _change(cursor, relation, "UNSET TBLPROPERTIES", properties=kept)
    parsed = sqlglot.parse_one(f"ALTER TABLE t SET TBLPROPERTIES ({found['pairs']})", read="databricks")
    added = {metadata.property_key(each): each.args["value"].name for each in parsed.find_all(exp.Property)}
    return _change(cursor, relation, "SET TBLPROPERTIES", properties={**relation.metadata.properties, **added})


def _alter_view(found: re.Match[str], cursor: duckdb.DuckDBPyConnection, namespace: Namespace) -> Result:
    """ALTER VIEW keeps the view's comment and properties."""
    relation = _relation(cursor, namespace, found)
    query = sqlglot.parse_one(found["query"], read="databricks").sql("duckdb")
    cursor.execute(f"CREATE OR REPLACE VIEW {'.'.join(map(quoted, relation.name.parts))} AS {query}")
    return _change(cursor, relation, "ALTER VIEW", view_text=found["query"].strip())


def _change(cursor: duckdb.DuckDBPyConnection, relation: Relation, operation: str, **values: Any) -> Result:
    moment = datetime.now(UTC).isoformat()
    changed = replace(relation.metadata, altered=moment, **values)
    metadata.store(cursor, relation, changed if relation.is_view else changed.with_version(operation, moment))
    return nothing()


def _text(literal: str) -> str:
    """The value of a text in SQL."""
    return sqlglot.parse_one(literal, read="databricks").name


def _literal(text: str | None) -> str:
    return "'" + (text or "").replace("\\", "\\\\").replace("'", "\\'") + "'"


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _java_time(text: str) -> str:
    return _moment(text).strftime("%a %b %d %H:%M:%S UTC %Y")


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text.replace(" ", r"\s+"), re.IGNORECASE | re.DOTALL)


_WRITERS = (_comment_on, _set_properties, _alter_view, privileges.grant, privileges.revoke, privileges.give_away)
_Handler = Callable[["re.Match[str]", duckdb.DuckDBPyConnection, Namespace], Result]
_STATEMENTS: tuple[tuple[re.Pattern[str], _Handler], ...] = (
    (_pattern(rf"SHOW CREATE TABLE {_NAME}"), _show_create_table),
    (_pattern(rf"SHOW TBLPROPERTIES {_NAME}(?:\s*\(\s*(?P<key>'[^']*'|[\w.]+)\s*\))?"), _show_properties),
    (_pattern(rf"SHOW (?P<what>TABLES|VIEWS){_IN}{_LIKE}"), _show_relations),
    (_pattern(rf"SHOW (?:SCHEMAS|DATABASES){_IN}{_LIKE}"), _show_schemas),
    (_pattern(rf"SHOW CATALOGS{_LIKE}"), _show_catalogs),
    (_pattern(rf"DESC(?:RIBE)? DETAIL {_NAME}"), _describe_detail),
    (_pattern(rf"DESC(?:RIBE)? HISTORY {_NAME}(?: LIMIT (?P<limit>\d+))?"), _describe_history),
    (_pattern(rf"DESC(?:RIBE)?(?: TABLE)? (?:EXTENDED|FORMATTED) {_NAME}"), _describe_extended),
    (_pattern(rf"COMMENT ON (?:TABLE|VIEW) {_NAME} IS (?P<text>NULL|'.*')"), _comment_on),
    (
        _pattern(rf"ALTER (?:TABLE|VIEW) {_NAME} (?P<what>SET|UNSET) TBLPROPERTIES\s*(?:IF EXISTS)?\s*\((?P<pairs>.*)\)"),
        _set_properties,
    ),
    (_pattern(rf"ALTER VIEW {_NAME} AS (?P<query>.*)"), _alter_view),
    (_pattern(rf"GRANT (?P<privileges>[\w ,]+) ON (?P<kind>{_KINDS}){_NAME} TO {_GRANTEE}"), privileges.grant),
    (_pattern(rf"REVOKE (?P<privileges>[\w ,]+) ON (?P<kind>{_KINDS}){_NAME} FROM {_GRANTEE}"), privileges.revoke),
    (_pattern(rf"ALTER (?P<kind>{_KINDS}){_NAME} (?:SET )?OWNER TO {_GRANTEE}"), privileges.give_away),
)
