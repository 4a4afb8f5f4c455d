"""The SQL that feeds the regular sync in Census, compared with the SQL in ``include/sql``: as parsed SQL, not as text."""

import difflib

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.normalize_identifiers import normalize_identifiers

from feature_sync.config.settings import Settings
from feature_sync.storage.warehouse import render_statement

DIALECT = "databricks"


def wanted_query(settings: Settings) -> str:
    """The query of ``include/sql`` that the dataset must have, with these table names and fields."""
    return render_statement(settings.source_query.statement, settings)


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
