"""Runs a statement in the Databricks dialect on DuckDB and answers in the form of a Databricks SQL warehouse."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache

import duckdb
import pyarrow as pa
import sqlglot
from sqlglot import exp
from sqlglot.errors import ErrorLevel, ParseError, TokenError
from sqlglot.tokens import TokenType

from sandbox.warehouse import information_schema, metadata
from sandbox.warehouse.catalog_statements import Answer, catalog_statement
from sandbox.warehouse.engine import Engine
from sandbox.warehouse.results import Namespace, Result, StatementCanceled, StatementError, nothing

UNBOUND_TYPES = ("ARRAY", "MAP", "BINARY")
"""Types of parameters whose value is not one text. To take them for NULL would be wrong without a word."""
BATCH_ROWS = 10_000
"""Rows that DuckDB computes ahead of the client."""
KEPT_TRANSLATIONS = 500


@dataclass(frozen=True, slots=True)
class Parameter:
    """A value in its wire form: text and the name of a Databricks type. Positional parameters have no name."""

    name: str | None
    type: str
    value: str | None


@dataclass(slots=True)
class Statement:
    """One statement. `run` is called once. Any thread may call `cancel` and `close`."""

    engine: Engine
    namespace: Namespace
    text: str
    parameters: Sequence[Parameter]
    _cursor: duckdb.DuckDBPyConnection | None = field(default=None, init=False)
    _canceled: bool = field(default=False, init=False)

    def run(self) -> Result:
        """
        Execute the statement. Statements that write wait for each other. Statements that read do not wait.

        :raises StatementError: the statement is wrong, or was canceled.
        """
        if (of_catalog := catalog_statement(self.text)) is not None:
            return self._ask_catalog(*of_catalog)
        if (known := translated(self.text, self.parameters, self.namespace)) is not None:
            tree, sql = known
        else:
            tree, sql = parse(self.text, self.parameters, self.namespace), None
        try:
            if isinstance(tree, exp.Use):
                return self._use(tree)
            if isinstance(tree, exp.Describe | exp.Query):
                self._cursor = self.engine.cursor()
                self._prepare()
                if isinstance(tree, exp.Describe):
                    return _describe(self._cursor, tree)
                if sql is None:
                    sql = _to_duckdb(information_schema.filled_in(tree, self._cursor, self.namespace))
                return _select(self._cursor, sql)
            with self.engine.writing() as self._cursor:
                self._prepare()
                change = metadata.change_of(self._cursor, self.namespace, tree, self.text)
                if sql is None and (not isinstance(tree, exp.Create) or tree.args.get("kind") != "VIEW"):
                    tree = information_schema.filled_in(tree, self._cursor, self.namespace)
                result = _write(self._cursor, tree, sql or _to_duckdb(tree))
                metadata.record(self._cursor, change)
                return result
        except duckdb.InterruptException as error:
            raise StatementCanceled("[OPERATION_CANCELED] Operation has been canceled. SQLSTATE: HY008") from error
        except duckdb.Error as error:
            raise databricks_error(error, tree) from error

    def cancel(self) -> None:
        """Make the statement stop soon, at any point."""
        self._canceled = True
        with suppress(duckdb.Error):
            if self._cursor is not None:
                self._cursor.interrupt()

    def close(self) -> None:
        """Release the rows that were not read."""
        if self._cursor is not None:
            self._cursor.close()

    def _prepare(self) -> None:
        if self._canceled:
            raise StatementCanceled("[OPERATION_CANCELED] Operation has been canceled. SQLSTATE: HY008")
        assert self._cursor is not None  # noqa: S101 - for the type checker
        self.namespace.prepare(self._cursor)

    def _ask_catalog(self, answer: Answer, writes: bool) -> Result:
        try:
            if not writes:
                self._cursor = self.engine.cursor()
                self._prepare()
                return answer(self._cursor, self.namespace)
            with self.engine.writing() as self._cursor:
                self._prepare()
                return answer(self._cursor, self.namespace)
        except duckdb.Error as error:
            raise databricks_error(error, exp.Select()) from error

    def _use(self, tree: exp.Use) -> Result:
        kind, name = str(tree.args.get("kind") or "").upper(), tree.this
        if kind == "CATALOG":
            wanted = Namespace(name.name, "default", self.namespace.time_zone)
        else:
            wanted = Namespace(name.db or self.namespace.catalog, name.name, self.namespace.time_zone)
        with self.engine.cursor() as cursor:
            wanted.prepare(cursor)
        self.namespace.catalog, self.namespace.schema = wanted.catalog, wanted.schema
        return nothing()


def parse(text: str, parameters: Sequence[Parameter], namespace: Namespace) -> exp.Expression:
    """
    Parse the statement and fill in its parameters. Each one becomes a value of the type that the client sent.

    :raises StatementError: the text is not exactly one statement, or a parameter is missing.
    """
    if positional := [parameter for parameter in parameters if parameter.name is None]:
        text = _name_question_marks(text)
        parameters = [Parameter(f"_{number}", each.type, each.value) for number, each in enumerate(positional)]
    trees = _trees(text)
    if len(trees) != 1:
        raise StatementError(
            "[PARSE_SYNTAX_ERROR] Syntax error at or near end of input: one statement at a time. SQLSTATE: 42601"
        )
    values = {parameter.name: parameter for parameter in parameters}

    def fill_in(node: exp.Expression) -> exp.Expression:
        if isinstance(node, exp.Placeholder):
            if (name := node.this) not in values:
                raise StatementError(
                    f"[UNBOUND_SQL_PARAMETER] Found the unbound parameter: {name}. Please, fix `args` and provide a mapping of "
                    "the parameter to either a SQL literal or collection constructor functions such as `map()`, `array()`, "
                    "`struct()`. SQLSTATE: 42P02"
                )
            return _value(values[name])
        if isinstance(node, exp.CurrentTimezone):
            return exp.Literal.string(namespace.time_zone)
        if isinstance(node, exp.Div | exp.IntDiv | exp.Mod):
            node.set("expression", _never_zero(node.expression))
        if isinstance(node, exp.Trim) and not node.expression:  # Databricks strips blanks alone, DuckDB every white space
            node.set("expression", exp.Literal.string(" "))
        return node

    # Separate passes, because transform does not visit a node that it has just inserted.
    # The first one works on a copy, because the parsed text is used again.
    tree = trees[0].transform(fill_in)
    return tree.transform(_count_no_rows, copy=False).transform(_show_no_offset, copy=False)


@lru_cache(maxsize=500)
def _trees(text: str) -> tuple[exp.Expr, ...]:
    """:raises StatementError: the text is not SQL."""
    try:
        return tuple(tree for tree in sqlglot.parse(text, read="databricks") if tree is not None)
    except (ParseError, TokenError) as error:
        raise _syntax_error(error) from error


@dataclass(frozen=True, slots=True)
class _Translation:
    """
    A statement in DuckDB's dialect, in which a mark stands for each value.

    ``tree``: the statement as it was parsed, for reading only.
    """

    tree: exp.Expression
    pieces: tuple[str, ...]
    names: tuple[str, ...]
    """Whose value stands after each piece but the last."""

    def filled(self, values: Mapping[str, str | None]) -> str:
        """The statement with these values, of the same types."""
        literals = [exp.Literal.string(values[name]).sql("duckdb") for name in self.names]
        return "".join(text for pair in zip(self.pieces, (*literals, ""), strict=True) for text in pair)


_TRANSLATIONS: dict[tuple[str, tuple[tuple[str, str, bool], ...], str], _Translation | str] = {}


def translated(text: str, parameters: Sequence[Parameter], namespace: Namespace) -> tuple[exp.Expression, str] | None:
    """
    The statement as it was parsed, which nobody may change, and its translation. None: it has to be translated by itself.

    The same texts come again and again with other values, and a long one takes sqlglot a second. Values are literals in the
    translation, so it is made once for values of these types, and only used again if it gives what translating anew gives.
    """
    types = tuple((each.name or "", each.type, each.value is None) for each in parameters)
    if not all(name for name, _, _ in types) or information_schema.NAME in text.lower():
        return None
    known = _TRANSLATIONS.get(key := (text, types, namespace.time_zone))
    if known is None:
        if len(_TRANSLATIONS) >= KEPT_TRANSLATIONS:
            _TRANSLATIONS.clear()
        known = _TRANSLATIONS[key] = _translate(text, parameters, namespace)
    if not isinstance(known, _Translation):
        return None
    return known.tree, known.filled({each.name or "": each.value for each in parameters})


def _translate(text: str, parameters: Sequence[Parameter], namespace: Namespace) -> _Translation | str:
    """Or why it cannot be used again."""
    if (tree := _plain(_trees(text))) is None:
        return "not of a kind that is executed as one text"
    marks = {f"\ue000{number}\ue001": each for number, each in enumerate(parameters)}
    marked = [replace(each, value=None if each.value is None else mark) for mark, each in marks.items()]
    text_with_marks = _to_duckdb(parse(text, marked, namespace))
    pieces, names = [], []
    last = 0
    for found in re.finditer("'(\ue000[0-9]+\ue001)'", text_with_marks):
        pieces.append(text_with_marks[last : found.start()])
        names.append(marks[found[1]].name or "")
        last = found.end()
    translation = _Translation(tree, (*pieces, text_with_marks[last:]), tuple(names))
    values = {each.name or "": each.value for each in parameters}
    if parameters and translation.filled(values) != _to_duckdb(parse(text, parameters, namespace)):
        return "a value changes more than the place where it stands"
    return translation


def _plain(trees: Sequence[exp.Expr]) -> exp.Expression | None:
    """The one statement, if it is executed as one text."""
    kinds = exp.Select | exp.SetOperation | exp.Insert | exp.Merge | exp.Update | exp.Delete | exp.Create
    match trees:
        case [tree] if isinstance(tree, kinds) and isinstance(tree, exp.Expression) and not tree.args.get("overwrite"):
            return tree
    return None


def _count_no_rows(node: exp.Expression) -> exp.Expression:
    """DuckDB's count_if over no rows is NULL, Databricks' is 0."""
    if isinstance(node, exp.CountIf):
        return exp.Count(this=exp.Case(ifs=[exp.If(this=node.this, true=exp.Literal.number(1))]))
    return node


def _show_no_offset(node: exp.Expression) -> exp.Expression:
    """DuckDB appends the offset to a point in time that is cast to text. Databricks does not."""
    if isinstance(node, exp.Cast) and node.is_type("text"):
        kind = exp.func("typeof", node.this.copy())
        without_offset = exp.func("regexp_replace", node.copy(), exp.Literal.string("[+-][0-9:]+$"), exp.Literal.string(""))
        return exp.Case().when(kind.eq("TIMESTAMP WITH TIME ZONE"), without_offset).else_(node)
    return node


def databricks_error(error: duckdb.Error, tree: exp.Expression) -> StatementError:
    """DuckDB's error in Databricks' words. An error without a counterpart keeps DuckDB's words, marked as such."""
    text = str(error)
    for pattern, template in _ERRORS:
        if found := re.search(pattern, text):
            name = (found[1] or "").strip('"!') if found.groups() else ""
            return StatementError(template.format(name, parts=_as_written(name, tree)))
    return StatementError(f"[SANDBOX_ENGINE_ERROR] {text}")


def _as_written(name: str, tree: exp.Expression) -> str:
    """DuckDB names a table by its last one or two parts. Databricks names it as the statement does."""
    last = name.rpartition(".")[2]
    tables = [table for table in tree.find_all(exp.Table) if table.name == last]
    parts = [part.name for part in tables[0].parts] if tables else name.split(".")
    return ".".join(f"`{part}`" for part in parts)


# Error classes and texts: https://docs.databricks.com/aws/en/error-messages/error-classes
_ERRORS = (
    (
        r"Table with name (\S+) does not exist",
        "[TABLE_OR_VIEW_NOT_FOUND] The table or view {parts} cannot be found. Verify the spelling and correctness of the schema "
        "and catalog.\nIf you did not qualify the name with a schema, verify the current_schema() output, or qualify the name "
        "with the correct schema and catalog.\nTo tolerate the error on drop use DROP VIEW IF EXISTS or DROP TABLE IF EXISTS. "
        "SQLSTATE: 42P01",
    ),
    (
        r"(?:Schema with name (\S+) does not exist|is not a catalog or schema)",
        "[SCHEMA_NOT_FOUND] The schema {parts} cannot be found. Verify the spelling and correctness of the schema and catalog. "
        "SQLSTATE: 42704",
    ),
    (
        r"(?:Table|View) with name (\S+) already exists",
        "[TABLE_OR_VIEW_ALREADY_EXISTS] Cannot create table or view {parts} because it already exists. SQLSTATE: 42P07",
    ),
    (
        r"(?:Referenced column|Referenced table|does not have a column (?:named|with name)|Referenced update column) (\S+)",
        "[UNRESOLVED_COLUMN.WITHOUT_SUGGESTION] A column, variable, or function parameter with name {parts} cannot be resolved. "
        "SQLSTATE: 42703",
    ),
    (
        r"Function with name (\S+) does not exist",
        "[UNRESOLVED_ROUTINE] Cannot resolve routine {parts} on search path. SQLSTATE: 42883",
    ),
    (
        r"cannot affect the same target row more than once",
        "[DELTA_MULTIPLE_SOURCE_ROW_MATCHING_TARGET_ROW_IN_MERGE] Cannot perform Merge as multiple source rows matched and "
        "attempted to modify the same target row in the Delta table in possibly conflicting ways. SQLSTATE: 21506",
    ),
    (
        r"NOT NULL constraint failed: (\S+)",
        "[DELTA_NOT_NULL_CONSTRAINT_VIOLATED] NOT NULL constraint violated for column: {0}. SQLSTATE: 23502",
    ),
    (
        r"Conversion Error: (.*)",
        "[CAST_INVALID_INPUT] {0}. Correct the value as per the syntax, or change its target type. SQLSTATE: 22018",
    ),
    (r"DIVIDE_BY_ZERO", "[DIVIDE_BY_ZERO] Division by zero. Use `try_divide` to tolerate divisor being 0. SQLSTATE: 22012"),
)


def _syntax_error(error: ParseError | TokenError) -> StatementError:
    where, near = "", "end of input"
    if isinstance(error, ParseError) and error.errors:
        first = error.errors[0]
        near = f"'{first['highlight']}'"
        where = f" (line {first['line']}, pos {first['col']})"
    return StatementError(f"[PARSE_SYNTAX_ERROR] Syntax error at or near {near}. SQLSTATE: 42601{where}")


def _name_question_marks(text: str) -> str:
    """Replace `?` by `:_0`, `:_1`, ... in the order of the text. A parsed tree does not keep that order."""
    marks = [token for token in sqlglot.tokenize(text, read="databricks") if token.token_type is TokenType.PLACEHOLDER]
    for number, token in reversed(list(enumerate(marks))):
        text = f"{text[: token.start]}:_{number}{text[token.end + 1 :]}"
    return text


def _value(parameter: Parameter) -> exp.Expression:
    if parameter.type in UNBOUND_TYPES:
        raise StatementError(
            f"[UNSUPPORTED_FEATURE] The sandbox binds no parameter of type {parameter.type}: {parameter.name}. SQLSTATE: 0A000"
        )
    if parameter.value is None or parameter.type == "VOID":
        return exp.Null()
    literal = exp.Literal.string(parameter.value)
    return literal if parameter.type == "STRING" else exp.cast(literal, parameter.type, dialect="databricks")


def _never_zero(divisor: exp.Expression) -> exp.Expression:
    """Make a division by zero fail, as in ANSI mode. DuckDB would silently return infinity or NULL."""
    if divisor.is_number and float(divisor.name or 0) != 0:
        return divisor
    is_zero = exp.EQ(this=exp.paren(divisor.copy()), expression=exp.Literal.number(0))
    return exp.Case().when(is_zero, exp.func("error", exp.Literal.string("DIVIDE_BY_ZERO"))).else_(divisor)


def _to_duckdb(tree: exp.Expression) -> str:
    return tree.sql("duckdb", unsupported_level=ErrorLevel.IGNORE)


def _select(cursor: duckdb.DuckDBPyConnection, sql: str) -> Result:
    reader = cursor.sql(sql).to_arrow_reader(BATCH_ROWS)
    schema = pa.schema([pa.field(column.name, _databricks_type(column.type)) for column in reader.schema])
    batches: Iterable[pa.RecordBatch] = reader
    if not schema.equals(reader.schema):
        cast = [column.type for column in schema]
        batches = (
            pa.record_batch([column.cast(kind) for column, kind in zip(batch.columns, cast, strict=True)], schema=schema)
            for batch in reader
        )
    return Result(schema, _first_at_once(iter(batches)))


def _first_at_once(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Compute the first rows now. A query that fails while it runs then fails here, not when its rows are fetched."""
    first = next(batches, None)

    def all_of_them() -> Iterator[pa.RecordBatch]:
        if first is not None:
            yield first
            yield from batches

    return all_of_them()


def _databricks_type(kind: pa.DataType) -> pa.DataType:
    """Databricks has no 128-bit or unsigned integers and no UUIDs. Its times have microseconds."""
    is_huge = pa.types.is_decimal(kind) and kind.precision == 38 and kind.scale == 0  # HUGEINT: the type of SUM over BIGINT
    if is_huge or pa.types.is_unsigned_integer(kind):
        return pa.int64()
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", kind.tz)
    known = (
        pa.types.is_primitive,
        pa.types.is_string,
        pa.types.is_binary,
        pa.types.is_null,
        pa.types.is_nested,
        pa.types.is_decimal,
    )
    return kind if any(test(kind) for test in known) else pa.string()


def _describe(cursor: duckdb.DuckDBPyConnection, tree: exp.Describe) -> Result:
    """`DESCRIBE TABLE` as in https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-syntax-aux-describe-table."""
    if not isinstance(tree.this, exp.Table):
        raise _unsupported(tree)
    columns = cursor.execute(f"DESCRIBE {_to_duckdb(tree.this)}").fetchall()
    names = [column[0] for column in columns]
    types = [exp.DataType.build(column[1], dialect="duckdb").sql("databricks").lower() for column in columns]
    schema = pa.schema([("col_name", pa.string()), ("data_type", pa.string()), ("comment", pa.string())])
    return Result(schema, iter([pa.record_batch([names, types, pa.nulls(len(names), pa.string())], schema=schema)]))


def _write(cursor: duckdb.DuckDBPyConnection, tree: exp.Expression, sql: str) -> Result:
    """
    The counts of each kind: https://docs.databricks.com/aws/en/sql/language-manual/delta-merge-into and its siblings.

    :param sql: the whole statement in DuckDB's dialect.
    """
    for kind, write in _WRITERS.items():
        if isinstance(tree, kind):
            return write(cursor, tree, sql)
    raise _unsupported(tree)


def _merge(cursor: duckdb.DuckDBPyConnection, _: exp.Expression, sql: str) -> Result:
    rows = cursor.execute(f"{sql} RETURNING merge_action").fetchall()
    updated, deleted, inserted = (sum(action == kind for [action] in rows) for kind in ("UPDATE", "DELETE", "INSERT"))
    return _counts(num_affected_rows=len(rows), num_updated_rows=updated, num_deleted_rows=deleted, num_inserted_rows=inserted)


def _insert(cursor: duckdb.DuckDBPyConnection, tree: exp.Expression, sql: str) -> Result:
    if not tree.args.get("overwrite"):
        inserted = _changed(cursor, sql)
        return _counts(num_affected_rows=inserted, num_inserted_rows=inserted)
    # DuckDB has no INSERT OVERWRITE. The new rows may come from the table itself, so they are computed first.
    cursor.execute(f"CREATE TEMP TABLE new_rows AS {_to_duckdb(tree.expression)}")
    tree.set("overwrite", False)
    tree.set("expression", exp.select("*").from_("temp.main.new_rows"))
    target = tree.this.this if isinstance(tree.this, exp.Schema) else tree.this
    cursor.begin()
    cursor.execute(f"DELETE FROM {_to_duckdb(target)}")
    inserted = _changed(cursor, _to_duckdb(tree))
    cursor.commit()
    return _counts(num_affected_rows=inserted, num_inserted_rows=inserted)


def _update_or_delete(cursor: duckdb.DuckDBPyConnection, _: exp.Expression, sql: str) -> Result:
    return _counts(num_affected_rows=_changed(cursor, sql))


def _create(cursor: duckdb.DuckDBPyConnection, tree: exp.Expression, sql: str) -> Result:
    if tree.args.get("kind") not in ("TABLE", "SCHEMA", "VIEW"):
        raise _unsupported(tree)
    if tree.args["kind"] == "TABLE" and tree.expression:
        inserted = _changed(cursor, sql)
        return _counts(num_affected_rows=inserted, num_inserted_rows=inserted)
    cursor.execute(sql)
    return nothing()


def _alter(cursor: duckdb.DuckDBPyConnection, tree: exp.Expression, _: str) -> Result:
    """Supports RENAME TO and ADD COLUMNS. DuckDB adds one column at a time."""
    if isinstance(tree.args["actions"][0], exp.AlterRename):
        return _rename(cursor, tree)
    added = [
        node for action in tree.args["actions"] for node in (action.expressions if isinstance(action, exp.Schema) else [action])
    ]
    if not all(isinstance(column, exp.ColumnDef) for column in added):
        raise _unsupported(tree)
    cursor.begin()
    for column in added:
        cursor.execute(f"ALTER TABLE {_to_duckdb(tree.this)} ADD COLUMN {_to_duckdb(column)}")
    cursor.commit()
    return nothing()


def _rename(cursor: duckdb.DuckDBPyConnection, tree: exp.Expression) -> Result:
    """Within a schema. Databricks can also move a table to another schema of its catalog."""
    new = tree.args["actions"][0].this
    if (new.catalog or tree.this.catalog, new.db or tree.this.db) != (tree.this.catalog, tree.this.db):
        raise _unsupported(tree)
    cursor.execute(f"ALTER TABLE {_to_duckdb(tree.this)} RENAME TO {_to_duckdb(exp.to_table(new.name))}")
    return nothing()


def _other(cursor: duckdb.DuckDBPyConnection, _: exp.Expression, sql: str) -> Result:
    cursor.execute(sql)
    return nothing()


_WRITERS: dict[type[exp.Expression], Callable[[duckdb.DuckDBPyConnection, exp.Expression, str], Result]] = {
    exp.Merge: _merge,
    exp.Insert: _insert,
    exp.Update: _update_or_delete,
    exp.Delete: _update_or_delete,
    exp.Create: _create,
    exp.Alter: _alter,
    exp.Drop: _other,
    exp.TruncateTable: _other,
}


def _changed(cursor: duckdb.DuckDBPyConnection, sql: str) -> int:
    row = cursor.execute(sql).fetchone()
    return row[0] if row else 0


def _counts(**counts: int) -> Result:
    batch = pa.record_batch([pa.array([count], pa.int64()) for count in counts.values()], names=list(counts))
    return Result(batch.schema, iter([batch]), counts["num_affected_rows"])


def _unsupported(tree: exp.Expression) -> StatementError:
    return StatementError(
        f"[SANDBOX_UNSUPPORTED] The sandbox's warehouse does not support this statement: {tree.sql('databricks')[:200]}"
    )
