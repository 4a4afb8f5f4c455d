"""The warehouse: runs the statements of ``include/sql`` on Databricks SQL.

A statement is asked for by its file: ``sending/stage_batch`` is ``include/sql/sending/stage_batch.sql``. Table names and field
lists are rendered into it, values are bound. Every statement is harmless when it is executed twice, because
databricks-sql-connector repeats a statement whose answer was lost. Before the first statement of a session that changes a table,
the table must show the mark that makes it ours.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import pyarrow as pa
from airflow.providers.databricks.hooks.databricks_sql import DatabricksSqlHook
from databricks.sql.exc import ServerOperationError
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from feature_sync.config.names import DATABRICKS_CONN_ID
from feature_sync.config.paths import INCLUDE
from feature_sync.config.problems import OwnTableError
from feature_sync.config.settings import Settings
from feature_sync.storage.descriptions import Description, read_description
from feature_sync.storage.marks import mark_problem, own_tables, written_table

logging.getLogger("databricks.sql").setLevel(logging.WARNING)  # at INFO it logs two lines for each HTTP request

SQL_FOLDER = INCLUDE / "sql"
FETCH_ROWS = 20_000
"""Rows that are held in memory at once while a large result is read (about 70 MiB of 23 columns)."""

Parameters = Mapping[str, str | int | bool | None]
Names = Mapping[str, Any]
"""What is rendered into a statement besides the settings, see `render_statement`."""
Row = dict[str, Any]


class StatementError(RuntimeError):
    """A statement failed. The message names it; the cause has the warehouse's own words."""


class ConnectError(StatementError):
    """The warehouse cannot be reached, or refuses the connection."""


class Column(NamedTuple):
    """A column of a table of ours, with its type in the warehouse."""

    name: str
    type: str


def _templates() -> Environment:
    # A process may live longer than the checkout that it began with. The link to it is followed once for each statement, so that
    # no statement is put together from two checkouts.
    return _templates_in(SQL_FOLDER.resolve())


@cache
def _templates_in(folder: Path) -> Environment:
    return Environment(
        loader=FileSystemLoader(folder),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # noqa: S701 - this is SQL; only names that the settings have validated are rendered
    )


def render_statement(name: str, settings: Settings, names: Names | None = None) -> str:
    """
    The text of ``include/sql/<name>.sql`` with these table names and fields.

    :param names: further identifiers to render, such as ``table``. They come from the settings or from ``include/sql``, never
        from a run config, because rendered text is not bound. A query and names of Census are parsed and quoted before, see
        `feature_sync.deployment.parsed_query`.
    """
    context = {"settings": settings, "fields": settings.fields, "columns_of": partial(columns_of, settings)}
    return _templates().get_template(f"{name}.sql").render(**context, **(names or {}))


def columns_of(settings: Settings, table: str) -> tuple[Column, ...]:
    """The columns of a table of ours, in the order of ``include/sql/tables/columns/<table>.sql``."""
    text = _templates().get_template(f"tables/columns/{table}.sql").render(settings=settings, fields=settings.fields)
    return tuple(Column(*line.split()) for line in text.strip().split(",\n"))


class Warehouse(AbstractContextManager["Warehouse"]):
    """
    One session with the warehouse, in UTC.

    The session's time zone is set, whatever the workspace's default is, because timestamps are cast to dates.

    :param fetch_rows: rows that are held in memory at once while a large result is read.
    """

    def __init__(self, settings: Settings, fetch_rows: int = FETCH_ROWS) -> None:
        self.settings = settings
        self._fetch_rows = fetch_rows
        self._hook = DatabricksSqlHook(DATABRICKS_CONN_ID, session_configuration={"TIMEZONE": "UTC"})
        self._connection: Any = None
        self._ours: set[str] = set()
        self.sources: dict[str, Description] = {}
        """The tables that a run reads, as `storage.source_tables.describe_source` found them in this session."""

    def __enter__(self) -> "Warehouse":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._connection is not None:
            self._connection.close()

    def trust(self, table: str) -> None:
        """Say that a table of ours has shown its mark in this session, so that it is not asked for it again."""
        self._ours.add(table)

    def execute(self, name: str, parameters: Parameters | None = None, names: Names | None = None) -> None:
        """
        Run a statement for its effect.

        :param name: the statement's file below ``include/sql``, without ``.sql``.
        :param parameters: a value for each marker ``:name`` of the statement.
        :param names: see `render_statement`.
        :raises ConnectError: the warehouse was not reached.
        :raises StatementError: the warehouse refused the statement.
        :raises OwnTableError: the statement would change a table that is not provably ours. It was not sent.
        """
        with self._cursor(name, parameters, names):
            pass

    def fetch_all(self, name: str, parameters: Parameters | None = None, names: Names | None = None) -> list[Row]:
        """
        Run a query with a small result, such as counts. Parameters and errors as in `execute`.

        A time of a column without a time zone, TIMESTAMP_NTZ, is read as UTC, because the session is in UTC.
        """
        with self._cursor(name, parameters, names) as cursor:
            return [{name: _in_utc(value) for name, value in row.asDict().items()} for row in cursor.fetchall()]

    def fetch_one(self, name: str, parameters: Parameters | None = None) -> Row:
        """Run a query that always has exactly one row. Parameters and errors as in `execute`."""
        [row] = self.fetch_all(name, parameters)
        return row

    def stream(self, name: str, parameters: Parameters | None = None, names: Names | None = None) -> Iterator[pa.Table]:
        """Run a query with a result of any size. Yields at least one table, which may be empty. Errors as in `execute`."""
        with self._cursor(name, parameters, names) as cursor:
            while True:
                table = cursor.fetchmany_arrow(self._fetch_rows)
                yield table
                if table.num_rows < self._fetch_rows:
                    return

    def _cursor(self, name: str, parameters: Parameters | None, names: Names | None = None) -> Any:
        text = render_statement(name, self.settings, names)
        if (written := written_table(text)) is not None:
            self._prove_ours(written)
        try:
            # The hook is asked each time, because it reconnects when an OAuth token was renewed.
            self._connection = self._hook.get_conn()
        except Exception as error:
            raise ConnectError(f"Cannot connect to the warehouse, so {name}.sql was not sent: {error}") from error
        cursor = self._connection.cursor(arraysize=self._fetch_rows)
        try:
            cursor.execute(text, dict(parameters or {}))
        except Exception as error:
            cursor.close()
            # The warehouse's own refusals are ServerOperationError; every other error happened on the way there.
            kind = StatementError if isinstance(error, ServerOperationError) else ConnectError
            raise kind(f"The statement {name}.sql failed: {error}") from error
        return cursor

    def _prove_ours(self, name: str) -> None:
        """A notebook may have built the table again since the run's first step, so each session looks once."""
        if name in self._ours:
            return
        table = {each.name: each for each in own_tables(self.settings)}[name]
        found = read_description(self.fetch_all("tables/describe_table", names={"table": name}))
        if problem := mark_problem(table, found):
            raise OwnTableError([problem])
        self.trust(name)


def _in_utc(value: Any) -> Any:
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) and value.tzinfo is None else value
