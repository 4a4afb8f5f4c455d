"""Whether the SQL of a sync's source is a plain copy of our batch table: parsed SQL in, the reason why not out."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from feature_sync.census.models import SyncSource

DIALECT = "databricks"
PARTS = {
    "with_": "a WITH",
    "distinct": "a DISTINCT",
    "where": "a WHERE",
    "joins": "a join",
    "laterals": "a LATERAL VIEW",
    "group": "a GROUP BY",
    "having": "a HAVING",
    "qualify": "a QUALIFY",
    "order": "an ORDER BY",
    "sort": "a SORT BY",
    "limit": "a LIMIT",
    "offset": "an OFFSET",
    "sample": "a TABLESAMPLE",
    "pivots": "a PIVOT",
    "version": "a version in the past",
    "hint": "a hint",
}
"""What a SELECT or its table may have beside columns and a name, in words. Of any other part, sqlglot's own name is said."""


class _NotOneSelectError(ValueError):
    """A query is anything but one SELECT. Its text is the predicate of a sentence about the query."""


def source_problem(source: SyncSource, batch_table: str, columns: Iterable[str]) -> str | None:
    """
    Say why a sync does not read exactly our batch table.

    Census shows a table as a dataset with a query of its own, so a query that selects the whole table counts as the table.

    :param batch_table: as catalog.schema.table.
    :param columns: the columns that the sync has to find in its source, in lower case.
    :returns: what it reads instead, as a part of a sentence, or None if it reads our table.
    """
    if source.query is None:
        if (source.table or "").lower() == batch_table.lower():
            return None
        kind = source.type or "source"
        return f"it reads {source.table or f'a {kind} that is not a table and does not show its query'}"
    reason = query_problem(source.query, batch_table, columns)
    if reason is None:
        return None
    dataset = f"dataset {source.dataset_id}" if source.dataset_id else "a dataset"
    return f"it reads {dataset}, whose query {reason}"


def query_problem(query: str, batch_table: str, columns: Iterable[str]) -> str | None:
    """
    Say why a query is more or less than all rows of a table with these columns.

    Only what is known to be harmless passes: the names of columns, an alias, quotes, comments, a semicolon at the end.

    :returns: the predicate of a sentence about the query, or None if it is the plain table.
    """
    try:
        select = _only_select(query)
    except _NotOneSelectError as refused:
        return str(refused)
    source = select.args.get("from_")
    table = source.this if isinstance(source, exp.From) else None
    if not isinstance(table, exp.Table):
        return "has a sub-query" if isinstance(table, exp.Subquery) else "reads no table"
    surplus = _surplus(select, {"expressions", "from_"})
    reasons = [_table_problem(table, batch_table), surplus and f"has {surplus}"]
    return " and ".join(filter(None, reasons)) or _columns_problem(select.expressions, table, columns)


def _only_select(query: str) -> exp.Select:
    """:raises _NotOneSelectError: there is none, or there is something else beside it."""
    try:
        statements = [one for one in sqlglot.parse(query, dialect=DIALECT) if one is not None and type(one) is not exp.Semicolon]
    except (SqlglotError, RecursionError) as error:
        raise _NotOneSelectError("cannot be parsed as SQL of Databricks") from error
    if len(statements) != 1:
        raise _NotOneSelectError(f"has {len(statements)} statements" if statements else "is empty")
    [select] = statements
    if not isinstance(select, exp.Select):
        raise _NotOneSelectError("is not a single SELECT")
    return select


def _table_problem(table: exp.Table, batch_table: str) -> str | None:
    if _name(table) != tuple(batch_table.lower().split(".")):
        plain = exp.Table(this=table.this, db=table.args.get("db"), catalog=table.args.get("catalog"))
        return f"reads {plain.sql(DIALECT, comments=False)}"
    if surplus := _surplus(table, {"this", "db", "catalog", "alias"}):
        return f"has {surplus}"
    alias = table.args.get("alias")
    if alias is not None and (_surplus(alias, {"this"}) or not isinstance(alias.this, exp.Identifier)):
        return "renames columns, or reads another version of the table, by its alias"
    return None


def _columns_problem(selected: Sequence[exp.Expression], table: exp.Table, wanted: Iterable[str]) -> str | None:
    if len(selected) == 1 and _is_star(selected[0], table):
        return None
    names = []
    for expression in selected:
        name = _column_name(expression, table)
        if name is None:
            return f"selects {expression.sql(DIALECT, comments=False)!r}, which is not the plain name of a column"
        names.append(name)
    if missing := [column for column in wanted if column not in names]:
        return f"leaves out {', '.join(missing)}"
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        return f"selects {', '.join(twice)} more than once"
    return None


def _column_name(expression: exp.Expression, table: exp.Table) -> str | None:
    """The column that an expression selects under its own name, in lower case, or None if it is anything else."""
    column = expression.this if isinstance(expression, exp.Alias) else expression
    if not isinstance(column, exp.Column) or not isinstance(column.this, exp.Identifier) or not _is_of(column, table):
        return None
    name = column.name.lower()
    return name if expression.alias_or_name.lower() == name else None


def _is_star(expression: exp.Expression, table: exp.Table) -> bool:
    """Whether it is ``*`` or ``table.*``, without EXCEPT and the like."""
    star = expression.this if isinstance(expression, exp.Column) else expression
    qualified = not isinstance(expression, exp.Column) or _is_of(expression, table)
    return isinstance(star, exp.Star) and qualified and not _surplus(star, set())


def _is_of(column: exp.Column, table: exp.Table) -> bool:
    """Whether a column's qualifier is the table. Any other qualifier is a struct, and the column one of its fields."""
    qualifier = tuple(part for part in (column.catalog.lower(), column.db.lower(), column.table.lower()) if part)
    name = (table.alias.lower(),) if table.alias else _name(table)
    return not qualifier or name[-len(qualifier) :] == qualifier


def _name(table: exp.Table) -> tuple[str, ...]:
    """Catalog, schema and table, in lower case, as far as they are named. Names of Unity Catalog have no upper case."""
    if not isinstance(table.this, exp.Identifier):
        return ()
    return tuple(part for part in (table.catalog.lower(), table.db.lower(), table.name.lower()) if part)


def _surplus(expression: exp.Expression, allowed: set[str]) -> str:
    """The parts that an expression has beside the allowed ones, in words. Empty if there are none."""
    parts: dict[str, Any] = expression.args
    found = [PARTS.get(name, name.strip("_").upper()) for name, part in parts.items() if part and name not in allowed]
    return " and ".join(found)
