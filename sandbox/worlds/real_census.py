"""The workspace of the real world: five syncs write the same object."""

from typing import Any

from sandbox.census.syncs import destination_connection, make_mapping, make_sync, source_connection
from sandbox.worlds.definition import CensusWorkspace
from sandbox.worlds.real_object import KEY, api_name, feature_columns
from sandbox.worlds.real_warehouse import COMPANY_VIEW, SYNC_COLUMNS, SYNC_VIEW

BATCH_TABLE = "crm.sfdc_dbx.feature_sync_batch"

FEATURE_SYNC = 58_213
"""Ours: an update from the batch table."""
REGULAR_SYNC = 41_877
HOURLY_SYNC = 44_120
TRIGGERED_SYNC = 52_904
INSERT_SYNC = 39_551

BATCH_DATASET = 9_310
REGULAR_DATASET = 6_021
COMPANY_DATASET = 6_188
NEW_PROPERTIES_DATASET = 5_874

WAREHOUSE_CONNECTION, OTHER_WAREHOUSE = 1_204, 877
SALESFORCE_CONNECTION, OTHER_DESTINATION = 2_316, 1_980

ALERTS = (
    {"type": "FailureAlertConfiguration", "send_for": "first_time", "should_send_recovery": True, "options": {}},
    {
        "type": "InvalidRecordPercentAlertConfiguration",
        "send_for": "first_time",
        "should_send_recovery": True,
        "options": {"threshold": 75},
    },
)


def _dataset(number: int, name: str, query: str, created: str) -> dict[str, Any]:
    return {
        "id": number,
        "name": name,
        "type": "sql",
        "description": None,
        "query": query,
        "resource_identifier": f"dataset:{name.lower().replace(' ', '_')}",
        "created_at": created,
        "updated_at": created,
        "cached_record_count": None,
        "source_id": WAREHOUSE_CONNECTION,
    }


def _sync(number: int, label: str, dataset: int, columns: list[str], *, created: str, **options: Any) -> dict[str, Any]:
    mappings = [
        make_mapping(column, "Name" if column == "name" else api_name(column), is_key=column == KEY) for column in columns
    ]
    mappings += [_constant(name) for name in options.pop("constants", ())]
    return make_sync(
        number,
        label,
        object_={"type": "dataset", "id": dataset},
        mappings=mappings,
        connections=(WAREHOUSE_CONNECTION, SALESFORCE_CONNECTION),
        created=created,
        alerts=[{"id": 10 * number + place, **alert} for place, alert in enumerate(ALERTS)],
        **options,
    )


def _constant(name: str) -> dict[str, Any]:
    return {**make_mapping("", name), "from": {"type": "constant_value", "data": {"value": True, "basic_type": "boolean"}}}


def real_workspace() -> CensusWorkspace:
    catalog, schema, table = BATCH_TABLE.split(".")
    regular = [*SYNC_COLUMNS, *feature_columns()]
    return CensusWorkspace(
        syncs=(
            _sync(
                INSERT_SYNC,
                "Product Property new records",
                NEW_PROPERTIES_DATASET,
                list(SYNC_COLUMNS),
                operation="insert",
                frequency="never",
                created="2024-02-12T17:20:09.114Z",
                constants=["Trigger_Rollups__c"],
            ),
            _sync(
                REGULAR_SYNC,
                "Product Property (RDS to Salesforce)",
                REGULAR_DATASET,
                regular,
                operation="upsert",
                frequency="daily",
                created="2024-05-30T08:41:57.002Z",
            ),
            _sync(
                HOURLY_SYNC,
                "Product Property company",
                COMPANY_DATASET,
                [KEY, "company_id_c", "company_name_c"],
                operation="update",
                frequency="hourly",
                created="2024-09-03T15:02:33.850Z",
            ),
            _sync(
                TRIGGERED_SYNC,
                "Product Property after notebook",
                COMPANY_DATASET,
                [KEY, "company_name_c"],
                operation="update",
                frequency="never",
                created="2025-06-18T21:11:40.391Z",
                triggers={"sync_sequence": {"triggers": [{"sync_id": HOURLY_SYNC}]}},
            ),
            _sync(
                FEATURE_SYNC,
                "Product Property features",
                BATCH_DATASET,
                [KEY, *feature_columns()],
                operation="update",
                frequency="never",
                created="2026-01-12T10:07:18.663Z",
            ),
        ),
        datasets=(
            _dataset(NEW_PROPERTIES_DATASET, "New properties", _new_properties(), "2024-02-12T17:02:41.508Z"),
            _dataset(REGULAR_DATASET, "Product property sync", f"SELECT * FROM {SYNC_VIEW}", "2024-05-30T08:12:20.730Z"),
            _dataset(COMPANY_DATASET, "Product property company", f"SELECT * FROM {COMPANY_VIEW}", "2024-09-03T14:55:01.275Z"),
            _dataset(BATCH_DATASET, table, f"SELECT * FROM `{catalog}`.`{schema}`.`{table}`", "2026-01-12T10:01:52.047Z"),
        ),
        sources=(source_connection(WAREHOUSE_CONNECTION, "Databricks"), source_connection(OTHER_WAREHOUSE, "Databricks (old)")),
        destinations=(
            destination_connection(SALESFORCE_CONNECTION, "Salesforce"),
            destination_connection(OTHER_DESTINATION, "Salesforce (partial sandbox)"),
        ),
    )


def _new_properties() -> str:
    return (
        f"SELECT v.* FROM {SYNC_VIEW} v LEFT JOIN crm.sfdc_replica.product_property_c s"
        " ON s.snappt_property_id_c = v.snappt_property_id_c WHERE s.id IS NULL"
    )
