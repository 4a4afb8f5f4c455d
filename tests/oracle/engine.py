"""Runs our statements on a world, in this process, with the sandbox's warehouse and without a wire."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from feature_sync.config.fields import FieldKind
from feature_sync.config.settings import Settings
from feature_sync.storage.marks import own_tables
from feature_sync.storage.tables import column_definitions
from feature_sync.storage.warehouse import columns_of, render_statement
from sandbox.warehouse.engine import Engine
from sandbox.warehouse.results import Namespace
from sandbox.warehouse.statements import Parameter, Statement
from tests.oracle.worlds import Row, World

INSTANT = pa.timestamp("us", "UTC")
KINDS = {
    FieldKind.CHECKBOX: pa.bool_(),
    FieldKind.DATE: pa.date32(),
    FieldKind.DATETIME: INSTANT,
    FieldKind.TEXT: pa.string(),
}
TYPES = {bool: "BOOLEAN", int: "INT", str: "STRING", type(None): "VOID"}


class Tables:
    """The warehouse. ``alter``: what is done to each text first, to prove that a mistake shows."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self._engine, self.settings = engine, settings
        self.alter = lambda text: text
        for table in own_tables(settings):
            with self._engine.writing() as cursor:
                cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {table.name.rpartition('.')[0]}")
            columns = column_definitions(columns_of(settings, table.definition))
            self.run(
                "tables/create_table",
                names={"table": table.name, "columns": columns, "clustered_by": table.clustered_by, "mark": table.mark_property},
            )

    def load(self, world: World) -> None:
        fields = self.settings.fields
        texts = ("name", "address", "company_name")
        of_properties = [("id", pa.int64()), *((name, pa.string()) for name in ("status", "company_id", "sfdc_id"))]
        self._fill(
            self.settings.properties_table,
            [{**row, **dict.fromkeys(texts, "x"), "updated_at": None} for row in world.properties],
            [*of_properties, *((name, pa.string()) for name in texts), ("updated_at", INSTANT)],
        )
        sources = [(str(each.source), pa.bool_() if each.kind is FieldKind.CHECKBOX else INSTANT) for each in fields.features]
        self._fill(
            self.settings.features_table,
            [
                {"property_id": row["property_id"], **{str(each.source): row[each.column] for each in fields.features}}
                for row in world.features
            ],
            [("property_id", pa.string()), *sources],
        )
        self.show(world.replica)
        for table in own_tables(self.settings):
            self.sql(f"DELETE FROM {table.name}")

    def show(self, records: list[Row]) -> None:
        """What the replica shows from now on."""
        columns = [("id", pa.string()), ("created_date", INSTANT), ("system_modstamp", INSTANT), ("is_deleted", pa.bool_())]
        columns += [("_fivetran_synced", INSTANT), *((field.column, KINDS[field.kind]) for field in self.settings.fields)]
        self._fill(self.settings.salesforce_table, records, columns)

    def add(self, table: str, rows: list[Row]) -> None:
        """More rows of a table of ours; columns that a row lacks are NULL."""
        if not rows:
            return
        with self._engine.writing() as cursor:
            cursor.register("given", pa.Table.from_pylist(rows))
            cursor.execute(f"INSERT INTO {table} BY NAME FROM given")
            cursor.unregister("given")

    def run(self, name: str, parameters: Mapping[str, Any] | None = None, names: Mapping[str, str] | None = None) -> list[Row]:
        """The rows of one of our statements."""
        return self.sql(self.alter(render_statement(name, self.settings, names)), parameters)

    def sql(self, text: str, parameters: Mapping[str, Any] | None = None) -> list[Row]:
        given = [
            Parameter(
                key, TYPES[type(value)], None if value is None else str(value).lower() if isinstance(value, bool) else str(value)
            )
            for key, value in (parameters or {}).items()
        ]
        statement = Statement(self._engine, Namespace(time_zone="UTC"), text, given)
        try:
            result = statement.run()
            return [row for batch in result.batches for row in batch.to_pylist()]
        finally:
            statement.close()

    def close(self) -> None:
        self._engine.close()

    def _fill(self, table: str, rows: list[Row], columns: list[tuple[str, pa.DataType]]) -> None:
        data = pa.Table.from_pylist(rows, schema=pa.schema(columns))
        with self._engine.writing() as cursor:
            cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {table.rpartition('.')[0]}")
            cursor.register("given", data)
            cursor.execute(f"CREATE OR REPLACE TABLE {table} AS FROM given")
            cursor.unregister("given")
