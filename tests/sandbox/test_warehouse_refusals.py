"""What the warehouse refuses, in the words of Databricks, and the faults that a test may ask for."""

from pathlib import Path

import pytest
from databricks.sql.client import Connection
from databricks.sql.exc import RequestError, ServerOperationError

from sandbox.warehouse.engine import Engine
from sandbox.warehouse.service import StatementFault, WarehouseService
from tests.sandbox.warehouse_client import Stand, ask, connect, ignore
from tests.sandbox.wire import TOKEN


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
        pytest.param(
            "ANALYZE TABLE rds.pg_rds_public.properties COMPUTE STATISTICS", r"\[SANDBOX_UNSUPPORTED\]", id="unsupported"
        ),
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
    before = stand.requests

    with pytest.raises(RequestError) as refusal:
        connect(stand.port, "dapi-wrong")

    assert stand.requests == before + 1, "the connector does not ask again"
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
def test_a_body_that_is_no_request_is_refused(tmp_path: Path, body: bytes, authorization: str | None, status: int) -> None:
    engine = Engine(tmp_path)
    service = WarehouseService(engine, TOKEN, ignore)

    answer = service.handle(body, authorization)

    service.close()
    engine.close()
    assert answer.status == status


def test_each_statement_is_reported_exactly_as_sent(stand: Stand, connection: Connection) -> None:
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
