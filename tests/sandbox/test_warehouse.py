"""The warehouse over its real wire: databricks-sql-connector and Airflow's DatabricksSqlHook ask a served `WarehouseService`."""

import datetime as dt
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.databricks.hooks.databricks_sql import DatabricksSqlHook
from databricks import sql
from databricks.sql.client import Connection
from databricks.sql.exc import DatabaseError, Error, RequestError, ServerOperationError
from urllib3.exceptions import HTTPError

from feature_sync.schema import own_tables
from feature_sync.settings import Settings, load_settings
from feature_sync.warehouse import Warehouse
from sandbox.seed import seed_warehouse
from sandbox.warehouse.engine import Engine
from sandbox.warehouse.service import StatementFault, WarehouseService
from tests.sandbox.wire import PATH, TOKEN, airflow_connection, serve
from tests.sql_script import CLOCK_COLUMNS, Change, fill_copy, script

PROJECT = Path(__file__).parents[2]


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
    """A served warehouse, what it was asked, and what it does to statements."""

    engine: Engine
    statements: list[str] = field(default_factory=list)
    fault: Callable[[str], None] | None = None
    port: int = 0

    def on_statement(self, text: str) -> None:
        self.statements.append(text)
        if self.fault:
            self.fault(text)


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "databricks.sql")  # else pytest keeps every message of the wire
    caplog.set_level(logging.WARNING, "databricks.sql.unsafe")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    stand = Stand(Engine(tmp_path_factory.mktemp("warehouse")))
    seed_warehouse(stand.engine)
    service = WarehouseService(stand.engine, lambda: TOKEN, stand.on_statement)
    server = serve(service)
    stand.port = server.server_port
    yield stand
    server.shutdown()
    server.server_close()
    service.close()
    stand.engine.close()


@pytest.fixture
def stand(served: Stand) -> Iterator[Stand]:
    yield served
    served.fault = None
    served.statements.clear()


@pytest.fixture
def connection(stand: Stand) -> Iterator[Connection]:
    with connect(stand.port, session_configuration={"TIMEZONE": "UTC"}) as connection:
        yield connection


@pytest.fixture
def hook(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> DatabricksSqlHook:
    monkeypatch.setenv("AIRFLOW_CONN_DATABRICKS_DEFAULT", airflow_connection(stand.port))
    return DatabricksSqlHook("databricks_default", session_configuration={"TIMEZONE": "UTC"})


def _ignore(_: str) -> None:
    """Of statements nobody asks for."""


def ask(connection: Connection, text: str, parameters: Any = None) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        return [tuple(row) for row in cursor.execute(text, parameters).fetchall()]


# --- values ---------------------------------------------------------------------------------------------------------------------

NOON = dt.datetime(2025, 11, 21, 12, 0, 0, 123_456, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        pytest.param("BIGINT", 9_007_199_254_740_993, id="bigint-no-float-holds"),
        pytest.param("INT", -2_147_483_648, id="int"),
        pytest.param("STRING", "O'Neil, \"Loft\", it's\n東京 \\ :x ? 100%", id="string"),
        pytest.param("STRING", "", id="empty-string"),
        pytest.param("BOOLEAN", True, id="true"),
        pytest.param("BOOLEAN", False, id="false"),
        pytest.param("DATE", dt.date(2024, 2, 29), id="date"),
        pytest.param("TIMESTAMP", NOON, id="timestamp"),
        pytest.param("DECIMAL(12,4)", Decimal("-12345678.1234"), id="decimal"),
        pytest.param("DOUBLE", 0.1, id="double"),
        *(pytest.param(kind, None, id=f"null-{kind.lower()}") for kind in ("STRING", "BIGINT", "BOOLEAN", "DATE", "TIMESTAMP")),
    ],
)
def test_a_value_comes_back_from_a_table_as_it_went(connection: Connection, kind: str, value: Any) -> None:
    ask(connection, f"CREATE OR REPLACE TABLE crm.sfdc_dbx.round_trip (value {kind})")
    ask(connection, f"INSERT INTO crm.sfdc_dbx.round_trip SELECT CAST(:value AS {kind})", {"value": value})

    [(found,)] = ask(connection, "SELECT value FROM crm.sfdc_dbx.round_trip")
    [(equal,)] = ask(
        connection, f"SELECT value IS NOT DISTINCT FROM CAST(:value AS {kind}) FROM crm.sfdc_dbx.round_trip", {"value": value}
    )

    assert found == value
    assert type(found) is type(value)
    assert equal


def test_parameters_are_found_by_name_and_superfluous_ones_do_not_matter(connection: Connection) -> None:
    rows = ask(connection, "SELECT :b AS b, :a AS a, :b || ':a' AS text", {"a": 1, "b": "x", "unused": 3})

    assert rows == [("x", 1, "x:a")]


def test_question_marks_are_filled_in_the_order_of_the_text(connection: Connection) -> None:
    text = "WITH t AS (SELECT ? AS first) SELECT ?, first, '?' FROM t WHERE ? = 3 LIMIT ?"

    assert ask(connection, text, ["one", "two", 3, 4]) == [("two", "one", "?")]


def test_a_parameter_without_type_is_null(connection: Connection) -> None:
    rows = ask(
        connection, "SELECT :x IS NULL OR 1 = CAST(:x AS INT), CAST(:x AS STRING), COALESCE(CAST(:x AS BIGINT), 7)", {"x": None}
    )

    assert rows == [(True, None, 7)]


def test_256_parameters_pass_and_257_are_refused_before_execution(connection: Connection, stand: Stand) -> None:
    names = [f"p{number}" for number in range(257)]
    values = dict.fromkeys(names, 1)

    [(total,)] = ask(connection, f"SELECT {' + '.join(f':{name}' for name in names[:256])}", dict.fromkeys(names[:256], 1))
    with pytest.raises(RequestError, match="257 parameters were given but the limit is 256"):
        ask(connection, f"SELECT {' + '.join(f':{name}' for name in names)}", values)

    assert total == 256
    assert len(stand.statements) == 1


# --- statements -----------------------------------------------------------------------------------------------------------------


def test_create_or_replace_as_gives_the_same_table_twice(connection: Connection) -> None:
    text = (
        "CREATE OR REPLACE TABLE crm.sfdc_dbx.frozen AS "
        "SELECT *, :run AS run_id FROM rds.pg_rds_public.properties WHERE id % 7 = :rest"
    )

    with connection.cursor() as cursor:
        counts = [tuple(cursor.execute(text, {"run": "r1", "rest": 3}).fetchone()) for _ in range(2)]
    rows = ask(connection, "SELECT COUNT(*), COUNT(DISTINCT id), MIN(run_id) FROM crm.sfdc_dbx.frozen")

    [(count, distinct, run)] = rows
    assert counts == [(count, count)] * 2
    assert 1_000 < count == distinct
    assert run == "r1"


MERGE = """
    MERGE INTO crm.sfdc_dbx.log AS log
    USING (SELECT CAST(:id AS STRING) AS id, CAST(:count AS BIGINT) AS count) AS source ON log.id = source.id
    WHEN MATCHED AND source.count < 0 THEN DELETE
    WHEN MATCHED THEN UPDATE SET count = COALESCE(source.count, log.count), seen_at = current_timestamp()
    WHEN NOT MATCHED THEN INSERT (id, count, seen_at) VALUES (source.id, source.count, current_timestamp())
"""


def test_merge_answers_with_four_counts_and_twice_gives_one_row(connection: Connection) -> None:
    ask(connection, "CREATE OR REPLACE TABLE crm.sfdc_dbx.log (id STRING, count BIGINT, seen_at TIMESTAMP)")

    answers = [ask(connection, MERGE, {"id": "a", "count": count}) for count in (3, 3, None)]
    rows = ask(
        connection,
        "SELECT id, count, seen_at BETWEEN current_timestamp() - INTERVAL 1 MINUTE AND current_timestamp() FROM crm.sfdc_dbx.log",
    )
    deletion = ask(connection, MERGE, {"id": "a", "count": -1})

    assert answers == [[(1, 0, 0, 1)], [(1, 1, 0, 0)], [(1, 1, 0, 0)]]
    assert rows == [("a", 3, True)]
    assert deletion == [(1, 0, 1, 0)]


@pytest.mark.parametrize(
    ("text", "changed", "left"),
    [
        pytest.param("INSERT INTO {t} VALUES (4, 'd'), (5, 'e')", 2, [1, 2, 3, 4, 5], id="insert"),
        pytest.param("INSERT INTO {t} (id) SELECT id + 10 FROM {t}", 3, [1, 2, 3, 11, 12, 13], id="insert-select"),
        pytest.param(
            "INSERT OVERWRITE {t} SELECT id + 10, name FROM {t} WHERE id > 1", 2, [12, 13], id="insert-overwrite-from-itself"
        ),
        pytest.param("UPDATE {t} SET id = id * 2 WHERE name <> 'b'", 2, [2, 2, 6], id="update"),
        pytest.param(
            "DELETE FROM {t} WHERE NOT EXISTS (SELECT 1 FROM {t} AS u WHERE u.id = 2 * {t}.id)", 2, [1], id="delete-not-exists"
        ),
        pytest.param("TRUNCATE TABLE {t}", None, [], id="truncate"),
    ],
)
def test_a_change_reports_how_many_rows_it_changed(
    connection: Connection, text: str, changed: int | None, left: list[int]
) -> None:
    table = "crm.sfdc_dbx.changed"
    ask(connection, f"CREATE OR REPLACE TABLE {table} (id INT, name STRING)")
    ask(connection, f"INSERT INTO {table} VALUES (1, 'a'), (2, 'b'), (3, 'c')")

    with connection.cursor() as cursor:
        cursor.execute(text.format(t=table))
        rowcount = cursor.rowcount

    assert rowcount == (-1 if changed is None else changed)
    assert [row[0] for row in ask(connection, f"SELECT id FROM {table} ORDER BY id")] == left


@pytest.mark.parametrize(
    ("text", "parameters", "answer"),
    [
        pytest.param("SELECT COUNT_IF(x > 1), COUNT_IF(x > 9) FROM VALUES (1), (2), (3) AS t(x)", {}, [(2, 0)], id="count_if"),
        pytest.param(
            "SELECT x, y FROM VALUES (1, 1), (1, 2), (2, 5) AS t(x, y) "
            "QUALIFY row_number() OVER (PARTITION BY x ORDER BY y DESC) = 1 ORDER BY x",
            {},
            [(1, 2), (2, 5)],
            id="qualify",
        ),
        pytest.param(
            "SELECT id FROM (SELECT explode(split(:ids, ',')) AS id) AS ids ORDER BY id",
            {"ids": "7,10,9"},
            [("10",), ("7",), ("9",)],
            id="explode",
        ),
        pytest.param(
            "SELECT array_contains(split(:ids, ','), '10'), array_contains(split(:ids, ','), '1')",
            {"ids": "7,10,9"},
            [(True, False)],
            id="array_contains",
        ),
        pytest.param("SELECT CASE :scope WHEN 'all' THEN 1 ELSE 2 END", {"scope": "all"}, [(1,)], id="case-of-parameter"),
        pytest.param(
            "SELECT NULL IS DISTINCT FROM FALSE, NULL IS DISTINCT FROM NULL, NULL <=> NULL",
            {},
            [(True, False, True)],
            id="is-distinct-from",
        ),
        pytest.param(
            "SELECT CAST(floor((50 - 1) / :size) AS INT) + 1, CAST(floor((51 - 1) / :size) AS INT) + 1",
            {"size": 50},
            [(1, 2)],
            id="batch-number",
        ),
        pytest.param("SELECT SUM(x) FROM VALUES (3000000000), (3000000000) AS t(x)", {}, [(6_000_000_000,)], id="sum-is-bigint"),
        pytest.param("SELECT x FROM VALUES (2), (NULL), (1) AS t(x) ORDER BY x", {}, [(None,), (1,), (2,)], id="nulls-first"),
        pytest.param(
            "SELECT CAST(TIMESTAMP '2025-11-21T00:00:00.120Z' AS STRING), CAST(DATE '2025-11-21' AS STRING), CAST(:x AS STRING)",
            {"x": "2025-11-21 00:00:00+00"},
            [("2025-11-21 00:00:00.12", "2025-11-21", "2025-11-21 00:00:00+00")],
            id="time-as-text",
        ),
        pytest.param("SELECT * EXCEPT (y) FROM (SELECT 1 AS x, 2 AS y)", {}, [(1,)], id="except"),
    ],
)
def test_databricks_sql_is_understood(connection: Connection, text: str, parameters: dict[str, Any], answer: list[Any]) -> None:
    assert ask(connection, text, parameters) == answer


def test_catalogs_join(connection: Connection) -> None:
    [(count,)] = ask(
        connection,
        "SELECT COUNT(*) FROM rds.pg_rds_public.properties AS rds LEFT JOIN crm.sfdc_dbx.product_property_w_features AS feat "
        "ON CAST(rds.id AS STRING) = feat.property_id WHERE feat.fraud_enabled",
    )

    assert count > 8_000


def test_describe_answers_in_the_form_of_databricks(connection: Connection) -> None:
    ask(
        connection,
        "CREATE OR REPLACE TABLE crm.sfdc_dbx.described (a BIGINT, b STRING, c BOOLEAN, d DATE, e TIMESTAMP, f INT, g DOUBLE, "
        "h DECIMAL(10,2), i ARRAY<STRING>, j TIMESTAMP_NTZ) USING DELTA COMMENT 'x'",
    )

    with connection.cursor() as cursor:
        cursor.execute("DESCRIBE TABLE crm.sfdc_dbx.described")
        names = [column[0] for column in cursor.description or ()]
        rows = [tuple(row) for row in cursor.fetchall()]

    kinds = [
        "bigint",
        "string",
        "boolean",
        "date",
        "timestamp",
        "int",
        "double",
        "decimal(10,2)",
        "array<string>",
        "timestamp_ntz",
    ]
    assert names == ["col_name", "data_type", "comment"]
    assert [row[0] for row in rows] == list("abcdefghij")
    assert [row[1].replace(" ", "") for row in rows] == kinds
    assert {row[2] for row in rows} == {None}


def test_columns_can_be_added_and_tables_dropped(connection: Connection) -> None:
    ask(connection, "CREATE OR REPLACE TABLE crm.sfdc_dbx.grown (a INT)")

    ask(connection, "ALTER TABLE crm.sfdc_dbx.grown ADD COLUMNS (b STRING, c TIMESTAMP)")
    columns = [row[:2] for row in ask(connection, "DESCRIBE TABLE crm.sfdc_dbx.grown")]
    for _ in range(2):
        ask(connection, "DROP TABLE IF EXISTS crm.sfdc_dbx.grown")

    assert columns == [("a", "int"), ("b", "string"), ("c", "timestamp")]
    with pytest.raises(ServerOperationError, match="TABLE_OR_VIEW_NOT_FOUND"):
        ask(connection, "SELECT * FROM crm.sfdc_dbx.grown")


@pytest.mark.parametrize(
    "texts", [("USE CATALOG rds", "USE SCHEMA pg_rds_public"), ("USE rds.pg_rds_public",)], ids=["one-by-one", "at-once"]
)
def test_use_changes_the_session_and_no_other(stand: Stand, connection: Connection, texts: tuple[str, ...]) -> None:
    for text in texts:
        ask(connection, text)

    with connect(stand.port) as other:
        assert ask(connection, "SELECT COUNT(*) FROM properties") == [(10_050,)]
        with pytest.raises(ServerOperationError, match="TABLE_OR_VIEW_NOT_FOUND"):
            ask(other, "SELECT COUNT(*) FROM properties")


def test_a_session_opens_in_the_namespace_asked_for(stand: Stand) -> None:
    with connect(stand.port, catalog="rds", schema="pg_rds_public") as connection:
        assert ask(connection, "SELECT COUNT(*) FROM properties") == [(10_050,)]

    with pytest.raises(DatabaseError, match=r"SCHEMA_NOT_FOUND.*`rds`\.`nowhere`"):
        connect(stand.port, catalog="rds", schema="nowhere")


@pytest.mark.parametrize(
    ("configuration", "zone", "date"),
    [
        pytest.param({"TIMEZONE": "UTC"}, "UTC", dt.date(2025, 11, 21), id="utc"),
        pytest.param({"timezone": "America/Los_Angeles"}, "America/Los_Angeles", dt.date(2025, 11, 20), id="los-angeles"),
        pytest.param({"ansi_mode": "true", "STATEMENT_TIMEOUT": "60"}, "Etc/UTC", dt.date(2025, 11, 21), id="none-asked-for"),
    ],
)
def test_dates_are_those_of_the_sessions_time_zone(stand: Stand, configuration: dict[str, str], zone: str, date: dt.date) -> None:
    with connect(stand.port, session_configuration=configuration) as connection:
        rows = ask(
            connection,
            "SELECT current_timezone(), CAST(TIMESTAMP '2025-11-21T00:00:00Z' AS DATE), TIMESTAMP '2025-11-21T00:00:00Z'",
        )

    assert rows == [(zone, date, dt.datetime(2025, 11, 21, tzinfo=dt.UTC))]


# --- errors ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("SELECT * FROM crm.sfdc_dbx.nope", r"\[TABLE_OR_VIEW_NOT_FOUND\] .*`crm`\.`sfdc_dbx`\.`nope`", id="table"),
        pytest.param("SELECT * FROM nowhere.a.b", r"\[TABLE_OR_VIEW_NOT_FOUND\] .*`nowhere`\.`a`\.`b`", id="catalog"),
        pytest.param("DELETE FROM crm.sfdc_dbx.nope", r"\[TABLE_OR_VIEW_NOT_FOUND\]", id="table-to-change"),
        pytest.param("DESCRIBE TABLE crm.sfdc_dbx.nope", r"\[TABLE_OR_VIEW_NOT_FOUND\]", id="table-to-describe"),
        pytest.param("CREATE TABLE crm.nope.t (a INT)", r"\[SCHEMA_NOT_FOUND\]", id="schema"),
        pytest.param("SELECT nope FROM rds.pg_rds_public.properties", r"\[UNRESOLVED_COLUMN.*`nope`", id="column"),
        pytest.param(
            "SELECT p.nope FROM rds.pg_rds_public.properties AS p", r"\[UNRESOLVED_COLUMN.*`nope`", id="qualified-column"
        ),
        pytest.param("UPDATE rds.pg_rds_public.properties SET nope = 1", r"\[UNRESOLVED_COLUMN.*`nope`", id="column-to-change"),
        pytest.param("SELECT nope(1)", r"\[UNRESOLVED_ROUTINE\].*`nope`", id="function"),
        pytest.param("SELECT a FROM", r"\[PARSE_SYNTAX_ERROR\].*'FROM'.*line 1, pos 13", id="cut-off"),
        pytest.param("SELEC 1", r"\[PARSE_SYNTAX_ERROR\]", id="misspelled"),
        pytest.param("SELECT 1; SELECT 2", r"\[PARSE_SYNTAX_ERROR\]", id="two-statements"),
        pytest.param("SELECT :missing", r"\[UNBOUND_SQL_PARAMETER\].*missing", id="parameter"),
        pytest.param("SELECT CAST(name AS BIGINT) FROM rds.pg_rds_public.properties", r"\[CAST_INVALID_INPUT\]", id="cast"),
        pytest.param("SELECT 1 / (id - id) FROM rds.pg_rds_public.properties", r"\[DIVIDE_BY_ZERO\]", id="division-by-zero"),
        pytest.param("SHOW TABLES IN crm.sfdc_dbx", r"\[SANDBOX_UNSUPPORTED\]", id="unsupported"),
        pytest.param(
            "MERGE INTO crm.sfdc_dbx.twice AS t USING (SELECT 1 AS a UNION ALL SELECT 1) AS s ON t.a = s.a "
            "WHEN MATCHED THEN UPDATE SET a = 2",
            r"\[DELTA_MULTIPLE_SOURCE_ROW_MATCHING_TARGET_ROW_IN_MERGE\]",
            id="ambiguous-merge",
        ),
    ],
)
def test_a_wrong_statement_fails_in_the_words_of_databricks(connection: Connection, text: str, message: str) -> None:
    ask(connection, "CREATE OR REPLACE TABLE crm.sfdc_dbx.twice AS SELECT 1 AS a")

    with pytest.raises(ServerOperationError, match=message):
        ask(connection, text)

    assert ask(connection, "SELECT a FROM crm.sfdc_dbx.twice") == [(1,)]


def test_a_wrong_token_is_refused_at_once(stand: Stand) -> None:
    started = time.monotonic()

    with pytest.raises(RequestError) as refusal:
        connect(stand.port, "dapi-wrong")

    assert time.monotonic() - started < 5
    assert refusal.value.context["http-code"] == 403
    assert "Invalid access token" in str(refusal.value)


@pytest.mark.parametrize(
    ("body", "authorization", "status"),
    [
        pytest.param(b"", None, 401, id="no-token"),
        pytest.param(b"", "Basic eDp5", 403, id="another-scheme"),
        pytest.param(b"not thrift", f"Bearer {TOKEN}", 400, id="garbage"),
        pytest.param(b"", f"Bearer {TOKEN}", 400, id="nothing"),
    ],
)
def test_what_is_no_request_is_refused(tmp_path: Path, body: bytes, authorization: str | None, status: int) -> None:
    engine = Engine(tmp_path)
    service = WarehouseService(engine, TOKEN, _ignore)

    answer = service.handle(body, authorization)

    service.close()
    engine.close()
    assert answer.status == status


# --- results --------------------------------------------------------------------------------------------------------------------


def test_50_000_rows_stream_in_the_chunks_asked_for(connection: Connection) -> None:
    with connection.cursor(arraysize=7_000) as cursor:
        cursor.execute("SELECT range AS number, repeat('é', 100) AS text FROM range(50003) ORDER BY range")
        chunks = []
        while (chunk := cursor.fetchmany_arrow(7_000)).num_rows:
            chunks.append(chunk)

    numbers = [number for chunk in chunks for number in chunk["number"].to_pylist()]
    assert [chunk.num_rows for chunk in chunks] == [7_000] * 7 + [1_003]
    assert numbers == list(range(50_003))


def test_a_result_is_not_held_in_memory(connection: Connection) -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    peak, rows = 0, 0
    with connection.cursor(arraysize=20_000) as cursor:
        cursor.execute("SELECT range AS number, concat(range, repeat('x', 500)) AS text FROM range(400000)")
        before = resident()
        while (chunk := cursor.fetchmany_arrow(20_000)).num_rows:
            rows += chunk.num_rows
            peak = max(peak, resident() - before)

    assert rows == 400_000  # more than 200 MB of text
    assert peak < 120 * 2**20


def test_a_result_half_read_blocks_nobody(connection: Connection) -> None:
    with connection.cursor(arraysize=500) as half_read:
        half_read.execute("SELECT * FROM rds.pg_rds_public.properties ORDER BY id")
        first = half_read.fetchmany(5)
        ask(connection, "CREATE OR REPLACE TABLE rds.pg_rds_public.properties_copy AS SELECT * FROM rds.pg_rds_public.properties")
        ask(connection, "DROP TABLE rds.pg_rds_public.properties_copy")
        rest = half_read.fetchall()

    assert len(first) + len(rest) == 10_050


SLOW = "SELECT COUNT(*) FROM range(100000) AS a CROSS JOIN range(:rows) AS b WHERE (a.range * 31 + b.range * 17) % 1000003 = 5"


def test_a_statement_longer_than_the_answer_may_take_is_polled(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sandbox.warehouse.service.ANSWER_WITHIN", 0.1)
    monkeypatch.setattr("sandbox.warehouse.service.HOLD_STATUS", 0.1)
    started = time.monotonic()

    [(count,)] = ask(connection, SLOW, {"rows": 3_000})

    assert time.monotonic() - started > 0.3
    assert count > 0


def test_a_statement_can_be_canceled(connection: Connection) -> None:
    with connection.cursor() as cursor:
        cursor.execute_async(SLOW, {"rows": 2_000_000})
        assert cursor.is_query_pending()
        cursor.cancel()
        deadline = time.monotonic() + 10
        while cursor.is_query_pending() and time.monotonic() < deadline:
            pass

        assert not cursor.is_query_pending()


# --- several clients ------------------------------------------------------------------------------------------------------------


def test_parallel_writers_of_one_table_all_succeed(stand: Stand, connection: Connection) -> None:
    ask(connection, "CREATE OR REPLACE TABLE crm.sfdc_dbx.log (id STRING, count BIGINT, seen_at TIMESTAMP)")
    ask(connection, MERGE, {"id": "shared", "count": 0})

    def write(writer: int) -> None:
        with connect(stand.port) as own:
            for number in range(15):
                ask(own, "UPDATE crm.sfdc_dbx.log SET count = count + 1 WHERE id = 'shared'")
                ask(own, MERGE, {"id": f"{writer}-{number}", "count": number})
                ask(own, f"CREATE OR REPLACE TABLE crm.sfdc_dbx.replaced AS SELECT {writer} AS writer, * FROM crm.sfdc_dbx.log")

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(write, range(4)))

    assert ask(connection, "SELECT count FROM crm.sfdc_dbx.log WHERE id = 'shared'") == [(60,)]
    assert ask(connection, "SELECT COUNT(*), COUNT(DISTINCT id) FROM crm.sfdc_dbx.log") == [(61, 61)]


def test_the_sandboxs_own_writes_wait_their_turn(stand: Stand, connection: Connection) -> None:
    ask(connection, "CREATE OR REPLACE TABLE crm.sfdc_dbx.log (id STRING, count BIGINT, seen_at TIMESTAMP)")
    ask(connection, MERGE, {"id": "shared", "count": 0})

    with ThreadPoolExecutor(1) as threads, stand.engine.writing() as cursor:
        cursor.begin()
        cursor.execute("UPDATE crm.sfdc_dbx.log SET count = count + 1")
        update = threads.submit(ask, connection, "UPDATE crm.sfdc_dbx.log SET count = count + 10")
        time.sleep(0.3)
        waited = not update.done()
        cursor.execute("UPDATE crm.sfdc_dbx.log SET count = count + 100")
        cursor.commit()

    assert waited
    assert update.result() == [(1,)]
    assert ask(connection, "SELECT count FROM crm.sfdc_dbx.log") == [(111,)]


def test_reads_do_not_wait_for_a_writer(stand: Stand, connection: Connection) -> None:
    with stand.engine.writing():
        assert ask(connection, "SELECT COUNT(*) FROM rds.pg_rds_public.properties") == [(10_050,)]


def test_what_clients_leave_behind_is_dropped(tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    service = WarehouseService(engine, TOKEN, _ignore, session_idle_seconds=0.5)
    with serve(service) as server:
        vanished = connect(server.server_port)
        vanished.cursor(arraysize=10).execute("SELECT range FROM range(100000)")
        closed = connect(server.server_port)
        closed.cursor(arraysize=10).execute("SELECT range FROM range(100000)")
        sessions = service._protocol._sessions
        opened = [len(session.operations) for session in sessions.values()]
        closed.close()
        after_close = len(sessions)
        time.sleep(0.6)

        with connect(server.server_port) as fresh:
            assert (opened, after_close, len(sessions)) == ([1, 1], 1, 1)
            with pytest.raises(DatabaseError, match="Invalid SessionHandle"):
                ask(vanished, "SELECT 1")
            del vanished
            assert ask(fresh, "SELECT 1") == [(1,)]
        server.shutdown()
    service.close()
    engine.close()


# --- journal and faults ---------------------------------------------------------------------------------------------------------


def test_each_statement_is_told_of_as_it_came(stand: Stand, connection: Connection) -> None:
    text = "SELECT  :x /* as is */ ,\n 'é' -- to the end"

    ask(connection, text, {"x": 1})
    with pytest.raises(ServerOperationError):
        ask(connection, "SELEC 1")

    assert stand.statements == [text, "SELEC 1"]


def test_a_fault_keeps_the_statement_from_being_executed(stand: Stand, connection: Connection) -> None:
    ask(connection, "CREATE OR REPLACE TABLE crm.sfdc_dbx.faulty AS SELECT 1 AS a")

    def fault(text: str) -> None:
        if text.startswith("DELETE"):
            raise StatementFault("[DELTA_CONCURRENT_APPEND] Transaction conflict detected")

    stand.fault = fault
    with pytest.raises(ServerOperationError, match=r"^\[DELTA_CONCURRENT_APPEND\] Transaction conflict detected"):
        ask(connection, "DELETE FROM crm.sfdc_dbx.faulty")

    assert ask(connection, "SELECT a FROM crm.sfdc_dbx.faulty") == [(1,)]


# --- Airflow --------------------------------------------------------------------------------------------------------------------


def test_airflows_hook_works_unchanged(hook: DatabricksSqlHook, stand: Stand) -> None:
    hook.run(
        [
            "CREATE OR REPLACE TABLE crm.sfdc_dbx.by_hook (id BIGINT, name STRING)",
            "INSERT INTO crm.sfdc_dbx.by_hook SELECT id, name FROM rds.pg_rds_public.properties",
        ]
    )

    first = hook.get_first(
        "SELECT COUNT(*) AS records, current_timezone() AS zone FROM crm.sfdc_dbx.by_hook WHERE id > :id", {"id": 0}
    )
    tested: tuple[bool, str] = hook.test_connection()  # type: ignore[func-returns-value, assignment]

    assert tuple(first) == (10_050, "UTC")
    assert tested == (True, "Connection successfully tested")
    assert len(stand.statements) == 4


@pytest.mark.usefixtures("hook")  # sets the connection
def test_every_statement_of_the_project_is_executed_and_twice_is_harmless(stand: Stand) -> None:
    fill_copy(stand.engine)
    settings = load_settings()
    changed = []

    with Warehouse(settings) as warehouse, connect(stand.port) as others:
        for step in script(settings):
            if isinstance(step, Change):
                ask(others, step.text)
                continue
            warehouse.fetch_all(step.statement, step.parameters, step.names)
            if step.writes and step.statement != "add_columns":  # which is refused
                once = _own_content(stand.engine, settings)
                warehouse.fetch_all(step.statement, step.parameters, step.names)
                if _own_content(stand.engine, settings) != once:
                    changed.append(step.statement)

    assert changed == []


def _own_content(engine: Engine, settings: Settings) -> dict[str, Any]:
    """A number for the content of each table of ours, but for the time of writing."""
    content = {}
    with engine.cursor() as cursor:
        for table in own_tables(settings):
            if cursor.execute("SELECT 1 FROM duckdb_tables() WHERE table_name = ?", [table.name.rpartition(".")[2]]).fetchall():
                columns = [column for [column] in cursor.execute(f"SELECT column_name FROM (DESCRIBE {table.name})").fetchall()]
                values = f"SELECT {', '.join(each for each in columns if each not in CLOCK_COLUMNS)} FROM {table.name}"
                content[table.name] = cursor.execute(f"SELECT count(*), sum(hash(content)) FROM ({values}) AS content").fetchall()
    return content


def test_the_incident_joined_over_the_wire_has_its_numbers(hook: DatabricksSqlHook, stand: Stand) -> None:
    fill_copy(stand.engine)

    [row] = hook.get_records(
        "SELECT COUNT(*), COUNT_IF(fraud_detection_enabled_c), COUNT_IF(feat.fraud_enabled), COUNT_IF(feat.iv_enabled) "
        "FROM crm.salesforce.product_property_c AS salesforce "
        "LEFT JOIN rds.pg_rds_public.properties AS rds ON CAST(rds.id AS STRING) = salesforce.reverse_etl_id_c "
        "LEFT JOIN crm.sfdc_dbx.product_property_w_features AS feat ON CAST(rds.id AS STRING) = feat.property_id "
        "WHERE CAST(salesforce.created_date AS DATE) BETWEEN CAST(:day AS DATE) AND CAST(:day AS DATE)",
        {"day": "2025-11-21"},
    )

    assert tuple(row) == (1_296, 0, 1_226, 1_176)


# --- kill -9 --------------------------------------------------------------------------------------------------------------------


def _start(folder: Path, port: int) -> subprocess.Popen[str]:
    """This file, executed, serves an empty warehouse; see its end."""
    environment = {**os.environ, "PYTHONPATH": f"{PROJECT}:{PROJECT / 'plugins'}"}
    process = subprocess.Popen(
        [sys.executable, __file__, str(folder), str(port)], env=environment, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "serving\n"
    return process


def _kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def test_what_was_committed_survives_kill_9(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = _start(tmp_path, port)
    try:
        before = connect(port)
        ask(before, "CREATE SCHEMA crm.sfdc_dbx")
        ask(before, "CREATE TABLE crm.sfdc_dbx.log (id STRING, count BIGINT, seen_at TIMESTAMP)")
        acknowledged: list[str] = []

        def write() -> None:
            number = 0
            while True:
                ask(before, MERGE, {"id": str(number), "count": number})
                acknowledged.append(str(number))
                number += 1

        with ThreadPoolExecutor(1) as threads:
            writing = threads.submit(write)
            while len(acknowledged) < 40:
                time.sleep(0.01)
            _kill(process)
            with pytest.raises((Error, HTTPError)):
                writing.result()
        process = _start(tmp_path, port)

        with connect(port) as after:
            found = {row[0] for row in ask(after, "SELECT id FROM crm.sfdc_dbx.log")}
        with pytest.raises(DatabaseError, match="Invalid SessionHandle"):
            ask(before, "SELECT 1")
        before.close()
    finally:
        _kill(process)

    assert len(acknowledged) >= 40
    assert found - set(acknowledged) <= {str(len(acknowledged))}  # the one whose answer was lost
    assert not set(acknowledged) - found


if __name__ == "__main__":
    serve(WarehouseService(Engine(Path(sys.argv[1])), TOKEN, _ignore), int(sys.argv[2]))
    print("serving", flush=True)  # noqa: T201
    signal.pause()
