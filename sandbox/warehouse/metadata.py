"""
Comments, properties, view texts, times and history of tables and views, as Unity Catalog and Delta keep them.

DuckDB stores them as its own comment on the table or view, in JSON. So they are as durable as the table and vanish with it.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import duckdb
import sqlglot
from sqlglot import exp
from sqlglot.tokens import TokenType

from sandbox.warehouse.engine import CATALOGS
from sandbox.warehouse.results import Namespace, StatementError, quoted

KEPT_VERSIONS = 30
HIDDEN_SCHEMAS = ("main", "information_schema", "pg_catalog")


@dataclass(frozen=True, slots=True)
class Name:
    catalog: str
    schema: str
    table: str

    @classmethod
    def of(cls, parts: list[str], namespace: Namespace) -> "Name":
        """A name of one to three parts, completed from the session. Unity Catalog stores names in lower case."""
        full = [*[namespace.catalog, namespace.schema][: 3 - len(parts)], *parts]
        return cls(*(part.lower() for part in full[-3:]))

    @property
    def parts(self) -> tuple[str, str, str]:
        return self.catalog, self.schema, self.table

    def __str__(self) -> str:
        return ".".join(self.parts)


@dataclass(frozen=True, slots=True)
class Metadata:
    """
    ``altered``: when the definition changed last. ``view_text``: the query of a view as its author wrote it.

    ``history``: the newest versions of a Delta table. ``column_comments``: by column. ``clustering``: the columns of CLUSTER BY.
    """

    created: str
    altered: str
    comment: str | None = None
    properties: Mapping[str, str] = field(default_factory=dict)
    column_comments: Mapping[str, str] = field(default_factory=dict)
    view_text: str | None = None
    history: tuple[Mapping[str, Any], ...] = ()
    clustering: tuple[str, ...] = ()

    @property
    def modified(self) -> str:
        """When the data changed last."""
        return str(self.history[-1]["timestamp"]) if self.history else self.altered

    def with_version(self, operation: str, moment: str) -> "Metadata":
        version = self.history[-1]["version"] + 1 if self.history else 0
        entry = {"version": version, "timestamp": moment, "operation": operation}
        return replace(self, history=(*self.history[1 - KEPT_VERSIONS :], entry))


@dataclass(frozen=True, slots=True)
class Relation:
    """A table or view that exists."""

    name: Name
    is_view: bool
    metadata: Metadata

    @property
    def kind(self) -> str:
        return "VIEW" if self.is_view else "MANAGED"


@dataclass(frozen=True, slots=True)
class Change:
    """What a statement will do to the metadata of a relation."""

    name: Name
    operation: str
    before: Relation | None
    definition: Metadata | None = None
    """For CREATE: the new comment, properties and view text."""


def relations(
    cursor: duckdb.DuckDBPyConnection, catalog: str | None = None, schema: str | None = None, table: str | None = None
) -> Iterator[Relation]:
    """
    The tables and views of a catalog, or of all, by name.

    :param table: only those of this name, in lower case.
    """
    rows = cursor.execute(
        "SELECT database_name, schema_name, table_name, FALSE, comment FROM duckdb_tables() WHERE NOT internal"
        " UNION ALL SELECT database_name, schema_name, view_name, TRUE, comment FROM duckdb_views() WHERE NOT internal"
        " ORDER BY ALL"
    ).fetchall()
    for database, of_schema, of_table, is_view, comment in rows:
        if database not in CATALOGS or of_schema in HIDDEN_SCHEMAS:
            continue
        if catalog in (None, database) and schema in (None, of_schema) and table in (None, of_table.lower()):
            yield Relation(Name(database, of_schema, of_table), is_view, _read(comment))


def find(cursor: duckdb.DuckDBPyConnection, name: Name) -> Relation | None:
    """The relation with this name. Names are compared without regard to case."""
    for relation in relations(cursor, name.catalog, table=name.table):
        if tuple(part.lower() for part in relation.name.parts) == name.parts:
            return relation
    return None


def get(cursor: duckdb.DuckDBPyConnection, name: Name) -> Relation:
    """:raises StatementError: there is no such table or view."""
    relation = find(cursor, name)
    if relation is None:
        parts = ".".join(f"`{part}`" for part in name.parts)
        raise StatementError(
            f"[TABLE_OR_VIEW_NOT_FOUND] The table or view {parts} cannot be found. Verify the spelling and correctness of the "
            "schema and catalog.\nIf you did not qualify the name with a schema, verify the current_schema() output, or qualify "
            "the name with the correct schema and catalog.\nTo tolerate the error on drop use DROP VIEW IF EXISTS or DROP TABLE "
            "IF EXISTS. SQLSTATE: 42P01"
        )
    return relation


def store(cursor: duckdb.DuckDBPyConnection, relation: Relation, metadata: Metadata) -> None:
    text = json.dumps(
        {
            "created": metadata.created,
            "altered": metadata.altered,
            "comment": metadata.comment,
            "properties": dict(metadata.properties),
            "column_comments": dict(metadata.column_comments),
            "view_text": metadata.view_text,
            "history": [dict(entry) for entry in metadata.history],
            "clustering": list(metadata.clustering),
        }
    ).replace("'", "''")
    kind = "VIEW" if relation.is_view else "TABLE"
    cursor.execute(f"COMMENT ON {kind} {'.'.join(map(quoted, relation.name.parts))} IS '{text}'")


def adopt(cursor: duckdb.DuckDBPyConnection) -> None:
    """Give metadata to the relations that have none, because they were not made by a statement."""
    for relation in relations(cursor):
        if relation.metadata.created == UNKNOWN:
            metadata = Metadata(_now(), _now())
            store(cursor, relation, metadata if relation.is_view else metadata.with_version("CREATE TABLE AS SELECT", _now()))


def wrote(cursor: duckdb.DuckDBPyConnection, table: str, operation: str) -> None:
    """Add a version to a table that the sandbox itself has changed."""
    relation = find(cursor, Name.of(table.split("."), Namespace()))
    if relation is not None:
        store(cursor, relation, relation.metadata.with_version(operation, _now()))


def set_age(cursor: duckdb.DuckDBPyConnection, table: str, changed_at: datetime) -> None:
    """
    Say that a table changed last at another time.

    :raises StatementError: there is no such table.
    """
    relation = get(cursor, Name.of(table.split("."), Namespace()))
    moment = changed_at.astimezone(UTC).isoformat()
    *former, last = relation.metadata.history
    store(cursor, relation, replace(relation.metadata, altered=moment, history=(*former, {**last, "timestamp": moment})))


def change_of(cursor: duckdb.DuckDBPyConnection, namespace: Namespace, tree: exp.Expression, text: str) -> Change | None:
    """What the statement, which has not run yet, will mean for its target's metadata. None: nothing."""
    target = tree.this.this if isinstance(tree.this, exp.Schema) else tree.this
    if isinstance(tree, exp.TruncateTable):
        target = tree.expressions[0]
    if not isinstance(target, exp.Table) or isinstance(tree, exp.Drop):
        return None
    name = Name.of([part.name for part in target.parts], namespace)
    before = find(cursor, name)
    if isinstance(tree, exp.Create):
        if tree.args.get("kind") not in ("TABLE", "VIEW") or (before and tree.args.get("exists")):
            return None
        return Change(name, _creation(tree), before, _definition(tree, text))
    operations = {
        exp.Insert: "WRITE",
        exp.Merge: "MERGE",
        exp.Update: "UPDATE",
        exp.Delete: "DELETE",
        exp.TruncateTable: "TRUNCATE",
    }
    return Change(name, operations.get(type(tree), "ADD COLUMNS"), before)


def record(cursor: duckdb.DuckDBPyConnection, change: Change | None) -> None:
    """Store what the statement meant, after it has run."""
    relation = find(cursor, change.name) if change else None
    if change is None or relation is None:
        return
    moment = _now()
    if change.definition is not None:
        # Delta keeps the history of a table that is replaced.
        old = change.before.metadata if change.before and change.before.is_view == relation.is_view else None
        metadata = replace(change.definition, history=old.history if old else ())
    else:
        metadata = relation.metadata
        if change.operation == "ADD COLUMNS":
            metadata = replace(metadata, altered=moment)
    store(cursor, relation, metadata if relation.is_view else metadata.with_version(change.operation, moment))


def columns(cursor: duckdb.DuckDBPyConnection, name: Name) -> list[tuple[str, str, bool]]:
    """Name, type and nullability of each column, in Databricks' words."""
    rows = cursor.execute(
        "SELECT column_name, data_type, is_nullable FROM duckdb_columns()"
        " WHERE database_name = ? AND schema_name = ? AND table_name = ? ORDER BY column_index",
        list(name.parts),
    ).fetchall()
    return [(column, databricks_type(kind), nullable) for column, kind, nullable in rows]


def databricks_type(kind: str) -> str:
    """A type of DuckDB as Databricks spells it."""
    return exp.DataType.build(kind, dialect="duckdb").sql("databricks").upper()


def query_of_view(text: str) -> str:
    """The query of a CREATE VIEW or ALTER VIEW statement as it was written: what follows the first AS outside of parentheses."""
    depth = 0
    for token in sqlglot.tokenize(text, read="databricks"):
        depth += {TokenType.L_PAREN: 1, TokenType.R_PAREN: -1}.get(token.token_type, 0)
        if token.token_type is TokenType.ALIAS and depth == 0:
            return text[token.end + 1 :].strip().rstrip(";").rstrip()
    return text


UNKNOWN = "1970-01-01T00:00:00+00:00"


def _read(comment: str | None) -> Metadata:
    try:
        stored = json.loads(comment or "")
        return Metadata(**{**stored, "history": tuple(stored["history"]), "clustering": tuple(stored.get("clustering", ()))})
    except (ValueError, TypeError, KeyError):
        return Metadata(UNKNOWN, UNKNOWN)


def _creation(tree: exp.Create) -> str:
    words = [
        "CREATE",
        *(["OR REPLACE"] if tree.args.get("replace") else []),
        "TABLE",
        *(["AS SELECT"] if tree.expression else []),
    ]
    return " ".join(words)


def _definition(tree: exp.Create, text: str) -> Metadata:
    comment, properties, clustering = None, {}, ()
    for each in (tree.args.get("properties") or exp.Properties()).expressions:
        if isinstance(each, exp.SchemaCommentProperty):
            comment = each.this.name
        elif isinstance(each, exp.ClusterProperty):
            clustering = tuple(column.name for column in each.expressions)
        elif type(each) is exp.Property:
            properties[property_key(each)] = each.args["value"].name or each.args["value"].sql().lower()
    comments = {
        column.name: constraint.kind.this.name
        for column in (tree.this.expressions if isinstance(tree.this, exp.Schema) else ())
        for constraint in column.args.get("constraints") or ()
        if isinstance(constraint.kind, exp.CommentColumnConstraint)
    }
    view_text = query_of_view(text) if tree.args["kind"] == "VIEW" else None
    return Metadata(_now(), _now(), comment, properties, comments, view_text, clustering=clustering)


def property_key(node: exp.Expression) -> str:
    """The key of a property, which may be quoted or written with dots."""
    key = node.this
    return key.name if isinstance(key, exp.Literal) else key.sql("databricks").replace("`", "")


def _now() -> str:
    return datetime.now(UTC).isoformat()
