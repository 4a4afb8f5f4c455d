"""Databricks SQL over the warehouse's real wire: values, statements, sessions."""

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
from databricks.sql.client import Connection
from databricks.sql.exc import DatabaseError, RequestError, ServerOperationError

from tests.sandbox.warehouse_client import MERGE, Stand, ask, connect

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


def test_256_parameters_are_accepted_and_257_are_refused_before_execution(connection: Connection, stand: Stand) -> None:
    names = [f"p{number}" for number in range(257)]
    values = dict.fromkeys(names, 1)

    [(total,)] = ask(connection, f"SELECT {' + '.join(f':{name}' for name in names[:256])}", dict.fromkeys(names[:256], 1))
    with pytest.raises(RequestError, match="257 parameters were given but the limit is 256"):
        ask(connection, f"SELECT {' + '.join(f':{name}' for name in names)}", values)

    assert total == 256
    assert len(stand.statements) == 1


def test_create_or_replace_as_makes_the_same_table_twice(connection: Connection) -> None:
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


def test_merge_answers_with_four_counts_and_makes_one_row_when_sent_twice(connection: Connection) -> None:
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


def test_trim_strips_blanks_alone(connection: Connection) -> None:
    [row] = ask(connection, "SELECT trim('  a ') AS blanks, trim('\u00a0a\u00a0') AS hard_blanks, trim('\ta\n') AS others")

    assert row == ("a", "\u00a0a\u00a0", "\ta\n")


@pytest.mark.parametrize("value", [["a", "b"], bytearray(b"ab"), {"a": 1}], ids=["array", "binary", "map"])
def test_a_value_of_several_parts_is_refused_and_is_not_null(connection: Connection, value: Any) -> None:
    with pytest.raises(ServerOperationError, match="binds no parameter of type"):
        ask(connection, "SELECT :value AS value", {"value": value})


def test_a_statement_that_comes_again_with_other_values_is_executed_with_these(connection: Connection) -> None:
    text = "SELECT :a || '/' || :b AS text, CAST(:n AS INT) / CAST(:d AS INT) AS quotient, ':a' AS mark"
    values = [("O'Neil", "'", 1, 2), ("\ue0001\ue001", ":a", 3, 4), ("", "it''s", -6, -4)]

    rows = [ask(connection, text, {"a": a, "b": b, "n": n, "d": d}) for a, b, n, d in values]

    assert rows == [[(f"{a}/{b}", n / d, ":a")] for a, b, n, d in values]
    with pytest.raises(ServerOperationError, match="DIVIDE_BY_ZERO"):
        ask(connection, text, {"a": "", "b": "", "n": 1, "d": 0})


def test_a_statement_that_comes_again_with_values_of_other_types_is_executed_with_these(connection: Connection) -> None:
    rows = [ask(connection, "SELECT :x IS NULL AS gone, typeof(:x) AS kind", {"x": x}) for x in (1, "1", None, True, 2)]

    assert [row[0][0] for row in rows] == [False, False, True, False, False]
    assert [row[0][1] for row in rows] == ["INTEGER", "VARCHAR", '"NULL"', "BOOLEAN", "INTEGER"]


def test_a_statement_that_comes_again_in_another_time_zone_shows_it(stand: Stand) -> None:
    zones = ("UTC", "America/Los_Angeles", "UTC")
    found = []
    for zone in zones:
        with connect(stand.port, session_configuration={"TIMEZONE": zone}) as connection:
            found += ask(connection, "SELECT current_timezone() AS zone, CAST(TIMESTAMP'2025-11-21T04:00:00Z' AS DATE) AS day")

    assert [row[0] for row in found] == list(zones)
    assert [str(row[1]) for row in found] == ["2025-11-21", "2025-11-20", "2025-11-21"]


def test_a_statement_that_comes_again_answers_what_the_tables_hold_now(connection: Connection) -> None:
    table = "crm.sfdc_dbx.asked_twice"
    counts = []
    for content in ("1 AS a", "1 AS a, 2 AS b", "'x' AS a"):
        ask(connection, f"CREATE OR REPLACE TABLE {table} AS SELECT {content}")
        counts.append([tuple(row) for row in ask(connection, f"SELECT * FROM {table}")])
    ask(connection, f"DROP TABLE {table}")

    assert counts == [[(1,)], [(1, 2)], [("x",)]]
    with pytest.raises(ServerOperationError, match=r"The table or view `crm`\.`sfdc_dbx`\.`asked_twice` cannot be found"):
        ask(connection, f"SELECT * FROM {table}")
