"""The SQL that feeds the regular sync in Census, held against the one in ``include/sql``: as parsed SQL, not as text."""

import difflib
from collections.abc import Mapping
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.normalize_identifiers import normalize_identifiers

from feature_sync.census.models import Sync
from feature_sync.fields import FieldTable
from feature_sync.guards import mapping_problems
from feature_sync.settings import SourceQuery

DIALECT = "databricks"
OPERATIONS = {SourceQuery.PROPERTY_SYNC: ("upsert", "update"), SourceQuery.FEATURE_SYNC: ("update",)}
"""What a sync may do in Salesforce: the feature sync has no fields to create a record from."""


def query_difference(live: str, wanted: str) -> str | None:
    """
    What is different in the SQL that Census runs.

    Layout, comments and the case of keywords and names do not count. A query that does not parse is different.

    :param wanted: SQL in the dialect of Databricks.
    :returns: a unified diff from the live to the wanted query, both laid out alike; nothing when they are the same.
    """
    there, here = _canonical(live), _canonical(wanted)
    if there == here:
        return None
    return "\n".join(difflib.unified_diff(there, here, "in Census", "in this repository", n=2, lineterm=""))


def _canonical(query: str) -> list[str]:
    try:
        statements = sqlglot.parse(query, dialect=DIALECT)
    except SqlglotError:
        return query.splitlines()
    trees = [normalize_identifiers(statement, dialect=DIALECT) for statement in statements if statement is not None]
    return ";\n".join(tree.sql(dialect=DIALECT, pretty=True, comments=False) for tree in trees).splitlines()


def sync_problems(sync: Sync, dataset_id: int, query: SourceQuery, wanted: str, salesforce_object: str) -> list[str]:
    """
    What is wrong with the regular sync that a person has to correct in Census: one sentence each.

    :param wanted: the SQL that its dataset must have.
    """
    where = f"Census sync {sync.id}"
    problems = []
    if sync.source.dataset_id != dataset_id:
        found = sync.source.table or f"dataset {sync.source.dataset_id}"
        problems.append(
            f"{where}: it reads {found}, not dataset {dataset_id}. Look at CENSUS_DATASET_ID and CENSUS_PROPERTY_SYNC_ID."
        )
    if sync.destination_object.lower() != salesforce_object.lower():
        problems.append(f"{where}: it writes to {sync.destination_object}; it must write to {salesforce_object}.")
    if sync.operation not in OPERATIONS[query]:
        allowed = "' or '".join(OPERATIONS[query])
        problems.append(f"{where}: its behavior is {sync.operation!r}; with SOURCE_QUERY={query} it must be '{allowed}'.")
    columns = {select.alias_or_name.lower() for select in sqlglot.parse_one(wanted, dialect=DIALECT, into=exp.Select).selects}
    problems += [
        f"{where}: it maps {mapping.to} from {mapping.column}, a column that include/sql/select_{query}.sql does not have. "
        "Add it there, or remove the mapping."
        for mapping in sync.mappings
        if mapping.column and mapping.column.lower() not in columns
    ]
    return problems


def regular_mapping_problems(sync: Sync, fields: FieldTable) -> list[str]:
    """What is wrong with its mappings of the feature fields; it may map others too."""
    return [f"Census sync {sync.id}: {problem}" for problem in mapping_problems(sync, fields, others_allowed=True)]


def corrected_mappings(sync: Sync, fields: FieldTable) -> list[Mapping[str, Any]]:
    """
    All mappings of a sync with those of the field table corrected, as Census takes them.

    Mappings of other fields stay as they are, but for being the sync key; of one of ours that is mapped twice, the first stays.
    """
    wanted = {field.salesforce_name.lower(): field for field in fields}
    mappings: list[Mapping[str, Any]] = []
    for mapping in sync.mappings:
        name = mapping.to.lower()
        if (field := wanted.pop(name, None)) is not None:
            mappings.append(mapping.attributes | _of_column(field.column, is_key=field == fields.upsert_key))
        elif name not in {each.salesforce_name.lower() for each in fields}:
            mappings.append({**mapping.attributes, "is_primary_identifier": False})
    missing = wanted.values()
    return mappings + [
        {"to": field.salesforce_name} | _of_column(field.column, is_key=field == fields.upsert_key) for field in missing
    ]


def _of_column(column: str, *, is_key: bool) -> dict[str, Any]:
    return {"from": {"type": "column", "data": column}, "is_primary_identifier": is_key, "sync_null_values": True}
