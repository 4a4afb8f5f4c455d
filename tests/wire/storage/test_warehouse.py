"""Statements over the warehouse's wire: bound, in UTC, streamed, harmless when executed twice, and clear when they fail."""

import json
from collections.abc import Callable

import pyarrow as pa
import pytest

from feature_sync.backfill.payload import freeze_payload, release_payload
from feature_sync.config.settings import load_settings
from feature_sync.storage.warehouse import ConnectError, StatementError, Warehouse
from tests.sandbox.client import Sandbox
from tests.wire.backfill import payloads

HOSTILE_RUN_ID = "'; DROP TABLE x --"


@pytest.fixture(scope="module")
def ids(world: Sandbox) -> list[str]:
    """Thirteen properties of the incident."""
    rows = world.sql(
        "SELECT snappt_property_id_c FROM crm.salesforce.product_property_c"
        " WHERE CAST(created_date AS DATE) = '2025-11-21' ORDER BY snappt_property_id_c LIMIT 13"
    )
    return [row[0] for row in rows]


@pytest.fixture(scope="module")
def frozen(world: Sandbox, ids: list[str]) -> str:  # noqa: ARG001 - the environment
    """The id of a run whose payload is frozen: batches of 5, 5 and 3."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FEATURE_SYNC_PARENT_COLUMN", "")  # so that records are in the order of their ids
        freeze_payload({"scope": "property_ids", "property_ids": ids, "batch_size": 5}, "warehouse")
    release_payload("warehouse")
    return "warehouse"


def scope(name: str = "all") -> dict[str, str | bool | None]:
    return {"scope": name, "created_from": None, "created_to": None, "property_ids": "", "skip_unmatched": False}


@pytest.mark.usefixtures("frozen")
def test_values_are_bound_and_never_part_of_the_text(sandbox: Sandbox) -> None:
    before = sandbox.seq()

    with Warehouse(load_settings()) as warehouse:
        rows = warehouse.fetch_all("backfill/select_batches", {"run_id": HOSTILE_RUN_ID})

    [statement] = sandbox.journal("warehouse.statement", before)
    assert rows == []
    assert ":run_id" in statement["sql"]
    assert "DROP" not in statement["sql"]


def test_the_session_is_in_utc_whatever_the_workspaces_time_zone_is(sandbox: Sandbox) -> None:  # noqa: ARG001
    with Warehouse(load_settings()) as warehouse:
        facts = warehouse.fetch_one("backfill/count_scope", scope())

    assert facts["session_time_zone"] in ("UTC", "Etc/UTC")
    assert facts["records"] == 10_000
    assert warehouse._hook.session_config == {"TIMEZONE": "UTC"}


@pytest.mark.parametrize(
    ("rows_at_once", "sizes"),
    [
        pytest.param(5, [5, 5, 3], id="remainder"),
        pytest.param(13, [13, 0], id="no-remainder"),
        pytest.param(20_000, [13], id="one-table"),
    ],
)
@pytest.mark.usefixtures("sandbox")
def test_a_result_is_streamed_in_parts(
    frozen: str,
    ids: list[str],
    rows_at_once: int,
    sizes: list[int],
) -> None:
    with Warehouse(load_settings(), fetch_rows=rows_at_once) as warehouse:
        tables = list(warehouse.stream("backfill/select_payload", {"run_id": frozen}))

    assert [table.num_rows for table in tables] == sizes
    assert len({table.schema for table in tables}) == 1
    assert pa.concat_tables(tables)["snappt_property_id_c"].to_pylist() == ids


def test_a_result_that_breaks_off_is_a_temporary_error_and_never_a_shorter_result(sandbox: Sandbox, frozen: str) -> None:
    with Warehouse(load_settings(), fetch_rows=2) as warehouse:
        tables = warehouse.stream("backfill/select_payload", {"run_id": frozen})
        next(tables)
        assert sandbox.control("DELETE", "sessions")["sessions"] >= 1

        with pytest.raises(ConnectError, match=r"The result of backfill/select_payload\.sql broke off"):
            list(tables)


def test_an_empty_result_is_one_empty_table_with_its_columns(sandbox: Sandbox, frozen: str) -> None:  # noqa: ARG001
    with Warehouse(load_settings()) as warehouse:
        [table] = warehouse.stream("backfill/select_payload", {"run_id": "nobody"})

    assert (table.num_rows, tuple(table.column_names)) == (0, load_settings().fields.columns)


@pytest.mark.parametrize("kind", ["fetch_all", "execute", "stream"])
def test_a_statement_that_fails_is_named_and_the_warehouses_words_are_kept(sandbox: Sandbox, frozen: str, kind: str) -> None:
    sandbox.fault("warehouse", "fail", message="[OUT_OF_LUCK] no such luck", times=1)

    with (
        Warehouse(load_settings()) as warehouse,
        pytest.raises(StatementError, match=r"select_batches\.sql failed: .*OUT_OF_LUCK") as failed,
    ):
        list(getattr(warehouse, kind)("backfill/select_batches", {"run_id": frozen}) or [])

    assert failed.value.__cause__ is not None
    assert not isinstance(failed.value, ConnectError)


def test_a_session_can_be_used_after_a_statement_that_failed(sandbox: Sandbox, frozen: str) -> None:
    sandbox.fault("warehouse", "fail", times=1)

    with Warehouse(load_settings()) as warehouse:
        with pytest.raises(StatementError):
            warehouse.fetch_all("backfill/select_batches", {"run_id": frozen})
        rows = warehouse.fetch_all("backfill/select_batches", {"run_id": frozen})

    assert [row["records"] for row in rows] == [5, 5, 3]


@pytest.mark.parametrize("fault", ["lost_response", "refuse"])
def test_a_batch_whose_staging_is_sent_again_is_staged_once(sandbox: Sandbox, frozen: str, ids: list[str], fault: str) -> None:
    before = sandbox.seq()
    sandbox.fault("warehouse", fault, contains="INSERT OVERWRITE", times=1)

    with Warehouse(load_settings()) as warehouse:
        warehouse.execute("sending/stage_batch", {"run_id": frozen, "batch_number": 2, "resends_attempt": None, "attempt": 1})
        staged = warehouse.fetch_one("sending/check_staged_batch", {"run_id": frozen, "batch_number": 2})

    assert staged == {"records": 5, "records_of_batch": 5}
    keys = [row[0] for row in sandbox.sql(f"SELECT snappt_property_id_c FROM {load_settings().batch_table} ORDER BY 1")]
    assert keys == ids[5:10]
    statements = [entry["sql"] for entry in sandbox.journal("warehouse.statement", before)]
    assert sum("INSERT OVERWRITE" in sql for sql in statements) == 2


@pytest.mark.parametrize("fault", ["lost_response", "refuse"])
def test_a_payload_whose_freezing_is_sent_again_is_frozen_once(sandbox: Sandbox, ids: list[str], fault: str) -> None:
    sandbox.fault("warehouse", fault, contains="MERGE INTO", times=1)

    frozen = freeze_payload({"scope": "property_ids", "property_ids": ids, "batch_size": 5}, f"again-{fault}")

    assert frozen == payloads.frozen(13)


@pytest.fixture
def connect(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    def connected(address: str, token: str) -> None:
        extra = {
            "http_path": "/sql/1.0/warehouses/local",
            "_connection_uri": f"{address or sandbox.url}/sql/1.0/warehouses/local",
            "enable_telemetry": False,
            "_retry_stop_after_attempts_count": 1,
            "_retry_delay_min": 0.1,
            "_retry_delay_max": 5,
        }
        connection = {"conn_type": "databricks", "host": "127.0.0.1", "password": token, "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_DATABRICKS_DEFAULT", json.dumps(connection))

    return connected


@pytest.mark.parametrize(
    ("address", "token"),
    [
        pytest.param("http://127.0.0.1:9", "dapi-local", id="nobody-listens"),
        pytest.param("", "dapi-wrong-token", id="wrong-token"),
    ],
)
def test_a_refused_connection_is_another_error_than_a_refused_statement(
    connect: Callable[[str, str], None], address: str, token: str
) -> None:
    connect(address, token)

    with Warehouse(load_settings()) as warehouse, pytest.raises(ConnectError, match=r"select_batches\.sql was not sent"):
        warehouse.fetch_all("backfill/select_batches", {"run_id": "x"})


@pytest.mark.parametrize(
    ("address", "said"),
    [
        pytest.param("http://127.0.0.1:9", "Connection refused", id="nobody-listens"),
        pytest.param("", "Invalid access token", id="wrong-token"),
    ],
)
def test_a_refused_connection_is_reported_with_its_reason_and_without_the_token(
    connect: Callable[[str, str], None], address: str, said: str
) -> None:
    connect(address, "dapi-wrong-token")

    with Warehouse(load_settings()) as warehouse, pytest.raises(Exception, match=said) as refused:
        warehouse.fetch_all("backfill/select_batches", {"run_id": "x"})

    assert "dapi-wrong-token" not in str(refused.value) + repr(refused.value)


def test_names_are_rendered_and_values_bound(sandbox: Sandbox, frozen: str) -> None:
    settings = load_settings()
    before = sandbox.seq()

    with Warehouse(settings) as warehouse:
        rows = warehouse.fetch_all("tables/describe_table", names={"table": settings.features_table})
        warehouse.execute("tables/prove_write", names={"table": settings.payload_table})

    described, mark, proof = [entry["sql"] for entry in sandbox.journal("warehouse.statement", before)]
    assert described == f"DESCRIBE TABLE EXTENDED {settings.features_table}"
    assert mark == f"DESCRIBE TABLE EXTENDED {settings.payload_table}"
    assert proof.endswith(f"DELETE FROM {settings.payload_table} WHERE FALSE")
    assert rows[0] == {"col_name": "property_id", "data_type": "string", "comment": None}
    [[records]] = sandbox.sql(f"SELECT count(*) FROM {settings.payload_table} WHERE run_id = '{frozen}'")
    assert records == 13


def test_the_sandbox_counts_no_rows_as_0(sandbox: Sandbox) -> None:
    [row] = sandbox.sql("SELECT COUNT_IF(flag) FROM (SELECT TRUE AS flag) AS t WHERE NOT flag")

    assert row[0] == 0


def test_a_time_without_a_zone_is_read_as_utc(sandbox: Sandbox) -> None:  # noqa: ARG001 - the connections
    names = {"table": "crm.salesforce.product_property_c"}
    with Warehouse(load_settings()) as warehouse:
        [zoned] = warehouse.fetch_all("tables/count_rows", names={**names, "synced_at": "MAX(_fivetran_synced)"})
        naive_time = "CAST(MAX(_fivetran_synced) AS TIMESTAMP_NTZ)"
        [naive] = warehouse.fetch_all("tables/count_rows", names={**names, "synced_at": naive_time})

    assert naive["synced_at"] == zoned["synced_at"]
    assert naive["synced_at"].utcoffset().total_seconds() == 0
