"""Runs a script on the sandbox's warehouse and on Spark, and says where they differ."""

import datetime as dt
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import sqlglot
from airflow.providers.databricks.hooks.databricks_sql import DatabricksSqlHook

from feature_sync.config.names import DATABRICKS_CONN_ID
from feature_sync.storage.descriptions import read_description
from feature_sync.storage.marks import own_tables
from feature_sync.storage.warehouse import Row, Warehouse, render_statement
from sandbox.warehouse.engine import Engine
from tests.spark.plans import Plan, read_plan, short_names
from tests.sql.data import COPY
from tests.sql.steps import CLOCK_COLUMNS, Change, Script, Step

if TYPE_CHECKING:
    from tests.spark.engine import Spark


class Comparison:
    """
    One script on two engines. Each holds its own tables, and is asked in its own way: the warehouse over its wire.

    :param alter: what is done to each text before Spark gets it, to prove that a difference shows.
    """

    def __init__(self, warehouse: Warehouse, engine: Engine, spark: "Spark", alter: Callable[[str], str]) -> None:
        self._warehouse = warehouse
        self._engine = engine
        self._spark = spark
        self._alter = alter
        self._names = short_names(warehouse.settings)
        self.plans: dict[str, Plan] = {}
        """Of each statement that has run, the one that reads most."""
        self._others = DatabricksSqlHook(DATABRICKS_CONN_ID, session_configuration={"TIMEZONE": "UTC"})

    def run(self, script: Script) -> list[str]:
        """The differences at the first step that has any; the steps after it would only repeat them."""
        for number, step in enumerate(script, 1):
            if found := self._change(step) if isinstance(step, Change) else self._step(step):
                return [f"step {number}, {step}"[:300], *found]
        return []

    def _step(self, step: Step) -> list[str]:
        text = render_statement(step.statement, self._warehouse.settings, step.names)
        expected = self._warehouse.fetch_all(step.statement, step.parameters, step.names)
        try:
            found, plan = self._spark.execute(self._alter(text), step.parameters)
        except TimeoutError:
            return ["Spark takes for ever. See the comment in include/sql/macros.sql (SPARK-33152) for the likely reason."]
        made = read_plan(plan, self._names)
        self.plans[step.statement] = max(self.plans.get(step.statement, made), made, key=lambda each: each.size)
        if step.writes:  # the warehouse answers with counts, which come from Delta: Spark alone has none
            return self._tables(table.name for table in own_tables(self._warehouse.settings) if table.name in text)
        if step.statement in ("tables/describe_table", "deployment/describe_source"):
            described = [read_description(rows) for rows in (expected, found.to_pylist())]
            left, right = ([{**each.columns, "its mark": each.mark}] for each in described)
            return differences(left, right, in_order=True)
        return differences(expected, found.to_pylist(), in_order=_is_ordered(text))

    def _change(self, change: Change) -> list[str]:
        self._others.run(change.text)
        self._spark.execute(self._alter(change.text), {})
        return self._tables([COPY])

    def _tables(self, names: Iterable[str]) -> list[str]:
        found = []
        for name in names:
            with self._engine.cursor() as cursor:
                exists = cursor.execute("SELECT 1 FROM duckdb_tables() WHERE table_name = ?", [name.rpartition(".")[2]])
                if not exists.fetchall():
                    continue
                expected = cursor.sql(f"FROM {name}").to_arrow_table()
            table = self._spark.table(name)
            if _types(expected) != _types(table):
                found.append(f"{name} has the columns {_types(expected)}, on Spark {_types(table)}")
            found += [f"{name}: {each}" for each in differences(expected.to_pylist(), table.to_pylist(), in_order=False)]
        return found


def _is_ordered(text: str) -> bool:
    return "ORDER BY" in text and sqlglot.parse_one(text, dialect="databricks").args.get("order") is not None


def differences(expected: list[Row], found: list[Row], *, in_order: bool) -> list[str]:
    """
    What differs between the rows of the sandbox and those of Spark, by value and by type.

    :param in_order: whether the order of the rows is part of the answer.
    """
    left, right = [_plain(row) for row in expected], [_plain(row) for row in found]
    if not in_order:
        left, right = sorted(left, key=repr), sorted(right, key=repr)
    if left == right:
        return []
    pairs = [(one, other) for one, other in zip(left, right, strict=False) if one != other]
    messages = [f"{len(left)} rows, on Spark {len(right)}; {len(pairs)} of them differ"]
    for one, other in pairs[:2]:
        names = [name for name in {**one, **other} if one.get(name) != other.get(name)]
        messages.append(f"{ {name: one.get(name) for name in names} }, on Spark { {name: other.get(name) for name in names} }")
    return messages


def _plain(row: Row) -> dict[str, Any]:
    """By name, each value with its type: for Python, True is 1."""
    return {
        name: ("NULL" if value is None else "a time")
        if name in CLOCK_COLUMNS
        else (type(value).__name__, value.astimezone(dt.UTC) if isinstance(value, dt.datetime) else value)
        for name, value in row.items()
    }


def _types(table: pa.Table) -> dict[str, str]:
    return {column.name: str(column.type) for column in table.schema}
