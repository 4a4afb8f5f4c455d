"""The warehouse: runs the statements of ``include/sql`` on Databricks SQL.

A statement is asked for by its file: ``sending/stage_batch`` is ``include/sql/sending/stage_batch.sql``. Table names and field
lists are rendered into it, values are bound. Every statement is harmless when it is executed twice, because
databricks-sql-connector repeats a statement whose answer was lost, and this module one whose session or token has expired.
Before the first statement of a session that changes a table, the table must show the mark that makes it ours.
"""

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import UTC, datetime
from functools import cache, cached_property, partial
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from airflow.sdk import Connection
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from feature_sync.config.connections import (
    MissingConnectionError,
    UnreadableConnectionError,
    identity_of,
    read_connection,
    read_fresh_connection,
)
from feature_sync.config.names import DATABRICKS_CONN_ID
from feature_sync.config.paths import INCLUDE
from feature_sync.config.problems import OwnTableError
from feature_sync.config.settings import Settings
from feature_sync.storage.descriptions import Description, read_description
from feature_sync.storage.marks import mark_problem, own_tables, written_table

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger(__name__)
logging.getLogger("databricks.sql").setLevel(logging.WARNING)  # at INFO it logs two lines for each HTTP request

SQL_FOLDER = INCLUDE / "sql"
FETCH_ROWS = 20_000
"""Rows that are fetched at once while a large result is read; twice as many are in memory (about 70 MiB each, of 23 columns)."""

Parameters = Mapping[str, str | int | bool | None]
Names = Mapping[str, Any]
"""What is rendered into a statement besides the settings, see `render_statement`."""
Row = dict[str, Any]


class StatementError(RuntimeError):
    """
    A statement failed. The message names it; the cause has the warehouse's own words.

    ``is_temporary``: whether another look at the same thing may go better. ``alert_cause``: what it has in common with other
    errors, so that people are alerted of it once; None if that is in its text.
    """

    is_temporary: ClassVar[bool] = False
    alert_cause: ClassVar[str | None] = None


class ConnectError(StatementError):
    """The warehouse cannot be reached, or Airflow cannot read its connection now."""

    is_temporary = True
    alert_cause = "the warehouse does not answer"


class AccessError(ConnectError):
    """The connection is missing, or the warehouse refuses its credentials, which were read again right before."""

    is_temporary = False
    alert_cause = "the warehouse refuses us"


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


def quoted(name: str) -> str:
    """A name as SQL takes it, whatever characters it has."""
    return "`" + name.replace("`", "``") + "`"


def columns_of(settings: Settings, table: str) -> tuple[Column, ...]:
    """The columns of a table of ours, in the order of ``include/sql/tables/columns/<table>.sql``."""
    text = _templates().get_template(f"tables/columns/{table}.sql").render(settings=settings, fields=settings.fields)
    return tuple(Column(*line.split()) for line in text.strip().split(",\n"))


class Warehouse(AbstractContextManager["Warehouse"]):
    """
    One session with the warehouse, in UTC. If the session has expired, or its token, it is opened again.

    That the warehouse refuses the credentials counts only if they were read again, never from a cache. The provider's hook keeps
    the connection, and the tokens that it was given for it; a new hook has neither.

    The session's time zone is set, whatever the workspace's default is, because timestamps are cast to dates.

    :param fetch_rows: rows that are held in memory at once while a large result is read.
    """

    def __init__(self, settings: Settings, fetch_rows: int = FETCH_ROWS) -> None:
        self.settings = settings
        self._fetch_rows = fetch_rows
        self._hook = _make_hook()
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
        :raises AccessError: it refuses the credentials, or there is no connection.
        :raises StatementError: the warehouse refused the statement.
        :raises OwnTableError: the statement would change a table that is not provably ours. It was not sent.
        """
        self._run(name, parameters, names, lambda cursor: cursor.close())

    def fetch_all(self, name: str, parameters: Parameters | None = None, names: Names | None = None) -> list[Row]:
        """
        Run a query with a small result, such as counts. Parameters and errors as in `execute`.

        A time of a column without a time zone, TIMESTAMP_NTZ, is read as UTC, because the session is in UTC.
        """
        return self._run(name, parameters, names, _all_rows)

    def fetch_one(self, name: str, parameters: Parameters | None = None) -> Row:
        """Run a query that always has exactly one row. Parameters and errors as in `execute`."""
        [row] = self.fetch_all(name, parameters)
        return row

    def stream(self, name: str, parameters: Parameters | None = None, names: Names | None = None) -> "Iterator[pa.Table]":
        """Run a query with a result of any size. Yields at least one table, which may be empty. Errors as in `execute`."""
        cursor, table = self._run(name, parameters, names, lambda opened: (opened, opened.fetchmany_arrow(self._fetch_rows)))
        # The next rows come while the caller works on these.
        with _closing(cursor), ThreadPoolExecutor(max_workers=1, thread_name_prefix="fetch") as ahead:
            while table.num_rows == self._fetch_rows:
                following = ahead.submit(cursor.fetchmany_arrow, self._fetch_rows)
                yield table
                try:  # what has been yielded cannot be taken back, so nothing is repeated here
                    table = following.result()
                except Exception as error:
                    raise ConnectError(f"The result of {name}.sql broke off: {error}") from error
            yield table

    def _run(self, name: str, parameters: Parameters | None, names: Names | None, read: Callable[[Any], Any]) -> Any:
        """
        Send a statement, and read what must be read of its result before it counts as answered.

        :param read: given the cursor. It closes the cursor if nothing else is read from it.
        """
        text = render_statement(name, self.settings, names)
        if (written := written_table(text)) is not None:
            self.prove(written)
        may_reopen = may_renew = True
        while True:
            try:
                return self._send(name, text, parameters, read)
            except ConnectError as error:
                if may_reopen and _is_session_gone(error):
                    may_reopen = False
                    log.warning("%s; opening another session", error)
                    self._reopen(self._hook.databricks_conn)
                elif _is_refusal(error):
                    if not may_renew or not self._renew():
                        raise AccessError(
                            f"The warehouse refuses the credentials of connection {DATABRICKS_CONN_ID}, which were just read "
                            f"again, so {name}.sql was not sent: {error.__cause__} Check the token."
                        ) from error
                    may_renew = False
                    log.warning("%s; asking again with what connection %s holds now", error, DATABRICKS_CONN_ID)
                else:
                    raise

    def _send(self, name: str, text: str, parameters: Parameters | None, read: Callable[[Any], Any]) -> Any:
        try:
            # The hook is asked each time, because it reconnects when an OAuth token was renewed.
            self._connection = self._hook.get_conn()
        except MissingConnectionError as missing:
            raise AccessError(f"{missing} So {name}.sql was not sent.") from missing
        except Exception as error:
            raise ConnectError(f"Cannot connect to the warehouse, so {name}.sql was not sent: {error}") from error
        cursor = self._connection.cursor(arraysize=self._fetch_rows)
        try:
            cursor.execute(text, dict(parameters or {}))
            return read(cursor)
        except Exception as error:
            from databricks.sql.exc import ServerOperationError  # noqa: PLC0415 - slow

            _close(cursor)
            # The warehouse's own refusals are ServerOperationError; every other error happened on the way there.
            kind = StatementError if isinstance(error, ServerOperationError) else ConnectError
            raise kind(f"The statement {name}.sql failed: {error}") from error

    def _renew(self) -> bool:
        """
        Read the connection again after a refusal.

        :returns: whether there is something else to try: another connection, or another access token for the same secret.
        """
        before = self._hook.databricks_conn
        try:
            fresh = read_fresh_connection(DATABRICKS_CONN_ID)
        except MissingConnectionError as missing:
            raise AccessError(str(missing)) from missing
        except UnreadableConnectionError as unreadable:
            raise ConnectError(f"The warehouse refuses the credentials, and they may be old. {unreadable}.") from unreadable
        if identity_of(fresh) == identity_of(before) and _is_plain_token(before):
            return False
        self._reopen(fresh)
        return True

    def _reopen(self, connection: Connection) -> None:
        if self._connection is not None:
            with suppress(Exception):  # the warehouse has forgotten it, or does not let us in to close it
                self._connection.close()
        self._connection = None
        self._hook = _make_hook()
        self._hook.databricks_conn = connection

    def prove(self, name: str) -> None:
        """
        Look whether a table is ours, once in a session: a notebook may have built it again since the run's first step.

        Each statement that writes asks for it by itself. Who must not lose time with it later asks before.

        :param name: of one of our tables.
        :raises OwnTableError: it is not provably ours.
        """
        if name in self._ours:
            return
        table = {each.name: each for each in own_tables(self.settings)}[name]
        found = read_description(self.fetch_all("tables/describe_table", names={"table": name}))
        if problem := mark_problem(table, found):
            raise OwnTableError([problem])
        self.trust(name)


def _make_hook() -> Any:
    return _hook_class()(DATABRICKS_CONN_ID, session_configuration={"TIMEZONE": "UTC"})


@cache
def _hook_class() -> Any:
    """The provider's hook, with a connection that is known to be missing or not."""
    from airflow.providers.databricks.hooks.databricks_sql import DatabricksSqlHook  # noqa: PLC0415 - slow

    class Hook(DatabricksSqlHook):
        @cached_property
        def databricks_conn(self) -> Connection:  # type: ignore[override]
            return read_connection(self.databricks_conn_id)

    return Hook


@contextmanager
def _closing(cursor: Any) -> Iterator[None]:
    try:
        yield
    finally:
        _close(cursor)


def _close(cursor: Any) -> None:
    # If the session is gone, closing fails too. What was read counts, or the error that was met.
    with suppress(Exception):
        cursor.close()


def _all_rows(cursor: Any) -> list[Row]:
    with _closing(cursor):
        return [{name: _in_utc(value) for name, value in row.asDict().items()} for row in cursor.fetchall()]


def _is_plain_token(connection: Connection) -> bool:
    """Whether the connection holds the token itself. Otherwise it holds a secret, for which the provider asks for tokens."""
    return "token" in connection.extra_dejson or bool(not connection.login and connection.password)


def _is_session_gone(error: BaseException) -> bool:
    return any(re.search("Invalid SessionHandle|INVALID_HANDLE|SESSION_(CLOSED|EXPIRED)", str(each)) for each in _chain(error))


def _is_refusal(error: BaseException) -> bool:
    """Whether the warehouse, or whoever gives out its tokens, has answered that the credentials are not accepted."""
    refused = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
    for each in _chain(error):
        context = getattr(each, "context", None)  # of databricks-sql-connector
        answer = getattr(each, "response", None)  # of requests, with which the provider asks for an OAuth token
        if isinstance(context, Mapping) and context.get("http-code") in refused:
            return True
        if getattr(answer, "status_code", None) in refused:
            return True
    return False


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _in_utc(value: Any) -> Any:
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) and value.tzinfo is None else value
