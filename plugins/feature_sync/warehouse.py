"""The warehouse: runs the statements of ``include/sql`` on Databricks SQL.

Statements are asked for by file name. Table names and field lists are rendered into them, values are bound. Every statement is
harmless when executed twice: databricks-sql-connector sends a statement again whose answer was lost.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from functools import cache
from types import TracebackType
from typing import Any

import pyarrow as pa
from airflow.providers.databricks.hooks.databricks_sql import DatabricksSqlHook
from databricks.sql.exc import ServerOperationError
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from feature_sync.paths import INCLUDE
from feature_sync.settings import DATABRICKS_CONN_ID, Settings

logging.getLogger("databricks.sql").setLevel(logging.WARNING)  # its INFO is two lines for each HTTP request

SQL_FOLDER = INCLUDE / "sql"
FETCH_ROWS = 20_000
"""Rows held in memory at once while reading a large result (about 70 MiB of 23 columns)."""

Parameters = Mapping[str, str | int | bool | None]
Row = dict[str, Any]


class StatementError(RuntimeError):
    """A statement failed. The message names it; the cause has the warehouse's own words."""


class ConnectError(StatementError):
    """The warehouse lets nobody in, or does not answer."""


@cache
def _templates() -> Environment:
    return Environment(
        loader=FileSystemLoader(SQL_FOLDER),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # noqa: S701 - this is SQL; only names that the settings have validated are rendered
    )


def render_statement(name: str, settings: Settings, names: Mapping[str, str] | None = None) -> str:
    """
    The text of ``include/sql/<name>.sql`` for these table names and fields.

    :param names: further identifiers that it renders, such as ``table``. They come from the settings or from ``include/sql``,
        never from a run config: what is rendered is not bound.
    """
    return _templates().get_template(f"{name}.sql").render(settings=settings, fields=settings.fields, **(names or {}))


class Warehouse(AbstractContextManager["Warehouse"]):
    """
    One session with the warehouse, in UTC.

    Every statement's time is UTC whatever the workspace's default is, because timestamps are cast to dates.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._hook = DatabricksSqlHook(DATABRICKS_CONN_ID, session_configuration={"TIMEZONE": "UTC"})
        self._connection: Any = None

    def __enter__(self) -> "Warehouse":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._connection is not None:
            self._connection.close()

    def execute(self, name: str, parameters: Parameters | None = None, names: Mapping[str, str] | None = None) -> None:
        """
        Run a statement for its effect.

        :param names: see `render_statement`.
        :raises StatementError: the warehouse refused it.
        """
        with self._cursor(name, parameters, names):
            pass

    def fetch_all(self, name: str, parameters: Parameters | None = None, names: Mapping[str, str] | None = None) -> list[Row]:
        """Run a query whose result is small, such as counts. Parameters and errors as of `execute`."""
        with self._cursor(name, parameters, names) as cursor:
            return [row.asDict() for row in cursor.fetchall()]

    def fetch_one(self, name: str, parameters: Parameters | None = None) -> Row:
        """Run a query that always has exactly one row. Raises as `execute`."""
        [row] = self.fetch_all(name, parameters)
        return row

    def stream(self, name: str, parameters: Parameters | None = None) -> Iterator[pa.Table]:
        """Run a query of any size; gives at least one table, which may be empty. Raises as `execute`."""
        with self._cursor(name, parameters) as cursor:
            while True:
                table = cursor.fetchmany_arrow(FETCH_ROWS)
                yield table
                if table.num_rows < FETCH_ROWS:
                    return

    def _cursor(self, name: str, parameters: Parameters | None, names: Mapping[str, str] | None = None) -> Any:
        text = render_statement(name, self.settings, names)
        try:
            # The hook is asked each time, because it connects anew when an OAuth token has been renewed.
            self._connection = self._hook.get_conn()
        except Exception as error:
            raise ConnectError(f"The statement {name}.sql was not sent, the warehouse lets nobody in: {error}") from error
        cursor = self._connection.cursor(arraysize=FETCH_ROWS)
        try:
            cursor.execute(text, dict(parameters or {}))
        except Exception as error:
            cursor.close()
            # The warehouse's own refusals are ServerOperationError; everything else is about the way there.
            kind = StatementError if isinstance(error, ServerOperationError) else ConnectError
            raise kind(f"The statement {name}.sql failed: {error}") from error
        return cursor
