"""What a statement answers, the errors it raises, and the session that it runs in."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import duckdb
import pyarrow as pa

DEFAULT_TIME_ZONE = "Etc/UTC"
"""For a session that asks for none. It is not spelled UTC, so that a test notices a client that forgot to ask for UTC."""


class StatementError(Exception):
    """A statement failed. The message is in the words of Databricks: ``[ERROR_CLASS] ... SQLSTATE: xxxxx``."""

    @property
    def sql_state(self) -> str:
        found = re.search(r"SQLSTATE: (\w{5})", str(self))
        return found[1] if found else "XX000"


class StatementCanceled(StatementError):  # noqa: N818 - a cancellation is no error
    """The client canceled the statement."""


@dataclass(slots=True)
class Namespace:
    """A session's catalog and schema for unqualified names, and its time zone."""

    catalog: str = "crm"
    schema: str = "default"
    time_zone: str = DEFAULT_TIME_ZONE

    def prepare(self, cursor: duckdb.DuckDBPyConnection) -> None:
        """
        Put a cursor into this namespace.

        :raises StatementError: the namespace or the time zone does not exist.
        """
        try:
            cursor.execute(f"USE {quoted(self.catalog)}.{quoted(self.schema)}")
            cursor.execute(f"SET TimeZone = '{self.time_zone.replace(chr(39), '')}'")
        except duckdb.CatalogException as error:
            raise StatementError(
                f"[SCHEMA_NOT_FOUND] The schema `{self.catalog}`.`{self.schema}` cannot be found. Verify the spelling and "
                "correctness of the schema and catalog. SQLSTATE: 42704"
            ) from error
        except duckdb.Error as error:
            raise StatementError(
                f"[INVALID_CONF_VALUE.TIME_ZONE] The value '{self.time_zone}' in the config \"TIMEZONE\" is invalid. "
                "Cannot resolve the given timezone. SQLSTATE: 22022"
            ) from error


@dataclass(slots=True)
class Result:
    """The rows of a statement, computed while they are read, and the number of rows that it changed."""

    schema: pa.Schema
    batches: Iterator[pa.RecordBatch]
    modified: int | None = None


def nothing() -> Result:
    return Result(pa.schema([]), iter(()))


def answer(schema: pa.Schema, rows: Sequence[Mapping[str, object]]) -> Result:
    """Rows that are known in full."""
    return Result(schema, iter([pa.RecordBatch.from_pylist([dict(row) for row in rows], schema=schema)]))


def quoted(identifier: str) -> str:
    return '"' + identifier.replace('"', '""') + '"'
