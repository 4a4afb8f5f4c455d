"""The sandbox's data: the incident of 2025-11-21 and everything around it. It is the same on every machine.

The numbers come from the incident report. The names of products and columns come from the field table.
"""

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Any

import pyarrow as pa

from feature_sync.config.fields import FeatureField, FieldKind, FlagType, Product, load_fields
from sandbox.warehouse.engine import Engine

INCIDENT_DAY = dt.datetime(2025, 11, 21, tzinfo=dt.UTC)
INCIDENT_RECORDS = 1_296
INCIDENT_WITHOUT_ROW = 40
INCIDENT_ENABLED = {
    "fraud_detection": 1_226,  # each record that has a product has this one
    "income_verification": 1_176,
    "id_verification": 7,
    "connected_payroll": 5,
    "bank_linking": 4,
}
HEALTHY_RECORDS = 8_704
HEALTHY_WITHOUT_ROW = 0.03
HEALTHY_ALL_FALSE = 0.04
HEALTHY_SHARES = {
    "fraud_detection": 0.91,
    "income_verification": 0.78,
    "id_verification": 0.22,
    "idv_only": 0.03,
    "connected_payroll": 0.12,
    "bank_linking": 0.09,
    "verification_of_rent": 0.05,
}
DELETED_WITHOUT_RECORD = 40
DELETED_WITH_RECORD = 10
COMPANIES = 430
FIRST_DAY, LAST_DAY = dt.datetime(2023, 1, 1, tzinfo=dt.UTC), dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
"""Healthy records were created, and products enabled, from the first day to the last. The last day is excluded."""

DAY = 86_400
ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

PLACES = (
    *("Élan", "Peñasquitos", "Maple, Oak & Ash", "Harbor Point", "Saint-Jérôme", 'The "Foundry"', "Cœur d'Alene", "Old Town"),
    *("Ridgeway", "Łódź Mills", "Sunset Terrace", "Lakeside", "Riverside", "Blue Heron", "東京 Gardens", "Quail Hollow"),
)
KINDS = ("Apartments", "Residences", "Lofts", "Village", "Townhomes, Phase II", "at the Park", "Senior Living", "Flats")
STREETS = ("Main St", "Calle Ocho", "Rue de l'Église", "W 4th Ave", "Martin Luther King Jr. Blvd", "Größe Way", "Mill Rd, Bldg C")
CITIES = ("Los Angeles, CA", "San José, CA", "Austin, TX", "Montréal, QC", "Denver, CO", "Raleigh, NC", "Boise, ID")
OWNERS = ("Holdings, LLC", "Property Group", "& Sons", "Management Co.", "Realty Partners", "Liegenschaften GmbH")


@dataclass(frozen=True, slots=True)
class Feature:
    """A product of one property. `enabled_at` is None if the product is disabled."""

    enabled_at: dt.datetime | None
    updated_at: dt.datetime | None


@dataclass(frozen=True, slots=True)
class Property:
    """A property: its data in the warehouse, and its Salesforce record, if it has one."""

    id: int
    name: str
    address: str
    company: int
    status: str
    updated_at: dt.datetime
    features: Mapping[str, Feature] | None
    """By product, or None if the property has no feature row."""
    salesforce_id: str | None
    created_at: dt.datetime
    modified_at: dt.datetime
    of_incident: bool
    deleted_in_salesforce: bool

    @property
    def company_id(self) -> int:
        return 3_001 + 17 * self.company

    @property
    def company_name(self) -> str:
        return f"{PLACES[self.company % len(PLACES)]} {self.company + 1} {OWNERS[self.company % len(OWNERS)]}"


def seed_warehouse(engine: Engine) -> None:
    """
    Create the schemas and the tables that the project reads, with all their data. `crm.salesforce.product_property_c` is empty.

    Has no effect if the data is already there.
    """
    with engine.writing() as cursor:
        [[seeded]] = cursor.execute(
            "SELECT count(*) FROM duckdb_tables() WHERE database_name = 'crm' AND table_name = 'product_property_c'"
        ).fetchall()
        if seeded:
            return
        # The replica's table comes last. If it exists, all the others do.
        cursor.execute("CREATE SCHEMA IF NOT EXISTS rds.pg_rds_public")
        properties = _properties_table()
        cursor.execute("CREATE OR REPLACE TABLE rds.pg_rds_public.properties AS FROM properties")
        features = _features_table()
        cursor.begin()
        cursor.execute("CREATE SCHEMA IF NOT EXISTS crm.sfdc_dbx")
        cursor.execute("CREATE SCHEMA IF NOT EXISTS crm.salesforce")
        cursor.execute("CREATE OR REPLACE TABLE crm.sfdc_dbx.product_property_w_features AS FROM features")
        copy = _copy_schema().empty_table()
        cursor.execute("CREATE TABLE crm.salesforce.product_property_c AS FROM copy")
        cursor.commit()
        del properties, features, copy  # DuckDB found them by the names of these variables


def org_records() -> Iterator[dict[str, Any]]:
    """Every `Product_Property__c` record before any correction, with API names, ordered by property."""
    return (dict(record) for record in _org_records())


@cache
def _org_records() -> tuple[dict[str, Any], ...]:
    table = load_fields()
    return tuple(
        {
            "Id": each.salesforce_id,
            "Name": each.name.replace("\n", " "),  # a text field in Salesforce has one line
            "Snappt_Property_ID__c": str(each.id),
            "Reverse_ETL_ID__c": str(each.id),
            **{
                field.salesforce_name: _salesforce_value(None if each.of_incident else each.features, product, field)
                for product in table.products
                for field in product.fields
            },
            "CreatedDate": each.created_at,
            "SystemModstamp": each.modified_at,
            "IsDeleted": each.deleted_in_salesforce,
        }
        for each in _properties()
        if each.salesforce_id is not None
    )


def _salesforce_value(
    features: Mapping[str, Feature] | None, product: Product, field: FeatureField
) -> bool | dt.date | dt.datetime | None:
    feature = features[product.name] if features else Feature(None, None)
    if field.kind is FieldKind.CHECKBOX:
        return feature.enabled_at is not None
    value = feature.enabled_at if field is product.start else feature.updated_at
    return value.date() if value and field.kind is FieldKind.DATE else value


@cache
def _properties_table() -> pa.Table:
    properties = _properties()
    return pa.table(
        {
            "id": pa.array([each.id for each in properties], pa.int64()),
            "name": pa.array([each.name for each in properties], pa.string()),
            "address": pa.array([each.address for each in properties], pa.string()),
            "company_id": pa.array([each.company_id for each in properties], pa.int64()),
            "company_name": pa.array([each.company_name for each in properties], pa.string()),
            "status": pa.array([each.status for each in properties], pa.string()),
            "sfdc_id": pa.array([each.salesforce_id for each in properties], pa.string()),
            "updated_at": pa.array([each.updated_at for each in properties], pa.timestamp("us", "UTC")),
        }
    )


@cache
def _features_table() -> pa.Table:
    rows = [(str(each.id), each.features) for each in _properties() if each.features is not None]
    columns: dict[str, pa.Array] = {"property_id": pa.array([property_id for property_id, _ in rows], pa.string())}
    table = load_fields()
    flag = pa.bool_() if table.flag_type is FlagType.BOOLEAN else pa.int32()
    for product in table.products:
        of_product = [features[product.name] for _, features in rows]
        flags = pa.array([each.enabled_at is not None for each in of_product], pa.bool_())
        columns[str(product.enabled.source)] = flags.cast(flag)
        for field in product.dates:
            dates = [each.enabled_at if field is product.start else each.updated_at for each in of_product]
            columns[str(field.source)] = pa.array(dates, pa.timestamp("us", "UTC"))
    return pa.table(columns)


def _copy_schema() -> pa.Schema:
    instant = pa.timestamp("us", "UTC")
    kinds = {"STRING": pa.string(), "BOOLEAN": pa.bool_(), "DATE": pa.date32(), "TIMESTAMP": instant}
    return pa.schema(
        [
            ("id", pa.string()),
            ("name", pa.string()),
            *((field.column, kinds[field.kind.warehouse_type]) for field in load_fields()),
            ("created_date", instant),
            ("system_modstamp", instant),
            ("is_deleted", pa.bool_()),
            ("_fivetran_synced", instant),
        ]
    )


@cache
def _properties() -> tuple[Property, ...]:
    """Every property, ordered by id."""
    # Only `random()` is used. Unlike the other methods, it returns the same sequence in every version of Python.
    random = Random(20251121).random  # noqa: S311 - data for tests
    total = INCIDENT_RECORDS + HEALTHY_RECORDS + DELETED_WITHOUT_RECORD + DELETED_WITH_RECORD
    roles = ["incident"] * INCIDENT_RECORDS + ["healthy"] * HEALTHY_RECORDS
    roles += ["unknown to Salesforce"] * DELETED_WITHOUT_RECORD + ["deleted"] * DELETED_WITH_RECORD
    roles = [roles[index] for index in _shuffled(total, random)]

    of_incident = [index for index, role in enumerate(roles) if role == "incident"]
    features_of_incident = dict(zip(of_incident, _incident_features(random), strict=True))
    companies_of_incident = dict(zip(of_incident, _incident_companies(), strict=True))
    seconds_of_incident = dict(zip(of_incident, _seconds_of_incident(random), strict=True))
    created = [
        INCIDENT_DAY + dt.timedelta(seconds=seconds_of_incident[index])
        if role == "incident"
        else _creation_of_other(index, random)
        for index, role in enumerate(roles)
    ]
    serials = {index: serial for serial, index in enumerate(sorted(range(total), key=lambda index: (created[index], index)))}

    properties, property_id = [], 100_000
    for index, role in enumerate(roles):
        property_id += 1 + int(random() * 80)
        incident, deleted = role == "incident", role in ("unknown to Salesforce", "deleted")
        status = (
            "DELETED"
            if deleted
            else ("ACTIVE", "ACTIVE", "ACTIVE", "ACTIVE", "ACTIVE", "ACTIVE", "INACTIVE", "ONBOARDING")[int(random() * 8)]
        )
        properties.append(
            Property(
                id=property_id,
                name=f"{_one(PLACES, random)} {_one(KINDS, random)}",
                address=_address(random),
                company=companies_of_incident[index] if incident else int(COMPANIES * random() ** 1.5),
                status=status,
                updated_at=created[index] + dt.timedelta(seconds=int(random() * 90 * DAY)),
                features=features_of_incident[index] if incident else _other_features(random),
                salesforce_id=None if role == "unknown to Salesforce" else _salesforce_id(serials[index]),
                created_at=created[index],
                modified_at=created[index] + dt.timedelta(seconds=0 if incident else int(random() * 30 * DAY)),
                of_incident=incident,
                deleted_in_salesforce=role == "deleted",
            )
        )
    return tuple(properties)


def _address(random: Any) -> str:
    separator = "\n" if random() < 0.05 else ", "
    return f"{1 + int(random() * 9_999)} {_one(STREETS, random)}{separator}{_one(CITIES, random)}"


def _incident_features(random: Any) -> list[Mapping[str, Feature] | None]:
    """The features of each record of the incident, in the order of the ids."""
    enabled: list[set[str] | None] = [set() for _ in range(INCIDENT_RECORDS)]
    order = _shuffled(INCIDENT_RECORDS, random)
    most = max(INCIDENT_ENABLED.values())
    having = sorted(order[:most])
    for index in order[most : most + INCIDENT_WITHOUT_ROW]:
        enabled[index] = None
    for product, count in INCIDENT_ENABLED.items():
        # Spread evenly over the ids. So a batch that is left out or sent twice changes the number of every product.
        for number in range(count):
            chosen = enabled[having[number * most // count + most // (2 * count)]]
            assert chosen is not None  # noqa: S101 - `having` has no record without a row
            chosen.add(product)
    return [None if products is None else _features(products, random) for products in enabled]


def _other_features(random: Any) -> Mapping[str, Feature] | None:
    kind = random()
    if kind < HEALTHY_WITHOUT_ROW:
        return None
    if kind < HEALTHY_WITHOUT_ROW + HEALTHY_ALL_FALSE:
        return _features(set(), random)
    return _features(
        {product.name for product in load_fields().products if random() < HEALTHY_SHARES.get(product.name, 0.05)}, random
    )


def _features(enabled: set[str], random: Any) -> Mapping[str, Feature]:
    features = {}
    for product in load_fields().products:
        changed_at = _instant(random)
        if product.name in enabled:
            updated_at = changed_at + dt.timedelta(seconds=60 + int(random() * 45 * DAY), microseconds=int(random() * 1e6))
            features[product.name] = Feature(changed_at, updated_at)
        else:
            features[product.name] = Feature(None, changed_at if random() < 0.2 else None)
    return features


def _instant(random: Any) -> dt.datetime:
    """A random time. One in ten is so close to midnight UTC that it has another date in any other time zone."""
    day = FIRST_DAY + dt.timedelta(days=int(random() * (INCIDENT_DAY - FIRST_DAY).days))
    kind = random()
    if kind < 0.05:
        return day + dt.timedelta(seconds=DAY - 1, microseconds=999_999)
    if kind < 0.1:
        return day + dt.timedelta(microseconds=int(random() * 2))
    return day + dt.timedelta(seconds=int(random() * DAY), microseconds=int(random() * 1e6))


def _incident_companies() -> list[int]:
    """The company of each record. Siblings are rarely neighbours: 50 records in a row by id have 45 companies or more."""
    return [(7 * (index - (index % 10 == 9))) % COMPANIES for index in range(INCIDENT_RECORDS)]


def _seconds_of_incident(random: Any) -> list[int]:
    """The second of the day of each record, in random order. They cover the whole day, including its first and last second."""
    return [order * (DAY - 1) // (INCIDENT_RECORDS - 1) for order in _shuffled(INCIDENT_RECORDS, random)]


def _creation_of_other(index: int, random: Any) -> dt.datetime:
    """Never on the day of the incident, but sometimes in the second before it or in the second after it."""
    if index % 1_000 == 0:
        return INCIDENT_DAY - dt.timedelta(seconds=1)
    if index % 1_000 == 500:
        return INCIDENT_DAY + dt.timedelta(days=1)
    created = FIRST_DAY + dt.timedelta(seconds=int(random() * (LAST_DAY - FIRST_DAY - dt.timedelta(days=1)).total_seconds()))
    return created if created < INCIDENT_DAY else created + dt.timedelta(days=1)


def _salesforce_id(serial: int) -> str:
    """
    An id of 18 characters: object, instance, serial number, and three check characters for upper and lower case.

    A check character has one bit for each capital letter among five characters: https://help.salesforce.com/s/articleView?id=000385585.
    """
    number, digits = 4_000_000 + 7 * serial, ""
    while number:
        number, digit = divmod(number, 62)
        digits = ALPHABET[digit] + digits
    short = f"a2P8X0{digits:0>9}"
    check = (sum(1 << bit for bit in range(5) if short[start + bit].isupper()) for start in (0, 5, 10))
    return short + "".join("ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"[bits] for bits in check)


def _shuffled(count: int, random: Any) -> list[int]:
    keys = [random() for _ in range(count)]
    return sorted(range(count), key=keys.__getitem__)


def _one(choices: tuple[str, ...], random: Any) -> str:
    return choices[int(random() * len(choices))]
