"""The warehouse as Airflow and this project use it: DatabricksSqlHook and every statement of ``include/sql``."""

from typing import Any

import pytest
from airflow.providers.databricks.hooks.databricks_sql import DatabricksSqlHook

from feature_sync.config.settings import Settings, load_settings
from feature_sync.storage.marks import own_tables
from feature_sync.storage.warehouse import Warehouse
from sandbox.warehouse.engine import Engine
from tests.sandbox.warehouse_client import Stand, ask, connect
from tests.sql.data import fill_copy
from tests.sql.script import script
from tests.sql.steps import CLOCK_COLUMNS, Change


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
            if step.writes and step.statement != "tables/add_columns":  # which is refused
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
