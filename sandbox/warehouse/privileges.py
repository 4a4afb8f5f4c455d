"""
GRANT, REVOKE and OWNER TO, and what the information schema shows of them, as Unity Catalog answers.

They are only kept and shown. No statement is refused for lack of a privilege; a fault of `warehouse` plays that. Whoever uses the
sandbox is `OWNER`, who owns everything until a statement gives it to somebody else, and is in the group `EVERYBODY` alone.
"""

import re
from collections.abc import Iterator
from typing import Any

import duckdb

from sandbox.warehouse.engine import CATALOGS
from sandbox.warehouse.metadata import HIDDEN_SCHEMAS, Relation, relations
from sandbox.warehouse.results import Namespace, Result, nothing

OWNER = "sandbox@example.com"
EVERYBODY = "account users"
INHERITED = {"SELECT", "MODIFY", "ALL PRIVILEGES"}
"""What a table has from a privilege on its schema or its catalog."""
_KEPT = "crm.main.privilege"
"""In a schema that clients do not see. `OWNERSHIP` is kept as a privilege."""


def grant(found: re.Match[str], cursor: duckdb.DuckDBPyConnection, namespace: Namespace) -> Result:
    name, grantee = _name(found, namespace), found["grantee"].strip("`")
    _prepare(cursor)
    for privilege in _privileges(found):
        cursor.execute(f"DELETE FROM {_KEPT} WHERE name = ? AND grantee = ? AND privilege = ?", [name, grantee, privilege])
        cursor.execute(f"INSERT INTO {_KEPT} VALUES (?, ?, ?)", [name, grantee, privilege])
    return nothing()


def revoke(found: re.Match[str], cursor: duckdb.DuckDBPyConnection, namespace: Namespace) -> Result:
    _prepare(cursor)
    for privilege in _privileges(found):
        cursor.execute(
            f"DELETE FROM {_KEPT} WHERE name = ? AND grantee = ? AND privilege = ?",
            [_name(found, namespace), found["grantee"].strip("`"), privilege],
        )
    return nothing()


def give_away(found: re.Match[str], cursor: duckdb.DuckDBPyConnection, namespace: Namespace) -> Result:
    """ALTER ... OWNER TO."""
    name = _name(found, namespace)
    _prepare(cursor)
    cursor.execute(f"DELETE FROM {_KEPT} WHERE name = ? AND privilege = 'OWNERSHIP'", [name])
    cursor.execute(f"INSERT INTO {_KEPT} VALUES (?, ?, 'OWNERSHIP')", [name, found["grantee"].strip("`")])
    return nothing()


def owner(cursor: duckdb.DuckDBPyConnection, name: str) -> str:
    return next((grantee for of, grantee, privilege in _kept(cursor) if of == name and privilege == "OWNERSHIP"), OWNER)


def catalogs(cursor: duckdb.DuckDBPyConnection) -> Iterator[dict[str, Any]]:
    for catalog in CATALOGS:
        yield {"catalog_name": catalog, "catalog_owner": owner(cursor, catalog)}


def of_catalogs(cursor: duckdb.DuckDBPyConnection) -> Iterator[dict[str, Any]]:
    for name, grantee, privilege in _grants(cursor):
        if name in CATALOGS:
            yield _row(grantee, privilege, None) | {"catalog_name": name}


def of_schemas(cursor: duckdb.DuckDBPyConnection) -> Iterator[dict[str, Any]]:
    rows = cursor.execute("SELECT database_name, schema_name FROM duckdb_schemas() ORDER BY ALL").fetchall()
    for catalog, schema in rows:
        if catalog not in CATALOGS or schema in HIDDEN_SCHEMAS:
            continue
        for name, grantee, privilege in _grants(cursor):
            if name in (catalog, f"{catalog}.{schema}"):
                source = "CATALOG" if name == catalog else "NONE"
                yield _row(grantee, privilege, source) | {"catalog_name": catalog, "schema_name": schema}


def of_tables(cursor: duckdb.DuckDBPyConnection) -> Iterator[dict[str, Any]]:
    granted = list(_grants(cursor))
    for each in relations(cursor) if granted else ():
        for name, grantee, privilege in granted:
            if (source := _source(each, name, privilege)) is not None:
                table = dict(zip(("table_catalog", "table_schema", "table_name"), each.name.parts, strict=True))
                yield _row(grantee, privilege, source) | table


def _source(relation: Relation, name: str, privilege: str) -> str | None:
    """Where a relation has a privilege from, if it has it from a grant on this name."""
    catalog, schema, _ = relation.name.parts
    if name == str(relation.name):
        return "NONE"
    if privilege not in INHERITED:
        return None
    return {f"{catalog}.{schema}": "SCHEMA", catalog: "CATALOG"}.get(name)


def _row(grantee: str, privilege: str, inherited_from: str | None) -> dict[str, Any]:
    return {
        "grantor": OWNER,
        "grantee": grantee,
        "privilege_type": privilege,
        "is_grantable": "NO",
        "inherited_from": inherited_from,
    }


def _name(found: re.Match[str], namespace: Namespace) -> str:
    parts = [part.strip("` \n") for part in found["name"].lower().split(".")]
    known = {"CATALOG": 1, "SCHEMA": 2, "DATABASE": 2}.get(found["kind"].strip().upper(), 3)
    return ".".join([*[namespace.catalog, namespace.schema][: known - len(parts)], *parts])


def _privileges(found: re.Match[str]) -> list[str]:
    return [" ".join(each.upper().split()) for each in found["privileges"].split(",")]


def _grants(cursor: duckdb.DuckDBPyConnection) -> Iterator[tuple[str, str, str]]:
    return (row for row in _kept(cursor) if row[2] != "OWNERSHIP")


def _kept(cursor: duckdb.DuckDBPyConnection) -> list[tuple[str, str, str]]:
    there = cursor.execute(
        "SELECT 1 FROM duckdb_tables() WHERE database_name = 'crm' AND schema_name = 'main' AND table_name = 'privilege'"
    ).fetchall()
    return cursor.execute(f"SELECT name, grantee, privilege FROM {_KEPT} ORDER BY ALL").fetchall() if there else []


def _prepare(cursor: duckdb.DuckDBPyConnection) -> None:
    cursor.execute(f"CREATE TABLE IF NOT EXISTS {_KEPT} (name VARCHAR, grantee VARCHAR, privilege VARCHAR)")
