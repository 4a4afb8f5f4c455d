"""The SQL that feeds the regular sync in Census, and that of ``include/sql`` which should: compared as parsed SQL."""

import difflib
from collections.abc import Sequence

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.normalize_identifiers import normalize_identifiers

from feature_sync.config.settings import Settings
from feature_sync.deployment.parsed_query import DIALECT, ReadingQuery, inner_query, parse_query
from feature_sync.storage.warehouse import quoted, render_statement

OTHERS = "feature_sync_others"
"""What the deployed query calls the query that Census had before."""


def wanted_query(settings: Settings) -> str:
    """The query of ``include/sql`` that the dataset must have, with these table names and fields."""
    return render_statement(settings.source_query.statement, settings)


def query_before_ours(live: str) -> ReadingQuery:
    """
    The query of others in a dataset: what is in it under `OTHERS`, or all of it if we have never deployed there.

    So a second deployment finds the same query, and never puts one around its own.

    :raises UnusableQueryError: it is not one query that only reads.
    """
    query = parse_query(live)
    inner = inner_query(query, OTHERS)
    return parse_query(inner) if inner is not None else query


def wanted_query_beside(settings: Settings, before: ReadingQuery, columns: Sequence[str], key: str) -> str:
    """
    The property sync's query with all columns that another query has beside ours, so that mappings of them stay as they are.

    :param before: the other query, see `query_before_ours`. :param columns: what it yields.
    :param key: the one of them that names the property.
    """
    ours = set(settings.fields.columns)
    others = [f"{OTHERS}.{quoted(name)}" for name in columns if name.lower() not in ours]
    names = {"others": before.text, "columns": ",\n    ".join(others), "key": quoted(key)}
    return render_statement("deployment/select_property_sync_with_others", settings, names)


def query_difference(live: str, wanted: str) -> str | None:
    """
    Compare the SQL that Census runs with ours.

    Layout, comments and the case of keywords and names do not count. A query that cannot be parsed is different.

    :param wanted: SQL in the dialect of Databricks.
    :returns: a unified diff from the live to the wanted query, both formatted alike, or None if they are equal.
    """
    theirs, ours = _canonical(live), _canonical(wanted)
    if theirs == ours:
        return None
    return "\n".join(difflib.unified_diff(theirs, ours, "in Census", "in this repository", n=2, lineterm=""))


def selected_columns(query: str) -> set[str]:
    """The names of a query's result columns, in lower case."""
    return {select.alias_or_name.lower() for select in sqlglot.parse_one(query, dialect=DIALECT, into=exp.Select).selects}


def _canonical(query: str) -> list[str]:
    try:
        statements = sqlglot.parse(query, dialect=DIALECT)
    except SqlglotError:
        return query.splitlines()
    trees = [normalize_identifiers(statement, dialect=DIALECT) for statement in statements if statement is not None]
    return ";\n".join(tree.sql(dialect=DIALECT, pretty=True, comments=False) for tree in trees).splitlines()
