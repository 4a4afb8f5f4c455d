"""The data that every statement is tried on: the sandbox's world, thinned out, with what no healthy warehouse holds."""

import pyarrow as pa

from feature_sync.config.fields import load_fields
from sandbox.seed import INCIDENT_DAY, org_records
from sandbox.warehouse.engine import Engine

COPY = "crm.salesforce.product_property_c"
_KEYS = {str(record["Reverse_ETL_ID__c"]): record["CreatedDate"].date() for record in org_records()}
SALESFORCE_IDS = {str(record["Reverse_ETL_ID__c"]): str(record["Id"]) for record in org_records()}
INCIDENT = [key for key, day in _KEYS.items() if day == INCIDENT_DAY.date()]
ANOTHER = next(key for key, day in _KEYS.items() if day != INCIDENT_DAY.date() and key.endswith("0"))


def fill_copy(engine: Engine) -> None:
    """What the sandbox's replication does: the whole org into its copy."""
    fields = load_fields()
    copy = pa.Table.from_pylist(
        [
            {
                "id": record["Id"],
                "name": record["Name"],
                "snappt_property_id_c": record["Snappt_Property_ID__c"],
                "reverse_etl_id_c": record["Reverse_ETL_ID__c"],
                **{each.column: record[each.salesforce_name] for each in fields.features},
                "created_date": record["CreatedDate"],
                "system_modstamp": record["SystemModstamp"],
                "is_deleted": record["IsDeleted"],
                "_fivetran_synced": record["SystemModstamp"],
            }
            for record in org_records()
        ]
    )
    with engine.writing() as cursor:
        cursor.execute(f"DELETE FROM {COPY}")
        cursor.register("copied", copy)
        cursor.execute(f"INSERT INTO {COPY} BY NAME FROM copied")


def thin_out(engine: Engine) -> None:
    """For a slow engine: leave a tenth of the healthy records, and those next to the incident's day and the deleted ones."""
    with engine.writing() as cursor:
        near = "created_date BETWEEN TIMESTAMPTZ '2025-11-20 23:59:59Z' AND TIMESTAMPTZ '2025-11-22 00:00:00Z'"
        cursor.execute(f"DELETE FROM {COPY} WHERE NOT ({near} OR is_deleted OR snappt_property_id_c LIKE '%0')")
        known = f"SELECT snappt_property_id_c FROM {COPY}"
        cursor.execute(
            f"DELETE FROM rds.pg_rds_public.properties WHERE status <> 'DELETED' AND CAST(id AS VARCHAR) NOT IN ({known})"
        )
        cursor.execute(f"DELETE FROM crm.sfdc_dbx.product_property_w_features WHERE property_id NOT IN ({known})")


def spoil(engine: Engine) -> None:
    """What no healthy warehouse holds and guards must see: empty flags, impossible dates, bad keys, unequal rows, no status."""
    features, feature = "crm.sfdc_dbx.product_property_w_features", "property_id"
    with engine.writing() as cursor:
        for key, status in {50: "NULL", 51: "' deleted '", 52: "'PAUSED'", 53: "''"}.items():
            cursor.execute(f"UPDATE rds.pg_rds_public.properties SET status = {status} WHERE id = {INCIDENT[key]}")
        cursor.execute(f"UPDATE rds.pg_rds_public.properties SET sfdc_id = 'XXXXXXXXXXXXXXX' WHERE id = {INCIDENT[54]}")
        family = ", ".join(INCIDENT[60:66])
        cursor.execute(f"UPDATE rds.pg_rds_public.properties SET sfdc_id = '0018X00002abcdEQAQ' WHERE id IN ({family})")
        cursor.execute(f"UPDATE {features} SET {feature} = {feature} || ' ' WHERE {feature} = '{INCIDENT[19]}'")
        cursor.execute(f"UPDATE {COPY} SET fraud_detection_enabled_c = NULL WHERE snappt_property_id_c = '{INCIDENT[23]}'")
        for key, value in {
            10: "fraud_enabled = NULL",
            11: "fraud_enabled_at = TIMESTAMPTZ '2999-12-31 23:59:59.999999Z'",
            12: "iv_updated_at = TIMESTAMPTZ '1999-12-31 23:59:59.999999Z'",
        }.items():
            cursor.execute(f"UPDATE {features} SET {value} WHERE {feature} = '{INCIDENT[key]}'")
        for key, value in {40: "fraud_enabled", 41: "NOT fraud_enabled", 42: "CAST(NULL AS BOOLEAN)"}.items():
            cursor.execute(
                f"INSERT INTO {features} SELECT * REPLACE ({value} AS fraud_enabled, fraud_updated_at + INTERVAL 1 HOUR AS"
                f" fraud_updated_at) FROM {features} WHERE {feature} = '{INCIDENT[key]}'"
            )
        cursor.execute(f"UPDATE rds.pg_rds_public.properties SET company_id = NULL WHERE id IN ({INCIDENT[13]}, {INCIDENT[14]})")
        for key, shared in {15: "NULL", 16: "'  '", 17: "'Größe 東京'", 18: f"'{ANOTHER}'"}.items():
            cursor.execute(f"UPDATE {COPY} SET reverse_etl_id_c = {shared} WHERE snappt_property_id_c = '{INCIDENT[key]}'")
