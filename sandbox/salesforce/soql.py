"""SOQL: parsed by sqlglot, checked against the object's fields, and translated to SQL for SQLite."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from sandbox.salesforce.schema import OBJECT, FieldType, ObjectSchema, OrgField
from sandbox.state import iso

AGGREGATES = (exp.Count, exp.Min, exp.Max, exp.Sum, exp.Avg)
ALLOWED = (
    *AGGREGATES,
    exp.Select, exp.From, exp.Table, exp.Identifier, exp.Column, exp.Alias, exp.TableAlias, exp.Where, exp.And, exp.Or, exp.Not,
    exp.Paren, exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.In, exp.Like, exp.Is, exp.Null, exp.Boolean, exp.Literal,
    exp.Neg, exp.Order, exp.Ordered, exp.Limit, exp.Offset, exp.Group, exp.Having, exp.Distinct,
)  # fmt: skip
"""SOQL does not have the rest of SQL, or the sandbox does not support it."""

_MARK = "\x02"
_PIECES = re.compile(
    r"(?P<text>'(?:[^'\\]|\\.)*')"
    r"|(?P<datetime>\b\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:Z|[+-]\d{2}:?\d{2}))"
    r"|(?P<date>\b\d{4}-\d{2}-\d{2}\b)"
)
_DISTINCT = re.compile(r"\bCOUNT_DISTINCT\s*\(", re.IGNORECASE)


class SoqlError(ValueError):
    """Salesforce refuses the query with this code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Query:
    """
    A query for SQLite.

    ``fields``: the fields of a record, in order. ``columns``: the same for an aggregate. ``count``: it was ``SELECT COUNT()``.
    """

    sql: str
    fields: tuple[OrgField, ...] = ()
    columns: tuple[str, ...] = ()
    count: bool = False


def parse(soql: str, schema: ObjectSchema, *, include_deleted: bool) -> Query:
    """
    Translate a query of ``Product_Property__c`` (Salesforce: SOQL and SOSL reference).

    :raises SoqlError: the query is not SOQL, names an unknown object or field, or compares a date with a quoted text.
    """
    try:
        # Of sqlglot's dialects, MySQL has the strings of SOQL, with backslashes.
        tree = sqlglot.parse_one(_quote_dates(_DISTINCT.sub("COUNT(DISTINCT ", soql)), read="mysql")
    except SqlglotError as error:
        raise SoqlError("MALFORMED_QUERY", str(error).splitlines()[0]) from error
    if not isinstance(tree, exp.Select) or (odd := next((node for node in tree.walk() if not isinstance(node, ALLOWED)), None)):
        what = tree.key if not isinstance(tree, exp.Select) else odd.sql() if odd else ""
        raise SoqlError("MALFORMED_QUERY", f"unexpected token: {what}")
    _check_object(tree)
    aliases = {node.alias.lower() for node in tree.expressions if isinstance(node, exp.Alias)}
    for column in list(tree.find_all(exp.Column)):
        if column.name.lower() not in aliases:
            column.replace(exp.column(exp.to_identifier(_field(column, schema).name, quoted=False)))
    _compare_with_null(tree)
    _read_dates(tree, schema)
    if not include_deleted:
        tree = tree.where("NOT IsDeleted", dialect="sqlite")
    tree.set("from_", exp.From(this=exp.to_table("org_record")))
    if _is_count(tree):
        return Query(tree.sql(dialect="sqlite"), count=True)
    if tree.args.get("group") or any(node.find(*AGGREGATES) for node in tree.expressions):
        columns = _name_aggregates(tree)
        return Query(tree.sql(dialect="sqlite"), columns=columns)
    fields = tuple(_field(node, schema) for node in tree.expressions if isinstance(node, exp.Column))
    if len(fields) != len(tree.expressions):
        raise SoqlError("MALFORMED_QUERY", "only fields and aggregates can be selected")
    tree.set("expressions", [exp.Star()])
    return Query(tree.sql(dialect="sqlite"), fields=fields)


def _quote_dates(soql: str) -> str:
    """Turn dates, which SOQL writes without quotes, into marked strings. Strings stay as they are."""

    def quote(match: re.Match[str]) -> str:
        return match.group() if match.group("text") else f"'{_MARK}{match.group()}'"

    return _PIECES.sub(quote, soql)


def _check_object(tree: exp.Select) -> None:
    tables = list(tree.find_all(exp.Table))
    if len(tables) != 1 or tables[0].name.lower() != OBJECT.lower() or tables[0].db:
        raise SoqlError("INVALID_TYPE", f"sObject type '{tables[0].sql() if tables else ''}' is not supported.")
    if tree.args.get("distinct"):
        raise SoqlError("MALFORMED_QUERY", "unexpected token: DISTINCT")


def _field(column: exp.Column, schema: ObjectSchema) -> OrgField:
    field = schema.get(column.name)
    if field is None:
        raise SoqlError("INVALID_FIELD", f"No such column '{column.name}' on entity '{OBJECT}'.")
    return field


def _compare_with_null(tree: exp.Select) -> None:
    for node in list(tree.find_all(exp.EQ, exp.NEQ)):
        if isinstance(node.expression, exp.Null):
            is_null = exp.Is(this=node.this.copy(), expression=exp.Null())
            node.replace(exp.Not(this=is_null) if isinstance(node, exp.NEQ) else is_null)


def _read_dates(tree: exp.Select, schema: ObjectSchema) -> None:
    """Convert marked dates to their stored form, and refuse dates that the query quotes."""
    for literal in list(tree.find_all(exp.Literal)):
        value = literal.this
        parent = literal.parent
        compared = parent.this if isinstance(parent, exp.Binary | exp.In) else None
        field = schema.get(compared.name) if isinstance(compared, exp.Column) else None
        timed = field is not None and field.type in (FieldType.DATE, FieldType.DATETIME)
        if literal.is_string and value.startswith(_MARK):
            if field is None or not timed or ("T" in value) != (field.type is FieldType.DATETIME):
                raise SoqlError("INVALID_FIELD", f"filter criterion {value[1:]} does not have the type of its field")
            literal.replace(exp.Literal.string(_stored(value[1:])))
        elif field is not None and timed:
            raise SoqlError(
                "INVALID_FIELD",
                f"value of filter criterion for field '{field.name}' must be of type {field.type} and should not be enclosed"
                " in quotes",
            )


def _stored(value: str) -> str:
    if "T" not in value:
        return value
    return iso(datetime.fromisoformat(value).astimezone(UTC))


def _is_count(tree: exp.Select) -> bool:
    return len(tree.expressions) == 1 and isinstance(tree.expressions[0], exp.Count) and tree.expressions[0].this is None


def _name_aggregates(tree: exp.Select) -> tuple[str, ...]:
    """Salesforce numbers the aggregates that have no alias: ``expr0``, ``expr1``."""
    named: list[exp.Expr] = []
    number = 0
    for node in tree.expressions:
        if isinstance(node, exp.Alias | exp.Column):
            named.append(node)
        else:
            named.append(exp.alias_(node.copy(), f"expr{number}"))
            number += 1
    tree.set("expressions", named)
    return tuple(node.alias_or_name for node in named)


def aggregate_value(columns: Mapping[str, object], name: str, schema: ObjectSchema) -> object:
    """A value of an aggregate. Checkboxes are stored as numbers and shown as booleans."""
    field = schema.get(name)
    value = columns[name]
    return bool(value) if field is not None and field.type is FieldType.BOOLEAN and value is not None else value
