"""SOQL: parsed by sqlglot, checked against the fields of the objects, and translated to SQL for SQLite."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from sandbox.salesforce.objects import RECORDS_TABLE, Objects, SObject
from sandbox.salesforce.schema import FieldType, OrgField
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
class Reached:
    """An object of a query: the one after FROM, or one that a ``relationship`` of its ``parent`` leads to."""

    object: SObject
    alias: str
    parent: "Reached | None" = None
    reference: OrgField | None = None

    @property
    def relationship(self) -> str:
        return (self.reference and self.reference.relationship) or ""

    @property
    def id_column(self) -> str:
        """The column of the SQL that holds the id of its record."""
        return f"{self.alias}_id"

    def chain(self) -> Iterator["Reached"]:
        """The object, and those on the way to it."""
        yield self
        if self.parent:
            yield from self.parent.chain()


@dataclass(frozen=True, slots=True)
class Selected:
    """A field of the answer: the object it belongs to, and the column of the SQL that holds its value."""

    of: Reached
    field: OrgField
    column: str


@dataclass(frozen=True, slots=True)
class Query:
    """
    A query for SQLite.

    ``fields``: the fields of a record, in order. ``columns``: the same for an aggregate, by their names in the answer.
    ``count``: it was ``SELECT COUNT()``.
    """

    sql: str
    values: tuple[str, ...]
    first: Reached
    fields: tuple[Selected, ...] = ()
    columns: Mapping[str, OrgField | None] = field(default_factory=dict)
    count: bool = False


def parse(soql: str, objects: Objects, *, include_deleted: bool) -> Query:
    """
    Translate a query (Salesforce: SOQL and SOSL reference).

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
    scope = _Scope(tree, objects)
    scope.resolve(tree)
    _compare_with_null(tree)
    _read_dates(tree, scope)
    if not include_deleted and scope.first.object.schema.get("IsDeleted"):
        tree = tree.where(f"NOT {scope.first.alias}.IsDeleted", dialect="sqlite")
    scope.add_tables(tree)
    if _is_count(tree):
        return scope.query(tree, count=True)
    if tree.args.get("group") or any(node.find(*AGGREGATES) for node in tree.expressions):
        return scope.query(tree, columns=_name_aggregates(tree, scope))
    return scope.query(tree, fields=_select_fields(tree, scope))


class _Scope:
    """The objects that a query reaches, each under an alias of its own."""

    def __init__(self, tree: exp.Select, objects: Objects) -> None:
        tables = list(tree.find_all(exp.Table))
        found = objects.get(tables[0].name) if len(tables) == 1 and not tables[0].db else None
        if found is None:
            raise SoqlError(
                "INVALID_TYPE",
                f"sObject type '{tables[0].name if tables else ''}' is not supported. If you are attempting to use a custom"
                " object, be sure to append the '__c' after the entity name. Please reference your WSDL or the describe call"
                " for the appropriate names.",
            )
        if tree.args.get("distinct"):
            raise SoqlError("MALFORMED_QUERY", "unexpected token: DISTINCT")
        self._objects = objects
        self._own_names = {found.name.lower(), tables[0].alias.lower()} - {""}
        self.first = Reached(found, "r0")
        self._reached = {self.first.alias: self.first}

    def resolve(self, tree: exp.Select) -> None:
        """Give each column the alias of its object, and the name that the object has for it."""
        aliases = {node.alias.lower() for node in tree.expressions if isinstance(node, exp.Alias)}
        for column in list(tree.find_all(exp.Column)):
            if column.table or column.name.lower() not in aliases:
                of, found = self._find([part.name for part in column.parts])
                column.replace(exp.column(found.name, table=of.alias))

    def at(self, column: exp.Column) -> tuple[Reached, OrgField] | None:
        """The object and the field of a column that `resolve` has seen."""
        of = self._reached.get(column.table)
        return (of, of.object.schema[column.name]) if of else None

    def add_tables(self, tree: exp.Select) -> None:
        tree.set("from_", exp.From(this=exp.to_table(_table(self.first.object), alias=self.first.alias)))
        for each in self._reached.values():
            if each.parent and each.reference:
                target = exp.to_table(_table(each.object), alias=each.alias)
                tree.join(target, on=f"{each.alias}.Id = {each.parent.alias}.{each.reference.name}", join_type="left", copy=False)

    def query(
        self,
        tree: exp.Select,
        *,
        fields: tuple[Selected, ...] = (),
        columns: Mapping[str, OrgField | None] | None = None,
        count: bool = False,
    ) -> Query:
        made = {one.object.name: one.object for one in self._reached.values() if one.object.rows}
        parts = [f"{_table(each)} AS ({_rows_sql(each)})" for each in made.values()]
        values = tuple(json.dumps(list(each.rows())) for each in made.values() if each.rows)
        sql = (f"WITH {', '.join(parts)} " if parts else "") + tree.sql(dialect="sqlite")
        return Query(sql, values, self.first, fields, columns or {}, count)

    def _find(self, names: list[str]) -> tuple[Reached, OrgField]:
        *path, name = names
        if path and path[0].lower() in self._own_names:
            path = path[1:]
        of = self.first
        for relationship in path:
            of = self._follow(of, relationship)
        found = of.object.schema.get(name)
        if found is None:
            raise SoqlError(
                "INVALID_FIELD",
                f"No such column '{name}' on entity '{of.object.name}'. If you are attempting to use a custom field, be sure to"
                " append the '__c' after the custom field name. Please reference your WSDL or the describe call for the"
                " appropriate names.",
            )
        return of, found

    def _follow(self, of: Reached, relationship: str) -> Reached:
        reference = of.object.schema.relationship(relationship)
        target = self._objects.get(reference.refers_to or "") if reference else None
        if reference is None or target is None:
            raise SoqlError(
                "INVALID_FIELD",
                f"Didn't understand relationship '{relationship}' in field path. If you are attempting to use a custom"
                " relationship, be sure to append the '__r' after the custom relationship name. Please reference your WSDL or the"
                " describe call for the appropriate names.",
            )
        known = next((one for one in self._reached.values() if one.parent is of and one.reference is reference), None)
        if known is None:
            known = Reached(target, f"r{len(self._reached)}", of, reference)
            self._reached[known.alias] = known
        return known


def _table(of: SObject) -> str:
    return f"rows_of_{of.name.lower()}" if of.rows else RECORDS_TABLE


def _rows_sql(of: SObject) -> str:
    """The rows come as one JSON text. Comparisons of text ignore case, as in SOQL."""
    columns = ", ".join(
        f"(value ->> '$.{each.name}'){' COLLATE NOCASE' if each.type is FieldType.STRING else ''} AS {each.name}"
        for each in of.schema
    )
    return f"SELECT {columns} FROM json_each(?)"


def _select_fields(tree: exp.Select, scope: _Scope) -> tuple[Selected, ...]:
    """Select the fields, and the id of each object beside them, because an answer has the address of each record."""
    found = [scope.at(node) if isinstance(node, exp.Column) else None for node in tree.expressions]
    if not all(found):
        raise SoqlError("MALFORMED_QUERY", "only fields and aggregates can be selected")
    fields = tuple(Selected(*one, f"c{number}") for number, one in enumerate(found) if one)
    reached = {one.alias: one for each in fields for one in (*each.of.chain(), scope.first)}
    columns = [exp.alias_(exp.column(each.field.name, table=each.of.alias), each.column) for each in fields]
    ids = [exp.alias_(exp.column("Id", table=one.alias), one.id_column) for one in reached.values()]
    tree.set("expressions", columns + ids)
    return fields


def _quote_dates(soql: str) -> str:
    """Turn dates, which SOQL writes without quotes, into marked strings. Strings stay as they are."""

    def quote(match: re.Match[str]) -> str:
        return match.group() if match.group("text") else f"'{_MARK}{match.group()}'"

    return _PIECES.sub(quote, soql)


def _compare_with_null(tree: exp.Select) -> None:
    for node in list(tree.find_all(exp.EQ, exp.NEQ)):
        if isinstance(node.expression, exp.Null):
            is_null = exp.Is(this=node.this.copy(), expression=exp.Null())
            node.replace(exp.Not(this=is_null) if isinstance(node, exp.NEQ) else is_null)


def _read_dates(tree: exp.Select, scope: _Scope) -> None:
    """Convert marked dates to their stored form, and refuse dates that the query quotes."""
    for literal in list(tree.find_all(exp.Literal)):
        value = literal.this
        parent = literal.parent
        compared = parent.this if isinstance(parent, exp.Binary | exp.In) else None
        found = scope.at(compared) if isinstance(compared, exp.Column) else None
        criterion = found[1] if found else None
        timed = criterion is not None and criterion.type in (FieldType.DATE, FieldType.DATETIME)
        if literal.is_string and value.startswith(_MARK):
            if criterion is None or not timed or ("T" in value) != (criterion.type is FieldType.DATETIME):
                raise SoqlError("INVALID_FIELD", f"filter criterion {value[1:]} does not have the type of its field")
            literal.replace(exp.Literal.string(_stored(value[1:])))
        elif criterion is not None and timed:
            raise SoqlError(
                "INVALID_FIELD",
                f"value of filter criterion for field '{criterion.name}' must be of type {criterion.type} and should not be"
                " enclosed in quotes",
            )


def _stored(value: str) -> str:
    if "T" not in value:
        return value
    return iso(datetime.fromisoformat(value).astimezone(UTC))


def _is_count(tree: exp.Select) -> bool:
    return len(tree.expressions) == 1 and isinstance(tree.expressions[0], exp.Count) and tree.expressions[0].this is None


def _name_aggregates(tree: exp.Select, scope: _Scope) -> dict[str, OrgField | None]:
    """Salesforce numbers the aggregates that have no alias: ``expr0``, ``expr1``."""
    named: dict[str, OrgField | None] = {}
    columns: list[exp.Expr] = []
    number = 0
    for node in tree.expressions:
        inner = node.this if isinstance(node, exp.Alias) else node
        # The newest date of a column is shown as the dates of that column are.
        shown = inner.this if isinstance(inner, exp.Min | exp.Max) else inner
        found = scope.at(shown) if isinstance(shown, exp.Column) else None
        if isinstance(node, exp.Alias):
            name = node.alias
        elif found and shown is inner:
            name = found[1].name
        else:
            name = f"expr{number}"
            number += 1
        named[name] = found[1] if found else None
        columns.append(exp.alias_(inner.copy(), name))
    tree.set("expressions", columns)
    return named
