"""Our own tables are created and extended as this version needs them."""

import uuid
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from feature_sync.config.fields import FieldTable, load_fields, parse_fields
from feature_sync.config.problems import OwnTableError
from feature_sync.config.settings import Settings, load_settings
from feature_sync.storage.tables import prepare_tables
from feature_sync.storage.warehouse import Warehouse
from tests.sandbox.client import Sandbox

FIELDS = load_fields()
FROZEN = {
    "run_id": "string",
    "record_number": "bigint",
    "batch_number": "int",
    "frozen_at": "timestamp",
    "released_at": "timestamp",
    "salesforce_id": "string",
    "parent_id": "string",
    "has_feature_row": "boolean",
    "property_name": "string",
}
"""The payload table's columns before those of the fields."""
OUR_TABLES = ("payload_table", "batch_table", "sync_log_table", "rejection_table", "read_back_table")


@pytest.fixture
def own(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Warehouse]:  # noqa: ARG001 - the environment
    """A session with settings that name our tables as nobody has yet."""
    for name in OUR_TABLES:
        monkeypatch.setenv(f"FEATURE_SYNC_{name.upper()}", f"crm.sfdc_dbx.{name}_{uuid.uuid4().hex}")
    with Warehouse(load_settings()) as warehouse:
        yield warehouse


def columns_of(sandbox: Sandbox, table: str) -> dict[str, str]:
    return {name: kind for name, kind, _ in sandbox.sql(f"DESCRIBE TABLE {table}")}


def altering(sandbox: Sandbox, after: int) -> list[str]:
    return [entry["sql"] for entry in sandbox.journal("warehouse.statement", after) if "ALTER TABLE" in entry["sql"]]


class TestOurTables:
    def test_those_that_grow_with_every_batch_keep_the_rows_of_a_batch_together(self, own: Warehouse) -> None:
        prepare_tables(own)

        clustered = {}
        for name in OUR_TABLES:
            [detail] = own.fetch_all("tables/describe_detail", names={"table": getattr(own.settings, name)})
            clustered[name] = list(detail["clusteringColumns"])
        by_batch = ["run_id", "batch_number"]
        assert clustered == {
            "payload_table": by_batch,
            "batch_table": [],
            "sync_log_table": by_batch,
            "rejection_table": by_batch,
            "read_back_table": ["run_id"],
        }

    def test_they_are_made_empty_with_the_columns_that_the_steps_use(self, sandbox: Sandbox, own: Warehouse) -> None:
        prepare_tables(own)

        payload, batch, sync_log, rejection, read_back = (columns_of(sandbox, getattr(own.settings, name)) for name in OUR_TABLES)
        kinds = {field.column: field.kind.warehouse_type.lower() for field in FIELDS}
        before = {f"before_{field.column}": kinds[field.column] for field in FIELDS.features}
        assert payload == FROZEN | kinds | before | {"is_undo": "boolean"}
        assert batch == kinds | {"run_id": "string", "batch_number": "int"}
        assert {"run_id", "batch_number", "attempt", "status", "sync_run_id", "run_ended_at"} < set(sync_log)
        assert set(rejection) == {"run_id", "batch_number", "attempt", "reverse_etl_id_c", "reason"}
        assert {field.column for field in FIELDS.features} < set(read_back)
        assert {sandbox.sql(f"SELECT count(*) FROM {getattr(own.settings, name)}")[0][0] for name in OUR_TABLES} == {0}

    def test_doing_it_again_changes_nothing_not_even_after_a_batch_was_staged(self, sandbox: Sandbox, own: Warehouse) -> None:
        prepare_tables(own)
        own.execute("sending/stage_batch", {"run_id": "nobody", "batch_number": 1, "resends_attempt": None, "attempt": 1})
        sandbox.sql(f"INSERT INTO {own.settings.rejection_table} VALUES ('r', 1, 1, 'k', 'because')")
        before = sandbox.seq()

        prepare_tables(own)

        assert sandbox.sql(f"SELECT * FROM {own.settings.rejection_table}") == [("r", 1, 1, "k", "because")]
        assert altering(sandbox, before) == []

    def test_columns_that_came_later_are_added_whatever_the_case_and_order_of_the_others(
        self, sandbox: Sandbox, own: Warehouse
    ) -> None:
        table = own.settings.payload_table
        old = "CAST(7 AS BIGINT) AS Record_Number, 'old' AS RUN_ID, 'mine' AS note, 'id' AS Salesforce_Id"
        sandbox.sql(f"CREATE TABLE {table} TBLPROPERTIES ('feature_sync.table' = 'payload/1') AS SELECT {old}")
        before = sandbox.seq()

        prepare_tables(own)
        prepare_tables(own)

        columns = columns_of(sandbox, table)
        assert len(altering(sandbox, before)) == 1
        assert len(columns) == len({name.lower() for name in columns}) == len(FROZEN) + 23 + 21 + 2
        assert sandbox.sql(f"SELECT run_id, record_number, note, has_feature_row FROM {table}") == [("old", 7, "mine", None)]

    def test_a_new_product_gets_its_columns_in_the_tables_that_hold_products(
        self, sandbox: Sandbox, own: Warehouse, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        prepare_tables(own)
        monkeypatch.setattr(Settings, "fields", with_product("pet_screening", FIELDS))

        prepare_tables(own)

        new = ["pet_screening_enabled_c", "pet_screening_start_date_c", "pet_screening_updated_date_c"]
        before = [f"before_{column}" for column in new]
        payload, batch, sync_log, rejection, read_back = (columns_of(sandbox, getattr(own.settings, name)) for name in OUR_TABLES)
        assert list(read_back)[-3:] == new
        assert list(payload)[-6:] == new + before
        assert list(batch)[-3:] == new
        assert not set(new + before) & (set(sync_log) | set(rejection))

    def test_a_column_of_another_type_is_refused_with_both_types_and_the_way_out(self, sandbox: Sandbox, own: Warehouse) -> None:
        prepare_tables(own)
        changed = {"datetime_fields": frozenset({"vor_start_date_c", "idv_only_updated_date_c"})}
        own.settings = own.settings.model_copy(update=changed)
        before = sandbox.seq()

        with pytest.raises(OwnTableError) as refused:
            prepare_tables(own)

        payload, batch, read_back = refused.value.problems
        wrong = ["idv_only_updated_date_c", "vor_start_date_c", "before_idv_only_updated_date_c", "before_vor_start_date_c"]
        assert payload == (
            f"{own.settings.payload_table} was created with other types: "
            + ", ".join(f"{column} is date, now it must be timestamp" for column in wrong)
            + ". Rename the table, and a new one is created. Earlier runs can then be neither retried nor undone."
        )
        assert batch.startswith(f"{own.settings.batch_table} was created with other types: idv_only_updated_date_c is date")
        assert read_back.startswith(f"{own.settings.read_back_table} was created with other types: idv_only_updated_date_c")
        assert altering(sandbox, before) == []

    def test_a_table_that_may_not_be_written_is_refused_with_the_warehouses_words(self, sandbox: Sandbox, own: Warehouse) -> None:
        denied = "[INSUFFICIENT_PERMISSIONS] Insufficient privileges: MODIFY. SQLSTATE: 42501"
        sandbox.fault("warehouse", "fail", message=denied, contains=f"DELETE FROM {own.settings.rejection_table} WHERE FALSE")

        with pytest.raises(OwnTableError, match=r"prove_write\.sql failed: \[INSUFFICIENT_PERMISSIONS\]") as refused:
            prepare_tables(own)

        [problem] = refused.value.problems
        assert problem.startswith(f"{own.settings.rejection_table}: ")

    def test_statements_whose_answer_was_lost_are_sent_again_and_do_no_harm(self, sandbox: Sandbox, own: Warehouse) -> None:
        statements = ("CREATE TABLE IF NOT EXISTS", "WHERE FALSE")
        for statement in statements:
            sandbox.fault("warehouse", "lost_response", times=1, contains=statement)
        before = sandbox.seq()

        prepare_tables(own)

        sent = [entry["sql"] for entry in sandbox.journal("warehouse.statement", before)]
        made = len(OUR_TABLES)  # the tables of the drift, of differences, of accepted ones and of approvals exist
        assert [sum(statement in sql for sql in sent) for statement in statements] == [made + 1, made + 5]

    def test_columns_whose_adding_was_not_answered_are_added_once(self, sandbox: Sandbox, own: Warehouse) -> None:
        sandbox.sql(
            f"CREATE TABLE {own.settings.payload_table} TBLPROPERTIES ('feature_sync.table' = 'payload/1') AS"
            " SELECT 'old' AS run_id, 'id' AS salesforce_id, CAST(7 AS BIGINT) AS record_number"
        )
        sandbox.fault("warehouse", "lost_response", times=1, contains="ADD COLUMNS")

        prepare_tables(own)

        assert len(columns_of(sandbox, own.settings.payload_table)) == len(FROZEN) + 23 + 21 + len({"is_undo"})


def with_product(name: str, fields: FieldTable) -> property:
    def row(product: Any) -> dict[str, str]:
        names: Sequence[str] = [field.column for field in product.fields]
        return {
            "label": product.label,
            "source": product.source,
            **dict(zip(("enabled", "start", "updated"), names, strict=True)),
        }

    products = {product.name: row(product) for product in fields.products}
    products[name] = {
        "label": name,
        "source": name,
        "enabled": f"{name}_enabled_c",
        "start": f"{name}_start_date_c",
        "updated": f"{name}_updated_date_c",
    }
    data = {"property_id": fields.property_id.column, "upsert_key": fields.upsert_key.column, "products": products}
    table = parse_fields(data)
    return property(lambda _: table)
