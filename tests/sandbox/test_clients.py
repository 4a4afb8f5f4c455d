"""The clients that the sandbox is for: the vendor's Census hook, our own, Databricks's; and who gets in."""

import base64
import json
import time
from typing import Any

import pytest
import requests
from airflow.providers.databricks.hooks.databricks_sql import DatabricksSqlHook
from airflow_provider_census.hooks.census import CensusHook as VendorsHook

from feature_sync.census.hook import CensusHook
from feature_sync.config.fields import load_fields
from tests.sandbox.client import BACKFILL, BATCH_TABLE, CENSUS_TOKEN, DATASET, PROPERTIES, WORKSPACE_KEY, Sandbox
from tests.sandbox.test_command import connection_lines


@pytest.fixture
def _connections(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in connection_lines(sandbox.port).items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def _v1(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    connection = {"conn_type": "http", "host": sandbox.url, "password": WORKSPACE_KEY, "extra": {"api_version": "v1"}}
    monkeypatch.setenv("AIRFLOW_CONN_CENSUS_DEFAULT", json.dumps(connection))


@pytest.mark.usefixtures("_v1")
def test_the_vendors_hook_triggers_and_reads_a_run(sandbox: Sandbox) -> None:
    sandbox.stage(2)
    hook = VendorsHook()

    ok, message = hook.test_connection()
    run_id = hook.trigger_sync(BACKFILL)
    sandbox.ended(run_id)

    assert ok, message
    assert hook.get_sync_run_info(run_id)["records_updated"] == 2


@pytest.mark.parametrize("version", [pytest.param("_connections", id="v2"), pytest.param("_v1", id="v1")])
def test_our_hook_sends_a_batch(sandbox: Sandbox, version: str, request: pytest.FixtureRequest) -> None:
    request.getfixturevalue(version)
    keys = sandbox.stage(3)
    hook = CensusHook()

    run_id = hook.trigger_sync(BACKFILL)
    while hook.get_run(run_id).is_active:
        time.sleep(0.05)

    assert hook.get_run(run_id).records_updated == 3
    assert sorted(str(record.identifier) for record in hook.list_records(run_id)) == sorted(keys)
    assert hook.list_runs(BACKFILL).runs[0].id == run_id
    assert hook.test_connection()[0]


@pytest.mark.usefixtures("_connections")
def test_our_hook_reads_both_syncs(sandbox: Sandbox) -> None:
    hook = CensusHook()

    backfill, properties = hook.get_sync(BACKFILL), hook.get_sync(PROPERTIES)

    table = load_fields()
    assert (backfill.operation, backfill.source.table, backfill.destination_object) == (
        "update",
        BATCH_TABLE,
        "Product_Property__c",
    )
    assert (backfill.paused, backfill.schedule_frequency) == (False, "never")
    assert [mapping.column for mapping in backfill.mappings] == list(table.columns)
    assert [mapping.column for mapping in backfill.mappings if mapping.is_primary_identifier] == ["reverse_etl_id_c"]
    assert all(mapping.to.lower() == f"{(mapping.column or '').removesuffix('_c')}__c" for mapping in backfill.mappings)
    assert (properties.operation, properties.source.dataset_id) == ("upsert", DATASET)
    assert properties.source.query == hook.get_dataset(DATASET).query
    assert "product_property_w_features" not in (properties.source.query or "")
    assert sandbox.census("GET", "syncs").json()["pagination"]["total_records"] == 2


@pytest.mark.usefixtures("_connections")
def test_the_databricks_hook_reads_a_table_of_each_catalog(sandbox: Sandbox) -> None:
    before = sandbox.seq()
    hook = DatabricksSqlHook("databricks_default")

    row: Any = hook.get_first(
        "SELECT count(*) AS records FROM crm.salesforce.product_property_c c"
        " JOIN rds.pg_rds_public.properties p ON CAST(p.id AS STRING) = c.snappt_property_id_c"
        " WHERE CAST(c.created_date AS DATE) = :day",
        parameters={"day": "2025-11-21"},
    )

    assert row.records == 1_296
    [entry] = sandbox.journal("warehouse.statement", before)
    assert ":day" in entry["sql"]
    assert "2025" not in entry["sql"]


def test_nested_attributes_are_replaced_whole(sandbox: Sandbox) -> None:
    sync = sandbox.census("GET", f"syncs/{BACKFILL}").json()["data"]

    answer = sandbox.census("PATCH", f"syncs/{BACKFILL}", json={"label": "other", "mappings": sync["mappings"][:2]})
    changed = sandbox.census("GET", f"syncs/{BACKFILL}").json()["data"]
    restored = sandbox.census("PATCH", f"syncs/{BACKFILL}", json={"label": sync["label"], "mappings": sync["mappings"]})

    assert answer.json()["status"] == "updated"
    assert (changed["label"], len(changed["mappings"])) == ("other", 2)
    assert changed["operation"] == sync["operation"]
    assert restored.json()["data"]["mappings"] == sync["mappings"]


@pytest.mark.parametrize(
    ("path", "change"),
    [
        pytest.param(f"syncs/{BACKFILL}", {"mappings": []}, id="no-mappings"),
        pytest.param(f"syncs/{BACKFILL}", {"mappings": [{"to": "Name"}]}, id="half-a-mapping"),
        pytest.param(f"syncs/{BACKFILL}", {"operation": "replace"}, id="unknown-operation"),
        pytest.param(f"syncs/{BACKFILL}", {"colour": "blue"}, id="unknown-attribute"),
        pytest.param(f"syncs/{BACKFILL}", {"advanced_configuration": {"batch_size": 0}}, id="batch-size-0"),
        pytest.param(f"datasets/{DATASET}", {"query": "SELEC 1"}, id="sql-that-does-not-parse"),
        pytest.param(
            f"datasets/{DATASET}", {"query": "SELECT nothing FROM rds.pg_rds_public.properties"}, id="sql-that-does-not-run"
        ),
        pytest.param(f"datasets/{DATASET}", {"query": "DROP TABLE rds.pg_rds_public.properties"}, id="no-query"),
    ],
)
def test_a_change_that_makes_no_sense_is_refused_and_changes_nothing(sandbox: Sandbox, path: str, change: dict[str, Any]) -> None:
    before = sandbox.census("GET", path).json()

    answer = sandbox.census("PATCH", path, json=change)

    assert answer.status_code == 400
    assert answer.json()["status"] == "error"
    assert sandbox.census("GET", path).json() == before


def test_a_paused_sync_is_not_triggered(sandbox: Sandbox) -> None:
    sandbox.census("PATCH", f"syncs/{BACKFILL}", json={"paused": True})

    answer = sandbox.census("POST", f"syncs/{BACKFILL}/trigger")

    sandbox.census("PATCH", f"syncs/{BACKFILL}", json={"paused": False})
    assert (answer.status_code, answer.json()["message"]) == (400, "The sync is paused.")


@pytest.mark.parametrize(
    ("version", "header", "code"),
    [
        pytest.param("v2", f"Bearer {CENSUS_TOKEN}", 200, id="v2-personal-token"),
        pytest.param("v2", f"Bearer {WORKSPACE_KEY}", 401, id="v2-workspace-key"),
        pytest.param("v2", None, 401, id="v2-nothing"),
        pytest.param("v1", f"Bearer {WORKSPACE_KEY}", 200, id="v1-workspace-key"),
        pytest.param("v1", f"Bearer {CENSUS_TOKEN}", 401, id="v1-personal-token"),
        pytest.param("v1", "Basic " + base64.b64encode(f"bearer:{WORKSPACE_KEY}".encode()).decode(), 200, id="v1-basic"),
        pytest.param("v2", "Basic " + base64.b64encode(f"bearer:{CENSUS_TOKEN}".encode()).decode(), 401, id="v2-basic"),
        pytest.param("v1", "Basic nonsense", 401, id="v1-nonsense"),
    ],
)
def test_who_gets_into_the_census_api(sandbox: Sandbox, version: str, header: str | None, code: int) -> None:
    answer = requests.get(f"{sandbox.url}/api/{version}/syncs", headers={"Authorization": header} if header else {}, timeout=5)

    assert answer.status_code == code
    assert "Date" in answer.headers
    if code == 401:
        assert answer.json() == {"status": 401}


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer wrong"}])
def test_the_warehouse_wants_its_token(sandbox: Sandbox, header: dict[str, str]) -> None:
    answer = requests.post(f"{sandbox.url}/sql/1.0/warehouses/local", data=b"x", headers=header, timeout=5)

    assert answer.status_code in (401, 403)


def test_after_its_retirement_v1_is_gone(sandbox: Sandbox) -> None:
    sandbox.settings(census_v1_retired=True)

    assert sandbox.census("GET", "syncs", version="v1", token=WORKSPACE_KEY).status_code == 410
    assert sandbox.census("GET", "syncs").status_code == 200


def test_the_journal_holds_no_token(sandbox: Sandbox) -> None:
    text = json.dumps(sandbox.journal())

    assert sandbox.journal("census.request")
    for token in ("dapi-local", CENSUS_TOKEN, WORKSPACE_KEY, "00Dlocal0000001.session"):
        assert token not in text
