"""The warehouse of the real world: its tables with all their rows, its views, and the table that somebody else rebuilds."""

import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from random import Random
from typing import Any

import pyarrow as pa

from sandbox.salesforce.schema import FieldType
from sandbox.warehouse.engine import Engine
from sandbox.warehouse.statements import Namespace, Statement
from sandbox.worlds.real_object import FIELDS, LIVE_REPLICA, STALE_REPLICA, products
from sandbox.worlds.real_properties import (
    CITIES,
    DATE_PRODUCT,
    TOMBSTONES,
    WORLD_DAY,
    Feature,
    Property,
    companies,
    one,
    properties,
    salesforce_id,
    shuffled,
    uuid,
)
from sandbox.worlds.real_records import org_records

PROPERTIES_TABLE = "rds.pg_rds_public.properties"
COMPANIES_TABLE = "rds.pg_rds_public.companies"
FEATURES_TABLE = "crm.sfdc_dbx.product_property_w_features"
FOREIGN_TABLE = "crm.sfdc_dbx.product_property_feature_backfill"
SYNC_VIEW = "crm.sfdc_dbx.product_property_sync_v"
AGGREGATED_VIEW = "crm.sfdc_dbx.product_features_by_object_v"
COMPANY_VIEW = "crm.sfdc_dbx.product_property_company_v"

SURPLUS = 0.17
"""Surplus feature rows for each property with a row."""
DISAGREEING = 12
UNKNOWN_PROPERTIES = 7
DEAD_ROWS_BESIDE_LIVE_ONES, DEAD_ROWS_ALONE = 9, 6
HARD_DELETED = 4
"""Rows of the live replica whose record no longer exists in Salesforce."""
STALE_SINCE = dt.datetime(2025, 9, 30, 6, 12, tzinfo=dt.UTC)

INSTANT = pa.timestamp("us", "UTC")


def seed_warehouse(engine: Engine) -> None:
    """Create every table and view. The live replica is empty until the replication's first pass. Can be repeated."""
    tables: Mapping[str, Callable[[], pa.Table]] = {
        COMPANIES_TABLE: _companies,
        PROPERTIES_TABLE: _properties,
        FEATURES_TABLE: _features,
        STALE_REPLICA: _stale_replica,
        LIVE_REPLICA: lambda: _replica_schema().empty_table(),
    }
    with engine.writing() as cursor:
        for name, make in tables.items():
            rows = make()
            cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {name.rpartition('.')[0]}")
            cursor.register("rows", rows)
            cursor.execute(f"CREATE OR REPLACE TABLE {name} AS FROM rows")
            cursor.unregister("rows")
    for statement in (company_view(), aggregated_view(), sync_view()):
        _run(engine, statement)
    rebuild_foreign_table(engine)


def finish_warehouse(engine: Engine) -> None:
    """Add what the replication left behind for records that were deleted for good."""
    renamed = "'a2P8X0gone' || lpad(CAST(number AS VARCHAR), 4, '0') || 'AAA' AS id, TRUE AS _fivetran_deleted"
    with engine.writing() as cursor:
        cursor.execute(
            f"INSERT INTO {LIVE_REPLICA} BY NAME SELECT * EXCLUDE (number) REPLACE ({renamed}) FROM"
            f" (SELECT *, row_number() OVER (ORDER BY id) AS number FROM {LIVE_REPLICA} WHERE NOT is_deleted)"
            f" WHERE number <= {HARD_DELETED}"
        )
        # The replication is alive: today some property has changed.
        cursor.execute(
            f"UPDATE {PROPERTIES_TABLE} SET _fivetran_synced = current_timestamp WHERE id ="
            f" (SELECT arg_max(id, _fivetran_synced) FROM {PROPERTIES_TABLE} WHERE NOT _fivetran_deleted)"
        )


def rebuild_foreign_table(engine: Engine) -> tuple[str, int]:
    """The notebook of another team: drops the table and builds it again, with a schema that is not the package's."""
    rows = " UNION ALL ".join(
        f"SELECT property_id, '{product.label}' AS product, CAST({product.source}_enabled AS INT) AS is_enabled,"
        f" CAST({product.source}_enabled_at AS DATE) AS enabled_date, current_timestamp() AS built_at FROM {FEATURES_TABLE}"
        for product in products()
    )
    _run(engine, f"DROP TABLE IF EXISTS {FOREIGN_TABLE}")
    _run(engine, f"CREATE TABLE {FOREIGN_TABLE} AS SELECT DISTINCT * FROM ({rows}) AS flags WHERE is_enabled = 1")
    with engine.cursor() as cursor:
        [(count,)] = cursor.execute(f"SELECT count(*) FROM {FOREIGN_TABLE}").fetchall()
    return FOREIGN_TABLE, count


def _run(engine: Engine, text: str) -> None:
    statement = Statement(engine, Namespace(time_zone="UTC"), text, ())
    statement.run()
    statement.close()


def sync_view() -> str:
    """
    The view that the regular sync reads, with the mistakes of both incidents.

    The join with the feature table is missing, so no property has a product. The company's name is the property's own.
    """
    features = [
        f"  {'FALSE' if what == 'enabled' else 'CAST(NULL AS DATE)'} AS {column}"
        for product in products()
        for column, _, what in product.columns()
    ]
    lines = [f"  {expression} AS {column}" for column, expression in SYNC_COLUMNS.items()]
    return (
        f"CREATE OR REPLACE VIEW {SYNC_VIEW} AS\n-- one row per property, for Census\nSELECT\n"
        + ",\n".join([*lines, *features])
        + f"\nFROM {PROPERTIES_TABLE} p\nWHERE p.status <> 'DELETED'"
    )


SYNC_COLUMNS = {
    "name": "p.name",
    "snappt_property_id_c": "p.id",
    "reverse_etl_id_c": "p.id",
    "company_id_c": "p.company_id",
    "company_name_c": "p.name",
    "property_name_c": "p.name",
    "property_short_id_c": "p.short_id",
    "entity_id_c": "p.entity_id",
    "street_c": "p.address",
    "city_c": "p.city",
    "state_c": "p.state",
    "zip_c": "p.zip",
    "country_c": "p.country",
    "phone_c": "p.phone",
    "email_c": "p.email",
    "website_c": "p.website",
    "logo_c": "p.logo",
    "unit_count_c": "CAST(p.unit_count AS STRING)",
    "pmc_name_c": "p.pmc_name",
    "property_status_c": "p.status",
    "integration_type_c": "p.integration_type",
    "go_live_date_c": "CAST(p.inserted_at AS DATE)",
}
"""The columns of the view besides the features, with the SQL of each."""


def company_view() -> str:
    """The view of another sync: it sends the company's name to records that already exist."""
    return (
        f"CREATE OR REPLACE VIEW {COMPANY_VIEW} AS SELECT p.id AS snappt_property_id_c, c.id AS company_id_c,"
        f" c.name AS company_name_c FROM {PROPERTIES_TABLE} p JOIN {COMPANIES_TABLE} c ON p.company_id = c.id"
    )


def aggregated_view() -> str:
    """A view of another team: the products of each production object, with flags that are whole numbers."""
    columns = ", ".join(
        f"MAX(CASE WHEN f.{name}_enabled THEN 1 ELSE 0 END) AS {name}_enabled,"
        f" MIN(f.{name}_enabled_at) AS {name}_enabled_at, MAX(f.{name}_updated_at) AS {name}_updated_at"
        for name in (product.source for product in products())
    )
    return (
        f"CREATE OR REPLACE VIEW {AGGREGATED_VIEW} AS SELECT p.sfdc_id, COUNT(DISTINCT p.id) AS properties, {columns}"
        f" FROM {PROPERTIES_TABLE} p JOIN {FEATURES_TABLE} f ON f.property_id = p.id"
        " WHERE p.status = 'ACTIVE' AND LENGTH(p.sfdc_id) = 18 GROUP BY p.sfdc_id"
    )


def _table(rows: Iterable[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    return pa.Table.from_pylist([dict(row) for row in rows], schema=schema)


def _companies() -> pa.Table:
    random = Random(20260129).random  # noqa: S311 - data for tests
    schema = pa.schema(
        [
            *((name, pa.string()) for name in ("id", "name", "short_id", "sfdc_account_id", "website", "status")),
            *((name, INSTANT) for name in ("inserted_at", "updated_at")),
            ("_fivetran_deleted", pa.bool_()),
            ("_fivetran_synced", INSTANT),
        ]
    )
    rows = []
    for number, each in enumerate(companies()):
        inserted = WORLD_DAY - dt.timedelta(days=100 + int(random() * 2_000))
        changed = inserted + dt.timedelta(days=int(random() * 90))
        rows.append(
            {
                "id": each.id,
                "name": each.name,
                "short_id": f"c{number:05d}",
                "sfdc_account_id": salesforce_id("0015Y", 50_000 + number),
                "status": "ACTIVE",
                "inserted_at": inserted,
                "updated_at": changed,
                "_fivetran_deleted": each.deleted,
                "_fivetran_synced": changed + dt.timedelta(minutes=int(5 + random() * 10)),
            }
        )
    return _table(rows, schema)


def _properties() -> pa.Table:
    """32 columns. There is no ``company_name`` and no ``created_at``."""
    random = Random(20260130).random  # noqa: S311 - data for tests
    texts = (
        *("id", "name", "short_id", "entity_id", "company_id", "status", "sfdc_id", "address", "city", "state", "zip", "country"),
        *("phone", "email", "website", "logo", "pmc_name", "time_zone", "integration_type", "notification_email", "report_mode"),
    )
    numbers = ("unit_count", "bank_statement_months", "paystub_months")
    flags = ("phone_is_required", "is_onboarded", "accepts_uploads", "_fivetran_deleted")
    times = ("inserted_at", "updated_at", "last_seen_at", "_fivetran_synced")
    schema = pa.schema(
        [
            *((name, pa.string()) for name in texts),
            *((name, pa.int64()) for name in numbers),
            *((name, pa.bool_()) for name in flags),
            *((name, INSTANT) for name in times),
        ]
    )
    return _table((_property_row(each, number, random) for number, each in enumerate(properties())), schema)


def _property_row(each: Property, number: int, random: Callable[[], float]) -> dict[str, Any]:
    city, state, code = CITIES[int(random() * len(CITIES))]
    return {
        "id": each.id,
        "name": each.name,
        "short_id": f"p{number:06d}",
        "entity_id": uuid(random),
        "company_id": companies()[each.company].id if each.company is not None else None,
        "status": each.status,
        "sfdc_id": each.sfdc_id,
        "address": f"{1 + int(random() * 9_999)} {one(('Main St', 'Calle Luna', 'Pier 7 (North)', '5th Ave, Unit B'), random)}",
        "city": city,
        "state": state,
        "zip": code,
        "country": "US",
        "phone": f"+1 512 555 {int(random() * 10_000):04d}" if random() < 0.7 else "",
        "email": f"leasing{number}@example.com" if random() < 0.8 else None,
        "pmc_name": None,
        "time_zone": one(("America/Los_Angeles", "America/Chicago", "America/New_York"), random),
        "integration_type": one(("none", "yardi", "realpage", "entrata"), random),
        "report_mode": "standard",
        "unit_count": int(random() * 600) if random() < 0.9 else None,
        "bank_statement_months": 2,
        "paystub_months": 1 + int(random() * 3),
        "phone_is_required": random() < 0.2,
        "is_onboarded": random() < 0.9,
        "accepts_uploads": True,
        "inserted_at": each.inserted_at,
        "updated_at": each.updated_at,
        "_fivetran_deleted": each.deleted,
        "_fivetran_synced": each.updated_at + dt.timedelta(minutes=5 + int(random() * 10)),
    }


def _features() -> pa.Table:
    """The rows are the result of a join on a key that several records share, so many properties have several rows."""
    fields: list[tuple[str, pa.DataType]] = [("property_id", pa.string()), ("product_property_id", pa.string())]
    for product in products():
        moment = pa.date32() if product.name == DATE_PRODUCT else INSTANT
        fields += [
            (f"{product.source}_enabled", pa.bool_()),
            (f"{product.source}_enabled_at", moment),
            (f"{product.source}_updated_at", moment),
        ]
    return _table(_feature_rows(), pa.schema([*fields, ("_fivetran_deleted", pa.bool_())]))


@cache
def _feature_rows() -> tuple[Mapping[str, Any], ...]:
    random = Random(20260131).random  # noqa: S311 - data for tests
    having = [each for each in properties()[:-TOMBSTONES] if each.features]
    serial = iter(range(7_000_000, 8_000_000))

    def row(property_id: str, features: Mapping[str, Feature], *, dead: bool = False) -> dict[str, Any]:
        return _feature_row(property_id, salesforce_id("a2P8X", next(serial)), features, dead=dead)

    rows = [row(each.id, each.features or {}) for each in having]
    order = shuffled(len(having), random)
    surplus = round(SURPLUS * len(having))
    for number in range(surplus):
        each = having[order[number % (surplus * 3 // 4)]]  # a quarter of them has three rows or more
        features = dict(each.features or {})
        if number < DISAGREEING:
            flag = features["fraud_detection"]
            features["fraud_detection"] = Feature(not flag.enabled, None if flag.enabled else WORLD_DAY, flag.updated_at)
        rows.append(row(each.id, features))
    with_unknown = [having[index] for index in order[-UNKNOWN_PROPERTIES:]]
    rows += [row(uuid(random), each.features or {}) for each in with_unknown]
    beside = [having[index] for index in order[-UNKNOWN_PROPERTIES - DEAD_ROWS_BESIDE_LIVE_ONES : -UNKNOWN_PROPERTIES]]
    nothing = {product.name: Feature(False, None, None) for product in products()}
    rows += [row(each.id, nothing, dead=True) for each in beside]
    without = [each for each in properties()[:-TOMBSTONES] if not each.features]
    rows += [row(each.id, having[0].features or {}, dead=True) for each in without[:DEAD_ROWS_ALONE]]
    return tuple(rows[index] for index in shuffled(len(rows), random))


def _feature_row(property_id: str, record_id: str, features: Mapping[str, Feature], *, dead: bool) -> dict[str, Any]:
    row: dict[str, Any] = {"property_id": property_id, "product_property_id": record_id, "_fivetran_deleted": dead}
    for product in products():
        feature = features[product.name]
        for what, moment in (("enabled_at", feature.enabled_at), ("updated_at", feature.updated_at)):
            is_date = product.name == DATE_PRODUCT and moment
            row[f"{product.source}_{what}"] = moment.date() if is_date and moment else moment
        row[f"{product.source}_enabled"] = feature.enabled
    return row


def _replica_schema() -> pa.Schema:
    kinds = {FieldType.BOOLEAN: pa.bool_(), FieldType.DATE: pa.date32(), FieldType.DATETIME: INSTANT}
    return pa.schema(
        [
            *((column, kinds.get(field.type, pa.string())) for column, field in FIELDS.items()),
            ("_fivetran_deleted", pa.bool_()),
            ("_fivetran_synced", INSTANT),
        ]
    )


def _stale_replica() -> pa.Table:
    """A replica that nobody switched off. Its last pass was months ago, and newer columns are missing."""
    missing = {"vor_updated_date_c", "exclude_from_flow_c", "is_test_c"}
    schema = pa.schema([field for field in _replica_schema() if field.name not in missing])
    rows = []
    for number, record in enumerate(org_records()):
        if record["CreatedDate"] >= STALE_SINCE or record["IsDeleted"]:
            continue
        row = {column: record[field.name] for column, field in FIELDS.items()}
        if number % 5 == 0:
            row |= {column: False for column in row if column.endswith("_enabled_c")}
        rows.append(
            {
                **row,
                "system_modstamp": min(row["system_modstamp"], STALE_SINCE),
                "_fivetran_deleted": False,
                "_fivetran_synced": STALE_SINCE,
            }
        )
    return _table(rows, schema)
