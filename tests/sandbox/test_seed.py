"""The sandbox's data has exactly the numbers of the incident report, and is hard on code that is only nearly right."""

import datetime as dt
import hashlib
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from feature_sync.config.fields import FieldKind, load_fields
from sandbox.seed import org_records, seed_warehouse
from sandbox.warehouse.engine import Engine

FIELDS = load_fields()
INCIDENT_DAY = dt.date(2025, 11, 21)
DIGEST = (
    "import hashlib; from sandbox.seed import org_records; print(hashlib.sha256(repr(list(org_records())).encode()).hexdigest())"
)


@pytest.fixture(scope="module")
def records() -> list[dict[str, Any]]:
    return list(org_records())


@pytest.fixture(scope="module")
def incident(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [record for record in records if record["CreatedDate"].date() == INCIDENT_DAY]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory, records: list[dict[str, Any]]) -> Iterator[Engine]:
    """Seeded, and with the org replicated, column by column, into its copy."""
    engine = Engine(tmp_path_factory.mktemp("warehouse"))
    seed_warehouse(engine)
    columns = {
        "id": [record["Id"] for record in records],
        "snappt_property_id_c": [record["Snappt_Property_ID__c"] for record in records],
        "reverse_etl_id_c": [record["Reverse_ETL_ID__c"] for record in records],
        "created_date": pa.array([record["CreatedDate"] for record in records], pa.timestamp("us", "UTC")),
        "is_deleted": [record["IsDeleted"] for record in records],
    }
    for field in FIELDS.features:
        kind = pa.bool_() if field.kind is FieldKind.CHECKBOX else pa.date32()
        columns[field.column] = pa.array([record[field.salesforce_name] for record in records], kind)
    with engine.writing() as cursor:
        copy = pa.table(columns)
        cursor.execute("INSERT INTO crm.salesforce.product_property_c BY NAME FROM copy")
        del copy
    yield engine
    engine.close()


@pytest.fixture
def cursor(engine: Engine) -> Iterator[duckdb.DuckDBPyConnection]:
    with engine.cursor() as cursor:
        yield cursor


COMPARED = """
    SELECT salesforce.*, features.*, properties.*, features.property_id IS NOT NULL AS has_row
    FROM crm.salesforce.product_property_c AS salesforce
    LEFT JOIN rds.pg_rds_public.properties AS properties ON CAST(properties.id AS TEXT) = salesforce.snappt_property_id_c
    LEFT JOIN crm.sfdc_dbx.product_property_w_features AS features ON features.property_id = salesforce.snappt_property_id_c
    WHERE NOT salesforce.is_deleted
"""
OF_INCIDENT = "created_date >= '2025-11-21T00:00:00Z' AND created_date < '2025-11-22T00:00:00Z'"
INCIDENT = f"(SELECT * FROM ({COMPARED}) WHERE {OF_INCIDENT})"
HEALTHY = f"(SELECT * FROM ({COMPARED}) WHERE NOT ({OF_INCIDENT}))"


@pytest.mark.parametrize(
    ("product", "in_salesforce", "in_warehouse"),
    [
        pytest.param("fraud_detection", 0, 1_226, id="fraud-detection"),
        pytest.param("income_verification", 0, 1_176, id="income-verification"),
        pytest.param("id_verification", 0, 7, id="id-verification"),
        pytest.param("connected_payroll", 0, 5, id="connected-payroll"),
        pytest.param("bank_linking", 0, 4, id="bank-linking"),
        pytest.param("idv_only", 0, 0, id="idv-only"),
        pytest.param("verification_of_rent", 0, 0, id="verification-of-rent"),
    ],
)
def test_the_incidents_products(cursor: duckdb.DuckDBPyConnection, product: str, in_salesforce: int, in_warehouse: int) -> None:
    [enabled] = [each.enabled for each in FIELDS.products if each.name == product]

    counts = cursor.execute(f"SELECT count(*), count_if({enabled.column}), count_if({enabled.source}) FROM {INCIDENT}").fetchall()

    assert counts == [(1_296, in_salesforce, in_warehouse)]


def test_of_the_incidents_records_70_have_no_product_and_40_of_these_no_feature_row(cursor: duckdb.DuckDBPyConnection) -> None:
    any_product = " OR ".join(str(product.enabled.source) for product in FIELDS.products)

    counts = cursor.execute(
        f"SELECT count_if(has_row AND ({any_product})), count_if(has_row AND NOT ({any_product})), count_if(NOT has_row), "
        f"count_if(iv_enabled AND NOT fraud_enabled) FROM {INCIDENT}"
    ).fetchall()

    assert counts == [(1_226, 30, 40, 0)]


def test_before_any_correction_the_incidents_records_are_empty(incident: list[dict[str, Any]]) -> None:
    values = {
        (field.kind, record[field.salesforce_name]) for record in incident for field in FIELDS.features
    }  # the flags and the dates

    assert len(incident) == 1_296
    assert values == {(FieldKind.CHECKBOX, False), (FieldKind.DATE, None)}


def test_only_records_of_the_incident_differ_from_the_warehouse(cursor: duckdb.DuckDBPyConnection) -> None:
    differs = " OR ".join(
        f"coalesce({field.source}, FALSE) IS DISTINCT FROM {field.column}"
        if field.kind is FieldKind.CHECKBOX
        else f"CAST({field.source} AS DATE) IS DISTINCT FROM {field.column}"
        for field in FIELDS.features
    )

    count = f"SELECT count(*), count_if({differs}) FROM"

    [(healthy, healthy_differing)] = cursor.execute(f"{count} {HEALTHY}").fetchall()
    [(_, incident_differing)] = cursor.execute(f"{count} {INCIDENT}").fetchall()

    assert (healthy, healthy_differing) == (8_704, 0)
    assert 1_226 <= incident_differing <= 1_256


@pytest.mark.parametrize("zone", ["America/Los_Angeles", "Asia/Tokyo"])
def test_a_wrong_time_zone_gives_wrong_dates(cursor: duckdb.DuckDBPyConnection, zone: str) -> None:
    cursor.execute(f"SET TimeZone = '{zone}'")

    [(differing,)] = cursor.execute(
        f"SELECT count_if(CAST(fraud_enabled_at AS DATE) <> fraud_detection_start_date_c) FROM {HEALTHY}"
    ).fetchall()

    assert differing > 500


@pytest.mark.parametrize("shift", ["+ INTERVAL 1 SECOND", "- INTERVAL 1 SECOND"], ids=["before-midnight", "after-midnight"])
def test_some_times_are_a_second_from_another_date(cursor: duckdb.DuckDBPyConnection, shift: str) -> None:
    cursor.execute("SET TimeZone = 'UTC'")

    [(differing,)] = cursor.execute(
        f"SELECT count_if(CAST(fraud_enabled_at {shift} AS DATE) <> CAST(fraud_enabled_at AS DATE)) FROM {INCIDENT}"
    ).fetchall()

    assert differing > 20


def test_the_incidents_day_has_both_its_ends_and_neighbours_a_second_away(records: list[dict[str, Any]]) -> None:
    created = Counter(record["CreatedDate"] for record in records)
    of_day = sorted(at for at in created.elements() if at.date() == INCIDENT_DAY)

    assert len(of_day) == 1_296
    assert of_day[0] == dt.datetime(2025, 11, 21, 0, 0, 0, tzinfo=dt.UTC)
    assert of_day[-1] == dt.datetime(2025, 11, 21, 23, 59, 59, tzinfo=dt.UTC)
    assert len({at.hour for at in of_day}) == 24
    assert created[dt.datetime(2025, 11, 20, 23, 59, 59, tzinfo=dt.UTC)] >= 3
    assert created[dt.datetime(2025, 11, 22, 0, 0, 0, tzinfo=dt.UTC)] >= 3
    assert {at.year for at in created} == {2023, 2024, 2025}


def test_every_batch_of_50_has_products_and_is_spread_over_companies(cursor: duckdb.DuckDBPyConnection) -> None:
    rows = cursor.execute(
        f"SELECT company_id, coalesce(fraud_enabled, FALSE) FROM {INCIDENT} ORDER BY reverse_etl_id_c"
    ).fetchall()

    companies = [len({company for company, _ in rows[start : start + 50]}) for start in range(len(rows) - 49)]
    enabled = [sum(flag for _, flag in rows[start : start + 50]) for start in range(0, len(rows), 50)]

    assert len(rows) == 1_296
    assert min(companies) >= 40
    assert max(companies) < 50
    assert len(enabled) == 26
    assert all(38 <= count <= 50 for count in enabled)
    assert len(set(enabled)) > 1


@pytest.mark.parametrize("source", ["idv", "payroll_linking", "bank_linking"])
def test_rare_products_are_spread_over_the_batches(cursor: duckdb.DuckDBPyConnection, source: str) -> None:
    numbered = f"SELECT *, row_number() OVER (ORDER BY reverse_etl_id_c) AS number FROM {INCIDENT}"

    numbers = [number for (number,) in cursor.execute(f"SELECT number FROM ({numbered}) WHERE {source}_enabled").fetchall()]

    assert len({(number - 1) // 50 for number in numbers}) == len(numbers)
    assert min(numbers) < 1_296 / 3
    assert max(numbers) > 1_296 * 2 / 3


def test_healthy_records_are_a_mix(cursor: duckdb.DuckDBPyConnection) -> None:
    any_product = " OR ".join(str(product.enabled.source) for product in FIELDS.products)
    counts = ", ".join(f"count_if({product.enabled.source})" for product in FIELDS.products)

    [(without_row, all_false, *products)] = cursor.execute(
        f"SELECT count_if(NOT has_row), count_if(has_row AND NOT ({any_product})), {counts} FROM {HEALTHY}"
    ).fetchall()

    assert 0.02 * 8_704 < without_row < 0.04 * 8_704
    assert all_false > 100
    assert all(100 < count < 8_600 for count in products)
    assert len(set(products)) == 7


def test_times_belong_to_the_flags(cursor: duckdb.DuckDBPyConnection) -> None:
    for product in FIELDS.products:
        enabled, start, updated = (field.source for field in product.fields)

        [(nulls, wrong_start, wrong_update, updates_of_disabled)] = cursor.execute(
            f"SELECT count_if({enabled} IS NULL), count_if({enabled} <> ({start} IS NOT NULL)), "
            f"count_if({enabled} AND ({updated} IS NULL OR {updated} <= {start})), "
            f"count_if(NOT {enabled} AND {updated} IS NOT NULL) FROM crm.sfdc_dbx.product_property_w_features"
        ).fetchall()

        assert (nulls, wrong_start, wrong_update) == (0, 0, 0)
        assert updates_of_disabled > 50


def test_records_and_properties_point_at_each_other(cursor: duckdb.DuckDBPyConnection, records: list[dict[str, Any]]) -> None:
    [(live, deleted, without_property, wrong_id)] = cursor.execute(
        "SELECT count_if(NOT is_deleted), count_if(is_deleted), count_if(properties.id IS NULL), "
        "count_if(properties.sfdc_id IS DISTINCT FROM salesforce.id OR reverse_etl_id_c IS DISTINCT FROM snappt_property_id_c) "
        "FROM crm.salesforce.product_property_c AS salesforce "
        "LEFT JOIN rds.pg_rds_public.properties AS properties ON CAST(properties.id AS TEXT) = snappt_property_id_c"
    ).fetchall()
    statuses = dict(
        cursor.execute("SELECT (status, sfdc_id IS NULL), count(*) FROM rds.pg_rds_public.properties GROUP BY 1").fetchall()
    )

    assert (live, deleted, without_property, wrong_id) == (10_000, 10, 0, 0)
    assert statuses[("DELETED", True)] == 40
    assert statuses[("DELETED", False)] == 10
    assert not [status for status, without_record in statuses if without_record and status != "DELETED"]
    assert statuses[("ACTIVE", False)] > 5_000
    assert len({record["Id"] for record in records}) == len({record["Id"].casefold() for record in records}) == 10_010


def test_ids_look_like_real_ones(cursor: duckdb.DuckDBPyConnection, records: list[dict[str, Any]]) -> None:
    [(properties, lowest, highest, companies)] = cursor.execute(
        "SELECT count(DISTINCT id), min(id), max(id), count(DISTINCT company_id) FROM rds.pg_rds_public.properties"
    ).fetchall()

    assert properties == 10_050
    assert lowest >= 100_000
    assert lowest + properties < highest <= 999_999
    assert companies == 430
    assert all(re.fullmatch(r"a2P[0-9A-Za-z]{12}[A-Z0-5]{3}", record["Id"]) for record in records)


@pytest.mark.parametrize(
    "needle", [",", '"', "\n", "é", "東", "'"], ids=["comma", "quote", "line-break", "latin", "cjk", "apostrophe"]
)
def test_text_is_hard_on_naive_csv(cursor: duckdb.DuckDBPyConnection, needle: str) -> None:
    [(count,)] = cursor.execute(
        "SELECT count(*) FROM rds.pg_rds_public.properties WHERE contains(concat(name, address, company_name), ?)", [needle]
    ).fetchall()

    assert count > 10


def test_the_data_is_the_same_in_every_process(records: list[dict[str, Any]]) -> None:
    project = Path(__file__).parents[2]

    other = subprocess.run(
        [sys.executable, "-c", DIGEST],
        cwd=project,
        env={"PYTHONPATH": f"{project}:{project / 'plugins'}", "PYTHONHASHSEED": "7"},
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()

    assert other == hashlib.sha256(repr(records).encode()).hexdigest()


def test_seeding_again_changes_nothing(tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    seed_warehouse(engine)
    with engine.writing() as cursor:
        cursor.execute("DELETE FROM rds.pg_rds_public.properties WHERE id % 2 = 0")
        [(kept,)] = cursor.execute("SELECT count(*) FROM rds.pg_rds_public.properties").fetchall()
    engine.close()

    engine = Engine(tmp_path)
    seed_warehouse(engine)

    with engine.cursor() as cursor:
        assert cursor.execute("SELECT count(*) FROM rds.pg_rds_public.properties").fetchall() == [(kept,)]
        assert cursor.execute("SELECT count(*) FROM crm.salesforce.product_property_c").fetchall() == [(0,)]
    engine.close()


def test_the_copy_of_salesforce_has_the_field_tables_columns_and_starts_empty(tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    seed_warehouse(engine)

    with engine.cursor() as cursor:
        columns = [row[:2] for row in cursor.execute("DESCRIBE crm.salesforce.product_property_c").fetchall()]
        assert cursor.execute("SELECT count(*) FROM crm.salesforce.product_property_c").fetchall() == [(0,)]
    engine.close()

    types = {"STRING": "VARCHAR", "BOOLEAN": "BOOLEAN", "DATE": "DATE"}
    assert columns == [
        ("id", "VARCHAR"),
        ("name", "VARCHAR"),
        *((field.column, types[field.kind.warehouse_type]) for field in FIELDS),
        ("created_date", "TIMESTAMP WITH TIME ZONE"),
        ("system_modstamp", "TIMESTAMP WITH TIME ZONE"),
        ("is_deleted", "BOOLEAN"),
        ("_fivetran_synced", "TIMESTAMP WITH TIME ZONE"),
    ]
