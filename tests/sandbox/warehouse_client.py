"""A served warehouse, and databricks-sql-connector as its client."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from databricks import sql
from databricks.sql.client import Connection

from sandbox.warehouse.engine import Engine
from sandbox.warehouse.service import HttpAnswer, WarehouseService
from tests.sandbox.wire import PATH, TOKEN


def connect(port: int, token: str = TOKEN, **options: Any) -> Connection:
    return sql.connect(
        "127.0.0.1",
        PATH,
        token,
        _connection_uri=f"http://127.0.0.1:{port}{PATH}",
        enable_telemetry=False,
        _retry_stop_after_attempts_count=1,
        _retry_delay_min=0.1,
        **options,
    )


@dataclass
class Stand:
    """A served warehouse, what it was asked, and what it does to statements. ``requests``: also those without a statement."""

    engine: Engine
    statements: list[str] = field(default_factory=list)
    fault: Callable[[str], None] | None = None
    requests: int = 0
    port: int = 0

    def on_statement(self, text: str) -> None:
        self.statements.append(text)
        if self.fault:
            self.fault(text)

    def service(self) -> WarehouseService:
        stand = self

        class Counted(WarehouseService):
            def handle(self, body: bytes, authorization: str | None) -> HttpAnswer:
                stand.requests += 1
                return super().handle(body, authorization)

        return Counted(self.engine, lambda: TOKEN, self.on_statement)


def ignore(_: str) -> None:
    """Nobody looks at the statements."""


def ask(connection: Connection, text: str, parameters: Any = None) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        return [tuple(row) for row in cursor.execute(text, parameters).fetchall()]


MERGE = """
    MERGE INTO crm.sfdc_dbx.log AS log
    USING (SELECT CAST(:id AS STRING) AS id, CAST(:count AS BIGINT) AS count) AS source ON log.id = source.id
    WHEN MATCHED AND source.count < 0 THEN DELETE
    WHEN MATCHED THEN UPDATE SET count = COALESCE(source.count, log.count), seen_at = current_timestamp()
    WHEN NOT MATCHED THEN INSERT (id, count, seen_at) VALUES (source.id, source.count, current_timestamp())
"""
